"""The range of each hyper-parameter: binding a schedule that leaves it raises an error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from accelsched._binding.param_groups import GroupValues
from accelsched.errors import require
from accelsched.schedules import Schedule

#: The keys whose values must not be negative, and the largest value of each.
_LARGEST = {"lr": math.inf, "weight_decay": math.inf, "momentum": math.inf, "betas": 1 - 2.0**-53}
#: The sampled steps of a schedule that does not settle, and the last one for a user's function.
_FAR, _CALLED = tuple(4**power for power in range(1, 21)), 4**5
#: The most distinct schedules that are checked, as one check takes some 50 us.
_MOST = 256


def require_possible(group_values: GroupValues, schedules: Sequence[Schedule]) -> None:
    """Raise ArgumentError if samples of a schedule leave the range of the hyper-parameter.

    Args:
        group_values: the values that are driven.
        schedules: one schedule for each group.

    Raises:
        ArgumentError: a value of a key in ``_LARGEST`` is negative, a beta is 1 or more, or the
            dtype cannot hold a number of the schedule.
    """
    if not schedules:
        return
    dtypes = group_values.dtypes()
    # By identity, as a user's function in a schedule may not be hashable.
    looked_at = {(id(s), dtype): s for s, dtype in zip(schedules, dtypes, strict=True)}
    for (_, dtype), schedule in list(looked_at.items())[:_MOST]:
        _require_possible(group_values.key, schedule, torch.finfo(dtype).max)


def _require_possible(key: str, schedule: Schedule, largest: float) -> None:
    for number in _numbers(schedule):
        remedy = f"{number:g} overflows the dtype of {key!r}: give at most {largest:g}"
        require(abs(number) <= largest, "schedule", schedule, remedy)
    name = key.partition("[")[0]
    if name not in _LARGEST:
        return
    try:
        steps = _samples(schedule)
        values = schedule.formula(torch.tensor(steps, device="cpu")).tolist()
    except Exception:  # a user's function may take only one step at a time
        return
    for step, value in zip(steps, values, strict=True):
        remedy = (
            f"its value at step {step} is {value:g}: {key!r} takes numbers from 0 to "
            f"{min(_LARGEST[name], largest):.16g}"
        )
        require(0 <= value <= _LARGEST[name], "schedule", schedule, remedy)


def _numbers(schedule: Schedule) -> Iterator[float]:
    """Yield the numbers that a schedule and its parts were given, except lists of numbers."""
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
    """Return whether a schedule holds a user's function, whose time may grow with the step."""
    items = [i for v in _given(schedule) for i in (v if isinstance(v, tuple) else (v,))]
    schedules = [item for item in items if isinstance(item, Schedule)]
    functions = [item for item in items if callable(item) and not isinstance(item, Schedule)]
    return bool(functions) or any(map(_calls_a_function, schedules))
