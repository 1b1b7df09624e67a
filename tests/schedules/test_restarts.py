"""Periods that grow by a fraction."""

import math

import pytest
from digits import IN_DIGITS, Whole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parity import agrees
from roads import assert_one_vector, by_formula_and_kernel

from accelsched import (
    ArgumentError,
)
from accelsched.schedules import (
    CosineAnnealingWarmRestarts,
)

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


# Restarts by a fraction.


def test_periods_by_a_fraction_begin_where_they_do():
    # 4, 6, 9, 13.5, 20.25 steps: the periods begin at 0, 4, 10, 19, 32.5, 52.75.
    schedule = CosineAnnealingWarmRestarts(1.0, 4, 1.5)
    assert [t for t in range(60) if schedule(t) > schedule(t - 1 if t else 0)] == [
        4,
        10,
        19,
        33,
        53,
    ]
    assert [schedule(t) for t in (0, 4, 10, 19)] == [1.0] * 4
    assert schedule(33) == pytest.approx((1 + math.cos(math.pi * 0.5 / 20.25)) / 2, rel=1e-15)
    assert schedule(52) == pytest.approx((1 + math.cos(math.pi * 19.5 / 20.25)) / 2, rel=1e-13)


def test_a_factor_is_the_decimal_number_that_it_looks_like():
    # The float 1.1 is slightly more than 1.1, and would put step 210 before the restart.
    schedule = CosineAnnealingWarmRestarts(1.0, 100, 1.1)
    assert [schedule(t) for t in (0, 100, 210, 331)] == [1.0] * 4


@settings(max_examples=30, **QUIET)
@given(
    first=st.integers(1, 1000),
    factor=st.sampled_from([1.01, 1.1, 1.5, 2.5]),
    step=st.integers(0, 10**6),
)
def test_periods_by_a_fraction_are_exact(first, factor, step):
    schedule = CosineAnnealingWarmRestarts(1.0, first, factor)
    want = float(IN_DIGITS.value(schedule, Whole(step)))
    for got in by_formula_and_kernel(schedule, step):
        assert agrees(got, want)


@pytest.mark.parametrize("factor", [1, 1.5, 2, 3])
def test_unlike_periods_are_one_vector(factor):
    made = [CosineAnnealingWarmRestarts(1.0, first, factor, 0.1) for first in (1, 7, 402)]
    assert_one_vector(made, (0, 6, 7, 1000, 2**40))


@pytest.mark.parametrize("factor", [0, 0.5, 1.005, -2, 2**21, 5000000])
def test_the_refusal_says_that_it_is_a_factor(factor):
    with pytest.raises(ArgumentError, match=r"^T_mult=.*: a factor .*, not steps: give 1, or"):
        CosineAnnealingWarmRestarts(0.1, 10, factor)
