"""The driver for cerebras_pytorch, whose backend traces one step and repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._binding.graph_driver import GraphDriver
from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues
from accelsched._binding.stride import Stride, as_scalar
from accelsched._lowering import lower_to_device
from accelsched._runtimes import cerebras
from accelsched._runtimes.device_graph import DeviceGraph
from accelsched.schedules import Schedule
from accelsched.schedules._fields import MAX_STEP

_CPU = torch.device("cpu")


class CerebrasDriver(GraphDriver):
    """A driver whose counter the backend carries, and whose values the traced step computes.

    The values are computed before each step of the optimizer, so only the counter is carried. While
    no step is traced, the param groups hold floats, or the values that the last step returned.
    """

    _next: DeviceGraph

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
        self.device = group_values.device
        self._runtime = cerebras.RUNTIME
        self.follow(self.lower(schedules))
        self._set_counter(step)
        values = self._computed(step)
        optimizer = self._optimizer
        self._registration = cerebras.registration(optimizer, lambda: _drivers_of(optimizer))
        self._set(values)

    def lower(self, schedules: Sequence[Any]) -> Any:
        """Return what :meth:`follow` takes, given one schedule per group; change nothing."""
        _require_no_trace("follow another schedule")
        dtypes = self.group_values.dtypes()
        with cerebras.exact():
            # The backend may undo a step, so the graph does not advance the counter.
            lowered = lower_to_device(
                schedules, dtypes, self.device, self._asked, held=self._held(), advances=False
            )
            on_host = lower_to_device(schedules, dtypes, _CPU, "graph", advances=False)
        return lowered, on_host.evaluate

    def follow(self, lowered: Any) -> None:
        """Evaluate other schedules from the next step on."""
        on_device, self._on_host = lowered
        super().follow(on_device)

    def step(self) -> bool:
        """Move to the next step, by an operation of the traced step if one is traced."""
        return self.move_on(1, far=False)

    def move_on(self, by: Stride, far: bool) -> bool:
        """Advance the counter by ``by``, by an operation of the traced step if one is traced."""
        if not cerebras.is_tracing():
            self.set_step(self.count + int(by))
            return len(self._optimizer.param_groups) != self._group_count
        if far and self._lowered.end < MAX_STEP:
            raise RuntimeError(
                "the segments end at step 2**41, which by=... can pass: build the scheduler with "
                "lowering='graph'"
            )
        with torch.no_grad():
            cerebras.skip_if_not_finite(self._optimizer, self._counter)
            self._counter.add_(by if isinstance(by, int) else as_scalar(by, self.device))
            self.assign()
        return False

    @property
    def count(self) -> int:
        """The step whose values the groups have."""
        _require_no_trace("read the step")
        return int(cerebras.read(self._counter))

    def set_step(self, step: int) -> None:
        """Move to a step, and compute its values on the host."""
        _require_no_trace("move to another step")
        self._set_counter(step)
        self._set(self._computed(step))

    move = set_step

    def _set_counter(self, step: int) -> None:
        if step >= self._lowered.end:
            with cerebras.exact():
                super().follow(self._lowered.beyond())
        self._counter = self._state(step, torch.int64, self.device)

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Put the values in the groups."""
        self.group_values.write(self._values, groups)

    def _set(self, values: Sequence[Any]) -> None:
        self._values = list(values)
        self.write_to_groups()

    def _computed(self, step: int) -> list[float]:
        """Compute the values of a step on the host."""
        with cerebras.exact():
            values = self._on_host(torch.tensor(step, device=_CPU))
            return [value.item() for value in values]

    def current(self) -> list[Any]:
        """Recompute the values of the current step."""
        return self._traced() if cerebras.is_tracing() else self._computed(self.count)

    # The interface for the backend: see cerebras.CarriedState.

    def state(self) -> list[Tensor]:
        """Return the tensors to carry: the counter, and the constants of the evaluation."""
        return [self._counter, *self._next.tensors()]

    def assign(self) -> None:
        """Put the values of the traced step in the groups."""
        self._set(self._traced())

    def _traced(self) -> list[Tensor]:
        """Compute the values as operations of the traced step."""
        with torch.no_grad():
            return list(self._next(self._counter))

    def counter(self) -> Tensor:
        """Return the counter, as a tensor of the traced step."""
        return self._counter

    def report(self, step: int) -> None:
        """Move to the step that the device has returned."""
        self._set(self._computed(step))


def _drivers_of(optimizer: torch.optim.Optimizer) -> list[CerebrasDriver]:
    drivers = [owner.driver for owner in ownership_of(optimizer).owners()]
    return [driver for driver in drivers if isinstance(driver, CerebrasDriver)]


def _require_no_trace(what: str) -> None:
    if cerebras.is_tracing():
        raise RuntimeError(
            f"a step is being traced, so Python cannot {what} now: do so before the run, or in a "
            "cstorch.step_closure or cstorch.checkpoint_closure"
        )
