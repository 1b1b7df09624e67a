"""Lightning's Trainer and Fabric, with torch's scheduler and with ours."""

import contextlib
import csv
import functools
from pathlib import Path

import pytest
import torch
from example_scripts import run_example
from lightning.fabric import Fabric
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    LearningRateMonitor,
    StochasticWeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger
from resumed import RESUMED
from side_by_side import (
    KINDS,
    OURS,
    RATE,
    Record,
    adamw,
    assert_same,
    converted,
    data,
    network,
    rate,
    rates_of,
    torchs,
    written,
)
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau as TorchPlateau
from torch.utils.data import DataLoader, TensorDataset

from accelsched import from_torch
from accelsched.lr_scheduler import ReduceLROnPlateau

pytestmark = [
    # Lightning gives advice on the number of workers.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning uses a class of torch that has been renamed.
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
]

BATCHES = 6
QUIET = {
    "accelerator": "cpu",
    "devices": 1,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "log_every_n_steps": 1,
    "logger": False,
    "max_epochs": 2,
}


class Regression(LightningModule):
    """A user's module, which builds its scheduler and records the rates of each step.

    Args:
        make: makes the scheduler.
        kind: "float" or "tensor": the type of the learning rate.
        config: the other entries of Lightning's `lr_scheduler` dictionary.
    """

    def __init__(self, make, kind="float", **config):
        super().__init__()
        self.model = network()
        self.make, self.kind, self.config = make, kind, config
        self.record = Record()

    def configure_optimizers(self):
        optimizer = adamw(self.model, self.kind)
        config = {"scheduler": self.make(optimizer), **self.config}
        return {"optimizer": optimizer, "lr_scheduler": config}

    def loss(self, batch):
        inputs, targets = batch
        return (self.model(inputs) - targets).square().mean()

    def training_step(self, batch, index):
        loss = self.loss(batch)
        self.log("loss", loss)
        return loss

    def on_before_optimizer_step(self, optimizer):
        self.record.rates.append(rates_of(optimizer))


def batches():
    return DataLoader(TensorDataset(*data(4 * BATCHES)), batch_size=4)


def fit(module, resume=None, **options):
    """Train as a user does, and return the record with the weights."""
    trainer = Trainer(**{**QUIET, **options})
    trainer.fit(module, batches(), ckpt_path=resume)
    module.record.keep_weights(module.parameters())
    return module.record


STEP, EPOCH = {"interval": "step"}, {"interval": "epoch"}


@OURS
@KINDS
@pytest.mark.parametrize("config", [STEP, EPOCH, {"interval": "step", "frequency": 2}], ids=str)
def test_automatic_optimization(ours, kind, config):
    records = [fit(Regression(make, kind, **config), max_epochs=3) for make in (ours, torchs)]
    assert_same(*records)


@OURS
@KINDS
def test_accumulated_gradients(ours, kind):
    """Lightning steps after 4 of 6 batches, and again at the end of the epoch."""
    options = {"accumulate_grad_batches": 4, "max_epochs": 4}
    records = [fit(Regression(make, kind, **STEP), **options) for make in (ours, torchs)]
    assert_same(*records)
    assert len(records[0].rates) == 8


class Manual(Regression):
    """Manual optimization: two optimizers, which Lightning wraps, with a scheduler each."""

    def __init__(self, make, kind="float"):
        super().__init__(make, kind)
        self.automatic_optimization = False
        self.critic = nn.Linear(4, 1)
        nn.init.constant_(self.critic.weight, 0.5)

    def configure_optimizers(self):
        actor = adamw(self.model, self.kind)
        critic = torch.optim.SGD(self.critic.parameters(), lr=rate(self.kind), momentum=0.5)
        return [actor, critic], [self.make(actor), self.make(critic)]

    def training_step(self, batch, index):
        losses = self.loss(batch), (self.critic(batch[0]) - batch[1]).square().mean()
        steps = zip(losses, self.optimizers(), self.lr_schedulers(), strict=True)
        for every, (loss, optimizer, scheduler) in enumerate(steps, start=1):
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            if index % every == 0:
                scheduler.step()


@OURS
@KINDS
def test_manual_optimization_with_two_optimizers(ours, kind):
    assert_same(*(fit(Manual(make, kind)) for make in (ours, torchs)))


@OURS
@KINDS
# The monitor calls `torch.tensor(rate)` even if the rate is a tensor.
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_what_the_learning_rate_monitor_logs(ours, kind, tmp_path):
    def run(make):
        logger = CSVLogger(tmp_path, version=make.__name__)
        monitor = LearningRateMonitor("step")
        record = fit(Regression(make, kind, **STEP), logger=logger, callbacks=[monitor])
        with (Path(logger.log_dir) / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        names = [name for name in rows[0] if name.startswith("lr-")]
        record.logged = [[row[name] for name in sorted(names)] for row in rows if row[names[0]]]
        return record

    mine, theirs = run(ours), run(torchs)
    assert_same(mine, theirs)
    assert [[float(rate) for rate in row] for row in mine.logged] == mine.rates


@OURS
@KINDS
@pytest.mark.parametrize("strategy", ["linear", "cos"])
def test_stochastic_weight_averaging_takes_over(ours, kind, strategy):
    """The callback replaces our scheduler with SWALR in mid-run."""

    def run(make):
        average = StochasticWeightAveraging(
            swa_lrs=0.25, swa_epoch_start=3, annealing_epochs=2, annealing_strategy=strategy
        )
        return fit(Regression(make, kind, **EPOCH), callbacks=[average], max_epochs=6)

    assert_same(run(ours), run(torchs))


@KINDS
@pytest.mark.parametrize("config", [STEP, EPOCH], ids=str)
@RESUMED
def test_a_checkpoint_is_resumed(first, second, kind, config, tmp_path):
    begun = Trainer(**QUIET)
    begun.fit(Regression(first, kind, **config), batches())
    begun.save_checkpoint(tmp_path / "last.ckpt")
    resumed = fit(Regression(second, kind, **config), tmp_path / "last.ckpt", max_epochs=5)
    whole = fit(Regression(torchs, kind, **config), max_epochs=5)
    whole.rates = whole.rates[2 * BATCHES :]
    assert_same(resumed, whole)


class Unfreeze(BaseFinetuning):
    """Trains the last layer, and from the third epoch on the first too, as a group of its own."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def freeze_before_training(self, module):
        self.freeze(module.model[0])

    def finetune_function(self, module, epoch, optimizer):
        if epoch == 2:
            first = rate(self.kind, RATE / 4)
            self.unfreeze_and_add_param_group(module.model[0], optimizer, lr=first)


class LastLayer(Regression):
    def configure_optimizers(self):
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=rate(self.kind), momentum=0.5)
        config = {"scheduler": self.make(optimizer), **self.config}
        return {"optimizer": optimizer, "lr_scheduler": config}


def fine_tuned(make, kind):
    return fit(LastLayer(make, kind, **STEP), callbacks=[Unfreeze(kind)], max_epochs=4)


@KINDS
def test_groups_that_finetuning_adds_are_driven(kind):
    """A group that is added at step 12 gets the factor of the others from the next step on.

    The first group has the rates of a run without the added group.
    """
    rates = fine_tuned(written, kind).rates
    alone = fit(LastLayer(torchs, kind, **STEP), max_epochs=4).rates
    assert [first for first, *_ in rates] == [first for (first,) in alone]
    assert [len(each) for each in rates] == [1] * 12 + [2] * 12
    assert [late for _, late in rates[12:]] == [RATE / 4, *(rate / 4 for (rate,) in alone[13:])]


def test_groups_that_a_converted_scheduler_does_not_know_keep_their_rate():
    """LambdaLR has one function per group: with a new group, torch's fails and ours warns."""
    with pytest.raises(ValueError, match="zip"):
        fine_tuned(torchs, "float")
    with pytest.warns(UserWarning, match="a param group was added that .* does not drive"):
        rates = fine_tuned(converted, "float").rates
    assert [late for _, late in rates[12:]] == [RATE / 4] * 12
    assert len({first for first, _ in rates[12:]}) == 12


class WarmUp(Regression):
    """The warm-up of Lightning's documentation: `optimizer_step` writes the rates itself."""

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
        optimizer.step(closure=optimizer_closure)
        if self.trainer.global_step < 8:
            scale = min(1.0, float(self.trainer.global_step + 1) / 8.0)
            for group in optimizer.param_groups:
                group["lr"] = scale * RATE


@OURS
@KINDS
@pytest.mark.parametrize("config", [STEP, EPOCH], ids=str)
def test_a_warm_up_by_hand_beside_a_scheduler(ours, kind, config):
    """The scheduler's next step restores its own rates, as torch's does.

    Ours warns if a tensor was replaced. It overwrites a float without a warning.
    """
    theirs = fit(WarmUp(torchs, kind, **config), max_epochs=4)
    replaced = pytest.warns(UserWarning, match="other code set it to .*")
    with replaced if kind == "tensor" else contextlib.nullcontext():
        mine = fit(WarmUp(ours, kind, **config), max_epochs=4)
    assert_same(mine, theirs)


@KINDS
@pytest.mark.parametrize("how", ["alone", "config"])
@pytest.mark.parametrize(
    "make", [ReduceLROnPlateau, lambda o, **k: from_torch(TorchPlateau(o, **k))]
)
def test_reduce_on_plateau(make, how, kind):
    """Lightning recognizes ours as a metric scheduler, even without ``reduce_on_plateau``."""
    told = {"reduce_on_plateau": True} if how == "config" else {}
    config = {"monitor": "loss", "interval": "step", **told}
    options = {"factor": 0.5, "patience": 0, "threshold": 0.5}

    def run(cls):
        return fit(Regression(functools.partial(cls, **options), kind, **config))

    assert_same(run(make), run(TorchPlateau))


class OfFabric:
    """A Fabric run whose scheduler drives the wrapped optimizer (``late``) or the inner one."""

    def __init__(self, make, kind, late):
        model = network()
        optimizer = adamw(model, kind)
        scheduler = None if late else make(optimizer)
        self.fabric = Fabric(accelerator="cpu", devices=1)
        model, optimizer = self.fabric.setup(model, optimizer)
        scheduler = scheduler or make(optimizer)
        self.parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}

    def train(self, steps, record):
        model, optimizer, scheduler = self.parts.values()
        inputs, targets = data()
        for _ in range(steps):
            optimizer.zero_grad()
            self.fabric.backward((model(inputs) - targets).square().mean())
            record.rates.append(rates_of(optimizer))
            optimizer.step()
            scheduler.step()
        record.keep_weights(model.parameters())
        return record


@OURS
@KINDS
@pytest.mark.parametrize("late", [False, True], ids=["then set up", "set up before"])
def test_fabric_saves_and_loads(ours, kind, late, tmp_path):
    """A checkpoint is loaded in mid-run, and into a new run; both continue from it."""

    def run(make):
        path = tmp_path / make.__name__
        one, another = OfFabric(make, kind, late), OfFabric(make, kind, late)
        record = one.train(5, Record())
        one.fabric.save(path, one.parts)
        one.train(3, Record())
        again = Record(rates=[*record.rates])
        for loaded, found in ((one, record), (another, again)):
            loaded.fabric.load(path, loaded.parts)
            loaded.train(5, found)
        assert_same(again, record)
        return record

    assert_same(run(ours), run(torchs))


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_what_the_learning_rate_monitor_reads(tmp_path, monkeypatch):
    """The monitor reads the tensor of each param group whenever it logs."""

    def reads(*callbacks):
        item, found = torch.Tensor.item, []

        def counted(tensor):
            found.append(tensor)
            return item(tensor)

        logger = CSVLogger(tmp_path, version=len(callbacks))
        with monkeypatch.context() as patched:
            patched.setattr(torch.Tensor, "item", counted)
            fit(Regression(written, "tensor", **STEP), logger=logger, callbacks=[*callbacks])
        return len(found)

    groups, steps = 2, 2 * BATCHES
    assert reads(LearningRateMonitor("step")) - reads() == groups * steps


def test_our_example():
    example = run_example("lightning")
    (config,) = example["trainer"].lr_scheduler_configs
    assert config.scheduler.last_epoch == 100
    assert config.scheduler.optimizer.param_groups[0]["lr"] == 0.0
    # The last logged rate is from one step before the end.
    assert 0 < example["trainer"].logged_metrics["lr"] < 1e-4
