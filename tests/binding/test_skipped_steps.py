"""Steps that a gradient scaler skips are not counted, without reading a device flag."""

import math

import pytest
import torch
from binding import optimizer

from accelsched import ArgumentError, Scheduler, SchedulerList, on_device, reference
from accelsched._runtimes import Counters
from accelsched.policy import Multiply, Policy, Switch
from accelsched.schedules import CosineDecay, Linear

LAZY = pytest.mark.parametrize("runtime", ["xla", "lazy"], indirect=True)
EVERYWHERE = pytest.mark.parametrize("runtime", ["eager", "compile", "xla", "lazy"], indirect=True)
SCHEDULE = CosineDecay(0.1, 0.001, 40)
#: Factors for the batches; a non-finite one makes the gradients non-finite.
BATCHES = (1.0, 2.0, math.inf, 1.0, math.nan, -math.inf, 0.5, 3.0)
FINITE = [number for number in BATCHES if math.isfinite(number)]


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()


def loss(parameter, number):
    return ((parameter * number - 1) ** 2).sum()


def plain(schedule=SCHEDULE):
    """Return eager PyTorch's weights after the finite batches, and the number of batches."""
    opt = optimizer()
    (parameter,) = opt.param_groups[0]["params"]
    for step, number in enumerate(FINITE):
        opt.param_groups[0]["lr"] = reference.value(schedule, step)
        opt.zero_grad()
        loss(parameter, number).backward()
        opt.step()
    return parameter.detach(), len(FINITE)


def agrees(parameter, scheduler):
    """Allow about four roundings of numbers below 4 a step, and one more of the lr."""
    want, steps = plain()
    allowed = 8 * len(FINITE) * 4 * 2.0**-24
    assert torch.allclose(parameter.detach().cpu(), want, rtol=0, atol=allowed)
    assert scheduler.last_epoch == steps


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_scaler_of_torch(kind, one_by_one):
    opt = optimizer(kind=kind)
    scheduler = Scheduler(opt, SCHEDULE)
    both = SchedulerList([scheduler, Scheduler(opt, Linear(0.0, 0.0, 5), "weight_decay")])
    (parameter,) = opt.param_groups[0]["params"]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    for number in BATCHES:
        opt.zero_grad()
        scaler.scale(loss(parameter, number)).backward()
        scaler.step(opt)
        (found,) = scaler._found_inf_per_device(opt).values()
        scaler.update()
        (scheduler if one_by_one else both).step(found_inf=found)
    agrees(parameter, scheduler)
    assert both[1].last_epoch == (0 if one_by_one else len(FINITE))


class Training:
    """Training whose flag stays on the device: if it is set, the gradient is 0."""

    def __init__(self, runtime, by=None):
        self.runtime, device = runtime, runtime.device()
        self.parameter = torch.nn.Parameter(torch.ones(2).to(device))
        self.optimizer = torch.optim.SGD([self.parameter], lr=torch.tensor(0.1))
        self.scheduler = Scheduler(self.optimizer, SCHEDULE)
        self.by = None if by is None else torch.tensor(by).to(device).clone()

    def step(self, number, found):
        self.optimizer.zero_grad()
        loss(self.parameter, number).backward()
        self.parameter.grad *= (found == 0).to(torch.float32)
        self.optimizer.step()
        self.scheduler.step(by=self.by, found_inf=found)

    def train(self, numbers):
        """Step, and count what the back end did for it."""
        flags = [0.0 if math.isfinite(number) else 1.0 for number in numbers]
        given = [self.sent(number if math.isfinite(number) else 1.0) for number in numbers]
        found = [self.sent(flag) for flag in flags]
        self.runtime.finish_step()
        self.runtime.wait()
        before = self.runtime.counters()
        for each in zip(given, found, strict=True):
            self.step(*each)
            self.runtime.finish_step()
        self.runtime.wait()
        return self.runtime.counters() - before

    def sent(self, number):
        return torch.tensor([number]).to(self.runtime.device()).clone()


@LAZY
@pytest.mark.parametrize("by", [None, 1, 3])
def test_nothing_is_read_and_nothing_compiles(runtime, by):
    training = Training(runtime, by)
    training.train([1.0, 2.0])
    cost = training.train(BATCHES)
    assert cost == Counters(executions=len(BATCHES))
    assert training.scheduler.last_epoch == (by or 1) * (2 + len(FINITE))
    if by is None:
        again = Training(runtime)
        again.train(BATCHES)
        agrees(again.parameter, again.scheduler)


@pytest.mark.parametrize("runtime", ["compile"], indirect=True)
def test_nothing_compiles_again(runtime):
    opt = optimizer(kind="graph")
    scheduler = Scheduler(opt, SCHEDULE)
    step = torch.compile(lambda flag: scheduler.step(found_inf=flag), backend="aot_eager")
    step(torch.tensor(0.0))
    before = runtime.counters()
    for flag in (1.0, 0.0, math.inf, math.nan, 0.0):
        step(torch.tensor(flag))
    assert runtime.counters() == before
    assert scheduler.last_epoch == 3


@pytest.mark.parametrize("runtime", ["xla"], indirect=True)
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_the_optimizers_of_torch_xla_that_wait_for_nothing(runtime, name):
    """They read a tensor lr once per parameter; the scheduler adds no reads."""
    from torch_xla.amp import syncfree

    device = runtime.device()

    def cost(**given):
        parameter = torch.nn.Parameter(torch.ones(2, device=device))
        opt = getattr(syncfree, name)([parameter], lr=0.1)
        with on_device():
            scheduler = Scheduler(opt, SCHEDULE)
        numbers = [torch.tensor([n], device=device).clone() for n in (1.0, 1.0, *BATCHES)]
        runtime.finish_step()
        for position, number in enumerate(numbers):
            if position == 2:
                runtime.wait()
                before = runtime.counters()
            opt.zero_grad()
            loss(parameter, number).backward()
            found = (~torch.isfinite(parameter.grad)).any().to(torch.float32)
            opt.step(found_inf=found)
            scheduler.step(**({"found_inf": found} if given else {}))
            runtime.finish_step()
        runtime.wait()
        found = runtime.counters() - before
        assert torch.isfinite(parameter).all()
        return found, scheduler.last_epoch

    skipping, counted = cost(found_inf=True)
    plain, steps = cost()
    # They send the lr they read as a graph input, but one that is already on the device.
    for found in (skipping, plain):
        assert (found.compiles, found.executions, found.from_device) == (0, *[len(BATCHES)] * 2)
    assert (counted, steps) == (2 + len(FINITE), 2 + len(BATCHES))


# Flags.

FLAGS = [
    (False, False), (True, True), (0, False), (2, True), (0.0, False), (-0.0, False), (1.0, True),
    (math.inf, True), (math.nan, True),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("by", [None, 5, torch.tensor(5), torch.tensor([5], dtype=torch.uint8)])
@pytest.mark.parametrize("shape", [None, (), (1,), (1, 1)])
def test_flags_of_any_kind(kind, by, shape):
    opt = optimizer(kind=kind)
    scheduler = Scheduler(opt, SCHEDULE)
    step = 0
    for flag, skips in FLAGS:
        scheduler.step(by=by, found_inf=flag if shape is None else torch.full(shape, flag))
        step += 0 if skips else 1 if by is None else 5
        assert scheduler.last_epoch == step
        want = reference.value(SCHEDULE, step)
        assert float(opt.param_groups[0]["lr"]) == pytest.approx(want, rel=2**-23)


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("flag", ["no", torch.zeros(2), torch.zeros(0), [0.0], 1j])
def test_what_is_no_flag_is_refused(kind, flag):
    scheduler = Scheduler(optimizer(kind=kind), SCHEDULE)
    with pytest.raises(ArgumentError, match="found_inf="):
        scheduler.step(found_inf=flag)
    with pytest.raises(ArgumentError, match="epoch=3"):
        scheduler.step(3, found_inf=False)
    assert scheduler.last_epoch == 0


# Values that depend on those before them.


class Shrink(Policy):
    def get_lr(self):
        return [group["lr"] * 0.5 for group in self.optimizer.param_groups]


class Called(Policy):
    """Its values are neither functions of the step nor recurrences."""

    def get_lr(self):
        return [max(group["lr"] * 0.5, 1e-4) for group in self.optimizer.param_groups]


@EVERYWHERE
@pytest.mark.parametrize(
    "make", [lambda: Multiply({2: 0.5, 5: 0.1}), lambda: Switch({1: 0.3, 3: 0.2}), Shrink]
)
def test_a_rule_is_not_applied_in_a_step_that_is_left_out(runtime, make):
    device = runtime.device()

    def bound():
        tensor = torch.tensor(0.1)
        return make()(torch.optim.SGD([torch.zeros(1, device=device)], lr=tensor))

    policy, other = bound(), bound()
    step = policy.step
    if runtime.name == "compile":
        step = torch.compile(lambda found_inf: policy.step(found_inf=found_inf), backend="eager")
    for flag, skips in FLAGS:
        step(found_inf=torch.tensor(float(flag), device=device))
        if not skips:
            other.step()
        runtime.finish_step()
        (rate,), (want,) = policy.get_last_lr(), other.get_last_lr()
        assert float(rate) == float(want)
    assert policy.last_epoch == other.last_epoch == 4


@pytest.mark.filterwarnings("ignore:get_lr of Called")
@pytest.mark.parametrize("kind", ["host", "graph"])
def test_a_rule_that_is_called_is_not_called_then(kind):
    policy = Called()(optimizer(kind=kind))
    for flag, _ in FLAGS:
        policy.step(found_inf=flag)
    for flag, _ in FLAGS:
        policy.step(found_inf=torch.tensor(flag))
    assert policy.last_epoch == 8
    (rate,) = policy.get_last_lr()
    assert float(rate) == pytest.approx(1e-4, rel=2**-23)
