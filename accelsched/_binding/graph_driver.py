"""Values as tensors in the param groups, from a counter on the device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, device_of, dtype_of
from accelsched._lowering import Lowered, lower_to_device
from accelsched._optimizers.least_rates import least_rates
from accelsched._optimizers.on_device import Factor, mark
from accelsched._optimizers.remedies import level_of_the_caller, needs_grad
from accelsched._runtimes import runtime_of
from accelsched.schedules import Schedule


class GraphDriver:
    """A counter and values that live on the device: a step is a few operations of the graph.

    Nothing of Python changes in :meth:`step`, and no number is read, so it can be traced, compiled
    and captured, and what was compiled stays valid.

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
        self.group_values = group_values
        self._optimizer = group_values.optimizer
        self._group_count = group_values.group_count
        self._asked = lowering
        self._warned = False
        self.device = group_values.device
        self._runtime = runtime_of(self.device)
        # State that is made in inference mode could not be updated outside of it.
        with torch.inference_mode(False):
            self._counter = self._state(step, torch.int64, self.device)
            # All that can fail comes before the optimizer is touched.
            self._value_tensors = [self._value_tensor(index) for index in group_values.indices]
            self._dtypes = [tensor.dtype for tensor in self._value_tensors]
            self._least = least_rates(self._optimizer, group_values.key, self._dtypes)
            self.follow(self.lower(schedules))
            with torch.no_grad():
                self._next(self._counter)
            self.set_step(step)

    def _state(self, number: float, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Put a number on the device, as state that graphs carry from step to step."""
        return self._runtime.as_state(torch.tensor(number, dtype=dtype, device="cpu"), device)

    def _value_tensor(self, index: int) -> Tensor:
        """Return the one tensor of a group's value; make it if there is none yet."""
        optimizer, key = self.group_values.optimizer, self.group_values.key
        known = ownership_of(optimizer).value_tensors
        group = optimizer.param_groups[index]
        device = device_of([group])
        if (index, key) not in known or known[index, key].device != device:
            dtype = dtype_of(group, self.group_values.value(group))
            tensor = self._state(float("nan"), dtype, device)
            if needs_grad(optimizer, index, key, self._runtime):
                # A parameter, since other tensors that require a gradient cannot be loaded there.
                tensor = Factor(tensor)
            if key != "lr":
                mark(tensor)
            known[index, key] = tensor
        return known[index, key]

    def lower(self, schedules: Sequence[Any]) -> Lowered:
        """What :meth:`follow` takes, for one schedule a group; nothing changes."""
        dtypes, device, least = self._dtypes, self.device, self._least
        return lower_to_device(schedules, dtypes, device, self._asked, least=least)

    def follow(self, lowered: Lowered) -> None:
        """Evaluate other schedules from the next step on."""
        self.lowering, self._next = lowered.name, lowered.evaluate
        self._lowered = lowered

    def stepper(self) -> Callable[[], bool]:
        """What computes the values of the next step."""
        return self.step

    def step(self) -> bool:
        """Compute the values of the next step, in place, on the device."""
        self._runtime.before_step([self._counter], self._optimizer)
        with torch.no_grad():
            self._advance()
        return self._look()

    def _look(self) -> bool:
        """Put the tensors back where a group has something else; True if there are other groups."""
        held, has_new_groups = self.group_values, self.has_new_groups()
        for group, tensor in zip(self._driven, self._value_tensors, strict=True):
            if held.value(group) is not tensor:
                self._warn_of(group)
                held.put(group, tensor)
        return has_new_groups

    def has_new_groups(self) -> bool:
        """Look at the groups that there are; True if they are others than it was made for."""
        # Dynamo would guard on all that an optimizer has, if it were asked for its groups.
        if not torch.compiler.is_compiling() and self._groups is not self._optimizer.param_groups:
            self._know(self._optimizer.param_groups)
        return len(self._groups) != self._group_count

    def _warn_of(self, group: dict[str, Any]) -> None:
        # Dynamo cannot trace a warning.
        if self._warned or torch.compiler.is_compiling():
            return
        self._warned = True
        key, value = self.group_values.key, self.group_values.value(group)
        # The text of a tensor would be read from the device.
        shown = "another tensor" if isinstance(value, Tensor) else repr(value)
        warnings.warn(
            f"{key!r} of a param group is scheduled, and something has put {shown} there: the "
            "scheduled tensor is back in its place. To change its value, change the schedule",
            UserWarning,
            stacklevel=level_of_the_caller(),
        )

    def _advance(self) -> None:
        """Write the next counter and its values, in place."""
        self._runtime.assign([self._counter, *self._value_tensors], self._next(self._counter))

    @property
    def count(self) -> int:
        """The step whose values the groups have. Reading it waits for the device."""
        return int(self._counter.item())

    def set_step(self, step: int) -> None:
        """Move to a step, compute its values, and put the tensors in the groups."""
        self.move(step)
        self.write_to_groups()

    def move(self, step: int) -> None:
        """Move to a step, and compute its values; what somebody else put in a group stays there."""
        with torch.inference_mode(False), torch.no_grad():
            self._set_counter(step - 1)
            self._advance()

    def _set_counter(self, step: int) -> None:
        if step >= self._lowered.end - 1:
            self.follow(self._lowered.beyond())
        self._runtime.assign([self._counter], [self._state(step, torch.int64, self.device)])

    def ignore_new_groups(self) -> None:
        """Take the groups that there are for those that it was made for."""
        self._group_count = self.group_values.group_count = len(self._optimizer.param_groups)

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Put the tensors in the groups."""
        self._know(self._optimizer.param_groups if groups is None else groups)
        self.group_values.write(self._value_tensors, groups)

    def _know(self, groups: list[dict[str, Any]]) -> None:
        self._groups, self._driven = groups, self.group_values.groups(groups)

    def current(self) -> list[Tensor]:
        """Compute the values of this step anew."""
        with torch.no_grad():
            return list(self._next(self._counter - 1))[1:]
