"""How does a curve become operations? The road from schedules to values, to be read top to bottom.

You are a ``Linear(0.0, 0.1, 20)``, one of the schedules of an optimizer's param groups. You were
checked when you were built. Here

1. it is decided whether the host computes your values: :func:`is_for_host`;
2. you are grouped with your like, which differ from you in numbers only, and are evaluated with
   them at once: :mod:`accelsched.schedules._vectorize`;
3. on a device, your lowering is chosen, as your curve or the back end asks for it: polynomials
   (:mod:`.segments`), a table (:mod:`.tables`), or your formula;
4. what evaluates you is recorded as ATen operations: :mod:`accelsched._recording`;
5. they become machine code for the host (:func:`lower_to_host`), or what the runtime of a device
   calls there (:func:`lower_to_device`).

Then you are bound to the value of a param group, and stepped: :mod:`accelsched._binding.drivers`.
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

#: What a user may ask for by ``lowering=``; None for the default.
LOWERINGS = (None, "graph", "segments", "table", "host")


def is_for_host(
    asked: str | None, runtime: Runtime, holds_tensors: bool, takes_tensors: bool
) -> bool:
    """Whether values are Python floats, computed on the host.

    Args:
        asked: one of :data:`LOWERINGS`.
        runtime: that of the parameters.
        holds_tensors: whether a param group has a tensor for its value.
        takes_tensors: whether the optimizer is built to take one, where floats are as good.

    Raises:
        ArgumentError: the runtime cannot have what is asked for.
    """
    if asked == "host":
        require(not runtime.traces_once, "lowering", asked, "the system runs no Python")
    # In eager PyTorch nothing is faster than a Python float; who gives a tensor wants to compile or
    # to capture the step. On CUDA an optimizer that is not built for it reads a tensor once for
    # each parameter, and leaves its foreach form for a loop.
    takes_floats = not runtime.on_device or (runtime.takes_floats and not takes_tensors)
    return asked == "host" or (asked is None and takes_floats and not holds_tensors)


def lower_to_host(schedules: Sequence[Schedule]) -> HostFunction:
    """Return a function on the host from the step to the groups' float64 values.

    Args:
        schedules: one for each group.
    """
    from accelsched.kernels import host_function  # and with it the compiler, which no device needs

    batches = group_by_structure(schedules, [torch.float64] * len(schedules))
    # Machine code has the numbers apart from it as it is.
    formulas = BatchedFormulas(batches, torch.device("cpu"), as_data=False)
    return host_function(formulas, [batch.positions for batch in batches])


class Lowered(NamedTuple):
    """Schedules on a device.

    Attributes:
        name: the lowering.
        evaluate: from the counter to the values of the groups, each of shape [].
        end: the step before which the values hold.
        beyond: makes what holds at all steps.
        rooms: how much room its constants have for other numbers.
        refill: writes these schedules' numbers into ``evaluate``, which has computed the values of
            others so far; None if it is new.
        reason: why this is not the lowering that is the default; None if it is, or was asked for.
        kernel: what does a step in one launch, in the place of ``evaluate``, if anything does.
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
        dtypes: that of the value of each group.
        device: where the counter is.
        asked: one of :data:`LOWERINGS` but ``"host"``.
        held: what was made for the same groups before. If these schedules are the same operations
            with other numbers, it is used again, and its numbers are written in place.
        least: for each group the value that replaces any smaller one, or None.
        advances: whether the function first moves the counter on by a step, and returns it in front
            of the values; if not, these are the values at the counter as it is.
        tensors: the counter, and what the values are written to, as they are; None if they are
            operands of something else.

    Raises:
        ArgumentError: the schedules cannot have the lowering that is asked for.
        Untraceable: a user's function cannot be traced, on a device that has to.
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
    # State that is made in inference mode could not be updated outside of it.
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
    """Return a kernel of these curves, and what writes them into one that is held already."""
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
    """A lowering: its name, what makes it for a device, until when it holds, and its rooms.

    The reason is why this is not the default.
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
    """Choose a lowering; where it has room for more numbers, as much as what is held has."""
    if asked == "segments":
        return _of_segments(segments.required(batches, _rooms("segments", held)))
    if asked == "table":
        tables.require_tables(batches)
        return _of_tables(batches, held)
    if asked == "graph":
        return _of_formulas(batches)
    # Where a formula is compiled once, it needs no memory, and is exact in float64 parameters. By
    # torch.compile a training step takes as long with either (benchmarks/training.py compile).
    wide = any(batch.dtype == torch.float64 for batch in batches)
    if wide or not (runtime.traces_every_step or not runtime.has_float64 or one_kernel):
        return _of_formulas(batches)
    # A back end that traces every step takes longer for each operation, and one without float64
    # takes hundreds of them for a formula: segments are some twenty, of a few kilobytes. In eager
    # CUDA each operation is a kernel, of some 5 us on the host: a formula is 35 of them, segments
    # are 25 (benchmarks/report/cuda-lowerings.json), and one with Triton, as tables are.
    try:
        return _of_segments(segments.BatchedSegments(batches, _rooms("segments", held)))
    except NotFitted as error:
        # It has ever more parts that differ. A table holds them, up to a size; a formula does. Such
        # is a wave whose height decays, but not to a constant: Cyclic's "exp_range" from 0. It is a
        # product of two curves that are segments, which does not help: evaluated apart and then
        # multiplied it is 48 operations, and off by 2.5 ulps. As the factors are off by almost an
        # ulp each, a product within one takes pairs of float32, which is the formula again.
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
