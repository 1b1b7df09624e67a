"""How a scheduled value gets into the param groups: as a tensor on the device, or as a float.

A driver holds the step counter and the values; it is all the state that a scheduler has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from accelsched import optimizers, runtimes
from accelsched.groups import Slots, ledger
from accelsched.schedules import Schedule
from accelsched.schedules.stacking import stack, structure


class HostDriver:
    """A Python counter and Python floats: what eager PyTorch on the CPU is fastest with."""

    lowering = "host"

    def __init__(self, slots: Slots, schedules: Sequence[Schedule], count: int) -> None:
        self._slots = slots
        self._count = count
        self.use(schedules)
        self.write()

    def use(self, schedules: Sequence[Schedule]) -> None:
        """Evaluate other schedules from the next step on, one for each group."""
        dtypes = [torch.float64] * len(schedules)
        self._evaluate = Evaluation(schedules, dtypes, torch.device("cpu"))

    def step(self) -> None:
        self._count += 1
        self.write()

    def write(self) -> None:
        self._values = self.current()
        self.install()

    def install(self) -> None:
        self._slots.write(self._values)

    def current(self) -> list[float]:
        return [value.item() for value in self._evaluate(torch.tensor(self._count))]

    def last(self) -> list[float]:
        return list(self._values)

    @property
    def count(self) -> int:
        return self._count

    @count.setter
    def count(self, count: int) -> None:
        self._count = count


class GraphDriver:
    """A counter and values that live on the device: a step is a few operations of the graph.

    Nothing of Python changes in :meth:`step`, and no number is read, so it can be traced,
    compiled and captured, and what was compiled stays valid.
    """

    lowering = "graph"

    def __init__(self, slots: Slots, schedules: Sequence[Schedule], count: int) -> None:
        self._slots = slots
        self._device = _device(slots.groups())
        self._runtime = runtimes.of(self._device)
        self._counter = self._state(count, torch.int64, self._device)
        self._cells = [self._cell(index) for index in slots.indices]
        self.install()
        self.use(schedules)
        self.write()

    def _state(self, number: float, dtype: torch.dtype, device: torch.device) -> Tensor:
        return self._runtime.settled(torch.tensor(number, dtype=dtype, device=device))

    def _cell(self, index: int) -> Tensor:
        """The tensor of a group's value, for ever; made if there is none yet."""
        optimizer, key = self._slots.optimizer, self._slots.key
        cells = ledger(optimizer).cells
        if (index, key) not in cells:
            group = optimizer.param_groups[index]
            value = group[key]
            given = isinstance(value, Tensor)
            dtype = value.dtype if given else _dtype(group)
            cell = self._state(float("nan"), dtype, _device([group]))
            cell.requires_grad_(optimizers.needs_grad(optimizer, index, key, self._runtime))
            cells[index, key] = cell
        return cells[index, key]

    def use(self, schedules: Sequence[Schedule]) -> None:
        """Evaluate other schedules from the next step on, one for each group."""
        with torch.no_grad():
            self._evaluate = self._runtime.lowered(
                partial(Evaluation, schedules, [cell.dtype for cell in self._cells]),
                self._device,
            )

    def step(self) -> None:
        with torch.no_grad():
            self._counter.add_(1)
            self.write()

    def write(self) -> None:
        with torch.no_grad():
            for cell, value in zip(self._cells, self._evaluate(self._counter), strict=True):
                # copy_ and fill_ would leave the graph on some lazy back ends; this does not.
                torch.add(value.to(cell.device), 0, out=cell)

    def install(self) -> None:
        self._slots.write(self._cells)

    def current(self) -> list[Tensor]:
        with torch.no_grad():
            return list(self._evaluate(self._counter))

    def last(self) -> list[Tensor]:
        return [cell.detach().clone() for cell in self._cells]

    @property
    def count(self) -> int:
        return int(self._counter.item())

    @count.setter
    def count(self, count: int) -> None:
        with torch.no_grad():
            torch.add(self._state(count, torch.int64, self._device), 0, out=self._counter)


class Evaluation:
    """The values of all groups at a step; groups that differ in numbers only are one vector."""

    def __init__(
        self, schedules: Sequence[Schedule], dtypes: Sequence[torch.dtype], device: torch.device
    ) -> None:
        alike: dict[Any, list[int]] = {}
        for position, (schedule, dtype) in enumerate(zip(schedules, dtypes, strict=True)):
            alike.setdefault((structure(schedule), dtype), []).append(position)
        self._buckets = [
            (stack([schedules[i] for i in positions], device), dtype, positions)
            for (_, dtype), positions in alike.items()
        ]
        self._size = len(schedules)

    def __call__(self, counter: Tensor) -> list[Tensor]:
        """One value a group, 0-dim and of its dtype."""
        values = [counter] * self._size
        for schedule, dtype, positions in self._buckets:
            value = schedule.formula(counter).to(dtype)
            for index, position in enumerate(positions):
                values[position] = value[index] if value.dim() else value
        return values


Driver = HostDriver | GraphDriver


def driver_for(slots: Slots, lowering: str | None) -> type[HostDriver] | type[GraphDriver]:
    """The driver of a lowering; by default tensors where the value or the device asks for them."""
    if lowering == "graph":
        return GraphDriver
    if lowering == "host":
        return HostDriver
    tensor = any(isinstance(group[slots.key], Tensor) for group in slots.groups())
    return GraphDriver if tensor or runtimes.of(_device(slots.groups())).on_device else HostDriver


def _device(groups: Sequence[dict[str, Any]]) -> torch.device:
    """Where the parameters are."""
    parameters = (p for group in groups for p in group["params"])
    return next((p.device for p in parameters), torch.device("cpu"))


def _dtype(group: dict[str, Any]) -> torch.dtype:
    """float64 for float64 parameters, float32 for any other."""
    wide = any(p.dtype == torch.float64 for p in group["params"])
    return torch.float64 if wide else torch.float32
