"""Find how a user's ``get_lr`` depends on the step and on the current rates, by calling it.

``get_lr`` is called with steps as numbers and, if it can be traced, as a tensor. A :class:`Rate`
takes the place of each group's rate and records a factor and a summand. Any operation that these
two cannot express raises an error.
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

#: The most numbers that the tables of a rule may hold.
MAX_NUMBERS = 2**24


class NoFormula(Exception):
    """A ``get_lr`` is neither a function of the step nor a recurrence of each group's own rate."""


@dataclass(frozen=True, eq=False)
class Rate:
    """The rate of a param group before a step, times a factor, plus a summand.

    Attributes:
        index: the index of the group; None for another hyper-parameter, which no result may use.
        factor: a number, or a tensor that depends on the step.
        summand: likewise.
    """

    index: int | None
    factor: Any = 1.0
    summand: Any = 0.0

    # numpy's numbers must use the operators of this class.
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
    """A user's ``get_lr`` as a function from the step to factors and summands.

    Args:
        seen: an object with this method, whose param groups hold :class:`Rate`.
        count: how many values the method must return.
    """

    def __init__(self, seen: Any, count: int) -> None:
        self._seen, self._count = seen, count

    def __call__(self, step: Any) -> list[Any]:
        """Return the factor of each group, followed by the summand of each."""
        self._seen.last_epoch = step
        values = list(self._seen.get_lr())
        if len(values) != self._count:
            raise NoFormula(f"it returns {len(values)} values for {self._count} param groups")
        pairs = [_parts(index, value) for index, value in enumerate(values)]
        return [*(factor for factor, _ in pairs), *(summand for _, summand in pairs)]

    def part(self, position: int) -> Any:
        """Return one of the factors and summands, as a function of the step."""
        return lambda step: self(step)[position]

    def is_traceable(self) -> bool:
        """Return whether a tensor of steps gives the same parts as Python numbers do."""
        try:
            record(lambda step: [terms.filled(step, part) for part in self(terms.real(step))])
            traced = self(torch.tensor(PROBES, dtype=torch.float64))
        except Exception:
            return False
        return all(
            alike(part, column) for part, column in zip(traced, self.at_probes(), strict=True)
        )

    def at_probes(self) -> list[tuple[float, ...]]:
        """Return the values of each part at the probed steps, which are Python numbers."""
        rows = [tuple(map(float, self(step))) for step in PROBES]
        return list(zip(*rows, strict=True))

    def schedules(self, on_host: bool) -> list[Schedule]:
        """Return each of the parts as a schedule."""
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
            raise NoFormula("it cannot be traced, and has too many param groups for tables")
        numbers = array("d")
        for step in range(steps):
            numbers.extend(self(step))
        columns = np.frombuffer(numbers).reshape(steps, count).T
        if (columns[:, steps // 2 :] != columns[:, -1:]).any():
            warnings.warn(
                f"get_lr cannot be traced, so its first {DEFAULT_STEPS} steps were tabulated: use "
                "torch operations for more. Past the table its last value holds",
                UserWarning,
                stacklevel=level_of_the_caller(),
            )
        return [Tabulated(column.tolist().__getitem__, DEFAULT_STEPS) for column in columns]


def _parts(index: int, value: Any) -> tuple[Any, Any]:
    """Return the factor and the summand of one value from ``get_lr``."""
    if not isinstance(value, Rate):
        return 0.0, value
    if value.index != index:
        raise NoFormula("it reads more than the step and the group's own lr")
    return value.factor, value.summand


def _traced(part: Any, function: Any) -> Schedule:
    return Lambda(1.0, (function,)) if isinstance(part, Tensor) else Constant(float(part))


def found_rule(seen: Any, count: int, on_host: bool) -> list[Schedule] | list[Recurrence]:
    """Return the schedule of each group, or the recurrence of each.

    Args:
        seen: as for :class:`Rule`.
        count: how many groups there are.
        on_host: whether Python runs at each step, so that no table is needed.

    Raises:
        NoFormula: ``get_lr`` is neither.
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
        raise NoFormula("it returns different values for the same step")
    schedules = rule.schedules(on_host)
    factors, summands = schedules[:count], schedules[count:]
    if not any(map(any, columns[:count])):
        return summands
    return [Recurrence(*pair) for pair in zip(factors, summands, strict=True)]


def rates(groups: Sequence[dict[str, Any]], initial: Sequence[float]) -> list[dict[str, Any]]:
    """Return copies of param groups that hold :class:`Rate` objects, for :class:`Rule`."""
    return [
        {
            **{key: Rate(None) if _is_value(value) else value for key, value in group.items()},
            "lr": Rate(index),
            "initial_lr": start,
        }
        for index, (group, start) in enumerate(zip(groups, initial, strict=True))
    ]


def _is_value(value: Any) -> bool:
    """Return whether a hyper-parameter is a number, which may change from step to step."""
    if isinstance(value, tuple):
        return any(map(_is_value, value))
    return isinstance(value, (int, float, Tensor)) and not isinstance(value, bool)
