"""Merge the phases of a sequence that differ only in their numbers.

The merged schedule looks up its numbers by the step. So a hundred phases of one structure cost a
graph no more operations than three.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from accelsched.schedules import terms
from accelsched.schedules._fields import Steps, Table
from accelsched.schedules._pytree import (
    PerPhase,
    TablePerTerm,
    all_equal,
    depth_above,
    flatten,
    tree_map,
)
from accelsched.schedules.base import Schedule
from accelsched.schedules.shifted import Shifted

#: The least number of phases to merge; fewer phases need fewer operations unmerged.
MERGED_FROM = 3


@dataclass(frozen=True)
class MergedPhases(Schedule):
    """Schedules of one structure, one after the other, each counting its steps from its start.

    Args:
        pattern: the structure, with a :class:`PerPhase` for each leaf that differs.
        starts: the first step of each schedule, in increasing order.
        depth: the depth of these leaves, which tells them from the phases' own leaves of this kind.
    """

    pattern: Schedule
    starts: Table[Steps]
    depth: int

    def formula(self, step: Tensor) -> Tensor:
        phase = (terms.reached(self.starts, step) - 1).clamp(min=0)
        since = (step - terms.take(self.starts, phase)).clamp(min=0)

        def leaf_of_phase(column: list[Any]) -> Any:
            leaf = column[0]
            mine = isinstance(leaf, PerPhase) and leaf.depth == self.depth
            return terms.take(leaf.values, phase) if mine else leaf

        return tree_map(leaf_of_phase, [self.pattern]).formula(since)


def merge_phases(
    schedules: Sequence[Schedule], starts: Sequence[int]
) -> Iterator[tuple[Schedule, list[int]]]:
    """Merge schedules that follow each other into as few as possible.

    Yields:
        A schedule of the sequence's step, and the positions of the phases that it replaces.
    """
    alike: dict[Hashable, list[int]] = {}
    for position, schedule in enumerate(schedules):
        leaves, structure = flatten(schedule)
        alike.setdefault((structure, _tables_of(leaves)), []).append(position)
    for positions in alike.values():
        if len(positions) < MERGED_FROM:
            for i in positions:
                yield (Shifted(schedules[i], -starts[i]) if i else schedules[i]), [i]
        else:
            phases = [schedules[i] for i in positions]
            depth = depth_above(flatten(phases[0])[0])
            pattern = tree_map(partial(_merged_leaf, depth), phases)
            yield MergedPhases(pattern, tuple(starts[i] for i in positions), depth), positions


def _merged_leaf(depth: int, column: list[Any]) -> Any:
    return column[0] if all_equal(column) else PerPhase(tuple(column), depth)


def _tables_of(leaves: Sequence[Any]) -> Hashable:
    """Return the tables of a schedule, which phases must share to be merged."""
    kinds = (tuple, PerPhase, TablePerTerm, Tensor)
    return tuple(identity(leaf) for leaf in leaves if isinstance(leaf, kinds))


def identity(leaf: Any) -> Hashable:
    """Return a key that is equal for equal leaves; a tensor equals only itself."""
    return id(leaf) if isinstance(leaf, Tensor) else leaf
