"""torch.compile over a whole training step: Dynamo's counts against a constant lr."""

import gc
import weakref

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
    """Compare the weights with those of eager PyTorch.

    Weights are below 4. A step adds at most about 64 roundings of 2**-24, as bias corrections
    are computed in float32 or float64. Muon works in bfloat16: about 16 roundings of 2**-8
    times the lr.
    """
    step = 0.05 * 16 * 2.0**-8 if name == "Muon" else 4 * 64 * 2.0**-24
    assert torch.allclose(training.result(), eager(name).result(), rtol=0, atol=STEPS * step)


@CLASSES
def test_a_whole_step_costs_what_a_constant_rate_costs(runtime, name):
    constant = Training(name, scheduled=False)
    scheduled = Training(name)
    expected = counted(torch.compile(constant.step, backend="eager"))
    found = counted(torch.compile(scheduled.step, backend="eager"))
    # With a constant lr nothing follows optimizer.step; scheduler.step adds one graph.
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


# What an update takes and refuses, when it is built.


def compiled_update(training, *schedulers):
    whole = accelsched.update(training.optimizer, *schedulers)
    return torch.compile(whole, fullgraph=True, backend="eager")


def run(training, function, steps=4):
    for _ in range(steps):
        training.backward()
        function()
    return training.result()


DECAY = CosineDecay(0.1, 0.0, 30)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda rate, beta: [rate, beta],
        lambda rate, beta: [[rate], (beta,)],
        lambda rate, beta: accelsched.SchedulerList([rate, beta]),
        lambda rate, beta: [rate, accelsched.SchedulerList([beta])],
    ],
)
def test_an_update_takes_lists_of_schedulers(runtime, wrapped):
    training = Training("AdamW")
    beta = Scheduler(training.optimizer, CosineDecay(0.9, 0.8, 9), "betas[0]", lowering="graph")
    run(training, compiled_update(training, wrapped(training.scheduler, beta)))
    assert training.scheduler.last_epoch == beta.last_epoch == 4


def refused(message, update, *arguments):
    with pytest.raises(ArgumentError, match=message):
        update(*arguments)


def test_an_update_refuses_what_is_not_its_own(runtime):
    one, other = Training(), Training()
    update = accelsched.update
    refused(r"schedulers\[0\]=.*bound to another optimizer", update, one.optimizer, other.scheduler)
    mixed = [one.scheduler, other.scheduler]
    refused(r"schedulers\[0\]\[1\]=.*another optimizer", update, one.optimizer, mixed)
    twice = [one.scheduler, accelsched.SchedulerList([one.scheduler])]
    refused(r"schedulers\[1\]\[0\]=.*would step twice", update, one.optimizer, *twice)
    unbound = Scheduler(None, SCHEDULE)
    refused(r"schedulers\[0\]=.*has no optimizer yet", update, one.optimizer, unbound)
    theirs = torch.optim.lr_scheduler.StepLR(other.optimizer, 3)
    refused(r"schedulers\[0\]=.*from_torch", update, one.optimizer, theirs)
    refused("optimizer='Linear': give a torch.optim.Optimizer", update, torch.nn.Linear(1, 1))
    chained = accelsched.lr_scheduler.ChainedLR([one.scheduler])
    refused(r"schedulers\[0\]=.*is part of another, step", update, one.optimizer, one.scheduler)
    run(one, compiled_update(one, chained))


def test_an_update_refuses_floats_and_names_what_compiles(runtime):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1, weight_decay=0.1)
    rate = Scheduler(optimizer, SCHEDULE)
    remedy = r"schedulers\[0\]=.*are floats: give it lowering='graph', or lr=torch.tensor\(...\)"
    refused(remedy, accelsched.update, optimizer, rate)
    decay = Scheduler(optimizer, DECAY, "weight_decay")
    refused(r"weight_decay=torch.tensor\(...\)", accelsched.update, optimizer, decay)
    policy = accelsched.policy.Multiply({2: 0.5})(torch.optim.SGD([weight], lr=0.1))
    refused("are floats", accelsched.update, policy.optimizer, policy)
    del rate
    cured = Scheduler(optimizer, SCHEDULE, lowering="graph")
    compiled = torch.compile(accelsched.update(optimizer, cured), fullgraph=True, backend="eager")

    def step():
        weight.grad = torch.ones(3)
        compiled()

    assert counted(step)["graphs"] <= 2


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_an_update_refuses_a_fused_step(runtime, name):
    optimizer = getattr(torch.optim, name)([torch.ones(1)], lr=torch.tensor(0.1), fused=True)
    scheduler = Scheduler(optimizer, SCHEDULE)
    message = f"optimizer='{name}': torch.compile does not trace fused=True: build it without"
    refused(message, accelsched.update, optimizer, scheduler)


CASES = [
    ("SGD", "weight_decay", {}),
    ("SGD", "momentum", {"momentum": 0.5}),
    ("RMSprop", "momentum", {"momentum": 0.5}),
    ("Adam", "weight_decay", {}),
    ("AdamW", "weight_decay", {}),
    ("AdamW", "betas[0]", {}),
    ("AdamW", "betas[1]", {}),
    ("NAdam", "weight_decay", {}),
]


@pytest.mark.parametrize(("name", "key", "options"), CASES)
@pytest.mark.parametrize("given", [True, False], ids=["given", "stepped apart"])
def test_an_update_with_another_value_scheduled(runtime, name, key, options, given):
    """The update runs in `on_device`, whether or not it steps the other scheduler."""
    values = CosineDecay(0.6, 0.1, 30)

    def trained(compile_it):
        training = Training(name)
        for group in training.optimizer.param_groups:
            group.update(options)
        other = Scheduler(training.optimizer, values, key, lowering="graph")
        mine = [training.scheduler, *([other] if given else [])]
        function = accelsched.update(training.optimizer, *mine)
        if compile_it:
            function = torch.compile(function, fullgraph=True, backend="eager")

        def step():
            function()
            if not given:
                other.step()

        return run(training, step), training

    if OLD and key != "betas[0]" and (name, key) != ("AdamW", "weight_decay"):
        if not given:
            pytest.skip("PyTorch before 2.6 does not compile this")
        with pytest.raises(ArgumentError, match="install PyTorch 2.6 or newer"):
            trained(compile_it=False)
        return
    result, training = trained(compile_it=True)
    expected, _ = trained(compile_it=False)
    # As in `agrees`.
    assert torch.allclose(result, expected, rtol=0, atol=4 * 4 * 64 * 2.0**-24)
    assert training.scheduler.last_epoch == 4


OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6)


def test_twenty_updates_compile_in_one_process(runtime):
    """torch.compile takes up to eight graphs of one code, and remembers which shapes changed."""
    gone = []
    for size in range(1, 21):
        weight = torch.nn.Parameter(torch.ones(size))
        optimizer = torch.optim.SGD([weight], lr=torch.tensor(0.5))
        scheduler = Scheduler(optimizer, SCHEDULE)
        update = accelsched.update(optimizer, scheduler)
        assert update.__name__ == "update"
        graphs = []

        def keep(graph, inputs, graphs=graphs):
            graphs.append([node.meta.get("example_value") for node in graph.graph.nodes])
            return graph.forward

        compiled = torch.compile(update, fullgraph=True, backend=keep)
        for _ in range(2):
            weight.grad = torch.ones(size)
            compiled()
        assert scheduler.last_epoch == 2
        shapes = [value.shape for value in graphs[0] if isinstance(value, torch.Tensor)]
        assert all(type(length) is int for shape in shapes for length in shape)
        gone.append(weakref.ref(optimizer))
    del weight, optimizer, scheduler, update, compiled, graphs, keep
    gc.collect()
    assert [reference() for reference in gone] == [None] * 20


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
    """torch's own schedulers wrap optimizer.step, which gets in the way of a compiled one."""

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
