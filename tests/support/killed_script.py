"""A training script as users write it, with checkpoints; it records what it is doing.

A mode names how it runs and what it follows, for example "xla decay".
"""

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from accelsched import Scheduler, update
from accelsched._runtimes import NAMED
from accelsched.lr_scheduler import ReduceLROnPlateau
from accelsched.schedules import CosineAnnealingWarmRestarts, Linear

#: Steps between checkpoints; a kill loses the steps since the last one.
SAVED_EVERY = 4
_CURVE = Linear(0.0, 0.02, 30).then(CosineAnnealingWarmRestarts(0.02, 90, 1, 0.001), at=30)
#: The roads that compile the optimizer and its scheduler, or the whole step.
COMPILED = ("compile", "whole")
_FOLLOWED: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "constant": lambda optimizer: None,
    "schedule": lambda optimizer: Scheduler(optimizer, _CURVE),
    "decay": lambda optimizer: Scheduler(optimizer, _CURVE, open_ended=True),
    "plateau": lambda optimizer: ReduceLROnPlateau(
        optimizer, patience=1, factor=0.97, cooldown=2, min_lr=1e-5
    ),
}
_RECORD = struct.Struct("<cq32s")


class Record(NamedTuple):
    """An event: ``kind`` b"t" begins to train a step, b"d" has trained it, b"s" begins to save.

    The digest covers the contents of a checkpoint and the learning rates.
    """

    kind: bytes
    step: int
    digest: bytes = b""

    def write(self, pipe: int) -> None:
        # A pipe accepts so few bytes atomically, and keeps them when the writer is killed.
        os.write(pipe, _RECORD.pack(*self))


def read_record(pipe: int) -> Record | None:
    """Return the next record, or None if the writer is gone."""
    got = os.read(pipe, _RECORD.size)
    return Record(*_RECORD.unpack(got)) if got else None


class Script:
    """A small model, AdamW and a scheduler, which train step by step from the last checkpoint."""

    def __init__(self, mode: str, folder: Path) -> None:
        self.road, self.follows = mode.split()
        folder.mkdir(exist_ok=True)
        self._path = folder / "checkpoint.pt"
        self._device = _device(self.road)
        torch.manual_seed(0)
        # Odd widths: a vectorized kernel has something left over.
        layers = torch.nn.Linear(5, 19), torch.nn.Tanh(), torch.nn.Linear(19, 1)
        self.model = torch.nn.Sequential(*layers).to(self._device)
        lr = torch.tensor(0.02) if self.road in ("tensor", *COMPILED) else 0.02
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=lr, capturable=self.road == "xla"
        )
        self.scheduler = _FOLLOWED[self.follows](self.optimizer)
        self._steps_alone = self.follows not in ("constant", "plateau")
        self._train, self._update = self._eager, self._step_both
        if self.road == "compile":
            both = [self.scheduler] if self._steps_alone else []
            self._update = NAMED["compile"].compiled(update(self.optimizer, *both))
        if self.road == "whole":
            self._train = NAMED["compile"].compiled(self._eager)
        self.count = 0
        if self._path.exists():
            self._load()

    def train(self) -> None:
        """Train one step, on a batch that depends only on the step."""
        self._plan()
        batch = torch.randn(16, 5, generator=torch.Generator().manual_seed(self.count))
        self._train(batch.to(self._device))
        if self.road == "xla":
            torch_xla().sync()
        self.count += 1

    def _plan(self) -> None:
        """Begin and end decays in mid-run, several times in each life of the script."""
        if self.follows == "decay" and self.count % 10 == 3:
            self.scheduler.begin_decay(7, 1e-4, "1-sqrt")
        if self.follows == "decay" and self.count % 20 == 9:
            self.scheduler.end_decay()

    def _eager(self, batch: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = (self.model(batch) - batch.sum(1, keepdim=True).sin()).square().mean()
        loss.backward()
        self._update()
        if self.follows == "plateau":
            self.scheduler.step(loss.detach())

    def _step_both(self) -> None:
        self.optimizer.step()
        if self._steps_alone:
            self.scheduler.step()

    def state(self) -> dict[str, Any]:
        followed = {} if self.scheduler is None else self.scheduler.state_dict()
        return {
            "count": self.count,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": followed,
        }

    def digest(self) -> bytes:
        """Hash every bit of the state and of the learning rates."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return hashlib.sha256(repr(tree_map(_bits, (self.state(), rates))).encode()).digest()

    def save(self) -> None:
        """Write a checkpoint under another name, then rename it, so that it is never partial."""
        written = self._path.with_suffix(".new")
        torch.save(tree_map(_on_host, self.state()), written)
        written.replace(self._path)

    def _load(self) -> None:
        saved = torch.load(self._path, weights_only=True)
        self.count = saved["count"]
        self.model.load_state_dict(saved["model"])
        each = [("optimizer", self.optimizer), ("scheduler", self.scheduler)]
        # The order must not matter: half of the lives use the other one.
        for name, loaded in each if self.count % 8 else reversed(each):
            if loaded is not None:
                loaded.load_state_dict(saved[name])


def run(mode: str, folder: Path, pipe: int, stop: int | None) -> None:
    """Train up to a step, or until killed, and write records."""
    script = Script(mode, folder)
    while script.count != stop:
        Record(b"t", script.count).write(pipe)
        script.train()
        Record(b"d", script.count, script.digest()).write(pipe)
        if script.count % SAVED_EVERY == 0:
            Record(b"s", script.count).write(pipe)
            script.save()


def _device(road: str) -> torch.device:
    return torch_xla().device() if road == "xla" else torch.device("cpu")


def torch_xla() -> Any:
    import torch_xla

    return torch_xla


def _on_host(leaf: Any) -> Any:
    return leaf.detach().cpu() if isinstance(leaf, Tensor) else leaf


def _bits(leaf: Any) -> Any:
    return _on_host(leaf).numpy().tobytes() if isinstance(leaf, Tensor) else leaf
