"""If Python makes every step, the host computes step and values without a device read."""

import math

import numpy as np
import pytest
import torch
from binding import optimizer
from ulps import float32_ulps

from accelsched import Scheduler, SchedulerList, on_device, reference
from accelsched._runtimes import Counters, runtime_of
from accelsched.policy import Multiply
from accelsched.schedules import CosineDecay, Lambda, Linear, Step

LAZY = pytest.mark.parametrize("runtime", ["xla", "lazy"], indirect=True)
XLA = pytest.mark.parametrize("runtime", ["xla"], indirect=True)
SCHEDULE = CosineDecay(0.1, 0.001, 40)


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()


class Training:
    """A training step on a device with a lazy back end, and what is done in it beside."""

    def __init__(self, runtime, schedule=SCHEDULE, groups=1, **options):
        self.runtime = runtime
        device = runtime.device()
        self.weights = [torch.nn.Parameter(torch.ones(2).to(device)) for _ in range(groups)]
        named = [{"params": [weight]} for weight in self.weights]
        self.optimizer = torch.optim.SGD(named, lr=torch.tensor(0.5))
        self.scheduler = Scheduler(self.optimizer, schedule, **options)

    def step(self, **given):
        self.optimizer.zero_grad()
        sum(weight.square().sum() for weight in self.weights).backward()
        self.optimizer.step()
        self.scheduler.step(**given)

    def train(self, steps, beside=lambda: None):
        """Step, and return what the back end did for it."""
        self.runtime.wait()
        before = self.runtime.counters()
        for _ in range(steps):
            self.step()
            self.runtime.finish_step()
            beside()
        self.runtime.wait()
        return self.runtime.counters() - before

    def held(self, key="lr"):
        return [group[key].item() for group in self.optimizer.param_groups]


def assert_told(training, step, schedules):
    """Floats, within an ulp of what the groups hold, and of the reference."""
    rates = training.scheduler.get_last_lr()
    assert all(type(rate) is float for rate in rates)
    assert rates == training.scheduler._last_lr == training.scheduler.get_last_value()
    assert training.scheduler.last_epoch == step
    for rate, held, schedule in zip(rates, training.held(), schedules, strict=True):
        assert rate == np.float32(rate)
        assert float32_ulps(rate, held) <= 1
        assert float32_ulps(rate, reference.value(schedule, step)) <= 1


# What trainers do.


def learning_rate_of_transformers(scheduler):
    """Trainer._get_learning_rate of transformers, which it calls to log."""
    last_lr = scheduler.get_last_lr()[0]
    if torch.is_tensor(last_lr):
        last_lr = last_lr.item()
    return last_lr


def log_of_lightning(scheduler):
    """As torch users and LearningRateMonitor log."""
    return [float(rate) for rate in scheduler.get_last_lr()]


@LAZY
@pytest.mark.parametrize("log", [learning_rate_of_transformers, log_of_lightning])
@pytest.mark.parametrize("lowering", [None, "graph", "segments", "table"])
def test_a_rate_that_is_logged_at_each_step_costs_nothing(runtime, log, lowering):
    training = Training(runtime, lowering=lowering)
    training.train(3)
    logged = []
    cost = training.train(10, lambda: logged.append(log(training.scheduler)))
    assert cost == Counters(executions=10)
    rates = np.array(logged).reshape(-1)
    for step, rate in enumerate(rates, start=4):
        assert float32_ulps(rate, reference.value(SCHEDULE, step)) <= 1


@LAZY
def test_before_it_a_read_cost_an_execution(runtime):
    """Reading the tensor itself shows up in the counters."""
    training = Training(runtime)
    training.train(3)
    group = training.optimizer.param_groups[0]
    cost = training.train(10, lambda: (group["lr"] + 0).item())
    assert (cost.executions, cost.from_device) == (20, 10)


@LAZY
def test_a_state_is_saved_without_a_read(runtime):
    training = Training(runtime)
    training.train(3)
    states = []
    cost = training.train(4, lambda: states.append(training.scheduler.state_dict()))
    assert cost == Counters(executions=4)
    for step, state in enumerate(states, start=4):
        assert (state["last_epoch"], state["_step_count"]) == (step, step + 1)
        assert state["_last_lr"] == [pytest.approx(reference.value(SCHEDULE, step), rel=2**-22)]
    training.scheduler.load_state_dict(states[0])
    assert_told(training, 4, [SCHEDULE])


# Reported values.


@LAZY
def test_groups_with_schedules_of_their_own(runtime):
    schedules = [Linear(0.0, 0.1, 7), CosineDecay(0.3, 0.0, 5), Step(0.2, 3, 0.5)]
    training = Training(runtime, schedules, groups=3)
    assert_told(training, 0, schedules)
    for step in range(1, 5):
        training.train(1)
        assert_told(training, step, schedules)
    training.scheduler.step(by=5)
    assert_told(training, 9, schedules)
    training.scheduler.step(found_inf=True)
    assert_told(training, 9, schedules)
    training.scheduler.step(3)
    assert_told(training, 3, schedules)
    training.scheduler.last_epoch = 6
    assert_told(training, 6, schedules)


@XLA
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_it_is_rounded_as_the_tensor_is(runtime, dtype):
    parameter = torch.nn.Parameter(torch.ones(2, device=runtime.device()))
    opt = torch.optim.SGD([parameter], lr=torch.tensor(0.5, dtype=dtype))
    scheduler = Scheduler(opt, Linear(0.1, 0.0, 7))
    for _ in range(9):
        (rate,) = scheduler.get_last_lr()
        assert rate == opt.param_groups[0]["lr"].item()
        scheduler.step()


@XLA
@pytest.mark.filterwarnings("ignore:.*Adam")
def test_a_rate_of_0_is_told_as_it_is_held(runtime):
    parameter = torch.nn.Parameter(torch.ones(2, device=runtime.device()))
    opt = torch.optim.AdamW([parameter], lr=torch.tensor(0.5), capturable=True)
    scheduler = Scheduler(opt, Linear(0.0, 0.1, 7))
    assert scheduler.get_last_lr() == [2.0**-114] == [opt.param_groups[0]["lr"].item()]


@LAZY
def test_a_scheduler_of_another_key_tells_the_rate_too(runtime):
    training = Training(runtime)
    with on_device():
        beside = Scheduler(training.optimizer, Linear(0.5, 0.0, 10), "weight_decay")
    both = SchedulerList([beside, training.scheduler])
    both.step()
    assert beside.get_last_lr() == both.get_last_lr() == training.scheduler.get_last_lr()
    assert beside.get_last_value() == [pytest.approx(0.45, rel=2**-23)]
    assert_told(training, 1, [SCHEDULE])


# Values that the host cannot compute.


def assert_copied(training):
    rates = training.scheduler.get_last_lr()
    assert all(isinstance(rate, torch.Tensor) for rate in rates)
    held = [group["lr"] for group in training.optimizer.param_groups]
    assert [rate.item() for rate in rates] == [value.item() for value in held]
    assert all(rate is not value for rate, value in zip(rates, held, strict=True))


@LAZY
@pytest.mark.parametrize("name", ["by", "found_inf"])
def test_after_a_step_by_a_tensor_the_device_is_read_once(runtime, name):
    training = Training(runtime)
    tensor = torch.tensor(1).to(runtime.device()).clone()
    runtime.finish_step()
    training.step(**{name: tensor})
    assert_copied(training)
    runtime.finish_step()
    runtime.wait()
    before = runtime.counters()
    step = training.scheduler.last_epoch
    assert step == (1 if name == "by" else 0)
    assert (runtime.counters() - before).from_device == 1
    assert training.scheduler.last_epoch == step
    assert (runtime.counters() - before).from_device == 1
    training.scheduler.step()
    assert_told(training, step + 1, [SCHEDULE])


@LAZY
@pytest.mark.parametrize(
    "change",
    [lambda t: t.mul_(0.5), lambda t: t.fill_(0.25), lambda t: torch.add(t, 1, out=t)],
)
def test_a_tensor_that_something_else_changed_is_copied(runtime, change):
    training = Training(runtime)
    training.train(2)
    with torch.no_grad():
        change(training.optimizer.param_groups[0]["lr"])
    assert_copied(training)
    training.train(1)
    assert_told(training, 3, [SCHEDULE])


@LAZY
def test_what_was_put_in_a_group_is_told(runtime):
    training = Training(runtime)
    training.train(2)
    training.optimizer.param_groups[0]["lr"] = 0.7
    assert training.scheduler.get_last_lr() == [0.7]
    training.optimizer.param_groups[0]["lr"] = torch.tensor(0.25)
    assert training.scheduler.get_last_lr() == [torch.tensor(0.25)]
    with pytest.warns(UserWarning, match="is scheduled"):
        training.scheduler.step()
    assert_told(training, 3, [SCHEDULE])


@LAZY
def test_another_schedule_counts_from_the_next_step(runtime):
    """Until then the tensor has the value of the one before."""
    training = Training(runtime)
    training.train(2)
    other = Linear(0.9, 0.5, 10)
    training.scheduler.schedule = other
    assert_copied(training)
    assert float32_ulps(training.held()[0], reference.value(SCHEDULE, 2)) <= 1
    training.train(1)
    assert_told(training, 3, [other])


@LAZY
def test_values_that_depend_on_those_before_are_copied(runtime):
    parameter = torch.nn.Parameter(torch.ones(2).to(runtime.device()))
    policy = Multiply({2: 0.5})(torch.optim.SGD([parameter], lr=torch.tensor(0.5)))
    policy.step()
    policy.step()
    before = runtime.counters()
    assert policy.last_epoch == 2
    assert runtime.counters().from_device == before.from_device
    (rate,) = policy.get_last_lr()
    assert isinstance(rate, torch.Tensor)
    assert rate.item() == 0.25


FACTOR = 1.0


@LAZY
def test_a_function_that_reads_a_variable_is_not_asked_again(runtime, monkeypatch):
    """The device keeps the old value."""
    training = Training(runtime, Lambda(0.1, (lambda step: 1.0 * FACTOR + 0 * step,)))
    training.train(1)
    monkeypatch.setitem(globals(), "FACTOR", 7.0)
    (rate,) = training.scheduler.get_last_lr()
    assert float(rate) == training.held()[0] == pytest.approx(0.1, rel=2**-23)


def test_on_the_cpu_a_tensor_is_a_tensor():
    """Nothing waits there."""
    scheduler = Scheduler(optimizer(kind="graph"), SCHEDULE)
    scheduler.step()
    (rate,) = scheduler.get_last_lr()
    assert isinstance(rate, torch.Tensor)


# Compiled steps.


@pytest.mark.parametrize("runtime", ["compile"], indirect=True)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_step_makes_the_count_unknown_and_compiles_once(runtime, backend):
    scheduler = Scheduler(optimizer(kind="graph"), SCHEDULE)
    scheduler.step()  # the first one looks where the parameters are
    step = torch.compile(scheduler.step, backend=backend, fullgraph=True)
    step()
    assert scheduler.last_epoch == 2
    before, count = runtime.counters(), 2
    for kind in ("compiled", "read", "eager", "compiled", "compiled", "read", "compiled", "moved",
                 "compiled", "eager", "read", "eager", "eager", "compiled"):  # fmt: skip
        if kind == "compiled":
            step()
        elif kind == "eager":
            scheduler.step()
        elif kind == "moved":
            scheduler.last_epoch = count = 20
        else:
            assert scheduler.last_epoch == count
        count += kind in ("compiled", "eager")
        assert (scheduler.driver._known is None) or scheduler.driver._known == count
    assert scheduler.last_epoch == count
    assert runtime.counters() == before


@XLA
def test_a_step_that_openxla_compiled_is_not_taken_for_one_of_python(runtime):
    training = Training(runtime)
    training.train(1)
    step = torch.compile(training.scheduler.step, backend="openxla")
    for count in (2, 3):
        step()
        (rate,) = training.scheduler.get_last_lr()
        want = reference.value(SCHEDULE, count)
        assert float32_ulps(float(rate), want) <= 1
        assert training.scheduler.last_epoch == count
    training.scheduler.step()
    assert_told(training, 4, [SCHEDULE])


def test_a_step_that_was_captured_may_be_replayed_at_any_time(monkeypatch):
    """As on CUDA; tests/runtimes/test_cuda.py has a graph of it."""
    opt = optimizer(kind="graph")
    scheduler = Scheduler(opt, SCHEDULE)
    driver = scheduler.driver
    for name in ("is_initialized", "is_current_stream_capturing"):
        monkeypatch.setattr(torch.cuda, name, lambda: True)
    monkeypatch.setattr(driver, "_runtime", runtime_of(torch.device("cuda")))
    driver._count_on(1)
    monkeypatch.undo()
    for count in (5, 6):
        driver._counter.fill_(count)  # a replay
        assert scheduler.last_epoch == count
    scheduler.last_epoch = 9
    driver._counter.fill_(10)
    assert scheduler.last_epoch == 10
    assert driver.known_values(lambda step: [math.nan]) == {}
