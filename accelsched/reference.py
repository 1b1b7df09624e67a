"""Reference values: every schedule again, in plain Python floats, one short function each.

The functions follow the papers and the documentation, not the tensor formulas. Whole numbers stay
Python integers, and a tail near zero is computed from the remaining steps. The function of the
class ``CosineDecay`` is ``cosine_decay``. A name that Python uses itself gets a trailing underscore
(``lambda_``). The arguments are the fields of the class; schedules are passed as :class:`Curve`.
"""

from __future__ import annotations

import builtins
import dataclasses
import keyword
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, expm1, floor, inf, log, log1p, pi, prod, sin, sqrt
from typing import Any


def value(schedule: Any, step: int | Fraction) -> float:
    """Return the value of a schedule object (a dataclass) at one step, or between two steps."""
    fields = [f.name for f in dataclasses.fields(schedule) if f.init]
    given = {name: _plain(getattr(schedule, name)) for name in fields}
    return float(function_of(type(schedule))(step, **given))


def function_of(schedule_class: type) -> Callable[..., float]:
    """Return the function of this module for a schedule class."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", schedule_class.__name__).lower()
    if keyword.iskeyword(name) or hasattr(builtins, name):
        name += "_"
    function: Callable[..., float] = globals()[name]
    return function


def _plain(field: Any) -> Any:
    if isinstance(field, tuple):
        return [_plain(item) for item in field]
    return Curve(field) if dataclasses.is_dataclass(field) else field


class Curve:
    """A schedule object as a function of the step, with its nominal initial value."""

    def __init__(self, schedule: Any) -> None:
        self.schedule = schedule

    def __call__(self, step: int | Fraction) -> float:
        return value(self.schedule, step)

    @property
    def initial(self) -> float:
        """The nominal initial value, which ``chained`` divides by."""
        schedule = self.schedule
        for name in ("initial", "value", "base_value"):
            if hasattr(schedule, name):
                return float(getattr(schedule, name))
        if hasattr(schedule, "milestones"):
            first = (schedule.values if hasattr(schedule, "values") else schedule.schedules)[0]
            return Curve(first).initial if dataclasses.is_dataclass(first) else float(first)
        if hasattr(schedule, "schedule"):
            return Curve(schedule.schedule).initial * float(getattr(schedule, "factor", 1))
        if type(schedule).__name__ == "Chained":
            return Curve(schedule.schedules[0]).initial
        if hasattr(schedule, "schedules"):
            folds: dict[str, Callable[[list[float]], float]]
            folds = {"Sum": sum, "Product": prod, "Minimum": min, "Maximum": max}
            return folds[type(schedule).__name__]([Curve(s).initial for s in schedule.schedules])
        return self(0)


# Smooth decays.


def constant(step: int, value: float) -> float:
    return value


def linear(step: int, initial: float, end: float, total_iters: int, cycle: bool = False) -> float:
    span = _span(step, total_iters, cycle)
    return end if step >= span else initial * ((span - step) / span) + end * (step / span)


def polynomial(
    step: int, initial: float, end: float, total_iters: int, power: float, cycle: bool = False
) -> float:
    span = _span(step, total_iters, cycle)
    return end if step >= span else _by_power(span - step, span, power, end, initial)


def one_minus_power(step: int, initial: float, end: float, total_iters: int, power: float) -> float:
    if step >= total_iters:
        return end
    return _by_power(step, total_iters, power, initial, end) if step else initial


def _by_power(part: int, whole: int, power: float, first: float, last: float) -> float:
    """Interpolate from first to last by a power of ``part / whole``."""
    fraction = part / whole
    raised: float = fraction**power
    # 1 - raised is -expm1(power * log(fraction)), as the plain form loses all digits near 1.
    logarithm = log(fraction) if 2 * part <= whole else log1p(-((whole - part) / whole))
    return last * raised - first * expm1(power * logarithm)


def logarithmic(step: int, initial: float, end: float, total_iters: int) -> float:
    if step >= total_iters:
        return end
    # log(total + 1) - log(step + 1) is computed by log1p, as the quotient nears 1 at the end.
    elapsed, rest = log(step + 1), log1p(Fraction(total_iters - step, step + 1))
    return (initial * rest + end * elapsed) / log(total_iters + 1)


def _span(step: int, total_iters: int, cycle: bool) -> int:
    if total_iters == 0 or not cycle:
        return total_iters
    return total_iters * max(1, ceil(Fraction(step, total_iters)))


def _power(base: float, exponent: float) -> float:
    try:
        result: float = float(base) ** float(exponent)
        return result
    except OverflowError:
        return inf


def _times_power(factor: float, base: float, exponent: float) -> float:
    """Return ``factor * base ** exponent``, by thirds of the exponent if out of range."""
    power = _power(base, exponent)
    if factor == 0:
        return 0.0 * factor
    if exponent == 0 or base == 0 or 2.0**-1022 <= power < inf:
        return factor * power
    third = int(exponent) // 3 if exponent > 99 else exponent / 3
    twice = _power(base, third)
    return factor * twice * twice * _power(base, exponent - 2 * third)


def exponential(
    step: int, initial: float, total_iters: int, rate: float, staircase: bool = False
) -> float:
    return _times_power(initial, rate, step // total_iters if staircase else step / total_iters)


def multiplicative(step: int, initial: float, coefficient: float) -> float:
    return _times_power(initial, coefficient, step)


def inverse_exponential_time_decay(
    step: int,
    initial: float,
    step_exponent: float,
    total_iters: int,
    rate: float,
    staircase: bool = False,
) -> float:
    whole = step_exponent == int(step_exponent)
    raised = step ** int(step_exponent) if whole else float(step) ** step_exponent
    alpha = floor(Fraction(raised) / total_iters) if staircase else raised / total_iters
    return initial / (1 + rate * alpha)


def inverse_square_root_decay(step: int, initial: float, scale: float, warmup_steps: int) -> float:
    return initial * scale / sqrt(max(step, warmup_steps, 1))


def cosine_decay(step: int, initial: float, end: float, total_iters: int) -> float:
    return end if step >= total_iters else _cosine(step, total_iters, initial, end)


def _cosine(elapsed: float | Fraction, total: float | Fraction, first: float, last: float) -> float:
    """Interpolate along half a cosine, by the half-angle formula from the nearer end."""
    if 2 * elapsed <= total:
        return first + (last - first) * sin(pi * elapsed / total / 2) ** 2
    return last + (first - last) * sin(pi * (total - elapsed) / total / 2) ** 2


# Milestones.


def piecewise_constant(step: int, values: Sequence[float], milestones: Sequence[int]) -> float:
    return values[sum(step >= milestone for milestone in milestones)]


def step(step: int, initial: float, step_size: int, gamma: float) -> float:
    return _times_power(initial, gamma, step // step_size)


def multi_step(step: int, initial: float, gamma: float, milestones: Sequence[int]) -> float:
    return _times_power(initial, gamma, sum(step >= milestone for milestone in milestones))


# Cycles.


def cosine_annealing(step: int, initial: float, T_max: int, eta_min: float) -> float:
    period, elapsed = divmod(step, T_max)
    first, last = (initial, eta_min) if period % 2 == 0 else (eta_min, initial)
    return _cosine(elapsed, T_max, first, last)


def cosine_annealing_warm_restarts(
    step: int, initial: float, T_0: int, T_mult: float, eta_min: float
) -> float:
    start, length, factor = Fraction(0), Fraction(T_0), Fraction(str(T_mult))
    if factor == 1:
        start = Fraction(step // T_0 * T_0)
    while step >= start + length:
        start, length = start + length, length * factor
    return _cosine(step - start, length, initial, eta_min)


def cyclic(
    step: int,
    base_value: float,
    max_value: float,
    step_size_up: int,
    step_size_down: int,
    mode: str,
    gamma: float,
    scale_mode: str,
) -> float:
    cycle, position = divmod(step, step_size_up + step_size_down)
    if position <= step_size_up:
        height = Fraction(position, step_size_up)
    else:
        height = Fraction(step_size_up + step_size_down - position, step_size_down)
    x = cycle + 1 if scale_mode == "cycle" else step
    if mode == "exp_range" and gamma > 1:
        return base_value + _times_power((max_value - base_value) * float(height), gamma, x)
    scale = {"triangular": 1.0, "triangular2": _power(0.5, x - 1), "exp_range": _power(gamma, x)}[
        mode
    ]
    # For a scale near 1, the plain 1 - scale loses all digits.
    is_near = mode == "exp_range" and gamma > 0 and scale > 0.5
    lost = -expm1(x * log(gamma)) if is_near else 1 - scale
    above, below = float(height) * scale, float(1 - height) + float(height) * lost
    return base_value * below + max_value * above


def one_cycle(
    step: int,
    initial: float,
    max_value: float,
    total_steps: int,
    pct_start: float,
    final_div_factor: float,
    three_phase: bool,
    anneal_strategy: str,
) -> float:
    rise = pct_start * total_steps
    ends, targets = [rise - 1], [max_value]
    if three_phase:
        ends, targets = [*ends, 2 * rise - 2], [*targets, initial]
    ends, targets = [*ends, total_steps - 1], [*targets, initial / final_div_factor]
    begin, first = 0.0, initial
    for end, last in zip(ends, targets, strict=True):
        if step < end:
            elapsed, length = step - begin, end - begin
            if anneal_strategy == "cos":
                return _cosine(elapsed, length, first, last)
            return first * ((end - step) / length) + last * (elapsed / length)
        begin, first = max(end, 0.0), last
    return first


# The user's own functions.


def lambda_(
    step: int,
    initial: float,
    functions: Sequence[Callable[[float], float]],
    total_iters: int | None = None,
) -> float:
    at = step if total_iters is None else min(step, total_iters)
    return initial * prod(float(factor(float(at))) for factor in functions)


def tabulated(step: int, source: Callable[[int], float], total_iters: int, past_end: str) -> float:
    return source(step % total_iters if past_end == "cycle" else min(step, total_iters))


# Composition.


def sequential(step: int, schedules: Sequence[Curve], milestones: Sequence[int]) -> float:
    index = sum(step >= milestone for milestone in milestones)
    return schedules[index](step - milestones[index - 1] if index else step)


def chained(step: int, schedules: Sequence[Curve]) -> float:
    first, *others = schedules
    factors = [other(step) / (other.initial or 1.0) for other in others]
    return prod(factors, start=first(step))


def scaled(step: int, schedule: Curve, factor: float) -> float:
    return schedule(step) * factor


def shifted(step: int, schedule: Curve, by: int) -> float:
    return schedule(max(step + by, 0))


def sum_(step: int, schedules: Sequence[Curve]) -> float:
    return sum(schedule(step) for schedule in schedules)


def product(step: int, schedules: Sequence[Curve]) -> float:
    return prod(schedule(step) for schedule in schedules)


def minimum(step: int, schedules: Sequence[Curve]) -> float:
    return min(schedule(step) for schedule in schedules)


def maximum(step: int, schedules: Sequence[Curve]) -> float:
    return max(schedule(step) for schedule in schedules)


# A decay that begins in mid-run, and a curve that is stretched in mid-run.


def planned(
    step: int,
    schedule: Curve,
    start: int,
    last: int,
    total_iters: int,
    initial: float,
    end: float,
    shape: int,
    since: int,
    until: int,
    slow: int,
    pace: int,
    target: int,
) -> float:
    if not start <= step <= last:
        rest = Fraction(max(until - step, 0) * pace, slow)
        return schedule(step if step <= since else Fraction(target, slow) - rest)
    since = step - start
    if shape == 3:
        factor = _power(end / initial, since / total_iters)
        return end if since >= total_iters else initial * factor
    name = ("linear", "cosine", "1-sqrt")[shape]
    return _shaped(name, since, initial, end, total_iters)


# The most common schedules.


def warmup_cosine(step: int, peak: float, total_iters: int, warmup_iters: int, end: float) -> float:
    if step < warmup_iters:
        return linear(step, 0.0, peak, warmup_iters)
    return cosine_decay(step - warmup_iters, peak, end, total_iters - warmup_iters)


def warmup_stable_decay(
    step: int,
    peak: float,
    total_iters: int | None,
    warmup_iters: int,
    decay_iters: int,
    start: float,
    end: float,
    warmup_shape: str,
    decay_shape: str,
) -> float:
    if step < warmup_iters:
        return _shaped(warmup_shape, step, start, peak, warmup_iters)
    since = -1 if total_iters is None else step - (total_iters - decay_iters)
    return peak if since < 0 else _shaped(decay_shape, since, peak, end, decay_iters)


def _shaped(shape: str, step: int, first: float, last: float, length: int) -> float:
    if shape == "1-sqrt":
        return one_minus_power(step, first, last, length, 0.5)
    ramps = {"linear": linear, "cosine": cosine_decay, "logarithmic": logarithmic}
    return ramps[shape](step, first, last, length)
