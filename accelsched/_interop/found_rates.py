"""Schedules that continue from an lr in a param group that differs from torch's formula.

Most torch schedulers compute the next learning rate from the current one, so they continue from
one that somebody has set. Each function returns the schedule of the values that follow.
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

#: The most minima that are followed of each cosine in a chain; fewer if the others settle.
MAX_RENEWALS = 2000


class NoFormula(Exception):
    """There is no closed form; the message says why."""


def value_at(schedule: Schedule, step: int) -> float:
    """Return the value at a step, without compiling anything."""
    return float(schedule.formula(torch.tensor(step)))


def until_next_step(schedule: Schedule, found: float, now: int) -> Schedule:
    """Hold the found lr until the next step, for a scheduler that ignores the current lr."""
    return _corrected(schedule, found - value_at(schedule, now), now)


def multiplied(schedule: Schedule, found: float, now: int) -> Schedule:
    """Scale a schedule to the found lr, for a scheduler whose steps multiply the current lr."""
    expected = value_at(schedule, now)
    if expected != 0:
        return schedule * (found / expected)
    if schedule.settles is not None and schedule.settles <= now:
        return Constant(found)
    raise NoFormula("its formula gives 0, but lr is not")


def cosine(wave: CosineAnnealing, found: float, now: int) -> Schedule:
    """Continue CosineAnnealingLR from the found lr; the next minimum restores its amplitude."""
    half, low = wave.T_max, wave.eta_min
    since = now % (2 * half) - half
    minimum = now - since if since <= 0 else now - since + 2 * half
    if since == 0:
        # At a minimum torch adds the wave to the current lr.
        first = wave.initial + (found - low) / _height(1, half)
        risen = wave.then(CosineAnnealing(low, half, first), at=now)
        risen = _corrected(risen, found - low, now)
        return risen.then(CosineAnnealing(low, half, wave.initial), at=now + 2 * half)
    height = _height(since, half)
    falling = CosineAnnealing(low + (found - low) / height, half, low)
    return falling.then(CosineAnnealing(low, half, wave.initial), at=minimum)


def _height(since: int, half: int) -> float:
    """Return the wave's height, as a fraction of its full height, some steps from its minimum."""
    return math.sin(math.pi * since / (2 * half)) ** 2


def _corrected(schedule: Schedule, difference: float, now: int) -> Schedule:
    return Sum((schedule, PiecewiseConstant((0.0, difference, 0.0), (now, now + 1))))


class Chain:
    """A ChainedScheduler whose members multiply, some of them cosines down to 0.

    At a cosine's minimum the learning rate is 0, whatever the other members do. torch adds the
    cosine's next value to that 0. From there on, the other members count relative to that step.

    Args:
        factors: the schedule of each member, relative to ``base``.
        half_waves: the steps of half a wave, by the position of the cosine.
        base: the initial learning rate.
        now: the step that the chain has reached.
    """

    def __init__(
        self, factors: Sequence[Schedule], half_waves: Mapping[int, int], base: float, now: int
    ) -> None:
        self._product, self._now = base * Product(tuple(factors)), now
        self._turns, self._scales = _renewals(factors, half_waves, now)

    def expected(self) -> float:
        """Return the learning rate at this step, if nobody has changed it."""
        scale = self._scales[bisect_right(self._turns, self._now)]
        return value_at(self._product, self._now) * scale

    def schedule(self, found: float | None) -> Schedule:
        """Return the schedule that continues from the found lr; from the expected one if None."""
        turns, scales = self._turns, list(self._scales)
        if found is not None:
            expected = self.expected()
            if expected == 0:
                raise NoFormula("its formula gives 0, but lr is not")
            # The found lr counts until the next minimum; past minima are dropped.
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
    """Return the steps after the cosines' minima, and the scales of the product between them."""
    turns: list[int] = []
    scales = [1.0]
    settled = _steps_to_settle(factors, half_waves)
    last = None if settled is None else max(settled, now)
    minima = _minima(half_waves, last)
    at_once = {one for (one, _), (other, _) in itertools.pairwise(minima) if one == other}
    for minimum, position in minima:
        if minimum in at_once:
            raise NoFormula("two of its cosines reach 0 at once")
        before = [value_at(factor, minimum + 1) for factor in factors[:position]]
        after = [value_at(factor, minimum) for factor in factors[position + 1 :]]
        divisor = math.prod([*before, *after])
        if abs(divisor) < 1e-290:
            # The other factors have decayed to 0 by now, and so has the learning rate.
            break
        turns.append(minimum + 1)
        scales.append(1.0 / divisor)
    return turns, scales


def _steps_to_settle(factors: Sequence[Schedule], half_waves: Mapping[int, int]) -> int | None:
    """Return the step from which all but the one cosine are constant; None if there is none."""
    ends = [f.settles for i, f in enumerate(factors) if i not in half_waves]
    known = [end for end in ends if end is not None]
    alone = len(half_waves) == 1 and len(known) == len(ends)
    return max(known, default=0) if alone else None


def _minima(half_waves: Mapping[int, int], settled: int | None) -> list[tuple[int, int]]:
    """Return (step, position) of the cosines' minima, in order, to the first past ``settled``."""
    minima = [
        (half * odd, position)
        for position, half in half_waves.items()
        for odd in range(1, 2 * MAX_RENEWALS, 2)
        if settled is None or half * (odd - 2) <= settled
    ]
    last = min((half * (2 * MAX_RENEWALS - 1) for half in half_waves.values()), default=0)
    return sorted(minimum for minimum in minima if minimum[0] <= last)
