"""Many schedules that differ in numbers only, evaluated as one over a vector of param groups."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from accelsched import runtimes
from accelsched.schedules import terms
from accelsched.schedules.base import Kind, Schedule, kinds


def structure(schedule: Schedule) -> tuple[Any, ...]:
    """What two schedules must share to be stacked: everything but their numbers."""
    return (
        type(schedule),
        *(_structure(getattr(schedule, f.name), kind) for f, kind in kinds(type(schedule)).items()),
    )


def _structure(value: Any, kind: Kind) -> Any:
    if kind.is_lookup:
        return len(value)
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
    same = all(value == first for value in column)
    if kind.is_lookup:
        rows = [terms.row(value, device) for value in (column[:1] if same else column)]
        return runtimes.of(device).settled(rows[0] if same else torch.stack(rows))
    if isinstance(first, tuple):
        return tuple(_stack(list(items), kind, device) for items in zip(*column, strict=True))
    return first if same else runtimes.of(device).settled(terms.row(tuple(column), device))
