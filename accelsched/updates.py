"""Values that depend on those before them: a step multiplies what the group has, and adds to it.

The multiplier and what is added are pure schedules, so every lowering of these serves here too;
the value in the group is the state, and a change from outside is stepped on from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched import drivers, runtimes
from accelsched.drivers import GraphDriver
from accelsched.groups import Slots
from accelsched.schedules import Schedule


@dataclass(frozen=True)
class Update:
    """What a step makes of a value: ``value * factor(step) + summand(step)``."""

    factor: Schedule
    summand: Schedule

    def __call__(self, value: float, step: int) -> float:
        return value * self.factor(step) + self.summand(step)


class HostUpdates:
    """Updates of Python floats; the value in the group is the only one there is."""

    lowering = "host"

    def __init__(
        self, slots: Slots, updates: Sequence[Update], count: int, values: Sequence[float]
    ) -> None:
        self._slots = slots
        self._updates = updates
        self.put(count, values)

    def use(self, updates: Sequence[Update]) -> None:
        """Follow other updates from the next step on, one for each group."""
        self._updates = updates

    def put(self, count: int, values: Sequence[float]) -> None:
        """Be at a step, with these values."""
        self.count = count
        self._slots.write(values)

    def step(self) -> None:
        count = self.count + 1
        now = zip(self._updates, self.last(), strict=True)
        self.put(count, [update(value, count) for update, value in now])

    def install(self) -> None:
        """Nothing is held apart from the groups."""

    def last(self) -> list[float]:
        return [float(value) for value in self._slots.values()]

    current = last


class GraphUpdates(GraphDriver):
    """Updates in place of values that live on the device."""

    def __init__(
        self,
        slots: Slots,
        updates: Sequence[Update],
        count: int,
        values: Sequence[float],
        lowering: str | None = None,
    ) -> None:
        super().__init__(slots, updates, count, lowering)  # type: ignore[arg-type]
        self.put(count, values)

    def _lowered(self, updates: Sequence[Any]) -> runtimes.Evaluate:
        factors, summands = ([getattr(u, part) for u in updates] for part in ("factor", "summand"))
        return super()._lowered([*factors, *summands])

    def put(self, count: int, values: Sequence[float]) -> None:
        """Be at a step, with these values."""
        self.count = count
        states = [
            self._state(value, cell.dtype, cell.device)
            for cell, value in zip(self._cells, values, strict=True)
        ]
        with torch.no_grad():
            self._runtime.assign(self._cells, states)

    def step(self) -> None:
        if not torch.compiler.is_compiling():
            self.install()
        super().step()

    def _step(self) -> None:
        counter, *parts = self._next(self._counter)
        self._runtime.assign([self._counter], [counter])
        groups = len(self._cells)
        for cell, factor, summand in zip(self._cells, parts[:groups], parts[groups:], strict=True):
            torch.mul(cell, factor.to(cell.device), out=cell)
            torch.add(cell, summand.to(cell.device), out=cell)

    def install(self) -> None:
        """Put the cells in the groups; a value that was assigned there goes on from them."""
        for cell, value in zip(self._cells, self._slots.values(), strict=True):
            if value is not cell:
                with torch.no_grad():
                    torch.add(torch.as_tensor(value).to(cell), 0, out=cell)
        super().install()

    def current(self) -> list[Tensor]:
        return self.last()


Driver = HostUpdates | GraphUpdates


def driver_for(
    slots: Slots,
    updates: Sequence[Update],
    count: int,
    values: Sequence[float],
    lowering: str | None,
) -> Driver:
    """The driver of a lowering, with these values at this step."""
    if drivers.is_host(slots, lowering):
        return HostUpdates(slots, updates, count, values)
    return GraphUpdates(slots, updates, count, values, lowering)
