"""Schedules that rise and fall: annealing, restarts, cycles, the 1cycle policy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import Table, require_not_negative, require_positive
from accelsched.schedules._power import Power
from accelsched.schedules.base import Schedule

#: The longest period that int64 counts; a multiple of what float32 rounds it to.
_MOST = 2**63 - 2**40


@dataclass(frozen=True)
class CosineAnnealing(Schedule):
    """A cosine wave of period ``2 * T_max``: down to ``eta_min`` at ``T_max``, up again, for ever.

    Args:
        initial: the value at step 0 and at every even multiple of ``T_max``.
        T_max: half a period in steps, at least 1.
        eta_min: the value at every odd multiple of ``T_max``.

    Reference: Loshchilov and Hutter, SGDR, arXiv:1608.03983; the closed form of
    ``torch.optim.lr_scheduler.CosineAnnealingLR``.
    """

    initial: float
    T_max: int
    eta_min: float = 0.0

    def check(self) -> None:
        require_positive(self, "T_max")

    def formula(self, step: Tensor) -> Tensor:
        to_minimum = (step % (2 * self.T_max) - self.T_max).abs()
        rest = terms.real(to_minimum) / self.T_max
        elapsed = terms.real(self.T_max - to_minimum) / self.T_max
        return terms.cosine_blend(self.initial, self.eta_min, elapsed, rest)


@dataclass(frozen=True)
class CosineAnnealingWarmRestarts(Schedule):
    """Half a cosine wave from ``initial`` towards ``eta_min``, restarted at the end of each period.

    Args:
        initial: the value at step 0 and at every restart.
        T_0: the first period in steps, at least 1.
        T_mult: each period is this many times as long as the one before, from 1 to 2**20.
        eta_min: the value that a period ends towards (the restart comes instead of it).

    Reference: Loshchilov and Hutter, SGDR, arXiv:1608.03983, equation 5.
    """

    initial: float
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0
    starts: Table[int] = field(init=False, repr=False, compare=False)
    lengths: Table[int] = field(init=False, repr=False, compare=False)
    spans: Table[float] = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_positive(self, "T_0", "T_mult")
        require(self.T_mult <= 2**20, "T_mult", self.T_mult, "give at most 2**20")
        # The periods are tabulated: a logarithm of the step would miss a restart by rounding.
        starts, lengths = [0], [self.T_0]
        while self.T_mult > 1 and starts[-1] + lengths[-1] < 2**62:
            starts.append(starts[-1] + lengths[-1])
            lengths.append(lengths[-1] * self.T_mult)
        # The last period may be longer than int64 counts. What is left of it is then too small,
        # but more than half: only what has elapsed is taken, which is a fraction of the true span.
        derived = {
            "starts": tuple(starts),
            "lengths": tuple(min(length, _MOST) for length in lengths),
            "spans": tuple(map(float, lengths)),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def formula(self, step: Tensor) -> Tensor:
        period = terms.reached(self.starts, step) - 1
        length = terms.take(self.lengths, period)
        since_restart = (step - terms.take(self.starts, period)) % length
        span = terms.take(self.spans, period)
        elapsed = terms.real(since_restart) / span
        rest = terms.real(length - since_restart) / span
        return terms.cosine_blend(self.initial, self.eta_min, elapsed, rest)


@dataclass(frozen=True)
class Cyclic(Schedule):
    """Triangles between ``base_value`` and ``max_value``, their height scaled by the mode.

    Args:
        base_value: the value at the foot of a cycle.
        max_value: the value at the top of an unscaled cycle.
        step_size_up: steps from the foot to the top, at least 1.
        step_size_down: steps from the top to the foot, at least 1; ``step_size_up`` if None.
        mode: ``"triangular"`` (no scaling), ``"triangular2"`` (half of the height in each new
            cycle) or ``"exp_range"`` (``gamma ** x`` of the height).
        gamma: the base of ``exp_range``, not negative.
        scale_mode: what is counted for the scaling: ``"cycle"`` (from 1) or ``"iterations"``
            (steps from 0). None: cycles, and steps for ``exp_range``, as in the paper.

    Reference: Smith, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186.
    """

    base_value: float
    max_value: float
    step_size_up: int = 2000
    step_size_down: int | None = None
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: float = 1.0
    scale_mode: Literal["cycle", "iterations"] | None = None
    growth: Power | None = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        if self.step_size_down is None:
            object.__setattr__(self, "step_size_down", self.step_size_up)
        require_positive(self, "step_size_up", "step_size_down")
        if self.scale_mode is None:
            by_step = self.mode == "exp_range"
            object.__setattr__(self, "scale_mode", "iterations" if by_step else "cycle")
        require_not_negative(self, "gamma")
        object.__setattr__(self, "growth", self._growth())

    def _growth(self) -> Power | None:
        """The unscaled height times the power of gamma, where that is above 1."""
        if self.mode != "exp_range" or self.gamma <= 1:
            return None
        height = self.max_value - self.base_value
        require(math.isfinite(height), "max_value", self.max_value, "too far from base_value")
        return Power(height, self.gamma, is_scaled=True)

    @property
    def base(self) -> float:
        return self.base_value

    def formula(self, step: Tensor) -> Tensor:
        down = self.step_size_down
        assert down is not None
        period = self.step_size_up + down
        since_foot = step % period
        since_top = since_foot - self.step_size_up
        # The nearer slope is the lower one going up, and the higher one going down.
        height = (terms.real(since_foot) / self.step_size_up).minimum(
            terms.real(period - since_foot) / down
        )
        if self.growth is not None:
            return self.growth.at(self._counted(step, period), height) + self.base_value
        depth = (terms.real(-since_top) / self.step_size_up).maximum(terms.real(since_top) / down)
        if self.mode != "triangular":
            scale = self._scale(step, period)
            height, depth = height * scale, depth + height * (1.0 - scale)
        return terms.blend(self.base_value, self.max_value, height, depth)

    def _counted(self, step: Tensor, period: int) -> Tensor:
        by_step = self.scale_mode == "iterations"
        return terms.real(step) if by_step else terms.quotient(step, period) + 1.0

    def _scale(self, step: Tensor, period: int) -> Tensor:
        counted = self._counted(step, period)
        if self.mode == "triangular2":
            return terms.power(0.5, counted - 1.0)
        return terms.power(self.gamma, counted)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from ``initial`` to ``max_value``, then down to ``initial / final_div_factor``, then held.

    The top is at step ``pct_start * total_steps - 1`` and the end at ``total_steps - 1``; with
    ``three_phase`` the value is back at ``initial`` at ``2 * pct_start * total_steps - 2``. A
    phase that is left no steps is skipped.

    Args:
        initial: the value at step 0.
        max_value: the value at the top.
        total_steps: the steps of the whole cycle, at least 1.
        pct_start: the fraction of them that rises, between 0 and 1, both excluded.
        final_div_factor: ``initial`` over the last value, above 0.
        three_phase: fall to ``initial`` first, as steeply as it rose, and then to the last value.
        anneal_strategy: ``"cos"`` or ``"linear"``.

    Reference: Smith and Topin, Super-Convergence, arXiv:1708.07120; the phases are those of
    ``torch.optim.lr_scheduler.OneCycleLR``.
    """

    initial: float
    max_value: float
    total_steps: int = 1000
    pct_start: float = 0.3
    final_div_factor: float = 1e4
    three_phase: bool = False
    anneal_strategy: Literal["cos", "linear"] = "cos"
    starts: Table[float] = field(init=False, repr=False, compare=False)
    ends: Table[float] = field(init=False, repr=False, compare=False)
    from_values: Table[float] = field(init=False, repr=False, compare=False)
    to_values: Table[float] = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_positive(self, "total_steps", "final_div_factor")
        last = self.initial / self.final_div_factor
        remedy = "initial / final_div_factor must be finite: give a larger one"
        require(math.isfinite(last), "final_div_factor", self.final_div_factor, remedy)
        fraction = self.pct_start
        require(0 < fraction < 1, "pct_start", fraction, "give a fraction between 0 and 1")
        if self.three_phase:
            require(
                fraction <= 0.5,
                "pct_start",
                fraction,
                "three phases rise and fall in equal times: give at most 0.5",
            )
        self._derive_phases()

    def _derive_phases(self) -> None:
        rise = self.pct_start * self.total_steps
        knots = [(0.0, self.initial), (rise - 1, self.max_value)]
        if self.three_phase:
            knots.append((2 * rise - 2, self.initial))
        knots.append((float(self.total_steps - 1), self.initial / self.final_div_factor))
        phases = [
            (max(start, 0.0), end, value, next_value)
            for (start, value), (end, next_value) in pairwise(knots)
            if end > max(start, 0.0)
        ] or [(-1.0, 0.0, knots[-1][1], knots[-1][1])]
        names = ("starts", "ends", "from_values", "to_values")
        for name, column in zip(names, zip(*phases, strict=True), strict=True):
            object.__setattr__(self, name, column)

    @property
    def settles(self) -> int | None:
        return self.total_steps - 1

    def formula(self, step: Tensor) -> Tensor:
        now = terms.real(step.clamp(max=self.total_steps - 1))
        phase = terms.reached(self.starts, now) - 1
        start, end = terms.take(self.starts, phase), terms.take(self.ends, phase)
        elapsed, rest = (now - start) / (end - start), (end - now) / (end - start)
        anneal = terms.cosine_blend if self.anneal_strategy == "cos" else terms.blend
        from_value, to_value = (
            terms.take(self.from_values, phase),
            terms.take(self.to_values, phase),
        )
        return anneal(from_value, to_value, elapsed, rest)
