"""The length of a run, and the units in which a schedule may have counted it.

An epoch has batches, and one or several batches make an optimizer step. At each of these steps, a
scheduler is stepped once, or once per process. A schedule built in another unit ends early or late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accelsched.errors import ArgumentError, require
from accelsched.schedules._fields import integer


@dataclass(frozen=True)
class Run:
    """The optimizer steps of a training run, and the counts that they come from.

    Attributes:
        least: the optimizer steps, if an incomplete accumulation at an epoch's end is dropped.
        most: the optimizer steps, if it makes one more step, as in most trainers.
        epochs: the epochs; None if the user gave none.
        batches: the batches per epoch; None if the user gave none.
        accumulate: the batches per optimizer step.
        world_size: how often a scheduler is stepped per optimizer step.
    """

    least: int
    most: int
    epochs: int | None
    batches: int | None
    accumulate: int
    world_size: int

    @property
    def steps(self) -> int:
        """The number of scheduler steps in the run."""
        return self.most * self.world_size

    def fits(self, end: int) -> bool:
        """Return whether a schedule that settles at step ``end`` is as long as the run.

        The last of n steps is step n - 1. A schedule that settles there is as long, too.
        """
        return self.least * self.world_size - 1 <= end <= self.steps

    def optimizer_step(self, step: int) -> int:
        """Return the optimizer step at which a scheduler is at step ``step``."""
        return step // self.world_size

    def counted_in(self, end: int) -> list[str]:
        """Return the units in which a schedule of ``end`` steps fits the run, or an epoch."""
        return [
            unit + how
            for factor, divisor, how in self._by_processes()
            for unit, least, most in self._units()
            if least * factor // divisor - 1 <= end <= -(-most * factor // divisor)
        ]

    def _by_processes(self) -> Iterator[tuple[int, int, str]]:
        """Yield the factor, divisor and wording of each way to count the processes."""
        size = self.world_size
        yield size, 1, ""
        if size > 1:
            yield 1, 1, f" (world_size={size} left out)"
            yield 1, size, f" (divided by world_size={size})"
            yield size * size, 1, f" (multiplied by world_size={size} twice)"

    def _units(self) -> Iterator[tuple[str, int, int]]:
        """Yield units, with the least and the most that the run, or an epoch, has of each."""
        yield "in optimizer steps", self.least, self.most
        if self.epochs is not None and self.batches is not None:
            every = self.epochs * self.batches
            if not self.least <= every <= self.most:
                yield "in batches", every, every
        elif self.accumulate > 1:
            yield "in batches", (self.least - 1) * self.accumulate + 1, self.most * self.accumulate
        if self.epochs is not None:
            # From 1: the last of several milestones can be in any epoch.
            yield "in epochs", 1, self.epochs
        yield from self._units_of_an_epoch()
        if self.accumulate > 1:
            fewest, most = self.least // self.accumulate, -(-self.most // self.accumulate)
            yield "in optimizer steps divided by accumulate", fewest, most

    def _units_of_an_epoch(self) -> Iterator[tuple[str, int, int]]:
        least = most = 0
        if self.epochs is not None:
            least, most = self.least // self.epochs, -(-self.most // self.epochs)
            yield "for one epoch", least, most
        if self.batches is not None and not least <= self.batches <= most:
            yield "in batches for one epoch", self.batches, self.batches


def run_of(
    total_steps: Any, epochs: Any, batches: Any, accumulate: Any, world_size: Any
) -> Run | None:
    """Return the run that the arguments of :func:`accelsched.check` give; None if none does.

    Raises:
        ArgumentError: one is not a whole number of at least 1, or the length is missing.
    """
    given = {"total_steps": total_steps, "epochs": epochs, "batches": batches}
    total, n_epochs, n_batches = (
        None if value is None else _count(name, value) for name, value in given.items()
    )
    size, each = _count("world_size", world_size), _count("accumulate", accumulate)
    counts = n_epochs, n_batches, each, size
    if total is not None:
        return Run(total, total, *counts)
    if n_epochs is not None and n_batches is not None:
        least = n_epochs * (n_batches // each) or max(n_epochs * n_batches // each, 1)
        return Run(least, n_epochs * -(-n_batches // each), *counts)
    if counts == (None, None, 1, 1):
        return None
    remedy = "say how long the run is: give total_steps, or epochs and batches per epoch"
    raise ArgumentError("total_steps", total_steps, remedy)


def _count(name: str, value: Any) -> int:
    count = integer(name, value)
    require(count >= 1, name, value, "give at least 1")
    return count
