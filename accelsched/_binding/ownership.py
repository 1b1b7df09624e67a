"""The record of which scheduler drives which value of an optimizer, and of the value tensors.

At most one scheduler drives a key of a param group. A value on a device keeps one tensor, whichever
scheduler writes it, because compiled and captured graphs refer to that tensor.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from accelsched._binding.param_groups import GroupValues
from accelsched._optimizers.frozen import refuse_frozen
from accelsched._runtimes import runtime_of
from accelsched._runtimes.captures import is_for_a_graph


class Owner(Protocol):
    """The parts of a scheduler that ownership needs."""

    #: Why this scheduler must not step; None if it may.
    refusal: str | None

    @property
    def group_values(self) -> GroupValues:
        """The values that the scheduler drives."""

    @property
    def driver(self) -> Any:
        """The driver, which writes the values."""

    def known_values(self) -> dict[int, float]:
        """Return the values of its tensors that the host can compute, by tensor identity."""


class Ownership:
    """The tensors of an optimizer's scheduled values, and the schedulers that drive them.

    Attributes:
        value_tensors: the tensors, by the index of the param group and the key.
        initial_values: the values before any scheduler drove the groups, by index and key.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.value_tensors: dict[tuple[int, str], Tensor] = {}
        self.initial_values: dict[tuple[int, str], Any] = {}
        self._owners: list[weakref.ref[Owner]] = []
        # The rival named in each scheduler's refusal: writing the text is slow, so write it once.
        self._told: weakref.WeakKeyDictionary[Owner, weakref.ref[Owner]]
        self._told = weakref.WeakKeyDictionary()
        # The hook refers to this ownership, because a wrapper that shares the hooks is another
        # object. A wrapper without hooks needs none: each step checks what the groups hold.
        if hasattr(optimizer, "_optimizer_load_state_dict_post_hooks"):
            optimizer.register_load_state_dict_post_hook(self._after_load)
        self._guards_captures = False

    def owners(self) -> list[Owner]:
        """Return the schedulers that are alive and not a part of another one."""
        alive = [reference() for reference in self._owners]
        return [owner for owner in alive if owner is not None]

    def known_values(self, key: str) -> dict[int, float]:
        """Return the values of a key's tensors that the host can compute, by tensor identity."""
        known: dict[int, float] = {}
        for owner in self.owners():
            if owner.group_values.key == key and owner.refusal is None:
                known |= owner.known_values()
        return known

    def claim(self, owner: Owner) -> None:
        """Register a scheduler that drives its values."""
        # The callback must not keep a scheduler alive: an unused one must be freed at once.
        mine = weakref.ref(self)

        def gone(_: object) -> None:
            ownership = mine()
            if ownership is not None:
                ownership._find_conflicts()

        self._owners.append(weakref.ref(owner, gone))
        self._find_conflicts()
        if runtime_of(owner.group_values.device).captures:
            self._guard_captures(owner.group_values.optimizer)

    def remember(self, group_values: GroupValues) -> None:
        """Record the values before the groups are driven; as torch does, also in ``initial_lr``."""
        for index, value in zip(group_values.indices, group_values.values(), strict=True):
            self.initial_values.setdefault((index, group_values.key), value)
            if group_values.key == "lr":
                group_values.optimizer.param_groups[index].setdefault("initial_lr", value)

    def initial(self, group_values: GroupValues) -> list[float]:
        """Return the values before the groups were driven; for "lr", their ``initial_lr``."""
        groups, key = group_values.optimizer.param_groups, group_values.key
        kept = [self.initial_values[index, key] for index in group_values.indices]
        if key == "lr":
            kept = [groups[index]["initial_lr"] for index in group_values.indices]
        return [float(value) for value in kept]

    def give_back(self, group_values: GroupValues) -> None:
        """Restore the initial value of each group that no scheduler drives any more."""
        driven = {
            (index, owner.group_values.key)
            for owner in self.owners()
            for index in owner.group_values.indices
        }
        for index in group_values.indices:
            place = index, group_values.key
            if place not in driven and place in self.initial_values:
                group = group_values.optimizer.param_groups[index]
                group_values.put(group, self.initial_values[place])

    def _guard_captures(self, optimizer: Optimizer) -> None:
        """Check each captured step of the optimizer for values that the graph would freeze."""
        if not self._guards_captures and hasattr(optimizer, "_optimizer_step_pre_hooks"):
            optimizer.register_step_pre_hook(CaptureGuard(self))
            self._guards_captures = True

    def refuse_frozen(self, optimizer: Optimizer) -> None:
        """Raise if the captured step of the optimizer would freeze a scheduled value."""
        for owner in self.owners():
            driven = owner.group_values
            for index, group in zip(driven.indices, driven.groups(), strict=True):
                refuse_frozen(optimizer, index, driven.key, driven.value(group))

    def _after_load(self, optimizer: Optimizer) -> None:
        """Write the values again: ``load_state_dict`` has put copies in the groups."""
        for owner in self.owners():
            owner.driver.write_to_groups(optimizer.param_groups)

    def release(self, owner: Owner) -> None:
        """Remove a scheduler that no longer drives its values."""
        self._owners = [reference for reference in self._owners if reference() is not owner]
        self._told.pop(owner, None)
        self._find_conflicts()

    def _find_conflicts(self) -> None:
        """Set the refusal of each scheduler, so that a step need not look for conflicts."""
        self._owners = [reference for reference in self._owners if reference() is not None]
        owners = self.owners()
        rivals = _rivals(owners)
        for owner in owners:
            rival = rivals.get(owner)
            if rival is None:
                owner.refusal = None
                self._told.pop(owner, None)
            elif self._told.get(owner) != weakref.ref(rival):
                owner.refusal = _refusal(owner, rival)
                self._told[owner] = weakref.ref(rival)


class CaptureGuard:
    """An optimizer step hook for CUDA: a captured step must follow every schedule."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Check a captured step; without a capture this takes 0.3 us."""
        if not torch.compiler.is_compiling() and is_for_a_graph():
            self._ownership.refuse_frozen(optimizer)


def _rivals(owners: Iterable[Owner]) -> dict[Owner, Owner]:
    """Return, for each scheduler in a conflict, another one that drives the same value."""
    holders: dict[tuple[str, int], Owner] = {}
    rivals: dict[Owner, Owner] = {}
    for owner in owners:
        driven = owner.group_values
        for index in driven.indices:
            first = holders.setdefault((driven.key, index), owner)
            if first is not owner:
                rivals.setdefault(owner, first)
                rivals.setdefault(first, owner)
    return rivals


def _refusal(owner: Owner, other: Owner) -> str:
    return (
        f"two schedulers drive {owner.group_values.key!r} of the same param group: delete one, "
        "give each its own key or param_group_tags, or put both in one SequentialLR or ChainedLR. "
        f"They are {owner} and {other}"
    )


_OWNERSHIPS: weakref.WeakKeyDictionary[Optimizer, Ownership] = weakref.WeakKeyDictionary()


def ownership_of(optimizer: Optimizer) -> Ownership:
    """Return the ownership of an optimizer's values; it is freed with the optimizer."""
    if optimizer not in _OWNERSHIPS:
        _OWNERSHIPS[optimizer] = Ownership(optimizer)
    return _OWNERSHIPS[optimizer]
