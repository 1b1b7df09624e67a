"""A number times a power, which is finite even if the power alone is not."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accelsched.schedules import terms
from accelsched.schedules.base import Schedule

#: All steps, and so all exponents, are below this.
_MOST_STEPS = 2.0**62
#: Binary digits by which a power may grow or fall before ``beyond`` replaces the factor.
_REACH = 1000
#: Below 2**-1022, float64 loses digits. For a factor up to this, such a loss does not matter.
_SMALL = 2.0**52


@dataclass(frozen=True)
class Power(Schedule):
    """``factor * rate ** exponent``; 0 for a factor of 0, finite wherever the product is.

    If the power may leave the range of float64 while the product does not, exponents above
    ``turn`` are computed as ``beyond * rate ** (exponent - shift)``. The usual decays, whose factor
    is not huge, do not need this.

    Args:
        factor: the number that multiplies the power.
        rate: the base of the power, not negative.
        is_scaled: whether :meth:`at` receives a scale that multiplies the product.
    """

    factor: float
    rate: float
    is_scaled: bool = False
    stretches = True
    turns: bool = field(init=False, repr=False, compare=False)
    turn: float = field(init=False, repr=False, compare=False)
    shift: float = field(init=False, repr=False, compare=False)
    beyond: float = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        if self.factor == 0:
            object.__setattr__(self, "rate", 1.0)  # avoids infinity times 0
        size, grows = abs(self.factor), self.rate > 1
        turns = size < 1 or self.is_scaled if grows else 0 < self.rate < 1 and size > _SMALL
        digits = abs(math.log2(self.rate)) if self.rate > 0 else 0.0
        turns = turns and digits * _MOST_STEPS > _REACH
        turn = shift = beyond = 0.0
        if turns:
            turn, shift = _REACH / digits, _rounded(_shift(size, grows) / digits)
            beyond = _product(self.factor, self.rate, shift)
        derived = {"turns": turns, "turn": turn, "shift": shift, "beyond": beyond}
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def formula(self, step: Tensor) -> Tensor:
        return self.at(terms.real(step))

    def at(self, exponent: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return the product at an exponent, times a scale from 0 to 1."""
        if self.turns:
            is_beyond = exponent > self.turn
            exponent = torch.where(is_beyond, exponent - self.shift, exponent)
        power = terms.power(self.rate, exponent)
        if scale is not None:
            power = power.clamp(max=sys.float_info.max) * scale
        value = power * self.factor
        return torch.where(is_beyond, power * self.beyond, value) if self.turns else value


def _shift(size: float, grows: bool) -> float:
    """Return the binary digits to take out of a power so that no factor leaves the range.

    They are midway between those of the power at ``turn`` and at the end of float64, for a scale
    down to one step in all steps. The remaining power is at most 2**1020.
    """
    digits = math.log2(size)
    return min(1043 - digits / 2, 1020 - digits) if grows else 1037 + digits / 2


def _rounded(number: float) -> float:
    """Round to 40 binary digits, so that differences from whole numbers are exact."""
    mantissa, exponent = math.frexp(number)
    return math.ldexp(round(math.ldexp(mantissa, 40)), exponent - 40)


def _product(factor: float, rate: float, exponent: float) -> float:
    """Return ``factor * rate ** exponent``, rounded once."""
    from decimal import Context, Decimal, localcontext

    with localcontext(Context(prec=60)):
        return float(Decimal(factor) * (Decimal(rate).ln() * Decimal(exponent)).exp())
