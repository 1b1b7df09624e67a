"""Errors for scheduled values that a captured CUDA graph would not follow, with the remedies.

A replay repeats the captured kernels with the same numbers, so a Python float never changes. The
kernels read a tensor in each replay, unless PyTorch converts it to a number first, which a capture
does not allow.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from accelsched._optimizers import on_cuda, rules
from accelsched.errors import ArgumentError, Reason


def refuse_frozen(optimizer: Optimizer, index: int, key: str, value: object) -> None:
    """Raise if a captured step of an optimizer would not follow a scheduled value.

    Args:
        optimizer: the optimizer whose step the caller is capturing.
        index: the index of the param group.
        key: the key of the scheduled value.
        value: the param group's value.

    Raises:
        ArgumentError: the value would freeze, or be read; the message has the remedy.
    """
    group, name = optimizer.param_groups[index], rules.name_of(optimizer)
    if not isinstance(value, Tensor):
        raise computed_on_host(optimizer, index, key, value)
    if name is None or group.get("capturable") is False:
        return  # CUDA itself refuses a read; PyTorch refuses a step without capturable=True
    if name == "SGD" and key == "lr" and value.requires_grad and on_cuda.is_loop(group):
        return  # SGD multiplies by an lr that requires a gradient
    how = on_cuda.change(name, group, key)
    if how != "":
        shown = Reason(f"tensor in param_groups[{index}]")
        remedy = how or "no option avoids that, so do not capture the step"
        raise ArgumentError(key, shown, f"{name} would read it, which a capture forbids: {remedy}")


def computed_on_host(optimizer: Optimizer, index: int, key: str, value: object) -> ArgumentError:
    """Return the error for a value that Python writes; the arguments are those of refuse_frozen."""
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
