"""An optimizer's step and its schedulers' steps as one function for torch.compile."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from accelsched._binding.given import not_a_scheduler
from accelsched._binding.ownership import CaptureGuard, ownership_of
from accelsched._binding.param_groups import device_of
from accelsched._binding.scheduler import Scheduler
from accelsched._binding.scheduler_list import SchedulerList
from accelsched._optimizers.on_device import on_device
from accelsched._runtimes import runtime_of
from accelsched.errors import ArgumentError, require

Schedulers = Scheduler | SchedulerList | Iterable[Scheduler | SchedulerList]


def update(optimizer: Optimizer, *schedulers: Schedulers) -> Callable[..., None]:
    """Return a function that steps an optimizer and then its schedulers, for ``fullgraph=True``.

    PyTorch wraps ``optimizer.step`` in a profiler and in calls of its hooks. Dynamo cannot trace
    the wrapper, so a compiled ``optimizer.step`` breaks the graph. The returned function calls the
    step without the wrapper. It runs no hooks, so an optimizer with step hooks is refused. If a
    value other than the learning rate is scheduled, the step runs inside
    :class:`accelsched.on_device`. On CUDA an uncompiled step always does, so that a CUDA graph can
    capture it.

    Args:
        optimizer: an optimizer whose scheduled values are tensors; its step takes no closure.
        schedulers: the schedulers of this optimizer to step, in this order; lists and
            ``SchedulerList`` objects are flattened.

    Returns:
        A function for ``torch.compile(..., fullgraph=True)``. It has its own code object, because
            torch.compile limits the recompiles of one code object. Its optional argument ``by`` is
            that of :meth:`Scheduler.step`.

    Raises:
        ArgumentError: the optimizer has step hooks or ``fused=True``. Or a scheduler is bound to
            another optimizer, must not step, or writes Python floats, which recompile at each step.

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
    _require_traceable(optimizer)
    each: list[Scheduler] = []
    for name, scheduler in _flat("schedulers", schedulers):
        _require_fitting(name, scheduler, optimizer)
        require(scheduler not in each, name, scheduler, "it would step twice: give it once")
        each.append(scheduler)
    step: Any = inspect.unwrap(type(optimizer).step)
    others = any(key != "lr" for _, key in ownership_of(optimizer).value_tensors)
    within = on_device if others and _MODES_ARE_TRACED else contextlib.nullcontext
    # Dynamo reads no learning rate; an uncompiled step may be captured.
    may_capture = runtime_of(device_of(optimizer.param_groups)).captures
    uncompiled = on_device if may_capture else within

    def update(by: int | Tensor | None = None) -> None:
        if torch.compiler.is_compiling():
            with torch.no_grad(), within():
                step(optimizer)
        else:
            with torch.no_grad(), uncompiled():
                step(optimizer)
        for scheduler in each:
            scheduler.step(by=by)

    return _with_code_of_its_own(update)


def _require_traceable(optimizer: Optimizer) -> None:
    name = type(optimizer).__name__
    require(isinstance(optimizer, Optimizer), "optimizer", name, "give a torch.optim.Optimizer")
    before, after = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    hooks = [*before.values(), *after.values()]
    others = [hook for hook in hooks if not isinstance(hook, CaptureGuard)]
    remedy = "its step hooks would not run: remove them, or compile optimizer.step instead"
    require(not others, "optimizer", name, remedy)
    fused = any(group.get("fused") for group in optimizer.param_groups)
    remedy = (
        "torch.compile does not trace fused=True: build it without, or do not compile its step. "
        "For a CUDA graph use accelsched.capture, which needs no update()"
    )
    require(not fused, "optimizer", name, remedy)


def _flat(name: str, given: Any) -> Iterator[tuple[str, Scheduler]]:
    """Yield each scheduler of nested lists, with the name that an error gives it."""
    for position, item in enumerate(given):
        where = f"{name}[{position}]"
        if isinstance(item, Scheduler):
            yield where, item
        elif isinstance(item, (list, tuple, SchedulerList)):
            yield from _flat(where, getattr(item, "schedulers", item))
        else:
            raise not_a_scheduler(where, item)


def _require_fitting(name: str, scheduler: Scheduler, optimizer: Optimizer) -> None:
    """Raise for a scheduler that would not compile, or that drives another optimizer."""
    if scheduler.refusal is not None:
        raise ArgumentError(name, scheduler, scheduler.refusal)
    remedy = "it follows a metric: call scheduler.step(loss) outside this function"
    require(scheduler._steps_alone, name, scheduler, remedy)
    same = scheduler.optimizer.param_groups is optimizer.param_groups
    require(same, name, scheduler, "it is bound to another optimizer: leave it out")
    key = scheduler.key
    remedy = f"its values are floats: give it lowering='graph', or {key}=torch.tensor(...)"
    require(scheduler.driver.lowering != "host", name, scheduler, remedy)
    old = not _MODES_ARE_TRACED and _is_asked(optimizer, key)
    remedy = f"a scheduled {key!r} does not compile here: install PyTorch 2.6 or newer"
    require(not old, name, scheduler, remedy)


#: Whether Dynamo traces a TorchFunctionMode that compiled code enters.
_MODES_ARE_TRACED = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6)


def _is_asked(optimizer: Optimizer, key: str) -> bool:
    """Return whether an older PyTorch reads the value on the host."""
    if key == "weight_decay":
        return not isinstance(optimizer, AdamW)
    return key in ("momentum", "betas[1]")


_serial = itertools.count(1)


def _with_code_of_its_own(function: Any) -> Callable[..., None]:
    """Return a copy that torch.compile treats as another function.

    torch.compile counts compiles and remembers dynamic shapes by code object and name.
    """
    code = function.__code__
    named = code.replace(co_name=f"{code.co_name}_{next(_serial)}")
    return types.FunctionType(
        named,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
