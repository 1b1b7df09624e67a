"""The ways to combine schedules: then, shifted, minimum, maximum, minus, division."""

import copy
import functools
import itertools
import math
import operator
import pickle

import pytest
import torch
from digits import IN_DIGITS, Whole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parity import agrees, leaves_of
from roads import by_every_road, by_formula_and_kernel, in_pairs, operations
from ulps import float32_ulps

from accelsched import (
    ArgumentError,
    export,
    from_spec,
    reference,
    schedules,
    to_spec,
)
from accelsched.schedules import (
    Chained,
    Constant,
    CosineAnnealingWarmRestarts,
    CosineDecay,
    InverseSquareRootDecay,
    Linear,
    Logarithmic,
    Maximum,
    Minimum,
    Multiplicative,
    OneMinusPower,
    Scaled,
    Shifted,
    Step,
    Sum,
    WarmupCosine,
    WarmupStableDecay,
    maximum,
    minimum,
)

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RISE = Linear(0.0, 1.0, 10)
FALL = CosineDecay(1.0, 0.25, 40)


# then, and shifted.


def test_what_does_not_restart_is_at_the_step_of_the_whole():
    root = InverseSquareRootDecay(0.4)
    schedule = RISE.then(root, at=16, restart=False)
    assert [schedule(t) for t in (0, 5, 15)] == [RISE(t) for t in (0, 5, 15)]
    for step in (16, 17, 64, 2**40):
        for got in by_every_road(schedule, step):
            assert got == root(step)


def test_a_third_phase_does_not_restart_either():
    schedule = RISE.then(FALL, at=10).then(FALL, at=30, restart=False)
    assert [schedule(t) for t in (9, 10, 29, 30, 35)] == [
        RISE(9), FALL(0), FALL(19), FALL(30), FALL(35)
    ]  # fmt: skip
    assert schedule.settles == 40
    assert RISE.then(FALL, at=100, restart=False).settles == 100


def test_then_takes_schedules_only():
    with pytest.raises(ArgumentError, match=r"^following=0\.1: give a Schedule"):
        RISE.then(0.1, at=10)


@given(by=st.integers(-50, 50), step=st.integers(0, 100))
@settings(**QUIET)
def test_a_shifted_schedule_is_so_many_steps_on(by, step):
    assert FALL.shifted(by)(step) == FALL(max(step + by, 0))


def test_a_warm_up_from_one_nth():
    assert [round(Linear(0.0, 0.8, 8).shifted(1)(t), 12) for t in range(9)] == [
        0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8
    ]  # fmt: skip


PAIRS = list(itertools.product((-7, -3, 0, 2, 7), repeat=2))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_shifts_that_do_not_undo_each_other_are_one(one, other):
    twice = FALL.shifted(one).shifted(other)
    assert isinstance(twice.schedule, Shifted) == (one > 0 > other)
    for step in range(20):
        assert twice(step) == FALL(max(max(step + other, 0) + one, 0))


def test_a_shift_settles_with_what_it_shifts():
    assert (RISE.shifted(3).settles, RISE.shifted(-3).settles, RISE.shifted(30).settles) == (
        7,
        13,
        0,
    )
    assert Step(1.0, 3, 0.5).shifted(1).settles is None


def test_a_shift_keeps_the_nominal_initial_value():
    """In a chain, a shifted decay stays relative to its initial value before the shift."""
    chain = Chained([Constant(0.5), Step(0.1, 2, 0.5).shifted(2)])
    assert [chain(t) for t in (0, 2)] == [0.25, 0.125]


@pytest.mark.parametrize("by", [2**53 + 1, 2**62, -(2**62), 0.5, math.inf])
def test_a_shift_that_no_step_can_have_is_refused(by):
    with pytest.raises(ArgumentError, match="^by="):
        RISE.shifted(by)


def test_the_ends_of_the_steps_can_be_shifted():
    assert RISE.shifted(2**53)(2**62 - 1) == 1.0
    assert RISE.shifted(5 - 2**62)(2**62 - 1) == pytest.approx(0.4)


# minimum, maximum, minus, division.


def test_minimum_and_maximum_take_schedules_and_numbers():
    low, high = minimum(RISE, FALL, 0.7), maximum(0.3, RISE)
    for step in (0, 3, 5, 20, 60):
        for got in by_every_road(low, step):
            assert got == min(RISE(step), FALL(step), 0.7)
        for got in by_every_road(high, step):
            assert got == max(RISE(step), 0.3)
    assert low == Minimum((RISE, FALL, Constant(0.7)))
    assert minimum(minimum(RISE, 1), minimum(2, FALL)) == Minimum(
        (RISE, Constant(1), Constant(2), FALL)
    )
    assert maximum(minimum(RISE, 0.5), 0.1) == Maximum(
        (Minimum((RISE, Constant(0.5))), Constant(0.1))
    )
    assert (low.settles, minimum(RISE, Step(1.0, 3, 0.5)).settles) == (40, None)
    assert (low.base, high.base) == (0.0, 0.3)


@pytest.mark.parametrize("combine", [minimum, maximum])
def test_what_cannot_be_combined_is_refused(combine):
    for items in ((), (RISE, "0.1"), (RISE, math.inf), (RISE, None)):
        with pytest.raises(ArgumentError):
            combine(*items)


@pytest.mark.parametrize("cls", [Minimum, Maximum])
def test_an_infinite_value_is_one_to_compare(cls):
    growing = Multiplicative(1.0, 2.0)
    assert cls((growing, Constant(3.0)))(5000) == (3.0 if cls is Minimum else math.inf)
    assert cls((-growing, Constant(3.0)))(5000) == (-math.inf if cls is Minimum else 3.0)


def test_minus_and_division():
    for step in (0, 3, 10, 50):
        a, b = RISE(step), FALL(step)
        assert (-RISE)(step) == -a
        assert (RISE - FALL)(step) == a - b
        assert (RISE - 0.25)(step) == a - 0.25
        assert (0.25 - RISE)(step) == 0.25 - a
        assert (RISE / 3)(step) == pytest.approx(a / 3, rel=2**-51)
        assert (RISE / -4)(step) == a / -4
    assert Sum((RISE, Scaled(FALL, -1.0), Constant(-0.5))) == RISE - FALL - 0.5


@pytest.mark.parametrize("divisor", [0, 0.0, 5e-324, 1e-309, math.nan, "2", None])
def test_a_divisor_that_cannot_be_is_refused(divisor):
    with pytest.raises(ArgumentError, match="^divisor="):
        RISE / divisor
    assert (Constant(1e-307) / 2.0**-1022)(0) == pytest.approx(1e-307 * 2.0**1022)


def test_schedules_divide_none():
    for dividend in (RISE, 1.0):
        with pytest.raises(TypeError, match="unsupported operand"):
            dividend / FALL


# Sums and products built in a loop do not nest.


def test_factors_in_a_loop_are_one():
    schedule = RISE
    for factor in (0.9, -1, 0.5) * 400:
        schedule = schedule * factor
    assert type(schedule.schedule) is Linear
    assert schedule == RISE * schedule.factor
    assert schedule.factor == pytest.approx(0.45**400, rel=1e-12)
    negative = -RISE
    assert -negative == RISE * 1.0
    assert schedule(5) == schedule.factor * 0.5


def test_factors_that_are_nested_by_hand_are_one_operation():
    schedule = RISE
    for _ in range(600):
        schedule = Scaled(schedule, 0.999)
    assert operations(schedule) == operations(RISE * 0.5)
    assert schedule(5) == pytest.approx(0.999**600 / 2, rel=1e-12)
    assert schedule.base == 0.0 and schedule.settles == 10


@pytest.mark.parametrize("factors", [(1e-200, 1e-200, 1e300), (1e200, 1e200, 1e-300)])
def test_factors_whose_product_has_no_digits_stay_apart(factors):
    small = Constant(1e100 if factors[0] < 1 else 1e-100)
    schedule = functools.reduce(operator.mul, factors, small)
    want = IN_DIGITS.value(schedule, Whole(0))
    for got in by_formula_and_kernel(schedule, 0):
        assert agrees(got, float(want), 4)


@pytest.mark.parametrize("combine", [operator.add, operator.mul, minimum], ids=lambda f: f.__name__)
def test_four_hundred_terms_are_few_operations(combine):
    kinds = [lambda i: Linear(1.0, 1 / (i + 1), 7), lambda i: CosineDecay(1.0, 0.9, 9 + i)]
    made = functools.reduce(combine, [kinds[i % 2](i) for i in range(400)])
    assert len(made.schedules) == 400
    assert operations(made) <= sum(operations(kind(0)) for kind in kinds) + 10
    for step in (0, 3, 50):
        assert agrees(made(step), reference.value(made, step), 400)


@settings(max_examples=40, **QUIET)
@given(
    terms=st.lists(
        st.builds(CosineDecay, *[st.floats(0.1, 1.0)] * 2, st.integers(0, 50)),
        min_size=8,
        max_size=11,
    ),
    cls=st.sampled_from([Minimum, Maximum]),
)
def test_merged_terms_are_the_reference(terms, cls):
    made = cls(terms)
    for step in (0, 1, 17, 2**40):
        want = reference.value(made, step)
        assert agrees(float(made(torch.tensor(step))), want, 2)
        assert float32_ulps(in_pairs(made, step), want) <= 1


# Each is a value, plain data, and a program.

NEW = [
    OneMinusPower(0.1, 0.01, 50, 0.3),
    Logarithmic(0.0, 0.1, 50),
    RISE.shifted(-3),
    minimum(RISE, FALL * 0.5, 0.3),
    maximum(RISE, FALL, 0.3),
    RISE.then(FALL, at=10, restart=False),
    CosineAnnealingWarmRestarts(0.1, 10, 1.5, 0.01),
    WarmupCosine(0.1, 100, 10, 0.01),
    WarmupStableDecay(0.1, 100, 10, 20, 0.01, 0.02, "logarithmic", "1-sqrt"),
]


# In torch 2.4, export itself causes these warnings for a constant.
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
@pytest.mark.filterwarnings("ignore:Node l(ifted_tensor|__self__)")
@pytest.mark.parametrize("schedule", NEW, ids=lambda schedule: type(schedule).__name__)
def test_a_new_one_is_a_value_and_data_and_a_program(schedule):
    again = from_spec(to_spec(schedule))
    assert schedule == again == eval(repr(schedule), vars(schedules)) == copy.deepcopy(schedule)
    assert hash(schedule) == hash(pickle.loads(pickle.dumps(schedule)))
    program = export.program(schedule).module()
    for step in (0, 5, 60):
        assert agrees(float(program(torch.tensor(step))[1]), schedule(step), leaves_of(schedule))
