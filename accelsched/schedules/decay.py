"""Schedules that move smoothly from an initial value and never turn back."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import require_not_negative, require_positive
from accelsched.schedules._power import Power
from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """``value`` at every step."""

    value: float

    @property
    def base(self) -> float:
        return self.value

    @property
    def settles(self) -> int | None:
        return 0

    def formula(self, step: Tensor) -> Tensor:
        return terms.filled(step, self.value)


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from ``initial`` at step 0 to ``end`` at step ``total_iters``, then held.

    Args:
        initial: the value at step 0.
        end: the value at ``total_iters`` and past it.
        total_iters: how many steps the line takes, at least 1.
        cycle: past the end, start again from ``initial`` over a span stretched to the next
            multiple of ``total_iters``, as Keras' ``PolynomialDecay(cycle=True)`` does.
    """

    initial: float
    end: float
    total_iters: int
    cycle: bool = False

    def check(self) -> None:
        require_positive(self, "total_iters")

    @property
    def settles(self) -> int | None:
        return None if self.cycle else self.total_iters

    def formula(self, step: Tensor) -> Tensor:
        step, total = _span(step, self.total_iters, self.cycle)
        elapsed, rest = terms.real(step) / total, terms.real(total - step) / total
        return terms.blend(self.initial, self.end, elapsed, rest)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """``end + (initial - end) * (1 - t/total_iters) ** power``, then held at ``end``.

    Args:
        initial: the value at step 0.
        end: the value at ``total_iters`` and past it.
        total_iters: how many steps the decay takes, at least 1.
        power: the exponent, above 0.
        cycle: see :class:`Linear`.

    Reference: Keras, ``tf.keras.optimizers.schedules.PolynomialDecay``.
    """

    initial: float
    end: float
    total_iters: int
    power: float = 1.0
    cycle: bool = False

    def check(self) -> None:
        require_positive(self, "total_iters", "power")
        require(self.power >= sys.float_info.min, "power", self.power, "give 2**-1022 or more")

    @property
    def settles(self) -> int | None:
        return None if self.cycle else self.total_iters

    def formula(self, step: Tensor) -> Tensor:
        step, total = _span(step, self.total_iters, self.cycle)
        elapsed, rest = terms.real(step) / total, terms.real(total - step) / total
        # 1 - rest**power, without its cancellation: the logarithm is of the smaller fraction.
        logarithm = torch.where(elapsed < rest, torch.log1p(-elapsed), torch.log(rest))
        rest, elapsed = rest**self.power, -torch.expm1(logarithm * self.power)
        return terms.blend(self.initial, self.end, elapsed, rest)


def _span(step: Tensor, total: int, cycle: bool) -> tuple[Tensor, int | Tensor]:
    """The step, held at the end of its span, and the length of that span."""
    if not cycle:
        return step.clamp(max=total), total
    return step, (step + (-step) % total).clamp(min=total)


@dataclass(frozen=True)
class Exponential(Schedule):
    """``initial * rate ** (t / total_iters)``, without end.

    Args:
        initial: the value at step 0.
        total_iters: the number of steps that one factor of ``rate`` takes, at least 1.
        rate: the factor, not negative.
        staircase: apply whole factors only, one every ``total_iters`` steps.

    Reference: Keras, ``tf.keras.optimizers.schedules.ExponentialDecay``.
    """

    initial: float
    total_iters: int
    rate: float
    staircase: bool = False
    powers: Power = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_positive(self, "total_iters")
        require_not_negative(self, "rate")
        object.__setattr__(self, "powers", Power(self.initial, self.rate))

    def formula(self, step: Tensor) -> Tensor:
        if self.staircase:
            exponent = terms.quotient(step, self.total_iters)
        else:
            exponent = terms.real(step) / self.total_iters
        return self.powers.at(exponent)


@dataclass(frozen=True)
class Multiplicative(Schedule):
    """``initial * coefficient ** t``: multiplied by the same coefficient at every step.

    Args:
        initial: the value at step 0.
        coefficient: the factor of one step, not negative.
    """

    initial: float
    coefficient: float
    powers: Power = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_not_negative(self, "coefficient")
        object.__setattr__(self, "powers", Power(self.initial, self.coefficient))

    def formula(self, step: Tensor) -> Tensor:
        return self.powers.at(terms.real(step))


@dataclass(frozen=True)
class InverseExponentialTimeDecay(Schedule):
    """``initial / (1 + rate * a)`` with ``a = t ** step_exponent / total_iters``.

    For ``step_exponent`` 1 this is Keras' InverseTimeDecay; for any other the exponent is on
    the step alone, not on ``t / total_iters``, as in Cerebras' class of this name.

    Args:
        initial: the value at step 0 (for a ``step_exponent`` above 0).
        step_exponent: the exponent of the step, not negative.
        total_iters: the divisor of ``a``, at least 1.
        rate: the decay rate, not negative.
        staircase: round ``a`` down to a whole number; exact while ``t ** step_exponent`` is below
            2**53, the last whole number that float64 counts to.

    Reference: Keras, ``tf.keras.optimizers.schedules.InverseTimeDecay``.
    """

    initial: float
    step_exponent: float
    total_iters: int
    rate: float
    staircase: bool = False

    def check(self) -> None:
        require_not_negative(self, "step_exponent", "rate")
        require_positive(self, "total_iters")
        exponent, rate = self.step_exponent, self.rate
        require(exponent <= 16, "step_exponent", exponent, "give at most 16: steps go up to 2**62")
        largest = rate * (2.0**62) ** exponent / self.total_iters
        require(math.isfinite(largest), "rate", rate, "t ** step_exponent * rate must be finite")

    def formula(self, step: Tensor) -> Tensor:
        alpha = terms.real(step) ** self.step_exponent / self.total_iters
        if self.staircase:
            alpha = alpha.floor()
        return self.initial / (alpha * self.rate + 1.0)


@dataclass(frozen=True)
class InverseSquareRootDecay(Schedule):
    """``initial * scale / sqrt(max(t, warmup_steps, 1))``.

    Args:
        initial: a factor of the value.
        scale: another factor of the value.
        warmup_steps: the step until which the value is held; at least 1 is taken.
    """

    initial: float = 1.0
    scale: float = 1.0
    warmup_steps: int = 1

    def check(self) -> None:
        require_not_negative(self, "warmup_steps")
        product = self.initial * self.scale
        require(math.isfinite(product), "scale", self.scale, "initial * scale must be finite")

    def formula(self, step: Tensor) -> Tensor:
        held = step.clamp(min=1).clamp(min=self.warmup_steps)
        return self.initial * self.scale / terms.real(held).sqrt()


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine wave from ``initial`` to ``end`` in ``total_iters`` steps, then held.

    Args:
        initial: the value at step 0.
        end: the value (not a fraction) at ``total_iters`` and past it.
        total_iters: how many steps the decay takes, at least 1.

    Reference: Loshchilov and Hutter, SGDR, arXiv:1608.03983, without restarts.
    """

    initial: float
    end: float
    total_iters: int

    def check(self) -> None:
        require_positive(self, "total_iters")

    @property
    def settles(self) -> int | None:
        return self.total_iters

    def formula(self, step: Tensor) -> Tensor:
        step = step.clamp(max=self.total_iters)
        elapsed = terms.real(step) / self.total_iters
        rest = terms.real(self.total_iters - step) / self.total_iters
        return terms.cosine_blend(self.initial, self.end, elapsed, rest)
