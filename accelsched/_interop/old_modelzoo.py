"""Learning rates in old files of the Model Zoo: ``optimizer.learning_rate``.

Releases up to 1.9 had other names for some arguments, and ignored arguments that a scheduler does
not take. Releases from 2.0 on refuse both. A file does not name its release, so a list with any of
the older names is read as releases up to 1.9 read it.
"""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from accelsched import lr_scheduler
from accelsched._binding.arguments import Argument
from accelsched._interop.text_numbers import number
from accelsched._optimizers.remedies import level_of_the_caller
from accelsched.errors import ArgumentError, require, shown

_CLASSES = {name.lower(): name for name in lr_scheduler.__all__ if name != "LRScheduler"}
#: The names of an argument in releases up to 1.9, in the order in which these looked them up.
_OLDER = {
    "total_iters": ("decay_steps", "steps"),
    "initial_learning_rate": ("learning_rate", "base_lr"),
    "learning_rate": ("initial_learning_rate", "base_lr"),
    "base_lr": ("learning_rate", "initial_learning_rate"),
    "gamma": ("decay_rate",),
    "decay_rate": ("gamma",),
    "learning_rates": ("values",),
    "milestones": ("boundaries",),
    "T_max": ("t_max",),
    "T_0": ("t_0",),
    "T_mult": ("t_mult",),
}
#: The classes that looked for "steps" before "decay_steps".
_STEPS_FIRST = ("ConstantLR", "LinearLR", "PolynomialLR")


def is_rate(content: Any) -> bool:
    """Return whether this can be the learning rate of an old file."""
    if isinstance(content, (Mapping, list)):
        return isinstance(content, list) or "scheduler" in content
    return _as_number(content) is not None


def as_spec(rate: Any, options: Mapping[str, Any]) -> Any:
    """Return the spec of a learning rate of an old file.

    Args:
        rate: a number, a phase, or a list of phases.
        options: the other arguments of the optimizer in that file.

    Raises:
        ArgumentError: no release of the Model Zoo would read this learning rate.
    """
    spec = _scheduled(rate, bool(options.get("disable_lr_steps_reset")))
    adjusted = bool(options.get("adjust_learning_rate"))
    return {"ScalePerParamLR": {"scheduler": spec}} if adjusted else spec


def _scheduled(rate: Any, overlap: bool) -> Any:
    value = _as_number(rate)
    if value is not None:
        return {"ConstantLR": {"learning_rate": value}}
    phases = [rate] if isinstance(rate, Mapping) else rate
    remedy = "give a number, or phases: dicts with the name of a class under 'scheduler'"
    require(isinstance(phases, list) and bool(phases), "learning_rate", rate, remedy)
    read = [_Phase.of(position, phase) for position, phase in enumerate(phases)]
    specs = list(_in_one_dialect(read))
    if _main_scheduler(phases) in ("chained", "chainedlr"):
        return {"ChainedScheduler": {"schedulers": specs}}
    if len(specs) == 1:
        return specs[0]
    return _overlapping(specs) if overlap else {"SequentialLR": {"schedulers": specs}}


def _as_number(rate: Any) -> float | None:
    """Return a learning rate given as a number or as its text; None if it is neither."""
    if isinstance(rate, str):
        with contextlib.suppress(ValueError):
            return float(rate)
    return rate if isinstance(rate, (int, float)) and not isinstance(rate, bool) else None


def _main_scheduler(phases: Sequence[Mapping[str, Any]]) -> str | None:
    """Return how the phases are combined: the ``main_scheduler`` that any of them gives."""
    mains = {str(phase["main_scheduler"]).lower() for phase in phases if "main_scheduler" in phase}
    require(len(mains) <= 1, "main_scheduler", sorted(mains), "give the same one in all phases")
    return mains.pop() if mains else None


@dataclass(frozen=True)
class _Phase:
    """A phase, with its arguments under the names that its class takes.

    Args:
        where: the phase's place in the list, for errors.
        name: the name of the class.
        arguments: the arguments of the class.
        older: the names in the phase that are those of releases up to 1.9.
        newer: the names in the phase that these releases did not have.
        unknown: the arguments that the class does not take.
    """

    where: str
    name: str
    arguments: dict[str, Any]
    older: list[str]
    newer: list[str]
    unknown: dict[str, Any]

    @classmethod
    def of(cls, position: int, phase: Any) -> _Phase:
        """Read a phase of a file."""
        where = f"learning_rate[{position}]"
        named = isinstance(phase, Mapping) and isinstance(phase.get("scheduler"), str)
        require(named, where, phase, "give a dict with the name of a class under 'scheduler'")
        left = {k: v for k, v in phase.items() if k not in ("scheduler", "main_scheduler")}
        if phase["scheduler"].lower() == "cosine":
            return _cosine_of_tensorflow(where, left)
        name = _class_of(where, phase["scheduler"])
        arguments, older = {}, []
        for argument in list(inspect.signature(getattr(lr_scheduler, name)).parameters)[1:]:
            names = [n for n in (argument, *_older_names(name, argument)) if n in left]
            if names:
                arguments[argument] = _one_value(where, [(n, left.pop(n)) for n in names])
                older += [n for n in names if n != argument]
        newer = [n for n in ("total_iters", "learning_rates") if n in phase]
        return cls(where, name, arguments, older, newer, left)


def _class_of(where: str, given: str) -> str:
    """Return the class of a name, with or without LR at its end, in any case."""
    for name in (given.lower(), f"{given.lower()}lr"):
        if name in _CLASSES:
            return _CLASSES[name]
    known = ", ".join(sorted(name.removesuffix("LR") for name in _CLASSES.values()))
    raise ArgumentError(where, given, f"the Model Zoo has no such scheduler: give one of {known}")


def _older_names(name: str, argument: str) -> Sequence[str]:
    names = _OLDER.get(argument, ())
    first = argument == "total_iters" and name in _STEPS_FIRST
    return names[::-1] if first else names


def _one_value(where: str, named: Sequence[tuple[str, Any]]) -> Any:
    """Return the value of an argument that may be given under several names."""
    (name, value), *others = named
    for other, another in others:
        if number(another) != number(value):
            remedy = f"it is the same argument as {other}={shown(another)}: give one of them"
            require({name, other} == {"steps", "decay_steps"}, f"{where}: {name}", value, remedy)
            _warn(f"{where}: {other}={shown(another)} is not read: {name}={shown(value)} is given")
    return value


def _cosine_of_tensorflow(where: str, arguments: dict[str, Any]) -> _Phase:
    """Read the cosine of the TensorFlow models, whose end is a fraction of the initial rate."""
    rest = dict(arguments)
    steps = [(name, rest.pop(name)) for name in _OLDER["total_iters"] if name in rest]
    initial, alpha = number(rest.pop("initial_learning_rate", None)), number(rest.pop("alpha", 0.0))
    numbers = isinstance(initial, (int, float)) and isinstance(alpha, (int, float))
    remedy = "give Cosine initial_learning_rate and decay_steps; alpha is a fraction"
    require(bool(steps) and numbers, where, arguments, remedy)
    decay = {"initial_learning_rate": initial, "end_learning_rate": initial * alpha}
    decay["total_iters"] = _one_value(where, steps)
    return _Phase(where, "CosineDecayLR", decay, ["decay_steps"], [], rest)


def _in_one_dialect(phases: Sequence[_Phase]) -> Iterator[dict[str, Any]]:
    """Yield the specs of phases that are all of releases up to 1.9, or all of later ones."""
    older = sorted({name for phase in phases for name in phase.older})
    newer = sorted({name for phase in phases for name in phase.newer})
    remedy = f"do not mix with names of releases up to 1.9 ({', '.join(older)})"
    require(not (older and newer), "learning_rate", newer, remedy)
    for phase in phases:
        arguments = {**phase.arguments, **({} if older else phase.unknown)}
        if older and phase.unknown:
            _warn(
                f"{phase.where}: {phase.name} has no {shown(sorted(map(str, phase.unknown)))}: "
                "not read, as in releases up to 1.9"
            )
        if older and phase.name == "ExponentialLR":
            arguments.setdefault("total_iters", 1)
        yield {phase.name: arguments}


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=level_of_the_caller())


def _overlapping(specs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Combine phases that count from the start of the run (``disable_lr_steps_reset``)."""
    lengths = [next(iter(spec.values())).get("total_iters") for spec in specs[:-1]]
    remedy = "give all phases but the last their number of steps"
    require(None not in lengths, "learning_rate", specs, remedy)
    starts = list(accumulate(int(number(length)) for length in lengths))
    first, *others = map(_pure, specs)
    later = [
        {"Shifted": {"schedule": other, "by": start}}
        for other, start in zip(others, starts, strict=True)
    ]
    sequence = {"schedules": [first, *later], "milestones": starts}
    return {"LRScheduler": {"schedule": {"Sequential": sequence}}}


def _pure(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of the schedule that a scheduler's spec describes."""
    ((name, given),) = spec.items()
    cls = getattr(lr_scheduler, name)
    parameters = inspect.signature(cls).parameters.values()
    arguments = {p.name: p.default for p in parameters if p.default is not p.empty} | given
    readable = {argument: getattr(cls, argument, None) for argument in arguments}
    fields = {a: d.field for a, d in readable.items() if isinstance(d, Argument)}
    return {name.removesuffix("LR"): {field: arguments[a] for a, field in fields.items()}}
