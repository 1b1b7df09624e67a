"""Schedules as programs for other compilers: pure functions (counter) -> (counter + 1, values)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from accelsched._binding.scheduler import Scheduler
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._vectorize import BatchedFormulas, group_by_structure, per_group

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["program", "stablehlo"]


class _Step(torch.nn.Module):
    """One step as a pure function: StableHLO text silently drops writes to a buffer."""

    def __init__(self, schedules: tuple[Schedule, ...]) -> None:
        super().__init__()
        alike = group_by_structure(schedules, [torch.float64] * len(schedules))
        self._values = per_group(alike, BatchedFormulas(alike, torch.device("cpu"), as_data=False))

    def forward(self, counter: Tensor) -> tuple[Tensor, ...]:
        return counter + 1, *self._values(counter)


def program(source: Schedule | Scheduler) -> ExportedProgram:
    """Return one step of a schedule or a scheduler as a ``torch.export`` program, on the CPU.

    The input of the program is the step counter, int64 of shape []. Its outputs are the counter of
    the next step and the values at this step, each float64 of shape []. A schedule has one value, a
    scheduler one for each driven param group.

    Args:
        source: a schedule, or a scheduler.

    Raises:
        ArgumentError: ``source`` is neither, or a scheduler whose values depend on earlier values.

    Example:
        >>> from accelsched.schedules import Linear
        >>> exported = program(Linear(initial=0.0, end=0.1, total_iters=100))
        >>> exported.module()(torch.tensor(50))
        (tensor(51), tensor(0.0500, dtype=torch.float64))
    """
    if isinstance(source, Schedule):
        schedules: tuple[Schedule, ...] = (source,)
    elif isinstance(source, Scheduler):
        schedules = source.in_force
    else:
        raise ArgumentError("source", source, "give a schedule or a scheduler")
    pure = bool(schedules)
    require(pure, "source", source, "its values depend on earlier ones: export a schedule instead")
    from torch.export import export  # a compiler, and slow to import

    return export(_Step(schedules), (torch.tensor(1),))


def stablehlo(source: Schedule | Scheduler) -> str:
    """Return the text of :func:`program` in StableHLO, tables included; needs torch_xla.

    Its function ``main`` takes the counter and returns the next counter and the values, in
    float64::

        print(accelsched.export.stablehlo(Linear(initial=0.0, end=0.1, total_iters=100)))

    Args:
        source: a schedule, or a scheduler.

    Raises:
        ArgumentError: as for :func:`program`.
    """
    from torch_xla import stablehlo as torchs

    default = torch.get_default_dtype()
    try:
        # The numbers of the program become tensors of the default dtype.
        torch.set_default_dtype(torch.float64)
        module: Any = torchs.exported_program_to_stablehlo(program(source))
    finally:
        torch.set_default_dtype(default)
    text: str = module.get_stablehlo_text("forward")
    bundle = module._bundle
    constants = {}
    for position, location in enumerate(bundle.stablehlo_funcs[0].meta.input_locations):
        if location.type_ == torchs.VariableType.CONSTANT:
            constants[f"%arg{position}"] = bundle.additional_constants[location.position]
        elif location.type_ == torchs.VariableType.PARAMETER:
            constants[f"%arg{position}"] = bundle.state_dict[location.name]
    return _inlined(text, constants)


def _inlined(text: str, constants: dict[str, Any]) -> str:
    """Replace some arguments of the text's function by constants."""
    head = re.search(r"func\.func @main\((.*?)\) -> .*\{\n", text)
    assert head is not None
    kinds = dict(argument.split(": ", 1) for argument in head[1].split(", "))
    lines = [
        f'    {name} = stablehlo.constant dense<"0x{np.asarray(number).tobytes().hex()}"> : '
        f"{kinds.pop(name)}\n"
        for name, number in constants.items()
    ]
    left = ", ".join(f"{name}: {kind}" for name, kind in kinds.items())
    signature = head[0].replace(head[1], left, 1)
    return text[: head.start()] + signature + "".join(lines) + text[head.end() :]
