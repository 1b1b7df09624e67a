"""How a scheduled value gets into the param groups: as a tensor on the device, or as a float.

A driver holds the step counter and the values; it is all the state that a scheduler has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from accelsched import optimizers, runtimes
from accelsched.groups import Slots, ledger
from accelsched.on_device import Factor, mark
from accelsched.schedules import Schedule, tables
from accelsched.schedules.stacking import Bucket, Evaluation, buckets, each

if TYPE_CHECKING:
    from accelsched.host import Eager
    from accelsched.kernels import Kernel


class HostDriver:
    """A counter and Python floats on the host: what eager PyTorch on the CPU is fastest with."""

    lowering = "host"

    def __init__(self, slots: Slots, schedules: Sequence[Schedule], count: int) -> None:
        self._slots = slots
        self._follow(self._lowered(schedules), count)
        self.write()

    @staticmethod
    def _lowered(schedules: Sequence[Schedule]) -> Kernel | Eager:
        from accelsched.host import evaluator  # and with it the compiler, which no device needs

        alike = buckets(schedules, [torch.float64] * len(schedules))
        positions = [bucket.positions for bucket in alike]
        return evaluator(Evaluation(alike, torch.device("cpu")), positions)

    def _follow(self, evaluator: Kernel | Eager, count: int) -> None:
        self._evaluator = evaluator
        self.count = count
        slots = self._slots
        stepper = evaluator.stepper(slots.optimizer, slots.key, slots.indices)
        self.step = self._step_tuples if slots.is_element else stepper

    def _step_tuples(self) -> None:
        self._slots.write(self._evaluator.advance())

    def use(self, schedules: Sequence[Schedule]) -> None:
        """Evaluate other schedules from the next step on, one for each group."""
        self._follow(self._lowered(schedules), self.count)

    def write(self) -> None:
        self.count -= 1
        self.step()

    def install(self) -> None:
        self._slots.write(self.last())

    def current(self) -> list[float]:
        return self._evaluator.at(self.count)

    def last(self) -> list[float]:
        return self._evaluator.last()

    @property
    def count(self) -> int:
        return self._evaluator.step - 1

    @count.setter
    def count(self, count: int) -> None:
        self._evaluator.step = count + 1


class GraphDriver:
    """A counter and values that live on the device: a step is a few operations of the graph.

    Nothing of Python changes in :meth:`step`, and no number is read, so it can be traced,
    compiled and captured, and what was compiled stays valid.
    """

    def __init__(
        self,
        slots: Slots,
        schedules: Sequence[Schedule],
        count: int,
        lowering: str | None = None,
    ) -> None:
        self._slots = slots
        self._asked = lowering
        self._device = _device(slots.groups())
        self._runtime = runtimes.of(self._device)
        self._counter = self._state(count, torch.int64, self._device)
        # All that can fail comes before the optimizer is touched.
        self._bind(self._lowered(schedules))

    def _bind(self, evaluate: Any) -> None:
        evaluate(self._counter)
        self._next = evaluate
        self._cells = [self._cell(index) for index in self._slots.indices]
        self.write()
        self.install()

    def _state(self, number: float, dtype: torch.dtype, device: torch.device) -> Tensor:
        return self._runtime.settled(torch.tensor(number, dtype=dtype, device="cpu"), device)

    def _cell(self, index: int) -> Tensor:
        """The tensor of a group's value, for ever; made if there is none yet."""
        optimizer, key = self._slots.optimizer, self._slots.key
        cells = ledger(optimizer).cells
        if (index, key) not in cells:
            group = optimizer.param_groups[index]
            cell = self._state(
                float("nan"), _dtype(group, self._slots.value(group)), _device([group])
            )
            if optimizers.needs_grad(optimizer, index, key, self._runtime):
                # A parameter, since other tensors that require a gradient cannot be loaded there.
                cell = Factor(cell)
            if key != "lr":
                mark(cell)
            cells[index, key] = cell
        return cells[index, key]

    def use(self, schedules: Sequence[Any]) -> None:
        """Evaluate other schedules from the next step on, one for each group."""
        self._next = self._lowered(schedules)

    def _alike(self, schedules: Sequence[Schedule]) -> list[Bucket]:
        dtypes = [_dtype(group, self._slots.value(group)) for group in self._slots.groups()]
        # An update is two schedules a group.
        return buckets(schedules, dtypes * (len(schedules) // len(dtypes)))

    def _lowered(self, schedules: Sequence[Schedule]) -> runtimes.Evaluate:
        """From the counter to what it is at the next step, and the value of each group there."""
        alike = self._alike(schedules)
        self.lowering = self._asked or self._default_lowering(alike)
        with torch.no_grad():
            if self.lowering == "table":
                tables.require_tables(alike)
            return self._runtime.lowered(partial(self._evaluation, alike), self._device)

    def _evaluation(self, alike: list[Bucket], device: torch.device) -> runtimes.Evaluate:
        values = self._of_groups(alike, device)

        def following(counter: Tensor) -> list[Tensor]:
            counter = counter + 1
            return [counter, *values(counter)]

        return following

    def _of_groups(self, alike: list[Bucket], device: torch.device) -> runtimes.Evaluate:
        """From the counter to the value of each group, of shape []."""
        if self.lowering == "table":
            return each(alike, tables.TableEvaluation(alike))
        return each(alike, Evaluation(alike, device))

    def _default_lowering(self, alike: Sequence[Bucket]) -> str:
        """A table, if one holds it, where every operation is traced anew, or is done in pairs.

        PyTorch's lazy back end traces a formula in several times as long as a look-up, at every
        step (benchmarks/training.py). torch_xla calls either as one operation, but a formula is
        computed in float64, which a TPU has in software only.
        Without float64 a formula takes hundreds of operations. Elsewhere it is compiled once and
        needs no memory.
        """
        runtime = self._runtime
        tabulates = runtime.traces_every_step or not runtime.has_float64
        size = tables.numbers(alike) if tabulates else None
        return "table" if size is not None and size <= tables.MAX_NUMBERS else "graph"

    def step(self) -> None:
        self._runtime.before_step(self._counter, self._slots.optimizer)
        with torch.no_grad():
            self._step()

    def _step(self) -> None:
        self._runtime.assign([self._counter, *self._cells], self._next(self._counter))

    def write(self) -> None:
        with torch.no_grad():
            self._counter.sub_(1)
            self._step()

    def install(self) -> None:
        self._slots.write(self._cells)

    def current(self) -> list[Tensor]:
        with torch.no_grad():
            return list(self._next(self._counter - 1))[1:]

    def last(self) -> list[Tensor]:
        return [cell.detach().clone() for cell in self._cells]

    @property
    def count(self) -> int:
        return int(self._counter.item())

    @count.setter
    def count(self, count: int) -> None:
        with torch.no_grad():
            self._runtime.assign([self._counter], [self._state(count, torch.int64, self._device)])


Driver = HostDriver | GraphDriver


def driver_for(
    slots: Slots, schedules: Sequence[Schedule], count: int, lowering: str | None
) -> Driver:
    """The driver of a lowering; by default tensors where the value or the device asks for them."""
    if runtimes.of(_device(slots.groups())).traces_once:
        from accelsched.registered import RegisteredDriver  # which builds on this module

        return RegisteredDriver(slots, schedules, count, lowering)
    if is_host(slots, lowering):
        return HostDriver(slots, schedules, count)
    return GraphDriver(slots, schedules, count, lowering)


def is_host(slots: Slots, lowering: str | None) -> bool:
    """Whether the groups are to hold Python floats."""
    tensor = any(isinstance(value, Tensor) for value in slots.values())
    on_device = tensor or runtimes.of(_device(slots.groups())).on_device
    return lowering == "host" or (lowering is None and not on_device)


def _device(groups: Sequence[dict[str, Any]]) -> torch.device:
    """Where the parameters are."""
    parameters = (p for group in groups for p in group["params"])
    return next((p.device for p in parameters), torch.device("cpu"))


def _dtype(group: dict[str, Any], value: object) -> torch.dtype:
    """That of the value if it is a tensor, else float64 for float64 parameters, or float32."""
    if isinstance(value, Tensor):
        return value.dtype
    wide = any(p.dtype == torch.float64 for p in group["params"])
    return torch.float64 if wide else torch.float32
