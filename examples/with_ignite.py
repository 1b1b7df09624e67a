"""pytorch-ignite: an event handler steps the scheduler after each iteration."""

import torch
from ignite.engine import Engine, Events

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = Scheduler(optimizer, Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20))


def update(engine, batch):
    """Train on one batch; the engine calls this for each."""
    optimizer.zero_grad()
    model(batch).square().mean().backward()
    optimizer.step()


trainer = Engine(update)
# This handler adds no execution and no transfer. ignite's LRScheduler(scheduler) gives the same lr,
# but sets the step counter and copies the lr into the param group. On a device that adds two
# executions and a transfer each way per iteration (tests/clients/test_ignite.py).
trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: scheduler.step())
trainer.run([torch.randn(16, 8) for _ in range(50)], max_epochs=2)
