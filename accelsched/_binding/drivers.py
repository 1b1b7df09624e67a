"""The driver of a scheduler holds the step and writes the values; it is chosen here."""

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
    """Holds the state of a scheduler: the step, and the values of its param groups.

    Attributes:
        group_values: the values that it writes.
        device: where the parameters were when it was built.
        lowering: how the values are computed.
        reason: why that is not the default of the back end; None if it is, or was asked for.
    """

    group_values: GroupValues
    lowering: str
    reason: str | None
    device: torch.device

    @property
    def count(self) -> int:
        """The step whose values the groups have."""

    def stepper(self) -> Callable[[], bool]:
        """What computes the values of the next step, and writes them to the groups.

        It returns whether the optimizer has other groups than when the driver was made, and is the
        same function for as long as the driver lives.
        """

    def move_on(self, by: Stride, far: bool) -> bool:
        """Step by a number in the place of 1, and return what a step does.

        Args:
            by: the number; for a driver of recurrences 0 or 1.
            far: whether it may be more than 1.
        """

    def lower(self, schedules: Sequence[Any]) -> Any:
        """What :meth:`follow` takes, for one schedule a group. What can fail, fails here."""

    def follow(self, lowered: Any) -> None:
        """Evaluate other schedules from the next step on."""

    def ignore_new_groups(self) -> None:
        """Take the groups that there are for those that it was made for."""

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Write the values to the groups again, which may hold something else."""

    def current(self) -> list[Any]:
        """Compute the values of this step anew."""


class PureDriver(Driver, Protocol):
    """A driver of schedules: its values are functions of the step."""

    def set_step(self, step: int) -> None:
        """Move to a step, and write its values to the groups."""

    def move(self, step: int) -> None:
        """Move to a step; a group that somebody else has given a value keeps it until the next."""


class RecurrentDriver(Driver, Protocol):
    """A driver of recurrences: its values depend on those before them."""

    def set_state(self, step: int, values: Sequence[float]) -> None:
        """Be at a step, with these values."""

    def values(self) -> Sequence[Any]:
        """The values that the groups have."""


def runs_on_host(lowering: str | None, group_values: GroupValues) -> bool:
    """Whether Python floats are written to the groups, as :func:`is_for_host` decides.

    Raises:
        ArgumentError: the lowering cannot be had here.
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
        group_values: what is driven.
        schedules: one for each group.
        step: where to start; its values are written.
        lowering: as the user asked for it.

    Raises:
        ArgumentError: the lowering cannot be had here; nothing was changed.
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
        ArgumentError: the back end runs no Python in which a metric could be given.
    """
    runtime = runtime_of(group_values.device)
    remedy = (
        "the system repeats one traced step without Python, and takes no metric from outside: "
        "plan the decay as a schedule"
    )
    require(not runtime.traces_once, "optimizer", type(group_values.optimizer).__name__, remedy)
    given = group_values, rule, schedules, settings, step, registers
    if runs_on_host(lowering, group_values):
        return MetricHostDriver(*given)
    return MetricGraphDriver(*given, lowering)
