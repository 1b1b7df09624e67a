"""The driver of a metric rule on tensors: a step reads neither the metric nor the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._binding.graph_driver import GraphDriver
from accelsched._binding.metric_rules import OnDevice, Rule
from accelsched._binding.param_groups import GroupValues
from accelsched._lowering import Lowered, lower_to_device
from accelsched._runtimes import runtime_of
from accelsched.schedules import Schedule
from accelsched.schedules._fields import MAX_STEP


class MetricGraphDriver(GraphDriver):
    """A driver whose rule is evaluated on tensors: registers and settings live on the device.

    The rule computes in float64 where the device has it, otherwise in float32. Each result is
    rounded to the dtype of its group's tensor. A group's value that differs from the rounded result
    counts as changed by other code.

    Args:
        group_values: the values to write.
        rule: how a metric changes the values.
        schedules: one per group, which the rule's values multiply; or none.
        settings: the numbers of the rule, which change in place.
        step: the first step.
        registers: the numbers from which the rule continues, which change in place.
        lowering: the lowering that the user asked for; None for the default.
    """

    def __init__(
        self,
        group_values: GroupValues,
        rule: Rule,
        schedules: Sequence[Schedule],
        settings: Mapping[str, Any],
        step: int,
        registers: Mapping[str, Any],
        lowering: str | None = None,
    ) -> None:
        self.rule, self.device = rule, group_values.device
        self._runtime = runtime_of(self.device)
        self._wide = torch.float64 if self._runtime.has_float64 else torch.float32
        self._on, self._is_scheduled = OnDevice(self._runtime), bool(schedules)
        self._columns = {name for name, each in registers.items() if isinstance(each, list)}
        with torch.inference_mode(False):
            self._registers = self._on_device(registers)
            self._settings = self._on_device(settings)
        self.group_values = group_values
        self._know(group_values.optimizer.param_groups)
        super().__init__(group_values, schedules, step, lowering)
        # The registers override the values that the groups have held so far.
        self.set_state(step, registers)

    def _on_device(self, numbers: Mapping[str, Any]) -> dict[str, Tensor]:
        return {name: self._vector(each) for name, each in numbers.items()}

    def _vector(self, given: Any) -> Tensor:
        """Put a number, or a list of numbers, on the device as a tensor of shape [n].

        Shape [] would make constants of the graph: lazy back ends write 0 and 1 into it, and Dynamo
        takes a float64 number on the CPU for a constant.
        """
        return self._runtime.as_data(self._numbers(given), self.device)

    def _numbers(self, given: Any) -> Tensor:
        numbers = given if isinstance(given, list) else [given]
        dtype = torch.int64 if all(isinstance(each, int) for each in numbers) else self._wide
        return torch.tensor(numbers, dtype=dtype, device="cpu")

    def lower(self, schedules: Sequence[Any]) -> Lowered:
        """Return what :meth:`follow` takes, for one schedule per group or none; change nothing."""
        if not schedules:
            return Lowered("graph", lambda counter: [counter + 1], MAX_STEP, lambda: self._lowered)
        # In the wide dtype, so that the product with the rule's values is rounded once.
        dtypes = [self._wide] * len(schedules)
        return lower_to_device(schedules, dtypes, self.device, self._asked)

    def set_setting(self, name: str, number: Any) -> None:
        """Change a setting of the rule, in place."""
        self._set(self._settings, name, number)

    def set_register(self, name: str, number: Any) -> None:
        """Change a register of the rule, in place."""
        self._set(self._registers, name, number)

    def _set(self, tensors: dict[str, Tensor], name: str, number: Any) -> None:
        with torch.inference_mode(False), torch.no_grad():
            tensors[name] = self._runtime.rewritten(tensors[name], self._numbers(number))

    def set_state(self, step: int, registers: Mapping[str, Any]) -> None:
        """Set the step and the registers, and put the values in the groups."""
        with torch.inference_mode(False), torch.no_grad():
            self._set_counter(step - 1)
            self._write(self._on_device(registers))
            # As in GraphDriver.move: the next training step must not recompile.
            self._runtime.execute([self._counter, *self._registers.values(), *self._value_tensors])
        self._count_on(1)
        super().write_to_groups()

    def step(self, metric: Any = None) -> bool:
        """Take in a metric, if any, and compute the values of the next step, in place."""
        state = [self._counter, *self._registers.values()]
        self._runtime.before_step(state, self._optimizer)
        with torch.no_grad():
            self._advance(metric)
        self._count_on(1)
        return self._look()

    def _advance(self, metric: Any = None) -> None:
        """Write the next counter, and the registers after a metric, in place."""
        now: Mapping[str, Any] = {**self._registers, "values": self._moved()}
        if metric is not None:
            now = self.rule.step(now, self._settings, self._as_wide(metric), self._on)
        self._write(now)

    def _as_wide(self, number: Any) -> Tensor:
        """Convert numbers to what the rule computes with: a wide tensor of shape [n]."""
        if isinstance(number, Tensor):
            return number.to(device=self.device, dtype=self._wide).reshape(-1)
        return self._vector(float(number))

    def _write(self, registers: Mapping[str, Tensor]) -> None:
        """Write the next counter, the registers, and the values that follow from both, in place."""
        counter, *factors = self._next(self._counter)
        values = self._rounded(registers["values"], factors)
        changed = [name for name in self._registers if registers[name] is not self._registers[name]]
        self._runtime.assign(
            [self._counter, *(self._registers[name] for name in changed), *self._value_tensors],
            [counter, *(registers[name] for name in changed), *values],
        )

    def _rounded(self, moved: Tensor, factors: Sequence[Tensor] = ()) -> list[Tensor]:
        """Round the rule's values, or their products with factors, to what the groups hold."""
        exact = moved * torch.stack(list(factors)) if factors else moved
        kinds = list(zip(self._dtypes, self._least, strict=True))
        # Usually there is one kind, so one operation serves all groups.
        vectors = {kind: _as_held(exact, *kind) for kind in dict.fromkeys(kinds)}
        return [vectors[kind][position] for position, kind in enumerate(kinds)]

    def _moved(self) -> Tensor:
        """Return the rule's values; where other code set a group's value, return that one."""
        moved = self._registers["values"]
        if self._is_scheduled:
            return moved
        held = self._column([self.group_values.value(group) for group in self._driven])
        rounded = self._column(self._rounded(moved))
        return self._on.where(held == rounded, moved, held)

    def _column(self, values: list[Any]) -> Tensor:
        """Return the numbers or tensors of groups as one tensor that the rule computes with."""
        shapes = {
            (value.dtype, value.device, value.dim()) if isinstance(value, Tensor) else None
            for value in values
        }
        if len(shapes) == 1 and None not in shapes:
            return self._as_wide(torch.stack(values))
        return torch.cat([self._as_wide(value) for value in values])

    def _warn_of(self, group: dict[str, Any]) -> None:
        # Without a schedule, the rule continues from the value of a group, whoever set it.
        if self._is_scheduled:
            super()._warn_of(group)

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Put the tensors in the groups. Without schedules, take over values assigned there."""
        self._know(self._optimizer.param_groups if groups is None else groups)
        if not self._is_scheduled:
            with torch.inference_mode(False), torch.no_grad():
                moved = self._moved()
                tensors = [self._registers["values"], *self._value_tensors]
                self._runtime.assign(tensors, [moved, *self._rounded(moved)])
        super().write_to_groups(groups)

    def registers(self) -> dict[str, Any]:
        """Return the registers as plain numbers. Waits for the device."""
        with torch.no_grad():
            now = {**self._registers, "values": self._moved()}
        lists = {name: tensor.tolist() for name, tensor in now.items()}
        return {name: each if name in self._columns else each[0] for name, each in lists.items()}

    def current(self) -> list[Tensor]:
        """Recompute the values of the current step."""
        with torch.no_grad():
            return self._rounded(self._moved(), self._next(self._counter - 1)[1:])


def _as_held(values: Tensor, dtype: torch.dtype, least: float | None) -> Tensor:
    rounded = values.to(dtype)
    return rounded if least is None else torch.clamp(rounded, min=least)
