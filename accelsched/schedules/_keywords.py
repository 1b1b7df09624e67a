"""Classes that warn about positional arguments after the first."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from accelsched.errors import shown

C = TypeVar("C", bound=type)

_BY_KEYWORD: set[type] = set()


def by_keyword(cls: C) -> C:
    """Make the constructor of a class warn about positional arguments after the first.

    The order of its arguments is not the usual one: initial, end, total_iters, shape. So positional
    arguments invite mistakes.
    """
    construct = cls.__init__  # type: ignore[misc]

    @functools.wraps(construct)
    def __init__(self: Any, *args: Any, **keywords: Any) -> None:
        warn_of_positions(cls, args, keywords, stacklevel=3)
        construct(self, *args, **keywords)

    cls.__init__ = __init__  # type: ignore[misc]
    _BY_KEYWORD.add(cls)
    return cls


def warn_of_positions(
    cls: type, args: Sequence[Any], keywords: Mapping[str, Any], stacklevel: int
) -> None:
    """Warn about positional arguments after the first, if :func:`by_keyword` marks the class."""
    if cls not in _BY_KEYWORD or len(args) < 2:
        return
    names = inspect.signature(cls).parameters
    given = {**dict(zip(names, args, strict=False)), **keywords}
    call = ", ".join(f"{name}={shown(value)}" for name, value in given.items())
    warnings.warn(
        "the next release refuses positional arguments after the first: write "
        f"{cls.__name__}({call})",
        FutureWarning,
        stacklevel=stacklevel,
    )
