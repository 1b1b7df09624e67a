"""DeepSpeed: the engine steps the scheduler with its optimizer. Run it with `deepspeed`."""

import deepspeed
import torch

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
schedule = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)
engine, optimizer, _, scheduler = deepspeed.initialize(
    model=model,
    optimizer=torch.optim.AdamW(model.parameters(), lr=0.1),
    # Pass a function of the optimizer. DeepSpeed would bind an object again and so restart it.
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
# The engine steps the scheduler at each of its steps, without a read beyond DeepSpeed's own
# (tests/clients/test_deepspeed.py). Every `steps_per_print` steps it prints the lr of each param
# group, and waits for the device if the lr is a tensor there.
