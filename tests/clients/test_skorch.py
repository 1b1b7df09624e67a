"""skorch's callback, with torch's scheduler and with ours."""

import pytest
import torch
from example_scripts import run_example
from side_by_side import (
    KINDS,
    RATE,
    Record,
    assert_same,
    data,
    network,
    rate,
    rates_of,
    shape,
)
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback, LRScheduler
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.lr_scheduler import ReduceLROnPlateau as TorchPlateau

from accelsched import Scheduler, from_torch
from accelsched.lr_scheduler import ReduceLROnPlateau
from accelsched.schedules import Linear


def converted(optimizer, last_epoch=-1):
    return from_torch(LambdaLR(optimizer, shape, last_epoch))


#: A policy and its arguments.
TORCHS = {"policy": LambdaLR, "lr_lambda": shape}
FACTOR = Linear(0.5, 1.0, 4).then(Linear(1.0, 0.0, 32), at=4)
WRITTEN = {"policy": Scheduler, "schedule": FACTOR, "relative": True}
OURS = pytest.mark.parametrize(
    "ours", [{"policy": converted}, WRITTEN], ids=["converted", "written"]
)
QUIET = {"train_split": None, "verbose": 0, "batch_size": 8, "max_epochs": 3}


class Noting(Callback):
    """Notes the rates of each batch."""

    def initialize(self):
        self.rates = []
        return self

    def on_batch_begin(self, net, training=True, **_):
        if training:
            self.rates.append(rates_of(net.optimizer_))


def fitted(kind, *fits, **callback):
    """Train a net by one or more fits, and return its rates and weights."""
    noting = Noting()
    net = NeuralNetRegressor(
        network(),
        optimizer=torch.optim.AdamW,
        lr=rate(kind),
        callbacks=[("noting", noting), ("lr", LRScheduler(**callback))],
        **QUIET,
    )
    inputs, targets = data()
    for fit in fits or ("fit",):
        getattr(net, fit)(inputs, targets)
    if callback.get("step_every") == "batch":
        rows = [rate for row in net.history[:, "batches", :, "event_lr"] for rate in row]
    else:
        rows = net.history[:, "event_lr"]
    record = Record(dict(net.callbacks_)["noting"].rates, [float(rate) for rate in rows])
    record.keep_weights(net.module_.parameters())
    return record


@OURS
@KINDS
@pytest.mark.parametrize("every", ["epoch", "batch"])
def test_the_callback(every, kind, ours):
    mine = fitted(kind, **ours, step_every=every)
    assert_same(mine, fitted(kind, **TORCHS, step_every=every))


@OURS
@KINDS
def test_another_fit_goes_on_from_its_epoch(kind, ours):
    """``partial_fit`` builds another scheduler, with ``last_epoch``."""
    mine = fitted(kind, "fit", "partial_fit", **ours)
    assert_same(mine, fitted(kind, "fit", "partial_fit", **TORCHS))
    assert mine.rates[-1] == [RATE * shape(5)]


@KINDS
@pytest.mark.parametrize("converts", [False, True], ids=["written", "converted"])
def test_a_plateau_gets_the_score(kind, converts):
    """skorch passes ``last_epoch`` to any policy but torch's own class; this policy drops it."""

    def policy(optimizer, last_epoch, **settings):
        if converts:
            return from_torch(TorchPlateau(optimizer, **settings))
        return ReduceLROnPlateau(optimizer, **settings)

    settings = {"factor": 0.5, "patience": 0, "threshold": 0.5}
    mine = fitted(kind, policy=policy, **settings)
    assert_same(mine, fitted(kind, policy=TorchPlateau, **settings))


@OURS
def test_rates_that_are_simulated(ours):
    mine = LRScheduler(**ours).simulate(20, RATE)
    assert mine.tolist() == [RATE * shape(step) for step in range(20)]


class Finishing(Callback):
    """Ends the graph of each batch, and records the device counters."""

    def __init__(self, runtime):
        self.runtime = runtime

    def initialize(self):
        self.spent = []
        return self

    def on_batch_end(self, net, **_):
        self.runtime.finish_step()
        self.runtime.wait()
        self.spent.append(self.runtime.counters())


@pytest.mark.parametrize("runtime", ["lazy"], indirect=True)
def test_what_it_costs_on_a_device(runtime):
    """skorch reads the loss of each batch. The schedule adds no cost, not even for the history."""

    def cost(*callbacks):
        net = NeuralNetRegressor(
            network().to(runtime.device()),
            optimizer=torch.optim.SGD,
            lr=RATE,
            device=runtime.device(),
            callbacks=[*callbacks, ("finishing", Finishing(runtime))],
            **{**QUIET, "max_epochs": 8},
        )
        net.fit(*data())
        spent = dict(net.callbacks_)["finishing"].spent
        return spent[-1] - spent[5]

    constant = cost()
    assert constant.from_device == 18
    assert cost(("lr", LRScheduler(**WRITTEN, step_every="batch"))) == constant


def test_our_example():
    example = run_example("skorch")
    net = example["net"]
    assert net.history[0, "batches", 0, "event_lr"] == 0.0
    assert net.history[1, "batches", 0, "event_lr"] == 0.1
    assert net.optimizer_.param_groups[0]["lr"] == 0.0
