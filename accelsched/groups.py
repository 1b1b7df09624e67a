"""The param groups that a scheduler drives, and who drives which of their values.

At most one scheduler drives a key of a group. A value that lives on a device has one tensor for
ever, its cell, whichever scheduler writes it: compiled and captured graphs hold on to it.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from accelsched.errors import ArgumentError, require

if TYPE_CHECKING:
    from accelsched.scheduler import Scheduler

Tags = str | Collection[str | None] | None
#: One number of a tuple, as beta1 is in ``betas[0]``.
_ELEMENT = re.compile(r"(\w+)\[(\d)\]")


class Slots:
    """One key of some of an optimizer's param groups, or one number of a tuple: ``betas[0]``."""

    def __init__(self, optimizer: Optimizer, key: str, tags: Tags) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"optimizer={optimizer!r}: give a torch.optim.Optimizer, not {type(optimizer)}"
            )
        self.optimizer = optimizer
        self.key = key
        element = _ELEMENT.fullmatch(key)
        self._name: str = element[1] if element else key
        self._position = int(element[2]) if element else None
        self.indices = _selected(optimizer, tags)
        for group in self.groups():
            require(self._name in group, "key", key, f"the param group has only {sorted(group)}")
            if self._position is not None:
                held = group[self._name]
                fits = isinstance(held, (tuple, list)) and self._position < len(held)
                require(fits, "key", key, f"{self._name!r} holds {held!r}")
            value = self.value(group)
            number = not isinstance(value, bool) and isinstance(value, (int, float))
            if not number and not (isinstance(value, Tensor) and value.numel() == 1):
                raise ArgumentError(
                    "key", key, f"it holds a {type(value).__name__}, and one number is scheduled"
                )

    def groups(self) -> list[dict[str, Any]]:
        """The param groups as they are now: loading an optimizer's state replaces them."""
        return [self.optimizer.param_groups[i] for i in self.indices]

    @property
    def is_element(self) -> bool:
        """Whether this is one number of a tuple."""
        return self._position is not None

    def values(self) -> list[Any]:
        """What the groups hold."""
        return [self.value(group) for group in self.groups()]

    def value(self, group: dict[str, Any]) -> Any:
        """What a group holds."""
        held = group[self._name]
        return held if self._position is None else held[self._position]

    def write(self, values: Iterable[object]) -> None:
        """Put one value in each group."""
        for group, value in zip(self.groups(), values, strict=True):
            if self._position is None:
                group[self._name] = value
            else:
                pairs = enumerate(group[self._name])
                group[self._name] = tuple(value if i == self._position else v for i, v in pairs)


def _selected(optimizer: Optimizer, tags: Tags) -> list[int]:
    groups = optimizer.param_groups
    if tags is None:
        return list(range(len(groups)))
    given: Collection[Any] = tags if isinstance(tags, (list, tuple, set, frozenset)) else [tags]
    wanted: set[str | None] = set(given)
    if not all(tag is None or isinstance(tag, str) for tag in wanted) or not wanted:
        remedy = "give a string, or a list of strings; None in it stands for groups without tags"
        raise ArgumentError("param_group_tags", tags, remedy)
    require(len(wanted) == len(given), "param_group_tags", tags, "give each tag once")
    selected = [i for i, group in enumerate(groups) if wanted & tags_of(group)]
    if not selected:
        there: set[str | None] = set().union(*map(tags_of, groups))
        names = sorted(map(repr, there))
        raise ArgumentError(
            "param_group_tags", tags, f"no param group has such a tag; there are {', '.join(names)}"
        )
    return selected


def tags_of(group: dict[str, Any]) -> set[str | None]:
    """The tags of a param group; {None} if it has none, or an empty list of them."""
    tags = group.get("tags")
    return {tags} if isinstance(tags, str) else set(tags or [None])


class Ledger:
    """For one optimizer: the cells of its values, and the schedulers that drive them."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.cells: dict[tuple[int, str], Tensor] = {}
        self._drivers: list[weakref.ref[Scheduler]] = []
        optimizer.register_load_state_dict_post_hook(_reinstall)

    def drivers(self) -> list[Scheduler]:
        """The schedulers that are alive and not given to another."""
        alive = [reference() for reference in self._drivers]
        return [scheduler for scheduler in alive if scheduler is not None]

    def enter(self, scheduler: Scheduler) -> None:
        """A new scheduler drives its slots."""
        # The callback holds no scheduler: one that nothing else holds is to go at once.
        mine = weakref.ref(self)

        def gone(_: object) -> None:
            ledger = mine()
            if ledger is not None:
                ledger._settle()

        self._drivers.append(weakref.ref(scheduler, gone))
        self._settle()

    def leave(self, scheduler: Scheduler) -> None:
        """The scheduler no longer drives its slots: another one does it for it."""
        self._drivers = [r for r in self._drivers if r() is not scheduler]
        self._settle()

    def _settle(self) -> None:
        """Tell each scheduler whether it may step. Asked here, so that a step need not ask."""
        self._drivers = [r for r in self._drivers if r() is not None]
        drivers = self.drivers()
        for scheduler in drivers:
            rivals = [other for other in drivers if other is not scheduler]
            clash = next((other for other in rivals if _overlap(scheduler, other)), None)
            scheduler.refusal = None if clash is None else _refusal(scheduler, clash)


def _refusal(scheduler: Scheduler, other: Scheduler) -> str:
    return (
        f"two schedulers drive {scheduler.slots.key!r} of the same param group: {scheduler} and "
        f"{other}. Give each its own key or param_group_tags, put both in one SequentialLR or "
        "ChainedLR, or delete the one that is not needed."
    )


def _overlap(one: Scheduler, other: Scheduler) -> bool:
    same_key = one.slots.key == other.slots.key
    return same_key and bool(set(one.slots.indices) & set(other.slots.indices))


_LEDGERS: weakref.WeakKeyDictionary[Optimizer, Ledger] = weakref.WeakKeyDictionary()


def ledger(optimizer: Optimizer) -> Ledger:
    """The ledger of an optimizer; it goes when the optimizer goes."""
    if optimizer not in _LEDGERS:
        _LEDGERS[optimizer] = Ledger(optimizer)
    return _LEDGERS[optimizer]


def _reinstall(optimizer: Optimizer) -> None:
    """After Optimizer.load_state_dict, whose groups hold copies that nobody would update."""
    for scheduler in ledger(optimizer).drivers():
        scheduler.driver.install()
