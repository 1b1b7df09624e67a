"""What a scheduled value will cost a training run, and what to change, before the run."""

from __future__ import annotations

import argparse
import importlib
import sys
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues
from accelsched._costs import measuring
from accelsched._optimizers import remedies, rules
from accelsched._optimizers.on_device import on_device
from accelsched._runtimes import NAMED, Counters, Runtime, runtime_of
from accelsched.errors import ArgumentError, require


@dataclass(frozen=True)
class Check:
    """What a step of an optimizer costs, once it is warm. Print it.

    Attributes:
        optimizer: the class of the optimizer, with the options that matter.
        runtime: the back end.
        key: the scheduled value.
        parameters: the number of parameter tensors.
        expected: the cost by the rules; None for a key without a rule, and for an optimizer with a
            ``step`` of its own.
        measured: the cost of steps that were run; None if none were.
        remedy: what to change so that a step stays on the device; None if there is nothing to
            change.
        lowering: of the schedule that drives the key, with the reason where it is not the default
            of the back end; None where no schedule does yet.
    """

    optimizer: str
    runtime: str
    key: str
    parameters: int
    expected: Counters | None
    measured: Counters | None
    remedy: str | None
    lowering: str | None = None

    def __str__(self) -> str:
        rule = "by rule" if self.runtime != "cuda" else "by rule, not measured"
        counts = [("measured", self.measured), (rule, self.expected)]
        lines = [f"  {_words(count)} ({name})" for name, count in counts if count is not None]
        known = lines or ["  no rule is known: give measure=True"]
        head = f"{self.optimizer} on {self.runtime}, {self.key} scheduled"
        return "\n".join(
            [
                f"{head}, {self.parameters} parameter tensors; a step costs",
                *known,
                *([f"  lowering: {self.lowering}"] if self.lowering else []),
                f"  to change: {self.remedy or 'nothing'}",
            ]
        )


def _words(counts: Counters) -> str:
    return (
        f"executions {counts.executions}, compiles {counts.compiles}, transfers to the device "
        f"{counts.to_device} and from it {counts.from_device}, operations on the host "
        f"{counts.fallbacks}"
    )


def check(
    optimizer: Optimizer, key: str = "lr", *, runtime: str | None = None, measure: bool = False
) -> Check:
    """Say what a step of this optimizer will cost when one of its values is scheduled.

    Args:
        optimizer: an optimizer as the training builds it; it is left as it is.
        key: the value that is to be scheduled; ``"betas[0]"`` is one of a tuple. Default ``"lr"``.
        runtime: ``"xla"``, ``"lazy"``, ``"compile"``, ``"cuda"`` or ``"eager"``. Default: that of
            the parameters, and ``"compile"`` on the CPU for a tensor learning rate.
        measure: also run steps of a copy and count, which takes the memory of one. Only where the
            parameters are, and where the back end counts. Default False.

    Returns:
        The cost by the rules, the measured cost, and what to change. It can be printed.

    Raises:
        ArgumentError: a key or a runtime is unknown, or cannot be measured here.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.Adadelta([torch.zeros(1)], lr=1.0)
        >>> check(optimizer, runtime="xla").remedy
        'step it within accelsched.on_device()'
    """
    held = GroupValues(optimizer, key, None).values()[0]
    tensors = [p for group in optimizer.param_groups for p in group["params"]]
    here = runtime_of(tensors[0].device)
    by_default = here.name
    if by_default == "eager" and isinstance(held, Tensor):
        by_default = "compile"
    name = runtime or by_default
    known = sorted({*NAMED, "cuda", here.name})
    require(name in known, "runtime", name, f"give one of {', '.join(known)}")
    measured = _measured(optimizer, key, name, tensors[0]) if measure else None
    return Check(
        optimizer=_called(optimizer),
        runtime=name,
        key=key,
        parameters=len(tensors),
        expected=_expected(optimizer, key, name, len(tensors)),
        measured=measured,
        remedy=_remedy(optimizer, key, name, measured),
        lowering=_lowering(optimizer, key) if name == by_default else None,
    )


def _called(optimizer: Optimizer) -> str:
    """Name an optimizer with the options that matter."""
    group = optimizer.param_groups[0]
    options = [o for o in ("capturable", "foreach", "fused") if group.get(o)]
    return f"{type(optimizer).__name__}({', '.join(f'{o}=True' for o in options)})"


def _expected(optimizer: Optimizer, key: str, runtime: str, parameters: int) -> Counters | None:
    """Return the cost by the rules, if there is one."""
    group, name = optimizer.param_groups[0], rules.name_of(optimizer)
    if runtime == "eager" or (group.get("fused") and name is not None):
        return Counters()
    rule = rules.table(runtime).get(name or "", {}).get(rules.configuration_of(group))
    return None if rule is None or key != "lr" else rule.cost(parameters)


def _lowering(optimizer: Optimizer, key: str) -> str | None:
    """Say how the values are computed that schedulers drive already, if any do."""
    owners = ownership_of(optimizer).owners()
    drivers = [owner.driver for owner in owners if owner.group_values.key == key]
    reasons = (f", not segments: {driver.reason}" if driver.reason else "" for driver in drivers)
    said = [driver.lowering + reason for driver, reason in zip(drivers, reasons, strict=True)]
    return "; ".join(dict.fromkeys(said)) or None


def _remedy(optimizer: Optimizer, key: str, name: str, measured: Counters | None) -> str | None:
    """Say what to change on a runtime, if anything."""
    group, known = optimizer.param_groups[0], rules.name_of(optimizer) is not None
    if name == "compile":
        tensor = isinstance(GroupValues(optimizer, key, None).values()[0], Tensor)
        return None if tensor else f"build it with {key}=torch.tensor(...)"
    if name == "eager" or (group.get("fused") and known):
        return None
    remedy = remedies.remedy(optimizer, key, name)
    if known or measured is None:
        return remedy
    return _measured_remedy(optimizer, key, NAMED[name], remedy, measured)


def _measured_remedy(
    optimizer: Optimizer, key: str, runtime: Runtime, remedy: str | None, measured: Counters
) -> str | None:
    """What steps that were run say of a step that is not known."""
    if rules.Rule(measured, Counters()).stays_on_device:
        return None
    within = measuring.of_copy(runtime, optimizer, key, within=on_device)
    helps = within.from_device < measured.from_device
    return remedy if helps else "it has no option that helps there"


def _measured(optimizer: Optimizer, key: str, name: str, parameter: Tensor) -> Counters:
    """Run and count steps of a copy; refuse where that cannot be done."""
    runtime = NAMED.get(name)
    if runtime is None or runtime.device().type != parameter.device.type or not runtime.counts:
        remedy = (
            f"{name} is not counted with parameters on {parameter.device.type!r} in this process"
        )
        raise ArgumentError("measure", True, remedy)
    return measuring.of_copy(runtime, optimizer, key)


# The command.


def add_command(commands: Any) -> None:
    """Add ``accelsched check`` to the commands of a parser."""
    details = "Say what a step of an optimizer costs when its learning rate is scheduled."
    parser = commands.add_parser("check", help=details.lower(), description=details)
    path = "the optimizer, or a function that makes it: package.module:name"
    parser.add_argument("path", metavar="PATH", help=path)
    parser.add_argument("--key", default="lr", help="what is scheduled (default: %(default)s)")
    parser.add_argument("--runtime", help="the back end (default: that of the parameters)")
    parser.add_argument("--measure", action="store_true", help="run steps of a copy, and count")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Run ``accelsched check``."""
    optimizer = _found(options.path)
    print(check(optimizer, options.key, runtime=options.runtime, measure=options.measure))


def _found(path: str) -> Optimizer:
    """Import the optimizer that the command's argument names, or call its maker."""
    module, _, name = path.partition(":")
    remedy = "give package.module:name, importable from here, of an optimizer or its maker"
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), name)
        optimizer = found if isinstance(found, Optimizer) else found()
    except (Exception, SystemExit) as error:
        # It runs the user's code, which may raise what it likes.
        raise ArgumentError("PATH", path, f"{remedy} ({type(error).__name__}: {error})") from error
    finally:
        sys.path.remove("")
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError("PATH", path, f"{remedy}; it is a {type(optimizer).__name__}")
    return optimizer
