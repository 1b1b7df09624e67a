"""skorch: a callback that steps the scheduler after each batch."""

import torch
from skorch import NeuralNetRegressor
from skorch.callbacks import LRScheduler

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

net = NeuralNetRegressor(
    torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)),
    optimizer=torch.optim.SGD,
    lr=0.1,
    batch_size=16,
    max_epochs=5,
    train_split=None,
    verbose=0,
    callbacks=[
        LRScheduler(
            policy=Scheduler,  # or a class of accelsched.lr_scheduler, with its arguments
            schedule=Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20),
            step_every="batch",
            # The lr in the history comes from the host, without a read. skorch reads the loss of
            # each batch with or without a schedule (tests/clients/test_skorch.py).
            event_name="event_lr",
        )
    ],
)
inputs = torch.randn(320, 8)
net.fit(inputs, inputs.sum(1, keepdim=True))
