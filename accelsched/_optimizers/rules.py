"""What a step of each torch.optim optimizer costs with a scheduled learning rate, as measured.

The numbers are in rules.json, which benchmarks/rules.py writes; the tests measure them again.
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

from accelsched._runtimes import Counters

#: The ways to build or to step an optimizer, the plainest first.
CONFIGURATIONS = ("", "foreach", "capturable", "capturable foreach", "on_device")


@dataclass(frozen=True)
class Rule:
    """The cost of one step, once it is warm: a part for all, and a part for each parameter tensor.

    Attributes:
        fixed: what does not depend on the parameters.
        each: what each parameter tensor adds.
    """

    fixed: Counters
    each: Counters

    def cost(self, parameters: int) -> Counters:
        """The cost of a step with so many parameter tensors."""
        fixed, each = asdict(self.fixed), asdict(self.each)
        return Counters(**{name: fixed[name] + parameters * each[name] for name in fixed})

    @property
    def stays_on_device(self) -> bool:
        """Whether a step reads nothing, compiles nothing, and is one execution."""
        cost = self.cost(1)
        return not (cost.from_device or cost.compiles or cost.fallbacks or cost.executions > 1)


@functools.cache
def table(runtime: str) -> dict[str, dict[str, Rule]]:
    """For each optimizer the rules of the ways that PyTorch does not refuse on a runtime."""
    if runtime == "cuda":
        return {name: _on_cuda(name, rules) for name, rules in table("xla").items()}
    text = resources.files("accelsched._optimizers").joinpath("rules.json").read_text()
    rows: dict[str, Any] = json.loads(text).get(runtime, {})
    return {
        name: {
            way: Rule(Counters(**fixed), Counters(**each)) for way, (fixed, each) in ways.items()
        }
        for name, ways in rows.items()
    }


def _on_cuda(name: str, xla: dict[str, Rule]) -> dict[str, Rule]:
    """What follows for CUDA from the reads on torch_xla; none of it was measured.

    The same Python runs there, so it reads the same numbers, and a read waits for the device. By
    default it is the foreach one, but for Adam, whose does not take a tensor.
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
    """The class of torch.optim whose ``step`` this optimizer has; None if it has another."""
    for cls in type(optimizer).__mro__:
        if not issubclass(cls, Optimizer) or cls is Optimizer:
            continue
        if f"{cls.__module__}.".startswith("torch.optim."):
            # PyTorch wraps the step of a class when the first optimizer of it is built.
            inherited = inspect.unwrap(type(optimizer).step) is inspect.unwrap(cls.step)
            return cls.__name__ if inherited else None
    return None


def configuration_of(group: dict[str, Any]) -> str:
    """The way that a param group's options make its optimizer go."""
    return " ".join(option for option in ("capturable", "foreach") if group.get(option))


def best(runtime: str, name: str) -> str | None:
    """The plainest way in which a step stays on the device; None if there is none.

    One that sends nothing either comes before one that sends numbers to the device.
    """
    rules = table(runtime).get(name, {})
    stay = [way for way in CONFIGURATIONS if way in rules and rules[way].stays_on_device]
    return min(stay, key=lambda way: rules[way].cost(1).to_device > 0, default=None)


#: The keys besides ``lr`` that were measured, with every optimizer that has them.
KEYS = ("weight_decay", "momentum", "betas[0]", "betas[1]")
#: What is read within ``on_device`` too, unless the optimizer is ``capturable``.
_READ = {("NAdam", "betas[0]"), ("RAdam", "betas[1]")}


def best_of_key(runtime: str, name: str, key: str) -> str | None:
    """The way in which a step with a scheduled value other than ``lr`` stays on the device.

    PyTorch has no option for a weight decay or a momentum: it asks whether they are 0. The
    ``foreach`` forms take numbers. With tensor betas the bias corrections must be ``capturable``,
    or the number of the step is a new constant at each; beta1 is then not read at all.
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
    """In words, what to do to get from one way to another."""
    given, wanted = set(way.split()), set(to.split())
    dropped = [f"{option}=True" for option in sorted(given - wanted)]
    added = [f"{option}=True" for option in sorted(wanted - given - {"on_device"})]
    steps = [
        *([f"build it without {', '.join(dropped)}"] if dropped else []),
        *([f"build it with {', '.join(added)}"] if added else []),
        *(["step it within accelsched.on_device()"] if "on_device" in wanted else []),
    ]
    return ", and ".join(steps)
