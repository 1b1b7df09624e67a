"""DeepSpeed: an engine that steps the scheduler with its optimizer; run it by `deepspeed`."""

import deepspeed
import torch

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
schedule = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)
engine, optimizer, _, scheduler = deepspeed.initialize(
    model=model,
    optimizer=torch.optim.AdamW(model.parameters(), lr=0.1),
    # A function of the optimizer. An object is bound once more, which starts it from the beginning.
    lr_scheduler=lambda optimizer: Scheduler(optimizer, schedule),
    config={
        "train_micro_batch_size_per_gpu": 16,
        "zero_optimization": {"stage": 2},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    },
)
for _ in range(100):
    engine.backward(engine(torch.randn(16, 8)).square().mean())
    engine.step()
# The engine steps the schedule with each step that it takes, which adds no read to DeepSpeed's own
# (tests/clients/test_deepspeed.py). Every `steps_per_print` steps it prints the rates of the param
# groups: where these are tensors on a device, it waits for them.
