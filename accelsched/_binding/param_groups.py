"""One hyper-parameter of an optimizer's param groups, and the selection of the groups."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from accelsched.errors import ArgumentError, require, shown

Tags = str | Collection[str | None] | None
#: A key that names one number of a tuple, such as ``betas[0]``.
_ELEMENT = re.compile(r"(\w+)\[(\d)\]")


class GroupValues:
    """The values of one key in some of an optimizer's param groups.

    Args:
        optimizer: the optimizer with the groups.
        key: the hyper-parameter; one number of a tuple is ``betas[0]``.
        tags: the tags that select groups; None for all groups.

    Attributes:
        optimizer: the owner of the groups: the inner optimizer if one optimizer wraps another.
        indices: the indices of the selected groups in the optimizer's list.

    Raises:
        TypeError: ``optimizer`` is not an optimizer.
        ArgumentError: no group has such a tag, or a group holds no number under this key.
    """

    def __init__(self, optimizer: Optimizer, key: str, tags: Tags) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"give a torch.optim.Optimizer, not {type(optimizer)}: optimizer={optimizer!r}"
            )
        self.optimizer = owner_of_groups(optimizer)
        self.key = key
        #: The number of groups that the optimizer had; any further group is new.
        self.group_count = len(self.optimizer.param_groups)
        element = _ELEMENT.fullmatch(key)
        self._name: str = element[1] if element else key
        self._position = int(element[2]) if element else None
        self.indices = _selected(optimizer, tags)
        for group in self.groups():
            require(
                self._name in group, "key", key, f"give a key of the param group: {sorted(group)}"
            )
            if self._position is not None:
                held = group[self._name]
                if not isinstance(held, (tuple, list)) or self._position >= len(held):
                    # Not for a pair that fits: to print it would read its tensors.
                    remedy = f"{self._name!r} holds {shown(held)}: give another key"
                    raise ArgumentError("key", key, remedy)
            value = self.value(group)
            number = not isinstance(value, bool) and isinstance(value, (int, float))
            if not number and not (isinstance(value, Tensor) and value.numel() == 1):
                raise ArgumentError(
                    "key",
                    key,
                    f"it holds a {type(value).__name__}: give a key that holds one number",
                )

    def groups(self, groups: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        """Return the driven groups. Do not keep them: loading an optimizer's state replaces them.

        Args:
            groups: the list of all groups. Default: the optimizer's list.
        """
        every = self.optimizer.param_groups if groups is None else groups
        return [every[i] for i in self.indices]

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
        """Return the dtype that the value of each group has as a tensor."""
        held = zip(self.groups(), self.values(), strict=True)
        return [dtype_of(group, value) for group, value in held]

    def values(self) -> list[Any]:
        """Return the value in each group."""
        return [self.value(group) for group in self.groups()]

    def value(self, group: dict[str, Any]) -> Any:
        """Return the value in a group."""
        held = group[self._name]
        return held if self._position is None else held[self._position]

    def write(self, values: Iterable[object], groups: list[dict[str, Any]] | None = None) -> None:
        """Write one value to each group."""
        for group, value in zip(self.groups(groups), values, strict=True):
            self.put(group, value)

    def put(self, group: dict[str, Any], value: object) -> None:
        """Put a value in one group."""
        if self._position is None:
            group[self._name] = value
        else:
            items = enumerate(group[self._name])
            group[self._name] = tuple(value if i == self._position else v for i, v in items)

    def in_all_groups(self, key: str, known: Mapping[int, float]) -> list[Any]:
        """Return a copy of the value in each of the optimizer's groups, driven or not.

        Args:
            key: this hyper-parameter, or another.
            known: the known values of tensors, by identity, which are returned in their place.

        Returns:
            Floats and tensors; None for a group without such a value.
        """
        held = [self._held(group, key) for group in self.optimizer.param_groups]
        return copies_of(known.get(id(value), value) for value in held)

    def _held(self, group: dict[str, Any], key: str) -> Any:
        if key != self.key:
            return group.get(key)
        try:
            return self.value(group)
        except (KeyError, IndexError, TypeError):
            return None


@torch.no_grad()
def copies_of(values: Iterable[Any]) -> list[Any]:
    """Copy the values of param groups that are tensors.

    This does not use detach(): on torch_xla it returns an older value after a tensor was scaled in
    place.
    """
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def owner_of_groups(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer that owns the param groups: the inner one of a wrapper.

    A wrapper that shares its groups (accelerate's, Lightning Fabric's, timm's Lookahead) may lack
    the hooks of an optimizer, and may replace its list of groups.
    """
    for name in ("optimizer", "_optimizer", "base_optimizer"):
        # Not vars(): once it was called, every attribute lookup takes longer.
        inner = getattr(optimizer, name, None)
        if isinstance(inner, Optimizer) and inner is not optimizer:
            mine, its = optimizer.param_groups, inner.param_groups
            if mine is its or (mine and its and mine[0] is its[0]):
                return owner_of_groups(inner)
    return optimizer


@contextlib.contextmanager
def unchanged_on_error(optimizers: Iterable[Optimizer]) -> Iterator[None]:
    """Restore the contents of the param groups if the block fails."""
    held = [(group, dict(group)) for optimizer in optimizers for group in optimizer.param_groups]
    try:
        yield
    except Exception:
        for group, before in held:
            group.clear()
            group.update(before)
        raise


def _selected(optimizer: Optimizer, tags: Tags) -> list[int]:
    """Return the indices of the groups that have one of the tags."""
    groups = optimizer.param_groups
    if tags is None:
        return list(range(len(groups)))
    wanted = tag_set(tags)
    require(len(wanted) == len(_tag_list(tags)), "param_group_tags", tags, "give each tag once")
    selected = [i for i, group in enumerate(groups) if wanted & tags_of(group)]
    if not selected:
        there: set[str | None] = set().union(*map(tags_of, groups))
        names = sorted(map(repr, there))
        raise ArgumentError(
            "param_group_tags",
            tags,
            f"no param group has such a tag: give one of {', '.join(names)}",
        )
    return selected


def tag_set(tags: Tags) -> set[Any]:
    """Return the tags of an argument that is one tag or a list of tags."""
    given = _tag_list(tags)
    if not given or not all(tag is None or isinstance(tag, str) for tag in given):
        remedy = "give a string, or a list of strings; None in it means groups without tags"
        raise ArgumentError("param_group_tags", tags, remedy)
    return set(given)


def _tag_list(tags: Any) -> Collection[Any]:
    return tags if isinstance(tags, (list, tuple, set, frozenset)) else [tags]


def tags_of(group: dict[str, Any]) -> set[str | None]:
    """Return the tags of a param group; {None} if it has no tags or an empty list."""
    tags = group.get("tags")
    return {tags} if isinstance(tags, str) else set(tags or [None])


def dtype_of(group: dict[str, Any], value: object) -> torch.dtype:
    """Return the dtype that a group's value has as a tensor.

    A tensor keeps its dtype. A number becomes float64 if a parameter of the group is float64, else
    float32.
    """
    if isinstance(value, Tensor):
        return value.dtype
    wide = any(p.dtype == torch.float64 for p in group["params"])
    return torch.float64 if wide else torch.float32


def device_of(groups: Iterable[dict[str, Any]]) -> torch.device:
    """Return the device of the first parameter; the CPU if there are no parameters."""
    parameters = (p for group in groups for p in group["params"])
    return next((p.device for p in parameters), torch.device("cpu"))
