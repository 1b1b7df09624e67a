"""A scheduler made of others, which it drives in their place."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from accelsched._binding import state
from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, Tags
from accelsched._binding.scheduler import Scheduler, alive
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule


class Composite(Scheduler):
    """A scheduler made of others, its children, which it drives in their place.

    Args:
        optimizer: the optimizer that the children were built with; it is bound to those that have
            none yet. None to bind all of them later.
        children: at least one; each drives at least the groups that this one drives.
        key: the hyper-parameter, that of the children.
        param_group_tags: as for :class:`Scheduler`.
        last_epoch: start one step after this one.
    """

    def __init__(
        self,
        optimizer: Optimizer | None,
        children: Sequence[Scheduler],
        key: str | None = None,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        key = self.default_key if key is None else key
        self.children = list(children)
        for position, child in enumerate(self.children):
            _require_child(self.child_name.format(position), child, key)
            unbound = optimizer is not None or not child._bound
            require(unbound, "optimizer", optimizer, f"give the one that {child} is bound to")
        schedules = [] if optimizer is not None else [self.composed(0)]
        super().__init__(optimizer, schedules, key, param_group_tags, last_epoch=last_epoch)
        self._adopt()

    def _bind(self, optimizer: Optimizer) -> None:
        """Bind the children that are unbound, then this scheduler; undo all of it on an error."""
        group_values = GroupValues(optimizer, self.key, self.param_group_tags)
        before = [dict(group) for group in optimizer.param_groups]
        mine = [c for c in self.children if not c._bound or alive(c.parent) is self]
        try:
            for child in mine:
                child._bind(optimizer)
            for position, child in enumerate(self.children):
                _require_driven(self.child_name.format(position), child, group_values)
            super()._bind(optimizer)
        except Exception:
            for child in mine:
                child._unbind()
            for group, values in zip(optimizer.param_groups, before, strict=True):
                group.update(values)
            raise
        self._adopt()

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        return tuple(self.composed(index) for index in group_values.indices)

    def _require_alike(self, saved: dict[str, Any]) -> None:
        one = [saved["_scheduler"]] if "_scheduler" in saved else []
        states = saved.get("_schedulers", one)
        count = len(self.children)
        state.require_alike(len(states), count, "number of schedulers")
        for child, theirs in zip(self.children, states, strict=True):
            child._require_alike(theirs)

    #: What a child is called in the signature of the class.
    child_name = "schedulers[{}]"

    def composed(self, index: int) -> Schedule:
        """Compose the children's schedules for one of the optimizer's groups."""
        raise NotImplementedError

    def distribute(self, schedule: Schedule) -> Sequence[Schedule]:
        """Undo :meth:`composed`: return the schedules of the children."""
        raise NotImplementedError

    def recompose(self) -> None:
        """Follow the children's schedules as they are now."""
        self.reschedule([self.composed(index) for index in self.indices])

    def _adopt(self) -> None:
        """Take over the children: from here on they refuse to step by themselves."""
        for child in self.children:
            child.parent = weakref.ref(self)
            if child._bound:
                ownership_of(child.optimizer).release(child)
            child.refusal = f"{child} was given to {self}, which drives its values: step that one"

    def _take_over(self, schedules: Sequence[Schedule]) -> None:
        """Follow schedules from a state, and give the children theirs."""
        super()._take_over(schedules)
        parts = zip(*map(self.distribute, schedules), strict=True)
        for child, mine in zip(self.children, parts, strict=True):
            by_group = dict(zip(child.indices, child.schedules, strict=True))
            by_group.update(zip(self.group_values.indices, mine, strict=True))
            child._take_over([by_group[index] for index in child.group_values.indices])

    # The schedules of a copy are composed anew, as the children may know how to copy theirs.

    def _attributes(self) -> dict[str, Any]:
        attributes = super()._attributes()
        del attributes["schedules"]
        return attributes

    def _restore(self, attributes: dict[str, Any]) -> None:
        super()._restore(attributes)
        self.schedules = tuple(self.composed(index) for index in self.indices)

    def __setstate__(self, saved: dict[str, Any]) -> None:
        super().__setstate__(saved)
        self._adopt()


def schedule_of(child: Scheduler, index: int) -> Schedule:
    """Return a child's schedule for one of the optimizer's groups."""
    return child.schedules[child.indices.index(index)]


def _require_child(name: str, child: object, key: str) -> None:
    """Refuse a child that drives another key, has no pure schedule, or is a part already."""
    if not isinstance(child, Scheduler):
        raise ArgumentError(name, child, "give a scheduler of accelsched")
    require(child.key == key, name, child, f"it does not drive {key!r}")
    pure = bool(child.schedules)
    require(pure, name, child, "its values depend on those before them: it cannot be composed")
    parent = alive(child.parent)
    require(parent is None, name, child, f"it was given to {parent} already")


def _require_driven(name: str, child: Scheduler, group_values: GroupValues) -> None:
    """Refuse a child that does not drive all of these groups."""
    require(
        child.optimizer is group_values.optimizer, name, child, "it is bound to another optimizer"
    )
    missing = sorted(set(group_values.indices) - set(child.group_values.indices))
    require(
        not missing,
        name,
        child,
        f"it does not drive param groups {missing}: give it the same param_group_tags",
    )
