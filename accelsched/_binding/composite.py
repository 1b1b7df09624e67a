"""A scheduler made of others, which it drives in their place."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer

from accelsched._binding.closed_form import refused
from accelsched._binding.given import as_list
from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, Tags, owner_of_groups, tag_set
from accelsched._binding.scheduler import Scheduler, alive
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule


class Composite(Scheduler):
    """A scheduler made of others, its children, which it drives in their place.

    A child writes nothing: it drives the groups of the composite, whatever it drove before.

    Args:
        optimizer: the optimizer that the children were built with; it is bound to those that have
            none yet. None to bind all of them later.
        children: at least one.
        key: the hyper-parameter, that of the children.
        param_group_tags: as for :class:`Scheduler`; they hold for the children too.
        last_epoch: start one step after this one.
        open_ended: as for :class:`Scheduler`.
    """

    #: What a child is called in the signature of the class.
    child_name = "schedulers[{}]"

    def __init__(
        self,
        optimizer: Optimizer | None,
        children: Sequence[Scheduler],
        key: str | None = None,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        if self._writes_its_form:
            raise refused(type(self))
        key = self._own_key() if key is None else key
        self._children = as_list("schedulers", children)
        for position, child in enumerate(self._children):
            name = self.child_name.format(position)
            _require_child(name, child, key, param_group_tags)
            unbound = optimizer is not None or not child._bound
            require(unbound, "optimizer", optimizer, f"give the one that {child} is bound to")
        schedules = [] if optimizer is not None else [self.composed(0)]
        super().__init__(
            optimizer,
            schedules,
            key,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )
        self._adopt()

    @property
    def children(self) -> list[Scheduler]:
        """The schedulers that this one was made of."""
        return list(self._children)

    def composed(self, index: int) -> Schedule:
        """Compose the children's schedules for one of the optimizer's groups."""
        raise NotImplementedError

    def distribute(self, schedule: Schedule) -> Sequence[Schedule]:
        """Undo :meth:`composed`: return the schedules of the children."""
        raise NotImplementedError

    def recompose(self) -> None:
        """Follow the children's schedules as they are now."""
        self.reschedule([self.composed(index) for index in self.indices])

    # Binding.

    def _drive(self, optimizer: Optimizer, group_values: GroupValues, step: int) -> None:
        undo = [child._undo() for child in self._children]
        try:
            for position, child in enumerate(self._children):
                _become_part(self.child_name.format(position), child, optimizer, group_values)
            super()._drive(optimizer, group_values, step)
        except Exception:
            for undone in undo:
                undone()
            raise
        self._adopt()

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        return tuple(self.composed(index) for index in group_values.indices)

    def _undo(self) -> Callable[[], None]:
        parts = [super()._undo(), *(child._undo() for child in self._children)]

        def undo() -> None:
            for part in parts:
                part()

        return undo

    def _adopt(self) -> None:
        """Take over the children: from here on they refuse to step by themselves."""
        for child in self._children:
            child._parent = weakref.ref(self)
            if hasattr(child, "_driver"):
                # It was bound alone before, maybe to more groups than these.
                ownership = ownership_of(self._group_values.optimizer)
                driven_before = child._driver.group_values
                ownership.release(child)
                del child._driver, child._advance
                ownership.give_back(driven_before)
            child.refusal = f"{child} was given to {self}, which drives its values: step that one"

    # State.

    def _as_cerebras(self, step: int) -> dict[str, Any]:
        steps = self._steps_of_children(step)
        parts = [c._as_cerebras(at) for c, at in zip(self._children, steps, strict=True)]
        return {**super()._as_cerebras(step), "_schedulers": parts}

    def _steps_of_children(self, step: int) -> Sequence[int]:
        """The step of each child at a step of this scheduler."""
        return [step] * len(self._children)

    def _take_over(self, schedules: Sequence[Schedule]) -> None:
        """Follow schedules from a state, and give the children theirs."""
        super()._take_over(schedules)
        parts = zip(*map(self.distribute, schedules), strict=True)
        for child, mine in zip(self._children, parts, strict=True):
            child._take_over(mine)

    # The schedules of a copy are composed anew, as the children may know how to copy theirs.

    def _attributes(self) -> dict[str, Any]:
        attributes = super()._attributes()
        del attributes["_schedules"], attributes["_given"]
        return attributes

    def _restore(self, attributes: dict[str, Any]) -> None:
        super()._restore(attributes)
        self._given = self._schedules = tuple(self.composed(index) for index in self.indices)

    def __setstate__(self, saved: dict[str, Any]) -> None:
        super().__setstate__(saved)
        self._adopt()


def schedule_of(child: Scheduler, index: int) -> Schedule:
    """Return a child's schedule for one of the optimizer's groups."""
    return child.schedules[child.indices.index(index)]


def _become_part(
    name: str, child: Scheduler, optimizer: Optimizer, group_values: GroupValues
) -> None:
    """Have a child know the groups that it is driven for, without driving them itself."""
    bound_alone = child._bound and hasattr(child, "_driver")
    if bound_alone:
        same = owner_of_groups(child.optimizer) is group_values.optimizer
        require(same, name, child, "it is bound to another optimizer")
    if isinstance(child, Composite):
        for position, part in enumerate(child._children):
            _become_part(child.child_name.format(position), part, optimizer, group_values)
        schedules = child._schedules_for(group_values)
    elif bound_alone:
        schedules = _of_groups(name, child, group_values)
    else:
        schedules = child._schedules_for(group_values)
    child._attach(optimizer, group_values, schedules)
    if not child._is_shared:
        child._given = schedules


def _of_groups(name: str, child: Scheduler, group_values: GroupValues) -> tuple[Schedule, ...]:
    """The schedules that a child had for groups when it was bound alone."""
    if child._is_shared:
        return child._schedules_for(group_values)
    by_group = dict(zip(child.indices, child.schedules, strict=True))
    missing = sorted(set(group_values.indices) - set(by_group))
    remedy = f"it does not drive param groups {missing}: give it one schedule for all groups"
    require(not missing, name, child, remedy)
    return tuple(by_group[index] for index in group_values.indices)


def _require_child(name: str, child: object, key: str, tags: Tags) -> None:
    """Refuse a child that drives another key, has no pure schedule, or is a part already."""
    if not isinstance(child, Scheduler):
        raise ArgumentError(name, child, "give a scheduler of accelsched")
    require(child.key == key, name, child, f"it does not drive {key!r}")
    pure = bool(child.schedules)
    require(pure, name, child, "its values depend on those before them: it cannot be composed")
    parent = alive(child._parent)
    require(parent is None, name, child, f"it was given to {parent} already")
    remedy = "begin_decay or extend was called on it: build it anew, and call that on this one"
    require(not child._plan, name, child, remedy)
    own = child._param_group_tags
    same = own is None or (tags is not None and tag_set(own) == tag_set(tags))
    remedy = (
        f"it has param_group_tags={own!r}, and this scheduler {tags!r}: give tags to this alone"
    )
    require(same, name, child, remedy)
