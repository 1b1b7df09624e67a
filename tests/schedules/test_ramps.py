"""Ramps of 0 steps, the 1-sqrt decay, the logarithm, and schedules made of ramps."""

import math

import pytest
from digits import IN_DIGITS, Whole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roads import assert_one_vector, by_every_road, by_formula_and_kernel

from accelsched import (
    ArgumentError,
    reference,
    to_spec,
)
from accelsched.schedules import (
    Constant,
    CosineDecay,
    Linear,
    Logarithmic,
    OneMinusPower,
    Polynomial,
    WarmupCosine,
    WarmupStableDecay,
)

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RAMPS = [Linear, Polynomial, CosineDecay, OneMinusPower, Logarithmic]
FALL = CosineDecay(1.0, 0.25, 40)


# Phases of 0 steps.


@pytest.mark.parametrize("cls", RAMPS, ids=lambda cls: cls.__name__)
def test_a_ramp_of_no_steps_is_at_its_end(cls):
    schedule = cls(initial=0.3, end=0.1, total_iters=0)
    for step in (0, 1, 2, 2**40):
        assert reference.value(schedule, step) == 0.1
        assert list(by_every_road(schedule, step)) == [0.1, 0.1]
    assert schedule.settles == 0
    assert to_spec(schedule)[cls.__name__]["initial"] == 0.3


@pytest.mark.parametrize("cls", RAMPS, ids=lambda cls: cls.__name__)
def test_a_warm_up_of_no_steps_is_skipped(cls):
    for step in range(5):
        assert cls(0.0, 0.1, 0).then(FALL, at=0)(step) == FALL(step)


def test_those_of_no_steps_are_one_vector_with_the_others():
    made = [Linear(0.0, 1.0, n).then(CosineDecay(1.0, 0.0, 30 - n), at=n) for n in (0, 5, 30)]
    assert_one_vector(made, (0, 3, 17, 29, 30, 31))


@pytest.mark.parametrize("cls", RAMPS, ids=lambda cls: cls.__name__)
def test_a_ramp_of_negative_steps_is_refused(cls):
    with pytest.raises(ArgumentError, match=r"^total_iters=-1: give 0"):
        cls(0.1, 0.0, -1)


@given(initial=st.floats(1e-6, 1.0), end=st.floats(1e-6, 1.0), total=st.integers(1, 10**6))
@settings(**QUIET)
def test_new_ramps_begin_and_end_exactly(initial, end, total):
    for schedule in (OneMinusPower(initial, end, total), Logarithmic(initial, end, total)):
        assert schedule(0) == initial
        assert schedule(total) == schedule(total + 1) == schedule(2**40) == end


@given(total=st.integers(2, 10**9))
@settings(**QUIET)
def test_new_ramps_keep_their_digits_to_the_last_step(total):
    for schedule in (OneMinusPower(1.0, 0.0, total), Logarithmic(1.0, 0.0, total)):
        want = float(IN_DIGITS.value(schedule, Whole(total - 1)))
        for got in (
            *by_formula_and_kernel(schedule, total - 1),
            reference.value(schedule, total - 1),
        ):
            assert got == pytest.approx(want, rel=2**-45)


# Warm-up-stable-decay, and warm-up and cosine.


def test_each_is_the_composition_that_everyone_writes():
    cosine = Linear(0.0, 0.1, 10).then(CosineDecay(0.1, 0.01, 90), at=10)
    trapezoid = Linear(0.0, 0.1, 10).then(Constant(0.1), at=10).then(Linear(0.1, 0.0, 20), at=80)
    for step in range(120):
        assert WarmupCosine(0.1, 100, 10, 0.01)(step) == cosine(step)
        assert WarmupStableDecay(0.1, 100, 10, 20)(step) == trapezoid(step)
    assert WarmupCosine(0.1, 100, 10).settles == WarmupStableDecay(0.1, 100, 10, 20).settles == 100


@pytest.mark.parametrize(
    ("warmup", "decay"), [(0, 0), (0, 100), (100, 0), (30, 70), (0, 1), (99, 1)]
)
def test_a_phase_may_have_no_steps(warmup, decay):
    schedule = WarmupStableDecay(0.1, 100, warmup, decay, 0.03, 0.02)
    assert schedule(0) == (0.03 if warmup else 0.1)
    assert schedule(warmup) == 0.1 or decay == 0
    assert schedule(100) == 0.02
    cosine = WarmupCosine(0.1, 100, warmup, 0.02)
    assert cosine(0) == (0.0 if warmup else 0.1)
    assert cosine(100) == 0.02


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: WarmupCosine(0.1, 9, 10), "total_iters"),
        (lambda: WarmupCosine(0.1, 9, -1), "warmup_iters"),
        (lambda: WarmupCosine(math.inf, 9, 1), "peak"),
        (lambda: WarmupStableDecay(0.1, 100, 50, 51), "total_iters"),
        (lambda: WarmupStableDecay(0.1, 100, 10, -1), "decay_iters"),
        (lambda: WarmupStableDecay(0.1, 100, 10, 9, warmup_shape="1-sqrt"), "warmup_shape"),
        (lambda: WarmupStableDecay(0.1, 100, 10, 9, decay_shape="exponential"), "decay_shape"),
        (lambda: OneMinusPower(0.1, 0.0, 10, 0.0), "power"),
        (lambda: OneMinusPower(0.1, 0.0, 10, 5e-324), "power"),
    ],
)
def test_what_cannot_be_is_refused(make, name):
    with pytest.raises(ArgumentError, match=f"^{name}="):
        make()
