"""What a user's ``get_lr`` makes of the step and of the rates before it, found by calling it.

It is called with the step as a tensor, or as a number where that fails, and with a :class:`Rate` in
the place of each group's rate. A rate stays a multiple of itself plus a summand, or it refuses.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accelsched._binding.recurrent import Recurrence
from accelsched._optimizers.remedies import level_of_the_caller
from accelsched._recording import origin_of, record
from accelsched.schedules import Constant, Lambda, Schedule, Tabulated, terms
from accelsched.schedules._called import Called
from accelsched.schedules._from_function import DEFAULT_STEPS, PROBES, alike

#: How many numbers the tables of a rule may have.
MAX_NUMBERS = 2**24


class NoFormula(Exception):
    """The values are neither functions of the step nor recurrences of each group's own rate."""


@dataclass(frozen=True, eq=False)
class Rate:
    """The rate of a param group before a step, times a factor, plus a summand.

    Attributes:
        index: of the group; None for a value that is no rate, which no result may contain.
        factor: a number, or a tensor that depends on the step.
        summand: likewise.
    """

    index: int | None
    factor: Any = 1.0
    summand: Any = 0.0

    # numpy's numbers leave the arithmetic to it.
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __mul__(self, other: Any) -> Rate:
        return Rate(self.index, self.factor * _number(other), self.summand * _number(other))

    def __truediv__(self, other: Any) -> Rate:
        return Rate(self.index, self.factor / _number(other), self.summand / _number(other))

    def __add__(self, other: Any) -> Rate:
        return Rate(self.index, self.factor, self.summand + _number(other))

    def __sub__(self, other: Any) -> Rate:
        return self.__add__(-_number(other))

    def __rsub__(self, other: Any) -> Rate:
        return self.__neg__().__add__(other)

    def __neg__(self) -> Rate:
        return self * -1.0

    __rmul__, __radd__ = __mul__, __add__

    def __eq__(self, other: object) -> bool:
        raise TypeError("a rate is compared")

    def __bool__(self) -> bool:
        raise TypeError("a rate is compared with 0")


def _number(other: Any) -> Any:
    if isinstance(other, Rate):
        raise TypeError("two rates are combined")
    return other


class Rule:
    """A user's ``get_lr`` as a function of the step to factors and summands.

    Args:
        seen: an object with this method, whose param groups hold :class:`Rate`.
        count: how many values it is to return.
    """

    def __init__(self, seen: Any, count: int) -> None:
        self._seen, self._count = seen, count

    def __call__(self, step: Any) -> list[Any]:
        """The factor of each group, and then the summand of each."""
        self._seen.last_epoch = step
        values = list(self._seen.get_lr())
        if len(values) != self._count:
            raise NoFormula(f"it has {len(values)} values for {self._count} param groups")
        pairs = [_parts(index, value) for index, value in enumerate(values)]
        return [*(factor for factor, _ in pairs), *(summand for _, summand in pairs)]

    def part(self, position: int) -> Any:
        """One of them, as a function of the step."""
        return lambda step: self(step)[position]

    def is_traceable(self) -> bool:
        """Whether operations on a tensor of steps give what Python gives at each step."""
        try:
            record(lambda step: [terms.filled(step, part) for part in self(terms.real(step))])
            traced = self(torch.tensor(PROBES, dtype=torch.float64))
        except Exception:
            return False
        return all(
            alike(part, column) for part, column in zip(traced, self.at_probes(), strict=True)
        )

    def at_probes(self) -> list[tuple[float, ...]]:
        """Each of the parts at steps that are numbers."""
        rows = [tuple(map(float, self(step))) for step in PROBES]
        return list(zip(*rows, strict=True))

    def schedules(self, on_host: bool) -> list[Schedule]:
        """Each of the parts as a schedule."""
        count = 2 * self._count
        if self.is_traceable():
            now = self(terms.real(torch.ones((), dtype=torch.int64)))
            return [_traced(now[i], self.part(i)) for i in range(count)]
        if on_host:
            return [Called(self.part(i)) for i in range(count)]
        return self._tables()

    def _tables(self) -> list[Schedule]:
        count, steps = 2 * self._count, DEFAULT_STEPS + 1
        if count * steps > MAX_NUMBERS:
            raise NoFormula("it cannot be traced, and tables for so many param groups are too long")
        numbers = array("d")
        for step in range(steps):
            numbers.extend(self(step))
        columns = np.frombuffer(numbers).reshape(steps, count).T
        if (columns[:, steps // 2 :] != columns[:, -1:]).any():
            warnings.warn(
                f"get_lr cannot be traced, so its first {DEFAULT_STEPS} steps were tabulated, and "
                "past them the last value holds",
                UserWarning,
                stacklevel=level_of_the_caller(),
            )
        return [Tabulated(column.tolist().__getitem__, DEFAULT_STEPS) for column in columns]


def _parts(index: int, value: Any) -> tuple[Any, Any]:
    """The factor and the summand of a value of ``get_lr``."""
    if not isinstance(value, Rate):
        return 0.0, value
    if value.index != index:
        raise NoFormula("it reads more than the step and the group's own rate")
    return value.factor, value.summand


def _traced(part: Any, function: Any) -> Schedule:
    return Lambda(1.0, (function,)) if isinstance(part, Tensor) else Constant(float(part))


def found_rule(seen: Any, count: int, on_host: bool) -> list[Schedule] | list[Recurrence]:
    """Return the schedule of each group, or the recurrence of each.

    Args:
        seen: as for :class:`Rule`.
        count: how many groups there are.
        on_host: whether Python runs at each step, so that nothing need be tabulated.

    Raises:
        NoFormula: there is neither.
    """
    rule = Rule(seen, count)
    try:
        columns = rule.at_probes()
        again = rule.at_probes()
    except NoFormula:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}, {origin_of(error)}"
        raise NoFormula(reason) from error
    if columns != again:
        raise NoFormula("it does not say the same twice")
    schedules = rule.schedules(on_host)
    factors, summands = schedules[:count], schedules[count:]
    if not any(map(any, columns[:count])):
        return summands
    return [Recurrence(*pair) for pair in zip(factors, summands, strict=True)]


def rates(groups: Sequence[dict[str, Any]], initial: Sequence[float]) -> list[dict[str, Any]]:
    """Copies of param groups that hold rates, for :class:`Rule`."""
    return [
        {
            **{key: Rate(None) if _is_value(value) else value for key, value in group.items()},
            "lr": Rate(index),
            "initial_lr": start,
        }
        for index, (group, start) in enumerate(zip(groups, initial, strict=True))
    ]


def _is_value(value: Any) -> bool:
    """Whether a hyper-parameter may change from step to step."""
    if isinstance(value, tuple):
        return any(map(_is_value, value))
    return isinstance(value, (int, float, Tensor)) and not isinstance(value, bool)
