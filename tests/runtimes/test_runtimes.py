"""Real training on each back end: its own counters, the learning rates, the weights."""

import copy
import functools
import io
import pickle
import warnings

import pytest
import torch
from binding import EVERY
from training import Run, eager_result, rounding

import accelsched
from accelsched import Scheduler, SynchronizationWarning, reference
from accelsched._runtimes import NAMED, Counters
from accelsched.lr_scheduler import CosineDecayLR, LambdaLR, LinearLR, SequentialLR
from accelsched.schedules import CosineAnnealing, CosineDecay, Lambda, Linear, Step, Tabulated

STEPS, WARM_UP = 200, 5
SCHEDULERS = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
# One param group per scheduler class, tagged with the name of the class.
ALL_GROUPS = [{"tags": name, "adjust_learning_rate": 0.5} for name in EVERY]


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    """Reset Dynamo: it gives up on a function after eight compiles, across all tests."""
    torch._dynamo.reset()


def on(*names):
    return pytest.mark.parametrize("runtime", names, indirect=True)


LAZY = on("xla", "lazy")
EVERYWHERE = on("eager", "compile", "xla", "lazy")


def curve(schedule):
    return functools.cache(lambda step: reference.value(schedule, step))


def expected(runtime, steps):
    """Return the cost of a warm run with a constant learning rate."""
    return Counters(executions=steps if "executions" in runtime.counts else 0)


def bound_again(make, lowering):
    """Bind the schedules again with a lowering; for a table, cut endless ones at step 300."""

    def bound(optimizer):
        schedules = make(copy.deepcopy(optimizer)).schedules
        if lowering == "table":
            schedules = [s if s.settles is not None else Tabulated(s, 300) for s in schedules]
        return Scheduler(optimizer, schedules, lowering=lowering)

    return bound


LOWERINGS = pytest.mark.parametrize("lowering", [None, "graph", "table"])


@EVERYWHERE
@LOWERINGS
@SCHEDULERS
def test_sgd_costs_what_a_constant_learning_rate_costs(runtime, make, lowering):
    make = bound_again(make, lowering) if lowering else make
    constant = Run(runtime, "SGD", None)
    constant.train(WARM_UP)
    scheduled = Run(runtime, "SGD", make)
    scheduled.train(WARM_UP)
    cost = scheduled.train(STEPS)
    assert cost == constant.train(STEPS) == expected(runtime, STEPS)
    (scheduler,) = scheduled.schedulers
    (schedule,) = scheduler.schedules
    steps = WARM_UP + STEPS
    assert scheduler.last_epoch == steps
    assert scheduled.rates() == pytest.approx([reference.value(schedule, steps)], rel=1e-12)
    want = eager_result("SGD", [curve(schedule)], steps, [{}])
    assert (scheduled.result() - want).abs().max() <= rounding(want, steps)


def one_each(optimizer):
    """Build a scheduler of every class, each for the group of its name."""
    tagged = []
    for name, make in EVERY.items():
        other = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        schedule = make(other).schedules[0]
        tagged.append(Scheduler(optimizer, schedule, param_group_tags=name))
    return tagged


@EVERYWHERE
def test_adamw_costs_what_a_constant_learning_rate_costs(runtime):
    # PyTorch's own AdamW has no capturable=True on "lazy" and synchronizes there.
    kind = "TensorAdamW" if runtime.name == "lazy" else "AdamW"
    constant = Run(runtime, kind, None, ALL_GROUPS)
    constant.train(WARM_UP)
    scheduled = Run(runtime, kind, one_each, ALL_GROUPS)
    scheduled.train(WARM_UP)
    cost = scheduled.train(STEPS)
    assert cost == constant.train(STEPS) == expected(runtime, STEPS)
    steps = WARM_UP + STEPS
    schedules = [scheduler.schedules[0] for scheduler in scheduled.schedulers]
    # A rate of 0 is written as 2**-114: see tests/optimizers/test_least_rates.py.
    assert scheduled.rates() == pytest.approx(
        [reference.value(schedule, steps) for schedule in schedules], rel=1e-12, abs=2.0**-110
    )
    curves = [curve(schedule) for schedule in schedules]
    want = eager_result(kind, curves, steps, ALL_GROUPS)
    unit = 2.0**-53 * 64 if kind == "TensorAdamW" else 2.0**-24
    rounded = eager_result(kind, [rounded_up(c, unit) for c in curves], steps, ALL_GROUPS)
    drift, allowed = (scheduled.result() - want).abs(), (rounded - want).abs()
    assert (drift.amax(1) <= allowed.amax(1) + rounding(want, steps)).all()


def rounded_up(curve, unit):
    """Return a curve that acts like AdamW with all bias corrections rounded in one direction.

    Where PyTorch traces, AdamW computes 1 - beta ** t in float32. Its error is half a unit for
    beta, times t, plus two units for the power and the difference, all relative to the
    difference. The update has this relative error for the first moment and half of it for the
    second. Roundings in one direction move the weights further than real ones.
    """

    def value(step):
        t = step + 1
        first, second = ((2 + t * b**t / 2) * unit / (1 - b**t) for b in (0.9, 0.999))
        return curve(step) * (1 + first + second / 2)

    return value


@EVERYWHERE
def test_the_default_lowering(runtime):
    """Segments if every step is traced and few segments suffice; otherwise a formula."""
    optimizer = torch.optim.SGD(
        [torch.zeros(1, device=runtime.device())], lr=torch.tensor(0.1)
    )  # fmt: skip
    settled = Scheduler(optimizer, CosineDecay(0.1, 0.0, 100)).driver.lowering
    endless = Scheduler(optimizer, CosineAnnealing(0.1, 100)).driver.lowering
    long = Scheduler(optimizer, CosineDecay(0.1, 0.0, 2**22)).driver.lowering
    stairs = Scheduler(optimizer, Step(0.1, 10, 0.999)).driver.lowering
    expected = "segments" if runtime.traces_every_step else "graph"
    assert settled == endless == long == expected
    assert stairs == "graph"


@LAZY
def test_a_table_is_as_many_operations_for_any_schedule(runtime):
    def nodes(schedule, lowering):
        optimizer = torch.optim.SGD([torch.zeros(1, device=runtime.device())], lr=0.1)
        scheduler = Scheduler(optimizer, schedule, lowering=lowering)
        runtime.finish_step()
        runtime.wait()
        scheduler.step()
        numbers = len(runtime.graph_of(scheduler.driver._next).tensors())
        rate = optimizer.param_groups[0]["lr"]
        return runtime.nodes([rate, scheduler.driver._counter]), numbers

    simple = CosineDecay(0.1, 0.0, 1000)
    nested = Linear(0.0, 0.1, 9).then(simple, at=9).then(Linear(0.1, 0.0, 7) * simple, at=99)
    assert nodes(simple, "table")[0] == nodes(nested, "table")[0] <= nodes(simple, "graph")[0]
    (few, few_numbers), (many, many_numbers) = nodes(simple, "graph"), nodes(nested, "graph")
    if runtime.name == "xla":  # nodes: one operation, its numbers and part of the formula
        assert many - many_numbers < 2 * (few - few_numbers)
    else:
        assert many > 2 * few


def nodes_of_groups(runtime, count):
    """Return the number of operations of a step for groups with different schedules."""
    groups = [{"params": [torch.zeros(1, device=runtime.device())]} for _ in range(count)]
    schedules = [CosineAnnealing(0.1 / (i + 1), 30 + i) for i in range(count)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = Scheduler(optimizer, schedules, lowering="graph")
    runtime.finish_step()
    scheduler.step()
    return runtime.nodes([*(g["lr"] for g in optimizer.param_groups), scheduler.driver._counter])


@on("xla")
def test_a_step_is_one_operation_of_torch_xla_for_any_number_of_groups(runtime):
    # Reading an output of the operation adds no node; numbers that differ are inputs.
    few, many, one = (nodes_of_groups(runtime, count) for count in (2, 40, 1))
    assert few == many < 3 * one


@on("lazy")
def test_a_group_more_is_one_operation_more_of_pytorchs_lazy_back_end(runtime):
    """The operation selects the group's value from a vector; the write adds none."""
    assert nodes_of_groups(runtime, 40) - nodes_of_groups(runtime, 2) == 38


@LAZY
@pytest.mark.parametrize("ends", [(0.0, 0.0), (0.0, 0.01)], ids=["one curve", "two curves"])
def test_a_rate_that_is_changed_in_place_changes_no_other(runtime, ends):
    """The change lasts until the next step, which writes every rate."""
    groups = [{"params": [torch.zeros(1, device=runtime.device())]} for _ in ends]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = Scheduler(optimizer, [Linear(0.1, end, 10) for end in ends])
    first, second = (group["lr"] for group in optimizer.param_groups)
    for step in (1, 2):
        scheduler.step()
        want = reference.value(scheduler.schedules[1], step)
        with torch.no_grad():
            first.mul_(3.0)
        assert second.item() == pytest.approx(want, rel=2**-23)
        assert first.item() == pytest.approx(0.3 - 0.03 * step, rel=2**-22)


@on("xla")
def test_what_the_device_hands_to_the_host_is_no_constant(runtime):
    """torch_xla has no bessel_j0, so PyTorch computes it on the host at every step."""
    schedule = Lambda(1.0, (lambda step: torch.special.bessel_j0(step / 10).abs(),))
    optimizer = torch.optim.SGD([torch.zeros(1, device=runtime.device())], lr=0.1)
    scheduler = Scheduler(optimizer, schedule)
    before = runtime.counters().fallbacks
    for step in range(1, 6):
        scheduler.step()
        want = torch.special.bessel_j0(torch.tensor(step / 10, dtype=torch.float64)).item()
        assert float(scheduler.get_last_lr()[0]) == pytest.approx(want, rel=2**-23)
    assert runtime.counters().fallbacks > before


@LAZY
def test_ten_steps_in_one_graph(runtime):
    run = Run(runtime, "SGD", EVERY["SequentialLR"])
    run.train(20, steps_in_a_graph=10)
    assert run.train(STEPS, steps_in_a_graph=10) == Counters(executions=STEPS // 10)
    (scheduler,) = run.schedulers
    assert scheduler.last_epoch == STEPS + 20
    want = eager_result("SGD", [curve(scheduler.schedules[0])], STEPS + 20, [{}])
    assert (run.result() - want).abs().max() <= rounding(want, STEPS + 20)


@EVERYWHERE
@LOWERINGS
@SCHEDULERS
def test_every_learning_rate_along_the_way(runtime, make, lowering):
    """Each rate is the float64 value, rounded once to float32."""
    device = runtime.device()
    lr = torch.tensor(0.01) if device.type == "cpu" else 0.01
    groups = [
        {"params": [torch.zeros(2, device=device)], "adjust_learning_rate": f} for f in (1, 0.3)
    ]
    optimizer = torch.optim.SGD(groups, lr=lr)
    scheduler = (bound_again(make, lowering) if lowering else make)(optimizer)
    assert lowering is None or scheduler.driver.lowering == lowering
    step = scheduler.step
    if runtime.name == "compile":
        step = torch.compile(step, fullgraph=True, backend="aot_eager")
    for count in range(STEPS):
        for group, schedule in zip(optimizer.param_groups, scheduler.schedules, strict=True):
            assert group["lr"].dtype == torch.float32
            want = reference.value(schedule, count)
            # Half an ulp for the rounding; a whole ulp where the two round apart.
            assert group["lr"].item() == pytest.approx(want, rel=2**-23, abs=1e-12), count
        step()
        runtime.finish_step()


@SCHEDULERS
def test_a_step_is_one_graph_that_is_never_compiled_again(make):
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    optimizer = torch.optim.SGD([torch.zeros(2)], lr=torch.tensor(0.01))
    scheduler = make(optimizer)
    before = counters["stats"]["unique_graphs"]
    step = torch.compile(scheduler.step, fullgraph=True, backend="aot_eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(50):
            step()
    assert counters["stats"]["unique_graphs"] == before + 1
    assert scheduler.last_epoch == 50


@on("compile")
def test_the_default_compiler_computes_the_same(runtime):
    run = Run(runtime, "SGD", EVERY["SequentialLR"], backend="inductor")
    run.train(WARM_UP)
    assert run.train(STEPS) == Counters()
    (schedule,) = run.schedulers[0].schedules
    want = eager_result("SGD", [curve(schedule)], WARM_UP + STEPS, [{}])
    assert (run.result() - want).abs().max() <= rounding(want, WARM_UP + STEPS)


# The comparison itself.


def test_a_learning_rate_that_is_off_is_seen_in_the_weights():
    run = Run(NAMED["eager"], "SGD", lambda o: LinearLR(o, 0.0, 0.05, 100))
    run.train(STEPS)
    wrong = Linear(0.0, 0.05 * (1 + 2.0**-24), 100)  # one rounding to float32
    want = eager_result("SGD", [curve(wrong)], STEPS, [{}])
    assert (run.result() - want).abs().max() > 4 * rounding(want, STEPS)


@LAZY
def test_a_learning_rate_from_the_host_is_seen_in_the_counters(runtime):
    """The counters that the tests above compare detect torch's scheduler on a float."""
    run = Run(runtime, "SGD", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100))
    run.train(WARM_UP)
    assert run.train(50) != expected(runtime, 50)


# State on a device.


@LAZY
def test_a_state_goes_from_device_to_device(runtime):
    device = runtime.device()

    def make(where, lr):
        optimizer = torch.optim.SGD([torch.zeros(1, device=where)], lr=lr)
        return optimizer, EVERY["SequentialLR nested"](optimizer)

    _, saved = make("cpu", torch.tensor(0.1))
    saved.last_epoch = 37
    optimizer, loaded = make(device, 0.1)
    cell = optimizer.param_groups[0]["lr"]
    loaded.load_state_dict(saved.state_dict())
    assert loaded.state_dict() == saved.state_dict()
    for _ in range(70):
        assert optimizer.param_groups[0]["lr"] is cell
        want = saved.optimizer.param_groups[0]["lr"].item()
        assert cell.item() == pytest.approx(want, rel=2**-23)
        loaded.step()
        saved.step()


@LAZY
def test_loading_costs_no_compile_once_warm(runtime):
    run = Run(runtime, "SGD", EVERY["CosineDecayLR"])
    run.train(WARM_UP)
    (scheduler,) = run.schedulers
    scheduler.load_state_dict(scheduler.state_dict())
    run.train(WARM_UP)
    assert run.train(20) == Counters(executions=20)


@LAZY
def test_a_copy_on_a_device_goes_its_own_way(runtime):
    optimizer = torch.optim.SGD([torch.zeros(1, device=runtime.device())], lr=0.1)
    scheduler = LinearLR(optimizer, 0.0, 1.0, 10)
    new_optimizer, copied = copy.deepcopy((optimizer, scheduler))
    copied.step()
    assert new_optimizer.param_groups[0]["lr"].item() == pytest.approx(0.1)
    assert optimizer.param_groups[0]["lr"].item() == 0.0


@on("xla")
def test_a_counter_that_equals_a_constant_of_the_graph_counts_on(runtime):
    """backend="openxla" mistakes fresh 0-dim tensors for equal constants: state must not be one."""
    device = runtime.device()
    optimizer = torch.optim.SGD([torch.zeros(1, device=device)], lr=0.25)
    scheduler = Scheduler(optimizer, Linear(0.0, 0.25, 7).then(Linear(0.25, 0.0, 9), at=7))
    scheduler.last_epoch = 7
    step = torch.compile(scheduler.step, backend="openxla")
    for count in range(7, 16):
        assert scheduler.last_epoch == count
        want = reference.value(scheduler.schedules[0], count)
        assert optimizer.param_groups[0]["lr"].item() == pytest.approx(want, rel=2**-23)
        step()


@on("xla")
def test_what_is_saved_on_a_device_can_be_loaded(runtime):
    """PyTorch itself cannot save a tensor of the lazy back end."""
    optimizer = torch.optim.SGD([torch.zeros(1, device=runtime.device())], lr=0.1)
    scheduler = EVERY["SequentialLR nested"](optimizer)
    scheduler.last_epoch = 50
    copied = pickle.loads(pickle.dumps(scheduler))
    rate, copied_rate = (each.optimizer.param_groups[0]["lr"] for each in (scheduler, copied))
    assert copied_rate.device.type == runtime.device().type
    for _ in range(60):
        assert copied_rate.item() == rate.item()
        assert copied.get_last_lr() == scheduler.get_last_lr()
        copied.step()
        scheduler.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert saved["param_groups"][0]["lr"].item() == rate.item()
    optimizer.load_state_dict(saved)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(scheduler.get_last_lr()[0], rel=2**-23)


@LAZY
def test_a_loaded_optimizer_keeps_the_cells(runtime):
    optimizer = torch.optim.SGD([torch.zeros(1, device=runtime.device())], lr=0.1)
    scheduler = LinearLR(optimizer, 0.0, 1.0, 10)
    cell = optimizer.param_groups[0]["lr"]
    optimizer.load_state_dict(optimizer.state_dict())
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is cell
    assert cell.item() == pytest.approx(0.1)


# Functions of the user's own.


@EVERYWHERE
def test_a_function_that_divides_whole_steps(runtime):
    """torch_xla's own // goes through float32, which cannot represent 2**24 + 1."""
    parameters = [torch.zeros(1, device=runtime.device())]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    whole = Lambda(1.0, (lambda step: (step.to(torch.int64) + 1) // (2**24 + 2) + 1.0,))
    scheduler = Scheduler(optimizer, whole, lowering="graph")
    for step, want in (
        (0, 1.0),
        (2**24, 1.0),
        (2**24 + 1, 2.0),
        (2**25 + 2, 2.0),
        (2**25 + 3, 3.0),
    ):
        scheduler.last_epoch = step
        assert optimizer.param_groups[0]["lr"].item() == want


@LAZY
def test_a_function_that_makes_tensors_sends_them_once(runtime):
    class Given(LambdaLR):
        def set_value_lambda(self):
            return lambda step: torch.pow(torch.tensor(0.95, device=step.device), step)

    run = Run(runtime, "SGD", lambda o: Given(o, 0.05))
    run.train(WARM_UP)
    assert run.train(50) == Counters(executions=50)
    # The function's own constant is a float32 number.
    base = float(torch.tensor(0.95))
    assert run.rates() == pytest.approx([0.05 * base**55], rel=1e-6)


@LAZY
def test_a_function_that_reads_the_step_is_refused_with_the_way_out(runtime):
    optimizer = torch.optim.SGD([torch.zeros(1, device=runtime.device())], lr=0.1)
    with pytest.raises(ValueError, match="Tabulated"):
        Scheduler(optimizer, Lambda(0.1, (lambda step: min(step / 10, 1.0),)))
    assert optimizer.param_groups[0]["lr"] == 0.1
    table = Tabulated(lambda step: 0.1 * min(step / 10, 1.0), 20)
    Scheduler(optimizer, table).step()
    assert optimizer.param_groups[0]["lr"].item() == pytest.approx(0.01)


# Optimizers that read the value.


def with_options(name, device, options):
    shape = (4, 4) if name == "Muon" else (4,)
    parameters = [torch.nn.Parameter(torch.ones(shape, device=device)) for _ in range(2)]
    return getattr(torch.optim, name)(parameters, lr=0.01, **options)


@pytest.mark.parametrize(
    ("runtime", "name", "options"),
    [
        ("lazy", "SGD", {}),
        ("xla", "SGD", {}),
        ("xla", "AdamW", {"capturable": True}),
    ],
    indirect=["runtime"],
)
def test_an_optimizer_that_must_not_use_foreach_is_told_so(runtime, name, options):
    optimizer = with_options(name, runtime.device(), {"foreach": True, **options})
    with pytest.warns(SynchronizationWarning, match="without foreach=True") as caught:
        CosineDecayLR(optimizer, 0.01, 0.0, 100)
    assert caught[0].filename == __file__


@on("lazy")
def test_capturable_is_not_recommended_where_pytorch_refuses_it(runtime):
    optimizer = with_options("AdamW", runtime.device(), {})
    with pytest.warns(SynchronizationWarning, match="step it within accelsched.on_device"):
        CosineDecayLR(optimizer, 0.01, 0.0, 100)
    with warnings.catch_warnings(), accelsched.on_device():
        warnings.simplefilter("error")
        CosineDecayLR(optimizer, 0.01, 0.0, 100)


@LAZY
def test_another_key_is_said_to_be_read(runtime):
    optimizer = with_options("SGD", runtime.device(), {})
    with pytest.warns(SynchronizationWarning, match="'weight_decay' .*accelsched.on_device"):
        Scheduler(optimizer, CosineDecay(0.1, 0.0, 100), key="weight_decay")


def test_the_cpu_is_told_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = torch.optim.AdamW([torch.zeros(1)], lr=torch.tensor(0.1))
        SequentialLR(optimizer, [LinearLR(optimizer, 0.0, 1.0, 5)], []).step()
