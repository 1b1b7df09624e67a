"""Sums and products of many terms: flat, and merged where terms differ only in numbers."""

import copy
import functools
import operator
import pickle

import pytest
import torch
from drawing import CLASSES, _is_composed, one
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parity import agrees, leaves_of
from roads import in_pairs, operations
from ulps import float32_ulps

from accelsched import reference
from accelsched.schedules import (
    Constant,
    CosineAnnealingWarmRestarts,
    CosineDecay,
    Exponential,
    Lambda,
    Linear,
    Maximum,
    Minimum,
    MultiStep,
    OneCycle,
    PiecewiseConstant,
    Product,
    Sequential,
    Step,
    Sum,
    Tabulated,
)
from accelsched.schedules._side_by_side import MERGED_FROM
from accelsched.schedules._vectorize import BatchedFormulas, group_by_structure

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
STEPS = (0, 1, 3, 11, 50, 2**40)


def line(i):
    return Linear(1.0, 1 / (i + 2), 7 + i)


def cosine(i):
    return CosineDecay(1.0, 1 / (i + 2), 7 + i)


KINDS = {
    "lines": line,
    "cosines": cosine,
    "by turns": lambda i: [line, cosine, lambda i: Exponential(1.0, total_iters=i, rate=0.5)][
        i % 3
    ](i + 1),
    "the same": lambda i: Linear(1.0, 0.5, 7),
    "growing": lambda i: Exponential(1.0, total_iters=100 + i, rate=1.01),
    "composed": lambda i: line(i).then(cosine(i) * 0.7, at=3 + i),
    "of phases": lambda i: Sequential([line(j) * 0.5 for j in range(5)], [2, 4, 6, 8]) * (1 + i),
    "steps at milestones": lambda i: PiecewiseConstant((1.0, 0.5, 0.25 + i), (2, 9 + i)),
    "of one table": lambda i: Sequential((line(i), cosine(i), line(i)), (4, 9)),
    "sums": lambda i: Sum([line(i + j) for j in range(9)]),
    "milestones": lambda i: PiecewiseConstant((1.0, 0.5), (2 + i,)),
    "powers at milestones": lambda i: MultiStep(1.0, gamma=0.5, milestones=(2 + i, 500)),
    "restarts": lambda i: CosineAnnealingWarmRestarts(1.0, 3 + i, 2, 0.5),
    "restarts by a fraction": lambda i: CosineAnnealingWarmRestarts(1.0, 3 + i, 1.5, 0.5),
    "cycles": lambda i: OneCycle(0.5, 1.0, 20 + i, three_phase=True),
    "unlike phases": lambda i: Sequential(
        [Linear(1, 0.5, 9 + i + j) for j in range(4)], (2 + i, 450, 500)
    ),
    "sums of milestones": lambda i: Sum([PiecewiseConstant((1, 2), (i + j,)) for j in range(9)]),
    "functions": lambda i: Lambda(1.0 + i, (half_life,)),
    "tables": lambda i: Tabulated(TABLE, 9) * (1 + i),
}


def half_life(step):
    return 0.999**step


TABLE = Step(1.0, 2, 0.9)


@pytest.mark.parametrize("cls", [Sum, Product, Minimum, Maximum], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_many_terms_are_the_reference(cls, kind):
    made = cls([kind(i) for i in range(MERGED_FROM + 5)])
    for step in STEPS:
        want = reference.value(made, step)
        assert agrees(made(step), want, leaves_of(made)), step
        assert agrees(float(made(torch.tensor(step))), want, leaves_of(made)), step
    steps = torch.tensor(STEPS)
    for shape in ((6,), (2, 3), (6, 1), (0, 6)):
        given = steps.reshape(shape) if 0 not in shape else torch.zeros(shape, dtype=torch.int64)
        assert made(given).shape == shape
    for whole, step in zip(made(steps).tolist(), STEPS, strict=True):
        assert agrees(whole, made(step), leaves_of(made))


@pytest.mark.parametrize("cls", [Sum, Product], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_those_of_several_groups_are_one_vector(cls, kind):
    groups = [cls([kind(i) * (1 + g % 2) for i in range(10)]) * (1.0 + g) for g in range(3)]
    evaluate = BatchedFormulas(group_by_structure(groups, [torch.float64] * 3), torch.device("cpu"))
    for step in STEPS:
        got = torch.cat([values.reshape(-1) for values in evaluate(torch.tensor(step))]).tolist()
        for schedule, value in zip(groups, got, strict=True):
            assert agrees(value, reference.value(schedule, step), leaves_of(schedule)), step


OF_TABLES = ["milestones", "powers at milestones", "restarts", "cycles", "unlike phases"]


@pytest.mark.parametrize("name", OF_TABLES)
def test_four_hundred_tables_are_one(name):
    """With separate operations for each table, they were too many for the CPU's compiler."""
    few, many = (Sum([KINDS[name](i) for i in range(count)]) for count in (20, 400))
    assert operations(few) == operations(many)
    assert len(many.parts) == 1
    for step in (0, 30, 2**40):
        assert agrees(many(step), reference.value(many, step), leaves_of(many))


@pytest.mark.parametrize("name", OF_TABLES)
def test_tables_in_double_float_too(name):
    made = Sum([KINDS[name](i) for i in range(9)])
    for step in (0, 3, 7, 50):
        assert float32_ulps(in_pairs(made, step), made(step)) <= 1


@pytest.mark.parametrize("cls", [Sum, Product], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("count", [8, 13])
def test_in_double_float_too(cls, count):
    made = cls([cosine(i) + line(i) for i in range(count)])
    for step in (0, 3, 7, 50):
        assert float32_ulps(in_pairs(made, step), made(step)) <= 1


@settings(max_examples=40, **QUIET)
@given(
    terms=st.sampled_from([cls for cls in CLASSES if not _is_composed(cls)])
    .map(one)
    .flatmap(lambda s: st.lists(s, min_size=MERGED_FROM, max_size=MERGED_FROM + 2)),
    cls=st.sampled_from([Sum, Product]),
)
def test_terms_of_any_class(terms, cls):
    made = cls(terms)
    for step in STEPS:
        want = reference.value(made, step)
        assert agrees(float(made(torch.tensor(step))), want, leaves_of(made)), step


@pytest.mark.parametrize(("combine", "cls"), [(operator.add, Sum), (operator.mul, Product)])
def test_operators_make_one_sum_of_a_thousand_terms(combine, cls):
    made = functools.reduce(combine, [Constant(1.0 + i / 1e4) + line(i) for i in range(2)] * 500)
    assert made(3) == pytest.approx(reference.value(made, 3), rel=1e-12)
    assert type(made) is cls
    assert len(made.schedules) == (2000 if cls is Sum else 1000)


def test_what_a_sum_has_merged_is_none_of_its_value():
    made, again = (Sum([line(i) for i in range(9)]) for _ in range(2))
    before = hash(made), repr(made)
    assert made(5) == again(5)
    assert (hash(made), repr(made)) == before
    assert made == again == copy.copy(made) == pickle.loads(pickle.dumps(made))
    assert len(made.parts) == 1
