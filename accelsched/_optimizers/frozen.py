"""Which scheduled values a captured CUDA graph would not follow, and what makes it follow them.

A captured step repeats its kernels with the numbers that they were given: a Python float is one of
them for ever. A tensor is read in each replay, unless PyTorch turns it into a number first, which
a capture does not allow.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from accelsched._optimizers import on_cuda, rules
from accelsched.errors import ArgumentError, Reason


def refuse_frozen(optimizer: Optimizer, index: int, key: str, value: object) -> None:
    """Refuse to capture a step of an optimizer that would not follow a scheduled value.

    Args:
        optimizer: whose step is captured, now and by the caller.
        index: the param group.
        key: the value that is scheduled.
        value: what the group holds for it.

    Raises:
        ArgumentError: it would freeze, or be read; the message has the remedy.
    """
    group, name = optimizer.param_groups[index], rules.name_of(optimizer)
    if not isinstance(value, Tensor):
        raise computed_on_host(optimizer, index, key, value)
    if name is None or group.get("capturable") is False:
        return  # CUDA itself refuses a read, and PyTorch the whole step
    if name == "SGD" and key == "lr" and value.requires_grad and on_cuda.is_loop(group):
        return  # SGD multiplies by such a one
    how = on_cuda.change(name, group, key)
    if how != "":
        shown = Reason(f"tensor in param_groups[{index}]")
        remedy = how or "no form of it does without"
        raise ArgumentError(key, shown, f"{name} would read it, which no capture can: {remedy}")


def computed_on_host(optimizer: Optimizer, index: int, key: str, value: object) -> ArgumentError:
    """Make the error of a value that Python writes; the arguments are those of refuse_frozen."""
    group, name = optimizer.param_groups[index], rules.name_of(optimizer)
    shown = Reason("tensor") if isinstance(value, Tensor) else value
    remedy = ", and ".join(_ways_to_a_tensor(group, name, key))
    return ArgumentError(key, shown, f"Python writes it, and no replay runs Python: {remedy}")


def _ways_to_a_tensor(group: dict[str, Any], name: str | None, key: str) -> list[str]:
    ways = ["give the scheduler lowering='graph'"]
    if group.get("capturable") is False:
        ways.insert(0, f"build {name or 'the optimizer'} with capturable=True")
        group = {**group, "capturable": True}
    how = None if name is None else on_cuda.change(name, group, key)
    return [*ways, how] if how else ways
