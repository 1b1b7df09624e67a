"""How does a curve become operations? The road from schedules to values, to be read top to bottom.

You are a ``Linear(0.0, 0.1, 20)``, one of the schedules of an optimizer's param groups. You were
checked when you were built. Here

1. your lowering is chosen: :func:`choose_lowering`;
2. you are grouped with your like, which differ from you in numbers only, and are evaluated with
   them at once: :mod:`accelsched.schedules._vectorize`;
3. your formula, or a look-up in your table (:mod:`.tables`), is recorded as ATen operations:
   :mod:`accelsched._recording`;
4. they become machine code for the host (:func:`lower_to_host`), or what the runtime of a device
   calls there (:func:`lower_to_device`).

Then you are bound to the value of a param group, and stepped: :mod:`accelsched._binding.drivers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from accelsched._lowering import tables
from accelsched._runtimes import Evaluate, Runtime, runtime_of
from accelsched.errors import require
from accelsched.schedules import Schedule
from accelsched.schedules._vectorize import BatchedFormulas, group_by_structure, per_group

if TYPE_CHECKING:
    from accelsched.kernels import HostFunction

#: What a user may ask for by ``lowering=``; None for the default.
LOWERINGS = (None, "graph", "table", "host")


def choose_lowering(
    asked: str | None, schedules: Sequence[Schedule], runtime: Runtime, holds_tensors: bool
) -> str:
    """Choose how values are computed: ``"host"``, ``"table"`` or ``"graph"``.

    Args:
        asked: one of :data:`LOWERINGS`.
        schedules: what is to be evaluated.
        runtime: that of the parameters.
        holds_tensors: whether a param group has a tensor for its value.

    Raises:
        ArgumentError: the schedules or the runtime cannot have what is asked for.
    """
    if asked == "table":
        tables.require_tables(schedules)
    if asked == "host":
        require(not runtime.traces_once, "lowering", asked, "the system runs no Python")
    if asked is not None:
        return asked
    # In eager PyTorch on the CPU nothing is faster than a Python float; who gives a tensor wants
    # to compile the step.
    if not runtime.on_device and not holds_tensors:
        return "host"
    # PyTorch's lazy back end traces a formula in several times as long as a look-up, at every step
    # (benchmarks/training.py). torch_xla calls either as one operation, but a formula is computed
    # in float64, which a TPU has in software only. Without float64 a formula in double-float
    # arithmetic takes hundreds of operations.
    prefers_tables = runtime.traces_every_step or not runtime.has_float64
    if prefers_tables and tables.fit(schedules):
        return "table"
    # Elsewhere a formula is compiled once, and needs no memory.
    return "graph"


def lower_to_host(schedules: Sequence[Schedule]) -> HostFunction:
    """Return a function on the host from the step to the groups' float64 values.

    Args:
        schedules: one for each group.
    """
    from accelsched.kernels import host_function  # and with it the compiler, which no device needs

    batches = group_by_structure(schedules, [torch.float64] * len(schedules))
    formulas = BatchedFormulas(batches, torch.device("cpu"))
    return host_function(formulas, [batch.positions for batch in batches])


def lower_to_device(
    schedules: Sequence[Schedule],
    dtypes: Sequence[torch.dtype],
    device: torch.device,
    lowering: str,
    *,
    least: Sequence[float | None] | None = None,
    advances: bool = True,
) -> Evaluate:
    """Return a function on a device from the counter to the groups' values, each of shape [].

    Args:
        schedules: one for each group.
        dtypes: that of the value of each group.
        device: where the counter is.
        lowering: ``"graph"`` or ``"table"``.
        least: for each group the value that replaces any smaller one, or None.
        advances: whether the function first moves the counter on by a step, and returns it in front
            of the values; if not, these are the values at the counter as it is.

    Raises:
        Untraceable: a user's function cannot be traced, on a device that has to.
    """
    batches = group_by_structure(schedules, dtypes, least)

    def evaluation(device: torch.device) -> Evaluate:
        table = lowering == "table"
        batched = tables.BatchedTables(batches) if table else BatchedFormulas(batches, device)
        values = per_group(batches, batched)

        def next_values(counter: Tensor) -> list[Tensor]:
            counter = counter + 1
            return [counter, *values(counter)]

        return next_values if advances else values

    with torch.no_grad():
        return runtime_of(device).lower(evaluation, device)
