"""Schedules as machine code for the CPU, by numba; installed as ``accelsched.kernels``.

:func:`host_function` is the entry point. ``lowering`` turns a recorded schedule into ``scalars``,
with the table of operations in ``aten``. ``jit`` compiles their source and keeps the code on disk,
and a :class:`Kernel` runs it. numba is imported only to compile code that is not on disk yet.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from accelsched._recording import Untraceable, record
from accelsched._recording.variables import variables_of
from accelsched.kernels.aten import TABLE
from accelsched.kernels.interpreted import Interpreted
from accelsched.kernels.jit import compiled
from accelsched.kernels.lowering import Lowering
from accelsched.kernels.scalars import HEADER
from accelsched.kernels.watching import Watching

__all__ = ["HostFunction", "Interpreted", "Kernel", "Watching", "host_function"]

#: The status of a failed kernel, and the error that PyTorch would raise.
_ERRORS = {1: ZeroDivisionError, 2: IndexError}
#: This many rows are worth a thread: some 0.1 ms of work, more than it takes to start one.
_ROWS_A_THREAD = 2**16


class Kernel:
    """Functions of the step, compiled to one function of machine code.

    Kernels whose functions differ only in their numbers share the code; each has its own numbers.

    Args:
        function: maps a 0-dim int64 step to tensors of shape [] or [G], as a
            :class:`~accelsched.schedules._vectorize.BatchedFormulas` does.
        positions: for each of these tensors the positions of its values in a row of the result: G
            of them, or any number for a tensor of shape [], whose value is written to all.

    Attributes:
        run: computes the values of :attr:`step`, and moves to the next step. It returns 0, or a
            status that :meth:`error` turns into an exception. It is not a Python function, for
            speed at each step.
        out: float64, shape [width]: the values that ``run()`` computed last, by position.
        functions: the user's functions that were called; the numbers hold their variables' values.

    Raises:
        Untraceable: the function cannot be recorded, or has an operation that cannot be compiled;
            the message names the operation and its line.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Sequence[Tensor]],
        positions: Sequence[Sequence[int]] = ((0,),),
    ) -> None:
        recording = record(function)
        self.functions = recording.functions
        lowering = Lowering(recording, TABLE)
        program = lowering.program
        for output, places in enumerate(positions):
            if len(places) == 1 and not lowering.outputs[output].shape:
                # Without a loop over one group, the loop over the rows is the innermost.
                program.store(lowering.size(places[0]), lowering.output(output, ()))
                continue
            lane = program.loop(lowering.size(len(places)))
            place = program.row_of(places, program.step.dtype).entry(lane)
            index = (lane,) if lowering.outputs[output].shape else ()
            program.store(place, lowering.output(output, index))
        self.width = sum(map(len, positions))
        self._code = compiled(program.source())
        self._reals, self._wholes = program.data()
        self._wholes[: len(HEADER)] = 0, 1, 1, self.width
        self.out = np.empty(self.width)
        self._frame = _frame(self._reals, self.out)
        addresses = self._wholes.ctypes.data, self._frame.ctypes.data
        # Bound once, since a step takes no longer than a few attribute lookups.
        self.run: Callable[[], int] = functools.partial(self._code.call, *addresses)

    @property
    def step(self) -> int:
        """The step whose values are computed next."""
        return int(self._wholes[0])

    @step.setter
    def step(self, step: int) -> None:
        self._wholes[0] = step

    def error(self, status: int) -> Exception:
        """Return the exception for a status that :attr:`run` returned."""
        return _error(status, f"step {self.step}")

    def at(self, step: int) -> list[float]:
        """Return the values at a step, by position; any thread may call this.

        Raises:
            ZeroDivisionError: a schedule divides an integer by zero at this step.
            IndexError: a schedule takes an entry that its table does not have.
        """
        out = np.empty((1, self.width))
        self._fill(range(step, step + 1), out)
        values: list[float] = out[0].tolist()
        return values

    def rows(self, steps: range) -> NDArray[np.float64]:
        """Return the values at steps: float64, [steps, width]; uses all cores, raises as ``at``."""
        out = np.empty((len(steps), self.width))
        parts = max(1, min(_cores(), len(steps) // _ROWS_A_THREAD))
        cuts = [len(steps) * i // parts for i in range(parts + 1)]
        if parts == 1:
            self._fill(steps, out)
            return out
        with ThreadPoolExecutor(parts) as pool:
            tasks = [pool.submit(self._fill, steps[a:b], out[a:b]) for a, b in pairwise(cuts)]
        for task in tasks:
            task.result()
        return out

    def _fill(self, steps: range, out: NDArray[np.float64]) -> None:
        """Write the values at steps into an array, without holding the GIL."""
        wholes = self._wholes.copy()
        wholes[: len(HEADER)] = steps.start, steps.step, len(steps), self.width
        frame = _frame(self._reals, out)
        status = self._code.call_unlocked(wholes.ctypes.data, frame.ctypes.data)
        if status:
            raise _error(status, f"a step of {steps}")


def _frame(reals: NDArray[np.float64], out: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the addresses of the arrays that a kernel reads and writes."""
    return np.array([reals.ctypes.data, out.ctypes.data], dtype=np.intp)


def _error(status: int, where: str) -> Exception:
    return _ERRORS[status & -status](f"a schedule cannot be evaluated at {where}")


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


HostFunction = Kernel | Interpreted | Watching


def host_function(
    function: Callable[[Tensor], Sequence[Tensor]], positions: Sequence[Sequence[int]] = ((0,),)
) -> HostFunction:
    """Return a function for the host: machine code, or PyTorch if it cannot be compiled.

    Variables that a user's function reads are read anew at each step.

    Args:
        function: as for :class:`Kernel`.
        positions: as for :class:`Kernel`.
    """
    made = _compiled_or_not(function, positions)
    reads = variables_of(made.functions) if isinstance(made, Kernel) else []
    if reads is None:
        return Interpreted(function, positions)
    if not reads:
        return made
    return Watching(made, lambda: _compiled_or_not(function, positions), reads)


def _compiled_or_not(
    function: Callable[[Tensor], Sequence[Tensor]], positions: Sequence[Sequence[int]]
) -> Kernel | Interpreted:
    try:
        return Kernel(function, positions)
    except Untraceable:
        return Interpreted(function, positions)
