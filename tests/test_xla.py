"""torch_xla's own ways to run a step: torch_xla.step and torch_xla.compile, by its counters."""

import importlib.util

import pytest
import torch
from training import Run, eager_result, rounding

from accelsched import Scheduler, reference
from accelsched.runtimes import Counters
from accelsched.schedules import CosineDecay, Linear

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch_xla") is None, reason="torch_xla is not installed"
)
SCHEDULE = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.001, 80), at=20)


@pytest.mark.parametrize("runtime", ["xla"], indirect=True)
@pytest.mark.parametrize("way", ["step", "compile"])
@pytest.mark.parametrize("lowering", ["graph", "table"])
def test_a_step_is_one_execution_and_nothing_else(runtime, way, lowering):
    import torch_xla

    run = Run(runtime, "SGD", lambda o: Scheduler(o, SCHEDULE, lowering=lowering))
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
    assert run.schedulers[0].last_epoch == 50
    assert run.rates() == pytest.approx([reference.value(SCHEDULE, 50)], rel=1e-12)
    want = eager_result("SGD", [lambda count: reference.value(SCHEDULE, count)], 50, [{}])
    assert (run.result() - want).abs().max() <= rounding(want, 50)


@pytest.mark.parametrize("runtime", ["xla"], indirect=True)
@pytest.mark.parametrize("lowering", ["graph", "table"])
def test_openxla_compiles_and_transfers_nothing_once_warm(runtime, lowering):
    """Forward, backward, the optimizer's step and the scheduler's, as one function."""
    run = Run(runtime, "SGD", lambda o: Scheduler(o, SCHEDULE, lowering=lowering))
    step = torch.compile(run.step, backend="openxla")

    def train(count):
        before = runtime.counters()
        for _ in range(count):
            step()
            runtime.finish_step()
        runtime.wait()
        return runtime.counters() - before

    train(5)
    cost = train(45)
    assert (cost.compiles, cost.to_device, cost.from_device, cost.fallbacks) == (0, 0, 0, 0)
    assert run.rates() == pytest.approx([reference.value(SCHEDULE, 50)], rel=1e-12)
    want = eager_result("SGD", [lambda count: reference.value(SCHEDULE, count)], 50, [{}])
    assert (run.result() - want).abs().max() <= rounding(want, 50)
