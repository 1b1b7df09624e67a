"""The cost of an optimizer's steps, counted by the back end that runs them."""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch.optim import Optimizer

from accelsched._binding.scheduler import Scheduler
from accelsched._optimizers.on_device import on_device
from accelsched._runtimes import Counters, Runtime
from accelsched.schedules import CosineDecay

#: The optimizers of this PyTorch that step without a closure and on dense gradients.
CLASSES = [
    name
    for name, cls in sorted(vars(torch.optim).items())
    if inspect.isclass(cls) and issubclass(cls, Optimizer)
    if name not in ("Optimizer", "LBFGS", "SparseAdam")
]
#: RAdam switches to another formula at its sixth step, so the warm-up is longer.
WARM_UP, STEPS = 8, 10
#: Makes the context of an optimizer's step.
Within = Callable[[], contextlib.AbstractContextManager[Any]]
_serial = itertools.count(1)


def _unheard() -> float:
    """Return a small number that is new to this process: back ends cache the numbers they send."""
    return next(_serial) * 1e-5


def of_class(runtime: Runtime, name: str, way: str, parameters: int) -> Counters | None:
    """Count the cost of a step of a torch.optim optimizer.

    Args:
        runtime: where to run it.
        name: the name of the class.
        way: one of :data:`accelsched._optimizers.rules.CONFIGURATIONS`.
        parameters: how many parameter tensors.

    Returns:
        The counts of one step, or None if PyTorch refuses to build or step it so.
    """
    cls = getattr(torch.optim, name)
    options: dict[str, Any] = {o: True for o in way.split() if o != "on_device"}
    if "betas" in inspect.signature(cls).parameters:
        options["betas"] = (0.9 - _unheard(), 0.999 - _unheard())
    tensors = [torch.nn.Parameter(torch.ones(4, 4).to(runtime.device())) for _ in range(parameters)]
    lr = torch.tensor(0.01) if runtime.device().type == "cpu" else 0.01
    try:
        optimizer = cls(tensors, lr=lr, **options)
        return of_steps(runtime, optimizer, within=on_device if "on_device" in way else None)
    except (TypeError, RuntimeError, AssertionError, ValueError):
        return None


def of_copy(
    runtime: Runtime, optimizer: Optimizer, key: str, within: Within | None = None
) -> Counters:
    """Count the cost of a step of an optimizer, on a copy of it."""
    return of_steps(runtime, copy.deepcopy(optimizer), key, within)


def of_steps(
    runtime: Runtime,
    optimizer: Optimizer,
    key: str = "lr",
    within: Within | None = None,
) -> Counters:
    """Count the cost of a step of an optimizer with one scheduled value, rounded up."""
    within = within or contextlib.nullcontext
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = Scheduler(optimizer, CosineDecay(0.01 + _unheard(), 0.001, 1000), key)

    def update() -> None:
        with within():
            optimizer.step()
        scheduler.step()

    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.5)
    if runtime.name != "compile":
        return _counted(runtime, update)
    # How often Dynamo compiles does not depend on its back end, so take the fastest. At its limit
    # Dynamo would stop compiling and counting.
    torch._dynamo.reset()
    with torch._dynamo.config.patch(cache_size_limit=WARM_UP + 2 * STEPS):
        return _counted(runtime, torch.compile(update, backend="eager"))


def _counted(runtime: Runtime, update: Callable[[], None]) -> Counters:
    """Count what an update costs after warm-up."""

    def steps(count: int) -> Counters:
        for _ in range(count):
            update()
            runtime.finish_step()
        runtime.wait()
        return runtime.counters()

    before = steps(WARM_UP)
    spent = asdict(steps(STEPS) - before)
    return Counters(**{name: -(-count // STEPS) for name, count in spent.items()})
