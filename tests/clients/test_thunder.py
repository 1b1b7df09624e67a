"""thunder's module, with its own policies and with ours, and with schedulers of torch."""

import pytest
import torch
from example_scripts import run_example
from lightning.pytorch import Callback, Trainer
from side_by_side import (
    KINDS,
    OURS,
    RATE,
    Record,
    assert_same,
    data,
    network,
    rate,
    rates_of,
    torchs,
)
from thunder import ThunderModule
from thunder import policy as theirs
from torch.utils.data import DataLoader, TensorDataset

from accelsched import policy as ours

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:You defined a `validation_step`",
    # Lightning uses a class that the newest torch deprecates.
    "ignore:.*LeafSpec:FutureWarning",
)

QUIET = ["enable_checkpointing", "enable_model_summary", "enable_progress_bar", "logger"]
EPOCHS, BATCHES = 6, 2


def halved(step):
    """Return the rate, halved ``step`` times: exact in every float type."""
    return RATE * 0.5**step


def eighths(step):
    return RATE * max(0.0, 1 - step / 8)


#: Functions that make a policy for two param groups from the module with the policy classes.
POLICIES = {
    "Multiply": lambda m: m.Multiply({1: 0.5, 4: 0.25}, RATE),
    "Multiply of each group": lambda m: m.Multiply([{2: 0.5}, {0: 2.0, 3: 0.5}], [RATE, RATE / 2]),
    "Switch": lambda m: m.Switch({0: RATE / 4, 3: RATE * 2}, RATE),
    "Switch of each group": lambda m: m.Switch([{2: RATE * 2}, {1: RATE / 8}], [RATE, RATE / 2]),
    "Schedule": lambda m: m.Schedule(halved, RATE),
    "Schedule of each group": lambda m: m.Schedule([halved, eighths], RATE),
}
NAMES = pytest.mark.parametrize("name", POLICIES)


class Noting(Callback):
    """Notes the rates of each step of the optimizer."""

    def __init__(self):
        self.record = Record()

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.record.rates.append(rates_of(optimizer))


def build(kind, make):
    """Return a thunder module whose ``lr_scheduler`` is ``make(optimizer)``."""
    model = network()
    groups = [{"params": layer.parameters(), "lr": rate(kind)} for layer in (model[0], model[2])]
    optimizer = torch.optim.SGD(groups, momentum=0.5)
    criterion = torch.nn.functional.mse_loss
    return ThunderModule(model, criterion, optimizer=optimizer, lr_scheduler=make(optimizer))


def fit(module, resume=None, epochs=EPOCHS, save=None):
    noting = Noting()
    batches = DataLoader(TensorDataset(*data()), batch_size=24 // BATCHES)
    quiet = dict.fromkeys(QUIET, False)
    trainer = Trainer(accelerator="cpu", max_epochs=epochs, callbacks=[noting], **quiet)
    trainer.fit(module, batches, ckpt_path=resume)
    if save:
        trainer.save_checkpoint(save)
    noting.record.keep_weights(module.parameters())
    return noting.record


@NAMES
@KINDS
def test_a_policy(name, kind):
    mine = fit(build(kind, lambda _: POLICIES[name](ours)))
    assert_same(mine, fit(build(kind, lambda _: POLICIES[name](theirs))))


@NAMES
@KINDS
def test_a_policy_that_is_bound_before(name, kind):
    """The module calls any callable scheduler, so it binds ours and theirs a second time."""
    mine = fit(build(kind, POLICIES[name](ours)))
    assert_same(mine, fit(build(kind, POLICIES[name](theirs))))


@NAMES
def test_another_fit_begins_again(name):
    mine, other = (build("float", lambda _, m=m: POLICIES[name](m)) for m in (ours, theirs))
    assert_same(fit(mine), fit(other))
    assert_same(fit(mine), fit(other))


@OURS
@KINDS
def test_a_scheduler(ours, kind):
    """thunder uses torch's scheduler unchanged, but calls ours to bind it to the optimizer.

    So with ours the module needs its ``optimizer``; thunder finds torch's in the scheduler.
    """
    module = build(kind, ours)
    assert_same(fit(module), fit(build(kind, torchs)))
    module.optimizer = None
    with pytest.raises(ValueError, match="demands an Optimizer"):
        fit(module)


@NAMES
@pytest.mark.parametrize(("begun", "resumed"), [(ours, ours), (theirs, ours), (ours, theirs)])
def test_a_checkpoint_is_resumed(name, begun, resumed, tmp_path):
    path = tmp_path / "last.ckpt"
    fit(build("float", lambda _: POLICIES[name](begun)), epochs=1, save=path)
    mine = fit(build("float", lambda _: POLICIES[name](resumed)), path)
    whole = fit(build("float", lambda _: POLICIES[name](theirs)))
    whole.rates = whole.rates[BATCHES:]
    assert_same(mine, whole)


def test_our_example():
    example = run_example("thunder")
    assert example["optimizer"].param_groups[0]["lr"] == pytest.approx(0.001, rel=2**-52)
