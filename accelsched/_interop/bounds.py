"""What data from a file may cost: its size and depth are bounded before any of it is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelsched.errors import ArgumentError, require

#: Of dicts, lists and values in a spec; 10,000 phases of a kind with 5 arguments take 80,000.
MAX_NODES = 250_000
#: Of dicts and lists within each other; a schedule within a schedule takes two or three.
MAX_DEPTH = 200


def require_bounded(spec: Any) -> None:
    """Refuse a spec that is too large or too deep, or that contains itself.

    An alias of YAML is the same object at each place that names it: nine lists of nine aliases
    each, within each other, are a billion nodes, and each is counted where it would be built.

    Raises:
        ArgumentError: it has more than ``MAX_NODES`` nodes, or is deeper than ``MAX_DEPTH``.
    """
    nodes, level, depth = 0, [spec], 0
    while level:
        nodes += len(level)
        if nodes > MAX_NODES:
            raise ArgumentError("spec", spec, f"it has more than {MAX_NODES:,} nodes, aliases too")
        require(depth <= MAX_DEPTH, "spec", spec, f"it is nested deeper than {MAX_DEPTH} levels")
        level, depth = _below(level, MAX_NODES - nodes), depth + 1


def _below(level: list[Any], limit: int) -> list[Any]:
    """What the dicts and lists of a level hold; no more than one past the limit."""
    found: list[Any] = []
    for node in level:
        if isinstance(node, Mapping):
            found.extend(node.values())
        elif isinstance(node, (list, tuple)):
            found.extend(node)
        if len(found) > limit:
            break
    return found
