"""The end of a schedule if it is known, and a description if it is not."""

from __future__ import annotations

import dataclasses
from typing import Any

from accelsched.schedules._closed_form import ClosedForm
from accelsched.schedules._fields import MAX_STEP
from accelsched.schedules._from_function import DEFAULT_STEPS
from accelsched.schedules.base import Schedule
from accelsched.schedules.compose import Scaled
from accelsched.schedules.custom import Tabulated


def unscaled(schedule: Schedule) -> Schedule:
    """Return the schedule without its factors above 0, which do not change its shape."""
    while isinstance(schedule, Scaled) and schedule.factor > 0:
        schedule = schedule.schedule
    return schedule


def end_of(schedule: Schedule) -> int | None:
    """Return the step from which the value is constant; None if there is none, or if unknown.

    It is the step at which the schedule settles, but for two kinds. A table may continue past its
    last change, and a user's method may end at the ``total_iters`` of its class.
    """
    inner = unscaled(schedule)
    if isinstance(inner, ClosedForm):
        return _end_of_method(inner)
    if isinstance(inner, Tabulated) and inner.settles is not None:
        return _end_of_table(inner)
    return schedule.settles


def _end_of_method(form: ClosedForm) -> int | None:
    """Return ``total_iters`` of a user's class or of its base, if the values are constant there."""
    numbers: Any = form.numbers
    end = dict(numbers).get("total_iters", form.inner.settles if form.inner else None)
    if type(end) is not int or not 0 <= end < MAX_STEP // 16:
        return None
    later = (end, end + 1, 2 * end, 9 * end + 7)
    return end if len({form(step) for step in later}) == 1 else None


def _end_of_table(table: Tabulated) -> int | None:
    """Return the step of the last change; None if a table of default length ends before it."""
    others = (table.values != table.values[-1]).nonzero()
    end = int(others[-1]) + 1 if len(others) else 0
    return None if end == DEFAULT_STEPS else end


def period_of(schedule: Schedule) -> int | None:
    """Return after how many steps a schedule without an end repeats; None if it does not."""
    return None if schedule.repeats is None or schedule.settles is not None else schedule.repeats[1]


def without_end(schedule: Schedule) -> str:
    """Describe the end of a schedule for which :func:`end_of` returns None."""
    period = period_of(schedule)
    if period is not None:
        return f"has no end: it repeats every {period:,} steps"
    return "has no known end" if is_of_a_user(schedule) else "has no end"


def is_of_a_user(part: object) -> bool:
    """Return whether a schedule contains a user's function, whose end is unknown."""
    if isinstance(part, tuple):
        return any(map(is_of_a_user, part))
    if not isinstance(part, Schedule):
        return callable(part)
    return any(is_of_a_user(getattr(part, field.name)) for field in dataclasses.fields(part))
