"""Accelerate: prepare the scheduler with the rest, and step it after every batch."""

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

from accelsched import Scheduler
from accelsched.schedules import WarmupCosine

accelerator = Accelerator(gradient_accumulation_steps=2)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
inputs = torch.randn(640, 8)
batches = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=16)

# Each optimizer step advances a prepared scheduler once per process. So count the batches here,
# before `prepare` splits them among the processes.
steps = len(batches) // accelerator.gradient_accumulation_steps
scheduler = Scheduler(optimizer, WarmupCosine(0.1, total_iters=steps, warmup_iters=5))
model, optimizer, batches, scheduler = accelerator.prepare(model, optimizer, batches, scheduler)

# On torch_xla each step is one execution without a copy to the host, as with a constant lr
# (tests/runtimes/test_trainers.py).
for samples, targets in batches:
    with accelerator.accumulate(model):
        accelerator.backward(torch.nn.functional.mse_loss(model(samples), targets))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
