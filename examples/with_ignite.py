"""pytorch-ignite: an engine whose learning rate is stepped after each iteration."""

import torch
from ignite.engine import Engine, Events

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = Scheduler(optimizer, Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20))


def update(engine, batch):
    """Take one step, as the engine asks for with each batch."""
    optimizer.zero_grad()
    model(batch).square().mean().backward()
    optimizer.step()


trainer = Engine(update)
# This adds no execution and no transfer. ignite's LRScheduler(scheduler) gives the same rates, but
# sets the count, and puts a copy of the rate into the param group: on a device that is two
# executions more in each iteration, and a transfer both ways (tests/clients/test_ignite.py).
trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: scheduler.step())
trainer.run([torch.randn(16, 8) for _ in range(50)], max_epochs=2)
