"""torch_xla's ways to run a step: compare its counters, and the weights with eager PyTorch."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training import Run, eager_result, rounding
from xla_programs import SCHEDULE, STEPS

from accelsched import Scheduler, reference
from accelsched._runtimes import Counters

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch_xla") is None, reason="torch_xla is not installed"
)
LOWERINGS = pytest.mark.parametrize("lowering", ["graph", "table"])
XLA = pytest.mark.parametrize("runtime", ["xla"], indirect=True)


def scheduled(lowering):
    return lambda optimizer: Scheduler(optimizer, SCHEDULE, lowering=lowering)


def check(run):
    """Check the learning rate and the weights of a run of STEPS steps."""
    assert run.schedulers[0].last_epoch == STEPS
    assert run.rates() == pytest.approx([reference.value(SCHEDULE, STEPS)], rel=1e-12)
    compare(run.result())


def compare(weights):
    want = eager_result("SGD", [lambda step: reference.value(SCHEDULE, step)], STEPS, [{}])
    assert (weights - want).abs().max() <= rounding(want, STEPS)


@XLA
@pytest.mark.parametrize("way", ["step", "compile"])
@LOWERINGS
def test_a_step_is_one_execution_and_nothing_else(runtime, way, lowering):
    import torch_xla

    run = Run(runtime, "SGD", scheduled(lowering))
    plain = run.step

    def in_a_context():
        with torch_xla.step():
            plain()

    step = in_a_context if way == "step" else torch_xla.compile(plain)
    for _ in range(5):
        step()
    runtime.wait()
    before = runtime.counters()
    for _ in range(45):
        step()
    runtime.wait()
    assert runtime.counters() - before == Counters(executions=45)
    check(run)


@XLA
@LOWERINGS
def test_ten_steps_in_a_graph_are_one_execution(runtime, lowering):
    run = Run(runtime, "SGD", scheduled(lowering))
    run.train(20, steps_in_a_graph=10)
    assert run.train(30, steps_in_a_graph=10) == Counters(executions=3)
    check(run)


@XLA
@LOWERINGS
def test_a_step_of_several_backward_passes(runtime, lowering):
    """With gradient accumulation, each pass ends a graph and the last one also steps."""
    run = Run(runtime, "SGD", scheduled(lowering))

    def step():
        run.optimizer.zero_grad()
        for part in (slice(0, 8), slice(8, 16)):
            error = run.inputs[part] @ run.weights[0] - run.targets[part]
            (error.square().mean() / 2).backward()
            if part.start == 0:
                runtime.finish_step()
        run.optimizer.step()
        run.schedulers[0].step()

    run.step = step
    run.train(5)
    assert run.train(45) == Counters(executions=90)
    check(run)


@XLA
@LOWERINGS
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize("syncs", [True, False], ids=["syncs", "never syncs"])
def test_openxla_compiles_and_transfers_nothing_once_warm(runtime, lowering, inside, syncs):
    """One function runs forward, backward and the optimizer, with or without the scheduler."""
    run = Run(runtime, "SGD", scheduled(lowering))
    (scheduler,) = run.schedulers
    run.schedulers = run.schedulers if inside else []
    step = torch.compile(run.step, backend="openxla")

    def train(count):
        before = runtime.counters()
        for _ in range(count):
            step()
            if not inside:
                scheduler.step()
            if syncs:
                runtime.finish_step()
        runtime.wait()
        return runtime.counters() - before

    train(5)
    cost = train(45)
    assert (cost.compiles, cost.to_device, cost.from_device, cost.fallbacks) == (0, 0, 0, 0)
    run.schedulers = [scheduler]
    check(run)


# Programs that set up their own processes.


def process(path, *arguments, devices):
    environment = {**os.environ, "CPU_NUM_DEVICES": str(devices)}
    environment.pop("PYTHONSAFEPATH", None)
    command = [sys.executable, Path(__file__).parents[2] / path, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def started(name, lowering, folder, devices=1):
    return process("tests/support/xla_programs.py", name, lowering, folder, devices=devices)


def found(name, lowering, folder, devices=1):
    """Run a program; check the results of each of its runs and return them."""
    ended = started(name, lowering, folder, devices)
    assert ended.returncode == 0, ended.stderr
    runs = json.loads((folder / "found.json").read_text())
    for run in runs:
        assert run["step"] == STEPS
        assert run["rates"] == pytest.approx([reference.value(SCHEDULE, STEPS)], rel=1e-12)
        compare(torch.tensor(run["weights"], dtype=torch.float64))
    return runs


@XLA
@LOWERINGS
def test_several_devices_share_a_batch_and_a_checkpoint(runtime, lowering, tmp_path):
    whole, resumed = found("spmd", lowering, tmp_path, devices=4)
    assert whole["devices"] == 4
    counter, rate, data = whole["sharding"]
    assert counter == rate == "{replicated}"
    assert data == "{devices=[4,1]0,1,2,3}"
    assert Counters(**whole["counters"]) == Counters(executions=15)
    assert (resumed["weights"], resumed["rates"]) == (whole["weights"], whole["rates"])


@XLA
@LOWERINGS
def test_several_devices_share_the_weights(runtime, lowering, tmp_path):
    """Sharded by hand or by torch_xla's FSDPv2, a step costs as much as with a constant rate."""
    for run in found("in_shards", lowering, tmp_path, devices=4):
        counter, rate, weights, momenta = run["sharding"]
        assert counter == rate == "{replicated}"
        assert weights == momenta == "{devices=[4]0,1,2,3}"
        assert Counters(**run["counters"]) == Counters(**run["constant"]) == Counters(executions=45)


@XLA
def test_our_example(runtime):
    ended = process("examples/with_torch_xla.py", devices=4)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Scheduler of lr, step 100: 0\n")


@XLA
@LOWERINGS
def test_replicas_that_are_launched_agree(runtime, lowering, tmp_path):
    one, other = found("launched", lowering, tmp_path, devices=2)
    assert one == other
    assert one["replicas"] == 2


@XLA
@LOWERINGS
def test_a_killed_run_goes_on_bit_for_bit(runtime, lowering, tmp_path):
    assert started("until_killed", lowering, tmp_path).returncode == 9
    assert found("resumed", lowering, tmp_path) == found("whole", lowering, tmp_path)


@XLA
def test_a_model_that_moves_after_the_construction_is_followed(runtime):
    """Accelerate moves the model late and puts its new parameters in the param groups."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)
    scheduler = Scheduler(optimizer, SCHEDULE)
    assert scheduler.driver.lowering == "host"
    moved = torch.nn.Parameter(torch.ones(2, device=runtime.device()))
    moved.grad = torch.ones_like(moved)
    optimizer.param_groups[0]["params"] = [moved]
    for _ in range(3):
        optimizer.step()
        scheduler.step()
        runtime.finish_step()
    runtime.wait()
    before = runtime.counters()
    for _ in range(20):
        optimizer.step()
        scheduler.step()
        runtime.finish_step()
    runtime.wait()
    spent = runtime.counters() - before
    assert (spent.compiles, spent.to_device, spent.from_device) == (0, 0, 0)
    rate = optimizer.param_groups[0]["lr"]
    assert rate.device.type == "xla"
    assert rate.item() == pytest.approx(reference.value(SCHEDULE, 23), rel=2**-23)
