"""What a step of each torch.optim optimizer costs with a scheduled learning rate, as measured.

The numbers are in rules.json, which benchmarks/rules.py writes; the tests measure them again. By
runtime and optimizer it has the versions of torch from which on they differ.
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

#: The ways to build or to step an optimizer, the plainest first.
CONFIGURATIONS = ("", "foreach", "capturable", "capturable foreach", "on_device")


@dataclass(frozen=True)
class Rule:
    """The cost of one step, once it is warm: a fixed part, and a part for each parameter tensor.

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
    if runtime == "cuda":
        return {name: _on_cuda(name, rules) for name, rules in table("xla").items()}
    text = resources.files("accelsched._optimizers").joinpath("rules.json").read_text()
    return {name: _of_this_torch(rows) for name, rows in json.loads(text).get(runtime, {}).items()}


def _of_this_torch(rows: dict[str, dict[str, Any]]) -> dict[str, Rule]:
    """Of the rules of an optimizer, by version of torch, those of the version that runs.

    They are those of the newest version that is not newer; of the oldest if all are.
    """
    known = sorted(rows, key=TorchVersion)
    old = [version for version in known if TorchVersion(version) <= torch.__version__]
    ways = rows[old[-1] if old else known[0]]
    return {way: Rule(Counters(**fixed), Counters(**each)) for way, (fixed, each) in ways.items()}


def _on_cuda(name: str, xla: dict[str, Rule]) -> dict[str, Rule]:
    """Derive the rules for CUDA from the reads on torch_xla; none of them was measured.

    The same Python runs there, so it reads the same numbers, and a read waits for the device. By
    default PyTorch takes the foreach form, except for Adam, whose foreach form takes no tensor.
    """
    reads = {
        way: Rule(
            Counters(from_device=r.fixed.from_device), Counters(from_device=r.each.from_device)
        )
        for way, r in xla.items()
    }
    if name not in ("Adam", "AdamW"):
        reads[""] = reads.get("foreach", reads[""])
    # PyTorch says that such a step can be captured in a CUDA graph, in which nothing can be read.
    cls = getattr(torch.optim, name, Optimizer)  # an older PyTorch has fewer
    if "capturable" in inspect.signature(cls).parameters:
        reads["capturable"] = reads["capturable foreach"] = Rule(Counters(), Counters())
    return reads


def name_of(optimizer: Optimizer) -> str | None:
    """Return the class of torch.optim whose ``step`` an optimizer has; None if it has another."""
    for cls in type(optimizer).__mro__:
        if not issubclass(cls, Optimizer) or cls is Optimizer:
            continue
        if f"{cls.__module__}.".startswith("torch.optim."):
            # PyTorch wraps the step of a class when the first optimizer of it is built.
            inherited = inspect.unwrap(type(optimizer).step) is inspect.unwrap(cls.step)
            return cls.__name__ if inherited else None
    return None


def configuration_of(group: dict[str, Any]) -> str:
    """Return the configuration that a param group's options select."""
    return " ".join(option for option in ("capturable", "foreach") if group.get(option))


def best(runtime: str, name: str) -> str | None:
    """Return the plainest configuration whose step stays on the device; None if there is none.

    One that sends nothing to the device comes before one that does.
    """
    rules = table(runtime).get(name, {})
    stay = [way for way in CONFIGURATIONS if way in rules and rules[way].stays_on_device]
    return min(stay, key=lambda way: rules[way].cost(1).to_device > 0, default=None)


#: The keys besides ``lr`` that were measured, with every optimizer that has them.
KEYS = ("weight_decay", "momentum", "betas[0]", "betas[1]")
#: What is read within ``on_device`` too, unless the optimizer is ``capturable``.
_READ = {("NAdam", "betas[0]"), ("RAdam", "betas[1]")}


def best_of_key(runtime: str, name: str, key: str) -> str | None:
    """Return the configuration that stays on the device with a scheduled value other than ``lr``.

    PyTorch has no option for a weight decay or a momentum: it checks whether they are 0. The
    ``foreach`` forms take numbers. With tensor betas the bias corrections must be ``capturable``,
    or the number of the step is a new constant at each step. Then beta1 is not read at all.
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
    """Say in words how to get from one configuration to another."""
    given, wanted = set(way.split()), set(to.split())
    dropped = [f"{option}=True" for option in sorted(given - wanted)]
    added = [f"{option}=True" for option in sorted(wanted - given - {"on_device"})]
    steps = [
        *([f"build it without {', '.join(dropped)}"] if dropped else []),
        *([f"build it with {', '.join(added)}"] if added else []),
        *(["step it within accelsched.on_device()"] if "on_device" in wanted else []),
    ]
    return ", and ".join(steps)
