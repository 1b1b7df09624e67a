"""Shapes, operators and merging of schedules, and properties that hold for any numbers."""

import math

import numpy as np
import pytest
import torch
from drawing import compositions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parity import agrees, leaves_of
from roads import operations

from accelsched import reference
from accelsched.schedules import (
    Chained,
    Constant,
    CosineAnnealingWarmRestarts,
    CosineDecay,
    Cyclic,
    Exponential,
    Linear,
    Multiplicative,
    MultiStep,
    OneCycle,
    PiecewiseConstant,
    Polynomial,
    Product,
    Scaled,
    Sequential,
    Step,
    Sum,
)


@pytest.mark.parametrize(
    "schedule",
    [
        Exponential(0.1, total_iters=3, rate=1.1, staircase=True),
        Multiplicative(0.1, 1.05),
        Step(0.1, 3, 1.5),
        MultiStep(0.1, gamma=2.0, milestones=(0, 3, 6)),
        Cyclic(0.01, 0.1, 10, mode="exp_range", gamma=1.01),
    ],
)
def test_growth_equals_its_reference(schedule):
    for step in range(1000):
        assert agrees(schedule(step), reference.value(schedule, step))


def test_growth_past_all_numbers_is_infinite():
    schedule = Multiplicative(0.1, 1.05)
    assert schedule(2**40) == reference.value(schedule, 2**40) == math.inf


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=compositions(depth=3), shape=st.sampled_from([(), (3,), (2, 3), (0,)]))
def test_any_shape_of_steps_gives_that_shape(schedule, shape):
    steps = torch.arange(math.prod(shape)).reshape(shape)
    values = schedule(steps)
    assert values.shape == shape
    one_by_one = [schedule(step) for step in steps.flatten()]
    for whole, single in zip(values.flatten().tolist(), map(float, one_by_one), strict=True):
        # torch's vectorized functions and its scalar ones may round the last bit differently.
        assert whole == single or agrees(whole, single, leaves_of(schedule))


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=compositions(depth=3), dtype=st.sampled_from([torch.int32, torch.int16]))
def test_narrow_integers_count_like_wide_ones(schedule, dtype):
    steps = torch.arange(5)
    torch.testing.assert_close(
        schedule(steps.to(dtype)), schedule(steps), rtol=0, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("bad", [torch.tensor(1.0), torch.tensor(True), 1.5, -1, "1", None])
def test_steps_are_counted(bad):
    with pytest.raises(ValueError, match=r"^step="):
        Constant(1.0)(bad)


# Properties that hold for any numbers.

RATES = st.floats(1e-6, 1.0)
LENGTHS = st.integers(1, 10**6)


@given(initial=RATES, end=RATES, total=LENGTHS, step=st.integers(0, 2 * 10**6))
@settings(deadline=None)
def test_decays_stay_between_their_ends(initial, end, total, step):
    low, high = sorted((initial, end))
    for schedule in (Linear(initial, end, total), CosineDecay(initial, end, total)):
        assert low * (1 - 2**-50) <= schedule(step) <= high * (1 + 2**-50)


@given(initial=RATES, end=RATES, total=LENGTHS)
@settings(deadline=None)
def test_decays_begin_and_end_exactly(initial, end, total):
    for schedule in (Linear(initial, end, total), CosineDecay(initial, end, total)):
        assert schedule(0) == initial
        assert schedule(total) == schedule(total + 1) == schedule(2**40) == end


@given(total=st.integers(2, 10**6))
@settings(deadline=None)
def test_a_cosine_keeps_its_digits_to_the_last_step(total):
    # One step before the end the value is a small sine, squared: 1 + cos would be 0 or noise.
    want = math.sin(math.pi / 2 / total) ** 2
    assert CosineDecay(1.0, 0.0, total)(total - 1) == pytest.approx(want, rel=2**-50)


@given(at=st.integers(0, 10**6), later=st.integers(0, 10**6))
@settings(deadline=None)
def test_a_following_schedule_counts_from_zero(at, later):
    following = CosineDecay(0.3, 0.1, 10**5)
    assert Linear(0.0, 0.3, 7).then(following, at=at)(at + later) == following(later)


@given(first=st.integers(1, 50), factor=st.integers(1, 4), count=st.integers(0, 6))
@settings(deadline=None)
def test_each_restart_is_at_the_top(first, factor, count):
    restart = sum(first * factor**i for i in range(count))
    schedule = CosineAnnealingWarmRestarts(0.1, first, factor, 0.001)
    assert schedule(restart) == 0.1
    length = first * factor ** max(count - 1, 0)
    if count:
        assert schedule(restart - 1) == pytest.approx(
            0.001 + 0.099 * math.sin(math.pi / 2 / length) ** 2, rel=1e-12
        )


def test_restarts_do_not_end_before_the_counter():
    schedule = CosineAnnealingWarmRestarts(1.0, 3, 2)
    for n in range(40):
        restart = 3 * (2**n - 1)
        assert schedule(restart) == 1.0
        assert schedule(restart + 2**n) < 1.0


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=compositions(depth=3), more=st.integers(0, 2**30))
def test_a_settled_schedule_stays_the_same(schedule, more):
    at = schedule.settles
    if at is not None:
        assert schedule(at) == schedule(at + 1) == schedule(at + more)


def test_what_settles_is_known():
    line = Linear(0.0, 1.0, 10)
    assert (Constant(1).settles, line.settles, OneCycle(0.1, 1, 50).settles) == (0, 10, 49)
    assert (line.then(CosineDecay(1, 0, 30), at=15) * 2 + line).settles == 45
    for endless in (Linear(0, 1, 10, cycle=True), Step(1, 3, 0.5), line + Step(1, 3, 0.5)):
        assert endless.settles is None


def test_operators_read_as_they_compute():
    a, b = Linear(0.0, 1.0, 10), Step(2.0, 3, 0.5)
    for step in range(20):
        assert (a + b)(step) == a(step) + b(step)
        assert (a * b)(step) == a(step) * b(step)
        assert (2 * a)(step) == (a * 2)(step) == 2 * a(step)
        assert (a + 0.5)(step) == (0.5 + a)(step) == a(step) + 0.5
    assert a + b == Sum((a, b))
    assert a + b + (a + 0.5) == Sum((a, b, a, Constant(0.5)))
    assert a * b == Product((a, b))
    assert a * b * (b * a) == Product((a, b, b, a))
    assert a * (a + b) + b == Sum((Product((a, Sum((a, b)))), b))
    assert a * 2 == Scaled(a, 2.0)
    assert a.then(b, at=5).then(a, at=9) == Sequential((a, b, a), (5, 9))


def test_a_chain_is_sound_when_an_initial_value_is_zero():
    chain = Chained((Constant(0.1), Linear(0.0, 1.0, 4)))
    assert [chain(t) for t in range(6)] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.1])


def phases(count, *kinds):
    """Return a sequence of `count` phases of ten steps, the kinds in turn, no two alike."""
    made = [kinds[i % len(kinds)](1 / (i + 1), 1 / (i + 3), 7 + i) for i in range(count)]
    return Sequential(made, [10 * i for i in range(1, count)])


MANY = {
    "milestones of MultiStep": lambda n: MultiStep(1.0, gamma=0.9999, milestones=range(n)),
    "milestones of PiecewiseConstant": lambda n: PiecewiseConstant([0.1] * (n + 1), range(n)),
    "phases of one kind": lambda n: phases(n, Linear),
    "phases of two kinds": lambda n: phases(n, Linear, CosineDecay),
    "phases made of schedules": lambda n: phases(n, lambda *args: Linear(*args) * args[1]),
    "terms of a sum": lambda n: Sum(
        [CosineDecay(1 / (i + 1), 1 / (i + 3), 7 + i) for i in range(n)]
    ),
    "factors of two kinds": lambda n: Product(
        [(Linear, CosineDecay)[i % 2](1.0, 1 + 1 / (i + 9) ** 2, 7 + i) for i in range(2 * n)]
    ),
    "phases that were others before": lambda n: phases(
        n, lambda *args: phases(4, Linear) * args[0] + CosineDecay(*args)
    ),
}


@pytest.mark.parametrize("make", MANY.values(), ids=MANY)
def test_ten_thousand_are_no_more_operations_than_ten(make):
    many = make(10_000)
    assert operations(make(10)) == operations(many)
    for step in (0, 9, 10, 11, 49_995, 99_989, 99_990, 2**40):
        assert agrees(many(step), reference.value(many, step), 8)


@pytest.mark.parametrize(
    "kind",
    [
        Linear,
        CosineDecay,
        Polynomial,
        lambda a, b, _: Multiplicative(a, b),
        lambda a, *_: Constant(a),
    ],
)
def test_phases_of_a_kind_are_one_only_where_that_is_no_more_operations(kind):
    one, two, three, four = (operations(phases(n, kind)) for n in (1, 2, 3, 4))
    assert three == four <= two + (two - one)


def test_operations_grow_no_faster_than_the_depth_of_nesting():
    def nested(depth):
        schedule = CosineDecay(0.1, 0.0, 100)
        for i in range(depth):
            schedule = (schedule.then(Linear(0.1, 0.2, 7 + i), at=10) + 0.1) * 0.9
        return schedule

    one, two, many = (operations(nested(depth)) for depth in (1, 2, 64))
    assert many - one == 63 * (two - one)


def test_phases_without_steps_are_skipped():
    assert OneCycle(0.004, 0.1, total_steps=10, pct_start=0.1)(0) == 0.1
    one_step = OneCycle(0.004, 0.1, total_steps=1, pct_start=0.5, final_div_factor=4)
    assert one_step(0) == one_step(9) == 0.001
    assert PiecewiseConstant((1, 2, 3), (0, 4))(0) == 2
    assert Sequential((Constant(1), Constant(2), Constant(3)), (5, 5))(5) == 3


def test_a_schedule_is_a_value():
    assert Linear(0, 1, 10) == Linear(0.0, 1.0, 10.0)
    assert hash(Linear(0, 1, 10)) == hash(Linear(0.0, 1.0, 10.0))
    assert len({Linear(0, 1, 10), Linear(0, 1, 10), Linear(0, 1, 11)}) == 2
    with pytest.raises(AttributeError):
        Linear(0, 1, 10).end = 2


def test_curves_are_float64_where_float32_would_drift():
    steps = np.array([10**6, 2 * 10**7, 10**8 + 1])
    curve = Step(0.1, 1, 0.99999)(torch.from_numpy(steps))
    for step, value in zip(steps.tolist(), curve.tolist(), strict=True):
        assert value == pytest.approx(0.1 * 0.99999**step, rel=1e-9)


def test_a_negative_step_is_refused_in_a_tensor_too():
    from accelsched import ArgumentError

    for step in (torch.tensor(-1), torch.tensor([0, 3, -2])):
        with pytest.raises(ArgumentError, match=r"^step=\[-[12]\]: steps are counted from 0"):
            Linear(0.0, 1.0, 10)(step)
    assert Linear(0.0, 1.0, 10)(torch.tensor([0, 10])).tolist() == [0.0, 1.0]
