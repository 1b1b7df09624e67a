"""Cut the steps of a schedule into smaller ones, so that it can be between two steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from accelsched.errors import require
from accelsched.schedules._fields import FieldType, field_types
from accelsched.schedules._pytree import PerPhase, TablePerTerm, map_leaves
from accelsched.schedules.base import Schedule

#: Within int64, and exact in float32. No position is as large.
_MOST = 2**63 - 2**40


def slowed(schedule: Schedule, by: int) -> Schedule:
    """Return a schedule of the same structure whose value at ``by * t`` is this one's at ``t``.

    Args:
        schedule: a schedule that passes :func:`require_stretches`.
        by: the number of smaller steps in a step; 1 returns the schedule itself.
    """
    if by == 1:
        return schedule

    def multiplied(leaf: Any, kind: FieldType) -> Any:
        return _times(leaf, by) if kind.is_steps else leaf

    return map_leaves(multiplied, schedule)


def _times(leaf: Any, by: int) -> Any:
    """Return one or many counts of steps in smaller steps."""
    if isinstance(leaf, (PerPhase, TablePerTerm)):
        return dataclasses.replace(leaf, values=_times(leaf.values, by))
    if isinstance(leaf, tuple):
        return tuple(_times(item, by) for item in leaf)
    return min(leaf * by, _MOST) if isinstance(leaf, int) else leaf * by


def most_steps(schedule: Schedule) -> int:
    """Return the largest number of steps that a formula adds or multiplies."""
    counts = [1]

    def counted(leaf: Any, kind: FieldType) -> Any:
        values = leaf.values if isinstance(leaf, PerPhase) else (leaf,)
        if kind.is_steps and not kind.is_table:
            counts.extend(abs(int(value)) for value in values)
        return leaf

    map_leaves(counted, schedule)
    return max(counts)


def require_stretches(schedule: Schedule) -> None:
    """Raise unless a schedule and all of its parts can be stretched.

    Raises:
        ArgumentError: a part does not declare which of its numbers count steps.
    """
    remedy = (
        "cannot be stretched: set scheduler.schedule = ... instead. It is unknown which of its "
        "numbers count steps"
    )
    require(schedule.stretches, "schedule", schedule, remedy)
    for part in _parts(schedule):
        require_stretches(part)


def _parts(schedule: Schedule) -> Iterator[Schedule]:
    """Yield the schedules that the formula of a schedule reads."""
    for name, kind in field_types(type(schedule)).items():
        value = None if kind.is_source else getattr(schedule, name)
        items = value if isinstance(value, tuple) else (value,)
        yield from (item for item in items if isinstance(item, Schedule))
