"""A schedule whose end can be planned anew at any step, by numbers beside it.

It drives an open-ended scheduler from the start. Beginning a decay, or stretching the rest of the
schedule, changes only these numbers. The structure, and so the graph, stays the same.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import MAX_STEP, Source, require_not_negative, require_positive
from accelsched.schedules._slowed import most_steps, require_stretches, slowed
from accelsched.schedules.base import Schedule
from accelsched.schedules.warmup import WarmupStableDecay

#: The last possible step.
END = MAX_STEP - 1
#: The shapes of a decay. A schedule stores the position here, so all shapes share one structure.
SHAPES = ("linear", "cosine", "1-sqrt", "exponential")
#: The limit of positions and of counts in smaller steps, so that their sums fit int64.
MOST_SMALL = 2**61
_COSINE, _ROOT, _EXPONENTIAL = range(1, len(SHAPES))


@dataclass(frozen=True)
class Planned(Schedule):
    """A schedule in which a decay from ``initial`` to ``end``, then held, replaces some steps.

    The value at step ``t``, where ``schedule`` may be between two steps::

        position = t if t <= since else (target - max(until - t, 0) * pace) / slow
        x = min(t - start, total_iters) / total_iters
        decay = {
            "linear": initial + (end - initial) * x,
            "cosine": initial + (end - initial) * (1 - cos(pi * x)) / 2,
            "1-sqrt": initial + (end - initial) * sqrt(x),
            "exponential": initial * (end / initial) ** x,
        }
        value = decay[SHAPES[shape]] if start <= t <= last else schedule(position)

    Without a decay, and before ``since``, the values are those of the schedule, bit for bit.

    Args:
        schedule: any schedule.
        start: the first step of the decay. Default 0.
        last: the last step of the decay; past it the schedule applies again. Default -1: no decay.
        total_iters: the steps from ``initial`` to ``end``, at least 1.
        initial: the value at ``start``.
        end: the value from step ``start + total_iters`` on.
        shape: a position in :data:`SHAPES`.
        since: the step after which the schedule is at other steps than the run. Default: never.
        until: the step from which the schedule stays at ``target``.
        slow: how many smaller steps a step of the schedule is cut into, at least 1.
        pace: how many smaller steps a step of the run takes, past ``since``.
        target: the position of the schedule at step ``until``, in smaller steps.

    Raises:
        ArgumentError: the numbers do not fit together.
    """

    schedule: Source[Schedule]
    start: int = 0
    last: int = -1
    total_iters: int = 1
    initial: float = 0.0
    end: float = 0.0
    shape: int = 0
    since: int = END
    until: int = 0
    slow: int = 1
    pace: int = 1
    target: int = 0
    #: The schedule in smaller steps.
    inner: Schedule = field(init=False, repr=False, compare=False)
    #: The factor of a whole exponential decay; 1 for the other shapes.
    ratio: float = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_not_negative(self, "start")
        require_positive(self, "total_iters")
        after = self.start + self.total_iters <= END
        require(after, "total_iters", self.total_iters, "must end before step 2**62: give fewer")
        is_exponential = self.shape == _EXPONENTIAL
        object.__setattr__(self, "ratio", self._ratio() if is_exponential else 1.0)
        self._check_clock()
        object.__setattr__(self, "inner", slowed(self.schedule, self.slow))

    def _check_clock(self) -> None:
        require_positive(self, "slow", "pace")
        require_not_negative(self, "since", "until", "target")
        if self.since < END:
            require_stretches(self.schedule)
            most = max(self.until * self.pace, self.target, most_steps(self.schedule) * self.slow)
            fits = most <= MOST_SMALL and self.since <= self.until
            require(fits, "slow", self.slow, "int64 cannot count such steps: give a smaller one")
        else:
            require(self.slow == 1, "slow", self.slow, "only a stretched schedule has more: give 1")

    def _ratio(self) -> float:
        remedy = 'an exponential decay needs two numbers above 0: give shape="linear"'
        require(self.initial > 0, "initial", self.initial, remedy)
        require(self.end > 0, "end", self.end, remedy)
        ratio, least = self.end / self.initial, sys.float_info.min
        remedy = f"end / initial is {ratio:g}, beyond float64: give an end nearer to initial"
        require(least <= ratio <= 1 / least, "end", self.end, remedy)
        return ratio

    @property
    def base(self) -> float:
        return self.schedule.base

    @property
    def settles(self) -> int | None:
        own = self.schedule.settles if self.since == END else self.until
        if self.last == END:
            return self.start + self.total_iters
        return None if own is None else max(own, self.last + 1)

    @property
    def repeats(self) -> tuple[int, int] | None:
        own = self.schedule.repeats if self.since == END else (self.until, 1)
        if self.last == END or own is None:
            return super().repeats
        return max(own[0], self.last + 1), own[1]

    def formula(self, step: Tensor) -> Tensor:
        own = self.inner.formula(self._position(step))
        value = torch.where(step <= self.last, self._decay(step), own)
        return torch.where(step >= self.start, value, own)

    def _position(self, step: Tensor) -> Tensor:
        """Return the position in smaller steps; it is exact, as all numbers are integers."""
        as_before = step.clamp(max=self.since) * self.slow
        stretched = self.target - (self.until - step).clamp(min=0) * self.pace
        return torch.where(step <= self.since, as_before, stretched.clamp(min=0))

    def _decay(self, step: Tensor) -> Tensor:
        """Return the value of the decay. Each shape takes few operations, so all are computed."""
        since = (step - self.start).clamp(min=0).clamp(max=self.total_iters)
        elapsed = terms.real(since) / self.total_iters
        rest = terms.real(self.total_iters - since) / self.total_iters
        shape = torch.zeros_like(step) + self.shape
        parts = zip(
            (elapsed, rest),
            terms.half_wave(elapsed, rest),
            # The second is 1 - sqrt(x), without cancellation.
            (elapsed.sqrt(), rest / (elapsed.sqrt() + 1.0)),
            strict=True,
        )
        moved, left = (
            torch.where(shape == _COSINE, cosine, torch.where(shape == _ROOT, root, straight))
            for straight, cosine, root in parts
        )
        blended = terms.blend(self.initial, self.end, moved, left)
        return torch.where(shape == _EXPONENTIAL, self._power(elapsed, rest), blended)

    def _power(self, elapsed: Tensor, rest: Tensor) -> Tensor:
        """Return an exponential decay, computed from the nearer end so that both are exact."""
        early = elapsed < rest
        power = terms.power(self.ratio, torch.where(early, elapsed, -rest))
        return torch.where(early, power * self.initial, power * self.end)


def is_open_ended(schedule: Schedule) -> bool:
    """Return whether a schedule is or contains a warm-up to a value without an end."""
    own = isinstance(schedule, WarmupStableDecay) and schedule.total_iters is None
    return own or any(map(is_open_ended, _parts(schedule)))


def _parts(schedule: Schedule) -> Iterator[Schedule]:
    """Yield the schedules among the arguments of a schedule."""
    for known in dataclasses.fields(schedule):
        value = getattr(schedule, known.name) if known.init else None
        items = value if isinstance(value, tuple) else (value,)
        yield from (item for item in items if isinstance(item, Schedule))
