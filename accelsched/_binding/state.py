"""The state of a scheduler as plain values, and whether a state fits a scheduler."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule

#: Of the layout of a state; a reader refuses one that it does not know.
VERSION = 1


def plain(schedule: Schedule) -> dict[str, Any]:
    """Write a schedule as a dict of names and numbers, without its functions."""
    fields = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule) if f.init}
    return {
        "schedule": type(schedule).__name__,
        **{name: _plain(value) for name, value in fields.items() if not _is_code(value)},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return plain(value) if isinstance(value, Schedule) else value


def _is_code(value: Any) -> bool:
    """Whether a value is a function, or a tuple with one."""
    if isinstance(value, tuple):
        return any(_is_code(item) for item in value)
    return callable(value) and not isinstance(value, Schedule)


def fitting(
    saved: Mapping[str, Any], key: str, groups: Sequence[int], schedules: Sequence[Schedule]
) -> tuple[int, list[Schedule]]:
    """Check that a state fits a scheduler, and return its step and its schedules.

    Args:
        saved: the state.
        key: the key that the scheduler drives.
        groups: the indices of the param groups that it drives.
        schedules: its own schedules, one for each of them.

    Raises:
        ArgumentError: it does not fit; the message says what differs.
    """
    step = fitting_header(saved, {"schedules"}, key, groups)
    _same("number of schedules", len(saved["schedules"]), len(schedules))
    pairs = zip(schedules, saved["schedules"], strict=True)
    return step, [_updated(mine, theirs, "schedule") for mine, theirs in pairs]


def header(key: str, step: int, groups: Sequence[int]) -> dict[str, Any]:
    """Return the entries that every state begins with."""
    return {"version": VERSION, "key": key, "step": step, "groups": list(groups)}


def fitting_header(
    saved: Mapping[str, Any], others: set[str], key: str, groups: Sequence[int]
) -> int:
    """Check the header of a state and the names of its other entries; return its step."""
    expected = {*header(key, 0, groups), *others}
    require(
        isinstance(saved, Mapping) and expected <= set(saved),
        "state_dict",
        sorted(saved) if isinstance(saved, Mapping) else saved,
        f"not the state of a scheduler of accelsched, which has {sorted(expected)}",
    )
    _same("version", saved["version"], VERSION)
    _same("key", saved["key"], key)
    _same("groups", list(saved["groups"]), list(groups))
    step: int = saved["step"]
    whole = isinstance(step, int) and not isinstance(step, bool) and step >= 0
    require(whole, "state_dict['step']", step, "give a step, from 0 on")
    return step


# States of the schedulers of torch and of Cerebras.


def is_foreign(saved: Any) -> bool:
    """Whether a scheduler of torch or of Cerebras saved this."""
    foreign = isinstance(saved, Mapping) and "version" not in saved
    return foreign and ("last_epoch" in saved or "_schedulers" in saved)


def foreign_step(saved: Mapping[str, Any]) -> int:
    """Return the step of a state of torch or of Cerebras.

    Raises:
        ArgumentError: its step is no step, or the children of torch's ChainedScheduler, which has
            no step of its own, are at different ones.
    """
    if "last_epoch" not in saved:
        steps = {foreign_step(child) for child in saved["_schedulers"]}
        remedy = "its schedulers are at different steps: set last_epoch"
        require(len(steps) == 1, "state_dict", sorted(steps), remedy)
        return steps.pop()
    step = saved["last_epoch"]
    whole = not isinstance(step, bool) and int(step) == step and step >= 0
    require(whole, "state_dict['last_epoch']", step, "give a step, from 0 on")
    return int(step)


def require_alike(theirs: Any, mine: Any, where: str) -> None:
    """Refuse a number of such a state that differs from the scheduler's own."""
    if isinstance(theirs, Counter):
        theirs = sorted(theirs.elements())
    alike = list(theirs) == list(mine) if isinstance(theirs, (list, tuple)) else theirs == mine
    require(alike, f"state_dict: {where}", theirs, f"this scheduler has {mine!r}: build it alike")


def _same(what: str, theirs: object, mine: object) -> None:
    require(theirs == mine, f"state_dict: {what}", theirs, f"this scheduler has {mine!r}")


def _updated(mine: Schedule, theirs: Any, where: str) -> Schedule:
    """Return my schedule with the numbers of their plain form."""
    known = plain(mine)
    require(isinstance(theirs, Mapping), f"state_dict: {where}", theirs, f"expected {known}")
    _same(f"class of {where}", theirs.get("schedule"), known["schedule"])
    _same(f"fields of {where}", sorted(theirs), sorted(known))
    changes = {
        name: _merged(getattr(mine, name), value, f"{where}.{name}")
        for name, value in theirs.items()
        if name != "schedule"
    }
    return dataclasses.replace(mine, **changes)


def _merged(mine: Any, theirs: Any, where: str) -> Any:
    """Merge one field: schedules one by one, anything else is taken over."""
    if isinstance(mine, Schedule):
        return _updated(mine, theirs, where)
    if isinstance(mine, tuple) and any(isinstance(item, Schedule) for item in mine):
        if not isinstance(theirs, (list, tuple)) or len(theirs) != len(mine):
            raise ArgumentError(f"state_dict: {where}", theirs, f"expected {len(mine)} schedules")
        return tuple(
            _updated(a, b, f"{where}[{i}]")
            for i, (a, b) in enumerate(zip(mine, theirs, strict=True))
        )
    return theirs
