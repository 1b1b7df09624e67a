"""Schedules that go from one value to another in a number of steps, then hold."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import Source, Steps, require_not_negative
from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class Ramp(Schedule):
    """A ramp from ``initial`` to ``end`` in ``total_iters`` steps; with 0 steps, only ``end``.

    A formula reads ``first`` and ``length``: ``initial`` and ``total_iters``, or ``end`` and 1 for
    a ramp of 0 steps. So both cases run the same operations.
    """

    initial: Source[float]
    end: float
    total_iters: Source[int]
    first: float = field(init=False, repr=False, compare=False)
    length: Steps = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_not_negative(self, "total_iters")
        is_skipped = self.total_iters == 0
        object.__setattr__(self, "first", self.end if is_skipped else self.initial)
        object.__setattr__(self, "length", 1 if is_skipped else self.total_iters)

    @property
    def settles(self) -> int | None:
        return self.total_iters

    def fractions(self, step: Tensor, cycle: bool = False) -> tuple[Tensor, Tensor]:
        """Return the elapsed and the remaining fraction of the length.

        With ``cycle``, past its end, the length is its next multiple that the step has not passed.
        """
        total: int | Tensor = self.length
        if cycle:
            total = (step + (-step) % total).clamp(min=total)
        else:
            step = step.clamp(max=total)
        return terms.real(step) / total, terms.real(total - step) / total


@dataclass(frozen=True)
class Linear(Ramp):
    """A straight line from ``initial`` to ``end`` in ``total_iters`` steps, then held.

    The value at step ``t``::

        n = total_iters * max(1, ceil(t / total_iters)) if cycle else total_iters
        x = min(t / n, 1)
        value = initial + (end - initial) * x

    Args:
        initial: the value at step 0.
        end: the value at step ``total_iters`` and past it.
        total_iters: the length of the line in steps; with 0, the value is always ``end``.
        cycle: past the end, jump back to the line from step 0 that reaches ``end`` at the next
            multiple of ``total_iters``. Default False.

    Example:
        >>> schedule = Linear(initial=0.0, end=0.1, total_iters=100)
        >>> [schedule(t) for t in (0, 50, 100, 200)]
        [0.0, 0.05, 0.1, 0.1]

    Raises:
        ArgumentError: ``total_iters`` is negative, or a number is not finite.

    Elsewhere: ``optax.linear_schedule(initial, end, total_iters)``; Keras' ``PolynomialDecay`` with
    ``power=1``, which has the same ``cycle``. torch's ``LinearLR`` takes ``start_factor`` and
    ``end_factor``, which multiply the group's lr. The warm-up of transformers is
    ``Linear(0.0, lr, num_warmup_steps)``.
    """

    cycle: bool = False

    @property
    def settles(self) -> int | None:
        return None if self.cycle else self.total_iters

    def formula(self, step: Tensor) -> Tensor:
        return terms.blend(self.first, self.end, *self.fractions(step, self.cycle))


@dataclass(frozen=True)
class Polynomial(Ramp):
    """A power of the remaining fraction, from ``initial`` to ``end``, then held.

    The value at step ``t``::

        n = total_iters * max(1, ceil(t / total_iters)) if cycle else total_iters
        x = min(t / n, 1)
        value = end + (initial - end) * (1 - x) ** power

    Args:
        initial: the value at step 0.
        end: the value at step ``total_iters`` and past it.
        total_iters: the length of the decay in steps; with 0, the value is always ``end``.
        power: the exponent, above 0, without a unit. Default 1: a straight line.
        cycle: past the end, jump back to the curve from step 0 that reaches ``end`` at the next
            multiple of ``total_iters``. Default False.

    Example:
        >>> schedule = Polynomial(initial=0.1, end=0.02, total_iters=100, power=2.0)
        >>> [round(schedule(t), 6) for t in (0, 50, 100, 200)]
        [0.1, 0.04, 0.02, 0.02]

    Raises:
        ArgumentError: ``total_iters`` is negative, ``power`` is not above 0, or a number is not
            finite.

    Source: Keras, ``keras.optimizers.schedules.PolynomialDecay``.

    Elsewhere: ``optax.polynomial_schedule(initial, end, power, total_iters)``, without ``cycle``.
    torch's ``PolynomialLR(total_iters, power)`` falls from the group's lr to 0. transformers'
    ``get_polynomial_decay_schedule_with_warmup`` falls to ``lr_end`` after a warm-up.
    """

    power: float = 1.0
    cycle: bool = False

    def check(self) -> None:
        super().check()
        _require_power(self.power)

    @property
    def settles(self) -> int | None:
        return None if self.cycle else self.total_iters

    def formula(self, step: Tensor) -> Tensor:
        elapsed, rest = self.fractions(step, self.cycle)
        rest, elapsed = terms.raised(rest, elapsed, self.power)
        return terms.blend(self.first, self.end, elapsed, rest)


@dataclass(frozen=True)
class CosineDecay(Ramp):
    """Half a cosine wave from ``initial`` to ``end`` in ``total_iters`` steps, then held.

    The value at step ``t``::

        x = min(t / total_iters, 1)
        y = (1 + cos(pi * x)) / 2
        value = end + (initial - end) * y

    Halfway, the value is the mean of ``initial`` and ``end``, and the slope is steepest. The slope
    is 0 at both ends.

    Args:
        initial: the value at step 0.
        end: the value at step ``total_iters`` and past it: a value, not a fraction of ``initial``.
            It may be above ``initial``.
        total_iters: the length of the decay in steps; with 0, the value is always ``end``.

    Example:
        >>> schedule = CosineDecay(initial=0.1, end=0.001, total_iters=100)
        >>> [round(schedule(t), 6) for t in (0, 50, 100, 200)]
        [0.1, 0.0505, 0.001, 0.001]

        After a warm-up of 10 steps:

        >>> schedule = Linear(initial=0.0, end=0.1, total_iters=10).then(schedule, at=10)
        >>> [round(schedule(t), 6) for t in (0, 5, 10, 60, 110)]
        [0.0, 0.05, 0.1, 0.0505, 0.001]

        With ``exponent=2`` of optax:

        >>> wave = CosineDecay(initial=1.0, end=0.0, total_iters=100)
        >>> schedule = 0.1 * wave * wave
        >>> [round(schedule(t), 6) for t in (0, 50, 75, 100)]
        [0.1, 0.025, 0.002145, 0.0]

    Raises:
        ArgumentError: ``total_iters`` is negative, or a number is not finite.

    Source: Loshchilov and Hutter, SGDR, arXiv:1608.03983, equation 5, without restarts.

    Elsewhere: ``optax.cosine_decay_schedule(initial, total_iters, alpha)`` and Keras'
    ``CosineDecay``, where ``alpha`` is the fraction ``end / initial``. torch's
    ``CosineAnnealingLR(T_max, eta_min)`` has the same values up to ``T_max`` and then rises again:
    see :class:`CosineAnnealing`. transformers' ``get_cosine_schedule_with_warmup`` starts with a
    warm-up and ends at 0.
    """

    def formula(self, step: Tensor) -> Tensor:
        return terms.cosine_blend(self.first, self.end, *self.fractions(step))


@dataclass(frozen=True)
class OneMinusPower(Ramp):
    """One minus a power of the elapsed fraction, from ``initial`` to ``end``, then held.

    The value at step ``t``::

        x = min(t / total_iters, 1)
        value = end + (initial - end) * (1 - x**power)

    With the default power, this is the "1-sqrt" decay: steep at first, then flatter and flatter. It
    is :class:`Polynomial` run backward, from ``end`` to ``initial``.

    Args:
        initial: the value at step 0.
        end: the value at step ``total_iters`` and past it.
        total_iters: the length of the decay in steps; with 0, the value is always ``end``.
        power: the exponent, above 0, without a unit. Default 0.5: the square root.

    Example:
        >>> schedule = OneMinusPower(initial=0.1, end=0.0, total_iters=100)
        >>> [round(schedule(t), 6) for t in (0, 25, 64, 100, 200)]
        [0.1, 0.05, 0.02, 0.0, 0.0]

    Raises:
        ArgumentError: ``total_iters`` is negative, ``power`` is not above 0, or a number is not
            finite.

    Source: Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training
    Durations, arXiv:2405.18392, section 3.

    Elsewhere: ``decay_type="1-sqrt"`` of transformers' ``get_wsd_schedule``, ``decay_type="sqrt"``
    of torchtitan, ``minus_sqrt`` of Megatron's WSD. torch, optax and Keras have none.
    """

    power: float = 0.5

    def check(self) -> None:
        super().check()
        _require_power(self.power)

    def formula(self, step: Tensor) -> Tensor:
        elapsed, rest = terms.raised(*self.fractions(step), self.power)
        return terms.blend(self.first, self.end, elapsed, rest)


@dataclass(frozen=True)
class Logarithmic(Ramp):
    """The logarithm of the step, from ``initial`` to ``end``, then held.

    The value at step ``t``::

        x = min(log(1 + t) / log(1 + total_iters), 1)
        value = initial + (end - initial) * x

    As a warm-up, it rises steeply at first, then flatter and flatter.

    Args:
        initial: the value at step 0.
        end: the value at step ``total_iters`` and past it.
        total_iters: the length of the ramp in steps; with 0, the value is always ``end``.

    Example:
        >>> schedule = Logarithmic(initial=0.0, end=0.1, total_iters=99)
        >>> [round(schedule(t), 6) for t in (0, 9, 50, 99, 200)]
        [0.0, 0.05, 0.085379, 0.1, 0.1]

    Raises:
        ArgumentError: ``total_iters`` is negative, or a number is not finite.

    Source: DeepSpeed, ``deepspeed.runtime.lr_schedules.WarmupLR``.

    Elsewhere: DeepSpeed's ``WarmupLR(low, top, n)`` with its default ``warmup_type="log"``. Its
    ramp starts one step later and is one step shorter:
    ``Logarithmic(low, top, n - 1).shifted(-1)``. torch, optax and Keras have none.
    """

    log_length: float = field(init=False, repr=False, compare=False)
    # Added to the step before taking the logarithm; a Steps field, so it can be stretched.
    unit: Steps = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        super().check()
        object.__setattr__(self, "log_length", math.log1p(self.length))
        object.__setattr__(self, "unit", 1)

    def formula(self, step: Tensor) -> Tensor:
        step = step.clamp(max=self.length)
        counted = terms.real(step + self.unit)
        # log((length + unit) / counted), by log1p because the quotient nears 1 at the end.
        left = (terms.real(self.length - step) / counted).log1p()
        passed = (counted / self.unit).log()
        elapsed, rest = terms.adding_up(passed / self.log_length, left / self.log_length)
        return terms.blend(self.first, self.end, elapsed, rest)


def _require_power(power: float) -> None:
    require(power >= sys.float_info.min, "power", power, "give a number above 0, at least 2**-1022")
