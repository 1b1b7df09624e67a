"""Many runs in one torchrun start of two processes, for tests/clients/test_torchrun.py.

python -m torch.distributed.run --nproc-per-node 2 torchrun_programs.py FOLDER. Each rank writes its
results to FOLDER/RANK.json. One process saved FOLDER/one; both save FOLDER/two.
"""

import copy
import json
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from example_scripts import run_example
from side_by_side import RATE, Make, converted, data, network, rate, torchs, written
from torch import Tensor
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.stateful import Stateful

from accelsched import from_torch
from accelsched.errors import SynchronizationWarning

STEPS, SAVED = 8, 3
MAKERS = {make.__name__: make for make in (torchs, converted, written)}


# How a model is spread over two processes.


def replicated(model: torch.nn.Module) -> torch.nn.Module:
    return torch.nn.parallel.DistributedDataParallel(model)


def sharded(model: torch.nn.Module) -> torch.nn.Module:
    from torch.distributed.fsdp import fully_shard

    for layer in model:
        fully_shard(layer)
    return fully_shard(model)


def split(model: torch.nn.Module) -> torch.nn.Module:
    """Make the parameters DTensors from the start: tensor parallel."""
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    return parallelize_module(model, dist.init_device_mesh("cpu", (2,)), plan)


def adamw(model: torch.nn.Module, lr: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr)


def sgd(model: torch.nn.Module, lr: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.5)


def zero(model: torch.nn.Module, lr: Any) -> torch.optim.Optimizer:
    from torch.distributed.optim import ZeroRedundancyOptimizer

    return ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW, lr=lr)


WAYS = {
    "DDP": (replicated, adamw),
    "FSDP2": (sharded, adamw),
    "FSDP2 and SGD": (sharded, sgd),
    "tensor parallel": (split, adamw),
    "ZeroRedundancyOptimizer": (replicated, zero),
}


class Training(Stateful):
    """A model, its optimizer and its scheduler, as an application's state in a checkpoint."""

    def __init__(self, way: str | None, kind: str, make: Make) -> None:
        spread, optimizer = WAYS[way] if way else (lambda model: model, adamw)
        self.model = spread(network())
        self.optimizer = optimizer(self.model, rate(kind))
        self.scheduler = make(self.optimizer)
        self.rate = self.optimizer.param_groups[0]["lr"]
        # Each process has half of the data; in tensor parallel both have all of it.
        apart = dist.is_initialized() and way != "tensor parallel"
        part = slice(dist.get_rank(), None, 2) if apart else slice(None)
        self.inputs, self.targets = (tensor[part] for tensor in data())

    def step(self) -> None:
        self.optimizer.zero_grad()
        (self.model(self.inputs) - self.targets).square().mean().backward()
        self.optimizer.step()
        self.scheduler.step()

    def train(self, steps: int) -> list[float]:
        """Train, and return the rate of each step."""
        rates = []
        for _ in range(steps):
            rates.append(float(self.optimizer.param_groups[0]["lr"]))
            self.step()
        return rates

    def holds_its_rate(self) -> bool:
        """Return whether the group still has the lr object from the build of the scheduler."""
        return self.optimizer.param_groups[0]["lr"] is self.rate

    def collectives(self) -> dict[str, int]:
        """Count the collectives of one step."""
        from torch.distributed.tensor.debug import CommDebugMode

        with CommDebugMode() as seen:
            self.step()
        return {str(operation): count for operation, count in seen.get_comm_counts().items()}

    def weights(self) -> list[Any]:
        return [whole(parameter).tolist() for parameter in self.model.parameters()]

    def state_dict(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self.model, self.optimizer)
        scheduler = self.scheduler.state_dict()
        return {"model": model, "optimizer": optimizer, "scheduler": scheduler}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        named = {"model_state_dict": state["model"], "optim_state_dict": state["optimizer"]}
        set_state_dict(self.model, self.optimizer, **named)
        self.scheduler.load_state_dict(state["scheduler"])


def whole(tensor: Any) -> Tensor:
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach()


def rest_of(run: Training) -> dict[str, Any]:
    """Train to the end, and return the results."""
    rates = run.train(STEPS - run.scheduler.last_epoch)
    return {"rates": rates, "weights": run.weights(), "held": run.holds_its_rate()}


# What is tried.


def trained() -> dict[str, Any]:
    """Train every way with every scheduler, and count the collectives of a step."""

    def run(way: str, kind: str, make: Make) -> dict[str, Any]:
        training = Training(way, kind, make)
        return {**rest_of(training), "collectives": training.collectives()}

    return {
        way: {
            kind: {name: run(way, kind, make) for name, make in MAKERS.items()}
            for kind in ("float", "tensor")
        }
        for way in WAYS
    }


def zero_resumed() -> dict[str, Any]:
    """Gather the state of a ZeroRedundancyOptimizer, broadcast it, and load it into another."""

    def run(kind: str, make: Make) -> list[dict[str, Any]]:
        first = Training("ZeroRedundancyOptimizer", kind, make)
        first.train(SAVED)
        first.optimizer.consolidate_state_dict(to=0)
        states = [first.optimizer.state_dict() if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(states)
        second = Training("ZeroRedundancyOptimizer", kind, make)
        # Copy, as a file would: on the sender, the state still has the tensors of the first.
        second.optimizer.load_state_dict(copy.deepcopy(states[0]))
        second.model.load_state_dict(first.model.state_dict())
        second.scheduler.load_state_dict(first.scheduler.state_dict())
        return [rest_of(first), rest_of(second)]

    return {
        kind: {name: run(kind, make) for name, make in MAKERS.items()}
        for kind in ("float", "tensor")
    }


def checkpointed(folder: Path) -> dict[str, Any]:
    """Load, in both processes, a checkpoint that both saved and one that one process saved."""
    first, second, third = (Training("FSDP2", "tensor", written) for _ in range(3))
    first.train(SAVED)
    dcp.save({"app": first}, checkpoint_id=folder / "two")
    dcp.load({"app": second}, checkpoint_id=folder / "two")
    dcp.load({"app": third}, checkpoint_id=folder / "one")
    loaded = {"two": first.weights(), "one": third.weights()}
    return {"loaded": loaded, "runs": [rest_of(run) for run in (first, second, third)]}


def from_torchs_checkpoint(folder: Path) -> list[dict[str, Any]]:
    """Resume from what torch's scheduler saved, as the docstring of from_torch shows."""
    first = Training("FSDP2", "tensor", torchs)
    first.train(SAVED)
    dcp.save({"app": first}, checkpoint_id=folder / "torch")
    second = Training("FSDP2", "tensor", torchs)
    dcp.load({"app": second}, checkpoint_id=folder / "torch")
    second.scheduler = from_torch(second.scheduler)
    third = Training("FSDP2", "tensor", torchs)
    saved = third.state_dict()
    third.scheduler = from_torch(third.scheduler)
    dcp.load({"app": saved}, checkpoint_id=folder / "torch")
    third.load_state_dict(saved)
    return [rest_of(run) for run in (first, second, third)]


class Schedulers(Stateful):
    """Like torchtitan's LRSchedulersContainer: one function of the step for several optimizers.

    By its documentation, only the step is saved. On load, each scheduler sets the step and computes
    its rate from the initial rate of its optimizer. The number of schedulers may change.
    """

    def __init__(self, optimizers: list[Any], make: Make) -> None:
        self.schedulers = [make(optimizer) for optimizer in optimizers]

    def step(self) -> None:
        for scheduler in self.schedulers:
            scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.schedulers[0].last_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        step = state["last_epoch"]
        for scheduler in self.schedulers:
            scheduler.last_epoch = step
            scheduler._step_count = step + 1
            scheduler._last_lr = scheduler.get_lr()


def contained(folder: Path) -> dict[str, Any]:
    """Save a container of two optimizers with two rates; load it into one of three."""

    def container(make: Make, kind: str, count: int) -> Schedulers:
        models = [sharded(network()) for _ in range(count)]
        rates = [rate(kind, RATE / 2**index) for index in range(count)]
        return Schedulers([sgd(*pair) for pair in zip(models, rates, strict=True)], make)

    def run(name: str, make: Make, kind: str) -> list[list[float]]:
        first, second = container(make, kind, 2), container(make, kind, 3)
        path = folder / f"{name} {kind}"
        for _ in range(SAVED):
            first.step()
        dcp.save({"schedulers": first}, checkpoint_id=path)
        dcp.load({"schedulers": second}, checkpoint_id=path)
        second.step()
        seen = []
        for _ in range(STEPS - SAVED):
            rates = [s.optimizer.param_groups[0]["lr"] for s in second.schedulers]
            told = [s.get_last_lr()[0] for s in second.schedulers]
            seen.append([float(rate) for rate in (*rates, *told)])
            second.step()
        return seen

    return {
        kind: {name: run(name, make, kind) for name, make in MAKERS.items()}
        for kind in ("float", "tensor")
    }


def example(folder: Path) -> None:
    """Run our example, whose checkpoint has its results, and keep its process group for all runs.

    A second group could connect to addresses that the first one left in the store.
    """
    sys.argv[1] = str(folder / "example")
    with mock.patch.object(dist, "destroy_process_group"):
        run_example("torchrun")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    example(folder)
    warnings.simplefilter("error", SynchronizationWarning)
    warnings.filterwarnings("error", ".* is scheduled, but other code set it")
    results = {
        "trained": trained(),
        "zero": zero_resumed(),
        "checkpointed": checkpointed(folder),
        "from torch": from_torchs_checkpoint(folder),
        "contained": contained(folder),
    }
    (folder / f"{dist.get_rank()}.json").write_text(json.dumps(results))
    dist.destroy_process_group()
