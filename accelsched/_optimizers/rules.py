"""Measured costs of a step of each torch.optim optimizer with a scheduled learning rate.

The numbers are in rules.json, which benchmarks/rules.py writes; the tests measure them again. Each
runtime and optimizer has an entry for every torch version at which its numbers change.
"""

from __future__ import annotations

import functools
import inspect
import json
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import torch
from torch.optim import Optimizer
from torch.torch_version import TorchVersion

from accelsched._runtimes import Counters

#: The ways to build or to step an optimizer, the simplest first.
CONFIGURATIONS = ("", "foreach", "capturable", "capturable foreach", "on_device")


@dataclass(frozen=True)
class Rule:
    """The cost of one warm step: a fixed part, and a part for each parameter tensor.

    Attributes:
        fixed: the cost that does not depend on the parameters.
        each: the cost that each parameter tensor adds.
    """

    fixed: Counters
    each: Counters

    def cost(self, parameters: int) -> Counters:
        """Return the cost of a step with this many parameter tensors."""
        fixed, each = asdict(self.fixed), asdict(self.each)
        return Counters(**{name: fixed[name] + parameters * each[name] for name in fixed})

    @property
    def stays_on_device(self) -> bool:
        """Whether a step reads nothing, compiles nothing, and is one execution."""
        cost = self.cost(1)
        return not (cost.from_device or cost.compiles or cost.fallbacks or cost.executions > 1)


@functools.cache
def table(runtime: str) -> dict[str, dict[str, Rule]]:
    """Return the rules of a runtime, by optimizer and configuration."""
    text = resources.files("accelsched._optimizers").joinpath("rules.json").read_text()
    by_name = json.loads(text).get(runtime, {})
    return {name: _rules(of_this_torch(rows)) for name, rows in by_name.items()}


def _rules(ways: dict[str, Any]) -> dict[str, Rule]:
    return {way: Rule(Counters(**fixed), Counters(**each)) for way, (fixed, each) in ways.items()}


def of_this_torch(rows: dict[str, Any]) -> Any:
    """Return the rules of an optimizer for the running torch, from its rules by version.

    These are the rules of the newest version that is not newer than the running torch, or of the
    oldest version if all are newer.
    """
    known = sorted(rows, key=TorchVersion)
    old = [version for version in known if TorchVersion(version) <= torch.__version__]
    return rows[old[-1] if old else known[0]]


def name_of(optimizer: Optimizer) -> str | None:
    """Return the name of the torch.optim class whose ``step`` an optimizer has, or None."""
    for cls in type(optimizer).__mro__:
        if not issubclass(cls, Optimizer) or cls is Optimizer:
            continue
        if f"{cls.__module__}.".startswith("torch.optim."):
            # PyTorch wraps the step of a class when its first optimizer is built.
            inherited = inspect.unwrap(type(optimizer).step) is inspect.unwrap(cls.step)
            return cls.__name__ if inherited else None
    return None


def configuration_of(group: dict[str, Any]) -> str:
    """Return the configuration that a param group's options select."""
    return " ".join(option for option in ("capturable", "foreach") if group.get(option))


def best(runtime: str, name: str) -> str | None:
    """Return the simplest configuration whose step stays on the device; None if there is none.

    Configurations that send nothing to the device come first.
    """
    rules = table(runtime).get(name, {})
    stay = [way for way in CONFIGURATIONS if way in rules and rules[way].stays_on_device]
    return min(stay, key=lambda way: rules[way].cost(1).to_device > 0, default=None)


#: The keys besides ``lr`` that were measured, with every optimizer that has them.
KEYS = ("weight_decay", "momentum", "betas[0]", "betas[1]")
#: The values that are read even within ``on_device``, unless the optimizer is ``capturable``.
_READ = {("NAdam", "betas[0]"), ("RAdam", "betas[1]")}


def best_of_key(runtime: str, name: str, key: str) -> str | None:
    """Return the configuration that stays on the device with a scheduled value other than ``lr``.

    PyTorch has no option for weight decay or momentum: it checks on the host whether they are 0.
    The ``foreach`` forms take numbers. With tensor betas the optimizer must be ``capturable``, or
    its bias corrections make the step number a new constant at each step. If it is ``capturable``,
    beta1 is not read at all.
    """
    if key not in KEYS or best(runtime, name) is None:
        return None
    ways = table(runtime)[name]
    capturable = "capturable" in ways and ways["capturable"].stays_on_device
    if not capturable and (name, key) in _READ:
        return None
    if capturable and key == "betas[0]":
        return "capturable"
    return "capturable on_device" if capturable else "on_device"


def change(way: str, to: str) -> str:
    """Return in words how to change one configuration into another."""
    given, wanted = set(way.split()), set(to.split())
    dropped = [
        _as_argument(option)
        for option in sorted(given - wanted - {"on_device"})
        if f"{option}=False" not in wanted
    ]
    added = [_as_argument(option) for option in sorted(wanted - given - {"on_device"})]
    steps = [
        *([f"build it without {', '.join(dropped)}"] if dropped else []),
        *([f"build it with {', '.join(added)}"] if added else []),
        *(["step it within accelsched.on_device()"] if "on_device" in wanted - given else []),
    ]
    return ", and ".join(steps)


def _as_argument(option: str) -> str:
    return option if "=" in option else f"{option}=True"
