"""The values of a scheduler on a device, as the host computes them when it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from accelsched._lowering import lower_to_host
from accelsched.schedules import Schedule

if TYPE_CHECKING:
    from accelsched.kernels import Kernel


def machine_code(schedules: Sequence[Schedule]) -> Kernel | None:
    """Machine code for schedules, one for each group.

    None if there is no schedule, or if a function of the user is called or watched: what it says
    now need not be what it said when it was recorded for the device.
    """
    from accelsched.kernels import Kernel

    function = lower_to_host(schedules) if schedules else None
    return function if isinstance(function, Kernel) else None
