"""A number times a power, which is finite though the power alone may not be."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accelsched.schedules import terms
from accelsched.schedules.base import Schedule

#: Steps are below it, and so is every exponent.
_MOST_STEPS = 2.0**62
#: Binary digits by which a power may grow or fall before it is taken from elsewhere.
_REACH = 1000
#: From 2**-1022 on float64 loses digits; those of a number up to this times such a power may go.
_SMALL = 2.0**52


@dataclass(frozen=True)
class Power(Schedule):
    """``factor * rate ** exponent``; 0 for a factor of 0, finite wherever the product is.

    Where the power leaves the range of float64 and the product may not, ``rate ** shift`` is taken
    out of it beyond the exponent ``turn``: the rest is ``beyond * rate ** (exponent - shift)``.
    Nothing is done for the usual decays, of a factor that is not huge.

    Args:
        factor: what the power is multiplied by.
        rate: the base of the power, not negative.
        is_scaled: whether :meth:`at` is given fractions that the product is multiplied by.
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
            object.__setattr__(self, "rate", 1.0)  # no infinity that is multiplied by 0
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
        """The product at an exponent, times a scale from 0 to 1."""
        if self.turns:
            is_beyond = exponent > self.turn
            exponent = torch.where(is_beyond, exponent - self.shift, exponent)
        power = terms.power(self.rate, exponent)
        if scale is not None:
            power = power.clamp(max=sys.float_info.max) * scale
        value = power * self.factor
        return torch.where(is_beyond, power * self.beyond, value) if self.turns else value


def _shift(size: float, grows: bool) -> float:
    """The binary digits to take out of a power, with which no factor leaves the range.

    They are midway between those of the power at ``turn`` and at the end of float64, for a scale
    down to that of one step in all. What is left is at most 2**1020.
    """
    digits = math.log2(size)
    return min(1043 - digits / 2, 1020 - digits) if grows else 1037 + digits / 2


def _rounded(number: float) -> float:
    """To 40 digits, so that its difference from a whole number is exact."""
    mantissa, exponent = math.frexp(number)
    return math.ldexp(round(math.ldexp(mantissa, 40)), exponent - 40)


def _product(factor: float, rate: float, exponent: float) -> float:
    """``factor * rate ** exponent``, rounded once."""
    from decimal import Context, Decimal, localcontext

    with localcontext(Context(prec=60)):
        return float(Decimal(factor) * (Decimal(rate).ln() * Decimal(exponent)).exp())
