"""What a schedule computes when it is first asked for, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class computed_once(Generic[T]):
    """A property that keeps its first value in the ``__dict__`` of its object.

    Until Python 3.12 that of :mod:`functools` holds one lock for all objects of all classes that
    inherit it: while one schedule is compiled no other is evaluated, and a process that is forked
    then waits for ever. Here two threads may both compute a value; all get the same one.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: Any = None) -> T:
        if instance is None:
            raise AttributeError(self._name)
        # No __set__, so Python asks here only until the value is there.
        value: T = vars(instance).setdefault(self._name, self._function(instance))
        return value
