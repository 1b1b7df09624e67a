"""The Python functions of torch's schedulers, evaluated step by step."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any


class Accumulated:
    """The running product of a function's factors, computed up to the largest step requested.

    A product that is not finite is replaced by the one before it.
    """

    def __init__(self, function: Callable[[int], Any]) -> None:
        self._function, self._products = function, [1.0]

    def __call__(self, step: int) -> float:
        for at in itertools.count(len(self._products)):
            if at > step:
                break
            before = self._products[-1]
            product = before * float(self._function(at))
            self._products.append(product if math.isfinite(product) else before)
        return self._products[step]


def hashable(function: Callable[[int], Any]) -> Callable[[int], Any]:
    """Return the function, in a hashable wrapper if need be: schedules are compared by hash."""
    try:
        hash(function)
    except TypeError:
        return functools.partial(function)
    return function
