"""Values as tensors in the param groups, from a counter on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, device_of, dtype_of
from accelsched._lowering import choose_lowering, lower_to_device
from accelsched._optimizers.least_rates import least_rates
from accelsched._optimizers.on_device import Factor, mark
from accelsched._optimizers.remedies import needs_grad
from accelsched._runtimes import Evaluate, runtime_of
from accelsched.schedules import Schedule


class GraphDriver:
    """A counter and values that live on the device: a step is a few operations of the graph.

    Nothing of Python changes in :meth:`step`, and no number is read, so it can be traced,
    compiled and captured, and what was compiled stays valid.

    Args:
        group_values: what it writes.
        schedules: one for each group.
        step: where to start; the values of this step are written.
        lowering: as the user asked for it.
    """

    def __init__(
        self,
        group_values: GroupValues,
        schedules: Sequence[Schedule],
        step: int,
        lowering: str | None = None,
    ) -> None:
        self._group_values = group_values
        self._asked = lowering
        self._device = group_values.device
        self._runtime = runtime_of(self._device)
        self._dtypes = group_values.dtypes()
        self._least = least_rates(group_values.optimizer, group_values.key, self._dtypes)
        self._counter = self._state(step, torch.int64, self._device)
        # All that can fail comes before the optimizer is touched.
        self.set_schedules(schedules)
        self._next(self._counter)
        self._value_tensors = [self._value_tensor(index) for index in group_values.indices]
        self.set_step(step)
        self.write_to_groups()

    def _state(self, number: float, dtype: torch.dtype, device: torch.device) -> Tensor:
        return self._runtime.as_state(torch.tensor(number, dtype=dtype, device="cpu"), device)

    def _value_tensor(self, index: int) -> Tensor:
        """The tensor of a group's value, for ever; made if there is none yet."""
        optimizer, key = self._group_values.optimizer, self._group_values.key
        known = ownership_of(optimizer).value_tensors
        if (index, key) not in known:
            group = optimizer.param_groups[index]
            dtype = dtype_of(group, self._group_values.value(group))
            tensor = self._state(float("nan"), dtype, device_of([group]))
            if needs_grad(optimizer, index, key, self._runtime):
                # A parameter, since other tensors that require a gradient cannot be loaded there.
                tensor = Factor(tensor)
            if key != "lr":
                mark(tensor)
            known[index, key] = tensor
        return known[index, key]

    def set_schedules(self, schedules: Sequence[Any]) -> None:
        """Evaluate other schedules from the next step on, one for each group."""
        self._next = self._lowered(schedules)

    def _lowered(self, schedules: Sequence[Schedule]) -> Evaluate:
        """From the counter to what it is at the next step, and the value of each group there."""
        self.lowering = choose_lowering(self._asked, schedules, self._runtime, holds_tensors=True)
        dtypes, device, lowering = self._dtypes, self._device, self.lowering
        return lower_to_device(schedules, dtypes, device, lowering, least=self._least)

    def step(self) -> None:
        """Compute the values of the next step, in place, on the device."""
        self._runtime.before_step(self._counter, self._group_values.optimizer)
        with torch.no_grad():
            self._advance()

    def _advance(self) -> None:
        self._runtime.assign([self._counter, *self._value_tensors], self._next(self._counter))

    @property
    def count(self) -> int:
        """The step whose values the groups have. Reading it waits for the device."""
        return int(self._counter.item())

    def set_step(self, step: int) -> None:
        """Move to a step, and compute its values."""
        self._set_counter(step - 1)
        with torch.no_grad():
            self._advance()

    def _set_counter(self, step: int) -> None:
        with torch.no_grad():
            self._runtime.assign([self._counter], [self._state(step, torch.int64, self._device)])

    def write_to_groups(self) -> None:
        """Put the tensors in the groups."""
        self._group_values.write(self._value_tensors)

    def current(self) -> list[Tensor]:
        """The values of this step, computed anew."""
        with torch.no_grad():
            return list(self._next(self._counter - 1))[1:]

    def last(self) -> list[Tensor]:
        """Copies of the values that the groups have."""
        return [tensor.detach().clone() for tensor in self._value_tensors]
