"""The curves of all groups as three vectors: what one kernel needs to compute all values of a step.

A curve is rows of polynomials that begin at given steps, or a table, which is a row for each step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: What the plan says of each group: where its starts and origins are among the integers, and its
#: rows among the numbers; how far apart two columns of a row are; the terms of its polynomials
#: beside the constant one; the last row of a table, 0 for polynomials; from which step on its
#: values repeat, and after how many.
FIELDS = ("starts", "count", "origins", "rows", "apart", "terms", "last", "begin", "period")
#: More starts than any curve has: the kernel looks for one in ten halvings.
MOST_STARTS = 1024


@dataclass(frozen=True)
class Curves:
    """Some curves of one shape: F curves of S rows each, T terms beside the constant one.

    Attributes:
        columns: the constant, the terms and the scale of each row: float32, shape [T + 2, F * S];
            of a table shape [1, F * S].
        starts: the step at which each row but the first begins: shape [F, S - 1].
        origins: the step from which the offset of each row counts: shape [F * S].
        begin: the step from which on values repeat, of each curve.
        period: after how many steps.
        positions: which groups have these curves: each its own, or all the only one.
        least: the value that replaces any smaller one.
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
    """The curves of all groups.

    Attributes:
        plan: :data:`FIELDS` of each group: int64, shape [len(FIELDS), G].
        integers: int64, shape [n].
        numbers: float32, shape [m]; in front the least value of each group.
    """

    plan: Tensor
    integers: Tensor
    numbers: Tensor


def pack(batches: Sequence[Curves]) -> PackedCurves:
    """Put the curves of all groups, whose positions are those from 0 on, into one pack."""
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
    """The column of each group of a batch, by field: shape [groups]."""
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
