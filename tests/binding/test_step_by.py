"""Steps by any number (samples, tokens) on each back end, with its own counters."""

import numpy as np
import pytest
import torch
from binding import optimizer
from ulps import float32_ulps

import accelsched
from accelsched import ArgumentError, Scheduler, SchedulerList, reference
from accelsched._runtimes import Counters
from accelsched.lr_scheduler import ConstantLR, LinearLR, SequentialLR
from accelsched.policy import Multiply, Policy, Switch
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineDecay,
    InverseSquareRootDecay,
    Linear,
    WarmupStableDecay,
)

EVERYWHERE = pytest.mark.parametrize("runtime", ["eager", "compile", "xla", "lazy"], indirect=True)
TRACED = pytest.mark.parametrize("runtime", ["compile", "xla", "lazy"], indirect=True)
LAZY = pytest.mark.parametrize("runtime", ["xla", "lazy"], indirect=True)
SCHEDULE = CosineDecay(0.1, 0.001, 1000)


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()


class Stepping:
    """A scheduler on a back end, whose steps are run as the back end runs them.

    Args:
        runtime: the back end.
        schedule: its schedule.
        options: of `Scheduler`.
    """

    def __init__(self, runtime, schedule=SCHEDULE, **options):
        self.runtime = runtime
        self.device = runtime.device()
        parameter = torch.nn.Parameter(torch.ones(2).to(self.device))
        self.optimizer = torch.optim.SGD([parameter], lr=torch.tensor(0.5))
        self.scheduler = Scheduler(self.optimizer, schedule, **options)
        self.run = lambda by: self.scheduler.step(by=by)
        if runtime.name == "compile":
            self.run = torch.compile(self.run, backend="aot_eager")

    def by(self, number):
        self.run(number)
        self.runtime.finish_step()

    def tensor(self, number, dtype=torch.int64, shape=()):
        # The clone is a number that was computed there, and no constant of a graph.
        return torch.full(shape, number, dtype=dtype).to(self.device).clone()

    def counted(self, function, *given):
        self.runtime.wait()
        before = self.runtime.counters()
        for each in given:
            function(each)
        self.runtime.wait()
        return self.runtime.counters() - before

    @property
    def rate(self):
        value = self.optimizer.param_groups[0]["lr"]
        return value if isinstance(value, float) else value.item()


def agrees(stepping, schedule, step):
    assert float32_ulps(stepping.rate, reference.value(schedule, step)) <= 1, step
    assert stepping.scheduler.last_epoch == step


NUMBERS = (3, 1, 0, 200, 7, 0, 64, 500, 1, 400)


@EVERYWHERE
@pytest.mark.parametrize("lowering", [None, "graph", "segments", "table", "host"])
@pytest.mark.parametrize("as_tensor", [False, True], ids=["int", "tensor"])
def test_it_is_at_the_sum_of_the_numbers(runtime, lowering, as_tensor):
    if runtime.name == "compile" and (lowering == "host" or not as_tensor):
        pytest.skip("each number compiles")
    stepping = Stepping(runtime, lowering=lowering)
    step = 0
    for number in NUMBERS:
        stepping.by(stepping.tensor(number) if as_tensor else number)
        step += number
        agrees(stepping, SCHEDULE, step)
    stepping.scheduler.step()
    agrees(stepping, SCHEDULE, step + 1)


@TRACED
def test_other_numbers_in_a_tensor_cost_nothing(runtime):
    stepping = Stepping(runtime)
    first, second, *tensors = [stepping.tensor(number) for number in (5, 5, *NUMBERS)]
    runtime.finish_step()
    stepping.counted(stepping.by, first, second)
    cost = stepping.counted(stepping.by, *tensors)
    assert cost == Counters(executions=len(tensors) if "executions" in runtime.counts else 0)
    agrees(stepping, SCHEDULE, 10 + sum(NUMBERS))


def sent(runtime, steps):
    """The cost of steps that send a number each; "lazy" does not count what it sends."""
    return Counters(executions=steps, to_device=steps if runtime.name == "xla" else 0)


@LAZY
def test_another_int_is_sent_and_compiles_nothing(runtime):
    """0 and 1 too, of which lazy back ends like to make constants."""
    stepping = Stepping(runtime)
    stepping.by(5)
    stepping.by(5)
    cost = stepping.counted(stepping.by, *NUMBERS)
    assert cost == sent(runtime, len(NUMBERS))


@EVERYWHERE
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_any_tensor_of_one_integer(runtime, dtype, shape):
    stepping = Stepping(runtime)
    for number in (100, 0):
        stepping.by(stepping.tensor(number, dtype, shape))
    agrees(stepping, SCHEDULE, 100)
    assert stepping.optimizer.param_groups[0]["lr"].shape == ()


@LAZY
def test_a_tensor_of_the_host_is_sent_and_not_read(runtime):
    stepping = Stepping(runtime)
    tensors = [torch.tensor(number) for number in NUMBERS]
    stepping.by(torch.tensor(5))
    stepping.by(torch.tensor(5))
    cost = stepping.counted(stepping.by, *tensors)
    assert cost == sent(runtime, len(NUMBERS))
    agrees(stepping, SCHEDULE, 10 + sum(NUMBERS))


# Tokens.

TOKENS = 10**13
CURVES = {
    "Linear": Linear(0.1, 0.0, TOKENS),
    "CosineDecay": CosineDecay(0.1, 0.0, TOKENS),
    "WarmupStableDecay": WarmupStableDecay(0.1, TOKENS, 10**11, 2 * 10**12),
    "never ends": CosineAnnealing(0.1, TOKENS, 0.001),
    "no end and no period": InverseSquareRootDecay(0.1, scale=1.0, warmup_steps=10**9),
}


@EVERYWHERE
@pytest.mark.parametrize("lowering", [None, "graph", "segments", "host"])
@pytest.mark.parametrize("name", CURVES)
def test_ten_trillion_tokens(runtime, lowering, name):
    """Batches of some four million tokens, each of another length, in all parts of the run."""
    if runtime.name == "compile" and lowering in ("host", "segments"):
        pytest.skip("as in eager PyTorch")
    stepping = Stepping(runtime, CURVES[name], lowering=lowering)
    lengths = np.random.default_rng(0).integers(4_000_000, 4_400_000, 4).tolist()
    for start in (0, 10**11 - 6 * 10**6, 2**41 - 6 * 10**6, 8 * 10**12, TOKENS - 6 * 10**6):
        stepping.scheduler.step(start)
        step = start
        for length in lengths:
            stepping.by(stepping.tensor(length))
            step += length
            agrees(stepping, CURVES[name], step)


def test_segments_that_end_are_left_before_it_is_compiled():
    """A step by tokens may pass the last segment."""
    schedule = InverseSquareRootDecay(0.1, scale=1.0, warmup_steps=10**9)
    opt = optimizer(kind="graph")
    scheduler = Scheduler(opt, schedule, lowering="segments")
    by = torch.tensor(2**41)
    with pytest.raises(Exception, match="uncompiled|Observed exception"):  # as torch 2.4 says it
        torch.compile(lambda: scheduler.step(by=by), backend="eager", fullgraph=True)()
    assert (scheduler.driver.lowering, scheduler.last_epoch) == ("segments", 0)
    # Where the graph may break, it does so once.
    step = torch.compile(lambda: scheduler.step(by=by), backend="eager")
    for count in (2**41, 2**42):
        step()
        assert (scheduler.driver.lowering, scheduler.last_epoch) == ("graph", count)
        want = reference.value(schedule, count)
        assert float32_ulps(float(opt.param_groups[0]["lr"]), want) <= 1


def test_a_step_by_1_at_most_leaves_no_segments():
    schedule = InverseSquareRootDecay(0.1, scale=1.0, warmup_steps=10**9)
    scheduler = Scheduler(optimizer(kind="graph"), schedule, lowering="segments")
    scheduler.step(found_inf=torch.tensor(0.0))
    assert (scheduler.driver.lowering, scheduler.last_epoch) == ("segments", 1)


# Groups, lists, updates.


@EVERYWHERE
@pytest.mark.parametrize("lowering", [None, "host"])
def test_a_step_by_0_looks_after_the_groups_and_leaves_the_step(runtime, lowering):
    if runtime.name == "compile":
        pytest.skip("nothing is looked after in compiled code")
    stepping = Stepping(runtime, lowering=lowering)
    stepping.by(20)
    held, rate = stepping.optimizer.param_groups[0]["lr"], stepping.rate
    stepping.optimizer.param_groups[0]["lr"] = 0.7
    if lowering == "host":
        stepping.by(0)
    else:
        with pytest.warns(UserWarning, match="is scheduled"):
            stepping.by(0)
        assert stepping.optimizer.param_groups[0]["lr"] is held
    assert stepping.rate == rate
    agrees(stepping, SCHEDULE, 20)


@pytest.mark.parametrize("kind", ["host", "graph"])
def test_a_group_that_was_added_is_driven(kind):
    opt = optimizer(kind=kind)
    scheduler = Scheduler(opt, SCHEDULE)
    opt.add_param_group({"params": [torch.zeros(1)]})
    scheduler.step(by=30)
    rates = [float(group["lr"]) for group in opt.param_groups]
    assert rates == pytest.approx([reference.value(SCHEDULE, 30)] * 2, rel=2**-23)


@pytest.mark.parametrize("kind", ["host", "graph"])
def test_schedulers_of_schedulers_take_it(kind):
    opt = optimizer(kind=kind)
    sequence = SequentialLR(opt, [LinearLR(opt, 0.0, 0.1, 10), ConstantLR(opt, 0.1)], [10])
    decay = Scheduler(opt, Linear(0.5, 0.0, 100), "weight_decay")
    both = SchedulerList([sequence, decay])
    both.step(by=5)
    both.step(by=torch.tensor(2))
    assert sequence.last_epoch == decay.last_epoch == both.last_epoch == 7
    group = opt.param_groups[0]
    assert float(group["lr"]) == pytest.approx(0.07, rel=2**-22)
    assert float(group["weight_decay"]) == pytest.approx(0.465, rel=2**-22)


@pytest.mark.parametrize("runtime", ["compile"], indirect=True)
def test_an_update_takes_it(runtime):
    opt = optimizer(kind="graph")
    scheduler = Scheduler(opt, SCHEDULE)
    opt.param_groups[0]["params"][0].grad = torch.ones(2)
    update = torch.compile(accelsched.update(opt, scheduler), fullgraph=True, backend="eager")
    update(by=torch.tensor(5))
    before = runtime.counters()
    for number in (7, 0, 1, 30):
        update(by=torch.tensor(number))
    assert runtime.counters() == before
    assert scheduler.last_epoch == 43
    update()
    assert scheduler.last_epoch == 44


# What is refused.

WRONG = {
    "negative": (-1, "0 or more"),
    "float": (2.0, "int"),
    "bool": (True, "int"),
    "text": ("3", "int"),
    "too many": (2**62, "0 or more"),
    "float tensor": (torch.tensor(2.0), "torch.float32"),
    "bool tensor": (torch.tensor(True), "torch.bool"),
    "complex tensor": (torch.tensor(1j), "torch.complex64"),
    "many": (torch.tensor([1, 2]), r"torch.int64\[2\]"),
    "none": (torch.zeros(0, dtype=torch.int64), r"torch.int64\[0\]"),
}


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_counts_nothing_is_refused(kind, wrong):
    given, message = WRONG[wrong]
    opt = optimizer(kind=kind)
    scheduler = Scheduler(opt, SCHEDULE)
    both = SchedulerList([scheduler, Scheduler(opt, SCHEDULE, "weight_decay")])
    for each in (scheduler, both):
        with pytest.raises(ArgumentError, match=f"by=.*{message}"):
            each.step(by=given)
        with pytest.raises(ArgumentError, match="epoch=3"):
            each.step(3, by=1)
    assert scheduler.last_epoch == both.last_epoch == 0


def test_on_the_host_a_tensor_is_read_and_checked():
    scheduler = Scheduler(optimizer(), SCHEDULE)
    for number in (-1, 2**62):
        with pytest.raises(ArgumentError, match="by="):
            scheduler.step(by=torch.tensor(number))
    assert scheduler.last_epoch == 0
    scheduler.step(by=np.int64(3))
    assert scheduler.last_epoch == 3


class Shrink(Policy):
    def get_lr(self):
        return [group["lr"] * 0.5 for group in self.optimizer.param_groups]


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("make", [lambda: Multiply({2: 0.5}), lambda: Switch({2: 0.5}), Shrink])
def test_a_rule_is_applied_at_each_step(kind, make):
    opt = optimizer(kind=kind)
    policy, decay = make()(opt), Scheduler(opt, SCHEDULE, "weight_decay")
    rate = float(opt.param_groups[0]["lr"])
    for given in (2, 0, torch.tensor(1)):
        with pytest.raises(ArgumentError, match="by=.*step once each"):
            policy.step(by=given)
        with pytest.raises(ArgumentError, match="by="):
            SchedulerList([decay, policy]).step(by=given)
    assert decay.last_epoch == policy.last_epoch == 0
    assert float(opt.param_groups[0]["lr"]) == rate
    policy.step(by=1)
    policy.step(by=1)
    again = make()(optimizer(kind=kind))
    again.step()
    again.step()
    assert [float(r) for r in policy.get_last_lr()] == [float(r) for r in again.get_last_lr()]


def test_a_batch_size_ramp_is_a_schedule_of_tokens():
    sizes = Constant(64).then(Constant(128), at=10**6).then(Constant(256), at=3 * 10**6)
    assert sizes.curve(0, 4 * 10**6, 10**6).tolist() == [64, 128, 128, 256]
    opt = optimizer(kind="host")
    scheduler = Scheduler(opt, Linear(0.0, 0.1, 10**7))
    steps = 0
    while scheduler.last_epoch < 4 * 10**6:
        scheduler.step(by=int(sizes(scheduler.last_epoch)) * 1000)
        steps += 1
    # 16 steps of 64,000 to 1,024,000; 16 of 128,000 to 3,072,000; 4 of 256,000.
    assert (steps, scheduler.last_epoch) == (36, 4_096_000)
