"""torchrun: FSDP2, and a checkpoint with the scheduler in it.

torchrun --nproc-per-node 2 examples/with_torchrun.py FOLDER
"""

import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.fsdp import fully_shard

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

dist.init_process_group("gloo")  # "nccl" on GPUs
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
for layer in (model[0], model[2], model):
    fully_shard(layer)
optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.1))
scheduler = Scheduler(optimizer, Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20))
for _ in range(100):
    optimizer.zero_grad()
    model(torch.randn(16, 8)).square().mean().backward()
    optimizer.step()
    # Each process keeps its own counter, without communication or reads
    # (tests/clients/test_torchrun.py).
    scheduler.step()
# The state is plain numbers, so any number of processes can load it. Saving waits for the device.
dcp.save({"scheduler": scheduler}, checkpoint_id=sys.argv[1])
dist.destroy_process_group()
