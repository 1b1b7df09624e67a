"""What a scheduled value will cost a training run, and whether its schedule fits the run."""

from __future__ import annotations

import argparse
import importlib
import sys
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, owner_of_groups
from accelsched._binding.scheduler import Scheduler
from accelsched._binding.scheduler_list import SchedulerList
from accelsched._costs import measuring
from accelsched._costs.lengths import Length, lengths_of
from accelsched._costs.units import Run, run_of
from accelsched._optimizers import on_cuda, remedies, rules
from accelsched._optimizers.on_device import on_device
from accelsched._runtimes import NAMED, Counters, Runtime, runtime_of
from accelsched.errors import ArgumentError, require


@dataclass(frozen=True)
class Check:
    """The cost of an optimizer step after warm-up, and the lengths of the schedules. Print it.

    Attributes:
        optimizer: the class of the optimizer, with the options that matter.
        runtime: the back end.
        key: the scheduled value.
        parameters: the number of parameter tensors.
        expected: the cost by the rules; None if the key has no rule, or the optimizer has its own
            ``step``.
        measured: the cost of steps that were run; None if none were run.
        remedy: what to change so that a step stays on the device; None if nothing.
        lengths: where each schedule ends, if a scheduler was given.
        lowering: the lowering of the schedule that drives the key, with the reason if it is not the
            back end's default; None if no schedule drives the key yet.
    """

    optimizer: str
    runtime: str
    key: str
    parameters: int
    expected: Counters | None
    measured: Counters | None
    remedy: str | None
    lengths: tuple[Length, ...] = ()

    @property
    def doubts(self) -> list[str]:
        """The lengths that may be wrong, as text; empty if none are."""
        return [str(length) for length in self.lengths if length.doubt is not None]

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
                *map(str, self.lengths),
            ]
        )


def _words(counts: Counters) -> str:
    return (
        f"executions {counts.executions}, compiles {counts.compiles}, transfers to the device "
        f"{counts.to_device} and from it {counts.from_device}, operations on the host "
        f"{counts.fallbacks}"
    )


def check(
    optimizer: Optimizer,
    key: str | Scheduler | SchedulerList = "lr",
    *,
    runtime: str | None = None,
    measure: bool = False,
    total_steps: int | None = None,
    epochs: int | None = None,
    batches: int | None = None,
    accumulate: int = 1,
    world_size: int = 1,
) -> Check:
    """Return what a step of this optimizer will cost when one of its values is scheduled.

    Given a scheduler and the length of the run, also return where its schedule ends in the run, and
    whether it may have been built in another unit than optimizer steps.

    Args:
        optimizer: the optimizer, built as in training. It is not changed.
        key: the value to schedule, or its scheduler; ``"betas[0]"`` is an element of a tuple. For a
            list of schedulers, the cost is for the first, and the lengths are for all. Default
            ``"lr"``.
        runtime: ``"xla"``, ``"lazy"``, ``"compile"``, ``"cuda"`` or ``"eager"``. Default: the back
            end of the parameters; on the CPU, ``"compile"`` if the value is a tensor.
        measure: also run steps of a copy and count, which takes the memory of a copy. The
            parameters must be on this back end, and it must keep counts. Default False.
        total_steps: the optimizer steps of the run. Default: computed from ``epochs``, ``batches``
            and ``accumulate``; the last batches of an epoch may make one step more, or none.
        epochs: the epochs of the run.
        batches: the batches per epoch of one process: the length of its prepared loader. Given
            ``total_steps``, ``epochs`` and ``batches`` only name units to compare with.
        accumulate: the batches per optimizer step. Default 1.
        world_size: how often the scheduler is stepped per optimizer step. For a scheduler that
            accelerate prepared without ``split_batches``, the number of processes. Default 1.

    Returns:
        The cost by the rules, the measured cost, what to change, and where schedules end. It can be
        printed. Its ``doubts`` are the lengths that may be wrong.

    Raises:
        ArgumentError: a key or a runtime is unknown, or cannot be measured here; a number of the
            run is missing, or is not a whole number of at least 1.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.Adadelta([torch.zeros(1)], lr=1.0)
        >>> check(optimizer, runtime="xla").remedy
        'step it within accelsched.on_device()'

        A schedule built in batches, in a run that accumulates the gradients of four batches:

        >>> from accelsched.lr_scheduler import CosineDecayLR
        >>> scheduler = CosineDecayLR(optimizer, 0.1, 0.0, total_iters=3 * 1000)
        >>> (length,) = check(optimizer, scheduler, epochs=3, batches=1000, accumulate=4).lengths
        >>> length.says
        'lr is at 25 % of its horizon when the run ends (step 750 of 3,000)'
        >>> length.doubt
        'was it built in batches?'

        accelerate steps a scheduler once per process, so this one ends too early:

        >>> (length,) = check(optimizer, scheduler, total_steps=3000, world_size=4).lengths
        >>> length.says
        'lr ends at 25 % of the run (step 750 of 3,000)'
        >>> length.doubt
        'was it built in optimizer steps (world_size=4 left out)?'
    """
    run = run_of(total_steps, epochs, batches, accumulate, world_size)
    schedulers = _schedulers(optimizer, key, run)
    key = key if isinstance(key, str) else schedulers[0].key
    tensors = [p for group in optimizer.param_groups for p in group["params"]]
    by_default = _runtime(optimizer, key, tensors[0], None)
    name = by_default if runtime is None else _runtime(optimizer, key, tensors[0], runtime)
    measured = _measured(optimizer, key, name, tensors[0]) if measure else None
    return Check(
        optimizer=_called(optimizer),
        runtime=name,
        key=key,
        parameters=len(tensors),
        expected=_expected(optimizer, key, name, len(tensors)),
        measured=measured,
        remedy=_remedy(optimizer, key, name, measured),
        lengths=tuple(lengths_of(schedulers, run)),
        lowering=_lowering(optimizer, key) if name == by_default else None,
    )


def _schedulers(
    optimizer: Optimizer, given: str | Scheduler | SchedulerList, run: Run | None
) -> list[Scheduler]:
    """Return the schedulers whose lengths to check. All must be of this optimizer."""
    if isinstance(given, str):
        remedy = "a key has no end: write check(optimizer, scheduler, ...)"
        require(run is None, "key", given, remedy)
        return []
    schedulers = list(given) if isinstance(given, SchedulerList) else [given]
    for scheduler in schedulers:
        ours = isinstance(scheduler, Scheduler)
        require(ours, "key", scheduler, "give a key, or a scheduler of accelsched")
        of_other = scheduler.optimizer is not None and (
            owner_of_groups(scheduler.optimizer) is not owner_of_groups(optimizer)
        )
        require(
            not of_other,
            "key",
            scheduler,
            "bound to another optimizer: write check(scheduler.optimizer, scheduler)",
        )
    return schedulers


def _runtime(optimizer: Optimizer, key: str, parameter: Tensor, asked: str | None) -> str:
    """Return the back end asked for, or the one that will step the optimizer, by name."""
    held = GroupValues(optimizer, key, None).values()[0]
    here = runtime_of(parameter.device)
    by_default = here.name
    if by_default == "eager" and isinstance(held, Tensor):
        by_default = "compile"
    name = asked or by_default
    known = sorted({*NAMED, "cuda", here.name})
    require(name in known, "runtime", name, f"give one of {', '.join(known)}")
    return name


def _called(optimizer: Optimizer) -> str:
    """Return the class of an optimizer, with the options that matter."""
    group = optimizer.param_groups[0]
    options = [o for o in ("capturable", "foreach", "fused") if group.get(o)]
    return f"{type(optimizer).__name__}({', '.join(f'{o}=True' for o in options)})"


def _expected(optimizer: Optimizer, key: str, runtime: str, parameters: int) -> Counters | None:
    """Return the cost by the rules, if there is one."""
    group, name = optimizer.param_groups[0], rules.name_of(optimizer)
    if runtime == "cuda" and name is not None:
        return _expected_on_cuda(optimizer, name, key, parameters)
    if runtime == "eager" or (group.get("fused") and name is not None):
        return Counters()
    rule = rules.table(runtime).get(name or "", {}).get(rules.configuration_of(group))
    return None if rule is None or key != "lr" else rule.cost(parameters)


def _expected_on_cuda(
    optimizer: Optimizer, name: str, key: str, parameters: int
) -> Counters | None:
    if _has_floats_on_cuda(optimizer, key):
        return Counters()
    configuration = on_cuda.configuration_of(optimizer.param_groups[0])
    rule = on_cuda.table(name, key).get(configuration)
    return None if rule is None else rule.cost(parameters)


def _has_floats_on_cuda(optimizer: Optimizer, key: str) -> bool:
    """Return whether a scheduler would write Python floats on CUDA, which need no read."""
    values = GroupValues(optimizer, key, None)
    takes_tensors = on_cuda.takes_tensors(values.optimizer, values.groups(), key)
    return not values.hold_tensors and not takes_tensors


def _lowering(optimizer: Optimizer, key: str) -> str | None:
    """Return the lowerings of the schedulers that drive the key already; None without any."""
    owners = ownership_of(optimizer).owners()
    drivers = [owner.driver for owner in owners if owner.group_values.key == key]
    reasons = (f", not segments: {driver.reason}" if driver.reason else "" for driver in drivers)
    said = [driver.lowering + reason for driver, reason in zip(drivers, reasons, strict=True)]
    return "; ".join(dict.fromkeys(said)) or None


def _remedy(optimizer: Optimizer, key: str, name: str, measured: Counters | None) -> str | None:
    """Return what to change on a runtime; None if nothing."""
    group, known = optimizer.param_groups[0], rules.name_of(optimizer) is not None
    if name == "compile":
        tensor = isinstance(GroupValues(optimizer, key, None).values()[0], Tensor)
        return None if tensor else f"build it with {key}=torch.tensor(...)"
    if name == "cuda" and _has_floats_on_cuda(optimizer, key):
        return None
    if name == "eager" or (name != "cuda" and group.get("fused") and known):
        return None
    remedy = remedies.remedy(optimizer, key, name)
    if known or measured is None:
        return remedy
    return _measured_remedy(optimizer, key, NAMED[name], remedy, measured)


def _measured_remedy(
    optimizer: Optimizer, key: str, runtime: Runtime, remedy: str | None, measured: Counters
) -> str | None:
    """Return what to change for an optimizer without rules, from measured steps."""
    if rules.Rule(measured, Counters()).stays_on_device:
        return None
    within = measuring.of_copy(runtime, optimizer, key, within=on_device)
    helps = within.from_device < measured.from_device
    return remedy if helps else "it has no option that helps there"


def _measured(optimizer: Optimizer, key: str, name: str, parameter: Tensor) -> Counters:
    """Run and count steps of a copy; raise ArgumentError if the back end cannot."""
    runtime = NAMED.get(name)
    if runtime is None or runtime.device().type != parameter.device.type or not runtime.counts:
        remedy = (
            f"{name} is not counted for parameters on {parameter.device.type!r} here: write "
            "measure=False"
        )
        raise ArgumentError("measure", True, remedy)
    return measuring.of_copy(runtime, optimizer, key)


# The command.

#: The options for the length of the run, and their help.
_OF_THE_RUN = {
    "total_steps": "the optimizer steps of the run",
    "epochs": "the epochs of the run",
    "batches": "the batches per epoch of one process",
    "accumulate": "the batches per optimizer step (default: %(default)s)",
    "world_size": "the steps of the scheduler per optimizer step (default: %(default)s)",
}


def add_command(commands: Any) -> None:
    """Add ``accelsched check`` to the commands of a parser."""
    details = "Print what a step of an optimizer costs when its learning rate is scheduled."
    also = "Given a scheduler and the length of a run, also print where the schedule ends."
    parser = commands.add_parser("check", help=details.lower(), description=f"{details} {also}")
    path = "the optimizer or its scheduler, or a function that makes one: package.module:name"
    parser.add_argument("path", metavar="PATH", help=path)
    parser.add_argument("--key", help="the scheduled value (default: lr, or that of the scheduler)")
    parser.add_argument("--runtime", help="the back end (default: that of the parameters)")
    parser.add_argument("--measure", action="store_true", help="also run and count steps of a copy")
    for name, meaning in _OF_THE_RUN.items():
        default = 1 if "default" in meaning else None
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, metavar="N", default=default, help=meaning)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Run ``accelsched check``."""
    found = _found(options.path)
    optimizer = found if isinstance(found, Optimizer) else found.optimizer
    key = options.key or ("lr" if isinstance(found, Optimizer) else found)
    lengths = {name: getattr(options, name) for name in _OF_THE_RUN}
    print(check(optimizer, key, runtime=options.runtime, measure=options.measure, **lengths))


def _found(path: str) -> Optimizer | Scheduler | SchedulerList:
    """Import what the command's argument names; call it if it is a function."""
    module, _, name = path.partition(":")
    remedy = "give package.module:name of an optimizer, a scheduler or a function that makes one"
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), name)
        known = (Optimizer, Scheduler, SchedulerList)
        made = found if isinstance(found, known) else found()
    except (Exception, SystemExit) as error:
        # This runs the user's code, which may raise anything.
        raise ArgumentError("PATH", path, f"{remedy} ({type(error).__name__}: {error})") from error
    finally:
        sys.path.remove("")
    if not isinstance(made, known):
        raise ArgumentError("PATH", path, f"{remedy}, not a {type(made).__name__}")
    if not isinstance(made, Optimizer):
        require(
            made.optimizer is not None,
            "PATH",
            path,
            "this scheduler has no optimizer yet: call scheduler(optimizer)",
        )
    return made
