"""torch.compile over a whole training step: its own counts, beside a constant learning rate."""

import pytest
import torch
from binding import EVERY
from torch._dynamo.utils import counters

import accelsched
from accelsched import ArgumentError, Scheduler, reference
from accelsched._costs import measuring
from accelsched.schedules import CosineDecay

pytestmark = pytest.mark.parametrize("runtime", ["compile"], indirect=True)
CLASSES = pytest.mark.parametrize("name", measuring.CLASSES)
STEPS = 12
SCHEDULE = CosineDecay(0.05, 0.001, 30)


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()
    counters.clear()


class Training:
    """A small model, its optimizer, and a schedule unless the learning rate is a constant."""

    def __init__(self, name="SGD", scheduled=True, groups=2, make=None, compile_step=None):
        torch.manual_seed(0)
        self.weights = [torch.nn.Parameter(torch.randn(4, 4)) for _ in range(groups)]
        self.inputs = torch.randn(8, 4)
        named = [{"params": [weight]} for weight in self.weights]
        self.optimizer = getattr(torch.optim, name)(named, lr=torch.tensor(0.05))
        if compile_step is not None:
            self.optimizer.step = compile_step(self.optimizer.step)
        make = make or (lambda optimizer: Scheduler(optimizer, SCHEDULE))
        self.scheduler = make(self.optimizer) if scheduled else None

    def backward(self):
        self.optimizer.zero_grad()
        sum((self.inputs @ weight).square().mean() for weight in self.weights).backward()

    def step(self):
        self.backward()
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def rates(self):
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def result(self):
        return torch.stack([weight.detach() for weight in self.weights])


def counted(function, steps=STEPS):
    """What Dynamo did for the steps: graphs, breaks, and compiles after the second step."""
    torch._dynamo.reset()
    counters.clear()
    for step in range(steps):
        if step == 2:
            early = counters["stats"]["unique_graphs"]
        function()
    graphs, breaks = counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())
    return {"graphs": graphs, "breaks": breaks, "later": graphs - early}


def eager(name, schedule=SCHEDULE, **options):
    """The same training in eager PyTorch, with floats that are set at each step."""
    training = Training(name, scheduled=False, **options)
    for step in range(STEPS):
        for group in training.optimizer.param_groups:
            group["lr"] = reference.value(schedule, step)
        training.backward()
        training.optimizer.step()
    return training


def agrees(training, name):
    """Its weights are those of eager PyTorch.

    A step moves a weight, which is below 4, by some 64 roundings of 2**-24 at most: bias
    corrections are taken in float32 or in float64. Muon works in bfloat16, a rounding 2**-8 of
    a move by the rate, some 16 of them.
    """
    step = 0.05 * 16 * 2.0**-8 if name == "Muon" else 4 * 64 * 2.0**-24
    assert torch.allclose(training.result(), eager(name).result(), rtol=0, atol=STEPS * step)


@CLASSES
def test_a_whole_step_costs_what_a_constant_rate_costs(runtime, name):
    constant = Training(name, scheduled=False)
    scheduled = Training(name)
    expected = counted(torch.compile(constant.step, backend="eager"))
    found = counted(torch.compile(scheduled.step, backend="eager"))
    # Of a constant nothing is left after optimizer.step; a scheduler's step is one graph more.
    assert found["graphs"] <= expected["graphs"] + 1
    assert found["breaks"] <= expected["breaks"] + 1
    assert found["later"] == expected["later"] == 0
    assert scheduled.rates() == pytest.approx([reference.value(SCHEDULE, STEPS)] * 2, rel=2**-23)
    agrees(scheduled, name)


def whole(name):
    """Whether PyTorch lets this optimizer's own step be one graph, with a constant tensor rate."""
    training = Training(name, scheduled=False)
    training.backward()
    try:
        torch.compile(accelsched.update(training.optimizer), fullgraph=True, backend="eager")()
    except torch._dynamo.exc.TorchDynamoException:
        return False
    return True


@CLASSES
def test_the_update_is_one_graph_wherever_pytorch_allows_it(runtime, name):
    if not whole(name):
        assert name in ("Adafactor", "Muon"), "PyTorch took it before"
        pytest.skip(f"PyTorch itself does not compile {name} with fullgraph=True")
    training = Training(name)
    update = torch.compile(
        accelsched.update(training.optimizer, training.scheduler), fullgraph=True, backend="eager"
    )

    def step():
        training.backward()
        update()

    found = counted(step)
    # State that the first step makes is there from the second on.
    assert found["graphs"] <= 2
    assert found["breaks"] == found["later"] == 0
    agrees(training, name)


def test_an_update_leaves_out_no_hook(runtime):
    training = Training()
    training.optimizer.register_step_pre_hook(lambda *_: None)
    with pytest.raises(ArgumentError, match="optimizer='SGD': its step hooks would not run"):
        accelsched.update(training.optimizer, training.scheduler)


def test_reduce_overhead(runtime):
    training = Training("SGD")
    update = accelsched.update(training.optimizer, training.scheduler)
    compiled = torch.compile(update, mode="reduce-overhead", fullgraph=True)

    def step():
        training.backward()
        compiled()

    found = counted(step)
    assert found["later"] == 0
    assert training.rates() == pytest.approx([reference.value(SCHEDULE, STEPS)] * 2, rel=2**-23)
    agrees(training, "SGD")


@pytest.mark.parametrize("name", ["SequentialLR nested", "OneCycleLR", "StepLR"])
def test_a_scheduler_that_is_built_after_the_step_was_compiled(runtime, name):
    """torch's own wraps optimizer.step when it is built, and is in the way of a compiled one."""

    def compile_step(step):
        return torch.compile(step, backend="eager")

    training = Training("AdamW", make=EVERY[name], compile_step=compile_step)
    compiled = training.optimizer.step
    found = counted(training.step)
    assert found["later"] == 0
    assert training.optimizer.step is compiled
    (schedule,) = set(training.scheduler.schedules)
    assert training.rates() == pytest.approx([reference.value(schedule, STEPS)] * 2, rel=2**-23)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # of compiled autograd itself
def test_compiled_autograd_is_left_alone(runtime):
    module = torch._dynamo.compiled_autograd
    enable = getattr(module, "_enable", None) or module.enable

    def captures(scheduled):
        training = Training("AdamW", scheduled=scheduled)
        torch._dynamo.reset()
        counters.clear()
        with enable(torch.compile(backend="eager")):
            for _ in range(STEPS):
                training.step()
        return dict(counters["compiled_autograd"])

    with_a_constant = captures(scheduled=False)
    assert captures(scheduled=True) == with_a_constant
    assert with_a_constant["captures"] > 0


def test_the_counts_notice_another_graph(runtime):
    training, more = Training(), [torch.ones(1)]

    def step():
        training.step()
        return sum(more)

    compiled = torch.compile(step, backend="eager")

    def grow():
        compiled()
        more.append(torch.ones(1))

    assert counted(grow)["later"] > 0
