"""Every schedule, with every lowering, on every back end, against the reference.

The classes are drawn from the package, so a new one is tested without an edit here. A float32
value is at most 1 ulp from the rounded reference. It is 1 ulp off where the two float64 results,
whose difference `parity.py` bounds, lie on two sides of a rounding boundary.
"""

import copy
import functools

import pytest
import torch
from drawing import CLASSES, compositions, one, planned, steps_of, stretched
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from parity import RELATIVE, agrees, leaves_of
from ulps import float32_ulps

from accelsched import ArgumentError, reference
from accelsched._lowering.fitting import NotFitted
from accelsched._lowering.segments import BatchedSegments
from accelsched._lowering.tables import BatchedTables
from accelsched._recording import record
from accelsched.schedules import CosineDecay, Step, Tabulated
from accelsched.schedules._vectorize import BatchedFormulas, group_by_structure
from accelsched.schedules.warmup import Composed

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
# Few, since the reference is slow and some back ends compile for each drawn schedule.
EXAMPLES = {
    "eager": 60,
    "numba": 12,
    "table": 12,
    "pairs": 12,
    "segments": 8,
    "compile": 3,
    "xla": 8,
    "lazy": 8,
}
ROADS = pytest.mark.parametrize(
    ("runtime", "lowering"),
    [
        *((name, "graph") for name in ("eager", "compile", "xla", "lazy")),
        *((name, "table") for name in ("eager", "compile", "xla", "lazy")),
        *((name, "pairs") for name in ("eager", "compile", "xla", "lazy")),
        *((name, "segments") for name in ("eager", "compile", "xla", "lazy")),
        ("eager", "numba"),
    ],
    indirect=["runtime"],
)


def by_graph(runtime, schedule, dtype):
    """Evaluate step by step on the counter, as in training; in eager PyTorch all steps at once."""
    if runtime.name == "eager" and runtime.has_float64:
        return lambda steps: schedule(torch.tensor(steps)).to(dtype)
    device = runtime.device()
    evaluate = runtime.lower(
        functools.partial(BatchedFormulas, group_by_structure([schedule], [dtype])), device
    )
    return stepwise(runtime, evaluate, device)


def by_pairs(runtime, schedule, dtype):
    """Evaluate as on a device without float64."""
    without = copy.copy(runtime)
    without.has_float64 = False
    return by_graph(without, schedule, dtype)


def keep_digits(schedule, steps):
    """Return the steps at which each intermediate value is 0 or keeps its digits in a pair.

    A device may flush a float32 below 2**-126 to 0. A pair at 2**-96 then loses 2**-30 of it.
    """
    graph = record(lambda step: [schedule.formula(step)])

    class Sizes(torch.fx.Interpreter):
        def run_node(self, node):
            value = super().run_node(node)
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                sizes = value[(value != 0) & value.isfinite()].abs()
                self.kept &= bool((sizes >= 2.0**-96).all())
            return value

        def keeps(self, step):
            self.kept = True
            self.run(torch.tensor(step))
            return self.kept

    return [step for step in steps if Sizes(graph).keeps(step)]


def by_table(runtime, schedule, dtype):
    device, table = runtime.device(), BatchedTables(group_by_structure([schedule], [dtype]))
    return stepwise(runtime, runtime.lower(lambda _: table, device), device)


def by_segments(runtime, schedule, dtype):
    try:
        segments = BatchedSegments(group_by_structure([schedule], [dtype]))
    except NotFitted:
        assume(False)
    device = runtime.device()
    return stepwise(runtime, runtime.lower(lambda _: segments, device), device)


def by_numba(runtime, schedule, dtype):
    """Evaluate the steps one by one; at the first, a curve must give the same bits."""

    def values(steps):
        single = [schedule(step) for step in steps]
        assert schedule.curve(steps[0], steps[0] + 1)[0] == single[0] or single[0] != single[0]
        return torch.tensor(single, dtype=torch.float64).to(dtype)

    return values


def stepwise(runtime, evaluate, device):
    if runtime.name == "compile":
        torch._dynamo.reset()
        evaluate = torch.compile(evaluate, fullgraph=True, backend="aot_eager")
    return lambda steps: torch.stack([evaluate(torch.tensor(s).to(device))[0] for s in steps])


BY = {
    "graph": by_graph,
    "pairs": by_pairs,
    "table": by_table,
    "segments": by_segments,
    "numba": by_numba,
}


def check(runtime, lowering, schedule, dtype):
    if lowering == "table" and (schedule.settles is None or schedule.settles > 2000):
        try:
            schedule = Tabulated(schedule, 300)
        except ArgumentError:  # infinite somewhere
            assume(False)
    steps = steps_of(schedule)
    if (runtime.name, lowering) != ("eager", "graph"):
        steps = steps[:: max(1, len(steps) // 12)]
    if lowering in ("pairs", "segments"):
        dtype = torch.float32
    if lowering == "pairs":
        steps = keep_digits(schedule, steps)
    assume(steps)
    values = BY[lowering](runtime, schedule, dtype)(steps)
    assert values.shape == (len(steps),)
    assert values.dtype == dtype
    for step, got in zip(steps, values.tolist(), strict=True):
        want = reference.value(schedule, step)
        if lowering == "segments" and 0 < abs(want) < 2**-102:
            # Below 2**-120 an ulp is that of 2**-120. A device may flush each of ten terms to 0.
            assert abs(got - want) <= 10 * 2**-126, (step, got, want)
            continue
        if runtime.name == "xla" and dtype == torch.float32 and abs(want) < 2**-126:
            # XLA flushes subnormal numbers to 0.
            assert abs(got) <= 2**-126, (step, got, want)
            continue
        assert float32_ulps(got, want) <= 1, (step, got, want)
        if dtype == torch.float64:
            assert agrees(got, want, leaves_of(schedule)), (step, got, want)


def examples(runtime, lowering):
    eager = runtime.name == "eager"
    return EXAMPLES[(lowering if lowering != "graph" else "eager") if eager else runtime.name]


@ROADS
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_equals_its_reference(runtime, lowering, cls):
    # A composed schedule has many operations and no arithmetic of its own.
    fewer = 3 if issubclass(cls, Composed) else 1

    @settings(max_examples=examples(runtime, lowering) // fewer, **QUIET)
    @given(schedule=one(cls), dtype=st.sampled_from([torch.float64, torch.float32]))
    def holds(schedule, dtype):
        check(runtime, lowering, schedule, dtype)

    holds()


@ROADS
def test_a_composition_equals_its_reference(runtime, lowering):
    @settings(max_examples=3 * examples(runtime, lowering), **QUIET)
    @given(schedule=compositions(depth=4), dtype=st.sampled_from([torch.float64, torch.float32]))
    def holds(schedule, dtype):
        check(runtime, lowering, schedule, dtype)

    holds()


@ROADS
def test_an_end_that_was_planned_anew_equals_its_reference(runtime, lowering):
    # The inner schedules have their own tests. Few structures need few compiles of machine code.
    beside = st.one_of(one(CosineDecay), one(Step))
    drawn = st.one_of(planned(beside), stretched(one(CosineDecay)))

    @settings(max_examples=2 + examples(runtime, lowering) // 3, **QUIET)
    @given(schedule=drawn, dtype=st.sampled_from([torch.float64, torch.float32]))
    def holds(schedule, dtype):
        check(runtime, lowering, schedule, dtype)

    holds()


def test_the_comparison_can_fail():
    want = reference.value(CosineDecay(0.1, 0.0, 1000), 500)
    assert agrees(want * (1 + RELATIVE / 2), want)
    assert not agrees(want * (1 + 4 * RELATIVE), want)
    assert float32_ulps(want * (1 + 4 * 2.0**-24), want) > 1
