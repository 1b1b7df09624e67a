"""Vectorize the schedules of param groups that differ only in their numbers.

A vector of G numbers costs a graph no more operations than one number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched._runtimes import runtime_of
from accelsched.schedules import terms
from accelsched.schedules._pytree import PerPhase, TablePerTerm, all_equal, flatten, tree_map
from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class Batch:
    """The schedules of some param groups, which are evaluated together.

    Attributes:
        schedules: schedules of one structure.
        dtype: the dtype of their values.
        positions: the positions of their groups among the driven groups.
        least: the lower bound of the written values; None if there is none.
    """

    schedules: tuple[Schedule, ...]
    dtype: torch.dtype
    positions: tuple[int, ...]
    least: float | None = None

    def written(self, values: Tensor) -> Tensor:
        """Return float64 values as they are written: rounded, and not below ``least``."""
        rounded = values.to(self.dtype)
        return rounded if self.least is None else rounded.clamp(min=self.least)


def group_by_structure(
    schedules: Sequence[Schedule],
    dtypes: Sequence[torch.dtype],
    least: Sequence[float | None] | None = None,
) -> list[Batch]:
    """Put the schedules of all groups into as few batches as their structures allow."""
    least = [None] * len(schedules) if least is None else least
    alike: dict[tuple[Hashable, torch.dtype, float | None], list[int]] = {}
    for position, (schedule, dtype, low) in enumerate(zip(schedules, dtypes, least, strict=True)):
        _, structure = flatten(schedule)
        alike.setdefault((structure, dtype, low), []).append(position)
    return [
        Batch(tuple(schedules[i] for i in positions), dtype, tuple(positions), low)
        for (_, dtype, low), positions in alike.items()
    ]


class BatchedFormulas:
    """A callable that evaluates batches at a step, each to a tensor of shape [] or [G].

    Args:
        batches: schedules, by structure.
        device: the device of the steps.
        as_data: see :func:`stack`.
    """

    def __init__(
        self, batches: Sequence[Batch], device: torch.device, *, as_data: bool = True
    ) -> None:
        self._stacked = [
            (stack(batch.schedules, device, as_data=as_data), batch.written) for batch in batches
        ]

    def __call__(self, counter: Tensor) -> list[Tensor]:
        return [written(schedule.formula(counter)) for schedule, written in self._stacked]


def per_group(
    batches: Sequence[Batch], evaluate: Callable[[Tensor], Sequence[Tensor]]
) -> Callable[[Tensor], list[Tensor]]:
    """Wrap an evaluation of batches so that it returns one value of shape [] for each group."""

    def values(counter: Tensor) -> list[Tensor]:
        by_position: dict[int, Tensor] = {}
        for batch, value in zip(batches, evaluate(counter), strict=True):
            for index, position in enumerate(batch.positions):
                by_position[position] = value.select(0, index) if value.dim() else value
        return [by_position[position] for position in range(len(by_position))]

    return values


def stack(schedules: Sequence[Schedule], device: torch.device, *, as_data: bool = True) -> Schedule:
    """Return one schedule for G schedules of one structure, with its tables on the device.

    A number that differs becomes a tensor of shape [G], so the value of a step has shape [G], or []
    if nothing differs. A table or a :class:`PerPhase` becomes a tensor of shape [n] or [G, n].

    Args:
        schedules: schedules of one structure.
        device: the device of the steps.
        as_data: whether a number that all share also becomes a tensor, of shape []. A recorded
            graph then reads the number as data, which may change later. If False, it stays a
            Python number.
    """

    def stacked(column: list[Any]) -> Any:
        first, same = column[0], all_equal(column)
        if isinstance(first, (PerPhase, TablePerTerm)):
            return dataclasses.replace(first, values=stacked([leaf.values for leaf in column]))
        if isinstance(first, (tuple, Tensor)):
            rows = [terms.row(leaf) for leaf in (column[:1] if same else column)]
            return as_state(rows[0] if same else torch.stack(rows), device)
        if same and not as_data:
            return first
        numbers = terms.row(tuple(column))
        return as_state(numbers[0] if same else numbers, device)

    as_state = runtime_of(device).as_state
    return tree_map(stacked, schedules)
