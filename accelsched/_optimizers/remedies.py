"""Which of PyTorch's optimizers read a scheduled tensor on the host, and what stops it."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from typing import Any

from torch.optim import Optimizer

from accelsched._optimizers import on_cuda, rules
from accelsched._optimizers.on_device import entered
from accelsched._runtimes import Runtime
from accelsched.errors import SynchronizationWarning


def needs_grad(optimizer: Optimizer, index: int, key: str, runtime: Runtime) -> bool:
    """Whether the value must be marked as requiring a gradient; warns if the host will read it.

    SGD multiplies, on the device, by a learning rate that requires a gradient, and reads any other.
    No gradient is ever computed for it: a step runs without autograd.
    """
    name = rules.name_of(optimizer)
    if runtime.takes_floats:
        return _needs_grad_on_cuda(name, optimizer.param_groups[index], key, runtime)
    if not runtime.reads_cost_an_execution:
        return False
    if name is None:
        if not entered():
            _warn(_NOT_KNOWN.format(type(optimizer).__name__, key, runtime.name))
        return False
    group = optimizer.param_groups[index]
    if key == "lr" and name == "SGD" and not group.get("foreach") and _sgd_asks_for_grad():
        return True
    remedy = _remedy(name, group, key, runtime)
    if remedy:
        reads = f"{name} reads {key!r} on the host at every step on this device ({runtime.name})"
        _warn(f"{reads}, and that stops it: {remedy}")
    return False


def _needs_grad_on_cuda(
    name: str | None, group: dict[str, Any], key: str, runtime: Runtime
) -> bool:
    """The same where PyTorch takes the foreach form, which does not ask, unless it is told not to.

    Of an optimizer with a step of its own whoever gave it a tensor knows.
    """
    if key == "lr" and name == "SGD" and on_cuda.is_loop(group) and _sgd_asks_for_grad():
        return True
    stops = None if name is None else on_cuda.remedy(name, group, key)
    if stops:
        reads = f"{name} reads {key!r} on the host at every step that is not compiled"
        _warn(f"{reads}, and that stops this device ({runtime.name}): {stops}")
    return False


_NOT_KNOWN = (
    "{} has a step of its own: if it reads {!r} on the host, that stops this device ({}) once for "
    "each parameter. Step it within accelsched.on_device(), and build the scheduler within it; "
    "accelsched.check(optimizer, measure=True) counts the reads. If there are none, building the "
    "scheduler within it is enough."
)


def _warn(message: str) -> None:
    warnings.warn(message, SynchronizationWarning, stacklevel=level_of_the_caller())


def level_of_the_caller() -> int:
    """The stack level of the code that built the scheduler, whichever class it is of."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("accelsched."):
        level, frame = level + 1, frame.f_back
    return level


@functools.cache
def _sgd_asks_for_grad() -> bool:
    """Whether the SGD of this PyTorch has the branch for gradients: that of 2.4 has not."""
    return "lr.requires_grad" in inspect.getsource(sys.modules["torch.optim.sgd"])


def _remedy(name: str, group: dict[str, object], key: str, runtime: Runtime) -> str | None:
    """Say what stops the reads of a scheduled value; None if there are none."""
    known = rules.table(runtime.name).get(name)
    if known is None:
        return None
    way = rules.configuration_of(group)
    if key != "lr":
        going = f"{way} on_device".strip() if entered() else way
        return _remedy_of_key(runtime.name, name, key, going)
    if name == "SGD" and not _sgd_asks_for_grad():
        return None if entered() else rules.change(way, "on_device")
    going = "on_device" if way == "" and entered() else way
    if going in known and known[going].stays_on_device:
        return None
    best = rules.best(runtime.name, name)
    return "it has no option that helps there" if best is None else rules.change(way, best)


def _remedy_of_key(runtime: str, name: str, key: str, way: str) -> str | None:
    """Say the same for a value other than the learning rate."""
    best = rules.best_of_key(runtime, name, key)
    if best is None:
        return "it has no option that helps there"
    stays = set(best.split()) <= set(way.split()) and "foreach" not in way
    return None if stays else rules.change(way, best)


def remedy(optimizer: Optimizer, key: str, runtime: str) -> str | None:
    """Say what keeps the steps of this optimizer on the device; None if they stay already.

    Args:
        optimizer: any; of one that has a step of its own nothing is known.
        key: the value that is scheduled.
        runtime: the name of a runtime that rules are known for.
    """
    name, way = rules.name_of(optimizer), rules.configuration_of(optimizer.param_groups[0])
    if name is None:
        return rules.change("", "on_device")
    if runtime == "cuda":
        return on_cuda.remedy(name, optimizer.param_groups[0], key)
    known = rules.table(runtime).get(name, {})
    if not known:
        return None
    if key != "lr":
        return _remedy_of_key(runtime, name, key, way)
    best = rules.best(runtime, name)
    if best is None:
        return "it has no option that helps there"
    stays = way in known and known[way].stays_on_device
    saves = stays and known[way].cost(1).to_device > known[best].cost(1).to_device
    return rules.change(way, best) if saves or not stays else None
