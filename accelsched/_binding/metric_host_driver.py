"""The driver of a metric rule on Python floats, with the arithmetic of torch's classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from accelsched._binding.metric_rules import OnHost, Rule
from accelsched._binding.param_groups import GroupValues
from accelsched._binding.recurrent import RecurrentHostDriver
from accelsched._lowering import lower_to_host
from accelsched.schedules import Schedule

if TYPE_CHECKING:
    from accelsched.kernels import HostFunction


_ON_HOST = OnHost()


class MetricHostDriver(RecurrentHostDriver):
    """A driver whose rule is evaluated on Python numbers.

    Without schedules, the groups hold the only copy of the values.

    Args:
        group_values: the values to write.
        rule: how a metric changes the values.
        schedules: one per group, which the rule's values multiply; or none.
        settings: the numbers of the rule.
        step: the first step.
        registers: the numbers from which the rule continues.
    """

    _function: HostFunction | None
    _registers: Mapping[str, Any]

    def __init__(
        self,
        group_values: GroupValues,
        rule: Rule,
        schedules: Sequence[Schedule],
        settings: Mapping[str, Any],
        step: int,
        registers: Mapping[str, Any],
    ) -> None:
        self.rule, self._settings = rule, dict(settings)
        super().__init__(group_values, self.lower(schedules), step, registers)  # type: ignore[arg-type]

    def lower(self, schedules: Sequence[Any]) -> Any:
        """Return what :meth:`follow` takes, given one schedule per group or none."""
        return lower_to_host(schedules) if schedules else None

    def follow(self, function: Any) -> None:
        """Evaluate other schedules from the next step on."""
        self._function = function

    def set_setting(self, name: str, number: Any) -> None:
        """Change a setting of the rule."""
        self._settings[name] = number

    def set_register(self, name: str, number: Any) -> None:
        """Change a register of the rule."""
        self._registers = {**self._registers, name: number}

    def set_state(self, step: int, registers: Any) -> None:
        """Set the step and the registers, and write the values to the groups."""
        self.count = step
        self._registers = registers
        self.write_to_groups()

    def step(self, metric: Any = None) -> bool:
        """Take in a metric, if any, and write the values of the next step."""
        held = self.registers()
        after: Mapping[str, Any] = held
        if metric is not None:
            # float() of a loss that requires a gradient would warn.
            number = metric.item() if isinstance(metric, Tensor) else metric
            after = self.rule.step(held, self._settings, float(number), _ON_HOST)
        self.count += 1
        self._registers = after
        if self._function or after["values"] is not held["values"]:
            self.write_to_groups()
        return self.has_new_groups()

    def set_step(self, step: int) -> None:
        """Move to a step."""
        self.set_state(step, self.registers())

    move = set_step

    def registers(self) -> dict[str, Any]:
        """Return the registers as plain numbers."""
        held = self._registers["values"] if self._function else self.values()
        return {**self._registers, "values": held}

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Write the values of this step. Without schedules, values just loaded stay."""
        if groups is None or self._function:
            self.group_values.write(self._written(), groups)

    def current(self) -> list[float]:
        """Recompute the values of the current step."""
        return self._written() if self._function else self.values()

    def _written(self) -> list[float]:
        moved: list[float] = self._registers["values"]
        if self._function is None:
            return moved
        return [
            value * scale for value, scale in zip(self._function.at(self.count), moved, strict=True)
        ]
