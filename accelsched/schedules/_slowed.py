"""A schedule whose steps are cut into smaller ones, so that it can be at a fraction of a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from accelsched.errors import require
from accelsched.schedules._fields import FieldType, field_types
from accelsched.schedules._pytree import PerPhase, TablePerTerm, map_leaves
from accelsched.schedules.base import Schedule

#: What int64 counts to; a multiple of what float32 rounds it to. No position comes so far.
_MOST = 2**63 - 2**40


def slowed(schedule: Schedule, by: int) -> Schedule:
    """Return a schedule of the same structure whose value at ``by * t`` is this one's at ``t``.

    Args:
        schedule: one that :func:`require_stretches` takes.
        by: how many smaller steps a step is; for 1 it is the schedule itself.
    """
    if by == 1:
        return schedule

    def multiplied(leaf: Any, kind: FieldType) -> Any:
        return _times(leaf, by) if kind.is_steps else leaf

    return map_leaves(multiplied, schedule)


def _times(leaf: Any, by: int) -> Any:
    """A count of steps, or many, in smaller steps."""
    if isinstance(leaf, (PerPhase, TablePerTerm)):
        return dataclasses.replace(leaf, values=_times(leaf.values, by))
    if isinstance(leaf, tuple):
        return tuple(_times(item, by) for item in leaf)
    return min(leaf * by, _MOST) if isinstance(leaf, int) else leaf * by


def most_steps(schedule: Schedule) -> int:
    """The largest number of steps that a formula adds to another, or multiplies."""
    counts = [1]

    def counted(leaf: Any, kind: FieldType) -> Any:
        values = leaf.values if isinstance(leaf, PerPhase) else (leaf,)
        if kind.is_steps and not kind.is_table:
            counts.extend(abs(int(value)) for value in values)
        return leaf

    map_leaves(counted, schedule)
    return max(counts)


def require_stretches(schedule: Schedule) -> None:
    """Refuse a schedule with a part of which nobody knows what its numbers count.

    Raises:
        ArgumentError: there is such a part.
    """
    remedy = (
        "nobody knows which of its numbers count steps, so that it cannot be stretched: give "
        "another schedule, scheduler.schedule = ..."
    )
    require(schedule.stretches, "schedule", schedule, remedy)
    for part in _parts(schedule):
        require_stretches(part)


def _parts(schedule: Schedule) -> Iterator[Schedule]:
    """The schedules that the formula of one reads."""
    for name, kind in field_types(type(schedule)).items():
        value = None if kind.is_source else getattr(schedule, name)
        items = value if isinstance(value, tuple) else (value,)
        yield from (item for item in items if isinstance(item, Schedule))
