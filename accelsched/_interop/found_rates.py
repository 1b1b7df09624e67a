"""What torch makes of the learning rate that it finds in a group, where its formula has another.

Most schedulers of torch multiply what they find, or take it a step further; a rate that somebody
has set before is stepped on from. Each function gives the schedule of what follows.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import torch

from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    PiecewiseConstant,
    Product,
    Schedule,
    Sum,
)

#: How often a cosine in a chain is followed up from its minimum, unless the others settle before.
MAX_RENEWALS = 2000


class NoFormula(Exception):
    """There is no closed form; the message says why."""


def value_at(schedule: Schedule, step: int) -> float:
    """The value at a step, without compiling anything."""
    return float(schedule.formula(torch.tensor(step)))


def until_next_step(schedule: Schedule, found: float, now: int) -> Schedule:
    """For a scheduler that never looks at what it finds: the rate holds until its next step."""
    return _corrected(schedule, found - value_at(schedule, now), now)


def multiplied(schedule: Schedule, found: float, now: int) -> Schedule:
    """For a scheduler whose every step multiplies what it finds."""
    expected = value_at(schedule, now)
    if expected != 0:
        return schedule * (found / expected)
    if schedule.settles is not None and schedule.settles <= now:
        return Constant(found)
    raise NoFormula("it is 0 by its formula, and another learning rate is in the group")


def cosine(wave: CosineAnnealing, found: float, now: int) -> Schedule:
    """For CosineAnnealingLR: from the next minimum on, its amplitude is its own again."""
    half, low = wave.T_max, wave.eta_min
    since = now % (2 * half) - half
    minimum = now - since if since <= 0 else now - since + 2 * half
    if since == 0:
        # torch adds the wave to what it finds.
        first = wave.initial + (found - low) / _height(1, half)
        risen = wave.then(CosineAnnealing(low, half, first), at=now)
        risen = _corrected(risen, found - low, now)
        return risen.then(CosineAnnealing(low, half, wave.initial), at=now + 2 * half)
    height = _height(since, half)
    falling = CosineAnnealing(low + (found - low) / height, half, low)
    return falling.then(CosineAnnealing(low, half, wave.initial), at=minimum)


def _height(since: int, half: int) -> float:
    """How high the wave is, as a fraction, some steps from its minimum."""
    return math.sin(math.pi * since / (2 * half)) ** 2


def _corrected(schedule: Schedule, difference: float, now: int) -> Schedule:
    return Sum((schedule, PiecewiseConstant((0.0, difference, 0.0), (now, now + 1))))


class Chain:
    """A ChainedScheduler of factors that multiply, some of them cosines down to 0.

    At a cosine's minimum the rate is 0, whatever the others did, and torch adds the cosine's own
    next value to that. So the others count relative to that step from there on.

    Args:
        factors: of each scheduler, relative to ``base``.
        half_waves: by the position of a cosine, the steps of half a wave.
        base: the initial learning rate.
        now: the step at which it is asked what it finds.
    """

    def __init__(
        self, factors: Sequence[Schedule], half_waves: Mapping[int, int], base: float, now: int
    ) -> None:
        self._product, self._now = base * Product(tuple(factors)), now
        self._turns, self._scales = _renewals(factors, half_waves, now)

    def expected(self) -> float:
        """The learning rate now, if nobody has changed it."""
        scale = self._scales[bisect_right(self._turns, self._now)]
        return value_at(self._product, self._now) * scale

    def schedule(self, found: float | None) -> Schedule:
        """The schedule, from the learning rate that it finds now; None for its own."""
        turns, scales = self._turns, list(self._scales)
        if found is not None:
            expected = self.expected()
            if expected == 0:
                raise NoFormula("it is 0 by its formula, and another learning rate is in the group")
            # Until the next minimum; those that are over already are left out.
            over = bisect_right(turns, self._now)
            turns, scales = turns[over:], scales[over:]
            scales[0] *= found / expected
        while turns and scales[-1] == scales[-2]:
            turns, scales = turns[:-1], scales[:-1]
        if not turns:
            return self._product if scales[0] == 1 else self._product * scales[0]
        return Product((self._product, PiecewiseConstant(tuple(scales), tuple(turns))))


def _renewals(
    factors: Sequence[Schedule], half_waves: Mapping[int, int], now: int
) -> tuple[list[int], list[float]]:
    """The steps after the minima of cosines, and by what the product is scaled from there."""
    turns: list[int] = []
    scales = [1.0]
    settled = _steps_to_settle(factors, half_waves)
    last = None if settled is None else max(settled, now)
    minima = _minima(half_waves, last)
    at_once = {one for (one, _), (other, _) in itertools.pairwise(minima) if one == other}
    for minimum, position in minima:
        if minimum in at_once:
            raise NoFormula("two cosines in it reach their minimum at once")
        before = [value_at(factor, minimum + 1) for factor in factors[:position]]
        after = [value_at(factor, minimum) for factor in factors[position + 1 :]]
        divisor = math.prod([*before, *after])
        if abs(divisor) < 1e-290:
            # The others have come down to nothing, and so has the rate until here.
            break
        turns.append(minimum + 1)
        scales.append(1.0 / divisor)
    return turns, scales


def _steps_to_settle(factors: Sequence[Schedule], half_waves: Mapping[int, int]) -> int | None:
    """The step from which all but the cosine stay the same; None if they do not."""
    ends = [f.settles for i, f in enumerate(factors) if i not in half_waves]
    known = [end for end in ends if end is not None]
    alone = len(half_waves) == 1 and len(known) == len(ends)
    return max(known, default=0) if alone else None


def _minima(half_waves: Mapping[int, int], settled: int | None) -> list[tuple[int, int]]:
    """When which cosine is at its minimum, in order, until past the step when all is settled."""
    minima = [
        (half * odd, position)
        for position, half in half_waves.items()
        for odd in range(1, 2 * MAX_RENEWALS, 2)
        if settled is None or half * (odd - 2) <= settled
    ]
    last = min((half * (2 * MAX_RENEWALS - 1) for half in half_waves.values()), default=0)
    return sorted(minimum for minimum in minima if minimum[0] <= last)
