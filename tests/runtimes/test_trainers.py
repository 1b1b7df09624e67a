"""The Trainer of transformers and Accelerate on torch_xla: what a schedule costs there.

The environment of ``tests/clients`` has no torch_xla, so these tests are here. Importing the two
libraries takes some seconds.
"""

import pytest
import torch
from side_by_side import RATE, data, network
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from accelsched import from_torch

# Both libraries call torch_xla functions by deprecated names.
pytestmark = pytest.mark.filterwarnings("ignore:Use torch_xla:DeprecationWarning")
XLA = pytest.mark.parametrize("runtime", ["xla"], indirect=True)
STEPS, FIRST = 20, 5


def constant(optimizer):
    return LambdaLR(optimizer, lambda step: 1.0)


def torchs(optimizer):
    return LambdaLR(optimizer, lambda step: 0.5 + step / 64)


def converted(optimizer):
    return from_torch(torchs(optimizer))


@pytest.fixture(autouse=True)
def one_accelerator_after_the_other():
    yield
    from accelerate_runs import forget_the_accelerator

    forget_the_accelerator()


class Spending:
    """The back end's counters from `begin` to `end`."""

    def __init__(self, runtime):
        self.runtime = runtime

    def begin(self):
        self.runtime.wait()
        self.before = self.runtime.counters()

    def end(self):
        self.runtime.wait()
        self.spent = self.runtime.counters() - self.before


class Regression(torch.nn.Module):
    """A model as the Trainer takes it: it returns its loss."""

    def __init__(self):
        super().__init__()
        self.network = network()

    def forward(self, inputs, labels):
        return {"loss": (self.network(inputs) - labels).square().mean()}


def by_the_trainer(make, runtime, folder, logging_steps):
    """Train; return the cost, the logged learning rates and the weights."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Watching(TrainerCallback, Spending):
        def on_step_begin(self, args, state, control, **others):
            if state.global_step == FIRST:
                self.begin()

        def on_train_end(self, args, state, control, **others):
            self.end()

    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no"}
    some = {"per_device_train_batch_size": 4, "max_steps": STEPS, "dataloader_pin_memory": False}
    arguments = TrainingArguments(folder, logging_steps=logging_steps, **some, **quiet)
    model = Regression().to(arguments.device)
    assert arguments.device.type == "xla"
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    pairs = [{"inputs": x, "labels": y} for x, y in zip(*data(4 * STEPS), strict=True)]
    watching = Watching(runtime)
    trainer = Trainer(
        model,
        arguments,
        train_dataset=pairs,
        optimizers=(optimizer, make(optimizer)),
        callbacks=[watching],
    )
    trainer.train()
    history = trainer.state.log_history
    logged = [entry["learning_rate"] for entry in history if "learning_rate" in entry]
    return watching.spent, logged, [p.detach().cpu() for p in model.parameters()]


def assert_costs_nothing(constants, theirs, mine):
    """Check that the cost is a constant rate's, and the rates and weights torch's."""
    assert mine[0] == constants[0]
    assert theirs[0].executions == constants[0].executions
    assert mine[1] == theirs[1]
    assert all(map(torch.equal, mine[2], theirs[2]))


@XLA
@pytest.mark.parametrize(("logging_steps", "logs"), [(1, STEPS), (1000, 0)])
def test_the_trainer(runtime, logging_steps, logs, tmp_path):
    """Logging copies the loss and others to the host, but not the rate: the host has it."""

    def run(make):
        return by_the_trainer(make, runtime, tmp_path, logging_steps)

    assert_costs_nothing(run(constant), run(torchs), mine := run(converted))
    spent, logged, _ = mine
    assert len(logged) == logs
    assert all(type(rate) is float for rate in logged)
    steps = STEPS - FIRST
    # One copy is of the loss at the end of training.
    assert (spent.executions, spent.from_device) == (
        (5 * steps, 8 * steps + 1) if logs else (steps, 1)
    )


def by_accelerate(make, runtime):
    """Train a model that is built on the CPU and moved by `prepare`."""
    from accelerate import Accelerator

    accelerator, spending = Accelerator(), Spending(runtime)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    scheduler = make(optimizer)
    batches = DataLoader(TensorDataset(*data(4 * STEPS)), batch_size=4)
    parts = accelerator.prepare(model, optimizer, batches, scheduler)
    model, optimizer, batches, scheduler = parts
    logged = []
    for index, (inputs, targets) in enumerate(batches):
        if index == FIRST:
            spending.begin()
        accelerator.backward((model(inputs) - targets).square().mean())
        logged.append(scheduler.get_last_lr())
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    spending.end()
    return spending.spent, logged, [p.detach().cpu() for p in model.parameters()]


@XLA
def test_accelerate_moves_the_model_after_the_scheduler_is_built(runtime):
    def run(make):
        return by_accelerate(make, runtime)

    assert_costs_nothing(run(constant), run(torchs), mine := run(converted))
    spent, logged, _ = mine
    assert all(type(rate) is float for (rate,) in logged)
    assert (spent.executions, spent.from_device) == (STEPS - FIRST, 0)
