"""Values that depend on those before them: a step multiplies what the group has, and adds to it.

The factor and the summand are pure schedules, so every lowering of these serves here too. The
value in the group is the state, and a change from outside is stepped on from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched._binding.graph_driver import GraphDriver
from accelsched._binding.param_groups import GroupValues
from accelsched._lowering import choose_lowering, lower_to_device
from accelsched._runtimes import Evaluate
from accelsched.schedules import Schedule


@dataclass(frozen=True)
class Recurrence:
    """What a step makes of a value: ``value * factor(step) + summand(step)``."""

    factor: Schedule
    summand: Schedule

    def __call__(self, value: float, step: int) -> float:
        return value * self.factor(step) + self.summand(step)


class RecurrentHostDriver:
    """Recurrences of Python floats; the value in the group is the only one there is.

    Args:
        group_values: what it writes.
        recurrences: one for each group.
        step: where to start.
        values: those of the groups at that step.
    """

    lowering = "host"

    def __init__(
        self,
        group_values: GroupValues,
        recurrences: Sequence[Recurrence],
        step: int,
        values: Sequence[float],
    ) -> None:
        self._group_values = group_values
        self.set_schedules(recurrences)
        self.set_state(step, values)

    def set_schedules(self, recurrences: Sequence[Recurrence]) -> None:
        """Follow other recurrences from the next step on, one for each group."""
        self._recurrences = recurrences

    def set_state(self, step: int, values: Sequence[float]) -> None:
        """Be at a step, with these values."""
        self.count = step
        self._group_values.write(values)

    def step(self) -> None:
        """Compute the values of the next step, and write them to the groups."""
        count = self.count + 1
        now = zip(self._recurrences, self.last(), strict=True)
        self.set_state(count, [recurrence(value, count) for recurrence, value in now])

    def write_to_groups(self) -> None:
        """Do nothing: no value is held apart from the groups."""

    def last(self) -> list[float]:
        """The values that the groups have."""
        return [float(value) for value in self._group_values.values()]

    current = last


class RecurrentGraphDriver(GraphDriver):
    """Recurrences in place of values that live on the device.

    Args:
        group_values: what it writes.
        recurrences: one for each group.
        step: where to start.
        values: those of the groups at that step.
        lowering: as the user asked for it.
    """

    def __init__(
        self,
        group_values: GroupValues,
        recurrences: Sequence[Recurrence],
        step: int,
        values: Sequence[float],
        lowering: str | None = None,
    ) -> None:
        super().__init__(group_values, recurrences, step, lowering)  # type: ignore[arg-type]
        self.set_state(step, values)

    def _lowered(self, recurrences: Sequence[Any]) -> Evaluate:
        factors = [recurrence.factor for recurrence in recurrences]
        summands = [recurrence.summand for recurrence in recurrences]
        both = [*factors, *summands]
        self.lowering = choose_lowering(self._asked, both, self._runtime, holds_tensors=True)
        return lower_to_device(both, self._dtypes * 2, self._device, self.lowering)

    def set_state(self, step: int, values: Sequence[float]) -> None:
        """Be at a step, with these values."""
        self._set_counter(step)
        states = [
            self._state(value if least is None else max(value, least), tensor.dtype, tensor.device)
            for tensor, value, least in zip(self._value_tensors, values, self._least, strict=True)
        ]
        with torch.no_grad():
            self._runtime.assign(self._value_tensors, states)

    def step(self) -> None:
        """Compute the values of the next step from those of the groups, on the device."""
        if not torch.compiler.is_compiling():
            self.write_to_groups()
        super().step()

    def _advance(self) -> None:
        counter, *parts = self._next(self._counter)
        self._runtime.assign([self._counter], [counter])
        groups = len(self._value_tensors)
        columns = self._value_tensors, parts[:groups], parts[groups:], self._least
        for tensor, factor, summand, least in zip(*columns, strict=True):
            if least is not None:
                # The least value stands for 0, of which no factor makes more.
                torch.mul(tensor, tensor > least, out=tensor)
            torch.mul(tensor, factor.to(tensor.device), out=tensor)
            torch.add(tensor, summand.to(tensor.device), out=tensor)
            _raise_to(tensor, least)

    def write_to_groups(self) -> None:
        """Put the tensors in the groups; a value that was assigned there goes on from them."""
        columns = self._value_tensors, self._group_values.values(), self._least
        for tensor, value, least in zip(*columns, strict=True):
            if value is not tensor:
                with torch.no_grad():
                    torch.add(torch.as_tensor(value).to(tensor), 0, out=tensor)
                    _raise_to(tensor, least)
        super().write_to_groups()

    def current(self) -> list[Tensor]:
        """The values that the groups have."""
        return self.last()


def _raise_to(tensor: Tensor, least: float | None) -> None:
    if least is not None:
        torch.clamp(tensor, min=least, out=tensor)
