"""Values on the host: by machine code, or step by step where a function leaves the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from accelsched.kernels import Kernel
from accelsched.tracing import Untraceable

Function = Callable[[Tensor], Sequence[Tensor]]


class Eager:
    """What a :class:`~accelsched.kernels.Kernel` does, by PyTorch itself: slow, but it takes all.

    Args:
        function: from a 0-dim int64 step to tensors of shape [] or [G].
        positions: for each of these tensors the places of its values.
    """

    def __init__(self, function: Function, positions: Sequence[Sequence[int]]) -> None:
        self._function, self._positions = function, positions
        self.step = 0
        self._last: list[float] = []

    def advance(self) -> list[float]:
        """The values at :attr:`step`, by position, and on to the next one."""
        self._last = self.at(self.step)
        self.step += 1
        return self._last

    def last(self) -> list[float]:
        """The values that ``advance()`` gave last."""
        return list(self._last)

    def stepper(self, optimizer: Optimizer, key: str, indices: Sequence[int]) -> Callable[[], None]:
        """A function that does all of a step on the host: compute, and write to param groups."""

        def step() -> None:
            for index, value in zip(indices, self.advance(), strict=True):
                optimizer.param_groups[index][key] = value

        return step

    def at(self, step: int) -> list[float]:
        """The values at a step, by position."""
        values = [0.0] * sum(map(len, self._positions))
        with torch.no_grad():
            tensors = self._function(torch.tensor(step))
        for tensor, places in zip(tensors, self._positions, strict=True):
            for place, value in zip(places, tensor.double().expand(len(places)), strict=True):
                values[place] = value.item()
        return values

    def rows(self, steps: range) -> NDArray[np.float64]:
        """The values at steps: float64, shape [steps, width]."""
        width = sum(map(len, self._positions))
        return np.array([self.at(step) for step in steps], np.float64).reshape(len(steps), width)


def evaluator(function: Function, positions: Sequence[Sequence[int]] = ((0,),)) -> Kernel | Eager:
    """A kernel, or, for what cannot be compiled, the function itself."""
    try:
        return Kernel(function, positions)
    except Untraceable:
        return Eager(function, positions)
