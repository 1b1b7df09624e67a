"""Checks and scaling that the Model Zoo's trainer applies to the schedulers of a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from torch.optim import Optimizer

from accelsched._binding.param_groups import tags_of
from accelsched._binding.scheduler import Scheduler
from accelsched.errors import ArgumentError, require
from accelsched.lr_scheduler import LRScheduler, ScalePerParamLR


def require_apart(schedulers: Sequence[Scheduler], optimizer: Optimizer | None) -> None:
    """Raise if two schedulers drive the same value, or would if a group had the tag.

    Raises:
        ArgumentError: two schedulers of one key share a tag, or one of them has no tags, or a group
            has tags of both.
    """
    for one, other in combinations(schedulers, 2):
        if one.key != other.key:
            continue
        mine, theirs = one.param_group_tags, other.param_group_tags
        shared = mine is None or theirs is None or bool(mine & theirs)
        remedy = f"two schedulers of {one.key!r}: give each its own param_group_tags"
        require(not shared, "param_group_tags", [mine, theirs], remedy)
        for group in [] if optimizer is None else optimizer.param_groups:
            tags = tags_of(group)
            if mine and theirs and mine & tags and theirs & tags:
                remedy = f"two schedulers drive {one.key!r} of a param group: remove one tag"
                raise ArgumentError("param_group_tags", sorted(tags, key=repr), remedy)


def scaled(schedulers: Sequence[Scheduler], optimizer: Optimizer) -> Iterator[Scheduler]:
    """Scale learning rates by ``adjust_learning_rate`` if any param group has it (muP)."""
    adjusted = any("adjust_learning_rate" in group for group in optimizer.param_groups)
    for scheduler in schedulers:
        of_rates = isinstance(scheduler, LRScheduler) and scheduler.key == "lr"
        if adjusted and of_rates and not isinstance(scheduler, ScalePerParamLR):
            yield ScalePerParamLR(None, scheduler, scheduler.param_group_tags)
        else:
            yield scheduler
