"""Conversion of configurations of the Cerebras Model Zoo to specs: data in, data out.

A file of release 2.3 or later has a list of schedulers under ``trainer.init.schedulers``, each a
dict with one name. An older file has ``optimizer.learning_rate``: a number, or phases, each a dict
with its name under ``scheduler``. :func:`as_specs` returns specs with the names and milestones that
accelsched's classes take; :mod:`.spec` builds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from accelsched import lr_scheduler, weight_decay_scheduler
from accelsched._interop import old_modelzoo
from accelsched._interop.text_numbers import number
from accelsched.errors import ArgumentError, require, shown

#: The class names, by their lowercase form.
_CLASSES = {
    name.lower(): name
    for name in (*lr_scheduler.__all__, *weight_decay_scheduler.__all__)
    if name not in ("LRScheduler", "WeightDecayScheduler")
}
_SEQUENTIAL = ("SequentialLR", "SequentialWD")


def is_config(content: Any) -> bool:
    """Return whether this is a list, or a dict in which the Model Zoo finds schedulers."""
    match content:
        case list() | {"trainer": list() | {"init": _}} | {"init": {"schedulers": _}}:
            return True
        case {"schedulers": list()} | {"scheduler": str()}:
            return True
        case {"optimizer": {"learning_rate": rate}} | {"learning_rate": rate}:
            # These keys may also be labels of specs or expressions.
            return old_modelzoo.is_rate(rate)
    return False


def as_specs(config: Any) -> list[Any]:
    """Return the spec of each scheduler in a configuration.

    Args:
        config: a loaded file of either style, or any part of it that holds the schedulers.

    Raises:
        ArgumentError: the Model Zoo would not read the configuration, or it has no scheduler.
    """
    found, options = _found(config)
    if options is not None:
        return [_entry(old_modelzoo.as_spec(found, options))]
    return [_entry(item) for item in (found if isinstance(found, list) else [found])]


def _found(config: Any) -> tuple[Any, Mapping[str, Any] | None]:
    """Return the part with the schedulers, and an old file's optimizer arguments (else None)."""
    match config:
        case {"scheduler": str()} | [{"scheduler": str()}, *_]:
            return config, {}
        case {"trainer": [_, _, *_] as several}:
            remedy = f"it has {len(several)} trainers: give the trainer.init.schedulers of one"
            raise ArgumentError("config", list(config), remedy)
        case {"trainer": [inner]} | {"trainer": {"init": _} as inner}:
            return _found(inner)
        case {"init": {"schedulers": listed}} | {"schedulers": listed}:
            return listed, None
        case {"optimizer": {"learning_rate": rate} as options}:
            return rate, options
        case {"learning_rate": rate}:
            return rate, config
        case {"trainer": _} | {"init": _} | {"optimizer": _}:
            remedy = "it has no schedulers: add them, or keep the optimizer's own lr"
            raise ArgumentError("config", config, remedy)
        case list() | Mapping():
            return config, None
    require(old_modelzoo.is_rate(config), "config", config, "give a loaded file of the Model Zoo")
    return config, {}


def _entry(item: Any) -> Any:
    """Complete a spec and the specs in it: their class names and milestones.

    Anything that is not a scheduler of the Model Zoo stays unchanged.
    """
    if not isinstance(item, Mapping) or len(item) != 1:
        return item
    ((given, arguments),) = item.items()
    name = _CLASSES.get(given.lower(), given) if isinstance(given, str) else given
    if not isinstance(arguments, Mapping) or name not in _CLASSES.values():
        return {name: arguments}
    arguments = dict(arguments)
    if isinstance(arguments.get("schedulers"), list):
        if arguments.get("param_group_tags") is not None:
            _require_untagged(name, arguments["schedulers"])
        arguments["schedulers"] = [_entry(part) for part in arguments["schedulers"]]
        if name in _SEQUENTIAL:
            arguments["milestones"] = _milestones(name, arguments)
    if "scheduler" in arguments:
        arguments["scheduler"] = _entry(arguments["scheduler"])
    return {name: arguments}


def _require_untagged(name: str, parts: Sequence[Any]) -> None:
    """Raise if a part of a tagged scheduler has tags: the parts get those of the whole."""
    for part in parts:
        for inner, arguments in part.items() if isinstance(part, Mapping) else ():
            own = arguments.get("param_group_tags") if isinstance(arguments, Mapping) else None
            remedy = f"{name} gives its parts its own tags: remove these"
            require(own is None, f"{name}: {shown(inner)}: param_group_tags", own, remedy)


def _milestones(name: str, arguments: Mapping[str, Any]) -> list[int]:
    """Return the running sums of the lengths of all phases but the last."""
    phases = arguments["schedulers"][:-1]
    sums = list(accumulate(_length(name, position, phase) for position, phase in enumerate(phases)))
    given = arguments.get("milestones", sums)
    same = isinstance(given, Sequence) and [number(step) for step in given] == sums
    remedy = f"leave it out: the Model Zoo takes the sums of total_iters, {shown(sums)}"
    require(same, f"{name}: milestones", given, remedy)
    return sums


def _length(name: str, position: int, phase: Any) -> int:
    """Return the number of steps of a phase."""
    arguments = next(iter(phase.values())) if isinstance(phase, Mapping) and phase else None
    steps = number(arguments.get("total_iters")) if isinstance(arguments, Mapping) else None
    whole = isinstance(steps, (int, float)) and not isinstance(steps, bool) and steps % 1 == 0
    remedy = "give it total_iters, a whole number: their sums are the milestones"
    require(whole, f"{name}: schedulers[{position}]", phase, remedy)
    return int(steps)  # type: ignore[arg-type]
