"""The values of a scheduler as the host computes them when it is asked, on any device."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from accelsched._lowering import lower_to_host
from accelsched.schedules import Schedule

if TYPE_CHECKING:
    from accelsched._binding.scheduler import Scheduler
    from accelsched.kernels import HostFunction

#: For each scheduler that was asked, the schedules that it had and their function. No attribute of
#: the scheduler: a copy or a state of one has none.
_functions: weakref.WeakKeyDictionary[Scheduler, tuple[tuple[Schedule, ...], HostFunction]] = (
    weakref.WeakKeyDictionary()
)


def host_function_of(scheduler: Scheduler) -> HostFunction:
    """Return what computes the values of a scheduler, made once for the schedules in force."""
    schedules, known = scheduler.in_force, _functions.get(scheduler)
    # The tuple is another one whenever a schedule is.
    if known is None or known[0] is not schedules:
        known = _functions[scheduler] = schedules, lower_to_host(schedules)
    return known[1]


def values_by_machine_code(scheduler: Scheduler, step: int) -> list[float] | None:
    """Compute the values of a scheduler at a step.

    None if there is no schedule, or if a function of the user is called or watched: what it says
    now need not be what it said when it was recorded for the device.
    """
    from accelsched.kernels import Kernel

    function = host_function_of(scheduler) if scheduler.in_force else None
    return function.at(step) if isinstance(function, Kernel) else None
