"""The schedules of all param groups as few: those that differ in numbers only are one.

A vector of G numbers in the place of a number costs a graph no more operations than the number.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
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


class Evaluation:
    """The values of buckets at a step, on a device: for each a tensor of shape [] or [G]."""

    def __init__(self, buckets: Sequence[Bucket], device: torch.device) -> None:
        self._stacked = [(stack(bucket.schedules, device), bucket.dtype) for bucket in buckets]

    def __call__(self, counter: Tensor) -> list[Tensor]:
        return [schedule.formula(counter).to(dtype) for schedule, dtype in self._stacked]

    def tensors(self) -> list[Tensor]:
        """All that it holds on the device."""
        return [tensor for schedule, _ in self._stacked for tensor in _tensors(schedule)]


def structure(schedule: Schedule) -> tuple[Any, ...]:
    """What two schedules must share to be stacked: everything but their numbers."""
    return (
        type(schedule),
        *(_structure(getattr(schedule, f.name), kind) for f, kind in kinds(type(schedule)).items()),
    )


def _structure(value: Any, kind: Kind) -> Any:
    if kind.is_lookup:
        return None if value is None else len(value)
    if isinstance(value, tuple):
        return tuple(_structure(item, kind) for item in value)
    if isinstance(value, Schedule):
        return structure(value)
    return None if kind.is_number else value


def stack(schedules: Sequence[Schedule], device: torch.device) -> Schedule:
    """One schedule for G schedules of the same structure, its tables on the device.

    A number that all share stays a Python number. One that differs becomes a tensor of shape [G]
    (a :data:`Lookup` one of shape [G, n]), so the value of a step has shape [G], or [] where
    nothing differs.
    """
    first = schedules[0]
    stacked = copy.copy(first)
    for field, kind in kinds(type(first)).items():
        column = [getattr(schedule, field.name) for schedule in schedules]
        object.__setattr__(stacked, field.name, _stack(column, kind, device))
    return stacked


def _stack(column: list[Any], kind: Kind, device: torch.device) -> Any:
    first = column[0]
    if isinstance(first, Schedule):
        return stack(column, device)
    settled = runtimes.of(device).settled
    same = all(_equal(value, first) for value in column)
    if kind.is_lookup and first is not None:
        rows = [terms.row(value) for value in (column[:1] if same else column)]
        return settled(rows[0] if same else torch.stack(rows), device)
    if isinstance(first, tuple):
        return tuple(_stack(list(items), kind, device) for items in zip(*column, strict=True))
    return first if same else settled(terms.row(tuple(column)), device)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one is other or torch.equal(one, other)
    return bool(one == other)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Schedule):
        value = tuple(getattr(value, field.name) for field in kinds(type(value)))
    return [t for item in value for t in _tensors(item)] if isinstance(value, tuple) else []
