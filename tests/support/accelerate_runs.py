"""The training loop of Accelerate's documentation, also as a program for several processes."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import side_by_side
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin
from side_by_side import Make, Record, adamw, data, network, rates_of
from torch.utils.data import DataLoader, TensorDataset

EPOCHS, BATCHES, BATCH = 3, 6, 4


def forget_the_accelerator() -> None:
    """Reset Accelerate's state, which is global to the process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@dataclasses.dataclass
class Loop:
    """A training loop with a user's choices.

    Args:
        make: makes the scheduler.
        kind: the type of the lr: "float" or "tensor".
        late: build the scheduler on the optimizer that `prepare` returned, not before.
        split: split each batch over the processes. The scheduler then takes one step per optimizer
            step, not one per process.
        accumulated: the number of batches per optimizer step.
        adjust: count batches without an optimizer step in `_step_count` (Accelerate's default).
    """

    make: Make
    kind: str = "float"
    late: bool = False
    split: bool = False
    accumulated: int = 1
    adjust: bool = True

    def __post_init__(self) -> None:
        accumulation = GradientAccumulationPlugin(self.accumulated, adjust_scheduler=self.adjust)
        loading = DataLoaderConfiguration(split_batches=self.split)
        self.accelerator = Accelerator(
            cpu=True, gradient_accumulation_plugin=accumulation, dataloader_config=loading
        )
        model = network()
        optimizer = adamw(model, self.kind)
        batches = DataLoader(TensorDataset(*data(BATCHES * BATCH)), batch_size=BATCH)
        scheduler = None if self.late else self.make(optimizer)
        prepared = self.accelerator.prepare(model, optimizer, batches)
        self.model, self.optimizer, self.batches = prepared
        scheduler = scheduler or self.make(self.optimizer)
        self.scheduler: Any = self.accelerator.prepare(scheduler)

    def train(self, epochs: int = EPOCHS) -> Record:
        record = Record()
        for _ in range(epochs):
            for inputs, targets in self.batches:
                with self.accelerator.accumulate(self.model):
                    loss = (self.model(inputs) - targets).square().mean()
                    self.accelerator.backward(loss)
                    record.rates.append(rates_of(self.optimizer))
                    record.logged.append([float(rate) for rate in self.scheduler.get_last_lr()])
                    self.optimizer.step()
                    self.scheduler.step()
                    self.optimizer.zero_grad()
        record.keep_weights(self.model.parameters())
        return record


def all_loops(name: str) -> dict[str, Record]:
    """Train with the named scheduler of :mod:`side_by_side`, for each kind of lr and batch."""
    make = getattr(side_by_side, name)
    return {
        f"{kind} {'split' if split else 'whole'}": Loop(make, kind, late=split, split=split).train(
            1
        )
        for kind in ("float", "tensor")
        for split in (False, True)
    }


def main(folder: str) -> None:
    """Train with each scheduler and write this process's records into a folder."""
    from accelerate import PartialState

    rank = PartialState(cpu=True).process_index
    found = {name: all_loops(name) for name in ("torchs", "converted", "written")}
    torch.save(found, Path(folder) / f"{rank}.pt")


if __name__ == "__main__":
    main(sys.argv[1])
