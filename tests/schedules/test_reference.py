"""The reference in Python floats against itself in 50 digits: they differ by rounding only.

test_peers.py and test_golden.py check that the formulas are right. Here mpmath evaluates the same
formulas.
"""

import dataclasses

import pytest
from digits import DIGITS, IN_DIGITS, Whole
from drawing import CLASSES, compositions, one, steps_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from parity import RELATIVE, agrees, leaves_of

from accelsched import reference
from accelsched.schedules import Cyclic, OneCycle, Polynomial

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def check(schedule, steps):
    for step in steps:
        want = IN_DIGITS.value(schedule, Whole(step))
        got = reference.value(schedule, step)
        assert agrees(got, float(want), leaves_of(schedule)), (step, got, want)


def has_no_knots(schedule):
    """Return whether there is no OneCycle, which is tested alone, with knots of few digits."""
    return "OneCycle" not in repr(schedule)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class(cls):
    @settings(max_examples=60, **QUIET)
    @given(one(cls).filter(lambda schedule: cls is OneCycle or has_no_knots(schedule)))
    def holds(schedule):
        if cls is OneCycle:
            fraction = max(1, round(32 * schedule.pct_start)) / 64
            schedule = dataclasses.replace(schedule, pct_start=fraction)
        check(schedule, steps_of(schedule))

    holds()


@settings(max_examples=100, **QUIET)
@given(compositions(depth=3).filter(has_no_knots))
def test_a_composition(schedule):
    check(schedule, steps_of(schedule)[::5])


@given(st.integers(2, 2**40))
@example(3**25)
def test_the_last_steps_of_a_flat_polynomial(total):
    """The curve is flat until its last steps, where both 1 - rest**power and rest are small."""
    check(Polynomial(0.0, 1.0, total, 1e-5), [total // 2, total - 2, total - 1])


def test_a_wave_down_to_0_whose_height_decays_slowly():
    """1 minus a power of gamma is small: 3e-5 in the first steps."""
    check(Cyclic(1e-5, 0.0, 1, 1, mode="exp_range", gamma=0.99999), [1, 3, 5, 1001])


def test_the_comparison_can_fail():
    schedule = Polynomial(0.0, 1.0, 3**25, 1e-5)
    want = float(IN_DIGITS.value(schedule, Whole(3**25 - 1)))
    assert agrees(reference.value(schedule, 3**25 - 1), want)
    assert not agrees(want * (1 + 2 * RELATIVE), want)
    # The value with 1 - step / total rounded to a float.
    assert not agrees(-DIGITS.expm1(1e-5 * DIGITS.log1p(-((3**25 - 1) / 3**25))), want)
