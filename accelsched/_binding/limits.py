"""Which values a hyper-parameter can have: schedules that leave them are refused when bound."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from accelsched._binding.param_groups import GroupValues
from accelsched.errors import require
from accelsched.schedules import Schedule

#: The keys whose values must not be below 0, and the largest of each.
_LARGEST = {"lr": math.inf, "weight_decay": math.inf, "momentum": math.inf, "betas": 1 - 2.0**-53}
#: Where a schedule that does not settle is looked at, and as far as a user's function is called.
_FAR, _CALLED = tuple(4**power for power in range(1, 21)), 4**5
#: How many different schedules are looked at, as a look takes some 50 us.
_MOST = 256


def require_possible(group_values: GroupValues, schedules: Sequence[Schedule]) -> None:
    """Refuse schedules whose values the groups cannot have, as far as samples show.

    Args:
        group_values: the values that are driven.
        schedules: one schedule for each group.

    Raises:
        ArgumentError: a value is negative, a beta is 1 or more, or the dtype cannot hold it.
    """
    if not schedules:
        return
    dtypes = group_values.dtypes()
    # By identity, as a user's function in a schedule may have no hash.
    looked_at = {(id(s), dtype): s for s, dtype in zip(schedules, dtypes, strict=True)}
    for (_, dtype), schedule in list(looked_at.items())[:_MOST]:
        _require_possible(group_values.key, schedule, torch.finfo(dtype).max)


def _require_possible(key: str, schedule: Schedule, largest: float) -> None:
    for number in _numbers(schedule):
        remedy = f"it has the number {number:g}: the dtype of {key!r} ends at {largest:g}"
        require(abs(number) <= largest, "schedule", schedule, remedy)
    name = key.partition("[")[0]
    if name not in _LARGEST:
        return
    try:
        steps = _samples(schedule)
        values = schedule.formula(torch.tensor(steps, device="cpu")).tolist()
    except Exception:  # a function of the user's that takes one step at a time
        return
    for step, value in zip(steps, values, strict=True):
        remedy = (
            f"its value at step {step} is {value:g}: {key!r} takes numbers from 0 to "
            f"{min(_LARGEST[name], largest):g}"
        )
        require(0 <= value <= _LARGEST[name], "schedule", schedule, remedy)


def _numbers(schedule: Schedule) -> Iterator[float]:
    """The numbers that a schedule and those in it were given, but for lists of them."""
    for value in _given(schedule):
        if isinstance(value, float):
            yield value
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Schedule):
                yield from _numbers(item)


def _given(schedule: Schedule) -> list[Any]:
    return [getattr(schedule, field.name) for field in dataclasses.fields(schedule) if field.init]


def _samples(schedule: Schedule) -> list[int]:
    last = schedule.settles
    steps = _FAR if last is None else (*(last * part // 16 for part in range(16)), last)
    if last is None and _calls_a_function(schedule):
        steps = tuple(step for step in steps if step <= _CALLED)
    return sorted({0, 1, *steps})


def _calls_a_function(schedule: Schedule) -> bool:
    """Whether a user's function is in a schedule, which may take as long as there are steps."""
    items = [i for v in _given(schedule) for i in (v if isinstance(v, tuple) else (v,))]
    schedules = [item for item in items if isinstance(item, Schedule)]
    functions = [item for item in items if callable(item) and not isinstance(item, Schedule)]
    return bool(functions) or any(map(_calls_a_function, schedules))
