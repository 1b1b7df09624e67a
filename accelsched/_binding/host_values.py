"""The values of a scheduler at any step, computed on the host for any device."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from accelsched._lowering import lower_to_host
from accelsched.schedules import Schedule

if TYPE_CHECKING:
    from accelsched._binding.scheduler import Scheduler
    from accelsched.kernels import HostFunction

#: By scheduler, the schedules in force at the last call and their host function. This is not an
#: attribute, so that copies and states of a scheduler do not carry it.
_functions: weakref.WeakKeyDictionary[Scheduler, tuple[tuple[Schedule, ...], HostFunction]] = (
    weakref.WeakKeyDictionary()
)


def host_function_of(scheduler: Scheduler) -> HostFunction:
    """Return the host function of a scheduler, built once for the schedules in force."""
    schedules, known = scheduler.in_force, _functions.get(scheduler)
    # A change of any schedule makes a new tuple.
    if known is None or known[0] is not schedules:
        known = _functions[scheduler] = schedules, lower_to_host(schedules)
    return known[1]


def values_by_machine_code(scheduler: Scheduler, step: int) -> list[float] | None:
    """Compute the values of a scheduler at a step by machine code, or return None.

    None if there is no schedule, or if a user's function is called or watched. Such a function may
    now return other values than when it was recorded for the device.
    """
    from accelsched.kernels import Kernel

    function = host_function_of(scheduler) if scheduler.in_force else None
    return function.at(step) if isinstance(function, Kernel) else None
