"""A schedule that passes through 0 trains as with Python floats, even if a step divides by it."""

import contextlib

import pytest
import torch
from binding import optimizer as small_optimizer

from accelsched import Scheduler, on_device, reference, update
from accelsched._costs import measuring
from accelsched._optimizers import rules
from accelsched._optimizers.least_rates import least_rate
from accelsched._runtimes import NAMED
from accelsched._runtimes.xla_computation import internals
from accelsched.policy import Multiply, Switch
from accelsched.schedules import Linear

#: Rates of 0 at steps 0, 6 and 7.
THROUGH_ZERO = Linear(0.0, 0.1, 3).then(Linear(0.1, 0.0, 3), at=3)
STEPS = 8
#: The last two weights get no gradient, like embedding rows that were not seen yet.
WEIGHTS, GRADIENTS = [1.0, 2.0, 0.0, 3.0, 0.0], [1.0, 2.0, -1.0, 0.0, 0.0]
TINY = torch.finfo(torch.float32).tiny
#: How far a least rate may move a weight: 2**-114 times a step of Adam, which is below 8.
MOVED = 2.0**-110
ADAMS = pytest.mark.parametrize("cls", [torch.optim.Adam, torch.optim.AdamW])
OPTIONS = pytest.mark.parametrize(
    "options",
    [
        {},
        {"amsgrad": True},
        {"maximize": True},
        {"weight_decay": 0.1},
        {"betas": (0.9, 0.99999)},
    ],
    ids=lambda options: " ".join(options) or "plain",
)


def on(*names):
    return pytest.mark.parametrize("runtime", names, indirect=True)


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()


def driven(optimizer):
    return Scheduler(optimizer, THROUGH_ZERO)


class Training:
    """One parameter with an optimizer and a scheduler."""

    def __init__(self, cls, runtime, options=None, make=driven, within=contextlib.nullcontext):
        self.runtime, device = runtime, runtime.device()
        self.weight = torch.nn.Parameter(torch.tensor(WEIGHTS).to(device))
        # On the CPU, a tensor selects the path that is the default on other devices.
        lr = torch.tensor(0.1) if device.type == "cpu" else 0.1
        self.optimizer = cls([self.weight], lr=lr, **(options or {}))
        self.within = within
        with within():
            self.scheduler = make(self.optimizer)
        self.step = self.both

    def both(self):
        with self.within():
            self.optimizer.step()
        self.scheduler.step()

    def curve(self, steps=STEPS):
        """Return the weights before the first step and after each step."""
        found = [torch.tensor(WEIGHTS)]
        for _ in range(steps):
            self.weight.grad = torch.tensor(GRADIENTS).to(self.weight.device)
            self.step()
            self.runtime.finish_step()
            found.append(self.weight.detach().cpu().clone())
        return torch.stack(found)

    def rate(self):
        return self.optimizer.param_groups[0]["lr"].item()


def with_floats(cls, options=None, rates=None):
    """Return the same weights from eager PyTorch, with a float rate set at each step."""
    rates = rates or [reference.value(THROUGH_ZERO, step) for step in range(STEPS)]
    weight = torch.nn.Parameter(torch.tensor(WEIGHTS))
    optimizer = cls([weight], lr=0.1, **(options or {}))
    found = [torch.tensor(WEIGHTS)]
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor(GRADIENTS)
        optimizer.step()
        found.append(weight.detach().clone())
    return torch.stack(found)


def trains_alike(found, expected, options=None):
    """Check that weights are equal up to roundings; at a rate of 0 they must not move.

    A step has about 16 roundings of 2**-24, of weights below 4. Compiled Adam computes its bias
    corrections in float32, where 1 - beta2 has a relative error of 2**-24 / (1 - beta2).
    """
    _, beta2 = (options or {}).get("betas", (0.9, 0.999))
    a_step = 4 * 16 * 2.0**-24 + 0.1 * 4 * 2.0**-24 / (1 - beta2)
    assert torch.allclose(found, expected, rtol=0, atol=STEPS * a_step)
    moves, their_moves = found[1:] - found[:-1], expected[1:] - expected[:-1]
    still = [step for step in range(STEPS) if not their_moves[step].any()]
    assert not still or moves[still].abs().max() <= MOVED


# Every optimizer, on every runtime, in the way that `check` recommends.


@on("eager", "compile", "xla", "lazy")
@pytest.mark.parametrize("name", measuring.CLASSES)
def test_it_trains_as_with_floats(runtime, name):
    cls, of = getattr(torch.optim, name), runtime.name
    way = rules.best(of, name) if of in ("xla", "lazy") else ""
    if way is None:
        pytest.skip(f"there is no way to step {name} on {of}")
    options = {option: True for option in way.split() if option != "on_device"}
    if name == "Muon":
        pytest.skip("Muon takes matrices only, and divides by no rate")
    within = on_device if "on_device" in way else contextlib.nullcontext
    training = Training(cls, runtime, options, within=within)
    if of == "compile":
        training.optimizer.step = torch.compile(training.optimizer.step, backend="eager")
    trains_alike(training.curve(), with_floats(cls))


@on("xla", "lazy")
@ADAMS
@OPTIONS
def test_adam_on_a_device(runtime, cls, options):
    ways = {"capturable": True} if runtime.accepts_capturable else {}
    for within in (on_device, *([contextlib.nullcontext] if ways else [])):
        training = Training(cls, runtime, {**options, **ways}, within=within)
        trains_alike(training.curve(), with_floats(cls, options), options)


def compile_the_update(training):
    whole = update(training.optimizer, training.scheduler)
    training.step = torch.compile(whole, backend="eager", fullgraph=True)


def compile_the_step(training):
    training.optimizer.step = torch.compile(training.optimizer.step, backend="eager")


def compile_both(training):
    training.step = torch.compile(training.both, backend="eager")


COMPILE = pytest.mark.parametrize("compiled", [compile_the_update, compile_the_step, compile_both])


@on("compile")
@ADAMS
@OPTIONS
@COMPILE
def test_adam_compiled(runtime, cls, options, compiled):
    training = Training(cls, runtime, options)
    compiled(training)
    trains_alike(training.curve(), with_floats(cls, options), options)


@on("compile", "xla")
@pytest.mark.parametrize("lowering", ["graph", "table"])
def test_each_lowering_of_groups_of_several_dtypes(runtime, lowering):
    device, dtypes = runtime.device(), [torch.float32, torch.float64, torch.bfloat16]
    weights = [torch.nn.Parameter(torch.ones(2, dtype=dtype).to(device)) for dtype in dtypes]
    on_cpu = device.type == "cpu"
    groups = [
        {"params": [weight], **({"lr": torch.tensor(0.1, dtype=weight.dtype)} if on_cpu else {})}
        for weight in weights
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.1, capturable=runtime.name == "xla")
    curves = [Linear(0.0, 0.1 * (i + 1), 5) for i in range(3)]
    scheduler = Scheduler(optimizer, curves, lowering=lowering)
    step = optimizer.step
    if runtime.name == "compile":
        step = torch.compile(step, backend="eager")
    for _ in range(2):
        for weight in weights:
            weight.grad = torch.tensor([1.0, 0.0], dtype=weight.dtype).to(device)
        step()
        scheduler.step()
        runtime.finish_step()
    for weight in weights:
        assert weight.isfinite().all()
        assert weight[0] < 1
        # AdamW decays it, by less than a rounding of bfloat16.
        assert 0.99 < weight[1] <= 1


class MyAdamW(torch.optim.AdamW):
    def step(self, closure=None):
        return super().step(closure)


def test_a_subclass_of_adam_that_calls_its_step():
    training = Training(MyAdamW, NAMED["compile"])
    compile_the_step(training)
    trains_alike(training.curve(), with_floats(torch.optim.AdamW))


# Policies, whose next value depends on the current one.


@on("compile", "xla")
@pytest.mark.parametrize(
    ("policy", "rates"),
    [
        (lambda: Multiply({2: 0.0, 4: 3.0}, lr_init=0.1), [0.1, 0.1, *[0.0] * 6]),
        (lambda: Switch({0: 0.0, 2: 0.1, 4: 0.0, 6: 0.05}), [0, 0, 0.1, 0.1, 0, 0, 0.05, 0.05]),
        (lambda: Multiply(dict.fromkeys(range(1, 9), 1e30), lr_init=0.0), [0.0] * 8),
    ],
)
def test_policies_through_zero(runtime, policy, rates):
    options = {"capturable": True} if runtime.name == "xla" else {}
    training = Training(torch.optim.AdamW, runtime, options, make=lambda o: policy()(o))
    if runtime.name == "compile":
        compile_the_update(training)
    trains_alike(training.curve(), with_floats(torch.optim.AdamW, rates=rates))


def test_a_policy_goes_on_from_an_assigned_zero():
    training = Training(torch.optim.AdamW, NAMED["compile"], make=Multiply({2: 1e30}))
    training.optimizer.param_groups[0]["lr"] = 0.0
    for _ in range(3):
        training.scheduler.step()
        assert TINY <= training.rate() <= MOVED


# The value that is written.


@ADAMS
def test_the_value_that_is_written_in_the_place_of_0(cls):
    training = Training(cls, NAMED["eager"])
    assert THROUGH_ZERO(0) == 0
    assert TINY <= training.rate() <= MOVED
    (last,) = training.scheduler.get_last_lr()
    assert last.item() == training.rate()
    training.scheduler.last_epoch = 1
    assert training.rate() == torch.tensor(reference.value(THROUGH_ZERO, 1)).item()
    training.scheduler.load_state_dict({**training.scheduler.state_dict(), "last_epoch": 7})
    assert TINY <= training.rate() <= MOVED


@on("xla")
@pytest.mark.parametrize("lowering", ["graph", "table"])
def test_it_is_one_operation_of_torch_xla_with_the_values(runtime, lowering):
    with on_device():
        cls = torch.optim.AdamW
        training = Training(
            cls, runtime, make=lambda o: Scheduler(o, THROUGH_ZERO, lowering=lowering)
        )
    runtime.finish_step()
    training.scheduler.step()
    text = internals()._get_xla_tensors_text([training.optimizer.param_groups[0]["lr"]])
    nodes = [line for line in text.splitlines() if " = " in line]
    assert len([node for node in nodes if "device_data" not in node]) == 1


def test_where_0_can_be_it_is_written():
    sgd = small_optimizer(kind="graph")
    Scheduler(sgd, THROUGH_ZERO)
    assert sgd.param_groups[0]["lr"].item() == 0
    adam = small_optimizer(cls=torch.optim.AdamW)
    Scheduler(adam, THROUGH_ZERO)
    assert adam.param_groups[0]["lr"] == 0.0
    Scheduler(adam, THROUGH_ZERO, "weight_decay", lowering="graph")
    assert adam.param_groups[0]["weight_decay"].item() == 0


def test_the_least_rate_is_a_number_of_its_dtype():
    adam = small_optimizer(cls=torch.optim.Adam)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        least = least_rate(adam, "lr", dtype)
        assert torch.tensor(least, dtype=dtype).item() == least > 0
    # Times the least bias correction in float32, it is still a normal number.
    assert least_rate(adam, "lr", torch.float32) * (1 - (1 - 2.0**-24)) ** 0.5 >= TINY
    assert least_rate(adam, "betas[0]", torch.float32) is None
