"""A training loop as Accelerate's documentation has it; a program for several processes, too."""

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
    """Its state is one for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@dataclasses.dataclass
class Loop:
    """What a user chooses.

    Args:
        make: makes the scheduler.
        kind: of the rate: "float" or "tensor".
        late: build the scheduler on the optimizer that `prepare` returned, not before.
        split: have the processes share a batch: the scheduler takes one step with the optimizer,
            where it takes one for each process otherwise.
        accumulated: how many batches are one step of the optimizer.
        adjust: count the others as steps of the scheduler in `_step_count`, as is the default.
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
    """What each process trains with the scheduler of a name in :mod:`side_by_side`."""
    make = getattr(side_by_side, name)
    return {
        f"{kind} {'split' if split else 'whole'}": Loop(make, kind, late=split, split=split).train(
            1
        )
        for kind in ("float", "tensor")
        for split in (False, True)
    }


def main(folder: str) -> None:
    """Write what this process trains with each scheduler into a folder."""
    from accelerate import PartialState

    rank = PartialState(cpu=True).process_index
    found = {name: all_loops(name) for name in ("torchs", "converted", "written")}
    torch.save(found, Path(folder) / f"{rank}.pt")


if __name__ == "__main__":
    main(sys.argv[1])
