"""How long a run is, in which units its steps could have been counted, and which one was meant.

An epoch has batches, some batches make an optimizer step, and a scheduler is stepped once at each
of these, or once for each process. A schedule that was built in another unit ends early or late.
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
        least: the optimizer steps, if those batches of an epoch that fill no accumulation are left.
        most: the optimizer steps, if they make one more, as in most trainers.
        epochs: as the user gave it; None if not.
        batches: an epoch, likewise.
        accumulate: batches an optimizer step.
        world_size: how often a scheduler is stepped at an optimizer step.
    """

    least: int
    most: int
    epochs: int | None
    batches: int | None
    accumulate: int
    world_size: int

    @property
    def steps(self) -> int:
        """How often a scheduler is stepped in the run."""
        return self.most * self.world_size

    def fits(self, end: int) -> bool:
        """Whether a schedule that stays from step ``end`` on is as long as the run.

        The last step of n is step n - 1: one that has its last value there is as long, too.
        """
        return self.least * self.world_size - 1 <= end <= self.steps

    def optimizer_step(self, step: int) -> int:
        """The optimizer step at which a scheduler is at a step of its own."""
        return step // self.world_size

    def counted_in(self, end: int) -> list[str]:
        """The units in which a schedule of ``end`` steps is as long as the run, or as an epoch."""
        return [
            unit + how
            for factor, divisor, how in self._by_processes()
            for unit, least, most in self._units()
            if least * factor // divisor - 1 <= end <= -(-most * factor // divisor)
        ]

    def _by_processes(self) -> Iterator[tuple[int, int, str]]:
        """What a count may have been multiplied by and divided by for the processes."""
        size = self.world_size
        yield size, 1, ""
        if size > 1:
            yield 1, 1, f" (world_size={size} left out)"
            yield 1, size, f" (divided by world_size={size})"
            yield size * size, 1, f" (multiplied by world_size={size} twice)"

    def _units(self) -> Iterator[tuple[str, int, int]]:
        """Names of units, with the least and the most that the run, or an epoch, has of each."""
        yield "in optimizer steps", self.least, self.most
        if self.epochs is not None and self.batches is not None:
            every = self.epochs * self.batches
            if not self.least <= every <= self.most:
                yield "in batches", every, every
        elif self.accumulate > 1:
            yield "in batches", (self.least - 1) * self.accumulate + 1, self.most * self.accumulate
        if self.epochs is not None:
            # The last milestone of several is within the epochs.
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
    """The run that the arguments of :func:`accelsched.check` tell of; None if they tell of none.

    Raises:
        ArgumentError: one is not a number from 1 on, or they do not say how long it is.
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
    remedy = "say how long the run is: give total_steps, or epochs and batches (an epoch)"
    raise ArgumentError("total_steps", total_steps, remedy)


def _count(name: str, value: Any) -> int:
    count = integer(name, value)
    require(count >= 1, name, value, "give a number from 1 on")
    return count
