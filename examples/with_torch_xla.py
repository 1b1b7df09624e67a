"""torch_xla: SPMD over all devices, with the weights sharded by FSDPv2."""

import numpy as np
import torch
import torch_xla
import torch_xla.distributed.spmd as xs
import torch_xla.runtime as xr
from torch_xla.experimental.spmd_fully_sharded_data_parallel import (
    SpmdFullyShardedDataParallel as FSDPv2,
)

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

xr.use_spmd()
count = xr.global_runtime_device_count()
mesh = xs.Mesh(np.arange(count), (count,), ("fsdp",))
model = FSDPv2(torch.nn.Linear(8, 8), mesh=mesh)  # moves the model to the devices
optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, capturable=True)
scheduler = Scheduler(optimizer, Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20))
for _ in range(100):
    with torch_xla.step():
        batch = torch.randn(16, 8).to("xla")
        xs.mark_sharding(batch, mesh, ("fsdp", None))
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
        # The scheduler is part of the step's one graph: no more executions, compiles or transfers
        # than with a constant lr (tests/runtimes/test_xla.py). Only your own `loss.item()` waits.
        scheduler.step()
print(scheduler.report())
