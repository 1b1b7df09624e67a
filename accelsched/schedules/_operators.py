"""The operators of :class:`~accelsched.schedules.Schedule`, and the schedules they make."""

from __future__ import annotations

from accelsched.schedules.base import Schedule
from accelsched.schedules.compose import Product, Scaled, Sequential, Sum
from accelsched.schedules.decay import Constant


def add(one: Schedule, other: Schedule | float) -> Schedule:
    """Return ``one + other``; a number is a constant schedule."""
    return Sum((one, other if isinstance(other, Schedule) else Constant(other)))


def multiply(one: Schedule, other: Schedule | float) -> Schedule:
    """Return ``one * other``."""
    return Product((one, other)) if isinstance(other, Schedule) else Scaled(one, other)


def join(first: Schedule, following: Schedule, at: int) -> Schedule:
    """Return ``first.then(following, at=at)``; a sequence gets one more phase."""
    if isinstance(first, Sequential):
        return Sequential((*first.schedules, following), (*first.milestones, at))
    return Sequential((first, following), (at,))
