"""The lengths of schedules, compared with the run that they are for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from accelsched._binding.reporting import named_groups, percent
from accelsched._binding.scheduler import Scheduler
from accelsched._costs.units import Run
from accelsched.schedules import Schedule
from accelsched.schedules._ends import end_of, is_of_a_user, period_of, unscaled, without_end
from accelsched.schedules._fields import MAX_STEP

#: The number of points at which a curve is sampled, before sampling between two of them.
_POINTS = 1024
#: The top of a curve without an end is searched for within this many lengths of the run.
_BEYOND = 16
#: The rounding error allowed in a value, in units in the last place.
_ROUNDING = 8


@dataclass(frozen=True)
class Length:
    """The length of a schedule, compared with a run. Print it.

    Attributes:
        key: the hyper-parameter.
        indices: the indices of the param groups with such a schedule.
        end: the step of the scheduler at which the schedule settles; None if it has no end.
        says: where the schedule ends.
        doubt: what may be wrong with the length; None if nothing is.
    """

    key: str
    indices: tuple[int, ...]
    end: int | None
    says: str
    doubt: str | None = None

    def __str__(self) -> str:
        return self.says if self.doubt is None else f"{self.says}: {self.doubt}"


def lengths_of(schedulers: Iterable[Scheduler], run: Run | None) -> Iterator[Length]:
    """Yield the lengths of the schedulers' schedules, equal lengths of a scheduler together."""
    for scheduler in schedulers:
        # Schedules that differ only by a factor have the same length.
        alike: dict[Schedule, list[int]] = {}
        for index, schedule in _by_group(scheduler):
            alike.setdefault(unscaled(schedule), []).append(index)
        found: dict[tuple[int | None, str, str | None], list[int]] = {}
        for schedule, indices in alike.items():
            said = (end_of(schedule), *_said(schedule, scheduler.key, run))
            found.setdefault(said, []).extend(indices)
        if not found:
            says = f"{scheduler.key} depends on the values before: no end is known"
            yield Length(scheduler.key, tuple(scheduler.indices), None, says)
        for (end, says, doubt), indices in found.items():
            of_groups = f" of {named_groups(sorted(indices))}" if len(found) > 1 else ""
            words = f"{scheduler.key}{of_groups} {says}"
            yield Length(scheduler.key, tuple(sorted(indices)), end, words, doubt)


def _by_group(scheduler: Scheduler) -> Iterable[tuple[int, Schedule]]:
    """Return the index and schedule of each driven group; unbound schedulers count from 0."""
    if scheduler.optimizer is None:
        return enumerate(scheduler.in_force)
    # No schedule is in force where the values depend on the previous ones.
    return zip(scheduler.indices, scheduler.in_force, strict=False)


def _said(schedule: Schedule, key: str, run: Run | None) -> tuple[str, str | None]:
    """Return where a schedule ends, and what may be wrong with that."""
    end = end_of(schedule)
    if end == 0:
        return "is constant", None
    if run is None:
        return (without_end(schedule) if end is None else f"ends at step {end:,}"), None
    top, rises_only = _warmup(schedule, end, run)
    if top >= run.steps and not rises_only:
        steps = run.optimizer_step(top)
        says = f"is still in its warm-up when the run ends (step {run.most:,} of {steps:,})"
        return says, "its highest value is not reached"
    if end is None:
        return without_end(schedule), _asked(_units_of_period(schedule, run))
    if rises_only and end < run.steps and not run.fits(end):
        # A warm-up to a constant may have any length.
        return f"rises until step {run.optimizer_step(end):,} of {run.most:,}, and stays", None
    return _with_end(schedule, end, key, run)


def _units_of_period(schedule: Schedule, run: Run) -> list[str]:
    """Return units in which a repeating schedule may have been built; none if it fits."""
    period = period_of(schedule)
    if period is None:
        return []
    # By a cosine, many mean half a wave, which is lowest at its end and would then rise.
    ends = [period] if period % 2 else [period // 2, period]
    fits = any(run.fits(end) for end in ends)
    return [] if fits else [unit for end in ends for unit in run.counted_in(end)]


def _with_end(schedule: Schedule, end: int, key: str, run: Run) -> tuple[str, str | None]:
    """Return the texts for a schedule that falls to its end."""
    step, last = run.optimizer_step(end), run.most
    if run.fits(end):
        return f"ends with the run (step {step:,} of {last:,})", None
    asked = _asked(run.counted_in(end))
    if end > run.steps:
        share = percent(run.steps, end)
        says = f"is at {share} of its horizon when the run ends (step {last:,} of {step:,})"
        return says, asked or "its last value is not reached"
    if asked is None and key == "lr" and schedule(end) == 0:
        asked = f"the learning rate of the last {last - step:,} steps is 0"
    return f"ends at {percent(end, run.steps)} of the run (step {step:,} of {last:,})", asked


def _asked(units: list[str]) -> str | None:
    """Return the question whether a schedule was built in one of the units."""
    # Units can match by chance. The first ones are the most likely.
    return f"was it built {', or '.join(units[:2])}?" if units else None


def _warmup(schedule: Schedule, end: int | None, run: Run) -> tuple[int, bool]:
    """Return the step to which a curve rises from its start, and whether it then never falls."""
    last = _last_of_interest(schedule, run) if end is None else end
    top = _top(schedule, last)
    first, highest, held = (schedule(step) for step in (0, top, last))
    slack = _ROUNDING * np.spacing(max(abs(first), abs(highest)))
    rises = highest > first + slack
    return top if rises else 0, bool(rises and held >= highest - slack)


def _last_of_interest(schedule: Schedule, run: Run) -> int:
    """Return how far to search for the top of a schedule without an end."""
    if is_of_a_user(schedule):
        # A user's function may not accept steps past the run.
        return run.steps
    beyond = min(_BEYOND * run.steps, MAX_STEP - 1)
    return min(beyond, sum(schedule.repeats or (beyond,)))


def _top(schedule: Schedule, last: int) -> int:
    """Return the first step at which a curve has its highest value before its first fall.

    The step is exact for a curve that rises without a pause and then falls. In other curves,
    changes within a thousandth of the steps are missed.
    """
    start, stop = 0, last
    while True:
        stride = max(1, (stop - start) // _POINTS)
        values = schedule.curve(start, stop + 1, stride)
        slack = _ROUNDING * np.spacing(np.abs(values).max())
        falls = np.flatnonzero(np.diff(values) < -slack)
        until_fall = values[: falls[0] + 1] if len(falls) else values
        top = start + stride * int(np.argmax(until_fall >= until_fall.max() - slack))
        if stride == 1:
            return top
        start, stop = max(top - stride, 0), min(top + stride, last)
