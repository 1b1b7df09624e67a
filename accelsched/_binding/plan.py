"""Changes to a scheduler's end that are planned during a run: a decay, or a new last step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._fields import integer, real, step_number
from accelsched.schedules._planned import END, MOST_SMALL, SHAPES, Planned, is_open_ended
from accelsched.schedules._slowed import most_steps, require_stretches


@dataclass(frozen=True)
class Plan:
    """The decay that a scheduler has begun and the stretch of its schedules, if there are any.

    Attributes:
        start: the step at which the decay began.
        last: the last step of the decay; after it the schedules are in force again.
        total_iters: the length of the decay in steps.
        initial: the value of each group at ``start``.
        end: the value of each group after ``total_iters`` steps.
        shape: one of :data:`SHAPES`.
        since: the step after which the schedules are stretched.
        until: the step at which the stretched schedules end.
        slow: see :class:`Planned`.
        pace: see :class:`Planned`.
        target: see :class:`Planned`.
    """

    start: int = 0
    last: int = -1
    total_iters: int = 1
    initial: tuple[float, ...] = ()
    end: tuple[float, ...] = ()
    shape: str = SHAPES[0]
    since: int = END
    until: int = 0
    slow: int = 1
    pace: int = 1
    target: int = 0

    @property
    def has_decay(self) -> bool:
        """Whether a decay was begun; it may have ended."""
        return self.start <= self.last

    def __bool__(self) -> bool:
        return self.has_decay or self.since < END

    def of(self, schedules: Sequence[Schedule]) -> tuple[Planned, ...]:
        """Return the schedules that drive the groups: the given ones, with this plan.

        Raises:
            ArgumentError: groups were added, and the decay ends at a different value per group.
        """
        clock = {name: getattr(self, name) for name in _CLOCK}
        if not self.has_decay:
            made = {id(schedule): Planned(schedule, **clock) for schedule in schedules}
            return tuple(made[id(schedule)] for schedule in schedules)
        numbers = {"start": self.start, "last": self.last, "total_iters": self.total_iters}
        shape = SHAPES.index(self.shape)
        known = self.for_groups(schedules)
        return tuple(
            Planned(schedule, **numbers, initial=initial, end=end, shape=shape, **clock)
            for schedule, initial, end in zip(schedules, known.initial, known.end, strict=True)
        )

    def for_groups(self, schedules: Sequence[Schedule]) -> Plan:
        """Return the same decay for groups that were added, or removed from the end of the list."""
        if not self.has_decay:
            return self
        known = dict(zip(schedules, self.initial, strict=False))
        without = dataclasses.replace(self, last=-1)
        new = [
            # A group with the same schedule had the same values, including an earlier decay.
            known[schedule]
            if schedule in known
            else value_at(without.of([schedule])[0], self.start)
            for schedule in schedules[len(self.initial) :]
        ]
        remedy = f"{len(schedules)} param groups are driven: call begin_decay with one end for each"
        require(not new or len(set(self.end)) == 1, "end", list(self.end), remedy)
        count = len(schedules)
        initial, end = (*self.initial, *new), (*self.end, *self.end[:1] * len(new))
        return dataclasses.replace(self, initial=initial[:count], end=end[:count])

    def ended(self, step: int) -> Plan:
        """Return the same decay up to a step; the schedules are in force after it."""
        if self.start > step:  # the run was moved back to before the decay
            return Plan(**{name: getattr(self, name) for name in _CLOCK})
        return dataclasses.replace(self, last=step) if self.last > step else self

    def plain(self) -> dict[str, Any]:
        """Return the numbers by name, for a state."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def position(self, step: int) -> Fraction:
        """Return the position of the schedules at a step of the run, in their own steps."""
        if step <= self.since:
            return Fraction(step)
        return Fraction(self.target - max(self.until - step, 0) * self.pace, self.slow)

    def stretched(self, step: int, schedules: Sequence[Schedule], total_iters: Any) -> Plan:
        """Return the same plan, with the rest of the schedules stretched to end at another step.

        Raises:
            ArgumentError: the schedules have no end or have reached it, or a decay has begun.
        """
        until = step_number("total_iters", total_iters)
        require(until > step, "total_iters", total_iters, f"this is step {step}: give a later step")
        remedy = f"a decay began at step {self.start}: call begin_decay again, or end_decay first"
        require(self.last <= step, "total_iters", total_iters, remedy)
        end = _end_of(schedules)
        left = end - self.position(step)
        remedy = "nothing is left to stretch: set scheduler.schedule = ... instead"
        require(left > 0, "total_iters", total_iters, remedy)
        counts = max(end, *map(most_steps, schedules))
        slow, pace = _small_steps((until - step) / left, counts, until)
        return dataclasses.replace(
            self, since=step, until=until, slow=slow, pace=pace, target=end * slow
        )


#: The fields that are the same for all groups: they map a step to the schedules' position.
_CLOCK = ("since", "until", "slow", "pace", "target")


def _end_of(schedules: Sequence[Schedule]) -> int:
    """Return the step at which the last of the schedules ends."""
    ends = {}
    for schedule in schedules:
        require_stretches(schedule)
        remedy = "it has no end to move: call begin_decay(total_iters) instead"
        require(schedule.settles is not None, "schedule", schedule, remedy)
        ends[id(schedule)] = schedule.settles or 0
    return max(ends.values())


def _small_steps(ratio: Fraction, counts: int, until: int) -> tuple[int, int]:
    """Return how many small steps a schedule's step is cut into, and how many a run's step takes.

    Args:
        ratio: the number of steps of the run in one step of the schedule.
        counts: the largest count of steps in the schedules.
        until: the step at which the schedules are to end.

    Raises:
        ArgumentError: int64 cannot count the small steps.
    """
    # Half of the limit, as the nearest fraction may be the larger one.
    most = MOST_SMALL // 2 // max(until, math.ceil(counts * ratio))
    remedy = "int64 cannot count the stretched steps: give fewer steps"
    require(most > 0, "total_iters", until, remedy)
    # If this is not exact, the end still is, and the position of the present step is off by at most
    # 1 / `most` of the rest.
    nearest = ratio.limit_denominator(most)
    require(nearest > 0, "total_iters", until, remedy)
    return nearest.numerator, nearest.denominator


def any_is_open_ended(schedules: Sequence[Schedule]) -> bool:
    """Return whether one of the schedules is open-ended: see :func:`is_open_ended`."""
    return any(map(is_open_ended, {id(schedule): schedule for schedule in schedules}.values()))


def value_at(schedule: Schedule, step: int) -> float:
    """Return the value of a schedule at a step, without compiling anything."""
    return float(schedule.formula(torch.tensor(step, device="cpu")))


def decay_from(
    plan: Plan, step: int, driven: Sequence[Schedule], total_iters: Any, end: Any, shape: Any
) -> Plan:
    """Plan a decay from the values of the groups at a step.

    Args:
        plan: the present plan.
        step: the step at which the decay starts.
        driven: the schedules that drive the groups at present.
        total_iters: the length of the decay in steps.
        end: the value at the end of the decay, or a list with one for each group.
        shape: one of :data:`SHAPES`.

    Raises:
        ArgumentError: an argument is invalid.
    """
    length = step_number("total_iters", total_iters)
    require(shape in SHAPES, "shape", shape, f"give one of {', '.join(map(repr, SHAPES))}")
    initial = tuple(value_at(schedule, step) for schedule in driven)
    ends = _one_each("end", end, len(driven))
    if shape == "exponential":
        _require_factors(initial, ends)
    return dataclasses.replace(
        plan, start=step, last=END, total_iters=length, initial=initial, end=ends, shape=shape
    )


def _one_each(name: str, given: Any, count: int) -> tuple[float, ...]:
    if not isinstance(given, (list, tuple)):
        return (real(name, given),) * count
    remedy = f"{count} param groups are driven: give one number, or {count}"
    require(len(given) == count, name, list(given), remedy)
    return tuple(real(f"{name}[{i}]", value) for i, value in enumerate(given))


def _require_factors(initial: Sequence[float], ends: Sequence[float]) -> None:
    """Raise unless an exponential decay starts and ends above 0."""
    remedy = 'an exponential decay ends above 0: give a number above 0, or shape="linear"'
    require(all(end > 0 for end in ends), "end", list(ends), remedy)
    remedy = f'the value now is {min(initial):g}, but must be above 0: give shape="linear"'
    require(all(value > 0 for value in initial), "shape", "exponential", remedy)


def from_state(saved: Any, schedules: Sequence[Schedule]) -> Plan:
    """Return the plan in a state.

    Args:
        saved: what :meth:`Plan.plain` returned; None if there was no plan.
        schedules: the schedules of the groups.

    Raises:
        ArgumentError: ``saved`` is not a plan, or is one for another number of groups.
    """
    names = {field.name for field in dataclasses.fields(Plan)}
    where = "state_dict['plan']"
    if saved is None:
        return Plan()
    if not isinstance(saved, Mapping) or set(saved) != names:
        raise ArgumentError(where, saved, f"give a dict with the keys {sorted(names)}")
    shape: Any = saved["shape"]
    require(shape in SHAPES, f"{where}['shape']", shape, f"give one of {SHAPES}")
    start = step_number(f"{where}['start']", saved["start"])
    last = integer(f"{where}['last']", saved["last"])
    length = step_number(f"{where}['total_iters']", saved["total_iters"])
    count = len(schedules) if start <= last else 0
    initial, end = (
        _one_each(f"{where}[{name!r}]", saved[name], count) for name in ("initial", "end")
    )
    clock = [integer(f"{where}[{name!r}]", saved[name]) for name in _CLOCK]
    return Plan(start, last, length, initial, end, shape, *clock)
