"""The driver for cerebras_pytorch, whose backend traces one step and repeats it on the system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched import runtimes
from accelsched.drivers import GraphDriver, by_position
from accelsched.errors import require
from accelsched.groups import ledger
from accelsched.runtimes import cerebras
from accelsched.runtimes.tracing import Traced
from accelsched.schedules import Schedule
from accelsched.schedules.stacking import Bucket, Evaluation
from accelsched.schedules.tables import TableEvaluation


class RegisteredDriver(GraphDriver):
    """A counter that the backend carries, and values that are operations of the traced step.

    The values are made anew before each step of the optimizer, so the counter is all that
    changes. While nothing is traced the param groups hold floats, or what the last step gave back.
    """

    def _bind(self, alike: list[Bucket], evaluate: runtimes.Evaluate) -> None:
        require(self._asked != "host", "lowering", self._asked, "the system runs no Python")
        self._follow(alike, evaluate)
        values = self._computed()
        optimizer = self._slots.optimizer
        self._registration = cerebras.registration(optimizer, lambda: _registered(optimizer))
        self._set(values)

    def _follow(self, alike: list[Bucket], evaluate: runtimes.Evaluate) -> None:
        assert isinstance(evaluate, (Traced, TableEvaluation))
        self._buckets, self._evaluate = alike, evaluate
        self._tensors = evaluate.tensors()

    def _lowered(self, schedules: Sequence[Schedule]) -> tuple[list[Bucket], runtimes.Evaluate]:
        with cerebras.exact():
            return super()._lowered(schedules)

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
        step = torch.tensor(self.count, device="cpu")
        with cerebras.exact():
            values = Evaluation(self._buckets, step.device)(step)
        return by_position(self._buckets, [value.tolist() for value in values])

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
        return [self._counter, *self._tensors]

    def assign(self) -> None:
        self._set(self._traced())

    def _traced(self) -> list[Tensor]:
        with torch.no_grad():
            values = self._evaluate(self._counter)
        each = [
            [value.select(0, i) for i in range(len(bucket.positions))] if value.dim() else value
            for bucket, value in zip(self._buckets, values, strict=True)
        ]
        return by_position(self._buckets, each)

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
