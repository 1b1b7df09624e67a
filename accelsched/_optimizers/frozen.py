"""Which scheduled values a captured CUDA graph would not follow, and what makes it follow them.

A captured step repeats its kernels with the numbers that they were given: a Python float is one of
them for ever. A tensor is read in each replay, unless PyTorch turns it into a number first, which
a capture does not allow.
"""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

from accelsched._optimizers import rules
from accelsched._optimizers.on_device import entered
from accelsched.errors import ArgumentError, Reason

#: What the fused kernels take as tensors within :class:`on_device`; all else are numbers to them.
_LIVE_IN_FUSED = ("lr", "weight_decay")


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
    shown = Reason(f"tensor in param_groups[{index}]")
    if group.get("fused") and key not in _LIVE_IN_FUSED:
        remedy = f"build {name} with foreach=True in its place"
        raise ArgumentError(key, shown, f"fused=True takes it as a number: {remedy}")
    if not entered() and not _is_operand(group, name, key, value.requires_grad):
        remedy = "step it within accelsched.on_device(), or by accelsched.update()"
        raise ArgumentError(key, shown, f"{name} would read it, which no capture can: {remedy}")


def computed_on_host(optimizer: Optimizer, index: int, key: str, value: object) -> ArgumentError:
    """Make the error of a value that Python writes; the arguments are those of refuse_frozen."""
    group, name = optimizer.param_groups[index], rules.name_of(optimizer)
    shown = Reason("tensor") if isinstance(value, Tensor) else value
    remedy = ", and ".join(_ways_to_a_tensor(group, name, key))
    return ArgumentError(key, shown, f"Python writes it, and no replay runs Python: {remedy}")


def _ways_to_a_tensor(group: dict[str, object], name: str | None, key: str) -> list[str]:
    ways = ["give the scheduler lowering='graph'"]
    if group.get("capturable") is False:
        ways.insert(0, f"build {name or 'the optimizer'} with capturable=True")
        group = {**group, "capturable": True}
    if name is not None and not _is_operand(group, name, key):
        ways.append("step it within accelsched.on_device()")
    return ways


def _is_operand(group: dict[str, object], name: str, key: str, requires_grad: bool = False) -> bool:
    """Whether PyTorch's own step computes with a tensor, and reads nothing, on CUDA."""
    foreach = group.get("foreach") is not False  # the default there
    capturable = bool(group.get("capturable"))
    if key == "lr" and name == "SGD" and requires_grad and not foreach:
        return True
    if key == "lr" and name in _LR_IN_LISTS:
        return foreach and (capturable or name == "Adagrad")
    if key == "lr":
        return bool(capturable or group.get("fused")) and name not in _NEVER
    return key == "betas[0]" and capturable and not foreach


#: A rate is an operand of their foreach form alone.
_LR_IN_LISTS = ("Adadelta", "Adagrad", "RMSprop")
_NEVER = ("Adafactor", "Muon", "Rprop")
