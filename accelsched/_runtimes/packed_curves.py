"""The curves of all groups as three tensors, from which one kernel computes all values of a step.

A curve is a list of rows: polynomials that begin at given steps, or one table entry per step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: The fields of the plan, for each group: the offset and number of its starts, and the offset of
#: its origins, among the integers; the offset of its rows among the numbers, and the distance
#: between two columns of a row; the terms of its polynomials beside the constant; the last row of a
#: table (0 for polynomials); the step from which its values repeat, and the period.
FIELDS = ("starts", "count", "origins", "rows", "apart", "terms", "last", "begin", "period")
#: More starts than any curve has: the kernel finds a row in ten halvings.
MOST_STARTS = 1024


@dataclass(frozen=True)
class Curves:
    """Curves of one shape: F curves of S rows each, with T terms beside the constant.

    Attributes:
        columns: the constant, the terms and the scale of each row: float32, shape [T + 2, F * S];
            for a table, shape [1, F * S].
        starts: the step at which each row but the first begins: shape [F, S - 1]; empty for a
            table.
        origins: the step from which the offset of each row counts: shape [F * S]; empty for a
            table.
        begin: the step from which the values of each curve repeat.
        period: the period of each curve in steps.
        positions: the groups that have these curves: one curve each, or one for all.
        least: the value that replaces any smaller one; None for no limit.
    """

    columns: Tensor
    starts: Tensor
    origins: Tensor
    begin: Tensor
    period: Tensor
    positions: Sequence[int]
    least: float | None


@dataclass(frozen=True)
class PackedCurves:
    """The packed curves of all groups.

    Attributes:
        plan: the :data:`FIELDS` of each group: int64, shape [len(FIELDS), G].
        integers: the starts and origins: int64, shape [n].
        numbers: the least value of each group, then the rows: float32, shape [m].
    """

    plan: Tensor
    integers: Tensor
    numbers: Tensor


def pack(batches: Sequence[Curves]) -> PackedCurves:
    """Pack the curves of all groups; their positions are 0 to G - 1."""
    groups = sum(len(batch.positions) for batch in batches)
    plan = torch.zeros(len(FIELDS), groups, dtype=torch.int64)
    least = torch.full((groups,), -math.inf)
    integers: list[Tensor] = []
    numbers: list[Tensor] = [least]
    for batch in batches:
        positions = list(batch.positions)
        least[positions] = -math.inf if batch.least is None else batch.least
        first_integer, first_number = (sum(map(len, each)) for each in (integers, numbers))
        plan[:, positions] = torch.stack(_fields(batch, first_integer, first_number))
        integers += [batch.starts.flatten(), batch.origins]
        numbers.append(batch.columns.flatten())
    return PackedCurves(plan, torch.cat(integers), torch.cat(numbers))


def _fields(batch: Curves, first_integer: int, first_number: int) -> list[Tensor]:
    """Return the fields of the groups of a batch: for each field a tensor of shape [groups]."""
    curves, starts = batch.starts.shape
    columns, rows = batch.columns.shape
    length, is_table = rows // curves, columns == 1
    own = torch.arange(len(batch.positions)) if curves > 1 else torch.zeros(1, dtype=torch.int64)
    by_field = [
        first_integer + own * starts,
        starts,
        first_integer + batch.starts.numel() + own * length,
        first_number + own * length,
        rows,
        0 if is_table else columns - 2,
        length - 1 if is_table else 0,
        batch.begin,
        batch.period,
    ]
    count = (len(batch.positions),)
    return [torch.as_tensor(field).reshape(-1).expand(count) for field in by_field]
