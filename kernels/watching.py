"""A host function for users' functions that read variables, with the variables' current values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Watching:
    """A host function that is rebuilt when a variable refers to another object.

    It has the interface of a :class:`~accelsched.kernels.Kernel`.

    Args:
        function: the current host function.
        make: makes the host function from the variables' current values.
        reads: functions that read the variables, one each.
    """

    def __init__(
        self, function: Any, make: Callable[[], Any], reads: Sequence[Callable[[], Any]]
    ) -> None:
        self._function, self._make, self._reads = function, make, reads
        self._seen = [read() for read in reads]
        self.width: int = function.width
        self.out = np.empty(self.width)

    def _current(self) -> Any:
        """Return the function for the variables' current values."""
        now = [read() for read in self._reads]
        if not all(map(operator.is_, now, self._seen)):
            step = self._function.step
            self._function, self._seen = self._make(), now
            self._function.step = step
        return self._function

    def run(self) -> int:
        """Compute the values of :attr:`step`, move to the next step, and return the status."""
        function = self._current()
        status: int = function.run()
        self.out[:] = function.out
        return status

    @property
    def step(self) -> int:
        """The step whose values are computed next."""
        return int(self._function.step)

    @step.setter
    def step(self, step: int) -> None:
        self._function.step = step

    def error(self, status: int) -> Exception:
        """Return the exception for a status that :meth:`run` returned."""
        error: Exception = self._function.error(status)
        return error

    def at(self, step: int) -> list[float]:
        """Return the values at a step, by position."""
        values: list[float] = self._current().at(step)
        return values

    def rows(self, steps: range) -> NDArray[np.float64]:
        """Return the values at steps: float64, shape [steps, width]."""
        rows: NDArray[np.float64] = self._current().rows(steps)
        return rows
