"""Conversion of the functions of transformers' schedules to schedules, exact at every step.

The functions are plain Python, so a table of one would end somewhere. They are recognized by their
module, name and keywords. A schedule is compared with its function before it is used.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch

from accelsched.errors import ArgumentError
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    CosineDecay,
    InverseSquareRootDecay,
    Linear,
    OneMinusPower,
    Polynomial,
    Product,
    Schedule,
)

# Theirs takes the cosine of a few times pi, with some roundings of numbers up to 2**3.
_TOLERANCE = 2.0**-44


def schedule_of(function: Callable[[int], Any]) -> Schedule | None:
    """Return a schedule that has the function's values; None if none is known."""
    if not isinstance(function, functools.partial) or function.args:
        return None
    if getattr(function.func, "__module__", None) != "transformers.optimization":
        return None
    make = _KNOWN.get(function.func.__name__)
    if make is None:
        return None
    try:
        made: Schedule = make(**function.keywords)
        return made if _agrees(made, function) else None
    except (ArgumentError, TypeError, ValueError, ArithmeticError):
        # Its arguments are not those known here, or give half steps.
        return None


def is_greedy(scheduler: object) -> bool:
    """Return whether this is their GreedyLR, not a subclass; it is no torch scheduler."""
    kind = type(scheduler)
    return (kind.__module__, kind.__qualname__) == ("transformers.optimization", "GreedyLR")


def _agrees(schedule: Schedule, function: functools.partial[Any]) -> bool:
    steps = _steps_to_compare(function.keywords)
    ours = schedule.formula(torch.tensor(steps)).tolist()
    theirs = (float(function(step)) for step in steps)
    pairs = zip(ours, theirs, strict=True)
    return all(math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in pairs)


def _steps_to_compare(keywords: dict[str, Any]) -> list[int]:
    """Return steps around, between and past those that a function's arguments name."""
    named = [int(v) for name, v in keywords.items() if name.startswith("num_") and "steps" in name]
    ends = {0, *named, sum(named), named[0] + sum(named[1:-1])}
    cycles = keywords.get("num_cycles", 1)
    if isinstance(cycles, int) and 1 < cycles <= 1000:
        first, last = named[0], keywords.get("num_training_steps", 0)
        ends |= {first + (last - first) * cycle // cycles for cycle in range(cycles)}
    around = {end + more for end in ends for more in (-2, -1, 0, 1, 2)}
    between = {end * part // 7 for end in ends for part in range(1, 15)}
    return sorted(step for step in around | between if 0 <= step < 2**53)


# One function for each of theirs, with the same keywords. Most warm-ups rise from 0 to 1.


def _warmed_up(num_warmup_steps: int, following: Schedule) -> Schedule:
    if num_warmup_steps <= 0:
        return following
    return Linear(0.0, 1.0, num_warmup_steps).then(following, at=num_warmup_steps)


def _constant(num_warmup_steps: int) -> Schedule:
    return _warmed_up(num_warmup_steps, Constant(1.0))


def _linear(num_warmup_steps: int, num_training_steps: int) -> Schedule:
    steps = max(0, num_training_steps - num_warmup_steps)
    return _warmed_up(num_warmup_steps, Linear(1.0, 0.0, steps))


def _cosine(
    num_warmup_steps: int, num_training_steps: int, num_cycles: float, min_lr_rate: float = 0.0
) -> Schedule:
    half_wave = max(1, num_training_steps - num_warmup_steps) / (2 * num_cycles)
    wave = CosineAnnealing(1.0, half_wave, float(min_lr_rate))  # type: ignore[arg-type]
    return _warmed_up(num_warmup_steps, wave)


def _cosine_ahead(
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float,
    min_lr_rate: float = 0.0,
    warmup_lr_rate: float | None = None,
) -> Schedule:
    """Convert the cosine that is a step ahead: its warm-up reaches 1 in its last step."""
    first = 1.0 / num_warmup_steps if warmup_lr_rate is None else float(warmup_lr_rate)
    wave = _cosine(0, num_training_steps - num_warmup_steps, num_cycles, min_lr_rate)
    return Linear(first, 1.0, num_warmup_steps - 1).then(wave, at=num_warmup_steps - 1)


def _restarts(num_warmup_steps: int, num_training_steps: int, num_cycles: int) -> Schedule:
    steps = num_training_steps - num_warmup_steps
    waves = CosineAnnealingWarmRestarts(1.0, steps / num_cycles)  # type: ignore[arg-type]
    return _warmed_up(num_warmup_steps, waves.then(Constant(0.0), at=steps))


def _polynomial(
    num_warmup_steps: int, num_training_steps: int, lr_end: float, power: float, lr_init: float
) -> Schedule:
    end, steps = float(lr_end / lr_init), num_training_steps - num_warmup_steps
    return _warmed_up(num_warmup_steps, Polynomial(1.0, end, steps, float(power)))


def _inverse_square_root(num_warmup_steps: int, timescale: int) -> Schedule:
    root = InverseSquareRootDecay(1.0, scale=math.sqrt(timescale), warmup_steps=timescale)
    if timescale == num_warmup_steps:
        return Product((Linear(0.0, 1.0, num_warmup_steps), root))
    return _warmed_up(num_warmup_steps, root.shifted(timescale))


def _stable_decay(
    num_warmup_steps: int,
    num_stable_steps: int,
    num_decay_steps: int,
    warmup_type: str,
    decay_type: str,
    min_lr_ratio: float,
    num_cycles: float,
) -> Schedule:
    low = float(min_lr_ratio)
    rise = _rise(warmup_type, low, num_warmup_steps)
    decay = _decay(decay_type, low, num_decay_steps, num_cycles)
    held = Constant(1.0).then(decay.then(Constant(low), at=num_decay_steps), at=num_stable_steps)
    return rise.then(held, at=num_warmup_steps)


def _rise(kind: str, low: float, steps: int) -> Schedule:
    if kind == "1-sqrt":
        return Polynomial(low, 1.0, steps, 0.5)
    return (CosineDecay if kind == "cosine" else Linear)(low, 1.0, steps)


def _decay(kind: str, low: float, steps: int, num_cycles: float) -> Schedule:
    if kind == "cosine":
        return _cosine(0, steps, num_cycles, low)
    if kind == "1-sqrt":
        return OneMinusPower(1.0, low, steps)
    return Linear(1.0, low, steps)


_KNOWN: dict[str, Callable[..., Schedule]] = {
    "_get_constant_schedule_with_warmup_lr_lambda": _constant,
    "_get_linear_schedule_with_warmup_lr_lambda": _linear,
    "_get_cosine_schedule_with_warmup_lr_lambda": _cosine,
    "_get_cosine_with_hard_restarts_schedule_with_warmup_lr_lambda": _restarts,
    "_get_polynomial_decay_schedule_with_warmup_lr_lambda": _polynomial,
    "_get_inverse_sqrt_schedule_lr_lambda": _inverse_square_root,
    "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda": _cosine_ahead,
    "_get_wsd_scheduler_lambda": _stable_decay,
}
