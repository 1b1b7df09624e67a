"""What the Python functions of torch's schedulers come to, step by step."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any


class Accumulated:
    """The product of a function's factors up to a step, as far as anyone has asked for it.

    Where it is no longer finite, the last number that is holds.
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
    """The function, or one that does the same and has a hash, as schedules are compared by it."""
    try:
        hash(function)
    except TypeError:
        return functools.partial(function)
    return function
