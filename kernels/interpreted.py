"""A kernel in PyTorch, for functions that cannot be compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Interpreted:
    """Functions of the step that run in PyTorch at each step: slow, but for any function.

    It has the interface of a :class:`~accelsched.kernels.Kernel`.

    Args:
        function: maps a 0-dim int64 step to tensors of shape [] or [G].
        positions: for each of these tensors the positions of its values.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Sequence[Tensor]],
        positions: Sequence[Sequence[int]],
    ) -> None:
        self._function, self._positions = function, positions
        self.width = sum(map(len, positions))
        self.step = 0
        self.out = np.empty(self.width)

    def run(self) -> int:
        """Compute the values of :attr:`step`, move to the next step, and return 0."""
        self.out[:] = self.at(self.step)
        self.step += 1
        return 0

    def error(self, status: int) -> Exception:
        """Return an exception; never called, as :meth:`run` raises the function's own error."""
        return RuntimeError(f"status {status}")

    def at(self, step: int) -> list[float]:
        """Return the values at a step, by position."""
        values = [0.0] * self.width
        with torch.no_grad():
            tensors = self._function(torch.tensor(step))
        for tensor, places in zip(tensors, self._positions, strict=True):
            for place, value in zip(places, tensor.double().expand(len(places)), strict=True):
                values[place] = value.item()
        return values

    def rows(self, steps: range) -> NDArray[np.float64]:
        """Return the values at steps: float64, shape [steps, width]."""
        rows = [self.at(step) for step in steps]
        return np.array(rows, np.float64).reshape(len(steps), self.width)
