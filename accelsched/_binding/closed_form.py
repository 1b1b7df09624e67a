"""Schedulers that users write by a method, as in Cerebras: ``_get_closed_form`` is their formula.

The method reads the step as ``self.last_epoch``, and other attributes. It is called on a
:class:`View`: an object of the user's class with the attributes that the scheduler has now. So it
is recorded like any formula, and holds neither the scheduler nor an optimizer.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from accelsched._binding.given import as_schedules
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._closed_form import ClosedForm, frozen, is_plain, like

_recorded = threading.local()


def recorded_step() -> Any:
    """The step for which a user's method is called; None if there is none.

    Another scheduler that the method asks is at this step, too: its own would be a constant.
    """
    return getattr(_recorded, "step", None)


class View:
    """In front of a user's class: what a scheduler computes are plain attributes here."""

    last_epoch: Any = None
    base_lrs: Any = None
    device: Any = None
    __setattr__ = object.__setattr__
    __repr__ = object.__repr__


def view(cls: type, attributes: Mapping[str, Any]) -> Any:
    """Make an object of a class that has these attributes and no others."""
    seen: Any = object.__new__(types.new_class(cls.__name__, (View, cls)))
    vars(seen).update(attributes)
    return seen


class _Method:
    """A user's method, with the attributes that it may read and that no state holds.

    Args:
        cls: the user's class.
        attributes: all of them; of numbers those that :class:`ClosedForm` has count.
    """

    def __init__(self, cls: type, attributes: Mapping[str, Any]) -> None:
        self.cls, self.attributes = cls, attributes

    def __repr__(self) -> str:
        return f"{self.cls.__name__}._get_closed_form"

    def __call__(self, step: Tensor, numbers: Any, inner: Schedule | None) -> Any:
        known = {"last_epoch": step, "device": step.device, "_schedules": (inner,)}
        seen = view(self.cls, {**self.attributes, **self.thawed(numbers), **known})
        before, _recorded.step = recorded_step(), step
        try:
            return seen._get_closed_form()
        finally:
            _recorded.step = before

    def thawed(self, numbers: Any) -> dict[str, Any]:
        """Numbers by name, with lists where the user had them."""
        names = sorted(name for name, value in self.attributes.items() if is_plain(value))
        given = [pair[0] for pair in numbers if isinstance(pair, tuple) and len(pair) == 2]
        require(sorted(map(str, given)) == names, "numbers", given, f"give those of {names}")
        return {name: like(self.attributes[name], value) for name, value in numbers}


def closed_forms(
    cls: type, attributes: Mapping[str, Any], inner: Sequence[Schedule | None]
) -> tuple[ClosedForm, ...]:
    """Make a schedule of a user's method for each that its class is derived from.

    Raises:
        Untraceable: the method cannot be recorded.
    """
    plain = {name: value for name, value in attributes.items() if is_plain(value)}
    method, numbers = _Method(cls, attributes), frozen(list(plain.items()))
    made = {id(schedule): ClosedForm(method, numbers, schedule) for schedule in inner}
    return tuple(made[id(schedule)] for schedule in inner)


def given_forms(scheduler: Any, schedule: Any) -> tuple[ClosedForm, ...]:
    """Make the schedules of a scheduler that has a method of its own, for what it was given."""
    attributes = {name: vars(scheduler)[name] for name in sorted(scheduler._form_names)}
    inner = (None,) if schedule is None else as_schedules(schedule)
    return closed_forms(type(scheduler), attributes, inner)


def with_attributes(
    schedules: Sequence[Schedule], cls: type, attributes: Mapping[str, Any]
) -> Sequence[Schedule]:
    """Make the same schedules for other attributes; those that were set in their place stay."""
    forms = [schedule for schedule in schedules if isinstance(schedule, ClosedForm)]
    made = iter(closed_forms(cls, attributes, [form.inner for form in forms]))
    return [next(made) if isinstance(schedule, ClosedForm) else schedule for schedule in schedules]


def written(schedule: Schedule) -> Any:
    """The schedule that has the arguments of a scheduler's class as its fields."""
    return schedule.inner if isinstance(schedule, ClosedForm) else schedule


def with_fields(schedule: Schedule, changes: Mapping[str, Any]) -> Schedule:
    """The same schedule with other arguments."""
    changed: Schedule = dataclasses.replace(written(schedule), **changes)
    if isinstance(schedule, ClosedForm):
        return dataclasses.replace(schedule, inner=changed)
    return changed


def numbers_of(schedule: Any) -> dict[str, Any]:
    """The attributes that a schedule of a user's method has, by name, as the user gave them."""
    if not isinstance(schedule, ClosedForm):
        return {}
    numbers: dict[str, Any] = schedule.method.thawed(schedule.numbers)  # type: ignore[attr-defined]
    return numbers


def takes_total_iters(init: Callable[..., None]) -> Callable[..., None]:
    """Have a constructor take Cerebras' arguments too, for a class with a method of its own.

    Such a class calls ``super().__init__(optimizer, total_iters, last_epoch, param_group_tags)``,
    and every attribute that it has then may be read by its method.
    """

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        if not self._writes_its_form:
            return init(self, *args, **options)
        if not any(isinstance(given, Schedule) for given in (*args[1:], *options.values())):
            args, options = (), _as_ours(self, *args, **options)
        self._form_names = frozenset(vars(self)) - {"optimizer"}
        return init(self, *args, **options)

    return __init__


def _as_ours(
    scheduler: Any,
    optimizer: Any,
    total_iters: int | None,
    last_epoch: int = -1,
    param_group_tags: Any = None,
    **ours: Any,
) -> dict[str, Any]:
    """Cerebras' arguments as those of :class:`accelsched.Scheduler`; ``total_iters`` is kept."""
    scheduler.total_iters = total_iters
    options = {"param_group_tags": param_group_tags, "last_epoch": last_epoch, **ours}
    return {"optimizer": optimizer, "schedule": None, **options}


def refused(cls: type) -> ArgumentError:
    """The error for a class that cannot have a method of its own."""
    remedy = "a scheduler of schedulers follows their values: derive from a scheduler of one"
    return ArgumentError("_get_closed_form", cls, remedy)
