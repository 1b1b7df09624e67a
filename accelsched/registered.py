"""The driver for cerebras_pytorch, whose backend traces one step and repeats it on the system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched.drivers import GraphDriver
from accelsched.errors import require
from accelsched.groups import ledger
from accelsched.runtimes import Evaluate, cerebras
from accelsched.runtimes.tracing import Traced
from accelsched.schedules import Schedule
from accelsched.schedules.stacking import Bucket, Evaluation, each

_CPU = torch.device("cpu")


class RegisteredDriver(GraphDriver):
    """A counter that the backend carries, and values that are operations of the traced step.

    The values are made anew before each step of the optimizer, so the counter is all that
    changes. While nothing is traced the param groups hold floats, or what the last step gave back.
    """

    _next: Traced

    def _bind(self, evaluate: Any) -> None:
        require(self._asked != "host", "lowering", self._asked, "the system runs no Python")
        self._next = evaluate
        values = self._computed()
        optimizer = self._slots.optimizer
        self._registration = cerebras.registration(optimizer, lambda: _registered(optimizer))
        self._set(values)

    def _lowered(self, schedules: Sequence[Schedule]) -> Traced:
        with cerebras.exact():
            evaluate = super()._lowered(schedules)
            alike = self._alike(schedules)
            self._on_host = each(alike, Evaluation(alike, _CPU))
        assert isinstance(evaluate, Traced)
        return evaluate

    def _evaluation(self, alike: list[Bucket], device: torch.device) -> Evaluate:
        return self._of_groups(alike, device)  # the counter is the backend's to undo

    def use(self, schedules: Sequence[Schedule]) -> None:
        _require_no_trace("follow another schedule")
        super().use(schedules)

    def step(self) -> None:
        if not cerebras.is_tracing():
            self.count += 1
            self.write()
            return
        with torch.no_grad():
            cerebras.skip_if_not_finite(self._slots.optimizer, self._counter)
            self._counter.add_(1)
            self.assign()

    def write(self) -> None:
        _require_no_trace("move to another step")
        self._set(self._computed())

    def install(self) -> None:
        self._slots.write(self._values)

    def _set(self, values: Sequence[Any]) -> None:
        self._values = list(values)
        self.install()

    def _computed(self) -> list[float]:
        """The values at this step, on the host."""
        step = torch.tensor(self.count, device=_CPU)
        with cerebras.exact():
            return [value.item() for value in self._on_host(step)]

    def current(self) -> list[Any]:
        return self._traced() if cerebras.is_tracing() else self._computed()

    def last(self) -> list[Any]:
        return list(self._values)

    @property
    def count(self) -> int:
        _require_no_trace("read the step")
        return int(cerebras.read(self._counter))

    @count.setter
    def count(self, count: int) -> None:
        _require_no_trace("move to another step")
        self._counter = self._state(count, torch.int64, self._device)

    # What the backend asks for.

    def state(self) -> list[Tensor]:
        return [self._counter, *self._next.tensors()]

    def assign(self) -> None:
        self._set(self._traced())

    def _traced(self) -> list[Tensor]:
        with torch.no_grad():
            return list(self._next(self._counter))

    def values(self) -> list[Tensor]:
        return self._values

    def report(self, values: Sequence[Tensor]) -> None:
        self._set(values)


def _registered(optimizer: torch.optim.Optimizer) -> list[RegisteredDriver]:
    drivers = [scheduler.driver for scheduler in ledger(optimizer).drivers()]
    return [driver for driver in drivers if isinstance(driver, RegisteredDriver)]


def _require_no_trace(what: str) -> None:
    if cerebras.is_tracing():
        raise RuntimeError(
            f"a step is being traced, and the system repeats it without Python: {what} before the "
            "run, or in a cstorch.step_closure or cstorch.checkpoint_closure"
        )
