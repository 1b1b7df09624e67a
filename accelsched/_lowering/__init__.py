"""The path from schedules to operations that compute their values. Read it top to bottom.

Take ``Linear(0.0, 0.1, 20)``, the schedule of a param group. It was checked when it was built. Then

1. :func:`is_for_host` decides whether the host computes the values;
2. schedules that differ only in their numbers are grouped and evaluated at once:
   :mod:`accelsched.schedules._vectorize`;
3. on a device, a lowering is chosen that suits the curve and the back end: polynomials
   (:mod:`.segments`), a table (:mod:`.tables`), or the formula;
4. the evaluation is recorded as ATen operations: :mod:`accelsched._recording`;
5. the operations become machine code for the host (:func:`lower_to_host`), or a function that the
   runtime of a device calls (:func:`lower_to_device`).

A driver then writes the values to the param groups: :mod:`accelsched._binding.drivers`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from accelsched._lowering import segments, tables
from accelsched._lowering.fitting import NotFitted
from accelsched._runtimes import Evaluate, Runtime, runtime_of
from accelsched._runtimes.one_kernel import OneKernel
from accelsched._runtimes.packed_curves import Curves, pack
from accelsched.errors import require
from accelsched.schedules import Schedule
from accelsched.schedules._fields import MAX_STEP
from accelsched.schedules._vectorize import (
    Batch,
    BatchedFormulas,
    group_by_structure,
    per_group,
)

if TYPE_CHECKING:
    from accelsched.kernels import HostFunction

#: The values that ``lowering=`` accepts; None selects the default.
LOWERINGS = (None, "graph", "segments", "table", "host")


def is_for_host(
    asked: str | None, runtime: Runtime, holds_tensors: bool, takes_tensors: bool
) -> bool:
    """Return whether the host computes the values, as Python floats.

    Args:
        asked: one of :data:`LOWERINGS`.
        runtime: the runtime of the parameters.
        holds_tensors: whether a param group holds its value as a tensor.
        takes_tensors: whether the optimizer is built for a tensor, on a runtime that takes floats.

    Raises:
        ArgumentError: the user gave ``"host"``, and the runtime runs no Python at each step.
    """
    if asked == "host":
        require(not runtime.traces_once, "lowering", asked, "Cerebras runs no Python: leave it out")
    # In eager PyTorch a Python float is fastest; a user who gives a tensor wants to compile or
    # capture the step. On CUDA an optimizer that is not built for a tensor reads it once for each
    # parameter, and falls back from its foreach form to a loop.
    takes_floats = not runtime.on_device or (runtime.takes_floats and not takes_tensors)
    return asked == "host" or (asked is None and takes_floats and not holds_tensors)


def lower_to_host(schedules: Sequence[Schedule]) -> HostFunction:
    """Return a host function that maps the step to the groups' float64 values.

    Args:
        schedules: one for each group.
    """
    from accelsched.kernels import host_function  # imported here, as no device needs the compiler

    batches = group_by_structure(schedules, [torch.float64] * len(schedules))
    # Machine code reads its numbers from arrays in any case.
    formulas = BatchedFormulas(batches, torch.device("cpu"), as_data=False)
    return host_function(formulas, [batch.positions for batch in batches])


class Lowered(NamedTuple):
    """Schedules that are lowered for a device.

    Attributes:
        name: the lowering, one of :data:`LOWERINGS`.
        evaluate: maps the counter to the groups' values, each of shape []; with ``advances``, the
            next counter comes before them.
        end: the values are valid before this step.
        beyond: makes a lowering that is valid at all steps.
        rooms: the capacity of its constants, for other numbers.
        refill: writes these schedules' numbers into ``evaluate``, which has computed other
            schedules so far; None if ``evaluate`` is new.
        reason: why this is not the default lowering; None if it is, or if the user gave it.
        kernel: does a whole step in one launch, in place of ``evaluate``; None if there is none.
    """

    name: str
    evaluate: Evaluate
    end: int
    beyond: Callable[[], Lowered]
    rooms: Sequence[Any] = ()
    refill: Callable[[], None] | None = None
    reason: str | None = None
    kernel: OneKernel | None = None


def lower_to_device(
    schedules: Sequence[Schedule],
    dtypes: Sequence[torch.dtype],
    device: torch.device,
    asked: str | None,
    *,
    held: Lowered | None = None,
    least: Sequence[float | None] | None = None,
    advances: bool = True,
    tensors: Sequence[Tensor] | None = None,
) -> Lowered:
    """Choose a lowering for schedules, and lower them.

    Args:
        schedules: one for each group.
        dtypes: the dtype of each group's value.
        device: where the counter is.
        asked: one of :data:`LOWERINGS` except ``"host"``.
        held: the earlier result for the same groups. If these schedules differ from its schedules
            only in their numbers, it is reused: ``refill`` overwrites its numbers in place.
        least: for each group the value that replaces any smaller one, or None.
        advances: whether the function adds 1 to the counter and returns the sum before the values;
            if not, it returns the values at the counter.
        tensors: the counter and the tensors that the values are copied to; None if other operations
            use the values first.

    Raises:
        ArgumentError: the schedules cannot have the lowering that the user gave.
        Untraceable: a user's function cannot be traced, on a device that must trace it.
    """
    batches = group_by_structure(schedules, dtypes, least)
    runtime = runtime_of(device)
    one_kernel = tensors is not None and runtime.has_one_kernel(tensors)
    chosen = _choose(asked, batches, runtime, held, one_kernel)

    def evaluation(device: torch.device) -> Evaluate:
        values = per_group(batches, chosen.evaluation(device))

        def next_values(counter: Tensor) -> list[Tensor]:
            counter = counter + 1
            return [counter, *values(counter)]

        return next_values if advances else values

    beyond = functools.partial(
        lower_to_device, schedules, dtypes, device, "graph", least=least, advances=advances
    )
    kernel: OneKernel | None = None
    # State that is created in inference mode cannot be updated outside it.
    with torch.inference_mode(False), torch.no_grad():
        refill = None if held is None else runtime.refill(held.evaluate, evaluation)
        if held is not None and refill is not None:
            evaluate = held.evaluate
        else:
            evaluate = runtime.lower(evaluation, device)
        if tensors is not None and one_kernel and chosen.curves is not None:
            before = held.kernel if held is not None and refill is not None else None
            kernel, also = _in_one_kernel(chosen.curves(), tensors, runtime, before)
            refill = also if refill is None else _both(refill, also)
    rooms, reason = chosen.rooms, chosen.reason
    return Lowered(chosen.name, evaluate, chosen.end, beyond, rooms, refill, reason, kernel)


def _in_one_kernel(
    curves: Sequence[Curves], tensors: Sequence[Tensor], runtime: Runtime, held: OneKernel | None
) -> tuple[OneKernel | None, Callable[[], None] | None]:
    """Return a kernel for these curves; if it is ``held``, also what writes the curves into it."""
    packed = pack(curves)
    refill = None if held is None else held.refill(packed)
    return (held, refill) if refill else (runtime.one_kernel(packed, tensors), None)


def _both(one: Callable[[], None], other: Callable[[], None] | None) -> Callable[[], None]:
    def write() -> None:
        one()
        if other is not None:
            other()

    return write


class _Choice(NamedTuple):
    """A chosen lowering; the fields are those of :class:`Lowered`, with two more.

    ``evaluation`` makes the evaluation for a device; ``curves`` returns its rows for one kernel.
    """

    name: str
    evaluation: Callable[[torch.device], Evaluate]
    end: int = MAX_STEP
    rooms: Sequence[Any] = ()
    reason: str | None = None
    curves: Callable[[], Sequence[Curves]] | None = None


def _choose(
    asked: str | None,
    batches: Sequence[Batch],
    runtime: Runtime,
    held: Lowered | None = None,
    one_kernel: bool = False,
) -> _Choice:
    """Choose a lowering, with at least the capacity of ``held`` where that is the same lowering."""
    if asked == "segments":
        return _of_segments(segments.required(batches, _rooms("segments", held)))
    if asked == "table":
        tables.require_tables(batches)
        return _of_tables(batches, held)
    if asked == "graph":
        return _of_formulas(batches)
    # A formula that is compiled once needs no memory, and is exact in float64. With torch.compile a
    # training step takes as long with either (benchmarks/training.py compile).
    wide = any(batch.dtype == torch.float64 for batch in batches)
    if wide or not (runtime.traces_every_step or not runtime.has_float64 or one_kernel):
        return _of_formulas(batches)
    # Segments take some 20 operations and a few KB. A back end that traces every step pays for each
    # operation; without float64 a formula takes hundreds. In eager CUDA each operation is a kernel
    # of some 5 us on the host: a formula takes 35, segments take 25
    # (benchmarks/report/cuda-lowerings.json). With Triton, segments or a table are one kernel.
    try:
        return _of_segments(segments.BatchedSegments(batches, _rooms("segments", held)))
    except NotFitted as error:
        # Use a table if it is small enough, else the formula. An example is a wave from 0 whose
        # height decays: Cyclic's "exp_range" from 0. Each of its two factors fits segments, but the
        # product of both takes 48 operations and is off by 2.5 ulps, as each factor is off by
        # almost an ulp. A product within one ulp takes double-floats, which is the formula again.
        has_tables = tables.fit(batches)
        other = _of_tables(batches, held) if has_tables else _of_formulas(batches)
        return other._replace(reason=str(error))


def _rooms(name: str, held: Lowered | None) -> Sequence[Any]:
    return held.rooms if held is not None and held.name == name else ()


def _of_segments(batched: segments.BatchedSegments) -> _Choice:
    rooms, curves = batched.rooms, batched.curves
    return _Choice("segments", lambda device: batched, batched.end, rooms, curves=curves)


def _of_tables(batches: Sequence[Batch], held: Lowered | None) -> _Choice:
    batched = tables.BatchedTables(batches, _rooms("table", held))
    return _Choice("table", lambda device: batched, rooms=batched.rooms, curves=batched.curves)


def _of_formulas(batches: Sequence[Batch]) -> _Choice:
    return _Choice("graph", functools.partial(BatchedFormulas, batches))
