"""Segments of groups that differ by a factor: a bound proves them, and tests compare each step."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accelsched._lowering import fitting
from accelsched._lowering.segments import _task, fit_all, fit_schedule
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineDecay,
    InverseSquareRootDecay,
    Linear,
    Multiplicative,
    OneCycle,
    Polynomial,
    Step,
    Tabulated,
)

CURVES = {
    "warm-up and cosine": Linear(0.0, 0.1, 200).then(CosineDecay(0.1, 0.0, 20_000), at=200),
    "across 0": Linear(-0.3, 0.1, 5000),
    "one cycle": OneCycle(0.01, 0.1, 10_000),
    "a power": Polynomial(0.1, 0.0, 10_000, 1.7),
    "a wave": CosineAnnealing(0.1, 3000),
    "to the least number of float32": Multiplicative(0.1, 0.9).then(Constant(0.0), at=1200),
    "ever slower": InverseSquareRootDecay(initial=0.1, warmup_steps=100),
    "stairs": Step(0.1, 100, 0.5).then(Constant(0.25), at=5000),
}
TASKS = {name: _task(schedule) for name, schedule in CURVES.items()}
MULTIPLES = {
    name: fitting.Multiples(task.curve, task.end, task.proof, task.knots)
    for name, task in TASKS.items()
}
EXACT = {name: task.curve(task.proof) for name, task in TASKS.items()}


@st.composite
def factors(draw):
    """Draw a factor in the range of float32, of either sign, often just beside a power of 2."""
    fraction = draw(st.one_of(st.floats(1.0, 2.0), st.sampled_from([1.0, 1 + 2**-24, 2 - 2**-24])))
    number = draw(st.integers(-100, 120).map(lambda power: math.ldexp(fraction, power)))
    return -number if draw(st.booleans()) else number


def off_at_all_steps(segments, name, factor):
    by = np.full(len(segments), factor)
    return fitting._worst_of_all(segments, TASKS[name].proof, EXACT[name], by)


@pytest.mark.parametrize("name", CURVES)
@settings(max_examples=10, deadline=None)
@given(factor=factors())
@example(factor=1.0)
@example(factor=2.0**-100)
@example(factor=0.0)
def test_every_step_of_a_multiple_is_near(name, factor):
    (segments,) = MULTIPLES[name].times(np.array([factor]))
    assert off_at_all_steps(segments, name, factor).max() <= fitting.MOST_ULPS


@pytest.mark.parametrize("name", CURVES)
@settings(max_examples=10, deadline=None)
@given(factor=factors(), cut=st.integers(0, 2**32))
def test_the_bound_is_above_what_any_step_is_off(name, factor, cut):
    """The bound also holds for untested segments: each is cut at some step and fitted anew."""
    task, multiples = TASKS[name], MULTIPLES[name]
    first, last = multiples._segments.first, multiples._segments.last
    middle = first + cut % (last - first + 1)
    shorter, _ = multiples._fitter.fitted(first, middle)
    for segments in (multiples._segments, shorter):
        measured = fitting._measured(segments, task.curve, task.proof, EXACT[name])
        made = fitting._times(segments, np.full(len(segments), factor))
        most = fitting._most(made, *(column * abs(factor) for column in measured))
        assert (off_at_all_steps(made, name, factor) <= most).all()
        assert np.isfinite(most).any()


@pytest.mark.parametrize("name", ["warm-up and cosine", "one cycle", "a wave"])
def test_each_of_a_hundred_multiples_has_the_segments_that_one_has_room_for(name):
    alone = len(fit_schedule(CURVES[name]).segments)
    fits = fit_all([CURVES[name] * (1 + i / 100) for i in range(100)])
    assert max(len(fit.segments) for fit in fits) <= 2 * alone


VALUES = np.linspace(0.1, 0.2, 20_000)
ALL_BUT_ONE = np.where(np.arange(20_000) == 7777, 1.0, 3 * VALUES)


@pytest.mark.parametrize(
    "schedules",
    [
        # The first is 0 everywhere: nothing is a multiple of it.
        [Linear(0.0, end, 1000) for end in (0.0, 0.1, 0.2)],
        [Tabulated(each.tolist().__getitem__, 19_999) for each in (VALUES, ALL_BUT_ONE)],
    ],
)
def test_what_is_no_multiple_is_fitted_alone(schedules):
    for fit, schedule in zip(fit_all(schedules), schedules, strict=True):
        task = _task(schedule)
        exact, by = task.curve(task.proof), np.ones(len(fit.segments))
        assert fitting._worst_of_all(fit.segments, task.proof, exact, by).max() <= 0.95
