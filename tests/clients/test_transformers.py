"""The Trainer of transformers, with torch's scheduler and with ours."""

import pytest
import torch
from example_scripts import run_example
from resumed import RESUMED
from side_by_side import (
    KINDS,
    OURS,
    RATE,
    Record,
    adamw,
    assert_same,
    rates_of,
    torchs,
    written,
)
from torch.optim.lr_scheduler import LambdaLR
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import SchedulerType

from accelsched import Scheduler, from_torch
from accelsched.lr_scheduler import ReduceLROnPlateau

STEPS = 12


class Noting(TrainerCallback):
    """Notes the rates of each step of the optimizer."""

    def __init__(self):
        self.record = Record()

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **others):
        self.record.rates.append(rates_of(optimizer))


def model():
    torch.manual_seed(0)
    sizes = {"vocab_size": 16, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 2}
    quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(**sizes, **quiet, bos_token_id=0, eos_token_id=0))


def sentences():
    ids = torch.randint(16, (2 * STEPS, 8), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": row, "labels": row} for row in ids]


def arguments(tmp_path, **options):
    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "use_cpu": True}
    some = {"per_device_train_batch_size": 4, "max_steps": STEPS, "logging_steps": 1, "seed": 0}
    return TrainingArguments(**{"output_dir": tmp_path, **quiet, **some, **options})


def train(trainer, resume=None):
    """Train as a user does, and return a record that includes the logged rates."""
    noting = Noting()
    trainer.add_callback(noting)
    trainer.train(resume_from_checkpoint=resume)
    history = trainer.state.log_history
    noting.record.logged = [entry["learning_rate"] for entry in history if "learning_rate" in entry]
    noting.record.keep_weights(trainer.model.parameters())
    return noting.record


def layers(of, kind):
    """Return AdamW with two param groups of different rates."""
    optimizer = adamw(torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)), kind)
    first, *others = of.parameters()
    for group, parameters in zip(optimizer.param_groups, ([first], others), strict=True):
        group["params"] = parameters
    return optimizer


def trainer_of(make, kind, tmp_path, **options):
    trained = model()
    optimizer = layers(trained, kind)
    return Trainer(
        trained,
        arguments(tmp_path, **options),
        train_dataset=sentences(),
        optimizers=(optimizer, make(optimizer)),
    )


@OURS
@KINDS
@pytest.mark.parametrize("accumulated", [1, 3])
def test_a_scheduler_that_it_is_given(ours, kind, accumulated, tmp_path):
    options = {"gradient_accumulation_steps": accumulated, "per_device_train_batch_size": 2}
    records = [train(trainer_of(make, kind, tmp_path, **options)) for make in (ours, torchs)]
    assert_same(*records)
    assert records[0].logged == [rates[0] for rates in records[0].rates]
    assert all(type(rate) is float for rate in records[0].logged)


@KINDS
@RESUMED
def test_a_checkpoint_is_resumed(first, second, kind, tmp_path):
    options = {"save_strategy": "steps", "save_steps": 5, "save_total_limit": 3}
    train(trainer_of(first, kind, tmp_path, **options))
    resumed = train(trainer_of(second, kind, tmp_path), str(tmp_path / "checkpoint-5"))
    whole = train(trainer_of(torchs, kind, tmp_path))
    whole.rates = whole.rates[5:]
    assert_same(resumed, whole)


class Scheduled(Trainer):
    """A user's override of ``create_scheduler``, which gets the optimizer that the Trainer made."""

    def create_scheduler(self, num_training_steps, optimizer=None):
        self.lr_scheduler = from_torch(super().create_scheduler(num_training_steps, optimizer))
        return self.lr_scheduler


#: Arguments that a scheduler type needs, or with which a metric scheduler moves in a few steps.
OPTIONS = {
    "reduce_lr_on_plateau": {"factor": 0.5, "patience": 0, "threshold": 0.5},
    "greedy": {"factor": 0.5, "patience": 0, "min_lr": 0.0},
    "cosine_with_min_lr": {"min_lr": 0.001},
    "cosine_warmup_with_min_lr": {"min_lr": 0.001},
    "warmup_stable_decay": {"num_decay_steps": 4},
}
#: Equal bit for bit: their rates have few digits here, or they compute as ours do.
EXACT = {
    "constant",
    "constant_with_warmup",
    "linear",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "greedy",
}
BY_METRIC = {"reduce_lr_on_plateau", "greedy"}


def trained_by_type(cls, name, tmp_path):
    metric = {"eval_strategy": "steps", "eval_steps": 2, "metric_for_best_model": "loss"}
    options = {
        "learning_rate": RATE,
        "lr_scheduler_type": name,
        "lr_scheduler_kwargs": OPTIONS.get(name),
        "warmup_steps": 4,
        **(metric if name in BY_METRIC else {}),
    }
    data = sentences()
    trainer = cls(
        model(), arguments(tmp_path, **options), train_dataset=data, eval_dataset=data[:4]
    )
    record = train(trainer)
    assert isinstance(trainer.lr_scheduler, Scheduler) == (cls is Scheduled)
    return record


@pytest.mark.parametrize("name", list(SchedulerType))
def test_every_type_of_scheduler(name, tmp_path):
    """Ours evaluates the float64 formulas of transformers in another order."""
    mine, theirs = (trained_by_type(cls, name.value, tmp_path) for cls in (Scheduled, Trainer))
    if name.value in EXACT:
        assert_same(mine, theirs, changes=name.value != "constant")
        return
    # Both multiply RATE by a factor from 0 to 1, made by some 8 operations: the cosine of a
    # product, a half, a sum. Each rounds by at most 2**-53 of RATE.
    for ours, other in zip(mine.rates, theirs.rates, strict=True):
        assert ours == pytest.approx(other, rel=0, abs=8 * 2**-53 * RATE)
    assert mine.logged == [rates[0] for rates in mine.rates]
    # A step rounds to float32, so a difference of 2**-53 changes one result in 2**28.
    for one, another in zip(mine.weights, theirs.weights, strict=True):
        assert torch.equal(one, another)


def test_a_trainer_that_trains_twice(tmp_path):
    """The second ``train()`` builds a new scheduler from the rates that the groups have then."""

    def run(cls):
        options = {"learning_rate": RATE, "warmup_steps": 2, "max_steps": 6}
        trainer = cls(model(), arguments(tmp_path, **options), train_dataset=sentences())
        before = train(trainer).rates
        for group in trainer.optimizer.param_groups:
            group["lr"] = RATE / 2
        record = train(trainer)
        record.rates = before + record.rates
        return record

    assert_same(run(Scheduled), run(Trainer))


def reads_of_the_rate(trainer, monkeypatch):
    """Return how often the host reads the lr tensor of a param group in a run."""
    item, reads = torch.Tensor.item, []

    def counted(tensor):
        if any(tensor is group["lr"] for group in trainer.optimizer.param_groups):
            reads.append(tensor)
        return item(tensor)

    monkeypatch.setattr(torch.Tensor, "item", counted)
    trainer.train()
    return len(reads)


def constant(optimizer):
    return LambdaLR(optimizer, lambda step: 1.0)


@pytest.mark.parametrize("logging_steps", [1, 100])
@pytest.mark.parametrize(("make", "more"), [(written, 0), (ReduceLROnPlateau, STEPS)])
def test_what_it_reads(make, more, logging_steps, tmp_path, monkeypatch):
    """Only a metric scheduler adds reads of the rate: one per step, with or without logging."""
    options = {"max_grad_norm": 0.0, "logging_steps": logging_steps}
    before = reads_of_the_rate(trainer_of(constant, "tensor", tmp_path, **options), monkeypatch)
    found = reads_of_the_rate(trainer_of(make, "tensor", tmp_path, **options), monkeypatch)
    assert found - before == more


# The Trainer pins memory by default, and torch warns where there is no GPU.
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true")
def test_our_example():
    trainer = run_example("transformers")["trainer"]
    assert isinstance(trainer.lr_scheduler, Scheduler)
    assert trainer.lr_scheduler.last_epoch == 20
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0
    assert trainer.state.log_history[0]["learning_rate"] == pytest.approx(0.01)
