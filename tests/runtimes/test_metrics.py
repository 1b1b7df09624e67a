"""Schedulers that follow a metric: the counters of each back end, and torch's rates."""

import json
import random

import pytest
import torch
from metrics import (
    GREEDY,
    assert_same_state,
    drawn_metrics,
    drawn_settings,
    optimizer_of,
    rates_of,
)
from torch.optim import lr_scheduler as theirs

from accelsched._runtimes.cpu import Cpu
from accelsched.lr_scheduler import GreedyLR, ReduceLROnPlateau
from accelsched.schedules import Linear

WARM_UP, STEPS = 4, 60
ARGUMENTS = {"patience": 1, "factor": 0.7, "cooldown": 1, "min_lr": 0.01}


def on(*names):
    return pytest.mark.parametrize("runtime", names, indirect=True)


LAZY = on("xla", "lazy")
EVERYWHERE = on("eager", "compile", "xla", "lazy")


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    """Reset Dynamo: it gives up on a function after eight compiles, across all tests."""
    torch._dynamo.reset()


class Training:
    """Gradient descent on a parabola. It overshoots, so the loss (the metric) oscillates.

    Args:
        runtime: the back end.
        make: builds the scheduler from the optimizer; None for a constant learning rate.
        inside: whether the training step includes the scheduler's step.
    """

    def __init__(self, runtime, make, inside=True):
        torch.manual_seed(0)
        self.runtime, device = runtime, runtime.device()
        self.weights = torch.nn.Parameter(torch.randn(4).to(device))
        rate = torch.tensor(0.3) if device.type == "cpu" and make else 0.3
        self.optimizer = torch.optim.SGD([self.weights], lr=rate, momentum=0.9)
        self.scheduler = make(self.optimizer) if make else None
        self.losses, self.inside = [], inside
        compiled = runtime.name == "compile"
        self.step = torch.compile(self._step, backend="aot_eager") if compiled else self._step

    def _step(self):
        self.optimizer.zero_grad()
        loss = (self.weights**2).sum()
        loss.backward()
        self.optimizer.step()
        loss = loss.detach()
        if self.scheduler is not None and self.inside:
            self.scheduler.step(loss)
        return loss

    def train(self, steps):
        before = self.runtime.counters()
        for _ in range(steps):
            loss = self.step()
            if self.scheduler is not None and not self.inside:
                self.scheduler.step(loss)
            self.losses.append(loss)
            self.runtime.finish_step()
        self.runtime.wait()
        return self.runtime.counters() - before


@EVERYWHERE
@pytest.mark.parametrize(
    ("schedule", "inside"),
    [(None, True), (None, False), (Linear(0.3, 0.1, 50), True)],
    ids=["inside", "outside", "a factor on a schedule"],
)
def test_a_step_costs_what_a_constant_learning_rate_costs(runtime, schedule, inside):
    constant = Training(runtime, None)
    constant.train(WARM_UP)
    run = Training(
        runtime, lambda opt: ReduceLROnPlateau(opt, **ARGUMENTS, schedule=schedule), inside
    )
    run.train(WARM_UP)
    assert run.train(STEPS) == constant.train(STEPS)
    scale = 1.0 if schedule else float(torch.tensor(0.3)) if run.weights.is_cpu else 0.3
    plain = theirs.ReduceLROnPlateau(optimizer_of([scale]), **ARGUMENTS)
    for loss in run.losses:
        plain.step(float(loss))
    saved, wanted = run.scheduler.state_dict(), plain.state_dict()
    assert wanted["_last_lr"][0] < scale / 2
    assert saved["values"] == wanted["_last_lr"]
    names = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
    assert [saved[name] for name in names] == [wanted[name] for name in names]


@EVERYWHERE
def test_what_is_set_compiles_nothing(runtime):
    """No compile follows from a new setting, counter or metric, Python numbers included."""
    made = ReduceLROnPlateau(
        optimizer_of([0.1, 0.5], torch.float32 if runtime.device().type == "cpu" else None,
                     runtime.device()), **ARGUMENTS,
    )  # fmt: skip
    held = [float(torch.tensor(0.1)), 0.5] if runtime.device().type == "cpu" else [0.1, 0.5]
    plain = theirs.ReduceLROnPlateau(optimizer_of(held), **ARGUMENTS)
    step = made.step
    if runtime.name == "compile":
        step = torch.compile(step, fullgraph=True, backend="aot_eager")
    rnd = random.Random(0)

    def train(steps):
        before = runtime.counters()
        for metric in drawn_metrics(rnd, steps, odd=0.0):
            plain.step(metric)
            step(torch.tensor(metric, dtype=torch.float64) if step != made.step else metric)
            runtime.finish_step()
        runtime.wait()
        return runtime.counters() - before

    warm = train(WARM_UP)
    assert warm.compiles or runtime.name == "eager"
    changes = {
        "factor": 0.5, "patience": 0, "threshold": 0.3, "cooldown": 2, "eps": 1e-4,
        "min_lrs": [0.001, 0.002], "best": 0.9, "num_bad_epochs": 1, "cooldown_counter": 1,
    }  # fmt: skip
    for name, value in changes.items():
        setattr(plain, name, value)
        setattr(made, name, value)
        assert train(6).compiles == 0, name
    # In torch, setting the bounds leaves the bound for added groups as it was.
    assert_same_state(made, plain, default_min_lr=None)


@LAZY
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_every_rate_is_torch_s(runtime, mode, threshold_mode):
    """One graph serves all settings and metrics."""
    rnd = random.Random(f"{mode} {threshold_mode}")
    made = ReduceLROnPlateau(optimizer_of([0.1, 0.5], device=runtime.device()), mode)
    for sequence in range(12):
        _, arguments = drawn_settings(rnd)
        arguments |= {"mode": mode, "threshold_mode": threshold_mode, "min_lr": 1e-3}
        plain = theirs.ReduceLROnPlateau(optimizer_of([0.1, 0.5]), **arguments)
        made.load_state_dict(plain.state_dict())
        for group, rate in zip(made.optimizer.param_groups, (0.1, 0.5), strict=True):
            group["lr"] = rate
        before = runtime.counters()
        for metric in drawn_metrics(rnd, 25):
            if runtime.name == "xla" and 0 < abs(metric) < 2.0**-1022:
                continue  # The CPU client of torch_xla flushes subnormal numbers to 0.
            plain.step(metric)
            made.step(metric)
            runtime.finish_step()
            # The rates of float32 weights are float32.
            assert rates_of(made.optimizer) == torch.tensor(rates_of(plain.optimizer)).tolist()
        assert_same_state(made, plain)
        cost = runtime.counters() - before
        assert sequence < 3 or cost.compiles == 0


@LAZY
@pytest.mark.parametrize("case", GREEDY[::9], ids=lambda case: case["id"])
def test_every_rate_is_that_of_transformers(runtime, case):
    rates = case["groups"]
    made = GreedyLR(optimizer_of(rates, device=runtime.device()), **case["kwargs"])
    before = None
    for step, (metric, want) in enumerate(zip(case["metrics"], case["values"], strict=True)):
        made.step(metric)
        runtime.finish_step()
        if step == WARM_UP:
            before = runtime.counters()
        elif step == 20:
            cost = runtime.counters() - before
            assert (cost.compiles, cost.from_device, cost.fallbacks) == (0, 0, 0)
        if step > 20:
            assert rates_of(made.optimizer) == torch.tensor(want).tolist()
    saved = made.state_dict()
    assert repr({name: saved[name] for name in case["state"]}) == repr(case["state"])


@EVERYWHERE
def test_a_rate_that_somebody_puts_there_is_gone_on_from(runtime):
    device = runtime.device()
    dtype = torch.float32 if device.type == "cpu" else None
    made = ReduceLROnPlateau(optimizer_of([0.5], dtype, device), patience=0, factor=0.5)
    tensor, step = made.optimizer.param_groups[0]["lr"], made.step
    if runtime.name == "compile":
        step = torch.compile(step, fullgraph=True, backend="aot_eager")
    metric = torch.ones(1).to(device)
    put = {2: 0.7, 3: 0.25, 4: torch.tensor(0.375), 5: torch.tensor(0.625).to(device)}
    wanted = [0.5, 0.25, 0.35, 0.125, 0.1875, 0.3125, 0.0625]
    for index, want in enumerate(wanted):
        if index in put:
            made.optimizer.param_groups[0]["lr"] = put[index]
        if index == 6:
            with torch.no_grad():
                tensor.fill_(0.125)
        step(metric)
        runtime.finish_step()
        assert made.optimizer.param_groups[0]["lr"] is tensor
        assert tensor.item() == torch.tensor(want).item()
    assert made.state_dict()["values"] == wanted[-1:]


@LAZY
def test_a_state_goes_from_device_to_device(runtime):
    def make(device):
        return GreedyLR(
            optimizer_of([0.1, 0.3], device=device), factor=0.7, patience=1, smooth=True
        )

    host, made = make("cpu"), make(runtime.device())
    for metric in drawn_metrics(random.Random(8), 20, odd=0.0):
        twin = make(runtime.device())
        twin.load_state_dict(json.loads(json.dumps(host.state_dict())))
        for scheduler in (host, made, twin):
            scheduler.step(metric)
        runtime.finish_step()
        assert made.state_dict() == twin.state_dict() == host.state_dict()


@LAZY
def test_a_model_that_moves_after_the_construction_is_followed(runtime):
    opt = optimizer_of([0.1])
    made = ReduceLROnPlateau(opt, patience=1, factor=0.7)
    assert made.driver.lowering == "host"
    moved = torch.nn.Parameter(torch.ones(2, device=runtime.device()))
    opt.param_groups[0]["params"] = [moved]
    for _ in range(3):
        made.step(1.0)
    runtime.finish_step()
    assert opt.param_groups[0]["lr"].device.type == runtime.device().type
    assert made.state_dict()["values"] == [0.1 * 0.7]


def test_where_there_is_no_float64_the_rule_is_in_float32(monkeypatch):
    """As on MPS, the rates are torch's except for float32 roundings at each reduction."""
    monkeypatch.setattr(Cpu, "has_float64", False)
    plain = theirs.ReduceLROnPlateau(optimizer_of([0.1]), **ARGUMENTS)
    made = ReduceLROnPlateau(optimizer_of([0.1], torch.float32), **ARGUMENTS)
    reductions = 0
    for metric in drawn_metrics(random.Random(9), 60, odd=0.0):
        metric, before = float(torch.tensor(metric)), rates_of(plain.optimizer)
        plain.step(metric)
        made.step(metric)
        reductions += rates_of(plain.optimizer) != before
        want = pytest.approx(rates_of(plain.optimizer), rel=2.0**-24 * (1 + 2 * reductions))
        assert rates_of(made.optimizer) == want
    assert reductions > 3


@LAZY
def test_torch_s_class_is_seen_to_read(runtime):
    """The counters that the tests above compare count its reads."""
    run = Training(runtime, lambda opt: theirs.ReduceLROnPlateau(opt, **ARGUMENTS))
    run.train(WARM_UP)
    assert run.train(10).from_device >= 10


@on("xla")
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize("syncs", [True, False], ids=["syncs", "never syncs"])
def test_openxla_compiles_and_transfers_nothing_once_warm(runtime, inside, syncs):
    run = Training(runtime, lambda opt: ReduceLROnPlateau(opt, **ARGUMENTS), inside)
    step = torch.compile(run._step, backend="openxla")

    def train(count):
        before = runtime.counters()
        for _ in range(count):
            loss = step()
            if not inside:
                run.scheduler.step(loss)
            if syncs:
                # Without syncs, each loss kept would be one more output of the graph.
                run.losses.append(loss)
                runtime.finish_step()
        runtime.wait()
        return runtime.counters() - before

    train(WARM_UP)
    cost = train(STEPS)
    assert (cost.compiles, cost.to_device, cost.from_device, cost.fallbacks) == (0, 0, 0, 0)
    saved = run.scheduler.state_dict()
    assert saved["last_epoch"] == WARM_UP + STEPS
    if syncs:
        plain = theirs.ReduceLROnPlateau(optimizer_of([0.3]), **ARGUMENTS)
        for loss in run.losses:
            plain.step(loss.item())
        assert saved["values"] == rates_of(plain.optimizer)
