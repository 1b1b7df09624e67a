"""The phases of a sequence as few schedules: phases that differ only in their numbers are merged.

Their numbers are looked up by the step, so a hundred phases of a kind cost a graph no more
operations than two.
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

#: From how many on phases of a kind are merged; fewer are fewer operations by themselves.
MERGED_FROM = 3


@dataclass(frozen=True)
class MergedPhases(Schedule):
    """Schedules of one structure, one after the other, each counting its steps from its start.

    Args:
        pattern: the structure, with a :class:`PerPhase` for each leaf that differs.
        starts: the first step of each schedule, in increasing order.
        depth: the depth of these leaves, which tells them from those that the phases have
            themselves.
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
        A schedule of the whole sequence's step, and the positions of the phases that it stands for.
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
    """What a schedule reads by index, which phases that are to be merged must share."""
    kinds = (tuple, PerPhase, TablePerTerm, Tensor)
    return tuple(identity(leaf) for leaf in leaves if isinstance(leaf, kinds))


def identity(leaf: Any) -> Hashable:
    """What two leaves have in common that are the same; a tensor is only the same as itself."""
    return id(leaf) if isinstance(leaf, Tensor) else leaf
