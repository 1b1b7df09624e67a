"""A schedule as a pytree: its numbers are the leaves, everything else is its structure.

Schedules of one structure are stacked for several param groups, merged as phases of a sequence, and
evaluated by the same machine code. Each of these maps over the leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched.schedules._fields import FieldType, field_types
from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class PerPhase:
    """A leaf that stands for one leaf of each of several phases (see :mod:`._phases`).

    Attributes:
        values: one leaf for each phase.
        depth: 1, or one more than the depth of the phases' own leaves of this kind.
    """

    values: tuple[Any, ...] | Tensor
    depth: int


@dataclass(frozen=True)
class TablePerTerm:
    """A leaf that stands for one table of each of several terms (see :mod:`._side_by_side`).

    Attributes:
        values: one table for each term, all of the same length.
        depth: more than the depth of the terms' own leaves of this kind.
        phases: the depth of the :class:`PerPhase` whose values the tables are; None for tables of
            the schedule itself.
    """

    values: tuple[tuple[Any, ...], ...] | Tensor
    depth: int
    phases: int | None = None


def depth_above(leaves: Iterable[Any]) -> int:
    """Return a depth that none of these leaves has."""
    kinds = (PerPhase, TablePerTerm)
    return 1 + max((leaf.depth for leaf in leaves if isinstance(leaf, kinds)), default=0)


def flatten(schedule: Schedule) -> tuple[list[Any], Hashable]:
    """Return the leaves of a schedule, in the order of its fields, and its structure.

    A leaf is a number, a table (a tuple of numbers, or a tensor), a :class:`PerPhase` or a
    :class:`TablePerTerm`. Schedules of equal structure have leaves of the same number and kinds, in
    the same order.
    """
    leaves: list[Any] = []
    return leaves, _structure(schedule, leaves)


def unflatten(pattern: Schedule, leaves: Iterable[Any]) -> Schedule:
    """Return a schedule with the structure of ``pattern`` and these leaves, unchecked."""
    others = iter(leaves)
    return map_leaves(lambda *_: next(others), pattern)


def map_leaves(function: Callable[[Any, FieldType], Any], schedule: Schedule) -> Schedule:
    """Replace each leaf of a schedule by a function of the leaf and its field's type, unchecked."""
    made = object.__new__(type(schedule))
    for name, field_type in field_types(type(schedule)).items():
        value = _mapped(function, getattr(schedule, name), field_type)
        object.__setattr__(made, name, value)
    return made


def tree_map(function: Callable[[list[Any]], Any], schedules: Sequence[Schedule]) -> Schedule:
    """Map schedules of one structure to one schedule, leaf by leaf.

    Args:
        function: a function from the leaves in one place, one per schedule, to the new leaf.
        schedules: at least one.
    """
    columns = zip(*(flatten(schedule)[0] for schedule in schedules), strict=True)
    return unflatten(schedules[0], (function(list(column)) for column in columns))


def all_equal(leaves: Sequence[Any]) -> bool:
    """Return whether all leaves are the same number, or the same numbers."""
    first = leaves[0]
    return all(_equal(leaf, first) for leaf in leaves)


def _structure(schedule: Schedule, leaves: list[Any]) -> Hashable:
    types = field_types(type(schedule))
    fields = (_structure_of(getattr(schedule, name), types[name], leaves) for name in types)
    return (type(schedule), *fields)


def _structure_of(value: Any, field_type: FieldType, leaves: list[Any]) -> Hashable:
    """Return the structure of a field's value, and append its leaves."""
    if field_type.is_source or value is None:
        return None
    if _is_leaf(value, field_type):
        leaves.append(value)
        return _structure_of_leaf(value, field_type)
    if isinstance(value, tuple):
        return tuple(_structure_of(item, field_type, leaves) for item in value)
    if isinstance(value, Schedule):
        return _structure(value, leaves)
    # A function may not be hashable; its id is unique while the schedule lives.
    return id(value) if callable(value) else value


def _is_leaf(value: Any, field_type: FieldType) -> bool:
    is_tuple = isinstance(value, tuple)
    return field_type.is_table or (field_type.is_number and not is_tuple)


def _structure_of_leaf(leaf: Any, field_type: FieldType) -> Hashable:
    if isinstance(leaf, PerPhase):
        return PerPhase, len(leaf.values), leaf.depth
    if isinstance(leaf, TablePerTerm):
        return TablePerTerm, len(leaf.values), len(leaf.values[0]), leaf.depth, leaf.phases
    return ("table", len(leaf)) if field_type.is_table else "number"


def _mapped(function: Callable[[Any, FieldType], Any], value: Any, field_type: FieldType) -> Any:
    """Return a field's value with its leaves mapped."""
    if field_type.is_source or value is None:
        return value
    if _is_leaf(value, field_type):
        return function(value, field_type)
    if isinstance(value, tuple):
        return tuple(_mapped(function, item, field_type) for item in value)
    return map_leaves(function, value) if isinstance(value, Schedule) else value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one is other or torch.equal(one, other)
    return bool(one == other)
