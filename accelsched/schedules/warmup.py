"""The two most common schedules, each a sequence of ramps."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from accelsched.errors import require
from accelsched.schedules._fields import Source, require_not_negative
from accelsched.schedules.base import Schedule
from accelsched.schedules.compose import Sequential
from accelsched.schedules.decay import Constant
from accelsched.schedules.ramps import CosineDecay, Linear, Logarithmic, OneMinusPower, Ramp


@dataclass(frozen=True)
class Composed(Schedule):
    """A schedule that builds others from its arguments; a phase of 0 steps is skipped."""

    stretches = True
    made: Schedule = field(init=False, repr=False, compare=False)

    @abstractmethod
    def composition(self) -> Schedule:
        """Return the schedule that computes the values."""

    def check(self) -> None:
        object.__setattr__(self, "made", self.composition())

    @property
    def settles(self) -> int | None:
        return self.made.settles

    def formula(self, step: Tensor) -> Tensor:
        return self.made.formula(step)


@dataclass(frozen=True)
class WarmupCosine(Composed):
    """A straight line from 0 to ``peak``, then half a cosine wave to ``end``, then held.

    The value at step ``t``::

        x = (min(t, total_iters) - warmup_iters) / (total_iters - warmup_iters)
        y = t / warmup_iters if t < warmup_iters else (1 + cos(pi * x)) / 2
        value = peak * y if t < warmup_iters else end + (peak - end) * y

    It is ``Linear(0.0, peak, warmup_iters).then(CosineDecay(peak, end, rest), at=warmup_iters)``,
    where ``rest`` is ``total_iters - warmup_iters``. A phase of 0 steps is skipped.

    Args:
        peak: the value at step ``warmup_iters``.
        total_iters: the length of both phases in steps, including the warm-up.
        warmup_iters: the length of the warm-up in steps, from 0 to ``total_iters``.
        end: the value at step ``total_iters`` and past it. Default 0.

    Example:
        >>> schedule = WarmupCosine(peak=0.1, total_iters=110, warmup_iters=10, end=0.01)
        >>> [round(schedule(t), 6) for t in (0, 5, 10, 60, 110, 200)]
        [0.0, 0.05, 0.1, 0.055, 0.01, 0.01]

    Raises:
        ArgumentError: ``warmup_iters`` is negative or above ``total_iters``, or a number is not
            finite.

    Elsewhere: ``optax.warmup_cosine_decay_schedule(0.0, peak, warmup_iters, total_iters, end)``;
    transformers' ``get_cosine_schedule_with_warmup``, for ``end=0``. torch has none: its
    ``SequentialLR`` joins two schedulers.
    """

    peak: Source[float]
    total_iters: Source[int]
    warmup_iters: Source[int]
    end: Source[float] = 0.0

    def composition(self) -> Schedule:
        require_not_negative(self, "warmup_iters")
        steps = self.total_iters - self.warmup_iters
        remedy = f"the warm-up takes {self.warmup_iters} steps: give at least as many"
        require(steps >= 0, "total_iters", self.total_iters, remedy)
        warmup = Linear(0.0, self.peak, self.warmup_iters)
        return warmup.then(CosineDecay(self.peak, self.end, steps), at=self.warmup_iters)


#: The ramp class of each shape of a phase.
_SHAPES: dict[str, type[Ramp]] = {
    "linear": Linear,
    "cosine": CosineDecay,
    "logarithmic": Logarithmic,
    "1-sqrt": OneMinusPower,
}


@dataclass(frozen=True)
class WarmupStableDecay(Composed):
    """From ``start`` up to ``peak``, held there, down to ``end`` in the last steps, then held.

    The value at step ``t``::

        shapes = {
            "linear": lambda t, n: t / n,
            "cosine": lambda t, n: (1 - cos(pi * t / n)) / 2,
            "logarithmic": lambda t, n: log(1 + t) / log(1 + n),
            "1-sqrt": lambda t, n: sqrt(t / n),
        }
        since = min(t, total_iters) - (total_iters - decay_iters)
        if t < warmup_iters:
            value = start + (peak - start) * shapes[warmup_shape](t, warmup_iters)
        elif since > 0:
            value = peak + (end - peak) * shapes[decay_shape](since, decay_iters)
        else:
            value = peak

    A phase of 0 steps is skipped. With ``total_iters=None``, the scheduler is open-ended: the value
    stays at ``peak`` until you call :meth:`accelsched.Scheduler.begin_decay`.

    Args:
        peak: the value from step ``warmup_iters`` to step ``total_iters - decay_iters``.
        total_iters: the length of all three phases in steps; None if the end is not known.
        warmup_iters: the length of the warm-up in steps, from 0 on.
        decay_iters: the length of the decay in steps, from 0 on. Default 0: no decay.
        start: the value at step 0. Default 0.
        end: the value at step ``total_iters`` and past it. Default 0.
        warmup_shape: ``"linear"``, ``"cosine"`` or ``"logarithmic"``, as in :class:`Linear`,
            :class:`CosineDecay` or :class:`Logarithmic`. Default ``"linear"``.
        decay_shape: ``"linear"``, ``"cosine"`` or ``"1-sqrt"``, as in :class:`Linear`,
            :class:`CosineDecay` or :class:`OneMinusPower`. Default ``"linear"``.

    Example:
        >>> schedule = WarmupStableDecay(peak=0.1, total_iters=100, warmup_iters=10, decay_iters=20)
        >>> [round(schedule(t), 6) for t in (0, 5, 10, 80, 90, 100, 200)]
        [0.0, 0.05, 0.1, 0.1, 0.05, 0.0, 0.0]

        Without an end:

        >>> schedule = WarmupStableDecay(peak=0.1, total_iters=None, warmup_iters=10)
        >>> [round(schedule(t), 6) for t in (0, 5, 10, 200)]
        [0.0, 0.05, 0.1, 0.1]

    Raises:
        ArgumentError: a number of steps is negative, the phases are longer than ``total_iters``,
            ``decay_iters`` is given without ``total_iters``, a shape is unknown, or a number is not
            finite.

    Source: Hu et al., MiniCPM, arXiv:2404.06395, section 4; Hägele et al., arXiv:2405.18392.

    Elsewhere: transformers' ``get_wsd_schedule(num_warmup_steps, num_decay_steps,
    num_training_steps)``, ``lr_decay_style="WSD"`` of Megatron, and the scheduler of torchtitan.
    """

    peak: Source[float]
    total_iters: Source[int | None]
    warmup_iters: Source[int]
    decay_iters: Source[int] = 0
    start: Source[float] = 0.0
    end: Source[float] = 0.0
    warmup_shape: Source[Literal["linear", "cosine", "logarithmic"]] = "linear"
    decay_shape: Source[Literal["linear", "cosine", "1-sqrt"]] = "linear"

    def composition(self) -> Schedule:
        require_not_negative(self, "warmup_iters", "decay_iters")
        warmup = _SHAPES[self.warmup_shape](self.start, self.peak, self.warmup_iters)
        if self.total_iters is None:
            remedy = "without total_iters, omit decay_iters and call scheduler.begin_decay(...)"
            require(self.decay_iters == 0, "decay_iters", self.decay_iters, remedy)
            return warmup.then(Constant(self.peak), at=self.warmup_iters)
        stable_until = self.total_iters - self.decay_iters
        remedy = f"give at least {self.warmup_iters} + {self.decay_iters} for warm-up and decay"
        require(self.warmup_iters <= stable_until, "total_iters", self.total_iters, remedy)
        decay = _SHAPES[self.decay_shape](self.peak, self.end, self.decay_iters)
        phases = (warmup, Constant(self.peak), decay)
        return Sequential(phases, (self.warmup_iters, stable_until))
