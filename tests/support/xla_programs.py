"""Programs that test_xla.py runs in their own processes: each sets up torch_xla process-wide.

python xla_programs.py NAME LOWERING FOLDER; it writes its results to FOLDER/found.json.
"""

import functools
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["PJRT_DEVICE"] = "CPU"

import torch
from torch import Tensor
from training import Run

from accelsched import Scheduler
from accelsched._runtimes import NAMED
from accelsched.schedules import CosineDecay, Linear

SCHEDULE = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.001, 80), at=20)
STEPS, WARM, DEVICES = 50, 5, 4


def run_of(lowering: str) -> Run:
    make = lambda optimizer: Scheduler(optimizer, SCHEDULE, lowering=lowering)  # noqa: E731
    return Run(NAMED["xla"], "SGD", make)


def found(run: Run, **more: Any) -> dict[str, Any]:
    step = run.schedulers[0].last_epoch
    return {"step": step, "rates": run.rates(), "weights": run.result().tolist(), **more}


def spmd(lowering: str, folder: Path) -> Any:
    """Shard each batch over the devices of one process; save, and resume from the checkpoint."""
    import numpy as np
    import torch_xla.distributed.spmd as xs
    import torch_xla.runtime as xr

    xr.use_spmd()
    mesh = xs.Mesh(np.arange(DEVICES), (DEVICES,), ("data",))

    def sharded_run() -> Run:
        run = run_of(lowering)
        xs.mark_sharding(run.inputs, mesh, ("data", None))
        xs.mark_sharding(run.targets, mesh, ("data",))
        return run

    run = sharded_run()
    run.train(WARM)
    counters = run.train(20 - WARM)
    save(run, folder)
    run.train(STEPS - 20)
    resumed = sharded_run()
    load(resumed, folder)
    resumed.train(STEPS - 20)
    state = [run.schedulers[0].driver._counter, run.optimizer.param_groups[0]["lr"], run.inputs]
    more = {"counters": vars(counters), "devices": xr.global_runtime_device_count()}
    mine = found(run, sharding=shardings(state), **more)
    return [mine, found(resumed)]


class Layer(torch.nn.Module):
    """The weights of a run as a module, which FSDPv2 wraps."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight.detach())

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight


def in_shards(lowering: str, folder: Path) -> Any:
    """Shard the weights over the devices of one process: by hand, and with FSDPv2."""
    import numpy as np
    import torch_xla.distributed.spmd as xs
    import torch_xla.runtime as xr
    from torch_xla.experimental.spmd_fully_sharded_data_parallel import (
        SpmdFullyShardedDataParallel as FSDPv2,
    )

    xr.use_spmd()
    mesh = xs.Mesh(np.arange(DEVICES), (DEVICES,), ("fsdp",))

    def by_hand(layer: Layer) -> torch.nn.Module:
        xs.mark_sharding(layer.weight, mesh, ("fsdp",))
        return layer

    def run(wrap: Callable[[Layer], torch.nn.Module], scheduled: bool) -> dict[str, Any]:
        run = Run(NAMED["xla"], "SGD", None)
        layer = Layer(run.weights[0])
        model = wrap(layer)
        run.weights = run.optimizer.param_groups[0]["params"] = [layer.weight]
        for data in (run.inputs, run.targets):
            xs.mark_sharding(data, mesh, ("fsdp", None)[: data.dim()])
        if scheduled:
            run.schedulers = [Scheduler(run.optimizer, SCHEDULE, lowering=lowering)]

        def step() -> None:
            run.optimizer.zero_grad()
            (model(run.inputs) - run.targets).square().mean().backward()
            run.optimizer.step()
            for scheduler in run.schedulers:
                scheduler.step()

        run.step = step
        run.train(WARM)
        counters = vars(run.train(STEPS - WARM))
        if not scheduled:
            return counters
        momentum = run.optimizer.state[layer.weight]["momentum_buffer"]
        rate = run.optimizer.param_groups[0]["lr"]
        state = [run.schedulers[0].driver._counter, rate, layer.weight, momentum]
        return found(run, sharding=shardings(state), counters=counters)

    wraps = [by_hand, functools.partial(FSDPv2, mesh=mesh)]
    return [{**run(wrap, True), "constant": run(wrap, False)} for wrap in wraps]


def shardings(tensors: list[Tensor]) -> list[str]:
    import torch_xla

    return [torch_xla._XLAC._get_xla_sharding_spec(tensor) for tensor in tensors]


def parts(run: Run) -> dict[str, Any]:
    momenta = [run.optimizer.state[weight]["momentum_buffer"] for weight in run.weights]
    scheduler = run.schedulers[0].state_dict()
    return {"weights": list(run.weights), "momenta": momenta, "scheduler": scheduler}


def save(run: Run, folder: Path) -> None:
    import torch.distributed as dist
    import torch.distributed.checkpoint as checkpoint
    from torch_xla.experimental.distributed_checkpoint import SPMDSavePlanner

    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=0, world_size=1)
    writer = checkpoint.FileSystemWriter(folder / "checkpoint")
    checkpoint.save(parts(run), storage_writer=writer, planner=SPMDSavePlanner())


def load(run: Run, folder: Path) -> None:
    import torch.distributed.checkpoint as checkpoint
    from torch_xla.experimental.distributed_checkpoint import SPMDLoadPlanner

    run.train(1)  # creates the optimizer's state
    state = parts(run)
    reader = checkpoint.FileSystemReader(folder / "checkpoint")
    checkpoint.load(state, storage_reader=reader, planner=SPMDLoadPlanner())
    run.schedulers[0].load_state_dict(state["scheduler"])


def launched(lowering: str, folder: Path) -> Any:
    """Run two replicas: on this client, two threads of one process, each with its own device."""
    import torch_xla

    torch_xla.launch(replica, args=(lowering, folder))
    return [json.loads((folder / f"{index}.json").read_text()) for index in range(2)]


_ONE_BY_ONE = threading.Lock()  # PyTorch's random state is process-wide.


def replica(index: int, lowering: str, folder: Path) -> None:
    import torch_xla.runtime as xr

    with _ONE_BY_ONE:
        run = run_of(lowering)
    run.train(STEPS)
    (folder / f"{index}.json").write_text(json.dumps(found(run, replicas=xr.world_size())))


def until_killed(lowering: str, folder: Path) -> None:
    """Train, save at a step, and train on until the process ends without cleanup."""
    run = run_of(lowering)
    run.train(20)
    states = [weight.detach().cpu() for weight in run.weights], run.optimizer.state_dict()
    torch.save((*states, run.schedulers[0].state_dict()), folder / "checkpoint.pt")
    run.train(7)
    os._exit(9)


def resumed(lowering: str, folder: Path) -> Any:
    run = run_of(lowering)
    weights, optimizer, scheduler = torch.load(folder / "checkpoint.pt", weights_only=True)
    with torch.no_grad():
        for mine, saved in zip(run.weights, weights, strict=True):
            mine.copy_(saved)
    run.optimizer.load_state_dict(optimizer)
    run.schedulers[0].load_state_dict(scheduler)
    run.train(STEPS - 20)
    return [found(run)]


def whole(lowering: str, _: Path) -> Any:
    run = run_of(lowering)
    run.train(STEPS)
    return [found(run)]


if __name__ == "__main__":
    result = globals()[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
    # Checkpointing prints to stdout, too.
    (Path(sys.argv[3]) / "found.json").write_text(json.dumps(result))
