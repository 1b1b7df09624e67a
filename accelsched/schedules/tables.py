"""Schedules as tables on the device: computed once in float64, rounded once, then looked up.

A step costs a graph the same three operations, whatever the schedule is made of.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accelsched.errors import require
from accelsched.schedules.stacking import Bucket

#: The most numbers that all tables of a scheduler hold: 16 MiB of float32, a group or many.
MAX_NUMBERS = 2**22


def numbers(buckets: Sequence[Bucket]) -> int | None:
    """How many numbers the tables of these buckets hold; None if a schedule never settles."""
    total = 0
    for bucket in buckets:
        steps = [schedule.settles for schedule in bucket.schedules]
        if None in steps:
            return None
        distinct = 1 if len(set(bucket.schedules)) == 1 else len(steps)
        total += distinct * (max(step for step in steps if step is not None) + 1)
    return total


def require_tables(buckets: Sequence[Bucket]) -> None:
    """Refuse buckets that no table of a fair size holds.

    Raises:
        ArgumentError: a schedule never settles, or the tables would be too large.
    """
    unsettled = [s for bucket in buckets for s in bucket.schedules if s.settles is None]
    remedy = 'it never settles: give lowering="graph", or Tabulated(schedule, total_iters)'
    require(not unsettled, "schedule", unsettled[:1], remedy)
    size = numbers(buckets)
    remedy = f'tables hold at most {MAX_NUMBERS} numbers: give lowering="graph"'
    require(size is not None and size <= MAX_NUMBERS, "numbers in tables", size, remedy)


class TableEvaluation:
    """The values of buckets at a step: for each a tensor of shape [] or [G]."""

    def __init__(self, buckets: Sequence[Bucket]) -> None:
        self._tables = [_table(bucket) for bucket in buckets]

    def __call__(self, counter: Tensor) -> list[Tensor]:
        values = []
        for table in self._tables:
            row = table.index_select(0, counter.clamp(max=table.shape[0] - 1))
            # Of a table for one group a 0-dim index selects a number, of others a row of one row.
            values.append(row if row.dim() == 0 else row.squeeze(0))
        return values


def _table(bucket: Bucket) -> Tensor:
    """The values at all steps until the last schedule settles: shape [steps] or [steps, G]."""
    last = max(schedule.settles or 0 for schedule in bucket.schedules)
    steps = torch.arange(last + 1, device="cpu")
    if len(set(bucket.schedules)) == 1:
        return bucket.schedules[0].formula(steps).to(bucket.dtype)
    curves = [schedule.formula(steps) for schedule in bucket.schedules]
    return torch.stack(curves, dim=1).to(bucket.dtype)
