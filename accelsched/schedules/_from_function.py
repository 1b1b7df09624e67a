"""A Python function of the step as a schedule: traced, or tabulated where it cannot be."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._recording import record
from accelsched._recording.variables import variables_of
from accelsched.errors import require
from accelsched.schedules.base import Schedule
from accelsched.schedules.custom import Lambda, Tabulated

#: How many steps of a function are tabulated if nobody says how many are needed.
DEFAULT_STEPS = 2**20
#: A table by its function, the steps, and the variables that the function reads.
_TABLES: weakref.WeakValueDictionary[tuple[Any, ...], Tabulated] = weakref.WeakValueDictionary()
#: Steps at which a traced function must give what Python gives.
PROBES = (0, 1, 2, 3, 4, 5, 7, 10, 31, 99, 100, 1000, 12345, 10**6)


def from_function(
    function: Callable[[int], Any], total_iters: int | None = None, argument: str = "function"
) -> Schedule:
    """Make a schedule whose value at a step is that of a function.

    A function in operators or torch functions becomes a :class:`Lambda`, which is evaluated on the
    device. Any other (``math``, ``numpy``, an ``if``, ``min``) is called once for each step and
    becomes a :class:`Tabulated`, whose last value holds past its end.

    Args:
        function: from the step, an int, to a number.
        total_iters: the steps to tabulate if need be; ``DEFAULT_STEPS`` if not given.
        argument: what errors call the function.

    Raises:
        ArgumentError: it is no function, or its values are not finite numbers.

    Warns:
        UserWarning: no ``total_iters`` was given, and the value has not settled at its default.
    """
    require(callable(function), argument, function, "give a function of the step")
    if isinstance(function, Schedule):
        return function
    if is_traceable(function):
        return Lambda(1.0, (function,))
    table = _tabulated(function, DEFAULT_STEPS if total_iters is None else total_iters)
    late = table.values[DEFAULT_STEPS // 2 :]
    if total_iters is None and bool((late != late[0]).any()):
        warnings.warn(
            f"{argument}={function!r} cannot be traced, so its first {DEFAULT_STEPS} steps were "
            "tabulated, and past them the last value holds: give total_iters if you need more",
            UserWarning,
            stacklevel=2,
        )
    return table


def _tabulated(function: Callable[[int], Any], total_iters: int) -> Tabulated:
    """Tabulate a function, once for all schedulers that have it at the same time."""
    reads = variables_of([function])
    if reads is None:
        return Tabulated(function, total_iters)
    # While a table lives, so does its function, and no other one has its id.
    key = (id(function), total_iters, tuple(read() for read in reads))
    try:
        table = _TABLES.get(key)
    except TypeError:  # a variable has no hash
        return Tabulated(function, total_iters)
    if table is None:
        table = _TABLES[key] = Tabulated(function, total_iters)
    return table


def never_reads_the_step(function: Callable[[Any], Any]) -> bool:
    """Whether a function returns its value without using the step."""
    try:
        return not isinstance(function(_Untouchable()), (Tensor, _Untouchable))
    except Exception:
        return False


class _Untouchable:
    """A step that supports no operation."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise TypeError

    def __bool__(self) -> bool:
        raise TypeError


def is_traceable(function: Callable[[Any], Any]) -> bool:
    """Whether torch operations on a tensor of steps give what Python gives at each step."""
    steps = torch.tensor(PROBES, dtype=torch.float64)
    try:
        record(lambda step: [Lambda(1.0, (function,)).formula(step)])
        # It may still tell a tensor from a number.
        traced = function(steps)
        called = [float(function(step)) for step in PROBES]
    except Exception:
        return False
    return alike(traced, called)


def alike(traced: Any, called: Sequence[float]) -> bool:
    """Whether a value at a tensor of steps is what Python has at each of them."""
    numbers = torch.tensor(called, dtype=torch.float64)
    if not isinstance(traced, Tensor):
        traced = torch.full_like(numbers, traced)
    # The few roundings in which an operator may differ from Python's.
    return traced.shape == numbers.shape and torch.allclose(
        traced.to(torch.float64), numbers, rtol=2**-48, atol=0.0, equal_nan=True
    )
