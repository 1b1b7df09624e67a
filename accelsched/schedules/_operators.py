"""The operators of :class:`~accelsched.schedules.Schedule`, and the schedules they make."""

from __future__ import annotations

from accelsched.schedules.base import Schedule
from accelsched.schedules.compose import Product, Scaled, Sequential, Sum
from accelsched.schedules.decay import Constant


def add(one: Schedule, other: Schedule | float) -> Schedule:
    """Return ``one + other``; a number is a constant schedule."""
    term = other if isinstance(other, Schedule) else Constant(other)
    return Sum((*_terms(Sum, one), *_terms(Sum, term)))


def multiply(one: Schedule, other: Schedule | float) -> Schedule:
    """Return ``one * other``."""
    if not isinstance(other, Schedule):
        return Scaled(one, other)
    return Product((*_terms(Product, one), *_terms(Product, other)))


def _terms(kind: type[Sum] | type[Product], schedule: Schedule) -> tuple[Schedule, ...]:
    """The terms of a sum or a product; any other schedule is one term."""
    return schedule.schedules if type(schedule) is kind else (schedule,)


def join(first: Schedule, following: Schedule, at: int) -> Schedule:
    """Return ``first.then(following, at=at)``; a sequence gets one more phase."""
    if isinstance(first, Sequential):
        return Sequential((*first.schedules, following), (*first.milestones, at))
    return Sequential((first, following), (at,))
