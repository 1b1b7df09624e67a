"""Merge the terms of a sum, product, minimum or maximum that have one structure.

Merged terms are evaluated as one vector, so a hundred terms cost a graph no more operations than
eight.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from accelsched.schedules import terms
from accelsched.schedules._phases import identity
from accelsched.schedules._pytree import (
    PerPhase,
    TablePerTerm,
    all_equal,
    depth_above,
    flatten,
    tree_map,
)
from accelsched.schedules.base import Schedule

#: The least number of terms to merge; fewer are added in the given order, as in Python.
MERGED_FROM = 8


@dataclass(frozen=True)
class MergedTerms(Schedule):
    """The sum, or another reduction, of schedules of one structure.

    Args:
        pattern: the structure, with a :class:`PerPhase` or a :class:`TablePerTerm` for each leaf
            that differs.
        depth: the depth of these leaves, which tells them from the terms' own leaves of this kind.
        reduction: the tensor method that reduces the values along a dimension.
    """

    pattern: Schedule
    depth: int
    reduction: str
    stretches = True

    def formula(self, step: Tensor) -> Tensor:
        # The terms have a leading dimension, before those of the step or of the param groups.
        rank = max(step.dim(), 1)
        steps = step.reshape(1, *step.shape) if step.dim() else step.reshape(1, 1)

        def leaf_of_terms(column: list[Any]) -> Any:
            leaf = column[0]
            if not isinstance(leaf, (PerPhase, TablePerTerm)) or leaf.depth != self.depth:
                return leaf
            if isinstance(leaf, PerPhase):
                return terms.in_front(leaf.values, step, rank)
            tables = terms.tables_in_front(leaf.values, step, rank)
            return tables if leaf.phases is None else PerPhase(tables, leaf.phases)

        values = tree_map(leaf_of_terms, [self.pattern]).formula(steps)
        value: Tensor = getattr(values, self.reduction)(0)
        return value.squeeze(0) if step.dim() == 0 and value.shape == (1,) else value


def merge_terms(schedules: Sequence[Schedule], reduction: str) -> tuple[Schedule, ...]:
    """Return schedules with the same combined value as these, as few as possible."""
    alike: dict[Hashable, list[Schedule]] = {}
    for schedule in schedules:
        leaves, structure = flatten(schedule)
        shared = tuple(identity(leaf) for leaf in leaves if not _may_differ(leaf))
        alike.setdefault((structure, shared), []).append(schedule)
    parts: list[Schedule] = []
    for same in alike.values():
        if len(same) < MERGED_FROM or not any(map(_counts, flatten(same[0])[0])):
            parts += same
        else:
            parts.append(_merged(same, reduction))
    return tuple(parts)


def _merged(schedules: Sequence[Schedule], reduction: str) -> Schedule:
    leaves = flatten(schedules[0])[0]
    depth = depth_above(leaves)
    # Keep one leaf per term even if all are equal, as it tells how many terms there are.
    first = next(i for i, leaf in enumerate(leaves) if _counts(leaf))
    places = iter(range(len(leaves)))

    def leaf_of_all(column: list[Any]) -> Any:
        if next(places) != first and all_equal(column):
            return column[0]
        if isinstance(column[0], PerPhase):
            phases = tuple(leaf.values for leaf in column)
            return TablePerTerm(phases, depth, column[0].depth)
        kind = TablePerTerm if isinstance(column[0], tuple) else PerPhase
        return kind(tuple(column), depth)

    return MergedTerms(tree_map(leaf_of_all, schedules), depth, reduction)


def _counts(leaf: Any) -> bool:
    """Return whether such a leaf, one per term, tells how many terms there are."""
    return isinstance(leaf, (int, float, tuple))


def _may_differ(leaf: Any) -> bool:
    """Return whether merged terms may differ in this leaf: a number, or a row of numbers."""
    row = leaf.values if isinstance(leaf, PerPhase) else leaf
    return _counts(row) and (not isinstance(row, tuple) or all(map(_is_number, row)))


def _is_number(item: Any) -> bool:
    return isinstance(item, (int, float))
