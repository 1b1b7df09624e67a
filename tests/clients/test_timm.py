"""timm's Lookahead around an optimizer, and its protocol of schedulers."""

import copy

import pytest
import torch
from example_scripts import run_example
from side_by_side import (
    KINDS,
    OURS,
    RATE,
    Record,
    adamw,
    assert_same,
    data,
    network,
    rates_of,
    torchs,
)
from timm.optim import Lookahead, create_optimizer_v2
from timm.scheduler import CosineLRScheduler, PolyLRScheduler, StepLRScheduler

from accelsched import Scheduler
from accelsched._runtimes import Counters
from accelsched.schedules import CosineDecay, Linear, Polynomial, Step

STEPS = 15


@pytest.fixture(scope="module")
def example():
    return run_example("timm")


def train(model, optimizer, scheduler, steps, record):
    inputs, targets = data()
    for _ in range(steps):
        optimizer.zero_grad()
        (model(inputs) - targets).square().mean().backward()
        record.rates.append(rates_of(optimizer))
        optimizer.step()
        scheduler.step()
    record.keep_weights(model.parameters())


@OURS
@KINDS
@pytest.mark.parametrize("bound_to", ["Lookahead", "inner"])
def test_lookahead(bound_to, kind, ours):
    """Lookahead mixes in its slow weights every third step; a state is loaded in mid-run."""

    def run(make):
        model, record = network(), Record()
        inner = adamw(model, kind)
        optimizer = Lookahead(inner, k=3)
        scheduler = make(optimizer if bound_to == "Lookahead" else inner)
        train(model, optimizer, scheduler, STEPS, record)
        saved = [copy.deepcopy(x.state_dict()) for x in (model, optimizer, scheduler)]
        train(model, optimizer, scheduler, 4, Record())
        for x, state in zip((model, optimizer, scheduler), saved, strict=True):
            x.load_state_dict(state)
        train(model, optimizer, scheduler, STEPS, record)
        return record

    assert_same(run(ours), run(torchs))


def layered():
    """Return a timm optimizer with layer decay: its groups have an ``lr_scale``."""

    class Layers(torch.nn.Sequential):
        def group_matcher(self, coarse=False):
            return {"stem": r"^0", "blocks": r"^2"}

    return create_optimizer_v2(Layers(*network()), opt="sgd", lr=RATE, layer_decay=0.5)


def scheduled(optimizer, schedule):
    scales = [group["lr_scale"] for group in optimizer.param_groups]
    assert len(set(scales)) == 2
    return Scheduler(optimizer, [schedule * scale for scale in scales])


#: timm's scheduler, our schedule for it, and their largest difference relative to RATE. timm rounds
#: 1 + cos(x), which is up to 2, and 1 - t / 12, which is up to 1, before squaring it. That error is
#: 2**-53 of RATE at any step. timm's later roundings add as much, and ours add an ulp.
PEERS = {
    "StepLRScheduler": (
        lambda o, epochs: StepLRScheduler(o, decay_t=4, decay_rate=0.5, t_in_epochs=epochs),
        Step(RATE, 4, 0.5),
        0.0,
    ),
    "StepLRScheduler with a warm-up": (
        lambda o, epochs: StepLRScheduler(
            o, decay_t=4, decay_rate=0.5, warmup_t=8, warmup_lr_init=0.0, t_in_epochs=epochs
        ),
        Linear(0.0, RATE, 8).then(Step(RATE, 4, 0.5), at=8),
        0.0,
    ),
    "CosineLRScheduler": (
        lambda o, epochs: CosineLRScheduler(o, t_initial=12, t_in_epochs=epochs),
        CosineDecay(RATE, 0.0, 12),
        2.0**-51,
    ),
    "PolyLRScheduler": (
        lambda o, epochs: PolyLRScheduler(o, t_initial=12, power=2.0, t_in_epochs=epochs),
        Polynomial(RATE, 0.0, 12, power=2.0),
        2.0**-51,
    ),
}


@pytest.mark.parametrize("t_in_epochs", [True, False])
@pytest.mark.parametrize("name", PEERS)
def test_the_protocol_of_its_schedulers(name, t_in_epochs, example):
    """As in timm's train.py, the loop passes the number of each update and each epoch."""
    make, schedule, apart = PEERS[name]

    def run(optimizer, scheduler):
        rates = []
        for epoch in range(10):
            for update in range(2):
                rates.append(rates_of(optimizer))
                scheduler.step_update(num_updates=2 * epoch + update + 1, metric=0.5)
            scheduler.step(epoch + 1, 0.5)
        return rates

    theirs, mine = layered(), layered()
    want = run(theirs, make(theirs, t_in_epochs))
    got = run(mine, example["ForTimm"](scheduled(mine, schedule), t_in_epochs))
    assert len({tuple(rates) for rates in want}) >= 3
    for one, other in zip(got, want, strict=True):
        assert one == pytest.approx(other, rel=0, abs=apart * RATE)


def test_a_loop_that_resumes(example):
    """timm's train.py resumes by ``step(start_epoch)``, or ``step_update`` of all past updates."""
    optimizer = layered()
    scheduler = example["ForTimm"](scheduled(optimizer, Step(RATE, 4, 0.5)), t_in_epochs=False)
    scheduler.step(3)
    scheduler.step_update(9)
    assert rates_of(optimizer)[0] == optimizer.param_groups[0]["lr_scale"] * RATE / 4
    other = example["ForTimm"](scheduled(layered(), Step(RATE, 4, 0.5)), t_in_epochs=False)
    other.load_state_dict(scheduler.state_dict())
    assert other.scheduler.last_epoch == 9


@pytest.mark.parametrize("runtime", ["lazy"], indirect=True)
def test_what_it_costs_on_a_device(runtime, example):
    """An update costs no more than with a constant rate, although the loop passes its number."""
    weights = torch.ones(4, device=runtime.device(), requires_grad=True)
    weights.grad = torch.ones_like(weights)
    optimizer = torch.optim.SGD([weights], lr=0.5)
    scheduler = example["ForTimm"](Scheduler(optimizer, Linear(0.5, 1.0, 100)), t_in_epochs=False)

    def train(first, last):
        before = runtime.counters()
        for update in range(first, last):
            optimizer.step()
            scheduler.step_update(update + 1)
            runtime.finish_step()
        runtime.wait()
        return runtime.counters() - before

    train(0, 5)
    assert train(5, 25) == Counters(executions=20)


def test_our_example(example):
    assert example["scheduler"].last_epoch == 100
    assert rates_of(example["optimizer"]) == [0.0] * len(example["optimizer"].param_groups)
