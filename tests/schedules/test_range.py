"""Arguments across the range of float64: a value is finite wherever the exact value is.

A formula is a product. One factor may leave the range though the product does not: a power of
1e400 times 1e-300, or infinity times 0.
"""

import dataclasses
import math
import typing

import drawing
import pytest
import torch
from digits import IN_DIGITS, Whole
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from parity import agrees, leaves_of
from roads import operations

from accelsched import ArgumentError, reference
from accelsched.schedules import (
    Chained,
    Constant,
    CosineAnnealingWarmRestarts,
    Cyclic,
    Exponential,
    InverseExponentialTimeDecay,
    InverseSquareRootDecay,
    Maximum,
    Minimum,
    Multiplicative,
    MultiStep,
    OneCycle,
    OneMinusPower,
    Polynomial,
    Product,
    Scaled,
    Step,
    Sum,
)

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
LARGEST, LEAST = 1.7e308, 2.0**-1022
ENDS = [0.0, 5e-324, 1e-310, LEAST, 1e-300, 1e-150, 1e-5, 0.1, 1.0, 3.0, 1e16, 1e150, 1e300]
SIZES = st.one_of(st.sampled_from(ENDS), st.floats(-1074, 1000).map(lambda n: 2.0**n))
RATES = st.sampled_from(
    [0.0, 5e-324, 1e-300, 1e-5, 0.5, 0.99999, 1 - 2**-53, 1.0, 1 + 2**-52, 1.00001, 1.05, 2, 9e299]
)
BY_NAME = {
    "rate": RATES,
    "gamma": RATES,
    "coefficient": RATES,
    "pct_start": drawing.numbers,
    "T_mult": st.sampled_from([1, 2, 1.5, 1.01, 2**20]),
    "step_exponent": st.sampled_from([0, 1, 0.5, 2, 7, 16]),
    "power": st.sampled_from([LEAST, 1e-300, 1e-5, 0.5, 1, 2, 50, 1e300]),
    "final_div_factor": SIZES,
}
FREE = [  # leaf classes without a user's function or a table
    cls
    for cls in drawing.CLASSES
    if not drawing._is_composed(cls) and cls.__name__ not in ("Lambda", "Tabulated")
]


def wide(cls):
    """Return a strategy for schedules of a class, with numbers of any size."""
    if cls.__name__ == "PiecewiseConstant":
        return st.builds(cls, st.tuples(SIZES, SIZES), st.tuples(drawing.whole))
    hints = typing.get_type_hints(cls)
    fields = {f.name: field(f.name, hints[f.name]) for f in dataclasses.fields(cls) if f.init}
    return st.fixed_dictionaries(fields).map(lambda given: drawing._built(cls, given))


def field(name, hint):
    if name == "milestones":
        return drawing.milestones
    if name in BY_NAME:
        return BY_NAME[name]
    return SIZES if hint is float else drawing._field(hint, None)


def steps_of(schedule):
    """Return steps of all sizes up to 2**50, some where a power leaves the range of float64."""
    rate = next((getattr(schedule, n) for n in BY_NAME if n in RATED and hasattr(schedule, n)), 1)
    length = max(getattr(schedule, "total_iters", 1), getattr(schedule, "step_size", 1))
    digits = abs(math.log2(rate)) if rate > 0 else 0
    far = [n / digits * length for n in (500, 990, 1010, 1030, 1080, 1500, 2050)] if digits else []
    near = drawing.steps_of(schedule)
    steps = {*near[:: 1 + len(near) // 12], *map(int, far), 3000, 2**45 + 1, 2**50}
    return sorted(step for step in steps if step <= 2**50)


RATED = ("rate", "gamma", "coefficient")


def exact(schedule, step):
    """Return the value computed in 50 digits, or None if float64 cannot hold it."""
    value = IN_DIGITS.value(schedule, Whole(step))
    return float(value) if abs(value) < LARGEST else None


def values(schedule, step):
    """Yield the name and the value of each float64 implementation."""
    yield "reference", reference.value(schedule, step)
    yield "formula", float(schedule(torch.tensor(step)))
    yield "kernel", schedule(step)


def check(schedule, steps):
    for step in steps:
        want = exact(schedule, step)
        if want is not None:
            for name, got in values(schedule, step):
                assert agrees(got, want, leaves_of(schedule)), (name, step, got, want)


def is_well_conditioned(schedule):
    """Return whether rounding has little effect.

    It has a large effect on a staircase of powers, on a cycle whose peaks grow below its base, and
    on a height over 2**52 times a power below 2**-1022.
    """
    if isinstance(schedule, Cyclic) and max(schedule.base_value, schedule.max_value) > 2.0**52:
        return False
    if isinstance(schedule, (Polynomial, OneMinusPower)) and schedule.power < 2.0**-512:
        return False  # rest**power - 1 is then of the size of rounding
    if isinstance(schedule, InverseExponentialTimeDecay):
        return not schedule.staircase or schedule.step_exponent in (0, 1)
    if isinstance(schedule, Cyclic):
        return schedule.gamma <= 1 or schedule.max_value >= schedule.base_value
    return True


@pytest.mark.parametrize("cls", FREE, ids=lambda cls: cls.__name__)
def test_a_class(cls):
    @settings(derandomize=True, max_examples=25, **QUIET)
    @given(wide(cls).filter(is_well_conditioned))
    def holds(schedule):
        if cls is OneCycle:
            # Its knots are float64 numbers. Choose some that need no rounding.
            fraction = max(1, round(32 * schedule.pct_start)) / 64
            schedule = dataclasses.replace(schedule, pct_start=fraction)
        check(schedule, steps_of(schedule))

    holds()


@pytest.mark.parametrize(
    "cls", [Sum, Product, Chained, Minimum, Maximum], ids=lambda cls: cls.__name__
)
def test_two_together(cls):
    """Each value, and each relative factor of a chain, is 0 or a normal float64."""
    leaves = st.sampled_from(FREE).flatmap(wide).filter(is_well_conditioned)

    @settings(derandomize=True, max_examples=25, **QUIET)
    @given(leaves.filter(lambda s: not isinstance(s, OneCycle)), SIZES, SIZES)
    def holds(schedule, one, other):
        try:
            both = cls((Constant(one), Scaled(schedule, other)))
        except ArgumentError:
            assume(False)
        # Subnormal numbers lose digits before they are combined.
        assume(all(n == 0 or abs(n) >= 2.0**-512 for n in (one, other, schedule.base)))
        for step in steps_of(schedule):
            inner, scaled = (IN_DIGITS.value(s, Whole(step)) for s in (schedule, both.schedules[1]))
            parts = [inner, scaled, scaled / (reference.Curve(both.schedules[1]).initial or 1)]
            if all(part == 0 or LEAST <= abs(part) < LARGEST for part in parts):
                check(both, [step])

    holds()


@pytest.mark.parametrize(
    ("schedule", "step", "want"),
    [
        (Multiplicative(0.0, 2.0), 3000, 0.0),
        (Exponential(0.0, total_iters=1, rate=1e300), 2**50, 0.0),
        (Step(0.0, 1, 2.0), 3000, 0.0),
        (MultiStep(0.0, gamma=1e300, milestones=(1, 2, 3)), 3, 0.0),
        (Multiplicative(2.0**-1074, 2.0), 2097, 2.0**1023),
        (Multiplicative(2.0**-1074, 2.0), 2098, math.inf),
        (Multiplicative(-(2.0**-100), 2.0), 1100, -(2.0**1000)),
        (Multiplicative(2.0**1000, 0.5), 2000, 2.0**-1000),
        (Exponential(2.0**-600, total_iters=2, rate=2.0), 3000, 2.0**900),
        (Cyclic(0.1, 0.2, 10, mode="exp_range", gamma=2.0), 3000, 0.1),
        (Cyclic(0.1, 0.1, 10, mode="exp_range", gamma=2.0), 3005, 0.1),
        (Cyclic(0.0, 2.0**-900, 4, mode="exp_range", gamma=2.0), 1601, 2.0**699),
        (Cyclic(0.0, 1.0, 4, mode="exp_range", gamma=2.0), 1025, 2.0**1023),
        (InverseExponentialTimeDecay(0.1, step_exponent=16, total_iters=1, rate=0.0), 2**50, 0.1),
        (Chained((Constant(0.5), Constant(LEAST))), 2, 0.5),
    ],
)
def test_cases_that_were_not_numbers(schedule, step, want):
    assert [got for _, got in values(schedule, step)] == [want] * 3


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: OneCycle(0.1, 1.0, final_div_factor=1e-310), "final_div_factor"),
        (lambda: Chained((Constant(1.0), Constant(5e-324))), r"schedules\[1\]"),
        (
            lambda: InverseExponentialTimeDecay(0.1, step_exponent=17, total_iters=1, rate=1.0),
            "step_exponent",
        ),
        (
            lambda: InverseExponentialTimeDecay(0.1, step_exponent=16, total_iters=1, rate=1e100),
            "rate",
        ),
        (lambda: InverseSquareRootDecay(1e200, scale=1e200), "scale"),
        (lambda: Polynomial(1.0, 0.0, 10, 5e-324), "power"),
        (lambda: Cyclic(-1.7e308, 1.7e308, mode="exp_range", gamma=2.0), "max_value"),
    ],
)
def test_what_cannot_be_a_number_is_refused(make, name):
    with pytest.raises(ArgumentError, match=f"^{name}="):
        make()


@settings(derandomize=True, max_examples=50, **QUIET)
@given(
    first=st.integers(1, 2**61),
    factor=st.one_of(st.integers(1, 9), st.integers(1, 2**20)),
    step=st.integers(2**50, 2**62 - 1),
)
@example(2**30, 2**20, 2**50 + 2**30 + 2**40)
@example(2**30, 2**20, 2**62 - 1)
@example(2**61, 2, 2**62 - 1)
@example(2**61 - 1, 3, 2**62 - 1)
def test_restarts_past_2_to_the_50(first, factor, step):
    schedule = CosineAnnealingWarmRestarts(1.0, first, factor)
    # float64 keeps 53 bits of a step, and rounds the position within a period accordingly.
    want = exact(schedule, step)
    for _, got in values(schedule, step):
        assert agrees(got, want) or abs(got - want) <= 4 * 2.0**-53


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda rate: Exponential(0.1, total_iters=7, rate=rate), 4),
        (lambda rate: Multiplicative(0.1, rate), 3),
        (lambda rate: Step(0.1, 7, rate), 6),
        (lambda rate: MultiStep(0.1, gamma=rate, milestones=(3, 5)), 7),
    ],
)
def test_what_decays_takes_no_more_operations_for_it(make, count):
    assert operations(make(0.5)) == count
    assert operations(make(2.0)) == count + 5


def test_growing_schedules_are_one_vector_too():
    from accelsched.schedules._vectorize import BatchedFormulas, group_by_structure

    made = [Multiplicative(1e-300, 2.0), Multiplicative(1e-10, 3.0), Multiplicative(0.5, 0.5)]
    batches = group_by_structure(made, [torch.float64] * 3)
    assert [batch.positions for batch in batches] == [(0, 1), (2,)]
    evaluate = BatchedFormulas(batches, torch.device("cpu"))
    for step in (3, 1500):
        (growing, decaying) = evaluate(torch.tensor(step))
        for schedule, got in zip(made, [*growing.tolist(), float(decaying)], strict=True):
            assert agrees(got, reference.value(schedule, step))
