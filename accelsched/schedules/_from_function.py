"""A Python function of the step as a schedule: traced, or tabulated if that fails."""

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

#: The number of steps to tabulate if ``total_iters`` is not given.
DEFAULT_STEPS = 2**20
#: Tables by function, number of steps, and values of the variables that the function reads.
_TABLES: weakref.WeakValueDictionary[tuple[Any, ...], Tabulated] = weakref.WeakValueDictionary()
#: Steps at which a traced function must return the same values as in Python.
PROBES = (0, 1, 2, 3, 4, 5, 7, 10, 31, 99, 100, 1000, 12345, 10**6)


def from_function(
    function: Callable[[int], Any], total_iters: int | None = None, argument: str = "function"
) -> Schedule:
    """Return a schedule whose value at each step is that of a function.

    A function of operators or torch functions becomes a :class:`Lambda`, which is evaluated on the
    device. Any other function (``math``, NumPy, ``if``, ``min``) is called once for each step. It
    becomes a :class:`Tabulated`, which holds its last value past the end.

    Args:
        function: a function from the step, an int, to a number.
        total_iters: the number of steps to tabulate if tracing fails. Default ``DEFAULT_STEPS``.
        argument: the name of the function in errors.

    Raises:
        ArgumentError: ``function`` is not callable, or a value is not a finite number.

    Warns:
        UserWarning: ``total_iters`` is not given, and the values still change in the second half
            of the table.
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
            f"{argument}={function!r} cannot be traced: give total_iters. Only its first "
            f"{DEFAULT_STEPS} steps were tabulated; later steps hold the last value",
            UserWarning,
            stacklevel=2,
        )
    return table


def _tabulated(function: Callable[[int], Any], total_iters: int) -> Tabulated:
    """Tabulate a function, once for all schedules that use it at the same time."""
    reads = variables_of([function])
    if reads is None:
        return Tabulated(function, total_iters)
    # A table keeps its function alive, so no other function can have the same id.
    key = (id(function), total_iters, tuple(read() for read in reads))
    try:
        table = _TABLES.get(key)
    except TypeError:  # a variable has no hash
        return Tabulated(function, total_iters)
    if table is None:
        table = _TABLES[key] = Tabulated(function, total_iters)
    return table


def never_reads_the_step(function: Callable[[Any], Any]) -> bool:
    """Return whether a function returns a value without using the step."""
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
    """Return whether a function has the same values for a tensor of steps as for each int."""
    steps = torch.tensor(PROBES, dtype=torch.float64)
    try:
        record(lambda step: [Lambda(1.0, (function,)).formula(step)])
        # The function may still treat a tensor and a number differently.
        traced = function(steps)
        called = [float(function(step)) for step in PROBES]
    except Exception:
        return False
    return alike(traced, called)


def alike(traced: Any, called: Sequence[float]) -> bool:
    """Return whether the value at a tensor of steps equals the values that Python computed."""
    numbers = torch.tensor(called, dtype=torch.float64)
    if not isinstance(traced, Tensor):
        traced = torch.full_like(numbers, traced)
    # An operator may differ from Python's by a few roundings.
    return traced.shape == numbers.shape and torch.allclose(
        traced.to(torch.float64), numbers, rtol=2**-48, atol=0.0, equal_nan=True
    )
