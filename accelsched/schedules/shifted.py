"""A schedule that is ahead of the step, or behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from accelsched.errors import require
from accelsched.schedules._fields import Source, Steps
from accelsched.schedules.base import Schedule

#: A step below 2**62 still fits int64 after a shift by this much.
_MOST_AHEAD = 2**53


@dataclass(frozen=True)
class Shifted(Schedule):
    """A schedule advanced or delayed by some steps, as in ``schedule.shifted(by)``.

    The value at step ``t``::

        value = schedule(max(t + by, 0))

    Args:
        schedule: any schedule; it may itself be composed.
        by: the number of steps to advance, at most 2**53. If negative, the schedule starts that
            many steps later and holds its first value until then.

    Example:
        >>> from accelsched.schedules import Linear
        >>> schedule = Shifted(schedule=Linear(initial=0.0, end=0.1, total_iters=10), by=-5)
        >>> [round(schedule(t), 6) for t in (0, 5, 10, 15, 20)]
        [0.0, 0.0, 0.05, 0.1, 0.1]

        A delayed schedule holds its first value first; an advanced one has already started:

        >>> ahead = Shifted(schedule=Linear(initial=0.0, end=0.1, total_iters=10), by=1)
        >>> [round(ahead(t), 6) for t in (0, 8, 9)]
        [0.01, 0.09, 0.1]

    Raises:
        ArgumentError: ``by`` is above 2**53 or not a whole number, or ``schedule`` is not a
            schedule.

    Elsewhere: ``transition_begin`` of optax's schedules, for a negative ``by``. torch has none.
    :meth:`Schedule.shifted` lists at which value each library starts.
    """

    schedule: Schedule
    by: Source[int]
    # The first step of the schedule. For a phase of a sequence, this is its milestone.
    start: Steps = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require(self.by <= _MOST_AHEAD, "by", self.by, "give at most 2**53 steps")
        object.__setattr__(self, "start", -self.by)

    @property
    def base(self) -> float:
        return self.schedule.base

    @property
    def settles(self) -> int | None:
        settled = self.schedule.settles
        return None if settled is None else max(settled - self.by, 0)

    @property
    def repeats(self) -> tuple[int, int] | None:
        known = self.schedule.repeats
        return None if known is None else (max(known[0] - self.by, 0), known[1])

    def formula(self, step: Tensor) -> Tensor:
        return self.schedule.formula((step - self.start).clamp(min=0))
