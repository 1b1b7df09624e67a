"""Lower a step of every class with the real front end of cerebras_pytorch, and evaluate it.

A step that lowers can be wrong: a counter that the backend does not carry, a learning rate from the
host and a scheduler of torch all lower to a constant. So the tests read and run the lowered text.
"""

import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

pytest.importorskip(
    "cerebras.pytorch", reason="cerebras-pytorch is installed by `make test-cerebras` only"
)

import wafer
import wafer_cases as cases
from binding import EVERY, optimizer
from cirh import Step
from float32 import tolerance
from own_schedulers import EXPECTED
from ulps import float32_ulps

from accelsched import ArgumentError, from_spec, reference
from accelsched.schedules import CosineDecay, Linear, Multiplicative
from accelsched.schedules._planned import END, SHAPES, Planned

COUNTER = "state.schedulers.0.accelsched.0.0"
WEIGHTS = "state.model.w.{}"
STEPS = (*range(205), 10**4, 10**6)


@pytest.fixture(scope="module")
def front_end():
    """Return a function that runs one of wafer_cases in a process with the wafer-scale backend."""
    pool = ProcessPoolExecutor(1, get_context("spawn"), wafer.start)
    with pool:
        yield lambda case, *arguments: pool.submit(case, *arguments).result()


def inputs(lowered, run=0, **changed):
    """Return the inputs of a step: weights of 0, data of 1, and the initial state of the run."""
    weights = {WEIGHTS.format(i): np.zeros(2, np.float32) for i in range(3)}
    ones = {"input_0": np.ones((4, 2), np.float32)}
    return {**weights, **ones, **lowered.initial[run], **changed}


def rate(outputs, group=0):
    """Return the learning rate that a step of SGD used: the gradient of each weight is 1."""
    first, second = outputs[WEIGHTS.format(group)]
    assert first == second
    return -float(first)


def compare(lowered, schedule, group=0):
    """Check the step at many counters: within 1 ulp, as on a device with float64."""
    step = Step(lowered.cirh[0])
    for t in STEPS:
        outputs = step.run(inputs(lowered, **{COUNTER: np.int64(t)}))
        want = reference.value(schedule, t)
        got = rate(outputs, group)
        # Below 2**-120 the ulp of 2**-120 applies: see _lowering/fitting.py.
        near = abs(want) < 2.0**-120 and abs(got - want) <= 2.0**-143
        assert near or float32_ulps(got, want) <= 1, (t, got, want)
        assert outputs[COUNTER] == t + 1
    return step


# These never end, and their parts keep changing: they lower as double-float formulas.
MANY_PARTS = {
    "PolynomialLR cycle", "InverseExponentialTimeDecayLR stairs", "CosineAnnealingWarmRestarts mult"
}  # fmt: skip


def schedule_of(name):
    return EVERY[name](optimizer()).schedules[0]


@pytest.mark.parametrize("lowering", [None, "graph"])
@pytest.mark.parametrize("name", EVERY)
def test_every_class(front_end, name, lowering):
    lowered = front_end(cases.of_class, name, lowering)
    step = compare(lowered, schedule_of(name))
    # The counter is carried state: an input and an output of the step. It starts at the count.
    assert COUNTER in step.carried
    assert [float(initial[COUNTER]) for initial in lowered.initial] == [1, 1000]
    # The weight update depends on the counter, unless the schedule is a constant.
    assert (COUNTER in step.depends(WEIGHTS.format(0))) is not (name == "ConstantLR")
    # Steps 1 and 1000 have the same text, and the backend finds the second in its cache.
    assert lowered.cirh[0] == lowered.cirh[1]
    assert lowered.compiles == 1
    assert lowered.lowering == (lowering or ("graph" if name in MANY_PARTS else "segments"))


@pytest.mark.parametrize(
    "name", ["CosineDecayLR", "SequentialLR", "SequentialLR nested", "ExponentialLR"]
)
def test_segments_are_a_few_operations_and_little_state(front_end, name):
    """The bounds hold for any schedule; the host computes the reported values."""
    constant, lowered = (front_end(cases.of_class, name, None) for name in ("ConstantLR", name))
    values, before = (Step(one.cirh[0]).size for one in (lowered, constant))
    assert values - before <= 26
    state = sum(array.nbytes for array in lowered.initial[0].values())
    assert state <= 2**16


@pytest.mark.parametrize("name", ["Trapezoid", "Stairs", "Dimmed"])
def test_classes_that_a_user_wrote(front_end, name):
    lowered = front_end(cases.written, name)
    step = Step(lowered.cirh[0])
    for t in (*range(75), 10**4):
        outputs = step.run(inputs(lowered, **{COUNTER: np.int64(t)}))
        allowed = tolerance(EXPECTED[name], t, 1.0, power=True)
        assert rate(outputs) == pytest.approx(EXPECTED[name](t), abs=allowed)
        assert outputs[COUNTER] == t + 1
    assert COUNTER in step.carried & step.depends(WEIGHTS.format(0))
    assert lowered.compiles == 1


@pytest.mark.parametrize(
    "expression",
    [
        "Linear(0, 0.1, 0).then(OneMinusPower(0.1, 0.01, 700), at=0)",
        "Logarithmic(0, 0.1, 700)",
        "Linear(0, 0.1, 10).then(InverseSquareRootDecay(0.3), at=10, restart=False)",
        "maximum(minimum(Linear(0, 0.1, 100), Step(0.1, 30, 0.9), 0.08) - 0.01, 0.003)",
        "CosineAnnealingWarmRestarts(0.1, 10, 1.5, 0.01).shifted(3)",
        "WarmupStableDecay(0.1, 700, 10, 300, decay_shape='1-sqrt')",
        "WarmupCosine(0.1, 700, 10)",
    ],
)
def test_a_schedule_of_no_class_of_cerebras(front_end, expression):
    lowered = front_end(cases.of_schedule, expression)
    compare(lowered, from_spec(expression))
    assert lowered.compiles == 1


@pytest.mark.parametrize(
    ("plan", "shape"), [("extend", ""), *(("begin_decay", shape) for shape in SHAPES)]
)
def test_an_end_that_is_planned_anew_between_two_runs(front_end, plan, shape):
    lowered = front_end(cases.planned_anew, plan, shape)
    numbers = {"since": 100, "until": 700, "slow": 3, "target": 900}  # 600 steps for 200
    curve = CosineDecay(0.1, 0.001, 300)
    if plan == "begin_decay":
        now = reference.value(curve, 100)
        numbers = {"start": 100, "last": END, "total_iters": 50, "initial": now, "end": 0.002}
        numbers["shape"] = SHAPES.index(shape)
    schedule, step = Planned(curve, **numbers), Step(lowered.cirh[1])
    for t in (*range(95, 160), 400, 699, 700, 10**6):
        outputs = step.run(inputs(lowered, run=1, **{COUNTER: np.int64(t)}))
        assert float32_ulps(rate(outputs), reference.value(schedule, t)) <= 1, t


def test_a_thousand_steps_that_are_all_traced_are_one_graph(front_end):
    """The backend normally traces the first step only; told to trace all, it compiles one graph."""
    assert front_end(cases.traced_often, "CosineDecayLR", 1000).compiles == 1


def test_what_the_step_gives_back_is_the_next_rate(front_end):
    """The step returns the next counter, and the host computes the rate from it."""
    lowered = front_end(cases.of_class, "SequentialLR", None)
    step = Step(lowered.cirh[0])
    for t in (0, 19, 20, 100):
        assert step.run(inputs(lowered, **{COUNTER: np.int64(t)}))["output_steps_0"] == t + 1


OPTIMIZERS = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "Lamb", "Lion", "NAdam",
              "RAdam", "RMSprop", "Rprop", "SGD"]  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(front_end, name):
    lowered = front_end(cases.with_optimizer, name)
    step = Step(lowered.cirh[0])
    assert COUNTER in step.carried
    driven = {state for state in step.carried if COUNTER in step.depends(state)} - {COUNTER}
    # ASGD computes `eta` for its next step; Rprop reads the rate in its first step only.
    expected = {"ASGD": {"state.optimizer.state.0.eta"}, "Rprop": set()}
    assert driven == expected.get(name, {WEIGHTS.format(0)})
    assert lowered.cirh[0] == lowered.cirh[1]
    assert lowered.compiles == 1


def test_dynamic_loss_scaling_does_not_count_a_step_that_it_skips(front_end):
    lowered = front_end(cases.with_loss_scaling)
    step = Step(lowered.cirh[0])
    scaler = {name: np.ones((), np.float32) for name in step.inputs.values()}
    for value, counted in ((1.0, 8), (math.inf, 7)):
        data = np.full((4, 2), value, np.float32)
        given = {**scaler, **inputs(lowered, **{COUNTER: np.int64(7), "input_0": data})}
        assert step.run(given)[COUNTER] == counted


@pytest.mark.parametrize(
    ("given", "counted"),
    [("int", (4, 4)), ("tensor", (8, 800)), ("flag", (1, 0)), ("both", (4, 0))],
)
def test_a_step_by_the_samples_of_a_batch(front_end, given, counted):
    """A batch of ones sums to 8 and one of hundreds to 800; the flag skips sums above 100."""
    lowered = front_end(cases.by_samples, given)
    step = Step(lowered.cirh[0])
    for data, count in zip((1, 100), counted, strict=True):
        batch = np.full((4, 2), data, np.float32)
        for t in (0, 7, 10**6):
            outputs = step.run(inputs(lowered, **{COUNTER: np.int64(t), "input_0": batch}))
            assert outputs[COUNTER] == t + count
    assert COUNTER in step.carried
    assert lowered.cirh[0] == lowered.cirh[1]
    assert lowered.compiles == 1


def test_segments_that_tokens_outrun_are_refused(front_end):
    with pytest.raises(RuntimeError, match="lowering='graph'"):
        front_end(cases.by_samples_for_ever)


@pytest.mark.parametrize(
    ("lowering", "schedules"),
    [
        ("graph", [Multiplicative(0.1, base) for base in (0.99999, 0.9, 0.5)]),
        ("table", [Linear(0.0, end, 50) for end in (0.99999, 0.9, 0.5)]),
    ],
)
def test_groups_that_differ(front_end, lowering, schedules):
    lowered = front_end(cases.per_group, lowering)
    for group, schedule in enumerate(schedules):
        compare(lowered, schedule, group=group)


def test_several_schedulers_share_an_optimizer(front_end):
    lowered = front_end(cases.several)
    step = Step(lowered.cirh[0])
    counters = [f"state.schedulers.0.accelsched.{i}.0" for i in range(3)]
    assert set(counters) <= step.carried
    for group, its in enumerate([{counters[0]}, {counters[1]}, set()]):
        used = step.depends(WEIGHTS.format(group)) & set(counters)
        assert used == its | {counters[2]}


def test_the_comparison_notices_a_constant(front_end):
    """torch's own scheduler lowers to a constant, without an error."""
    step = Step(front_end(cases.of_torch).cirh[0])
    assert not any("scheduler" in name for name in step.inputs.values())
    outputs = step.run({WEIGHTS.format(0): np.zeros(2), "input_0": np.ones((4, 2), np.float32)})
    assert rate(outputs) == 0.5


# State.


def test_a_checkpoint_of_cstorch(front_end):
    lowered, saved = front_end(cases.checkpointed)
    assert saved["last_epoch"] == 7
    assert [float(initial[COUNTER]) for initial in lowered.initial] == [0, 7]
    # The table was rebuilt after a run, when cstorch casts host arithmetic to float32.
    step, schedule = Step(lowered.cirh[1]), schedule_of("PolynomialLR")
    for t in range(61):
        outputs = step.run(inputs(lowered, run=1, **{COUNTER: np.int64(t)}))
        assert float32_ulps(rate(outputs), reference.value(schedule, t)) <= 1
    assert lowered.compiles == 1


@pytest.mark.parametrize("lowering", ["graph", "segments", "table"])
def test_other_numbers_are_the_same_step(front_end, lowering):
    """The constants of a schedule are initial state of a run, as the counter is."""
    expressions = [
        f"Linear(0, {peak}, 10).then(CosineDecay({peak}, 0, {length}), at=10)"
        for peak, length in ((0.1, 70), (0.3, 90))
    ]
    lowered = front_end(cases.renumbered, lowering, *expressions)
    assert lowered.cirh[0] == lowered.cirh[1]
    assert lowered.compiles == 1
    step = Step(lowered.cirh[1])
    for run, expression in enumerate(expressions):
        for t in range(110):
            outputs = step.run(inputs(lowered, run=run, **{COUNTER: np.int64(t)}))
            assert float32_ulps(rate(outputs), reference.value(from_spec(expression), t)) <= 1


def test_without_a_run_values_are_floats(front_end):
    schedule = Linear(0.0, 0.1, 10)
    for t, found in enumerate(front_end(cases.unlowered, "steps")):
        # Rounded to float32, as on the system.
        assert found == (t, *[float(np.float32(reference.value(schedule, t)))] * 3)


@pytest.mark.parametrize("case", [cases.read_while_traced, cases.composed_while_traced])
def test_what_a_traced_step_cannot_do_says_so(front_end, case):
    with pytest.raises(RuntimeError, match="a step is being traced"):
        front_end(case)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("optimizer", "optimizer='SGD'.*cerebras.pytorch.optim"),
        ("metric", "optimizer='SGD': the system .* takes no metric"),
        ("lowering", "lowering='host'"),
        ("function", "Tabulated"),
    ],
)
def test_what_cannot_be_is_refused(front_end, case, message):
    with pytest.raises(ArgumentError, match=message):
        front_end(cases.unlowered, case)
