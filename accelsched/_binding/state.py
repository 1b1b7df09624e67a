"""The state of a scheduler as plain values, and checks that a state fits a scheduler.

Entries that torch saves too have torch's names (``last_epoch``, ``_step_count``, ``_last_lr``).
torch loads a state with ``__dict__.update``, so no entry has the name of one of its methods.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from accelsched.errors import ArgumentError, require
from accelsched.schedules import CosineAnnealingWarmRestarts, Schedule
from accelsched.schedules._fields import step_number

#: The version of the state layout; loading refuses an unknown one. Version 1 had "step".
VERSION = 2
#: The entries in the states of torch and Cerebras schedulers of any class.
_COMMON = {"last_epoch", "base_lrs", "verbose", "optimizer"}
#: The entries in the states of all Cerebras schedulers; the values are mostly None.
_COMMON_OF_CEREBRAS = {"total_iters", "param_group_tags"}
#: The entries with the states of their parts, and with the steps at which the parts begin.
_PARTS = {"_schedulers", "_scheduler", "_milestones"}


class Saved(Protocol):
    """The parts of a scheduler that its state needs."""

    @property
    def key(self) -> str:
        """The driven hyper-parameter."""

    @property
    def indices(self) -> list[int]:
        """The indices of the driven param groups."""

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The schedule of each driven group."""

    @property
    def last_epoch(self) -> int:
        """The current step."""

    def get_last_lr(self) -> Sequence[Any]:
        """Return the learning rate of each of the optimizer's groups."""


def plain(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as a dict of names and numbers, without its functions."""
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
    """Return whether a value is a function, or a tuple that holds one."""
    if isinstance(value, tuple):
        return any(_is_code(item) for item in value)
    return callable(value) and not isinstance(value, Schedule)


# States of accelsched.


def header(scheduler: Saved) -> dict[str, Any]:
    """Return the entries that every state has."""
    return {
        **of_torch(scheduler),
        "version": VERSION,
        "key": scheduler.key,
        "groups": list(scheduler.indices),
    }


def of_torch(scheduler: Saved) -> dict[str, Any]:
    """Return what torch's scheduler of the same schedule needs to continue from this step."""
    step = scheduler.last_epoch
    rates = [rate if rate is None else float(rate) for rate in scheduler.get_last_lr()]
    common = {"last_epoch": step, "_step_count": step + 1, "_last_lr": rates}
    first = scheduler.schedules[0] if scheduler.schedules else None
    restarts = _restarts(first, step) if isinstance(first, CosineAnnealingWarmRestarts) else {}
    return {**common, **restarts}


def functions_of_torch(settings: frozenset[str], count: int) -> dict[str, Any]:
    """Return the entry that torch's LambdaLR and MultiplicativeLR need: None per kept function.

    Args:
        settings: the names in the state of the torch scheduler that ours was made from.
        count: the number of functions, one for each param group.
    """
    name = "lr_lambdas"
    return {name: [None] * count} if name in settings else {}


def _restarts(schedule: CosineAnnealingWarmRestarts, step: int) -> dict[str, int]:
    """Return the steps since the last restart and the length of the period, by torch's names."""
    period = bisect_right(schedule.starts, step) - 1
    length = schedule.lengths[period]
    return {"T_cur": (step - schedule.starts[period]) % length, "T_i": length}


def fitting(saved: Any, scheduler: Saved, mine: Sequence[Schedule]) -> tuple[int, list[Schedule]]:
    """Check that a state fits a scheduler, and return its step and its schedules.

    Args:
        saved: the state.
        scheduler: the scheduler that will continue from the state.
        mine: the scheduler's own schedules, one for each driven group.

    Raises:
        ArgumentError: the state does not fit; the message names the difference.
    """
    step = fitting_header(saved, {"schedules"}, scheduler)
    theirs = saved["schedules"]
    require(isinstance(theirs, (list, tuple)), "state_dict['schedules']", theirs, "give a list")
    _same("number of schedules", len(theirs), len(mine))
    pairs = zip(mine, theirs, strict=True)
    return step, [_updated(one, other, "schedule") for one, other in pairs]


def fitting_header(saved: Any, others: set[str], scheduler: Saved) -> int:
    """Check the header of a state and the names of its other entries, and return its step."""
    is_first = isinstance(saved, Mapping) and saved.get("version") == 1
    step_name = "step" if is_first else "last_epoch"
    expected = {"version", "key", "groups", step_name, *others}
    require(
        isinstance(saved, Mapping) and expected <= set(saved),
        "state_dict",
        sorted(map(str, saved)) if isinstance(saved, Mapping) else saved,
        f"give the state_dict() of a scheduler of accelsched, which has {sorted(expected)}",
    )
    if not is_first:
        _same("version", saved["version"], VERSION)
    _same("key", saved["key"], scheduler.key)
    groups = saved["groups"]
    require(isinstance(groups, (list, tuple)), "state_dict['groups']", groups, "give a list")
    _same("groups", list(groups), list(scheduler.indices))
    return _step(saved, step_name)


def _step(saved: Mapping[str, Any], name: str) -> int:
    step = saved[name]
    # Cerebras' front end saves a tensor.
    whole = (
        step.item() if hasattr(step, "item") and getattr(step, "numel", lambda: 0)() == 1 else step
    )
    return step_number(f"state_dict[{name!r}]", whole)


def states_of_list(saved: Any, count: int) -> Sequence[Any]:
    """Return one state per scheduler of a list; the one state of a torch scheduler is for all."""
    if is_foreign(saved):
        return [saved] * count
    states = saved.get("schedulers") if isinstance(saved, Mapping) else None
    fits = isinstance(states, list) and len(states) == count
    remedy = f"give the state_dict() of a SchedulerList of {count} schedulers"
    if not isinstance(states, list) or not fits:
        raise ArgumentError("state_dict", saved, remedy)
    return states


# States of torch's and Cerebras' schedulers.


def is_foreign(saved: Any) -> bool:
    """Return whether a scheduler of torch or Cerebras saved this state."""
    foreign = isinstance(saved, Mapping) and "version" not in saved
    return foreign and ("last_epoch" in saved or "_schedulers" in saved)


def foreign_step(saved: Mapping[str, Any]) -> int:
    """Return the step of a torch or Cerebras state.

    Raises:
        ArgumentError: the step is invalid. Or the state is of torch's ChainedScheduler, which has
            no step of its own, and the children are at different steps.
    """
    if "last_epoch" in saved:
        return _step(saved, "last_epoch")
    children = saved["_schedulers"]
    fits = isinstance(children, (list, tuple)) and len(children) > 0
    require(
        fits and all(map(is_foreign, children)),
        "state_dict",
        saved,
        "it has no last_epoch: set scheduler.last_epoch = step",
    )
    steps = {foreign_step(child) for child in children}
    remedy = "its schedulers are at different steps: set scheduler.last_epoch = step"
    require(len(steps) == 1, "state_dict", sorted(steps), remedy)
    return steps.pop()


def settings_of(saved: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the settings in such a state, which identify its class."""
    public = {str(name) for name in saved if not str(name).startswith("_")}
    return frozenset(public - _COMMON)


def is_of_cerebras(saved: Mapping[str, Any]) -> bool:
    """Return whether Cerebras saved this state, and not torch."""
    return "_last_value" in saved


def stands_for(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    """Return whether two Cerebras states have settings of the same names, also in their parts."""
    pairs = zip(_parts_of(theirs), _parts_of(mine), strict=False)
    return _names_in(theirs) == _names_in(mine) and all(stands_for(*pair) for pair in pairs)


def _names_in(saved: Mapping[str, Any]) -> frozenset[str]:
    settings = settings_of(saved) - _COMMON_OF_CEREBRAS
    return settings | (_PARTS & set(saved))


def _parts_of(saved: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    parts = saved.get("_schedulers", [saved.get("_scheduler")])
    return [p for p in parts if isinstance(p, Mapping)] if isinstance(parts, (list, tuple)) else []


def at_phases(step: int, milestones: Sequence[int]) -> list[int]:
    """Return the step that each phase of a sequence has reached."""
    return [step, *(max(0, step - milestone) for milestone in milestones)]


def require_same_settings(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Raise unless a torch or Cerebras state has the same numbers as ``mine``, by name.

    Raises:
        ArgumentError: a number differs, here or in a part, or the number of parts differs.
    """
    parts = _parts_of(mine)
    if parts:
        require_alike(len(_parts_of(theirs)), len(parts), "number of schedulers")
        for part, other in zip(_parts_of(theirs), parts, strict=True):
            require_same_settings(part, other)
    for name in set(mine) - {"last_epoch", "_schedulers", "_scheduler"}:
        setting = theirs.get(name, theirs.get(f"_{name}"))
        if setting is not None:
            require_alike(setting, mine[name], name.removeprefix("_"))


def require_alike(theirs: Any, mine: Any, where: str) -> None:
    """Raise if a number in such a state differs from the scheduler's own."""
    if isinstance(theirs, Counter):
        theirs = sorted(theirs.elements())
    alike = _are_alike(theirs, mine)
    require(
        alike, f"state_dict: {where}", theirs, f"this scheduler has {mine!r}: build it to match"
    )


def _are_alike(theirs: Any, mine: Any) -> bool:
    if isinstance(theirs, (list, tuple)) and isinstance(mine, (list, tuple)):
        return list(theirs) == list(mine)
    try:
        return bool(theirs == mine)
    except (RuntimeError, ValueError):  # several numbers have no single truth value
        return False


def _same(what: str, theirs: object, mine: object) -> None:
    require(
        theirs == mine,
        f"state_dict: {what}",
        theirs,
        f"this scheduler has {mine!r}: build it to match, or give step_only=True",
    )


def _updated(mine: Schedule, theirs: Any, where: str) -> Schedule:
    """Return ``mine`` with the numbers of ``theirs``, a plain form."""
    known = plain(mine)
    require(
        isinstance(theirs, Mapping), f"state_dict: {where}", theirs, f"give a dict like {known}"
    )
    _same(f"class of {where}", theirs.get("schedule"), known["schedule"])
    _same(f"fields of {where}", sorted(map(str, theirs)), sorted(known))
    changes = {
        name: _merged(getattr(mine, name), value, f"{where}.{name}")
        for name, value in theirs.items()
        if name != "schedule"
    }
    return dataclasses.replace(mine, **changes)


def _merged(mine: Any, theirs: Any, where: str) -> Any:
    """Merge one field: update schedules one by one, and replace anything else."""
    if isinstance(mine, Schedule):
        return _updated(mine, theirs, where)
    if isinstance(mine, tuple) and any(isinstance(item, Schedule) for item in mine):
        if not isinstance(theirs, (list, tuple)) or len(theirs) != len(mine):
            raise ArgumentError(f"state_dict: {where}", theirs, f"give {len(mine)} schedules")
        return tuple(
            _updated(a, b, f"{where}[{i}]")
            for i, (a, b) in enumerate(zip(mine, theirs, strict=True))
        )
    return theirs
