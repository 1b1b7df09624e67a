"""Which scheduler drives which value of an optimizer, and the tensors of the values.

At most one scheduler drives a key of a param group. A value that lives on a device has one tensor
for ever, whichever scheduler writes it: compiled and captured graphs hold on to it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer

from accelsched._binding.param_groups import GroupValues


class Owner(Protocol):
    """A scheduler, as far as ownership is concerned."""

    #: Why this scheduler must not step, if it must not.
    refusal: str | None

    @property
    def group_values(self) -> GroupValues:
        """The values that it drives."""

    @property
    def driver(self) -> Any:
        """What writes its values."""


class Ownership:
    """For one optimizer: the tensors of its scheduled values, and the schedulers that drive them.

    Attributes:
        value_tensors: by the index of the param group and the key.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.value_tensors: dict[tuple[int, str], Tensor] = {}
        self._owners: list[weakref.ref[Owner]] = []
        # The rival that a scheduler's refusal names, as the text takes time to write.
        self._told: weakref.WeakKeyDictionary[Owner, weakref.ref[Owner]]
        self._told = weakref.WeakKeyDictionary()
        optimizer.register_load_state_dict_post_hook(_write_to_groups)

    def owners(self) -> list[Owner]:
        """The schedulers that are alive and part of no other."""
        alive = [reference() for reference in self._owners]
        return [owner for owner in alive if owner is not None]

    def claim(self, owner: Owner) -> None:
        """A new scheduler drives its values."""
        # The callback holds no scheduler: one that nothing else holds is to go at once.
        mine = weakref.ref(self)

        def gone(_: object) -> None:
            ownership = mine()
            if ownership is not None:
                ownership._find_conflicts()

        self._owners.append(weakref.ref(owner, gone))
        self._find_conflicts()

    def release(self, owner: Owner) -> None:
        """The scheduler no longer drives its values: another one does it for it."""
        self._owners = [reference for reference in self._owners if reference() is not owner]
        self._told.pop(owner, None)
        self._find_conflicts()

    def _find_conflicts(self) -> None:
        """Tell each scheduler whether it may step. Asked here, so that a step need not ask."""
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


def _rivals(owners: Iterable[Owner]) -> dict[Owner, Owner]:
    """By the scheduler, another one that drives a value of its; one look at each value."""
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
        f"two schedulers drive {owner.group_values.key!r} of the same param group: {owner} and "
        f"{other}. Give each its own key or param_group_tags, put both in one SequentialLR or "
        "ChainedLR, or delete the one that is not needed."
    )


_OWNERSHIPS: weakref.WeakKeyDictionary[Optimizer, Ownership] = weakref.WeakKeyDictionary()


def ownership_of(optimizer: Optimizer) -> Ownership:
    """The ownership of an optimizer's values; it goes when the optimizer goes."""
    if optimizer not in _OWNERSHIPS:
        _OWNERSHIPS[optimizer] = Ownership(optimizer)
    return _OWNERSHIPS[optimizer]


def _write_to_groups(optimizer: Optimizer) -> None:
    """After Optimizer.load_state_dict, whose groups hold copies that nobody would update."""
    for owner in ownership_of(optimizer).owners():
        owner.driver.write_to_groups()
