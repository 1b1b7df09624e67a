"""Functions that formulas share. They avoid cancellation and stay on the step's device.

Each takes Python numbers, or tensors of shape [G] when the schedules of G param groups are
evaluated together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from accelsched.schedules._fields import Table

#: The functions for formulas that users write.
__all__ = [
    "blend",
    "cosine_blend",
    "filled",
    "power",
    "quotient",
    "reached",
    "real",
    "take",
]

T = TypeVar("T", int, float)
#: A row of numbers, or several rows of the same length.
Rows = Sequence[Any]


def real(steps: Tensor) -> Tensor:
    """Convert steps to floating point."""
    return steps.to(torch.float64)


def quotient(steps: Tensor, divisor: int | Tensor) -> Tensor:
    """Return ``steps // divisor`` in floating point, exact up to 2**53.

    torch_xla divides integers in float32, so its ``//`` is one too high just below a multiple. Its
    remainder is exact, and so is the division of a multiple.
    """
    return real(steps - steps % divisor) / divisor


def filled(step: Tensor, value: float | Tensor) -> Tensor:
    """Return the same value for every step."""
    return torch.zeros_like(step, dtype=torch.float64) + value


def power(base: float | Tensor, exponent: Tensor) -> Tensor:
    """Return ``base ** exponent`` for a base that is not negative."""
    return torch.pow(base, exponent)


def raised(fraction: Tensor, other: Tensor, exponent: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return a power of ``fraction``, and 1 minus the power; ``other`` is ``1 - fraction``."""
    # expm1 avoids the cancellation of 1 - power. The smaller fraction gives the exact logarithm.
    logarithm = torch.where(other < fraction, torch.log1p(-other), torch.log(fraction))
    return fraction**exponent, -torch.expm1(logarithm * exponent)


def adding_up(elapsed: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Replace the larger of two fractions by 1 minus the smaller, so that both ends are exact."""
    early = elapsed < rest
    return torch.where(early, elapsed, 1.0 - rest), torch.where(early, 1.0 - elapsed, rest)


def blend(start: float | Tensor, end: float | Tensor, elapsed: Tensor, rest: Tensor) -> Tensor:
    """Interpolate linearly from start to end; the fractions ``elapsed`` and ``rest`` add up to 1.

    With both fractions, neither end cancels: start + (end - start) * elapsed would lose all digits
    near a small end.
    """
    return start * rest + end * elapsed


def half_wave(elapsed: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Map two fractions that add up to 1 through half a cosine wave.

    (1 - cos(pi x)) / 2 equals sin(pi x / 2) ** 2, which does not cancel near 0. It is computed for
    the smaller fraction; the other one is 1 minus the result.
    """
    small = torch.sin(torch.minimum(elapsed, rest) * (math.pi / 2)).square()
    large = 1.0 - small
    first_half = elapsed < rest
    return torch.where(first_half, small, large), torch.where(first_half, large, small)


def cosine_blend(
    start: float | Tensor, end: float | Tensor, elapsed: Tensor, rest: Tensor
) -> Tensor:
    """Interpolate from start to end along half a cosine wave."""
    return blend(start, end, *half_wave(elapsed, rest))


def reached(milestones: Table[int] | Table[float], step: Tensor) -> Tensor:
    """Count the milestones that the step has reached (int64, shaped like ``step``).

    One operation compares the whole row, so 10,000 milestones need no more graph nodes than two.
    """
    # Convert first, because the front end of cerebras_pytorch sums bools to a bool.
    return (step.unsqueeze(-1) >= _row(milestones, step)).to(torch.int64).sum(-1)


def take(table: Table[int] | Table[float] | Tensor, index: Tensor) -> Tensor:
    """Return the entry of the table at each index, gathered on the device."""
    row = _row(table, index)
    if index.dim() == 0:
        taken = row.index_select(-1, index)
        return taken if taken.dim() == 0 else taken.squeeze(-1)
    if row.dim() == 1:
        return row.index_select(0, index.reshape(-1)).reshape(index.shape)
    shape = torch.broadcast_shapes(row.shape[:-1], index.shape)
    rows = row.expand(*shape, row.shape[-1])
    return rows.gather(-1, index.expand(shape).unsqueeze(-1)).squeeze(-1)


def in_front(values: Table[int] | Table[float] | Tensor, like: Tensor, rank: int) -> Tensor:
    """Return numbers along a new leading dimension, for all param groups or for each.

    Args:
        values: n numbers, or a tensor of shape [..., n] whose other dimensions move behind the n.
        like: a tensor on the device to use.
        rank: the number of dimensions behind the leading one.
    """
    row = _row(values, like)
    return _spread(row.movedim(-1, 0) if row.dim() > 1 else row, rank + 1)


def tables_in_front(values: Rows | Tensor, like: Tensor, rank: int) -> Tensor:
    """Return tables along a new leading dimension, as :func:`in_front` does for numbers.

    Args:
        values: n tables of k numbers, or a tensor of shape [n, k] or [G, n, k].
        like: a tensor on the device to use.
        rank: the number of dimensions between the leading one and that of the table.
    """
    tables = _row(values, like)
    return _spread(tables.transpose(0, 1) if tables.dim() == 3 else tables, rank + 2)


def _spread(values: Tensor, rank: int) -> Tensor:
    """Insert dimensions of size 1 behind the first one, up to ``rank`` dimensions in all."""
    missing = rank - values.dim()
    return values.reshape(len(values), *[1] * missing, *values.shape[1:]) if missing > 0 else values


def held(step: Tensor, table: Tensor) -> Tensor:
    """Clamp the step to the last entry of a table."""
    return step.clamp(max=table.shape[-1] - 1)


def _row(values: Rows | Tensor, like: Tensor) -> Tensor:
    # A schedule bound to an optimizer has its rows on the device already (see _vectorize.py).
    if isinstance(values, Tensor) and values.device == like.device:
        return values
    return row(values).to(like.device)


def row(values: Rows | Tensor) -> Tensor:
    """Return one or several rows as a CPU tensor: int64 for integers, else float64."""
    if isinstance(values, Tensor):
        return values.to("cpu")
    numbers = itertools.chain.from_iterable(v if isinstance(v, tuple) else (v,) for v in values)
    whole = all(isinstance(number, int) for number in numbers)
    return torch.tensor(values, dtype=torch.int64 if whole else torch.float64, device="cpu")
