"""`check` against measured steps; every rule is measured again."""

import contextlib
import warnings

import pytest
import torch
from command import run_command
from torch.torch_version import TorchVersion

import accelsched
from accelsched import ArgumentError, Scheduler, check, on_device
from accelsched._cli.command import main
from accelsched._costs import measuring
from accelsched._optimizers import rules
from accelsched._runtimes import NAMED, Counters
from accelsched.errors import SynchronizationWarning
from accelsched.lr_scheduler import CosineDecayLR
from accelsched.schedules import CosineDecay, PiecewiseConstant, Step


def on(*names):
    return pytest.mark.parametrize("runtime", names, indirect=True)


LAZY = on("xla", "lazy")
CLASSES = pytest.mark.parametrize("name", measuring.CLASSES)
PARAMETERS = 3


def built(name, runtime, way="", lr=0.01, count=2):
    options = {option: True for option in way.split() if option != "on_device"}
    values = [torch.ones(4, 4, dtype=torch.float64) * (i + 1) for i in range(count)]
    parameters = [torch.nn.Parameter(value.to(runtime.device())) for value in values]
    return getattr(torch.optim, name)(parameters, lr=lr, **options)


def within(way):
    return on_device() if "on_device" in way else contextlib.nullcontext()


# The rules.


def agree(rule, measured):
    """Assert that executions, reads and fallbacks are equal, and that no other count is new.

    Compiles and transfers are cached, so the measured count may be lower. After a read they are
    not compared: the value becomes a constant, which may or may not compile another graph.
    """
    if rule is None or measured is None:
        assert rule is measured is None
        return
    expected = rule.cost(PARAMETERS)
    for count in ("executions", "from_device", "fallbacks"):
        assert getattr(measured, count) == getattr(expected, count), count
    for count in () if expected.from_device else ("compiles", "to_device"):
        assert not getattr(measured, count) or getattr(expected, count), count


@LAZY
@CLASSES
@pytest.mark.parametrize("way", rules.CONFIGURATIONS)
def test_every_rule_is_measured_again(runtime, name, way):
    rule = rules.table(runtime.name).get(name, {}).get(way)
    agree(rule, measuring.of_class(runtime, name, way, PARAMETERS))


@pytest.mark.parametrize(
    ("running", "found"),
    [
        ("2.3.1", "2.4"),
        ("2.4.0+cu121", "2.4"),
        ("2.10.1", "2.9"),
        ("2.14.1", "2.14"),
        ("3.0", "2.14"),
    ],
)
def test_the_rules_are_those_of_the_torch_that_runs(running, found, monkeypatch):
    """The newest measured version up to the running one, else the oldest; 2.14 is after 2.9."""
    measured = {"2.14": 3, "2.4": 1, "2.9": 2}
    monkeypatch.setattr(torch, "__version__", TorchVersion(running))
    assert rules.of_this_torch(measured) == measured[found]


@on("compile")
@CLASSES
def test_no_optimizer_is_compiled_again(runtime, name):
    rule = rules.table(runtime.name)[name][""]
    agree(rule, measuring.of_class(runtime, name, "", PARAMETERS))
    assert rule.cost(PARAMETERS) == Counters()


@on("compile")
def test_the_measurement_counts_compiles(runtime):
    """A step with one more parameter compiles another graph."""
    optimizer = built("SGD", runtime, lr=torch.tensor(0.01))

    @torch._dynamo.disable
    def grow():
        parameter = torch.nn.Parameter(torch.ones(2))
        parameter.grad = torch.ones(2)
        optimizer.param_groups[0]["params"].append(parameter)
        return contextlib.nullcontext()

    assert measuring.of_steps(runtime, optimizer, within=grow).compiles >= 1


@LAZY
@CLASSES
def test_what_is_named_cures(runtime, name):
    """After the change that `check` names, it names no other, and a scheduler does not warn."""
    best = rules.best(runtime.name, name)
    remedy = check(built(name, runtime)).remedy
    if best is None:
        assert remedy == "it has no option that helps there"
        return
    assert remedy == (rules.change("", best) or None)
    optimizer = built(name, runtime, best)
    with warnings.catch_warnings(), within(best):
        warnings.simplefilter("error")
        scheduler = CosineDecayLR(optimizer, 0.01, 0.0, 100)
    if best != "on_device":
        assert check(optimizer).remedy is None
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = parameter.detach() * 0.5
    for _ in range(3):
        with within(best):
            optimizer.step()
        scheduler.step()
        runtime.finish_step()


# Within on_device.


CURED = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD"]


@on("eager", "xla", "lazy")
@pytest.mark.parametrize("name", CURED)
def test_on_device_leaves_the_results_unchanged(runtime, name):
    """The weights match those of PyTorch on the CPU with a float lr, all in float64."""
    cured = built(name, runtime, lr=torch.tensor(0.01, dtype=torch.float64))
    plain = built(name, NAMED["eager"])
    with on_device():
        schedulers = [CosineDecayLR(o, 0.01, 0.001, 30) for o in (cured, plain)]
    for _ in range(20):
        for optimizer, context in ((cured, on_device()), (plain, contextlib.nullcontext())):
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad = parameter.detach() * 0.5
            with context:
                optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        runtime.finish_step()
    pairs = zip(cured.param_groups[0]["params"], plain.param_groups[0]["params"], strict=True)
    for mine, theirs in pairs:
        # 20 steps of some 16 roundings, each of 2**-53 of a number below 2.
        assert torch.allclose(mine.detach().cpu(), theirs.detach(), rtol=0, atol=20 * 32 * 2.0**-53)


def test_what_is_no_optimizer_is_left_as_it_is_within():
    with on_device():
        one = torch.ones(3, requires_grad=True)
        (one * 2).add_(one, alpha=3).sum().backward()
        assert one.grad.tolist() == [5, 5, 5]
        assert torch.ones(2).lerp_(torch.zeros(2), 0.75).tolist() == [0.25, 0.25]
    with pytest.raises(ValueError, match="mine"), on_device():
        raise ValueError("mine")


# The report.


@LAZY
def test_measuring_agrees_and_changes_nothing(runtime):
    optimizer = built("Adagrad", runtime, count=3)
    before = optimizer.param_groups[0]["lr"]
    found = check(optimizer, measure=True)
    assert found.measured.executions == found.expected.executions == 4
    assert found.measured.from_device == found.expected.from_device == 3
    assert optimizer.param_groups[0]["lr"] is before
    assert not optimizer.state[optimizer.param_groups[0]["params"][0]].get("step", 0)
    assert "executions 4" in str(found)
    assert "build it with foreach=True" in str(found)


@LAZY
def test_a_curve_that_does_not_become_segments_is_told_with_the_reason(runtime):
    many = PiecewiseConstant([0.1 + 1e-4 * (i % 7) for i in range(2001)], range(1, 2001))
    endless = Step(initial=0.1, step_size=1000, gamma=0.999)
    reason = "not segments: the curve needs more than 1024 segments"
    expected = {CosineDecay(0.1, 0.0, 100): "segments", many: f"table, {reason}"}
    expected[endless] = f"graph, {reason}"
    for schedule, lowering in expected.items():
        optimizer = torch.optim.SGD([torch.ones(2).to(runtime.device())], lr=0.1)
        assert check(optimizer).lowering is None
        with on_device():  # without it, torch 2.4 warns
            scheduler = Scheduler(optimizer, schedule)
        found = check(optimizer)
        assert found.lowering == lowering
        assert f"  lowering: {lowering}\n" in str(found)
        scheduler.lowering = "graph"
        assert check(optimizer).lowering == "graph"
        assert check(optimizer, "momentum").lowering is None
        assert check(optimizer, runtime="cuda").lowering is None


def test_on_the_cpu():
    floats = check(torch.optim.SGD([torch.zeros(1)], lr=0.1))
    assert (floats.runtime, floats.remedy, floats.expected) == ("eager", None, Counters())
    compiled = check(torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(0.1)), measure=True)
    assert (compiled.runtime, compiled.remedy) == ("compile", None)
    assert compiled.measured == compiled.expected == Counters()
    told = check(torch.optim.SGD([torch.zeros(1)], lr=0.1), runtime="compile")
    assert told.remedy == "build it with lr=torch.tensor(...)"


def test_for_a_device_that_is_not_here():
    optimizer = torch.optim.AdamW([torch.zeros(1)], lr=torch.tensor(0.1))
    found = check(optimizer, runtime="cuda")
    assert found.remedy == "build it with capturable=True, or give lowering='host'"
    assert found.expected == Counters(from_device=1)
    assert "by rule, not measured" in str(found)
    floats = check(torch.optim.AdamW([torch.zeros(1)], lr=0.1), runtime="cuda")
    assert (floats.remedy, floats.expected) == (None, Counters())
    assert check(torch.optim.AdamW([torch.zeros(1)], fused=True), runtime="cuda").remedy is None


# Optimizers with a step of their own.


class SignDescent(torch.optim.Optimizer):
    """An optimizer like Lion: its step passes the lr as alpha of add_, which reads it."""

    def __init__(self, params, lr=0.01, **options):
        super().__init__(params, {"lr": lr, "beta": 0.9, **options})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                p.add_((momentum * group["beta"] + p.grad * 0.1).sign_(), alpha=-group["lr"])
                momentum.mul_(group["beta"]).add_(p.grad, alpha=0.1)


class ScaledAdamW(torch.optim.AdamW):
    """A subclass of a PyTorch optimizer that inherits its options but not its step."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad, alpha=-float(group["lr"]))


class TensorDescent(torch.optim.SGD):
    """A subclass with its own step that reads nothing."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(p.grad * group["lr"])


class RenamedAdamW(torch.optim.AdamW):
    """A subclass with its own constructor and PyTorch's step."""

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)


OWN_STEPS = pytest.mark.parametrize("cls", [SignDescent, ScaledAdamW, TensorDescent])


def of_class(cls, runtime, count=3):
    return cls([torch.nn.Parameter(torch.ones(4).to(runtime.device())) for _ in range(count)], 0.01)


@OWN_STEPS
@pytest.mark.parametrize("runtime_name", ["xla", "lazy", "cuda", "compile"])
def test_an_optimizer_with_its_own_step_has_no_rule(cls, runtime_name):
    optimizer = cls([torch.zeros(1)], torch.tensor(0.1))
    for key in ("lr", *(["weight_decay"] if cls is not SignDescent else [])):
        found = check(optimizer, key, runtime=runtime_name)
        assert found.expected is None
        assert "no rule is known: give measure=True" in str(found)
        if runtime_name != "compile":
            is_float = runtime_name == "cuda" and key != "lr"
            remedy = None if is_float else "step it within accelsched.on_device()"
            assert found.remedy == remedy


def test_a_subclass_with_the_step_of_its_parent_has_its_rules():
    for _ in range(2):  # PyTorch wraps a class's step when its first instance is built
        optimizer = RenamedAdamW([torch.zeros(1)], 0.1)
        assert rules.name_of(optimizer) == "AdamW"
    assert check(optimizer, runtime="xla").remedy == "build it with capturable=True"


@LAZY
@pytest.mark.parametrize(
    ("cls", "remedy"),
    [
        (SignDescent, "step it within accelsched.on_device()"),
        (ScaledAdamW, "it has no option that helps there"),
        (TensorDescent, None),
    ],
)
def test_measuring_says_what_cures_a_step_that_is_not_known(runtime, cls, remedy):
    found = check(of_class(cls, runtime), measure=True)
    assert found.expected is None
    assert found.remedy == remedy
    assert found.measured.from_device == (0 if remedy is None else 3)


@LAZY
@OWN_STEPS
def test_binding_warns_of_a_step_that_is_not_known(runtime, cls):
    name = cls.__name__
    with pytest.warns(SynchronizationWarning, match=f"{name} has a step of its own") as told:
        CosineDecayLR(of_class(cls, runtime), 0.01, 0.0, 100)
    assert told[0].filename == __file__
    assert "Step it within accelsched.on_device()" in str(told[0].message)
    with on_device():  # a warning would be an error
        CosineDecayLR(of_class(cls, runtime), 0.01, 0.0, 100)


@on("eager", "compile")
@OWN_STEPS
def test_it_does_not_warn_where_a_read_costs_nothing(runtime, cls):
    CosineDecayLR(of_class(cls, runtime), 0.01, 0.0, 100)


@LAZY
def test_what_is_advised_for_an_own_step_cures_it(runtime):
    optimizer = of_class(SignDescent, runtime)
    with on_device():
        scheduler = CosineDecayLR(optimizer, 0.01, 0.0, 100)
    plain = of_class(SignDescent, NAMED["eager"])
    rates = CosineDecayLR(plain, 0.01, 0.0, 100)
    for _ in range(5):
        for one, context, its in ((optimizer, on_device(), scheduler), (plain, within(""), rates)):
            for parameter in one.param_groups[0]["params"]:
                parameter.grad = parameter.detach() * 0.5
            with context:
                one.step()
            its.step()
        runtime.finish_step()
    for mine, theirs in zip(
        optimizer.param_groups[0]["params"], plain.param_groups[0]["params"], strict=True
    ):
        # 5 steps of one rounding, each of 2**-24 of a number below 1.
        assert torch.allclose(mine.detach().cpu(), theirs.detach(), rtol=0, atol=5 * 2.0**-24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "rate"}, "key='rate': give a key of the param group"),
        ({"runtime": "tpu"}, "runtime='tpu': give one of"),
        ({"runtime": "cuda", "measure": True}, "measure=True: cuda is not counted"),
        ({"measure": True}, "measure=True: eager is not counted"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ArgumentError, match=message):
        check(torch.optim.SGD([torch.zeros(1)], lr=0.1), **options)


# The command.


def test_the_command(tmp_path):
    (tmp_path / "training.py").write_text(
        "import torch\n"
        "def make():\n"
        "    return torch.optim.RMSprop([torch.zeros(1)], lr=torch.tensor(0.1))\n"
    )
    found = run_command("check", "training:make", "--runtime", "xla", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "RMSprop() on xla, lr scheduled, 1 parameter tensors" in found.stdout
    assert "build it with capturable=True, foreach=True" in found.stdout


def test_the_command_refuses(capsys):
    assert main(["check", "nowhere:nothing"]) == 1
    assert "PATH='nowhere:nothing': give package.module:name" in capsys.readouterr().err


def test_the_rules_ship_with_the_package():
    assert set(rules.table("xla")) >= {"SGD", "AdamW"}
    assert accelsched.check is check
