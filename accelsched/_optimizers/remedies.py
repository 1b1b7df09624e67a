"""Warnings for optimizers that read a scheduled tensor on the host, with the remedies."""

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
    """Return whether the value must require a gradient; warn if the host will read it.

    SGD multiplies, on the device, by a learning rate that requires a gradient, and reads any other.
    No gradient is ever computed for it, since a step runs without autograd.
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
        reads = f"{name} reads {key!r} on the host at every step ({runtime.name})"
        _warn(f"{reads}, which stops the device: {remedy}")
    return False


def _needs_grad_on_cuda(
    name: str | None, group: dict[str, Any], key: str, runtime: Runtime
) -> bool:
    """Return the same for CUDA, where the default foreach form does not check for a gradient.

    An optimizer with its own step gets no warning: whoever gave it a tensor knows that step.
    """
    if key == "lr" and name == "SGD" and on_cuda.is_loop(group) and _sgd_asks_for_grad():
        return True
    stops = None if name is None else on_cuda.remedy(name, group, key)
    if stops:
        reads = f"{name} reads {key!r} on the host at every uncompiled step"
        _warn(f"{reads}, which stops the device ({runtime.name}): {stops}")
    return False


_NOT_KNOWN = (
    "{} has a step of its own, which may read {!r} on the host ({}). Step it within "
    "accelsched.on_device(), and build the scheduler within that, too. Each read stops the device, "
    "once for each parameter; accelsched.check(optimizer, measure=True) counts them. If there are "
    "none, building the scheduler within accelsched.on_device() is enough."
)


def _warn(message: str) -> None:
    warnings.warn(message, SynchronizationWarning, stacklevel=level_of_the_caller())


def level_of_the_caller() -> int:
    """Return the stack level of the first caller outside accelsched, for warnings."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("accelsched."):
        level, frame = level + 1, frame.f_back
    return level


@functools.cache
def _sgd_asks_for_grad() -> bool:
    """Return whether this PyTorch's SGD checks if lr requires a gradient; that of 2.4 does not."""
    return "lr.requires_grad" in inspect.getsource(sys.modules["torch.optim.sgd"])


def _remedy(name: str, group: dict[str, object], key: str, runtime: Runtime) -> str | None:
    """Return how to stop the reads of a scheduled value; None if there are none."""
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
    """Return the same for a value other than the learning rate."""
    best = rules.best_of_key(runtime, name, key)
    if best is None:
        return "it has no option that helps there"
    stays = set(best.split()) <= set(way.split()) and "foreach" not in way
    return None if stays else rules.change(way, best)


def remedy(optimizer: Optimizer, key: str, runtime: str) -> str | None:
    """Return how to keep an optimizer's steps on the device; None if they stay there already.

    Args:
        optimizer: any optimizer; for one with its own step the answer is always ``on_device()``.
        key: the key of the scheduled value.
        runtime: the name of a runtime whose rules are known.
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
