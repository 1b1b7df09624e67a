"""Schedules that move smoothly from an initial value, without end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import Steps, require_not_negative, require_positive
from accelsched.schedules._keywords import by_keyword
from accelsched.schedules._power import Power
from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value at every step.

    The value at step ``t``::

        value = value

    Args:
        value: the value, at every step.

    Example:
        >>> schedule = Constant(value=0.1)
        >>> [schedule(t) for t in (0, 1000)]
        [0.1, 0.1]

    Raises:
        ArgumentError: the value is not a finite number.

    Elsewhere: ``optax.constant_schedule`` and transformers' ``get_constant_schedule`` do the same.
    torch's ``ConstantLR`` does not: it multiplies by ``factor`` until ``total_iters`` and by 1 from
    there.
    """

    value: float
    stretches = True

    @property
    def base(self) -> float:
        return self.value

    @property
    def settles(self) -> int | None:
        return 0

    def formula(self, step: Tensor) -> Tensor:
        return terms.filled(step, self.value)


@by_keyword
@dataclass(frozen=True)
class Exponential(Schedule):
    """A decay by the factor ``rate`` every ``total_iters`` steps, without end.

    The value at step ``t``::

        k = t // total_iters if staircase else t / total_iters
        value = initial * rate ** k

    Args:
        initial: the value at step 0.
        total_iters: the number of steps for one factor ``rate``, at least 1. It is not an end.
        rate: the factor for ``total_iters`` steps, not negative, without a unit.
        staircase: apply whole factors only, one every ``total_iters`` steps. Default False.

    Example:
        >>> schedule = Exponential(initial=0.1, total_iters=100, rate=0.5)
        >>> [round(schedule(t), 6) for t in (0, 50, 100, 200, 1000)]
        [0.1, 0.070711, 0.05, 0.025, 9.8e-05]

    Raises:
        ArgumentError: ``total_iters`` is below 1, ``rate`` is negative, or a number is not finite.

    Source: Keras, ``keras.optimizers.schedules.ExponentialDecay``.

    Elsewhere: ``optax.exponential_decay(initial, total_iters, rate)``, which can also start later
    and stop at an ``end_value``. The ``gamma`` of torch's ``ExponentialLR`` is the factor for one
    step: see :class:`Multiplicative`.
    """

    initial: float
    total_iters: Steps
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
    """A decay by the same factor at every step, without end.

    The value at step ``t``::

        value = initial * coefficient ** t

    Args:
        initial: the value at step 0.
        coefficient: the factor for one step, not negative, without a unit.

    Example:
        >>> schedule = Multiplicative(initial=0.1, coefficient=0.99)
        >>> [round(schedule(t), 6) for t in (0, 1, 100, 1000)]
        [0.1, 0.099, 0.036603, 4e-06]

    Raises:
        ArgumentError: ``coefficient`` is negative, or a number is not finite.

    Elsewhere: torch's ``ExponentialLR(gamma=coefficient)``, and its ``MultiplicativeLR`` with a
    constant function;
    ``optax.exponential_decay(initial, transition_steps=1, decay_rate=coefficient)``.
    """

    initial: float
    coefficient: float
    powers: Power = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_not_negative(self, "coefficient")
        object.__setattr__(self, "powers", Power(self.initial, self.coefficient))

    def formula(self, step: Tensor) -> Tensor:
        return self.powers.at(terms.real(step))


@by_keyword
@dataclass(frozen=True)
class InverseExponentialTimeDecay(Schedule):
    """A decay by the inverse of a power of the step, without end.

    The value at step ``t``::

        a = t**step_exponent / total_iters
        a = floor(a) if staircase else a
        value = initial / (1 + rate * a)

    As in Cerebras' class of the same name, the exponent applies to the step alone, not to
    ``t / total_iters``.

    Args:
        initial: the value at step 0 (for a ``step_exponent`` above 0).
        step_exponent: the exponent of the step, not negative, without a unit.
        total_iters: the divisor, at least 1; in steps for ``step_exponent=1``. It is not an end.
        rate: the growth of the denominator when ``a`` grows by 1, not negative, without a unit.
        staircase: round ``a`` down to a whole number. This is exact while ``t**step_exponent`` is
            below 2**53, the limit of whole numbers in float64. Default False.

    Example:
        >>> schedule = InverseExponentialTimeDecay(
        ...     initial=0.1, step_exponent=1.0, total_iters=100, rate=1.0
        ... )
        >>> [round(schedule(t), 6) for t in (0, 100, 300, 900)]
        [0.1, 0.05, 0.025, 0.01]

    Raises:
        ArgumentError: ``total_iters`` is below 1, ``rate`` or ``step_exponent`` is negative, or a
            number is not finite.

    Source: Keras, ``keras.optimizers.schedules.InverseTimeDecay``, for ``step_exponent=1``.

    Elsewhere: Keras' ``InverseTimeDecay(initial, total_iters, rate)`` for ``step_exponent=1``.
    torch has none.
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
        require(
            math.isfinite(largest),
            "rate",
            rate,
            "t**step_exponent * rate must be finite: give a smaller one",
        )

    def formula(self, step: Tensor) -> Tensor:
        alpha = terms.real(step) ** self.step_exponent / self.total_iters
        if self.staircase:
            alpha = alpha.floor()
        return self.initial / (alpha * self.rate + 1.0)


@by_keyword
@dataclass(frozen=True)
class InverseSquareRootDecay(Schedule):
    """The inverse square root of the step, held until ``warmup_steps``, without end.

    The value at step ``t``::

        value = initial * scale / sqrt(max(t, warmup_steps, 1))

    Args:
        initial: a factor, in the unit of the value. Default 1.
        scale: another factor, without a unit. Default 1.
        warmup_steps: the step until which the value is held; 0 counts as 1. Default 1.

    Example:
        >>> schedule = InverseSquareRootDecay(initial=0.1, scale=10.0, warmup_steps=100)
        >>> [round(schedule(t), 6) for t in (0, 100, 400, 10000)]
        [0.1, 0.1, 0.05, 0.01]

    Raises:
        ArgumentError: ``warmup_steps`` is negative, or a number is not finite.

    Source: Raffel et al., T5, arXiv:1910.10683, section 3.1.2. The Transformer's own schedule
    (arXiv:1706.03762, section 5.3) instead rises linearly to the peak at step ``w``:
    ``Linear(0.0, 1.0, w) * InverseSquareRootDecay(peak, scale=w**0.5, warmup_steps=w)``.

    Elsewhere: transformers' ``get_inverse_sqrt_schedule``, with a linear warm-up. torch and
    Keras have none.
    """

    initial: float = 1.0
    scale: float = 1.0
    warmup_steps: int = 1

    def check(self) -> None:
        require_not_negative(self, "warmup_steps")
        product = self.initial * self.scale
        require(
            math.isfinite(product),
            "scale",
            self.scale,
            "initial * scale must be finite: give a smaller one",
        )

    def formula(self, step: Tensor) -> Tensor:
        held = step.clamp(min=1).clamp(min=self.warmup_steps)
        return self.initial * self.scale / terms.real(held).sqrt()
