"""What a scheduler is to do from a step on, beside its schedules: a decay that was begun there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._fields import integer, real, step_number
from accelsched.schedules._planned import END, SHAPES, Planned, is_open_ended


@dataclass(frozen=True)
class Plan:
    """The decay of a scheduler, if one was begun.

    Attributes:
        start: the step at which it was begun.
        last: its last step; past it the schedules are in force again.
        total_iters: its length in steps.
        initial: the value of each group at ``start``.
        end: that of each group after ``total_iters`` steps.
        shape: one of :data:`SHAPES`.
    """

    start: int = 0
    last: int = -1
    total_iters: int = 1
    initial: tuple[float, ...] = ()
    end: tuple[float, ...] = ()
    shape: str = SHAPES[0]

    def __bool__(self) -> bool:
        return self.start <= self.last

    def of(self, schedules: Sequence[Schedule]) -> tuple[Planned, ...]:
        """What drives the groups: their schedules, with the decay of each.

        Raises:
            ArgumentError: the decay ends in one value for each of fewer groups.
        """
        if not self:
            made = {id(schedule): Planned(schedule) for schedule in schedules}
            return tuple(made[id(schedule)] for schedule in schedules)
        numbers = {"start": self.start, "last": self.last, "total_iters": self.total_iters}
        shape = SHAPES.index(self.shape)
        known = self.for_groups(schedules)
        return tuple(
            Planned(schedule, **numbers, initial=initial, end=end, shape=shape)
            for schedule, initial, end in zip(schedules, known.initial, known.end, strict=True)
        )

    def for_groups(self, schedules: Sequence[Schedule]) -> Plan:
        """The same decay, for groups that have been added or removed at the end."""
        if not self:
            return self
        new = [value_at(schedule, self.start) for schedule in schedules[len(self.initial) :]]
        remedy = (
            f"{len(schedules)} param groups are driven: begin the decay again, with one for each"
        )
        require(not new or len(set(self.end)) == 1, "end", list(self.end), remedy)
        count = len(schedules)
        initial, end = (*self.initial, *new), (*self.end, *self.end[:1] * len(new))
        return dataclasses.replace(self, initial=initial[:count], end=end[:count])

    def ended(self, step: int) -> Plan:
        """The same decay up to a step, and the schedules past it."""
        return dataclasses.replace(self, last=step) if self.last > step else self

    def plain(self) -> dict[str, Any]:
        """Its numbers by name, for a state."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def any_is_open_ended(schedules: Sequence[Schedule]) -> bool:
    """Whether one of the groups' schedules has no end of its own."""
    return any(map(is_open_ended, {id(schedule): schedule for schedule in schedules}.values()))


def value_at(schedule: Schedule, step: int) -> float:
    """The value of a schedule at a step, where nothing need be compiled for it."""
    return float(schedule.formula(torch.tensor(step, device="cpu")))


def decay_from(
    step: int, driven: Sequence[Schedule], total_iters: Any, end: Any, shape: Any
) -> Plan:
    """Plan a decay from the value that the groups have at a step.

    Args:
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
    return Plan(step, END, length, initial, ends, shape)


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
    shape = saved["shape"]
    require(shape in SHAPES, f"{where}['shape']", shape, f"give one of {SHAPES}")
    start = step_number(f"{where}['start']", saved["start"])
    last = integer(f"{where}['last']", saved["last"])
    length = step_number(f"{where}['total_iters']", saved["total_iters"])
    values = {
        name: _one_each(f"{where}[{name!r}]", saved[name], len(schedules))
        for name in ("initial", "end")
    }
    return Plan(start, last, length, **values, shape=shape)
