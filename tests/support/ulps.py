"""The one comparison of the suite: distances in float32 ulps (units in the last place)."""

import numpy as np


def float32_ulps(got: float, want: float) -> float:
    """Return the distance of two numbers in float32 ulps, with both rounded to float32 first."""
    with np.errstate(over="ignore"):
        a, b = np.float32(got), np.float32(want)
    if np.isnan(a) and np.isnan(b):
        return 0
    if np.isnan(a) or np.isnan(b):
        return float("inf")
    return abs(_ordinal(a) - _ordinal(b))


def _ordinal(value: np.float32) -> int:
    bits = int(value.view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)
