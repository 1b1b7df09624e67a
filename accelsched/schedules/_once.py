"""A property that is computed on first use, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class computed_once(Generic[T]):
    """A property that keeps its first value in the ``__dict__`` of its object.

    Before Python 3.12, :class:`functools.cached_property` holds one lock for all objects of a class
    and its subclasses. While one schedule compiles, no other can be evaluated, and a process
    forked then waits forever. Here two threads may both compute a value, but all get the same one.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: Any = None) -> T:
        if instance is None:
            raise AttributeError(self._name)
        # Without a __set__, Python calls this only until __dict__ has the value.
        value: T = vars(instance).setdefault(self._name, self._function(instance))
        return value
