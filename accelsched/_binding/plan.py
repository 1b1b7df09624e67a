"""What a scheduler is to do from a step on, beside its schedules: decay, or take more steps."""

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
    """The decay of a scheduler, if one was begun, and how its schedules are stretched, if they are.

    Attributes:
        start: the step at which it was begun.
        last: its last step; past it the schedules are in force again.
        total_iters: its length in steps.
        initial: the value of each group at ``start``.
        end: that of each group after ``total_iters`` steps.
        shape: one of :data:`SHAPES`.
        since: the step after which the schedules are stretched.
        until: the step at which they come to their end.
        slow: as :class:`Planned` has it, and so ``pace`` and ``target``.
        pace: see ``slow``.
        target: see ``slow``.
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
        """Whether a decay was begun, which may have come to its end."""
        return self.start <= self.last

    def __bool__(self) -> bool:
        return self.has_decay or self.since < END

    def of(self, schedules: Sequence[Schedule]) -> tuple[Planned, ...]:
        """What drives the groups: their schedules, with the decay of each.

        Raises:
            ArgumentError: the decay ends in one value for each of fewer groups.
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
        """The same decay, for groups that have been added or removed at the end."""
        if not self.has_decay:
            return self
        known = dict(zip(schedules, self.initial, strict=False))
        without = dataclasses.replace(self, last=-1)
        new = [
            # A group that is driven by the same has had the same values, of an earlier decay too.
            known[schedule]
            if schedule in known
            else value_at(without.of([schedule])[0], self.start)
            for schedule in schedules[len(self.initial) :]
        ]
        remedy = (
            f"{len(schedules)} param groups are driven: begin the decay again, with one for each"
        )
        require(not new or len(set(self.end)) == 1, "end", list(self.end), remedy)
        count = len(schedules)
        initial, end = (*self.initial, *new), (*self.end, *self.end[:1] * len(new))
        return dataclasses.replace(self, initial=initial[:count], end=end[:count])

    def ended(self, step: int) -> Plan:
        """The same decay up to a step, and the schedules past it."""
        if self.start > step:  # the run was moved back to before it
            return Plan(**{name: getattr(self, name) for name in _CLOCK})
        return dataclasses.replace(self, last=step) if self.last > step else self

    def plain(self) -> dict[str, Any]:
        """Its numbers by name, for a state."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def position(self, step: int) -> Fraction:
        """Where the schedules are at a step of the run, in steps of theirs."""
        if step <= self.since:
            return Fraction(step)
        return Fraction(self.target - max(self.until - step, 0) * self.pace, self.slow)

    def stretched(self, step: int, schedules: Sequence[Schedule], total_iters: Any) -> Plan:
        """The same plan, with what is left of the schedules stretched to end at another step.

        Raises:
            ArgumentError: the schedules have no end, or nothing is left, or a decay has begun.
        """
        until = step_number("total_iters", total_iters)
        require(until > step, "total_iters", total_iters, f"this is step {step}: give a later one")
        remedy = f"a decay began at step {self.start}: begin another one, or end_decay()"
        require(self.last <= step, "total_iters", total_iters, remedy)
        end = _end_of(schedules)
        left = end - self.position(step)
        remedy = "the schedule has come to its end: nothing is left to stretch, give another one"
        require(left > 0, "total_iters", total_iters, remedy)
        counts = max(end, *map(most_steps, schedules))
        slow, pace = _small_steps((until - step) / left, counts, until)
        return dataclasses.replace(
            self, since=step, until=until, slow=slow, pace=pace, target=end * slow
        )


#: The names of what is the same for all groups: where the schedules are at a step.
_CLOCK = ("since", "until", "slow", "pace", "target")


def _end_of(schedules: Sequence[Schedule]) -> int:
    """The step at which the last of some schedules comes to its end."""
    ends = {}
    for schedule in schedules:
        require_stretches(schedule)
        remedy = "it has no end that could come later: see begin_decay"
        require(schedule.settles is not None, "schedule", schedule, remedy)
        ends[id(schedule)] = schedule.settles or 0
    return max(ends.values())


def _small_steps(ratio: Fraction, counts: int, until: int) -> tuple[int, int]:
    """Into how many smaller steps to cut a step of a schedule, and how many a step of the run is.

    Args:
        ratio: the steps of the run in one of the schedule.
        counts: the largest count of steps in the schedules.
        until: the step at which they are to come to their end.

    Raises:
        ArgumentError: int64 cannot count the small steps.
    """
    # Half of it, as the nearest fraction may be the larger one.
    most = MOST_SMALL // 2 // max(until, math.ceil(counts * ratio))
    remedy = "int64 cannot count the steps between: give fewer"
    require(most > 0, "total_iters", until, remedy)
    # Where this is not exact, the end still is, and the place of this step is off by a part in
    # `most` of what is left, or less.
    nearest = ratio.limit_denominator(most)
    require(nearest > 0, "total_iters", until, remedy)
    return nearest.numerator, nearest.denominator


def any_is_open_ended(schedules: Sequence[Schedule]) -> bool:
    """Whether one of the groups' schedules has no end of its own."""
    return any(map(is_open_ended, {id(schedule): schedule for schedule in schedules}.values()))


def value_at(schedule: Schedule, step: int) -> float:
    """The value of a schedule at a step, where nothing need be compiled for it."""
    return float(schedule.formula(torch.tensor(step, device="cpu")))


def decay_from(
    plan: Plan, step: int, driven: Sequence[Schedule], total_iters: Any, end: Any, shape: Any
) -> Plan:
    """Plan a decay from the value that the groups have at a step.

    Args:
        plan: the plan until now.
        step: where it starts.
        driven: what drives the groups until now.
        total_iters: its length in steps.
        end: the value at its end, or a list with one for each group.
        shape: one of :data:`SHAPES`.

    Raises:
        ArgumentError: one of these cannot be.
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
    """Refuse an exponential decay that no factor makes."""
    remedy = 'no factor leads there: give a number above 0, or shape="linear"'
    require(all(end > 0 for end in ends), "end", list(ends), remedy)
    remedy = f'the value now is {min(initial):g}, and no factor leads from it: give shape="linear"'
    require(all(value > 0 for value in initial), "shape", "exponential", remedy)


def from_state(saved: Any, schedules: Sequence[Schedule]) -> Plan:
    """The plan in a state.

    Args:
        saved: what :meth:`Plan.plain` returned; None if there was no plan.
        schedules: those of the groups.

    Raises:
        ArgumentError: it is none, or one for another number of groups.
    """
    names = {field.name for field in dataclasses.fields(Plan)}
    where = "state_dict['plan']"
    if saved is None:
        return Plan()
    if not isinstance(saved, Mapping) or set(saved) != names:
        raise ArgumentError(where, saved, f"give a dict of {sorted(names)}")
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
