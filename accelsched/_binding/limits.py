"""Which values a hyper-parameter can have: schedules that leave them are refused when bound."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from accelsched._binding.param_groups import GroupValues, dtype_of
from accelsched.errors import ArgumentError
from accelsched.schedules import Schedule

#: The keys whose values must not be below 0, and what they must be below.
_BELOW = {"lr": float("inf"), "weight_decay": float("inf"), "momentum": float("inf"), "betas": 1.0}
#: Where a schedule that does not settle is looked at.
_FAR = tuple(4**power for power in range(1, 21))
#: How many different schedules are looked at, as a look takes some 50 us.
_MOST = 256


def require_possible(group_values: GroupValues, schedules: Sequence[Schedule]) -> None:
    """Refuse schedules whose values the groups cannot have, as far as samples show.

    Args:
        group_values: what is driven.
        schedules: one for each group.

    Raises:
        ArgumentError: a value is negative, a beta is 1 or more, or the dtype cannot hold it.
    """
    if not schedules:
        return
    places = zip(schedules, group_values.groups(), group_values.values(), strict=True)
    looked_at = {(schedule, dtype_of(group, value)) for schedule, group, value in places}
    for schedule, dtype in list(looked_at)[:_MOST]:
        _require_possible(group_values.key, schedule, torch.finfo(dtype).max)


def _require_possible(key: str, schedule: Schedule, largest: float) -> None:
    name = key.partition("[")[0]
    low, high = (0.0, _BELOW[name]) if name in _BELOW else (-largest, float("inf"))
    steps = _samples(schedule)
    try:
        values = schedule.formula(steps).tolist()
    except Exception:  # a function of the user's that takes one step at a time
        return
    for step, value in zip(steps.tolist(), values, strict=True):
        if not (low <= value < high and value <= largest):
            allowed = f"from {low:g} to below {min(high, largest):g}"
            remedy = f"its value at step {step} is {value:g}: {key!r} takes numbers {allowed}"
            raise ArgumentError("schedule", schedule, remedy)


def _samples(schedule: Schedule) -> torch.Tensor:
    last = schedule.settles
    steps = _FAR if last is None else (*(last * part // 16 for part in range(16)), last)
    return torch.tensor(sorted({0, 1, *steps}), device="cpu")
