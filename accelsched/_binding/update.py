"""An optimizer's step and its schedulers' steps as one function that torch.compile takes whole."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from accelsched._binding.scheduler import Scheduler
from accelsched.errors import ArgumentError


def update(optimizer: Optimizer, *schedulers: Scheduler) -> Callable[[], None]:
    """Return a function that steps an optimizer and then its schedulers, for ``fullgraph=True``.

    PyTorch wraps ``optimizer.step`` in a profiler and in calls of its hooks. Dynamo does not trace
    these, so a compiled ``optimizer.step`` breaks the graph. This function calls the step inside of
    the wrapper. So it runs no hooks, and refuses an optimizer that has some.

    Args:
        optimizer: an optimizer with a tensor for a learning rate; its step takes no closure.
        schedulers: the schedulers to step, in this order.

    Returns:
        A function without arguments. Give it to ``torch.compile(..., fullgraph=True)``.

    Raises:
        ArgumentError: the optimizer has step hooks.

    Example:
        >>> from accelsched.schedules import Linear
        >>> parameter = torch.nn.Parameter(torch.zeros(1))
        >>> optimizer = torch.optim.SGD([parameter], lr=torch.tensor(0.1))
        >>> scheduler = Scheduler(optimizer, Linear(initial=0.5, end=0.0, total_iters=4))
        >>> step = update(optimizer, scheduler)  # torch.compile(step, fullgraph=True) does the same
        >>> parameter.sum().backward()
        >>> step()
        >>> parameter.item(), scheduler.get_last_lr()
        (-0.5, [tensor(0.3750)])
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
