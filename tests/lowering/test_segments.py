"""The segments lowering: its cost in a graph, where it ends, and which schedules it rejects."""

import numpy as np
import pytest
import torch
from binding import optimizer
from digits import DIGITS, IN_DIGITS, Whole
from drawing import compositions
from hypothesis import HealthCheck, example, given, settings
from ulps import float32_ulps

from accelsched import ArgumentError, Scheduler, reference
from accelsched._lowering import fitting
from accelsched._lowering.segments import (
    FAR,
    BatchedSegments,
    _curve,
    _together,
    fit_all,
    fit_schedule,
)
from accelsched._recording import record
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    CosineDecay,
    Cyclic,
    Exponential,
    InverseSquareRootDecay,
    Lambda,
    Linear,
    Multiplicative,
    MultiStep,
    OneCycle,
    PiecewiseConstant,
    Polynomial,
    Sequential,
    Step,
    Sum,
    Tabulated,
    minimum,
)
from accelsched.schedules._pytree import tree_map
from accelsched.schedules._vectorize import group_by_structure

WARM_UP_AND_COSINE = Linear(0.0, 0.1, 2000).then(CosineDecay(0.1, 0.0, 10**6), at=2000)
#: Each part has many stairs, but few of them lie within its phase.
STAIRS_BY_TURNS = Sequential([Step(0.1 + i, 7, 0.9) for i in range(4)], [10, 20, 30]) * 0.1
STAIRS_BY_TURNS = STAIRS_BY_TURNS.then(Constant(0.1), at=40)
#: With the most segments that each schedule may need.
CURVES = {
    "a number": (Constant(0.1), 1),
    "a warm-up from 0": (Linear(0.0, 0.1, 2000), 16),
    "a cosine to 0 in 10**4": (CosineDecay(0.1, 0.0, 10**4), 64),
    "in 10**6": (CosineDecay(0.1, 0.0, 10**6), 64),
    "in 10**7": (CosineDecay(0.1, 0.0, 10**7), 128),
    "a warm-up and a cosine": (WARM_UP_AND_COSINE, 128),
    "one cycle": (OneCycle(0.01, 0.1, 10**5), 64),
    "a power": (Polynomial(0.1, 0.0, 10**6, 1.7), 128),
    "an exponential": (Multiplicative(0.1, 0.99999), 1024),
    "a longer one": (Multiplicative(0.1, 0.9999999), 1024),
    "an inverse square root": (InverseSquareRootDecay(initial=0.1, warmup_steps=100), 512),
    "stairs": (MultiStep(initial=0.1, milestones=(100, 2000, 50000), gamma=0.1), 8),
    "stairs without end": (Step(initial=0.1, step_size=30, gamma=0.1), 64),
    "many of them": (Step(initial=0.1, step_size=30_000, gamma=0.9), 1024),
    "after a warm-up": (Linear(0.0, 0.1, 50).then(Step(0.1, 10**7, 0.7), at=50), 512),
    "by whole factors": (Exponential(0.1, total_iters=30, rate=0.7, staircase=True), 512),
    "stairs by turns": (STAIRS_BY_TURNS, 16),
    "a wave": (CosineAnnealing(0.1, 1000), 64),
    "a triangle": (Cyclic(0.01, 0.1, 200), 8),
    "a triangle that decays": (Cyclic(0.001, 0.1, 2000, None, "exp_range", 0.9999), 512),
    "a triangle after a warm-up": (Linear(0.0, 0.1, 50).then(Cyclic(0.01, 0.1, 200), at=50), 16),
    "a function": (Lambda(0.1, (lambda step: 1 / (1 + step) ** 0.5,)), 512),
    "one step of its own": (PiecewiseConstant([0.1, 0.2, 0.1], [10**7, 10**7 + 1]), 8),
}


def operations(schedule):
    (batch,) = group_by_structure([schedule], [torch.float32])
    graph = record(BatchedSegments([batch])).graph
    return sum(node.op == "call_function" for node in graph.nodes)


def worst(fit, schedule, steps):
    """Return the largest error of a fit in device arithmetic, in ulps of the float64 formula."""
    segment = np.searchsorted(fit.segments.first, steps, side="right") - 1
    exact = schedule.formula(torch.from_numpy(steps)).numpy()
    return fit.segments.off(steps, segment, exact).max()


def steps_near(schedule):
    knots = [10, 100, 2000, 12345, 10**5, 10**6, 10**7, 2**24, 2**31, 2**40]
    near = [knot + offset for knot in knots for offset in (-1, 0, 1)]
    return [*range(12), *near]


@pytest.mark.parametrize(
    "name",
    ["in 10**6", "a warm-up and a cosine", "one cycle", "a power", "an exponential", "a wave"],
)
def test_the_worst_steps_are_within_an_ulp_of_fifty_digits(name):
    """The proof uses the float64 formula; this test computes the exact value in 50 digits."""
    schedule, _ = CURVES[name]
    fit = fit_schedule(schedule)
    last = 1000 if fit.repeats else 10**6
    steps = np.arange(last)
    exact = schedule.formula(torch.from_numpy(steps)).numpy()
    segment = np.searchsorted(fit.segments.first, steps, side="right") - 1
    values = fit.segments.at(steps, segment)
    off = np.abs(values - exact) / np.spacing(np.abs(exact).astype(np.float32))
    for step in np.argsort(off)[-5:].tolist():
        true = IN_DIGITS.value(schedule, Whole(step))
        unit = float(np.spacing(abs(np.float32(float(true)))))
        assert abs(DIGITS.mpf(float(values[step])) - true) <= DIGITS.mpf(unit)


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_kilobytes_and_twenty_operations(name):
    schedule, most = CURVES[name]
    fit = fit_schedule(schedule)
    assert len(fit.segments) <= most
    folded = 0 if fit.repeats is None else 1 if fit.repeats[0] == 0 else 5
    assert operations(schedule) - folded <= 24
    (batch,) = group_by_structure([schedule], [torch.float32])
    evaluate = BatchedSegments([batch])
    for step in steps_near(schedule):
        (value,) = evaluate(torch.tensor(step))
        want = reference.value(schedule, step)
        assert value.dtype == torch.float32
        if abs(want) < 2.0**-120:  # an ulp of 2**-120 is allowed; 0 stays 0
            assert abs(value.item() - want) <= 2.0**-143 and (value.item() == 0 or want != 0)
        else:
            assert float32_ulps(value.item(), want) <= 1, (step, value.item(), want)


def test_constants_cost_nothing():
    assert operations(Constant(0.1)) == operations(2 * Constant(0.1)) == 0


def test_operations_do_not_grow():
    long = WARM_UP_AND_COSINE
    for _ in range(5):
        long = long.then(CosineDecay(0.05, 0.01, 1000), at=10**4)
    assert operations(long) == operations(CosineDecay(0.1, 0.0, 50))


@pytest.mark.parametrize("shared", [False, True])
def test_groups_are_evaluated_together(shared):
    groups = [{} for _ in range(5)]
    opt = optimizer(*groups, kind="graph")
    curves = [CosineDecay(0.1, 0.01 * (not shared) * i, 100 + i * 10**5) for i in range(5)]
    waves = [CosineAnnealing(0.1 / (i + 1), 100 + i) for i in range(5)]
    for schedules in (curves, waves, [curves[0]] * 5):
        scheduler = Scheduler(opt, schedules, lowering="segments")
        assert scheduler.driver.lowering == "segments"
        for step in (0, 1, 99, 100, 150, 2500, 10**5):
            scheduler.last_epoch = step
            for group, schedule in zip(opt.param_groups, schedules, strict=True):
                assert float32_ulps(group["lr"].item(), reference.value(schedule, step)) <= 1


def test_where_a_fit_ends_the_formula_goes_on():
    """No run reaches that step, but a user may set it."""
    opt = optimizer(kind="graph")
    schedule = InverseSquareRootDecay(initial=0.1, warmup_steps=100)
    scheduler = Scheduler(opt, schedule, lowering="segments")
    for step in (FAR - 2, FAR - 1, FAR, FAR + 1, 2**50, 5):
        scheduler.last_epoch = step
        assert float32_ulps(opt.param_groups[0]["lr"].item(), reference.value(schedule, step)) <= 1
        scheduler.step()
        want = reference.value(schedule, step + 1)
        assert float32_ulps(opt.param_groups[0]["lr"].item(), want) <= 1
    Scheduler(optimizer(kind="graph"), schedule, last_epoch=FAR + 7, lowering="segments").step()


def test_what_cannot_be_fitted_is_refused_with_the_reason_where_it_was_asked_for():
    opt = optimizer(kind="graph")
    ever_more_parts = Step(initial=0.1, step_size=1000, gamma=0.999)
    with pytest.raises(ArgumentError, match="lowering='segments': the curve needs more"):
        Scheduler(opt, ever_more_parts, lowering="segments")
    with pytest.raises(ArgumentError, match="has a value that float32 cannot hold"):
        Scheduler(opt, Lambda(1e30, (lambda step: 1e9 * step,)), lowering="segments")
    with pytest.raises(ArgumentError, match="has a value that float32 cannot hold"):
        once = Lambda(1.0, (lambda step: 0.1 + 1e39 * (step == 777_777).double(),))
        Scheduler(opt, once, lowering="segments")
    with pytest.raises(ArgumentError, match="its function must be elementwise"):
        Scheduler(opt, Lambda(0.1, (lambda step: step.sum() + 1,)), lowering="segments")
    opt = optimizer(kind="graph")
    opt.param_groups[0]["lr"] = torch.tensor(0.1, dtype=torch.float64)
    with pytest.raises(ArgumentError, match="segments are float32, and this value is float64"):
        Scheduler(opt, Constant(0.1), lowering="segments")
    assert opt.param_groups[0]["lr"] == 0.1


def spike(at):
    return lambda step: 0.1 + 0.1 * (step == at)


@pytest.mark.parametrize(
    "schedule",
    [
        Lambda(1.0, (spike(777_777),)),
        Tabulated(Lambda(1.0, (spike(1_111_111),)), 2**20 + 2**17),
        Linear(0.0, 0.1, 10).then(Tabulated(lambda t: 0.2 if t == 4321 else 0.1, 10**5), at=10),
        PiecewiseConstant([0.1, 0.2, 0.1], [10**9, 10**9 + 1]),
        Constant(0.1).then(Linear(0.2, 0.1, 1), at=10**9).shifted(-3),
    ],
)
def test_a_step_of_its_own_is_not_missed(schedule):
    (batch,) = group_by_structure([schedule], [torch.float32])
    evaluate = BatchedSegments([batch])
    spikes = [777_777, 1_111_111, 4331, 10**9, 10**9 + 3]
    found = [step for step in spikes if reference.value(schedule, step) == 0.2]
    assert len(found) == 1
    for step in (found[0] - 1, found[0], found[0] + 1):
        assert float32_ulps(evaluate(torch.tensor(step))[0].item(), schedule(step)) <= 1


SAW = Cyclic(0.0, 0.5, step_size_up=1, step_size_down=720_166)


@pytest.mark.parametrize("of_user", [False, True])
def test_a_narrow_valley_between_two_periods_is_not_missed(of_user):
    """The valley is 120 of 720,167 steps, at the end of each period."""
    above = Lambda(0.1, (lambda t: (t + 1) ** -0.5,)) if of_user else InverseSquareRootDecay(0.1)
    schedule = minimum(SAW, above)
    with pytest.raises(fitting.NotFitted):  # the curve has no end
        fit_schedule(schedule)
    (batch,) = group_by_structure([schedule.then(Constant(0.1), at=3_000_000)], [torch.float32])
    evaluate = BatchedSegments([batch])
    for step in (2 * 720_167 - 3, 2 * 720_167 - 60, 3 * 720_167 - 3, 3 * 720_167 + 1000):
        got = evaluate(torch.tensor(step))[0].item()
        assert float32_ulps(got, reference.value(schedule, step)) <= 1


def test_restarts_that_become_ever_longer_keep_the_formula():
    with pytest.raises(fitting.NotFitted):
        fit_schedule(CosineAnnealingWarmRestarts(0.1, T_0=100, T_mult=2))


@pytest.mark.parametrize("name", ["in 10**6", "one cycle", "an exponential", "stairs"])
def test_every_step_is_near(name):
    """All steps up to a million, against the float64 formula."""
    schedule, _ = CURVES[name]
    steps = np.arange(10**6 + 2)
    assert worst(fit_schedule(schedule), schedule, steps) <= fitting.MOST_ULPS


def test_groups_that_are_no_multiples_are_fitted_each():
    schedules = [CosineDecay(0.1, 0.0, 1000), CosineDecay(0.1, 0.01, 1000), Linear(0.0, 0.1, 1000)]
    for fit, schedule in zip(fit_all(schedules), schedules, strict=True):
        assert worst(fit, schedule, np.arange(1002)) <= 1


def test_a_multiple_that_float32_has_not_is_refused():
    with pytest.raises(fitting.NotFitted, match="has a value that float32 cannot hold"):
        fit_all([WARM_UP_AND_COSINE * 2, WARM_UP_AND_COSINE * 1e40])


def test_a_jump_that_the_first_group_has_not_is_no_multiple():
    def stairs(middle):
        return PiecewiseConstant([0.1, middle, 0.1], [10**7, 10**7 + 1])

    schedules = [stairs(0.1), stairs(0.2), stairs(0.1)]
    for fit, schedule in zip(fit_all(schedules), schedules, strict=True):
        assert worst(fit, schedule, np.arange(10**7 - 2, 10**7 + 3)) <= 1


def halved(schedule):
    """Return the schedule with every float halved, in tuples too; step counts are ints."""

    def leaf(column):
        (value,) = column
        if isinstance(value, tuple):
            return tuple(leaf((item,)) for item in value)
        return value / 2 if isinstance(value, float) else value

    return tree_map(leaf, [schedule])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=compositions(depth=3))
@example(Sum([CosineDecay(0.1 + i, 0.0, 100 + i) for i in range(9)]))
@example(Sum([MultiStep(0.1 + i, milestones=(9, 99), gamma=0.5) for i in range(9)]))
@example(Sequential([Linear(0.1 + i, 0.2, 40) for i in range(4)], [40, 80, 10**6]))
def test_groups_at_many_steps_at_once_are_what_each_is_alone(schedule):
    groups = [schedule, halved(schedule)]
    steps = np.array([0, 1, 2, 7, 50, 1001, 10**6, 2**40])
    alone = np.stack([_curve(group)(steps) for group in groups])
    np.testing.assert_allclose(_together(groups, steps), alone, rtol=2.0**-48, atol=1e-300)


def test_segments_that_are_halved_until_they_fit_are_no_more_than_have_room():
    """The proof halves segments that do not fit, which may produce too many."""
    waves = CosineAnnealing(0.0, 442, 0.5), CosineAnnealingWarmRestarts(0.0, 1, 2, 0.5)
    schedule = minimum(Constant(1e-6), *waves)
    with pytest.raises(fitting.NotFitted, match="more than 1024 segments"):
        fit_schedule(schedule)
    with pytest.raises(ArgumentError, match="more than 1024 segments"):
        Scheduler(optimizer(kind="graph"), schedule, lowering="segments")
