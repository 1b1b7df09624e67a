"""How far two evaluations of one schedule may be apart, and why."""

import math

from accelsched.schedules import Schedule

# A formula is some 16 roundings of terms that do not cancel. A power r**x multiplies the roundings
# of x by x ln r, which is at most 745 before float64 underflows. Both sides round: twice that.
RELATIVE = 2 * (16 + 745) * 2.0**-53


def agrees(got: float, want: float, leaves: int = 1) -> bool:
    """Whether two float64 results of one formula differ by rounding only."""
    tiny = 2.0**-1022 * leaves  # below it digits are lost one by one
    same = got == want or (math.isnan(got) and math.isnan(want))
    return same or abs(got - want) <= RELATIVE * leaves * abs(want) + tiny


def leaves_of(schedule: Schedule) -> int:
    """Return the number of formulas in a schedule."""
    children = getattr(schedule, "schedules", None) or (getattr(schedule, "schedule", None),)
    return sum(leaves_of(child) for child in children if child is not None) + 1
