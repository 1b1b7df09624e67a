"""A schedule whose formula is the ``_get_closed_form`` method of a user's class."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from accelsched._recording import Untraceable, record
from accelsched.schedules import terms
from accelsched.schedules.base import Schedule

#: The attribute types that a state can store, alone or in lists.
_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class ClosedForm(Schedule):
    """The value of a method of a user's class, recorded once.

    Args:
        method: a function from the step, ``numbers`` and ``inner`` to a value.
        numbers: the attributes that the method may read and a state stores, as pairs of a name and
            a value, with tuples for lists.
        inner: the schedule of the base class of the user's class, if that has one.

    Raises:
        Untraceable: the method cannot be recorded as operations on the step.
    """

    method: Callable[..., Any]
    numbers: tuple[object, ...]
    inner: Schedule | None = None

    def check(self) -> None:
        object.__setattr__(self, "numbers", frozen(self.numbers))

        def values(step: Tensor) -> list[Tensor]:
            value = self.formula(step)
            if value.shape != step.shape:
                raise Untraceable(f"the method returns shape {list(value.shape)}, not one number")
            return [value]

        record(values)

    @property
    def base(self) -> float:
        numbers: Any = self.numbers
        initial = dict(numbers).get("initial_val")
        return super().base if initial is None else float(initial)

    def formula(self, step: Tensor) -> Tensor:
        value = self.method(step, self.numbers, self.inner)
        if not isinstance(value, Tensor):
            return terms.filled(step, value)
        value = terms.real(value)
        return value.reshape(()).expand(step.shape) if value.numel() == 1 else value


def is_plain(value: Any) -> bool:
    """Return whether an attribute is None, a number or text, or a list of these."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return isinstance(value, _PLAIN)


def frozen(value: Any) -> Any:
    """Return a value with tuples for lists."""
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def like(original: Any, value: Any) -> Any:
    """Return a frozen value with lists where the original has them."""
    if not isinstance(value, tuple) or not isinstance(original, (list, tuple)):
        return value
    pairs = itertools.zip_longest(original[: len(value)], value)
    return type(original)(like(one, item) for one, item in pairs)
