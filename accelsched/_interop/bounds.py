"""Bounds on the size and depth of a spec, checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelsched.errors import ArgumentError, require

#: The most dicts, lists and values in a spec. 10,000 phases with 5 arguments each take 80,000.
MAX_NODES = 250_000
#: The deepest nesting of dicts and lists. A schedule within a schedule takes two or three levels.
MAX_DEPTH = 200


def require_bounded(spec: Any) -> None:
    """Raise if a spec is too large or too deep, or contains itself.

    A YAML alias is the same object wherever it is named. Nine nested levels of nine aliases are 387
    million nodes, so an alias counts each time that it would be built.

    Raises:
        ArgumentError: the spec has more than ``MAX_NODES`` nodes, or is deeper than ``MAX_DEPTH``.
    """
    nodes, level, depth = 0, [spec], 0
    while level:
        nodes += len(level)
        if nodes > MAX_NODES:
            raise ArgumentError(
                "spec", spec, f"more than {MAX_NODES:,} nodes, aliases counted: give a smaller spec"
            )
        require(
            depth <= MAX_DEPTH, "spec", spec, f"nested deeper than {MAX_DEPTH} levels: flatten it"
        )
        level, depth = _below(level, MAX_NODES - nodes), depth + 1


def _below(level: list[Any], limit: int) -> list[Any]:
    """Return the children of a level's dicts and lists, stopping once they exceed the limit."""
    found: list[Any] = []
    for node in level:
        if isinstance(node, Mapping):
            found.extend(node.values())
        elif isinstance(node, (list, tuple)):
            found.extend(node)
        if len(found) > limit:
            break
    return found
