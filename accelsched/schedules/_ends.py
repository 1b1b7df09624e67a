"""Where the values of a schedule end, as far as that is known, and what to say where it is not."""

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
    """The schedule that a factor above 0 multiplies, which has the same shape; or this itself."""
    while isinstance(schedule, Scaled) and schedule.factor > 0:
        schedule = schedule.schedule
    return schedule


def end_of(schedule: Schedule) -> int | None:
    """The step from which the value stays; None if there is none, or it is not known.

    It is where the schedule settles. Two kinds do not say so of themselves: a table may go on past
    the last change, and a user's method past the ``total_iters`` of its class.
    """
    inner = unscaled(schedule)
    if isinstance(inner, ClosedForm):
        return _end_of_method(inner)
    if isinstance(inner, Tabulated) and inner.settles is not None:
        return _end_of_table(inner)
    return schedule.settles


def _end_of_method(form: ClosedForm) -> int | None:
    """Where a user's class, or the one that it is derived from, ends, if the values stay there."""
    numbers: Any = form.numbers
    end = dict(numbers).get("total_iters", form.inner.settles if form.inner else None)
    if type(end) is not int or not 0 <= end < MAX_STEP // 16:
        return None
    later = (end, end + 1, 2 * end, 9 * end + 7)
    return end if len({form(step) for step in later}) == 1 else None


def _end_of_table(table: Tabulated) -> int | None:
    """From where on the entries are the same; None if a table by default did not reach that."""
    others = (table.values != table.values[-1]).nonzero()
    end = int(others[-1]) + 1 if len(others) else 0
    return None if end == DEFAULT_STEPS else end


def period_of(schedule: Schedule) -> int | None:
    """After how many steps the values of a schedule without an end come back, if they do."""
    return None if schedule.repeats is None or schedule.settles is not None else schedule.repeats[1]


def without_end(schedule: Schedule) -> str:
    """What there is to say of a schedule of which :func:`end_of` knows no end."""
    period = period_of(schedule)
    if period is not None:
        return f"has no end: it repeats every {period:,} steps"
    return "has no end that is known" if is_of_a_user(schedule) else "has no end"


def is_of_a_user(part: object) -> bool:
    """Whether there is a user's function in a schedule, of which nobody knows where it ends."""
    if isinstance(part, tuple):
        return any(map(is_of_a_user, part))
    if not isinstance(part, Schedule):
        return callable(part)
    return any(is_of_a_user(getattr(part, field.name)) for field in dataclasses.fields(part))
