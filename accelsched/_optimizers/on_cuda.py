"""Rules for CUDA: which optimizers take a scheduled value as a tensor, and which read it.

The counts are in cuda.json. ``benchmarks/rules.py cuda`` counts without a GPU, by running PyTorch's
own Python (:mod:`accelsched._costs.simulated_cuda`); the tests count again.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from torch.optim import Optimizer

from accelsched._optimizers import rules
from accelsched._optimizers.on_device import entered
from accelsched._optimizers.rules import Rule
from accelsched._runtimes import Counters

#: The ways to build an optimizer on CUDA. By default PyTorch mostly takes the foreach form.
OPTIONS = (
    "",
    "foreach",
    "capturable",
    "capturable foreach",
    "fused",
    "capturable fused",
    "foreach=False",
    "capturable foreach=False",
)
#: The ways to build and to step an optimizer.
CONFIGURATIONS = (*OPTIONS, *(f"{way} on_device".strip() for way in OPTIONS))
#: The keys of the scheduled values.
KEYS = ("lr", *rules.KEYS)
#: The remedy that always works where Python runs the steps.
_ON_THE_HOST = "give lowering='host'"


@functools.cache
def table(name: str, key: str) -> dict[str, Rule]:
    """Return the reads of an optimizer's step with a scheduled value, by configuration.

    Configurations that PyTorch refuses are left out.
    """
    text = resources.files("accelsched._optimizers").joinpath("cuda.json").read_text()
    rows = json.loads(text).get(name, {}).get(key)
    reads: dict[str, list[int]] = {} if rows is None else rules.of_this_torch(rows)
    return {
        way: Rule(Counters(from_device=fixed), Counters(from_device=each))
        for way, (fixed, each) in reads.items()
    }


def configuration_of(group: dict[str, Any]) -> str:
    """Return the configuration that a param group's options and the caller's context select."""
    given = [option for option in ("capturable", "foreach", "fused") if group.get(option)]
    if is_loop(group):
        given.append("foreach=False")
    return " ".join([*given, *(["on_device"] if entered() else [])])


def is_loop(group: dict[str, Any]) -> bool:
    """Return whether PyTorch loops over the parameters."""
    return group.get("foreach") is False and not group.get("fused")


def takes_tensors(optimizer: Optimizer, groups: Sequence[dict[str, Any]], key: str) -> bool:
    """Return whether a step takes this value of all groups as a tensor, and was built for that."""
    return all(_takes_tensor(rules.name_of(optimizer), group, key) for group in groups)


def _takes_tensor(name: str | None, group: dict[str, Any], key: str) -> bool:
    if entered() and name is None:
        return True
    # Some take a tensor without these, as RAdam does, but only these show that one is wanted.
    if not (group.get("capturable") or group.get("fused") or entered()):
        return False
    # An optimizer with its own step and these options takes a tensor lr, as PyTorch's do.
    return key == "lr" if name is None else _stays(name, key, configuration_of(group))


def _stays(name: str, key: str, way: str) -> bool:
    known = table(name, key)
    return way in known and known[way].stays_on_device


def change(name: str, group: dict[str, Any], key: str) -> str | None:
    """Return how to build or step it so that it reads nothing; "" if unchanged, None if no way."""
    way = configuration_of(group)
    stay = [other for other in CONFIGURATIONS if _stays(name, key, other)]
    if not stay:
        return None
    return rules.change(way, min(stay, key=lambda other: _distance(way, other)))


def remedy(name: str, group: dict[str, Any], key: str) -> str | None:
    """Return how to stop the reads of a scheduled tensor; None if there are none."""
    how = change(name, group, key)
    if how == "":
        return None
    return f"{how}, or {_ON_THE_HOST}" if how else _ON_THE_HOST


def _distance(way: str, other: str) -> tuple[bool, bool, int, int]:
    """Return a sort key: lists before a loop, then building before stepping, then few changes."""
    given, wanted = set(way.split()), set(other.split())
    loop = "foreach=False" in wanted - given
    # Whoever steps within on_device already need not leave it.
    steps = "on_device" in wanted - given
    return loop, steps, len(given ^ wanted), CONFIGURATIONS.index(other)
