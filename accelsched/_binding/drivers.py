"""The choice of a scheduler's driver, which holds the step and writes the values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from accelsched._binding.cerebras_driver import CerebrasDriver
from accelsched._binding.graph_driver import GraphDriver
from accelsched._binding.host_driver import HostDriver
from accelsched._binding.metric_graph_driver import MetricGraphDriver
from accelsched._binding.metric_host_driver import MetricHostDriver
from accelsched._binding.metric_rules import Rule
from accelsched._binding.param_groups import GroupValues
from accelsched._binding.recurrent import Recurrence, RecurrentGraphDriver, RecurrentHostDriver
from accelsched._binding.stride import Stride
from accelsched._lowering import is_for_host
from accelsched._optimizers import on_cuda
from accelsched._runtimes import runtime_of
from accelsched.errors import require
from accelsched.schedules import Schedule


class Driver(Protocol):
    """The state of a scheduler: the step, and the values of its param groups.

    Attributes:
        group_values: the values that the driver writes.
        device: the device of the parameters when the driver was built.
        lowering: how the values are computed.
        reason: why the lowering is not the back end's default; None if it is, or the user chose it.
    """

    group_values: GroupValues
    lowering: str
    reason: str | None
    device: torch.device

    @property
    def count(self) -> int:
        """The step whose values the groups have."""

    def stepper(self) -> Callable[[], bool]:
        """Return the function that computes the next step's values and writes them to the groups.

        The function returns True if the number of param groups has changed. It is the same function
        for as long as the driver lives.
        """

    def move_on(self, by: Stride, far: bool) -> bool:
        """Move on by ``by`` steps, and return what a step returns.

        Args:
            by: the number of steps; 0 or 1 for a driver of recurrences.
            far: whether ``by`` may be more than 1.
        """

    def lower(self, schedules: Sequence[Any]) -> Any:
        """Return what :meth:`follow` takes, given one schedule per group. All errors occur here."""

    def follow(self, lowered: Any) -> None:
        """Evaluate other schedules from the next step on."""

    def ignore_new_groups(self) -> None:
        """Accept the present number of param groups."""

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Write the values to the groups again, over whatever the groups hold."""

    def current(self) -> list[Any]:
        """Recompute the values of the current step."""


class PureDriver(Driver, Protocol):
    """A driver of schedules, whose values are functions of the step."""

    def set_step(self, step: int) -> None:
        """Move to a step, and write its values to the groups."""

    def move(self, step: int) -> None:
        """Move to a step. A value that other code set in a group stays until the next step."""


class RecurrentDriver(Driver, Protocol):
    """A driver of recurrences, whose values depend on the previous values."""

    def set_state(self, step: int, values: Sequence[float]) -> None:
        """Set the step and the values."""

    def values(self) -> Sequence[Any]:
        """Return the values in the groups."""


def runs_on_host(lowering: str | None, group_values: GroupValues) -> bool:
    """Return whether the driver writes Python floats, as :func:`is_for_host` decides.

    Raises:
        ArgumentError: the lowering is not available on this back end.
    """
    runtime = runtime_of(group_values.device)
    groups, key = group_values.groups(), group_values.key
    takes_tensors = runtime.takes_floats and on_cuda.takes_tensors(
        group_values.optimizer, groups, key
    )
    return is_for_host(lowering, runtime, group_values.hold_tensors, takes_tensors)


def driver_for(
    group_values: GroupValues, schedules: Sequence[Schedule], step: int, lowering: str | None
) -> PureDriver:
    """Choose the driver for schedules and values, and start it at a step.

    Args:
        group_values: the values to drive.
        schedules: one per group.
        step: the first step, whose values are written.
        lowering: the lowering that the user asked for; None for the default.

    Raises:
        ArgumentError: the lowering is not available on this back end; nothing was changed.
    """
    if runs_on_host(lowering, group_values):
        return HostDriver(group_values, schedules, step)
    runtime = runtime_of(group_values.device)
    on_device = CerebrasDriver if runtime.traces_once else GraphDriver
    return on_device(group_values, schedules, step, lowering)


def recurrent_driver_for(
    group_values: GroupValues,
    recurrences: Sequence[Recurrence],
    step: int,
    values: Sequence[float],
    lowering: str | None,
) -> RecurrentDriver:
    """Choose the driver for recurrences, as :func:`driver_for` does, and start it."""
    if runs_on_host(lowering, group_values):
        return RecurrentHostDriver(group_values, recurrences, step, values)
    return RecurrentGraphDriver(group_values, recurrences, step, values, lowering)


def metric_driver_for(
    group_values: GroupValues,
    rule: Rule,
    schedules: Sequence[Schedule],
    settings: Mapping[str, Any],
    step: int,
    registers: Mapping[str, Any],
    lowering: str | None,
) -> MetricHostDriver | MetricGraphDriver:
    """Choose the driver for a rule, as :func:`driver_for` does, and start it.

    Raises:
        ArgumentError: the back end repeats a traced step, so it cannot take a metric.
    """
    runtime = runtime_of(group_values.device)
    remedy = "the system repeats one step and takes no metric: use Scheduler(optimizer, schedule)"
    require(not runtime.traces_once, "optimizer", type(group_values.optimizer).__name__, remedy)
    given = group_values, rule, schedules, settings, step, registers
    if runs_on_host(lowering, group_values):
        return MetricHostDriver(*given)
    return MetricGraphDriver(*given, lowering)
