"""What users give to a scheduler, checked and converted: schedules, and steps to move to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._fields import step_number
from accelsched.schedules._from_function import from_function


def as_schedules(given: Any, name: str = "schedule") -> tuple[Schedule, ...]:
    """The schedules of an argument that takes one, or a list of them.

    Raises:
        ArgumentError: there is no schedule in it, nor a function of the step.
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
    """The items of an argument that takes a list of schedulers, at least one."""
    require(isinstance(given, (list, tuple)), name, given, "give a list of schedulers")
    require(len(given) > 0, name, given, "give at least one")
    return list(given)


def one_each(
    schedules: Sequence[Schedule], count: int, is_shared: bool = False
) -> tuple[Schedule, ...]:
    """The schedule of each of some groups.

    Args:
        schedules: one for each, or one for all.
        count: how many groups there are.
        is_shared: whether the first one is for all.

    Raises:
        ArgumentError: there is another number of them.
    """
    if is_shared:
        return (schedules[0],) * count
    remedy = f"{count} param groups are driven: give one schedule, or {count}, not {len(schedules)}"
    require(len(schedules) == count, "schedule", list(schedules), remedy)
    return tuple(schedules)


def converted(convert: Callable[[str, Any], Any], name: str, given: Any) -> Any:
    """What was given, converted; of a list, each item, by a name with its index."""
    if isinstance(given, (list, tuple)):
        return [convert(f"{name}[{i}]", item) for i, item in enumerate(given)]
    return convert(name, given)


def each_group(name: str, given: Any, count: int) -> list[Any]:
    """The item of each of some param groups, of one for all or of a list.

    Raises:
        ArgumentError: the list has another length.
    """
    if not isinstance(given, (list, tuple)):
        return [given] * count
    remedy = f"{len(given)} were given for {count} param groups: give one for all, or {count}"
    require(len(given) == count, name, given, remedy)
    return list(given)


def step_to_move_to(name: str, step: Any) -> int:
    """A step that a scheduler is to move to.

    Raises:
        ArgumentError: this is none.
    """
    if step == -1:
        remedy = (
            "steps are counted from 0. torch's SequentialLR and ChainedScheduler set it to -1: "
            "compose schedulers of accelsched by accelsched.lr_scheduler"
        )
        raise ArgumentError(name, step, remedy)
    return step_number(name, step)
