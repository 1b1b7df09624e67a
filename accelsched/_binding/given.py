"""Checks and conversions of arguments that users give to a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._fields import step_number
from accelsched.schedules._from_function import from_function


def not_a_scheduler(name: str, given: object) -> ArgumentError:
    """Return the error for an argument that is not a scheduler of accelsched."""
    remedy = "give a scheduler of accelsched, or accelsched.from_torch(scheduler)"
    return ArgumentError(name, given, remedy)


def as_schedules(given: Any, name: str = "schedule") -> tuple[Schedule, ...]:
    """Return the schedules of an argument that is one schedule or a list of schedules.

    Raises:
        ArgumentError: an item is neither a schedule nor a function of the step.
    """
    if isinstance(given, (list, tuple)):
        return tuple(_as_schedule(item, f"{name}[{i}]") for i, item in enumerate(given))
    return (_as_schedule(given, name),)


def _as_schedule(given: Any, name: str) -> Schedule:
    if isinstance(given, Schedule):
        return given
    if isinstance(given, str):
        raise ArgumentError(name, given, f"this is text: give accelsched.from_spec({given!r})")
    remedy = "give a schedule of accelsched.schedules, or a function of the step"
    if isinstance(given, type) or not callable(given):
        raise ArgumentError(name, given, remedy)
    return from_function(given, argument=name)


def as_list(name: str, given: Any) -> list[Any]:
    """Return the items of an argument that must be a list of at least one scheduler."""
    require(isinstance(given, (list, tuple)), name, given, "give a list of schedulers")
    require(len(given) > 0, name, given, "give at least one")
    return list(given)


def one_each(
    schedules: Sequence[Schedule], count: int, is_shared: bool = False
) -> tuple[Schedule, ...]:
    """Return one schedule for each param group.

    Args:
        schedules: one for each group, or one for all.
        count: the number of groups.
        is_shared: whether the first schedule is for all groups.

    Raises:
        ArgumentError: the number of schedules does not fit.
    """
    if is_shared:
        return (schedules[0],) * count
    remedy = f"{count} param groups are driven: give one schedule, or {count}, not {len(schedules)}"
    require(len(schedules) == count, "schedule", list(schedules), remedy)
    return tuple(schedules)


def converted(convert: Callable[[str, Any], Any], name: str, given: Any) -> Any:
    """Convert an argument; for a list, convert each item, under a name with its index."""
    if isinstance(given, (list, tuple)):
        return [convert(f"{name}[{i}]", item) for i, item in enumerate(given)]
    return convert(name, given)


def each_group(name: str, given: Any, count: int) -> list[Any]:
    """Return one item for each param group, from one for all or from a list.

    Raises:
        ArgumentError: the list has another length.
    """
    if not isinstance(given, (list, tuple)):
        return [given] * count
    remedy = f"{len(given)} were given for {count} param groups: give one for all, or {count}"
    require(len(given) == count, name, given, remedy)
    return list(given)


def step_to_move_to(name: str, step: Any) -> int:
    """Return a step that a scheduler can move to.

    Raises:
        ArgumentError: the value is not a step.
    """
    if step == -1:
        remedy = (
            "give 0 or more. torch's SequentialLR sets -1: use accelsched.lr_scheduler's, also "
            "for ChainedScheduler"
        )
        raise ArgumentError(name, step, remedy)
    return step_number(name, step)
