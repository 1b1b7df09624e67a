"""A scheduler that is composed of others and drives the values in their place."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer

from accelsched._binding.closed_form import refused
from accelsched._binding.given import as_list, not_a_scheduler
from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, Tags, owner_of_groups, tag_set
from accelsched._binding.scheduler import Scheduler, alive
from accelsched.errors import require
from accelsched.schedules import Schedule


class Composite(Scheduler):
    """A scheduler that is composed of others, its children, and drives the values in their place.

    A child writes no values. Its groups are those of the composite, whatever it drove before.

    Args:
        optimizer: the optimizer of the children; children without one are bound to it. None to bind
            all of them later.
        children: at least one scheduler.
        key: the hyper-parameter that the children drive.
        param_group_tags: as for :class:`Scheduler`; they apply to the children too.
        last_epoch: start one step after this one.
        open_ended: as for :class:`Scheduler`.
    """

    #: How an error names a child: after the argument of the class.
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
            require(unbound, "optimizer", optimizer, f"{name} is bound: give {name}.optimizer")
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
        """The schedulers that this one is composed of."""
        return list(self._children)

    def composed(self, index: int) -> Schedule:
        """Compose the children's schedules for one of the optimizer's groups."""
        raise NotImplementedError

    def distribute(self, schedule: Schedule) -> Sequence[Schedule]:
        """Return the schedules of the children: the inverse of :meth:`composed`."""
        raise NotImplementedError

    def recompose(self) -> None:
        """Compose the schedules again from the children's current ones, and follow them."""
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
        """Take over the children, which then refuse to step on their own."""
        for child in self._children:
            child._parent = weakref.ref(self)
            if hasattr(child, "_driver"):
                # The child was bound on its own before, maybe to more groups than these.
                ownership = ownership_of(self._group_values.optimizer)
                driven_before = child._driver.group_values
                ownership.release(child)
                del child._driver, child._advance
                ownership.give_back(driven_before)
            child.refusal = (
                f"this scheduler is part of another, step that one: {child} was given to {self}"
            )

    # State.

    def _as_cerebras(self, step: int) -> dict[str, Any]:
        steps = self._steps_of_children(step)
        parts = [c._as_cerebras(at) for c, at in zip(self._children, steps, strict=True)]
        return {**super()._as_cerebras(step), "_schedulers": parts}

    def _steps_of_children(self, step: int) -> Sequence[int]:
        """Return the step of each child at a step of this scheduler."""
        return [step] * len(self._children)

    def _take_over(self, schedules: Sequence[Schedule]) -> None:
        """Follow the schedules of a state, and pass each child its own."""
        super()._take_over(schedules)
        parts = zip(*map(self.distribute, schedules), strict=True)
        for child, mine in zip(self._children, parts, strict=True):
            child._take_over(mine)

    # A copy composes its schedules again: a child may copy its schedules in a way of its own.

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
    """Attach a child to the groups of its composite, without letting the child drive them."""
    bound_alone = child._bound and hasattr(child, "_driver")
    if bound_alone:
        same = owner_of_groups(child.optimizer) is group_values.optimizer
        require(same, name, child, "it is bound to another optimizer: build all with the same one")
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
    """Return the schedules for these groups of a child that was bound on its own."""
    if child._is_shared:
        return child._schedules_for(group_values)
    by_group = dict(zip(child.indices, child.schedules, strict=True))
    missing = sorted(set(group_values.indices) - set(by_group))
    remedy = f"it does not drive param groups {missing}: give it one schedule for all groups"
    require(not missing, name, child, remedy)
    return tuple(by_group[index] for index in group_values.indices)


def _require_child(name: str, child: object, key: str, tags: Tags) -> None:
    """Raise unless a child drives this key, has a schedule, and is not yet part of another."""
    if not isinstance(child, Scheduler):
        raise not_a_scheduler(name, child)
    require(child.key == key, name, child, f"it does not drive {key!r}: give schedulers that do")
    pure = bool(child.schedules)
    require(pure, name, child, "it cannot be composed (not a function of the step): step it alone")
    parent = alive(child._parent)
    require(parent is None, name, child, f"build a new one: it was given to {parent} already")
    remedy = "begin_decay or extend was called on it: build it anew, call them on the outer one"
    require(not child._plan, name, child, remedy)
    own = child._param_group_tags
    same = own is None or (tags is not None and tag_set(own) == tag_set(tags))
    remedy = (
        f"give param_group_tags to the outer scheduler only ({tags!r}), not to this part ({own!r})"
    )
    require(same, name, child, remedy)
