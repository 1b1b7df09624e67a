"""Sums of two float32 numbers: some 46 bits of precision, in float32 operations alone.

The device must round additions and multiplications to nearest, and not reorder them. References:
Dekker, A Floating-Point Technique for Extending the Available Precision, 1971; Joldes, Muller and
Popescu, Tight and Rigorous Error Bounds for Basic Building Blocks of Double-Word Arithmetic, 2017.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

#: A float32 tensor, or a Python number that float32 holds exactly.
Part = Any
# 2**12 + 1 splits 24 bits into two halves whose products are exact.
_SPLITTER = 4097.0
# A quotient of integers below 2**40 that is not whole differs from any whole number by more than
# this, relative to its size; a quotient of two double-floats has a smaller error.
_WHOLE = 2.0**-44


class DoubleFloat(NamedTuple):
    """The number ``high + low``, where ``high`` is the sum rounded to float32."""

    high: Part
    low: Part


def constant(number: float) -> DoubleFloat:
    """Convert a Python number to a double-float."""
    with np.errstate(over="ignore"):
        high = float(np.float32(number))
    return DoubleFloat(high, float(np.float32(number - high)) if math.isfinite(high) else 0.0)


def constants(numbers: Tensor) -> DoubleFloat:
    """Convert a float64 tensor to a double-float."""
    high = numbers.to(torch.float32)
    low = (numbers - high.to(torch.float64)).to(torch.float32)
    return DoubleFloat(high, torch.where(high.isfinite(), low, 0.0))


def whole(numbers: Tensor) -> DoubleFloat:
    """Convert integers to a double-float, exactly up to 48 bits."""
    high = numbers.to(torch.float32)
    return DoubleFloat(high, (numbers - high.to(torch.int64)).to(torch.float32))


def two_sum(a: Part, b: Part) -> DoubleFloat:
    """Return ``a + b``, exactly."""
    high = a + b
    of_b = high - a
    return DoubleFloat(high, (a - (high - of_b)) + (b - of_b))


def fast_two_sum(a: Part, b: Part) -> DoubleFloat:
    """Return ``a + b``, exactly, if ``abs(a) >= abs(b)``."""
    high = a + b
    return DoubleFloat(high, b - (high - a))


def two_product(a: Part, b: Part) -> DoubleFloat:
    """Return ``a * b``, exactly unless a part underflows."""
    high = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return DoubleFloat(high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2)


def _halves(a: Part) -> tuple[Part, Part]:
    """Split a float32 number into two 12-bit numbers."""
    if isinstance(a, float):
        mantissa, exponent = math.frexp(a)
        half = math.ldexp(round(mantissa * 4096), exponent - 12)
        return half, a - half
    scaled = a * _SPLITTER
    half = scaled - (scaled - a)
    return half, a - half


def add(x: DoubleFloat, y: DoubleFloat) -> DoubleFloat:
    """Return ``x + y``; the error is relative to the larger operand."""
    exact = two_sum(x.high, y.high)
    return fast_two_sum(exact.high, _sum(exact.low, _sum(x.low, y.low)))


def negative(x: DoubleFloat) -> DoubleFloat:
    """Return ``-x``."""
    return DoubleFloat(-x.high, -x.low)


def subtract(x: DoubleFloat, y: DoubleFloat) -> DoubleFloat:
    """Return ``x - y``; the error is relative to the larger operand."""
    return add(x, negative(y))


def multiply(x: DoubleFloat, y: DoubleFloat) -> DoubleFloat:
    """Return ``x * y``."""
    if _is_power_of_two(x):
        x, y = y, x
    if _is_power_of_two(y):
        return DoubleFloat(x.high * y.high, x.low * y.high)
    exact = two_product(x.high, y.high)
    cross = _sum(_product(x.high, y.low), _product(x.low, y.high))
    return fast_two_sum(exact.high, _sum(exact.low, cross))


def divide(x: DoubleFloat, y: DoubleFloat) -> DoubleFloat:
    """Return ``x / y``: a float32 quotient, plus the remainder divided by y."""
    quotient = x.high / y.high
    exact = two_product(quotient, y.high)
    rest = _sum((x.high - exact.high) - exact.low, x.low)
    if not _is_zero(y.low):
        rest = rest - quotient * y.low
    return fast_two_sum(quotient, rest / y.high)


def square_root(x: DoubleFloat) -> DoubleFloat:
    """Return the square root: the float32 root, improved by one step of Newton's method."""
    root = torch.sqrt(x.high)
    exact = two_product(root, root)
    rest = (x.high - exact.high) - exact.low + x.low
    return fast_two_sum(root, rest / (root + root + (root == 0).to(torch.float32)))


def difference(x: DoubleFloat, y: DoubleFloat) -> Part:
    """Return ``x - y`` in float32, with the correct sign."""
    return _sum(x.high - y.high, _difference(x.low, y.low))


def where(condition: Tensor, x: DoubleFloat, y: DoubleFloat) -> DoubleFloat:
    """Return ``x`` where the condition holds, else ``y``."""
    return DoubleFloat(_where(condition, x.high, y.high), _where(condition, x.low, y.low))


def floor(x: DoubleFloat) -> DoubleFloat:
    """Round down; a quotient within rounding error of a whole number counts as whole."""
    nearest = _floor(add(x, constant(0.5)))
    is_whole = difference(x, nearest).abs() <= x.high.abs() * _WHOLE
    return where(is_whole, nearest, _floor(x))


def _floor(x: DoubleFloat) -> DoubleFloat:
    high = torch.floor(x.high)
    return fast_two_sum(high, (high == x.high).to(torch.float32) * torch.floor(x.low))


def _is_zero(part: Part) -> bool:
    return isinstance(part, float) and part == 0.0


def _is_power_of_two(x: DoubleFloat) -> bool:
    return _is_zero(x.low) and isinstance(x.high, float) and abs(math.frexp(x.high)[0]) == 0.5


def _sum(a: Part, b: Part) -> Part:
    return b if _is_zero(a) else a if _is_zero(b) else a + b


def _difference(a: Part, b: Part) -> Part:
    return a if _is_zero(b) else -b if _is_zero(a) else a - b


def _product(a: Part, b: Part) -> Part:
    return 0.0 if _is_zero(a) or _is_zero(b) else a * b


def _where(condition: Tensor, a: Part, b: Part) -> Part:
    if isinstance(a, float) and isinstance(b, float):
        # For two Python numbers, torch.where would use the default dtype.
        return 0.0 if a == b == 0.0 else torch.where(condition, torch.tensor(a), b)
    return torch.where(condition, a, b)
