"""The numba lowering: schedules as machine code for the CPU; installed as ``accelsched.kernels``.

``lowering`` brings a recorded schedule down to ``scalars`` by the table of operations in ``aten``,
``jit`` compiles their source and keeps it on disk, and a :class:`Kernel` runs it. numba is imported
only to compile what is not on disk.
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
from torch.optim import Optimizer

from accelsched.kernels.aten import TABLE
from accelsched.kernels.groups import Writer
from accelsched.kernels.jit import compiled
from accelsched.kernels.lowering import Lowering
from accelsched.kernels.scalars import HEADER
from accelsched.tracing import record

__all__ = ["Kernel"]

#: What a kernel returns if something went wrong, and the error that PyTorch would raise.
_ERRORS = {1: ZeroDivisionError, 2: IndexError}
#: As many rows are worth a thread of their own: some 0.1 ms of work, and less to start it.
_ROWS_A_THREAD = 2**16


class Kernel:
    """Functions of the step as one function of machine code.

    Kernels whose functions differ in numbers only share the code; each has its own numbers.

    Args:
        function: from a 0-dim int64 step to tensors of shape [] or [G], as a
            :class:`~accelsched.schedules.stacking.Evaluation` is.
        positions: for each of these tensors the places of its values in a row of the result: G of
            them, or any number for a tensor of shape [], whose value is written to all.

    Raises:
        Untraceable: the function leaves the graph, or has an operation that is not compiled; the
            error names it, and the line that it comes from.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Sequence[Tensor]],
        positions: Sequence[Sequence[int]] = ((0,),),
    ) -> None:
        lowering = Lowering(record(function), TABLE)
        program = lowering.program
        for output, places in enumerate(positions):
            if len(places) == 1 and not lowering.outputs[output].shape:
                # No loop over one, so that the loop over the rows is the inner one.
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
        self._out = np.empty(self.width)
        self._frame = _frame(self._reals, self._out)
        addresses = self._wholes.ctypes.data, self._frame.ctypes.data
        # Bound here, since a step takes no longer than to look a few things up.
        self._run = functools.partial(self._code.call, *addresses)

    @property
    def step(self) -> int:
        """The step whose values are computed next."""
        return int(self._wholes[0])

    @step.setter
    def step(self, step: int) -> None:
        self._wholes[0] = step

    def advance(self) -> list[float]:
        """The values at :attr:`step`, by position, and on to the next one. Raises as :meth:`at`."""
        status = self._run()
        if status:
            raise _error(status, f"step {self.step}")
        return self.last()

    def last(self) -> list[float]:
        """The values that were computed last."""
        values: list[float] = self._out.tolist()
        return values

    def stepper(self, optimizer: Optimizer, key: str, indices: Sequence[int]) -> Callable[[], None]:
        """A function that does all of a step on the host: compute, and write to param groups."""
        run, value, (first, *others) = self._run, self._out.item, indices

        def step_one() -> None:
            status = run()
            if status:
                raise _error(status, f"step {self.step}")
            optimizer.param_groups[first][key] = value()

        if not others:
            return step_one
        writer = Writer(self._out, key, indices)
        put = writer.put

        def step() -> None:
            status = run()
            if status:
                raise _error(status, f"step {self.step}")
            groups = optimizer.param_groups
            # Loading a state replaces them.
            if groups is not writer.groups:
                writer.take(groups)
            put()

        return step

    def at(self, step: int) -> list[float]:
        """The values at a step, by position; any thread may ask.

        Raises:
            ZeroDivisionError: a schedule divides an integer by zero at this step.
            IndexError: a schedule takes an entry that its table has not.
        """
        out = np.empty((1, self.width))
        self._fill(range(step, step + 1), out)
        values: list[float] = out[0].tolist()
        return values

    def rows(self, steps: range) -> NDArray[np.float64]:
        """The values at steps, on all cores: float64, shape [steps, width]; raises as ``at``."""
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
        wholes = self._wholes.copy()
        wholes[: len(HEADER)] = steps.start, steps.step, len(steps), self.width
        frame = _frame(self._reals, out)
        status = self._code.call_unlocked(wholes.ctypes.data, frame.ctypes.data)
        if status:
            raise _error(status, f"a step of {steps}")


def _frame(reals: NDArray[np.float64], out: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.array([reals.ctypes.data, out.ctypes.data], dtype=np.intp)


def _error(status: int, where: str) -> Exception:
    return _ERRORS[status & -status](f"a schedule cannot be evaluated at {where}")


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
