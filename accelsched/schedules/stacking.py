"""The schedules of all param groups as few: those that differ in numbers only are one.

A vector of G numbers in the place of a number costs a graph no more operations than the number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched import runtimes
from accelsched.schedules import terms
from accelsched.schedules.base import Kind, Schedule, kinds


@dataclass(frozen=True)
class Bucket:
    """The schedules of some groups that are evaluated at once, for values of one dtype."""

    schedules: tuple[Schedule, ...]
    dtype: torch.dtype
    positions: tuple[int, ...]


def buckets(schedules: Sequence[Schedule], dtypes: Sequence[torch.dtype]) -> list[Bucket]:
    """The schedules of all groups, one each, in as few buckets as their structures allow."""
    alike: dict[Any, list[int]] = {}
    for position, (schedule, dtype) in enumerate(zip(schedules, dtypes, strict=True)):
        alike.setdefault((structure(schedule), dtype), []).append(position)
    return [
        Bucket(tuple(schedules[i] for i in positions), dtype, tuple(positions))
        for (_, dtype), positions in alike.items()
    ]


@dataclass(frozen=True)
class Row:
    """What several phases have in the place of one number, one each (see phases.py).

    Attributes:
        values: as many as there are phases.
        depth: 1, or for phases that have rows themselves one more than those.
    """

    values: tuple[Any, ...] | Tensor
    depth: int


class Evaluation:
    """The values of buckets at a step, on a device: for each a tensor of shape [] or [G]."""

    def __init__(self, buckets: Sequence[Bucket], device: torch.device) -> None:
        self._stacked = [(stack(bucket.schedules, device), bucket.dtype) for bucket in buckets]

    def __call__(self, counter: Tensor) -> list[Tensor]:
        return [schedule.formula(counter).to(dtype) for schedule, dtype in self._stacked]


def each(
    buckets: Sequence[Bucket], evaluate: Callable[[Tensor], Sequence[Tensor]]
) -> Callable[[Tensor], list[Tensor]]:
    """From the values of buckets, of shape [] or [G], to those of the groups, of shape []."""

    def values(counter: Tensor) -> list[Tensor]:
        by_position: dict[int, Tensor] = {}
        for bucket, value in zip(buckets, evaluate(counter), strict=True):
            for index, position in enumerate(bucket.positions):
                by_position[position] = value.select(0, index) if value.dim() else value
        return [by_position[position] for position in range(len(by_position))]

    return values


def structure(schedule: Schedule) -> tuple[Any, ...]:
    """What two schedules must share to be stacked: everything but their numbers."""
    cls = type(schedule)
    return (cls, *(_structure(getattr(schedule, f.name), kind) for f, kind in kinds(cls).items()))


def _structure(value: Any, kind: Kind) -> Any:
    if kind.is_given:
        return None
    if isinstance(value, Schedule):
        return structure(value)
    if isinstance(value, Row):
        return Row, len(value.values), value.depth
    if kind.is_lookup:
        return None if value is None else len(value)
    if isinstance(value, tuple):
        return tuple(_structure(item, kind) for item in value)
    return None if kind.is_number else value


def stack(schedules: Sequence[Schedule], device: torch.device) -> Schedule:
    """One schedule for G schedules of the same structure, its tables on the device.

    A number that all share stays a Python number. One that differs becomes a tensor of shape [G]
    (a :data:`Lookup` or a :class:`Row` one of shape [G, n]), so the value of a step has shape
    [G], or [] where nothing differs.
    """

    def on_device(column: list[Any]) -> Any:
        first, same = column[0], all_equal(column)
        if isinstance(first, Row):
            return Row(on_device([row.values for row in column]), first.depth)
        if isinstance(first, (tuple, Tensor)):
            rows = [terms.row(value) for value in (column[:1] if same else column)]
            return settled(rows[0] if same else torch.stack(rows), device)
        return first if same else settled(terms.row(tuple(column)), device)

    settled = runtimes.of(device).settled
    return merged(schedules, on_device)


def merged(schedules: Sequence[Schedule], merge: Callable[[list[Any]], Any]) -> Schedule:
    """One schedule of several of the same structure.

    Args:
        schedules: at least one.
        merge: from the numbers in one place of each, or their lookups, to what is to be there.
    """
    first = schedules[0]
    made = object.__new__(type(first))
    for field, kind in kinds(type(first)).items():
        column = [getattr(schedule, field.name) for schedule in schedules]
        object.__setattr__(
            made, field.name, column[0] if kind.is_given else _merged(column, kind, merge)
        )
    return made


def _merged(column: list[Any], kind: Kind, merge: Callable[[list[Any]], Any]) -> Any:
    first = column[0]
    if isinstance(first, Schedule):
        return merged(column, merge)
    if isinstance(first, tuple) and not kind.is_lookup:
        return tuple(_merged(list(items), kind, merge) for items in zip(*column, strict=True))
    return merge(column)


def all_equal(column: list[Any]) -> bool:
    """Whether all of them are the same number, or the same numbers."""
    return all(_equal(value, column[0]) for value in column)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one is other or torch.equal(one, other)
    return bool(one == other)
