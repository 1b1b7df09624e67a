"""Values of a scheduler at any step, and reports on its position in the schedule.

The machine code that drives a scheduler on the host computes these values, so nothing synchronizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelsched._binding.host_values import host_function_of
from accelsched.errors import require
from accelsched.schedules import Schedule
from accelsched.schedules._ends import end_of, unscaled, without_end
from accelsched.schedules._fields import step_number
from accelsched.schedules.compose import Sequential
from accelsched.schedules.warmup import Composed

if TYPE_CHECKING:
    from accelsched._binding.scheduler import Scheduler

#: The number of values that are printed; further ones are left out.
_MOST_VALUES = 4


def values_at(scheduler: Scheduler, step: Any) -> list[float]:
    """Compute the value of each driven group at a step; see :meth:`Scheduler.value_at`."""
    number = step_number("step", step)
    if scheduler.optimizer is None:
        raise RuntimeError(scheduler.refusal)
    require_schedules(scheduler)
    return host_function_of(scheduler).at(number)


def require_schedules(scheduler: Scheduler) -> None:
    """Raise if a scheduler has no schedule to evaluate at other steps."""
    remedy = "each value depends on the one before: step it, and read get_last_value()"
    require(bool(scheduler.in_force), "scheduler", scheduler, remedy)


@dataclass(frozen=True)
class Report:
    """A scheduler's position in its schedule, to print.

    Attributes:
        scheduler: the name of the scheduler's class.
        key: the driven hyper-parameter.
        step: the step whose values the groups have.
        indices: the indices of the driven param groups.
        values: the value of each driven group at this step.
        ends: the step from which each driven group's value is constant; None if there is none.
        lines: the lines of text below the first, for groups at the same position.
    """

    scheduler: str
    key: str
    step: int
    indices: tuple[int, ...]
    values: tuple[float, ...]
    ends: tuple[int | None, ...]
    lines: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.scheduler} of {self.key}, step {self.step:,}: {_listed(self.values)}"
        return "\n".join([head, *(f"  {line}" for line in self.lines)])


def report_on(scheduler: Scheduler) -> Report:
    """Return the report on a scheduler; see :meth:`Scheduler.report`."""
    step, schedules = scheduler.last_epoch, scheduler.in_force
    if schedules:
        values = values_at(scheduler, step)
        lines = _lines(schedules, scheduler.indices, step, values)
    else:
        values = [float(value) for value in scheduler.group_values.values()]
        lines = ["each value depends on the one before: no end is known"]
    return Report(
        scheduler=type(scheduler).__name__,
        key=scheduler.key,
        step=step,
        indices=tuple(scheduler.indices),
        values=tuple(values),
        ends=tuple(map(end_of, schedules)) or (None,) * len(values),
        lines=tuple(lines),
    )


def _lines(
    schedules: Sequence[Schedule], indices: Sequence[int], step: int, values: Sequence[float]
) -> list[str]:
    """Return the lines on the schedules at a step; schedules at the same position share them."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for position, schedule in enumerate(schedules):
        end = end_of(schedule)
        place = _phase(schedule, step), end, "" if end is not None else without_end(schedule)
        places.setdefault(place, []).append(position)
    lines = []
    for (phase, end, endless), positions in places.items():
        held = _listed([values[position] for position in positions])
        of_groups = named_groups([indices[position] for position in positions])
        head = f"{of_groups}: " if len(places) > 1 else ""
        progress = endless if end is None else _progress(step, end, held)
        lines += [head + line for line in (phase, progress) if line]
    return lines


def _progress(step: int, end: int, held: str) -> str:
    """Return the text on how much of a schedule is done at a step."""
    if end == 0:
        return "is constant"
    if step >= end:
        how = "passed" if step > end else "reached"
        return f"the horizon was {how} at step {end:,}: the value stays at {held}"
    return f"ends at step {end:,}: {percent(step, end)} done, {end - step:,} to go"


def _phase(schedule: Schedule, step: int) -> str:
    """Return the text on the phase of a sequence; "" for any other schedule."""
    sequence = unscaled(schedule)
    if isinstance(sequence, Composed):
        sequence = sequence.made
    if not isinstance(sequence, Sequential):
        return ""
    milestones = sequence.milestones
    now = sum(step >= milestone for milestone in milestones)
    start = f", from step {milestones[now - 1]:,}" if now else ""
    stop = f", until step {milestones[now]:,}" if now < len(milestones) else ""
    kind = type(unscaled(sequence.schedules[now])).__name__
    return f"phase {now + 1} of {len(sequence.schedules)}, {kind}{start}{stop}"


# Texts.


def named_groups(indices: Sequence[int]) -> str:
    """Return the text that names some param groups."""
    many = len(indices) > _MOST_VALUES
    shown = ", ".join(str(index) for index in indices[:_MOST_VALUES])
    return f"param group{'s' * (len(indices) > 1)} {shown}{', ...' * many}"


def percent(part: int, whole: int) -> str:
    """Return a part of a whole in percent; only the whole itself is 100 %."""
    share = 100 * part / whole
    if 0 < share < 1:
        return f"{share:.2g} %"
    return f"{min(round(share), 99) if part < whole else round(share)} %"


def _listed(values: Sequence[float]) -> str:
    """Return the text that lists values, each once."""
    different = list(dict.fromkeys(values))
    shown = ", ".join(f"{value:.6g}" for value in different[:_MOST_VALUES])
    return shown + ", ..." * (len(different) > _MOST_VALUES)
