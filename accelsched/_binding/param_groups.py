"""One hyper-parameter of some of an optimizer's param groups, and which groups these are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from accelsched.errors import ArgumentError, require

Tags = str | Collection[str | None] | None
#: One number of a tuple, as beta1 is in ``betas[0]``.
_ELEMENT = re.compile(r"(\w+)\[(\d)\]")


class GroupValues:
    """One key of some of an optimizer's param groups, or one number of a tuple: ``betas[0]``.

    Args:
        optimizer: whose groups they are.
        key: the hyper-parameter.
        tags: which groups; all if None.

    Attributes:
        indices: of the groups, in the optimizer's list.

    Raises:
        TypeError: this is no optimizer.
        ArgumentError: no group has such a tag, or a group holds no number by this key.
    """

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
        """Return today's param groups: loading an optimizer's state replaces them."""
        return [self.optimizer.param_groups[i] for i in self.indices]

    @property
    def is_element(self) -> bool:
        """Whether the value is one number of a tuple."""
        return self._position is not None

    @property
    def device(self) -> torch.device:
        """The device of the groups' parameters."""
        return device_of(self.groups())

    @property
    def hold_tensors(self) -> bool:
        """Whether any group holds a tensor."""
        return any(isinstance(value, Tensor) for value in self.values())

    def dtypes(self) -> list[torch.dtype]:
        """Return the dtype that each group's value has as a tensor."""
        return [dtype_of(group, self.value(group)) for group in self.groups()]

    def values(self) -> list[Any]:
        """Return what each group holds."""
        return [self.value(group) for group in self.groups()]

    def value(self, group: dict[str, Any]) -> Any:
        """Return what a group holds."""
        held = group[self._name]
        return held if self._position is None else held[self._position]

    def write(self, values: Iterable[object]) -> None:
        """Write one value to each group."""
        for group, value in zip(self.groups(), values, strict=True):
            if self._position is None:
                group[self._name] = value
            else:
                pairs = enumerate(group[self._name])
                group[self._name] = tuple(value if i == self._position else v for i, v in pairs)


def _selected(optimizer: Optimizer, tags: Tags) -> list[int]:
    """Return the indices of the groups that have one of the tags."""
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
    """Return the tags of a param group; {None} if it has none, or an empty list of them."""
    tags = group.get("tags")
    return {tags} if isinstance(tags, str) else set(tags or [None])


def dtype_of(group: dict[str, Any], value: object) -> torch.dtype:
    """Return the dtype that a group's value has as a tensor.

    A tensor keeps its dtype. A number gets float64 beside float64 parameters, and float32
    elsewhere.
    """
    if isinstance(value, Tensor):
        return value.dtype
    wide = any(p.dtype == torch.float64 for p in group["params"])
    return torch.float64 if wide else torch.float32


def device_of(groups: Iterable[dict[str, Any]]) -> torch.device:
    """Return the device of the first parameter; the CPU if there is none."""
    parameters = (p for group in groups for p in group["params"])
    return next((p.device for p in parameters), torch.device("cpu"))
