"""exp, log and sin of double-floats, by tables and short series.

No intermediate result is less exact than a double-float. The device's own float32 functions give
only the start of a correction.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from accelsched._recording.double_float.arithmetic import (
    DoubleFloat,
    Part,
    add,
    constant,
    constants,
    divide,
    fast_two_sum,
    multiply,
    negative,
    subtract,
    two_sum,
    where,
)

#: Stands for the logarithm of 0: its exp is 0, and multiplying it gives no NaN.
LOG_OF_ZERO = -(2.0**60)

# exp(x) is a power of 2**(1 / 32) from a table, times the exp of the rest of x, at most 0.011.
_PER_OCTAVE = 32
_FIRST, _LAST = -150 * _PER_OCTAVE, 128 * _PER_OCTAVE - 1
_UNIT_OF_EXP = math.log(2) / _PER_OCTAVE
# sin and cos use a table of 64ths of a turn; the rest is at most 0.05.
_PER_TURN = 64
_UNIT_OF_SIN = 2 * math.pi / _PER_TURN


def exp(x: DoubleFloat) -> DoubleFloat:
    """Return ``e ** x``: 0 below the range of float32, and above it clamped to the last octave."""
    power, rest = _exp(x)
    return add(power, multiply(power, rest))


def expm1(x: DoubleFloat) -> DoubleFloat:
    """Return ``e ** x - 1``, with full precision near 0."""
    power, rest = _exp(x)
    return add(add(power, constant(-1.0)), multiply(power, rest))


def _exp(x: DoubleFloat) -> tuple[DoubleFloat, DoubleFloat]:
    """Split ``e ** x`` into a tabulated ``power`` and an ``r``: it is ``power * (1 + r)``."""
    inside = x.high.clamp(_FIRST * _UNIT_OF_EXP, _LAST * _UNIT_OF_EXP)
    low = x.low * (inside == x.high).to(torch.float32)
    index, rest = _nearest(DoubleFloat(inside, low), _UNIT_OF_EXP)
    power = _entry(_powers_of_two(), index - _FIRST)
    return power, _expm1_of_small(rest)


def _expm1_of_small(x: DoubleFloat) -> DoubleFloat:
    r = x.high
    series = r * r * (r * (r * (r * (1 / 120) + 1 / 24) + 1 / 6) + 0.5)
    return fast_two_sum(r, x.low + (r * x.low + series))


def log(x: DoubleFloat) -> DoubleFloat:
    """Return the natural logarithm; ``LOG_OF_ZERO`` for 0."""
    # log(x) = y + log(x / e**y), where y is the float32 logarithm.
    start = torch.log(x.high)
    rest = _minus_1(multiply(x, exp(DoubleFloat(-start, 0.0))))
    result = two_sum(start, rest - rest * rest * 0.5)
    return where(x.high == 0, DoubleFloat(LOG_OF_ZERO, 0.0), result)


def log1p(x: DoubleFloat) -> DoubleFloat:
    """Return ``log(1 + x)``, with full precision near 0; ``LOG_OF_ZERO`` for -1."""
    shifted = x.high + 1.0
    start = torch.log(shifted) - ((shifted - 1.0) - x.high) / shifted
    # Newton's step for expm1(y) = x.
    reached = expm1(DoubleFloat(start, 0.0))
    rest = divide(subtract(x, reached), add(reached, constant(1.0)))
    near_0 = add(DoubleFloat(start, 0.0), rest)
    return where(x.high > -0.5, near_0, log(add(x, constant(1.0))))


def _minus_1(x: DoubleFloat) -> Part:
    """Return ``x - 1`` in float32, for an x near 1."""
    return (x.high - 1.0) + x.low


def sin(x: DoubleFloat) -> DoubleFloat:
    """Return the sine of an angle in radians."""
    return _sin(x, 0)


def cos(x: DoubleFloat) -> DoubleFloat:
    """Return the cosine of an angle in radians."""
    return _sin(x, _PER_TURN // 4)


def _sin(x: DoubleFloat, ahead: int) -> DoubleFloat:
    """Return the sine of x plus ``ahead`` 64ths of a turn."""
    # sin(a + r) = sin a + (sin a (cos r - 1) + cos a sin r), with a from the table and a small r.
    index, rest = _nearest(x, _UNIT_OF_SIN)
    index = index - (index / _PER_TURN).floor() * _PER_TURN + ahead
    sine, cosine = _entry(_sines(), index), _entry(_sines(), index + _PER_TURN // 4)
    r = rest.high
    square = r * r
    sine_of_rest = fast_two_sum(r, rest.low + r * square * (square * (1 / 120) - 1 / 6))
    cosine_less_1 = square * (square * (1 / 24) - 0.5) - r * rest.low
    return add(
        multiply(cosine, sine_of_rest), add(sine, multiply(sine, DoubleFloat(cosine_less_1, 0.0)))
    )


def _nearest(x: DoubleFloat, unit: float) -> tuple[Tensor, DoubleFloat]:
    """Split x into the nearest multiple of a unit, counted in units, and the rest."""
    index = torch.floor(x.high * (1 / unit) + 0.5)
    return index, subtract(x, multiply(DoubleFloat(index, 0.0), constant(unit)))


def _entry(table: DoubleFloat, index: Tensor) -> DoubleFloat:
    # The index of a NaN is clamped too: the rest of the number remains NaN.
    flat = index.to(torch.int64).clamp(0, table.high.shape[0] - 1).reshape(-1)
    return DoubleFloat(*(part.index_select(0, flat).reshape(index.shape) for part in table))


@functools.cache
def _powers_of_two() -> DoubleFloat:
    return constants(torch.exp2(torch.arange(_FIRST, _LAST + 1, dtype=torch.float64) / _PER_OCTAVE))


@functools.cache
def _sines() -> DoubleFloat:
    """Tabulate the sines of one and a half turns; the sines that are 0 are exact."""
    half = _PER_TURN // 2
    sines = [math.sin(math.pi * (n % half) / half) * (-1) ** (n // half) for n in range(3 * half)]
    return constants(torch.tensor(sines, dtype=torch.float64))


def power(x: DoubleFloat, exponent: DoubleFloat) -> DoubleFloat:
    """Return ``x ** exponent``, for an x that is not negative."""
    result = exp(multiply(log(x), exponent))
    if isinstance(exponent.high, float):
        return result
    # Stairs round powers down, so a power of 1 must not come out slightly smaller.
    return where((exponent.high == 1) & (exponent.low == 0), x, result)


def whole_power(x: DoubleFloat, exponent: int) -> DoubleFloat:
    """Return ``x ** exponent`` by multiplications."""
    result, square = None, x
    count = abs(exponent)
    while count:
        if count % 2:
            result = square if result is None else multiply(result, square)
        count //= 2
        square = multiply(square, square) if count else square
    if result is None:
        return DoubleFloat(x.high * 0 + 1.0, x.high * 0)
    return result if exponent > 0 else divide(constant(1.0), result)


def tanh(x: DoubleFloat) -> DoubleFloat:
    """Return the hyperbolic tangent, with full precision near 0."""
    grown = expm1(DoubleFloat(x.high * 2, x.low * 2))
    return divide(grown, add(grown, constant(2.0)))


def sigmoid(x: DoubleFloat) -> DoubleFloat:
    """Return ``1 / (1 + e ** -x)``."""
    return divide(constant(1.0), add(exp(negative(x)), constant(1.0)))
