"""Schedules that rise and fall: annealing, restarts, cycles, the 1cycle policy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import (
    RealSteps,
    Source,
    Steps,
    Table,
    require_not_negative,
    require_positive,
)
from accelsched.schedules._power import Power
from accelsched.schedules.base import Schedule

#: Above all steps, within int64, and exact in float32.
_MOST = 2**63 - 2**40


@dataclass(frozen=True)
class CosineAnnealing(Schedule):
    """A cosine wave from ``initial`` down to ``eta_min`` in ``T_max`` steps and up again, forever.

    The value at step ``t``::

        value = eta_min + (initial - eta_min) * (1 + cos(pi * t / T_max)) / 2

    Args:
        initial: the value at step 0, and at every even multiple of ``T_max``.
        T_max: half a period in steps, at least 1.
        eta_min: the value at every odd multiple of ``T_max``. Default 0.

    Example:
        >>> schedule = CosineAnnealing(initial=0.1, T_max=100, eta_min=0.02)
        >>> [round(schedule(t), 6) for t in (0, 50, 100, 150, 200)]
        [0.1, 0.06, 0.02, 0.06, 0.1]

    Raises:
        ArgumentError: ``T_max`` is below 1, or a number is not finite.

    Source: Loshchilov and Hutter, SGDR, arXiv:1608.03983, as implemented by torch's
    ``CosineAnnealingLR``.

    Elsewhere: torch's ``CosineAnnealingLR(T_max, eta_min)``, which steps by a recurrence and so
    follows an lr that was changed from outside; transformers' ``get_cosine_schedule_with_warmup``
    with ``num_cycles``. optax and Keras have none: see :class:`CosineDecay`, which holds its end.
    """

    initial: float
    T_max: Steps
    eta_min: float = 0.0

    def check(self) -> None:
        require_positive(self, "T_max")

    @property
    def repeats(self) -> tuple[int, int]:
        return 0, 2 * self.T_max

    def formula(self, step: Tensor) -> Tensor:
        to_minimum = (step % (2 * self.T_max) - self.T_max).abs()
        rest = terms.real(to_minimum) / self.T_max
        elapsed = terms.real(self.T_max - to_minimum) / self.T_max
        return terms.cosine_blend(self.initial, self.eta_min, elapsed, rest)


@dataclass(frozen=True)
class CosineAnnealingWarmRestarts(Schedule):
    """Half a cosine wave from ``initial`` toward ``eta_min``, restarted at the end of each period.

    The value at step ``t``::

        start, length = 0, T_0
        while t >= start + length:
            start, length = start + length, length * T_mult
        x = (t - start) / length
        value = eta_min + (initial - eta_min) * (1 + cos(pi * x)) / 2

    Args:
        initial: the value at step 0 and at every restart.
        T_0: the length of the first period in steps, at least 1.
        T_mult: a factor, not steps: each period is this many times as long as the one before. Give
            1, or 1.01 to 2**20. With a fraction such as 1.5, periods may end between two steps. The
            factor is read as the decimal that Python prints: 1.1 is eleven tenths. Default 1.
        eta_min: the value that a period falls toward. The value restarts before it reaches
            ``eta_min``. Default 0.

    Example:
        >>> schedule = CosineAnnealingWarmRestarts(initial=0.1, T_0=100, T_mult=2, eta_min=0.02)
        >>> [round(schedule(t), 6) for t in (0, 50, 99, 100, 200, 299, 300)]
        [0.1, 0.06, 0.02002, 0.1, 0.06, 0.020005, 0.1]

    Raises:
        ArgumentError: ``T_0`` is below 1, ``T_mult`` is out of range, or a number is not finite.

    Source: Loshchilov and Hutter, SGDR, arXiv:1608.03983, equation 5.

    Elsewhere: torch's ``CosineAnnealingWarmRestarts(T_0, T_mult, eta_min)``, where ``T_mult`` is a
    whole number; Keras' ``CosineDecayRestarts(initial, first_decay_steps=T_0, t_mul=T_mult)``,
    where ``alpha`` is a fraction and ``m_mul`` lowers each restart; ``optax.sgdr_schedule``, which
    takes a list of periods. timm calls the factor ``cycle_mul``, fairseq ``t_mult``.
    """

    initial: float
    T_0: Source[int]
    T_mult: Source[float] = 1
    eta_min: float = 0.0
    starts: Table[Steps] = field(init=False, repr=False, compare=False)
    lengths: Table[Steps] = field(init=False, repr=False, compare=False)
    spans: Table[RealSteps] = field(init=False, repr=False, compare=False)
    leads: Table[RealSteps] | None = field(init=False, repr=False, compare=False)
    trails: Table[RealSteps] | None = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_positive(self, "T_0")
        factor = self.T_mult
        remedy = "a factor from one period to the next, not steps: give 1, or 1.01 to 2**20"
        require(factor == 1 or 1.01 <= factor <= 2**20, "T_mult", factor, remedy)
        is_whole = factor == int(factor)
        object.__setattr__(self, "T_mult", int(factor) if is_whole else factor)
        for name, value in _periods(self.T_0, self.T_mult, is_whole).items():
            object.__setattr__(self, name, value)

    @property
    def repeats(self) -> tuple[int, int] | None:
        return (0, self.T_0) if self.T_mult == 1 else None

    @property
    def stretches(self) -> bool:
        return self.leads is None  # else the formula counts back from the last step

    def formula(self, step: Tensor) -> Tensor:
        period = terms.reached(self.starts, step) - 1
        length = terms.take(self.lengths, period)
        since_restart = (step - terms.take(self.starts, period)) % length
        span = terms.take(self.spans, period)
        elapsed = terms.real(since_restart)
        if self.leads is None or self.trails is None:
            rest = terms.real(length - since_restart)
        else:
            elapsed = elapsed + terms.take(self.leads, period)
            rest = terms.real(length - 1 - since_restart) + terms.take(self.trails, period)
        return terms.cosine_blend(self.initial, self.eta_min, elapsed / span, rest / span)


def _periods(first: int, factor: float, is_whole: bool) -> dict[str, Any]:
    """Tabulate the periods, because a logarithm of the step would miss restarts by rounding.

    Returns:
        For each period, its first step, its number of steps and its length. If a period may begin
        between two steps, also the time before its first step and after its last one.
    """
    with localcontext(Context(prec=60)):
        begins, spans = [Decimal(0)], [Decimal(first)]
        # Pad to a power of 2 periods, so that schedules with different T_0 share one structure.
        while factor != 1 and (begins[-1] + spans[-1] < 2**62 or len(begins).bit_count() > 1):
            begins.append(begins[-1] + spans[-1])
            spans.append(spans[-1] * Decimal(repr(factor)))
        ends = [*begins[1:], begins[-1] + spans[-1]]
        starts, stops = ([min(math.ceil(at), _MOST) for at in row] for row in (begins, ends))
        # A period may exceed int64. Its remaining steps are then too few, but still more than have
        # elapsed. The formula uses only the elapsed ones, as a fraction of the true span.
        lengths = (max(1, stop - start) for start, stop in zip(starts, stops, strict=True))
        leads = (float(at - begin) for at, begin in zip(starts, begins, strict=True))
        trails = (float(end - (stop - 1)) for stop, end in zip(stops, ends, strict=True))
        return {
            "starts": tuple(starts),
            "lengths": tuple(lengths),
            "spans": tuple(map(float, spans)),
            "leads": None if is_whole else tuple(leads),
            "trails": None if is_whole else tuple(trails),
        }


@dataclass(frozen=True)
class Cyclic(Schedule):
    """Triangles between ``base_value`` and ``max_value``, with a height that ``mode`` scales.

    The value at step ``t``::

        cycle, since = divmod(t, step_size_up + step_size_down)
        until = step_size_up + step_size_down - since
        height = min(since / step_size_up, until / step_size_down)
        x = cycle + 1 if scale_mode == "cycle" else t
        scale = {"triangular": 1, "triangular2": 0.5 ** (x - 1), "exp_range": gamma**x}[mode]
        value = base_value + (max_value - base_value) * height * scale

    Args:
        base_value: the value at the foot of a cycle, and at step 0.
        max_value: the value at the top of an unscaled cycle.
        step_size_up: the steps from the foot to the top, at least 1. Default 2000.
        step_size_down: the steps from the top to the foot, at least 1. Default: ``step_size_up``.
        mode: ``"triangular"`` keeps the height, ``"triangular2"`` halves it in each new cycle,
            ``"exp_range"`` scales it by ``gamma**x``. Default ``"triangular"``.
        gamma: the factor of ``exp_range``, not negative, without a unit. Default 1.
        scale_mode: what ``x`` counts: ``"cycle"`` counts cycles from 1, ``"iterations"`` counts
            steps from 0. Default: steps for ``exp_range`` and cycles for the others, as in the
            paper.

    Example:
        >>> schedule = Cyclic(base_value=0.01, max_value=0.1, step_size_up=50, mode="triangular2")
        >>> [round(schedule(t), 6) for t in (0, 25, 50, 100, 150, 200)]
        [0.01, 0.055, 0.1, 0.01, 0.055, 0.01]

    Raises:
        ArgumentError: a step size is below 1, ``gamma`` is negative, a mode is unknown, or a number
            is not finite.

    Source: Smith, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186.

    Elsewhere: torch's ``CyclicLR(base_lr, max_lr, ...)``, which also takes a ``scale_fn``, cycles
    the momentum by default, and uses its ``scale_mode`` only with a ``scale_fn``.
    """

    base_value: float
    max_value: float
    step_size_up: Steps = 2000
    step_size_down: Steps | None = None
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
        """Return the unscaled height times a power of gamma; None if it does not grow."""
        if self.mode != "exp_range" or self.gamma <= 1:
            return None
        height = self.max_value - self.base_value
        require(
            math.isfinite(height),
            "max_value",
            self.max_value,
            "max_value - base_value must be finite: give a value nearer to base_value",
        )
        return Power(height, self.gamma, is_scaled=True)

    @property
    def base(self) -> float:
        return self.base_value

    @property
    def repeats(self) -> tuple[int, int] | None:
        assert self.step_size_down is not None
        period = self.step_size_up + self.step_size_down
        return (0, period) if self.mode == "triangular" else None

    @property
    def stretches(self) -> bool:
        return self.mode == "triangular" or self.scale_mode == "cycle"

    def formula(self, step: Tensor) -> Tensor:
        down = self.step_size_down
        assert down is not None
        period = self.step_size_up + down
        since_foot = step % period
        since_top = since_foot - self.step_size_up
        # The height is the lower of the rising and the falling line.
        height = (terms.real(since_foot) / self.step_size_up).minimum(
            terms.real(period - since_foot) / down
        )
        if self.growth is not None:
            return self.growth.at(self._counted(step, period), height) + self.base_value
        depth = (terms.real(-since_top) / self.step_size_up).maximum(terms.real(since_top) / down)
        if self.mode != "triangular":
            scale, lost = self._scale(step, period)
            height, depth = height * scale, depth + height * lost
        return terms.blend(self.base_value, self.max_value, height, depth)

    def _counted(self, step: Tensor, period: int) -> Tensor:
        by_step = self.scale_mode == "iterations"
        return terms.real(step) if by_step else terms.quotient(step, period) + 1.0

    def _scale(self, step: Tensor, period: int) -> tuple[Tensor, Tensor]:
        """Return the factor of the height, and 1 minus the factor."""
        counted = self._counted(step, period)
        if self.mode == "triangular2":
            scale = terms.power(0.5, counted - 1.0)
            return scale, 1.0 - scale
        # 1 - scale would lose digits for a gamma near 1. The clamp avoids the logarithm of 0.
        gamma = terms.filled(step, self.gamma)
        logarithm = gamma.clamp(min=2.0**-100).log()
        return terms.power(self.gamma, counted), -(logarithm * counted).expm1()


@dataclass(frozen=True)
class OneCycle(Schedule):
    """From ``initial`` up to ``max_value``, down to ``initial / final_div_factor``, then held.

    The value at step ``t``, between the points that ``around`` finds on both sides of it::

        rise = pct_start * total_steps
        points = [(0, initial), (rise - 1, max_value)]
        points += [(2 * rise - 2, initial)] if three_phase else []
        points += [(total_steps - 1, initial / final_div_factor)]
        (t0, v0), (t1, v1) = around(t, points)
        x = (t - t0) / (t1 - t0)
        y = (1 - cos(pi * x)) / 2 if anneal_strategy == "cos" else x
        value = v0 + (v1 - v0) * y

    A phase of 0 steps is skipped.

    Args:
        initial: the value at step 0.
        max_value: the value at the top, at step ``pct_start * total_steps - 1``.
        total_steps: the length of the cycle in steps, at least 1; its last step is
            ``total_steps - 1``. Default 1000.
        pct_start: the fraction of the steps in which the value rises, above 0 and below 1; at most
            0.5 with ``three_phase``. Default 0.3.
        final_div_factor: ``initial`` / last value, above 0, without a unit. Default 10,000.
        three_phase: fall to ``initial`` as steeply as the value rose, then on to the last value.
            Default False.
        anneal_strategy: ``"cos"`` for half a cosine wave in each phase, ``"linear"`` for a straight
            line. Default ``"cos"``.

    Example:
        >>> schedule = OneCycle(initial=0.004, max_value=0.1, total_steps=100, final_div_factor=100)
        >>> [round(schedule(t), 6) for t in (0, 29, 60, 99, 200)]
        [0.004, 0.1, 0.058944, 4e-05, 4e-05]

    Raises:
        ArgumentError: ``total_steps`` or ``final_div_factor`` is not above 0, ``pct_start`` is out
            of range, the strategy is unknown, or a number is not finite.

    Source: Smith and Topin, Super-Convergence, arXiv:1708.07120; the phases are those of torch's
    class.

    Elsewhere: torch's ``OneCycleLR(max_lr, total_steps, div_factor=...)``, where ``div_factor`` is
    ``max_value / initial``; it cycles the momentum by default and refuses steps past the end.
    ``optax.cosine_onecycle_schedule(total_steps, peak_value, pct_start, div_factor)`` peaks one
    step later and ends at ``total_steps``.
    """

    initial: float
    max_value: float
    total_steps: Source[int] = 1000
    pct_start: float = 0.3
    final_div_factor: float = 1e4
    three_phase: bool = False
    anneal_strategy: Literal["cos", "linear"] = "cos"
    last: Steps = field(init=False, repr=False, compare=False)
    starts: Table[RealSteps] = field(init=False, repr=False, compare=False)
    ends: Table[RealSteps] = field(init=False, repr=False, compare=False)
    from_values: Table[float] = field(init=False, repr=False, compare=False)
    to_values: Table[float] = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_positive(self, "total_steps", "final_div_factor")
        last = self.initial / self.final_div_factor
        remedy = "initial / final_div_factor must be finite: give a larger factor"
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
        """Derive the last step, and the start, the end and both values of each phase."""
        object.__setattr__(self, "last", self.total_steps - 1)
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
        return self.last

    def formula(self, step: Tensor) -> Tensor:
        now = terms.real(step.clamp(max=self.last))
        phase = terms.reached(self.starts, now) - 1
        start, end = terms.take(self.starts, phase), terms.take(self.ends, phase)
        elapsed, rest = (now - start) / (end - start), (end - now) / (end - start)
        anneal = terms.cosine_blend if self.anneal_strategy == "cos" else terms.blend
        from_value, to_value = (
            terms.take(self.from_values, phase),
            terms.take(self.to_values, phase),
        )
        return anneal(from_value, to_value, elapsed, rest)
