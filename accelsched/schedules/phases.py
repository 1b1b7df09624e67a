"""The phases of a sequence as few schedules: those that differ in numbers only are one.

The numbers are looked up by the step, so a hundred phases of a kind cost a graph no more
operations than two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from accelsched.schedules import terms
from accelsched.schedules.base import Lookup, Schedule
from accelsched.schedules.stacking import Row, all_equal, merged, structure

#: From how many on phases of a kind are one; fewer are fewer operations by themselves.
ALIKE = 3


@dataclass(frozen=True)
class Later(Schedule):
    """A schedule that counts its steps from ``start``, and has its first value until then."""

    schedule: Schedule
    start: int

    def formula(self, step: Tensor) -> Tensor:
        return self.schedule.formula((step - self.start).clamp(min=0))


@dataclass(frozen=True)
class Alike(Schedule):
    """Schedules of one structure, each from its start on, counting its steps from there.

    Args:
        pattern: what they are, with a :class:`Row` in the place of a number that differs.
        starts: the first step of each, in increasing order.
        depth: that of the rows, which tells them from those that the phases have themselves.
    """

    pattern: Schedule
    starts: Lookup[int]
    depth: int

    def formula(self, step: Tensor) -> Tensor:
        index = (terms.reached(self.starts, step) - 1).clamp(min=0)
        since = (step - terms.take(self.starts, index)).clamp(min=0)

        def number(column: list[Any]) -> Any:
            place = column[0]
            mine = isinstance(place, Row) and place.depth == self.depth
            return terms.take(place.values, index) if mine else place

        return merged([self.pattern], number).formula(since)


def parts(
    schedules: Sequence[Schedule], starts: Sequence[int]
) -> Iterator[tuple[Schedule, list[int]]]:
    """The schedules that follow each other from their starts on, as few as may be.

    Yields:
        a schedule of the step of all, and the positions of those that it stands for.
    """
    alike: dict[Any, list[int]] = {}
    for position, schedule in enumerate(schedules):
        alike.setdefault((structure(schedule), _lookups(schedule)), []).append(position)
    for (_, lookups), positions in alike.items():
        if len(positions) < ALIKE:
            for i in positions:
                yield (Later(schedules[i], starts[i]) if starts[i] else schedules[i]), [i]
        else:
            depth = 1 + max((place.depth for place in lookups if isinstance(place, Row)), default=0)
            pattern = merged([schedules[i] for i in positions], partial(_number, depth))
            yield Alike(pattern, tuple(starts[i] for i in positions), depth), positions


def _number(depth: int, column: list[Any]) -> Any:
    return column[0] if all_equal(column) else Row(tuple(column), depth)


def _lookups(schedule: Schedule) -> tuple[Any, ...]:
    """What a schedule looks up, which those that are to be one must share."""
    found: list[Any] = []

    def note(column: list[Any]) -> Any:
        place = column[0]
        if isinstance(place, Tensor):
            found.append(id(place))
        elif isinstance(place, (tuple, Row)):
            found.append(place)

    merged([schedule], note)
    return tuple(found)
