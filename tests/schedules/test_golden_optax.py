"""All recorded curves of optax 0.2.8, each rebuilt from our schedules."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from float32 import tolerance
from parity import agrees, leaves_of

from accelsched import reference
from accelsched.schedules import (
    Constant,
    CosineDecay,
    Exponential,
    Linear,
    PiecewiseConstant,
    Polynomial,
    Sequential,
)

CASES = json.loads((Path(__file__).parents[1] / "golden" / "optax.json").read_text())


def built(case):
    return globals()[case["scheduler"]](**case["kwargs"])


# One function for each of optax's, with the same arguments.


def constant(value):
    return Constant(value)


def after(begin, first, schedule):
    return Constant(first).then(schedule, at=begin) if begin else schedule


def linear(init_value, end_value, transition_steps, transition_begin):
    return polynomial(init_value, end_value, 1.0, transition_steps, transition_begin)


def polynomial(init_value, end_value, power, transition_steps, transition_begin):
    if transition_steps <= 0:
        return Constant(init_value)
    curve = Polynomial(init_value, end_value, transition_steps, power)
    return after(transition_begin, init_value, curve)


def cosine_decay(init_value, decay_steps, alpha=0.0, exponent=1.0):
    assert exponent in (1.0, 2.0)
    if exponent == 1.0:
        return CosineDecay(init_value, alpha * init_value, decay_steps)
    wave = CosineDecay(1.0, 0.0, decay_steps)
    return init_value * ((1 - alpha) * (wave * wave) + alpha)


def warm_up(first, peak, steps, following):
    return Linear(first, peak, steps).then(following, at=steps) if steps else following


def warmup_constant(init_value, peak_value, warmup_steps):
    # In optax a line of no steps stays at its initial value.
    return linear(init_value, peak_value, warmup_steps, 0)


def warmup_cosine_decay(
    init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, exponent=1.0
):
    alpha = end_value / peak_value
    decay = cosine_decay(peak_value, decay_steps - warmup_steps, alpha, exponent)
    return warm_up(init_value, peak_value, warmup_steps, decay)


def exponential_decay(
    init_value, transition_steps, decay_rate, transition_begin=0, staircase=False, end_value=None
):
    if transition_steps <= 0:
        return Constant(init_value)
    curve = Exponential(
        init_value, total_iters=transition_steps, rate=decay_rate, staircase=staircase
    )
    if end_value is not None:
        # Hold end_value from the step at which the curve would pass it.
        steps = transition_steps * math.log(end_value / init_value) / math.log(decay_rate)
        curve = curve.then(Constant(end_value), at=math.ceil(steps))
    return after(transition_begin, init_value, curve)


def warmup_exponential_decay(init_value, peak_value, warmup_steps, **decay):
    return warm_up(init_value, peak_value, warmup_steps, exponential_decay(peak_value, **decay))


def piecewise_constant(init_value, boundaries_and_scales):
    scales = boundaries_and_scales or {}
    values = [init_value]
    for scale in scales.values():
        values.append(values[-1] * scale)
    return PiecewiseConstant(values, [int(step) for step in scales])


def piecewise_interpolate(interpolate_type, init_value, boundaries_and_scales):
    curve = {"linear": Linear, "cosine": CosineDecay}[interpolate_type]
    knots = [(0, init_value)]
    for step, scale in (boundaries_and_scales or {}).items():
        knots.append((int(step), knots[-1][1] * scale))
    phases = [curve(a, b, end - begin) for (begin, a), (end, b) in pairwise(knots)]
    phases.append(Constant(knots[-1][1]))
    return Sequential(phases, [step for step, _ in knots[1:]])


def linear_onecycle(
    transition_steps, peak_value, pct_start=0.3, pct_final=0.85, div_factor=25.0,
    final_div_factor=1e4,
):  # fmt: skip
    scales = {pct_start: div_factor, pct_final: 1 / div_factor, 1.0: 1 / final_div_factor}
    at = {int(share * transition_steps): scale for share, scale in scales.items()}
    return piecewise_interpolate("linear", peak_value / div_factor, at)


def cosine_onecycle(
    transition_steps, peak_value, pct_start=0.3, div_factor=25.0, final_div_factor=1e4
):
    scales = {pct_start: div_factor, 1.0: 1 / (div_factor * final_div_factor)}
    at = {int(share * transition_steps): scale for share, scale in scales.items()}
    return piecewise_interpolate("cosine", peak_value / div_factor, at)


def join_schedules(schedules, boundaries):
    return Sequential([built(schedule) for schedule in schedules], boundaries)


def sgdr(cosine_kwargs):
    phases = [warmup_cosine_decay(**kwargs) for kwargs in cosine_kwargs]
    lengths = [kwargs["decay_steps"] for kwargs in cosine_kwargs]
    return Sequential(phases, [sum(lengths[:i]) for i in range(1, len(lengths))])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"].removeprefix("optax/"))
def test_recorded_curve(case):
    if case.get("error"):
        # optax refuses a curve of no steps; ours skips it.
        schedule = built(case)
        assert schedule(0) == schedule(1) == schedule.curve(0, 9).min()
        return
    schedule = built(case)
    peak = max(map(abs, case["values"]))
    for step, want in zip(case["steps"], case["values"], strict=True):
        ours = schedule(step)
        assert agrees(ours, reference.value(schedule, step), leaves_of(schedule))
        allowed = tolerance(lambda t: reference.value(schedule, t), step, peak, power=True)
        assert abs(ours - want) <= allowed, (step, ours, want)


def test_all_recorded_curves_are_here():
    assert len(CASES) == 55
