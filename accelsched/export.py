"""Schedules as programs for other compilers: the pure (counter) -> (counter + 1, values)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from accelsched.errors import ArgumentError, require
from accelsched.scheduler import Scheduler
from accelsched.schedules import Schedule

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class _Step(torch.nn.Module):
    """Pure, since StableHLO text drops what is written to a buffer, without an error."""

    def __init__(self, schedules: tuple[Schedule, ...]) -> None:
        super().__init__()
        self._schedules = schedules

    def forward(self, counter: Tensor) -> tuple[Tensor, ...]:
        values = [schedule.formula(counter).to(torch.float64) for schedule in self._schedules]
        return counter + 1, *values


def program(source: Schedule | Scheduler) -> ExportedProgram:
    """One step as a ``torch.export`` program, on the CPU.

    Its input is the counter, int64 of shape []; its outputs are the counter of the next step, and
    the float64 value at this one, of shape []: one, or for a scheduler one a driven group.

    Args:
        source: a schedule, or a scheduler.

    Raises:
        ArgumentError: this is neither, or a scheduler without a pure schedule.
    """
    if isinstance(source, Schedule):
        schedules: tuple[Schedule, ...] = (source,)
    elif isinstance(source, Scheduler):
        schedules = source.schedules
    else:
        raise ArgumentError("source", source, "give a schedule or a scheduler")
    pure = bool(schedules)
    require(pure, "source", source, "its values depend on those before them: it cannot be exported")
    from torch.export import export  # a compiler, and slow to import

    return export(_Step(schedules), (torch.tensor(1),))


def stablehlo(source: Schedule | Scheduler) -> str:
    """The text of :func:`program` in StableHLO; needs torch_xla."""
    from torch_xla.stablehlo import exported_program_to_stablehlo

    module: Any = exported_program_to_stablehlo(program(source))
    text: str = module.get_stablehlo_text("forward")
    return text
