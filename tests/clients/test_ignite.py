"""pytorch-ignite's handlers, with torch's scheduler and with ours."""

import io

import pytest
import torch
from example_scripts import run_example
from ignite.engine import Engine, Events
from ignite.handlers import LRScheduler, ParamGroupScheduler, create_lr_scheduler_with_warmup
from side_by_side import (
    KINDS,
    OURS,
    RATE,
    Record,
    adamw,
    assert_same,
    data,
    network,
    rate,
    rates_of,
    shape,
    torchs,
    written,
)

from accelsched import Scheduler
from accelsched._runtimes import Counters
from accelsched.schedules import Linear

BATCHES, EPOCHS = 4, 3


class Training:
    """A user's trainer, which records the rates of each step of its optimizers."""

    def __init__(self, *optimizers, model):
        self.model, self.optimizers = model, optimizers
        self.record = Record()
        self.data = data()
        self.trainer = Engine(self.update)

    def update(self, engine, batch):
        inputs, targets = self.data
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        (self.model(inputs) - targets).square().mean().backward()
        self.record.rates.append([r for optimizer in self.optimizers for r in rates_of(optimizer)])
        for optimizer in self.optimizers:
            optimizer.step()

    def run(self, handler, event=Events.ITERATION_STARTED):
        self.trainer.add_event_handler(event, handler)
        self.trainer.run(range(BATCHES), max_epochs=EPOCHS)
        history = getattr(self.trainer.state, "param_history", None) or {}
        self.record.logged = {
            name: [[float(value) for value in values] for values in steps]
            for name, steps in history.items()
        }
        self.record.keep_weights(self.model.parameters())
        return self.record


def of_layers(kind):
    model = network()
    return Training(adamw(model, kind), model=model)


def of_one_group(kind):
    model = network()
    return Training(torch.optim.AdamW(model.parameters(), lr=rate(kind)), model=model)


@OURS
@KINDS
@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.EPOCH_STARTED])
def test_the_handler_of_a_scheduler(kind, ours, event):
    def run(make):
        training = of_layers(kind)
        handler = LRScheduler(make(*training.optimizers), save_history=True)
        return training.run(handler, event)

    assert_same(run(ours), run(torchs))


@OURS
@KINDS
def test_a_handler_goes_on_from_its_state(kind, ours):
    def run(make):
        first, second = of_layers(kind), of_layers(kind)
        handler = LRScheduler(make(*first.optimizers))
        first.run(handler)
        file = io.BytesIO()
        torch.save(handler.state_dict(), file)
        file.seek(0)
        resumed = LRScheduler(make(*second.optimizers))
        resumed.load_state_dict(torch.load(file, weights_only=False))
        return second.run(resumed)

    mine = run(ours)
    assert mine.rates[0][0] == RATE * shape(BATCHES * EPOCHS)
    assert_same(mine, run(torchs))


@OURS
@KINDS
def test_values_that_are_simulated_change_nothing(kind, ours):
    def run(make):
        (optimizer,) = of_layers(kind).optimizers
        scheduler = make(optimizer)
        rows = LRScheduler.simulate_values(10, scheduler)
        assert (scheduler.last_epoch, rates_of(optimizer)[0]) == (0, RATE * shape(0))
        return [[float(value) for value in row] for row in rows]

    assert run(ours) == run(torchs)


@OURS
@pytest.mark.parametrize(
    ("build", "kind", "end"),
    [
        (of_one_group, "float", None),
        (of_one_group, "tensor", RATE / 2),
        (of_layers, "float", RATE / 2),
        (of_layers, "float", RATE * 2),
        (of_layers, "tensor", RATE / 2),
        (of_layers, "tensor", RATE * 2),
    ],
)
def test_a_warm_up(build, kind, end, ours):
    """Without ``warmup_end_value``, ignite warms up to the rate that it finds in each group.

    Ignite sets ``last_epoch`` before it reads a second group. This moves our rates at once, but not
    torch's. So pass ``warmup_end_value`` with several groups, and with tensors.
    """

    def run(make):
        training = build(kind)
        simulated = [None] * 9
        scheduler = make(*training.optimizers)
        handler = create_lr_scheduler_with_warmup(
            scheduler, 0.0, 4, end, output_simulated_values=simulated
        )
        record = training.run(handler)
        return record, [[float(value) for value in row] for row in simulated]

    (mine, my_rows), (theirs, their_rows) = run(ours), run(torchs)
    assert my_rows == their_rows
    assert_same(mine, theirs)


@OURS
@KINDS
def test_several_schedulers_as_one(kind, ours):
    def run(make):
        model = network()
        halves = [model[0], model[2]]
        optimizers = [torch.optim.AdamW(half.parameters(), lr=rate(kind)) for half in halves]
        training = Training(*optimizers, model=model)
        handlers = [LRScheduler(make(optimizer)) for optimizer in optimizers]
        return training.run(ParamGroupScheduler(handlers, names=["first", "last"]))

    assert_same(run(ours), run(torchs))


@OURS
@KINDS
def test_a_handler_that_steps(kind, ours):
    """As in our example, the handler calls ``step``, and the group keeps its lr tensor."""

    def run(make):
        training = of_layers(kind)
        (optimizer,) = training.optimizers
        scheduler = make(optimizer)
        held = optimizer.param_groups[0]["lr"]
        record = training.run(lambda: scheduler.step(), Events.ITERATION_COMPLETED)
        assert (optimizer.param_groups[0]["lr"] is held) == (kind == "tensor")
        return record

    assert_same(run(ours), run(torchs))


@pytest.mark.parametrize("runtime", ["lazy"], indirect=True)
def test_what_it_costs_on_a_device(runtime):
    """A handler that calls ``step`` costs no more than a constant rate; LRScheduler costs more."""

    def cost(attach):
        weights = torch.ones(4, device=runtime.device(), requires_grad=True)
        weights.grad = torch.ones_like(weights)
        optimizer = torch.optim.SGD([weights], lr=0.5)
        trainer = Engine(lambda engine, batch: optimizer.step())
        attach(trainer, optimizer)
        spent = []

        def finish():
            runtime.finish_step()
            runtime.wait()
            spent.append(runtime.counters())

        trainer.add_event_handler(Events.ITERATION_COMPLETED, finish)
        trainer.run(range(25))
        return spent[-1] - spent[4]

    def stepped(trainer, optimizer):
        scheduler = Scheduler(optimizer, Linear(0.5, 1.0, 100))
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: scheduler.step())

    def handled(trainer, optimizer):
        scheduler = LRScheduler(Scheduler(optimizer, Linear(0.5, 1.0, 100)))
        trainer.add_event_handler(Events.ITERATION_STARTED, scheduler)

    constant = cost(lambda trainer, optimizer: None)
    assert cost(stepped) == constant == Counters(executions=20)
    # LRScheduler puts a copy of the rate into the group, which SGD reads, and writes the count.
    by_handler = cost(handled)
    assert (by_handler.compiles, by_handler.to_device, by_handler.from_device) == (0, 20, 20)
    assert by_handler.executions == 60


def test_our_example():
    example = run_example("ignite")
    assert example["scheduler"].last_epoch == 100
    assert example["optimizer"].param_groups[0]["lr"] == 0.0


def test_what_the_legacy_handler_does_otherwise():
    """It adds 1 to the count before the first step, which moves our rates but not torch's."""
    training = of_one_group("float")
    with pytest.warns(UserWarning, match="ITERATION_COMPLETED"):
        handler = LRScheduler(written(*training.optimizers), use_legacy=True)
    rates = training.run(handler, Events.ITERATION_COMPLETED).rates
    assert rates[0] == [RATE * shape(1)]
    assert rates[1:] == [[RATE * shape(step)] for step in range(1, BATCHES * EPOCHS)]
