"""Values that depend on the previous one: a step multiplies the group's value and adds to it.

The factor and the summand are pure schedules, so every lowering works here too. The value in the
group is the state: if other code changes it, the next step continues from there.
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
    """A driver of recurrences in Python floats; the group holds the only copy of its value.

    Args:
        group_values: the values to drive.
        recurrences: one for each group.
        step: the step to start at.
        values: the values of the groups at that step.
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
        """Return the argument of :meth:`follow` for recurrences, one for each group."""
        return recurrences

    def follow(self, recurrences: Sequence[Recurrence]) -> None:
        """Follow other recurrences from the next step on, one for each group."""
        self._recurrences = recurrences

    def set_state(self, step: int, values: Sequence[float]) -> None:
        """Move to a step, and set these values."""
        self.count = step
        self.group_values.write(values)

    def stepper(self) -> Callable[[], bool]:
        """Return the function that computes the values of the next step."""
        return self.step

    def step(self) -> bool:
        """Compute the values of the next step, and write them to the groups."""
        count = self.count + 1
        now = zip(self._recurrences, self.values(), strict=True)
        self.set_state(count, [recurrence(value, count) for recurrence, value in now])
        return self.has_new_groups()

    def move_on(self, by: Stride, far: bool) -> bool:
        """Take one step, or none if ``by`` is 0; read ``by`` if it is a tensor."""
        return self.step() if int(by) else self.has_new_groups()

    def has_new_groups(self) -> bool:
        """Return whether the optimizer has another number of param groups than expected."""
        return len(self.group_values.optimizer.param_groups) != self._group_count

    def ignore_new_groups(self) -> None:
        """Expect the number of param groups that the optimizer has now."""
        self._group_count = len(self.group_values.optimizer.param_groups)
        self.group_values.group_count = self._group_count

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Do nothing: the groups hold the only copy of the values."""

    def values(self) -> list[float]:
        """Return the values in the groups."""
        return [float(value) for value in self.group_values.values()]

    current = values


class RecurrentGraphDriver(GraphDriver):
    """A driver of recurrences that updates values on the device in place.

    Args:
        group_values: the values to drive.
        recurrences: one for each group.
        step: the step to start at.
        values: the values of the groups at that step.
        lowering: the lowering that the user chose; None for the default.
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
        """Return the argument of :meth:`follow` for recurrences; change nothing."""
        factors = [recurrence.factor for recurrence in recurrences]
        summands = [recurrence.summand for recurrence in recurrences]
        both = [*factors, *summands]
        dtypes, held = self._dtypes * 2, self._held()
        return lower_to_device(both, dtypes, self.device, self._asked, held=held)

    def set_state(self, step: int, values: Sequence[float]) -> None:
        """Move to a step, and set these values."""
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
            by: 1 to step, 0 to stay; None stands for 1.
        """
        counter, *parts = self._next(self._counter)
        groups = len(self._value_tensors)
        factors, summands = parts[:groups], parts[groups:]
        if by is not None:
            goes = self._number(by)
            counter = self._counter + goes
            # If goes is 1, both stay exactly the same; if it is 0, they become 1 and 0.
            factors = [factor * goes + (1 - goes) for factor in factors]
            summands = [summand * goes for summand in summands]
        self._runtime.assign([self._counter], [counter])
        columns = self._value_tensors, factors, summands, self._least
        for tensor, factor, summand, least in zip(*columns, strict=True):
            if least is not None:
                # The least value stands for 0, and 0 times any factor is 0.
                torch.mul(tensor, tensor > least, out=tensor)
            torch.mul(tensor, factor.to(tensor.device), out=tensor)
            torch.add(tensor, summand.to(tensor.device), out=tensor)
            _raise_to(tensor, least)

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Put the tensors in the groups, after copying any value that was assigned there."""
        columns = self._value_tensors, self.group_values.groups(groups), self._least
        for tensor, group, least in zip(*columns, strict=True):
            value = self.group_values.value(group)
            if value is not tensor:
                with torch.no_grad():
                    torch.add(torch.as_tensor(value).to(tensor), 0, out=tensor)
                    _raise_to(tensor, least)
        super().write_to_groups(groups)

    def values(self) -> list[Tensor]:
        """Return copies of the values in the groups."""
        self.write_to_groups()
        return copies_of(self._value_tensors)

    def current(self) -> list[Tensor]:
        """Return copies of the values in the groups."""
        return self.values()


def _raise_to(tensor: Tensor, least: float | None) -> None:
    """Raise a tensor to the least value, in place, if it is below."""
    if least is not None:
        torch.clamp(tensor, min=least, out=tensor)
