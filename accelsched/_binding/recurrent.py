"""Values that depend on those before them: a step multiplies the group's value and adds to it.

The factor and the summand are pure schedules, so every lowering serves here too. The value in the
group is the state, so a step goes on from a value that was changed from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched._binding.graph_driver import GraphDriver
from accelsched._binding.param_groups import GroupValues, copies_of
from accelsched._binding.stride import Stride
from accelsched._lowering import Lowered, lower_to_device
from accelsched.schedules import Schedule


@dataclass(frozen=True)
class Recurrence:
    """One step of a value: ``value * factor(step) + summand(step)``."""

    factor: Schedule
    summand: Schedule

    def __call__(self, value: float, step: int) -> float:
        return value * self.factor(step) + self.summand(step)


class RecurrentHostDriver:
    """Recurrences of Python floats; the value in the group is the only copy.

    Args:
        group_values: what it writes.
        recurrences: one for each group.
        step: where to start.
        values: those of the groups at that step.
    """

    lowering = "host"
    reason: str | None = None

    def __init__(
        self,
        group_values: GroupValues,
        recurrences: Sequence[Recurrence],
        step: int,
        values: Sequence[float],
    ) -> None:
        self.group_values = group_values
        self._group_count = group_values.group_count
        self.device = group_values.device
        self.follow(recurrences)
        self.set_state(step, values)

    def lower(self, recurrences: Sequence[Recurrence]) -> Sequence[Recurrence]:
        """What :meth:`follow` takes, for one recurrence a group."""
        return recurrences

    def follow(self, recurrences: Sequence[Recurrence]) -> None:
        """Follow other recurrences from the next step on, one for each group."""
        self._recurrences = recurrences

    def set_state(self, step: int, values: Sequence[float]) -> None:
        """Move to a step, with these values."""
        self.count = step
        self.group_values.write(values)

    def stepper(self) -> Callable[[], bool]:
        """What computes the values of the next step."""
        return self.step

    def step(self) -> bool:
        """Compute the values of the next step, and write them to the groups."""
        count = self.count + 1
        now = zip(self._recurrences, self.values(), strict=True)
        self.set_state(count, [recurrence(value, count) for recurrence, value in now])
        return self.has_new_groups()

    def move_on(self, by: Stride, far: bool) -> bool:
        """Step, or stay for 0; a tensor is read."""
        return self.step() if int(by) else self.has_new_groups()

    def has_new_groups(self) -> bool:
        """Whether the optimizer has other groups than it was made for."""
        return len(self.group_values.optimizer.param_groups) != self._group_count

    def ignore_new_groups(self) -> None:
        """Take the groups that there are for those that it was made for."""
        self._group_count = len(self.group_values.optimizer.param_groups)
        self.group_values.group_count = self._group_count

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Do nothing: the groups hold the only copy of the values."""

    def values(self) -> list[float]:
        """The values that the groups have."""
        return [float(value) for value in self.group_values.values()]

    current = values


class RecurrentGraphDriver(GraphDriver):
    """Recurrences, in place, of values that live on the device.

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

    def lower(self, recurrences: Sequence[Any]) -> Lowered:
        """What :meth:`follow` takes, for one recurrence a group; nothing changes."""
        factors = [recurrence.factor for recurrence in recurrences]
        summands = [recurrence.summand for recurrence in recurrences]
        both = [*factors, *summands]
        dtypes, held = self._dtypes * 2, self._held()
        return lower_to_device(both, dtypes, self.device, self._asked, held=held)

    def set_state(self, step: int, values: Sequence[float]) -> None:
        """Move to a step, with these values."""
        columns = self._value_tensors, values, self._least
        with torch.inference_mode(False), torch.no_grad():
            self._set_counter(step)
            for tensor, value, least in zip(*columns, strict=True):
                self._rewrite(tensor, value if least is None else max(value, least))
        super().write_to_groups()

    def _step(self, by: Stride | None) -> bool:
        """Compute the values of the next step from those of the groups, on the device."""
        if not torch.compiler.is_compiling():
            self.write_to_groups()
        return super()._step(by)

    def _advance(self, by: Stride | None = None) -> None:
        """Write the next counter; multiply each value and add to it, in place.

        Args:
            by: 1, or 0 to stay; None for 1.
        """
        counter, *parts = self._next(self._counter)
        groups = len(self._value_tensors)
        factors, summands = parts[:groups], parts[groups:]
        if by is not None:
            goes = self._number(by)
            counter = self._counter + goes
            # Exactly what they are, or what changes nothing: 1 and 0.
            factors = [factor * goes + (1 - goes) for factor in factors]
            summands = [summand * goes for summand in summands]
        self._runtime.assign([self._counter], [counter])
        columns = self._value_tensors, factors, summands, self._least
        for tensor, factor, summand, least in zip(*columns, strict=True):
            if least is not None:
                # The least value stands for 0, of which no factor makes more.
                torch.mul(tensor, tensor > least, out=tensor)
            torch.mul(tensor, factor.to(tensor.device), out=tensor)
            torch.add(tensor, summand.to(tensor.device), out=tensor)
            _raise_to(tensor, least)

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Put the tensors in the groups; a value that was assigned there is taken over."""
        columns = self._value_tensors, self.group_values.groups(groups), self._least
        for tensor, group, least in zip(*columns, strict=True):
            value = self.group_values.value(group)
            if value is not tensor:
                with torch.no_grad():
                    torch.add(torch.as_tensor(value).to(tensor), 0, out=tensor)
                    _raise_to(tensor, least)
        super().write_to_groups(groups)

    def values(self) -> list[Tensor]:
        """Copies of the values that the groups have."""
        self.write_to_groups()
        return copies_of(self._value_tensors)

    def current(self) -> list[Tensor]:
        """Return the values that the groups have."""
        return self.values()


def _raise_to(tensor: Tensor, least: float | None) -> None:
    """Write the least value where a tensor is below it."""
    if least is not None:
        torch.clamp(tensor, min=least, out=tensor)
