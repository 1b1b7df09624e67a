"""Schedules as tables on the device: computed once in float64, rounded once, then looked up.

A step takes the same three operations for any schedule. Tables are the default for curves that
settle but need too many segments, and serve ``lowering="table"``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accelsched._runtimes.packed_curves import Curves
from accelsched.errors import require
from accelsched.schedules._fields import MAX_STEP
from accelsched.schedules._vectorize import Batch

#: The most numbers in all tables of a scheduler together: 16 MiB of float32.
MAX_NUMBERS = 2**22


def fit(batches: Sequence[Batch]) -> bool:
    """Return whether tables within :data:`MAX_NUMBERS` hold all values of these schedules."""
    size = _size(batches)
    return size is not None and size <= MAX_NUMBERS


def require_tables(batches: Sequence[Batch]) -> None:
    """Raise unless tables within :data:`MAX_NUMBERS` hold all values of these schedules.

    Raises:
        ArgumentError: a schedule never settles, or the tables would be too large.
    """
    schedules = [schedule for batch in batches for schedule in batch.schedules]
    unsettled = [schedule for schedule in schedules if schedule.settles is None]
    remedy = 'it never settles: give lowering="graph", or Tabulated(schedule, total_iters)'
    require(not unsettled, "schedule", unsettled[:1], remedy)
    remedy = f'tables hold at most {MAX_NUMBERS} numbers: give lowering="graph"'
    require(fit(batches), "numbers in tables", _size(batches), remedy)


def _size(batches: Sequence[Batch]) -> int | None:
    """Count the numbers in the tables of these schedules; None if one never settles."""
    total = 0
    for batch in batches:
        steps = [schedule.settles for schedule in batch.schedules]
        if None in steps:
            return None
        distinct = 1 if len(set(batch.schedules)) == 1 else len(steps)
        total += distinct * (max(step for step in steps if step is not None) + 1)
    return total


class BatchedTables:
    """Looks up the values of batches at a step: one tensor of shape [] or [G] for each batch.

    Args:
        batches: schedules that settle.
        held: the rooms of the earlier tables for the same groups, which are to be reused.

    Attributes:
        rooms: the length of each batch's table: a power of 2, so that another curve usually fits.
    """

    def __init__(self, batches: Sequence[Batch], held: Sequence[int] = ()) -> None:
        at_least = held if len(held) == len(batches) else [1] * len(batches)
        self._tables = [_table(batch, room) for batch, room in zip(batches, at_least, strict=True)]
        self.rooms = [len(table) for table in self._tables]
        self._batches = batches

    def curves(self) -> list[Curves]:
        """Return these tables for a device that computes all of them in one kernel."""
        return [_rows(*pair) for pair in zip(self._tables, self._batches, strict=True)]

    def __call__(self, counter: Tensor) -> list[Tensor]:
        values = []
        for table in self._tables:
            row = table.index_select(0, counter.clamp(max=table.shape[0] - 1))
            # A 0-dim index selects a number from a 1-D table, and a [1, G] tensor from a 2-D one.
            values.append(row if row.dim() == 0 else row.squeeze(0))
        return values


def _rows(table: Tensor, batch: Batch) -> Curves:
    """Return a table as curves with one row for each step, whose values are final."""
    by_group = table.unsqueeze(-1) if table.dim() == 1 else table
    count = by_group.shape[1]
    nothing, never = torch.zeros(count, dtype=torch.int64), torch.full((count,), MAX_STEP)
    return Curves(
        columns=by_group.T.reshape(1, -1),
        starts=torch.zeros(count, 0, dtype=torch.int64),
        origins=nothing[:0],
        begin=nothing,
        period=never,
        positions=batch.positions,
        least=None,
    )


def _table(batch: Batch, at_least: int) -> Tensor:
    """Compute the values, padded with the last ones: shape [room] or [room, G]."""
    last = max(schedule.settles or 0 for schedule in batch.schedules)
    steps = torch.arange(last + 1, device="cpu")
    if len(set(batch.schedules)) == 1:
        values = batch.written(batch.schedules[0].formula(steps))
    else:
        curves = [schedule.formula(steps) for schedule in batch.schedules]
        values = batch.written(torch.stack(curves, dim=1))
    room = max(at_least, 2 ** last.bit_length())
    return torch.cat([values, values[-1:].expand(room - last - 1, *values.shape[1:])])
