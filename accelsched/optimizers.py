"""Which of PyTorch's optimizers read a scheduled tensor on the host, and the option that cures it.

Measured on torch_xla 2.9 and on PyTorch's lazy back end, one optimizer and option at a time; the
tests measure each row again, by the back end's counters.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings

from torch.optim import Optimizer

from accelsched.errors import SynchronizationWarning
from accelsched.runtimes import Runtime

#: For a tensor learning rate on a lazy back end: the options with which nothing is read.
_OPTIONS: dict[str, dict[str, bool] | None] = {
    "SGD": {},
    "Adam": {"capturable": True},
    "AdamW": {"capturable": True},
    "Adamax": {"capturable": True},
    "NAdam": {"capturable": True},
    "RAdam": {"capturable": True},
    "ASGD": {"capturable": True},
    "Rprop": {"capturable": True},
    "Adagrad": {"foreach": True},
    "RMSprop": {"capturable": True, "foreach": True},
    "Adadelta": None,
    "Adafactor": None,
    "Muon": None,
}


def needs_grad(optimizer: Optimizer, index: int, key: str, runtime: Runtime) -> bool:
    """Whether the value is to be marked as requiring a gradient; warns if it will be read.

    SGD multiplies by a learning rate that requires a gradient, on the device, and reads any
    other. No gradient is ever computed for it: a step runs without autograd.
    """
    name = _known(optimizer)
    if name is None or not runtime.reads_cost_an_execution:
        return False
    group = optimizer.param_groups[index]
    if key == "lr" and name == "SGD" and not group.get("foreach") and _sgd_asks_for_grad():
        return True
    remedy = _remedy(name, group, key, runtime)
    if remedy:
        warnings.warn(
            f"{name} reads {key!r} on the host at every step on this device ({runtime.name}), and "
            f"that stops it: {remedy}",
            SynchronizationWarning,
            stacklevel=_level_of_the_caller(),
        )
    return False


def _level_of_the_caller() -> int:
    """The stack level of the code that built the scheduler, whichever class it is of."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("accelsched."):
        level, frame = level + 1, frame.f_back
    return level


@functools.cache
def _sgd_asks_for_grad() -> bool:
    """Whether this PyTorch's SGD has the branch: 2.4 has not."""
    return "lr.requires_grad" in inspect.getsource(sys.modules["torch.optim.sgd"])


def _known(optimizer: Optimizer) -> str | None:
    """The class of torch.optim that this optimizer is, or inherits from."""
    for cls in type(optimizer).__mro__:
        pytorchs = f"{cls.__module__}.".startswith("torch.optim.")
        if pytorchs and cls.__name__ in _OPTIONS:
            return cls.__name__
    return None


def _remedy(name: str, group: dict[str, object], key: str, runtime: Runtime) -> str | None:
    if key != "lr":
        return f"PyTorch has no option for a scheduled {key!r} there"
    options = _OPTIONS[name]
    if name == "SGD" and not _sgd_asks_for_grad():
        return "the SGD of a newer PyTorch does not read it"
    if options is None or ("capturable" in options and not runtime.accepts_capturable):
        return "it has no option that helps there; SGD does not read it"
    if group.get("foreach") and "foreach" not in options:
        # SGD reads the value then, and those that are capturable refuse these devices.
        return "build it without foreach=True"
    missing = [f"{option}=True" for option in options if not group.get(option)]
    return f"build it with {', '.join(missing)}" if missing else None
