"""The optimizer's step and the schedulers' as one function that torch.compile takes whole."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from accelsched._binding.scheduler import Scheduler
from accelsched.errors import ArgumentError


def update(optimizer: Optimizer, *schedulers: Scheduler) -> Callable[[], None]:
    """One step of an optimizer and then of its schedulers, for ``torch.compile(fullgraph=True)``.

    PyTorch wraps ``optimizer.step`` in a profiler and in the calls of its hooks, which Dynamo does
    not trace: compiled as it is it breaks the graph. This calls the step within, so it runs no
    hooks, and refuses an optimizer that has some.

    >>> update = torch.compile(accelsched.update(optimizer, scheduler), fullgraph=True)
    >>> loss.backward()
    >>> update()

    Args:
        optimizer: with a tensor for a learning rate; its step takes no closure.
        schedulers: stepped in this order.

    Raises:
        ArgumentError: the optimizer has step hooks.
    """
    hooks = [*optimizer._optimizer_step_pre_hooks, *optimizer._optimizer_step_post_hooks]
    if hooks:
        remedy = "its step hooks would not run: remove them, or compile without fullgraph=True"
        raise ArgumentError("optimizer", type(optimizer).__name__, remedy)
    step: Any = inspect.unwrap(type(optimizer).step)

    def update() -> None:
        with torch.no_grad():
            step(optimizer)
        for scheduler in schedulers:
            scheduler.step()

    return update
