"""Functions that PyTorch and Python compute differently, for the templates in ``aten.py``."""

from __future__ import annotations

import math

import numpy as np

#: :func:`near_sine` is exact to an ulp up to this magnitude.
NEAR = math.pi / 4


def near_sine(x: float) -> float:
    """Return the sine of a number up to ``NEAR``, to an ulp.

    It has no call and no branch, so LLVM vectorizes it. The polynomial for
    ``(sin(x) / x - 1) / x**2`` was fitted by ``mpmath.chebyfit`` in ``x**2`` with an error of
    2.1e-17, a fifth of an ulp.
    """
    z = x * x
    tail = -2.505113165023518e-08 + z * 1.5918115263265974e-10
    tail = -0.00019841269836756774 + z * (2.7557316101617874e-06 + z * tail)
    return x + x * z * (-0.16666666666666666 + z * (0.008333333333330948 + z * tail))


def sine(x: float) -> float:
    """Return the sine of any number; beyond ``NEAR`` the C library computes it."""
    return near_sine(x) if abs(x) <= NEAR else math.sin(x)


def remainder(a: float, b: float) -> float:
    """Return the remainder of floats, with the sign of the divisor."""
    rest = float(np.fmod(a, b))
    if rest != 0 and (b < 0) != (rest < 0):
        rest += b
    return rest


def floor_divide(a: float, b: float) -> float:
    """Return the quotient of floats, rounded down: ``(a - remainder(a, b)) / b``, made whole."""
    if b == 0:
        return a / b
    rest = float(np.fmod(a, b))
    quotient = (a - rest) / b
    if rest != 0 and (b < 0) != (rest < 0):
        quotient -= 1
    if quotient == 0:
        return math.copysign(0.0, a / b)
    whole = float(np.floor(quotient))
    return whole + 1 if quotient - whole > 0.5 else whole


def trunc_divide(a: int, b: int) -> int:
    """Return the quotient of integers, rounded toward 0."""
    quotient = a // b
    return quotient + 1 if quotient < 0 and quotient * b != a else quotient


def integer_power(base: int, exponent: int) -> int:
    """Return the power of integers; a negative exponent gives 0, except for bases 1 and -1."""
    if exponent < 0:
        if base == 1:
            return 1
        if base == -1:
            return 1 if exponent % 2 == 0 else -1
        return 0
    power = 1
    while exponent:
        if exponent % 2:
            power *= base
        base *= base
        exponent //= 2
    return power
