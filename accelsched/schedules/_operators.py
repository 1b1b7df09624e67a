"""The operators of :class:`~accelsched.schedules.Schedule`, and the schedules they make.

The results are flat: a loop that adds terms, or multiplies by numbers, does not nest them.
"""

from __future__ import annotations

import sys

from accelsched.errors import ArgumentError, require
from accelsched.schedules._fields import integer, real
from accelsched.schedules.base import Schedule
from accelsched.schedules.compose import (
    Maximum,
    Minimum,
    Product,
    Scaled,
    Sequential,
    Sum,
    keeps_digits,
)
from accelsched.schedules.decay import Constant
from accelsched.schedules.shifted import Shifted


def add(one: Schedule, other: Schedule | float) -> Schedule:
    """Return ``one + other``; a number becomes a constant schedule."""
    return Sum(_terms(Sum, one, other))


def multiply(one: Schedule, other: Schedule | float) -> Schedule:
    """Return ``one * other``."""
    if isinstance(other, Schedule):
        return Product(_terms(Product, one, other))
    factor = real("factor", other)
    if type(one) is Scaled and keeps_digits(one.factor, factor):
        return Scaled(one.schedule, one.factor * factor)
    return Scaled(one, factor)


def divide(one: Schedule, divisor: float) -> Schedule:
    """Return ``one / divisor``."""
    number = real("divisor", divisor)
    require(
        abs(number) >= sys.float_info.min, "divisor", divisor, "too near 0: give 2**-1022 or more"
    )
    return multiply(one, 1.0 / number)


def minimum(*schedules: Schedule | float) -> Schedule:
    """Return the schedule whose value is the smallest of these; see :class:`Minimum`.

    Args:
        schedules: at least one schedule or number.

    Raises:
        ArgumentError: none is given, or one is neither a schedule nor a number.

    Example:
        >>> from accelsched.schedules import Linear
        >>> schedule = minimum(Linear(initial=0.0, end=1.0, total_iters=10), 0.5)
        >>> [schedule(t) for t in (0, 4, 8)]
        [0.0, 0.4, 0.5]
    """
    return Minimum(_terms(Minimum, *schedules))


def maximum(*schedules: Schedule | float) -> Schedule:
    """Return the schedule whose value is the largest of these; see :class:`Maximum`.

    Args:
        schedules: at least one schedule or number.

    Raises:
        ArgumentError: none is given, or one is neither a schedule nor a number.

    Example:
        A decay with a floor:

        >>> from accelsched.schedules import Step
        >>> schedule = maximum(Step(initial=0.1, step_size=10, gamma=0.5), 0.03)
        >>> [schedule(t) for t in (0, 10, 20, 1000)]
        [0.1, 0.05, 0.03, 0.03]
    """
    return Maximum(_terms(Maximum, *schedules))


def _terms(
    kind: type[Sum] | type[Product] | type[Minimum] | type[Maximum], *items: Schedule | float
) -> tuple[Schedule, ...]:
    """Return the terms to combine: schedules of this kind are flattened, numbers are constants."""
    terms: list[Schedule] = []
    for item in items:
        if type(item) is kind:
            terms += item.schedules
        else:
            terms.append(item if isinstance(item, Schedule) else Constant(item))
    return tuple(terms)


def join(first: Schedule, following: Schedule, at: int, restart: bool) -> Schedule:
    """Return ``first.then(following, at=at)``; a sequence gets one more phase."""
    if not isinstance(following, Schedule):
        raise ArgumentError("following", following, "give a Schedule")
    # A sequence restarts each phase at step 0, so advance this one by the steps before it.
    phase = following if restart else shift(following, at)
    if isinstance(first, Sequential):
        return Sequential((*first.schedules, phase), (*first.milestones, at))
    return Sequential((first, phase), (at,))


def shift(schedule: Schedule, by: int) -> Schedule:
    """Return ``schedule.shifted(by)``; merge shifts, but not a delay after an advance."""
    by = integer("by", by)
    if type(schedule) is Shifted and (by >= 0 or schedule.by <= 0):
        return Shifted(schedule.schedule, schedule.by + by)
    return Shifted(schedule, by)
