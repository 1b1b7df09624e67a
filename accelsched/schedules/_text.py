"""A schedule as text: in full, as Python code, and cut to one terminal line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

#: The length of a line in characters.
WIDTH = 79
#: The number of items to show of a long tuple.
_FIRST = 3


def in_full(schedule: Any) -> str:
    """Return the call that makes a schedule, without arguments that have their defaults."""
    return _call(schedule, repr)


def in_a_line(schedule: Any) -> str:
    """Return the same call, cut to the width of a terminal, the deepest parts first."""
    # Cut before formatting: in full, ten thousand phases are a megabyte.
    texts = (_cut(schedule, depth) for depth in (5, 4, 3, 2, 1))
    return next(text for text in texts if len(text) <= WIDTH or text.endswith("(...)"))


def _call(schedule: Any, text_of: Callable[[Any], str]) -> str:
    arguments = [
        f"{field.name}={text_of(value)}"
        for field in dataclasses.fields(schedule)
        if field.init and field.repr
        for value in [getattr(schedule, field.name)]
        if not _is_default(value, field.default)
    ]
    return f"{type(schedule).__name__}({', '.join(arguments)})"


def _is_default(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _cut(value: Any, depth: int) -> str:
    """Return a value as text, without parts deeper than ``depth``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if depth == 1:
            return f"{type(value).__name__}(...)"
        return _call(value, lambda item: _cut(item, depth - 1))
    if isinstance(value, tuple) and value:
        long = len(value) > 2 * _FIRST
        items = [_cut(item, depth) for item in (value[:_FIRST] if long else value)]
        items += [f"... {len(value) - _FIRST:,} more"] if long else []
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return repr(value)
