"""A Python function that is called at each step, as torch calls it: on the host only."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched.schedules import Schedule


@dataclass(frozen=True)
class Called(Schedule):
    """What a function says at each step, without end and without a table.

    Args:
        function: from the step, an int, to a number.
    """

    function: Callable[..., Any]

    def formula(self, step: Tensor) -> Tensor:
        values = [float(self.function(at)) for at in step.flatten().tolist()]
        return torch.tensor(values, dtype=torch.float64).reshape(step.shape)


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
