"""Optimizer arithmetic on single parameters, with a tensor where PyTorch takes a number.

``add_(delta, alpha=-lr)`` takes a number, so PyTorch reads a tensor on the host, which ends the
graph on a lazy back end. The same arithmetic with the tensor as an operand stays on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from accelsched._optimizers import lists


class on_device(TorchFunctionMode):
    """A context in which PyTorch's optimizers compute with scheduled tensors on the device.

    It is for optimizers that have no option for that; :func:`accelsched.check` says which. Results
    stay the same, except for the order of two roundings. PyTorch checks on the host whether weight
    decay or momentum is zero. Inside ``on_device()`` the check is skipped, and both are always
    applied. So a momentum that begins at 0 has accumulated the gradients since the start, which
    PyTorch forgets.

    ``foreach`` steps compute with tensors too. A fused kernel takes the learning rate as a tensor,
    and a tensor weight decay is applied before the kernel. Its betas and momentum must be numbers.

    A scheduler that is built inside ``on_device()`` expects the optimizer's steps inside as well,
    and does not warn. So for an optimizer with its own ``step`` that reads nothing, build the
    scheduler inside.

    Example:
        >>> from accelsched import Scheduler
        >>> from accelsched.schedules import Linear
        >>> parameter = torch.nn.Parameter(torch.zeros(1))
        >>> optimizer = torch.optim.SGD([parameter], lr=torch.tensor(0.1))
        >>> scheduler = Scheduler(optimizer, Linear(initial=0.5, end=0.0, total_iters=4))
        >>> parameter.sum().backward()
        >>> with on_device():
        ...     optimizer.step()
        >>> scheduler.step()
        >>> parameter.item(), scheduler.get_last_lr()
        (-0.5, [tensor(0.3750)])
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _IS_NOT_ZERO and _is_zero(args[1]) and hasattr(args[0], _SCHEDULED):
            return _IS_NOT_ZERO[func]
        return _REPLACEMENTS.get(func, func)(*args, **kwargs)


_SCHEDULED = "_accelsched_scheduled"


def mark(value: Tensor) -> None:
    """Mark a tensor so that :class:`on_device` answers comparisons with 0 without reading it."""
    setattr(value, _SCHEDULED, True)


class Factor(torch.nn.Parameter):
    """A learning rate that requires a gradient, so that SGD multiplies by it, with addcmul_.

    Lazy back ends take ten times as long to trace addcmul_ as the equivalent product and
    difference, which this class computes instead. It is saved as a plain parameter.
    """

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():  # type: ignore[no-untyped-call]
            if func is Tensor.addcmul_ and kwargs == {"value": -1}:
                target, one, other = args
                return torch.sub(target, one * other, out=target)
            return func(*args, **(kwargs or {}))


def _is_zero(number: object) -> bool:
    return isinstance(number, (int, float)) and number == 0


def entered() -> bool:
    """Return whether the caller is inside :class:`on_device`."""
    modes: list[TorchFunctionMode] = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return any(isinstance(mode, on_device) for mode in modes)


#: The results of comparing a scheduled value with 0, as if it were above 0.
_IS_NOT_ZERO = {Tensor.ne: True, Tensor.gt: True, Tensor.__eq__: False}


def _add_(target: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    if isinstance(alpha, Tensor):
        return target.add_(other * alpha)
    return target.add_(other, alpha=alpha)


def _add(target: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    if isinstance(alpha, Tensor):
        alpha, other = 1, other * alpha
    return torch.add(target, other, alpha=alpha)


def _addcdiv_(target: Tensor, one: Tensor, other: Tensor, *, value: Any = 1) -> Tensor:
    if isinstance(value, Tensor):
        return target.add_(one * value / other)
    return target.addcdiv_(one, other, value=value)


def _addcmul_(target: Tensor, one: Tensor, other: Tensor, *, value: Any = 1) -> Tensor:
    if isinstance(value, Tensor):
        return target.add_(one * value * other)
    return target.addcmul_(one, other, value=value)


def _lerp_(target: Tensor, end: Tensor, weight: Any) -> Tensor:
    # PyTorch's lazy back end runs lerp_ on the host. This is PyTorch's form for a weight below 1/2.
    if isinstance(weight, Tensor) or (isinstance(weight, float) and weight < 0.5):
        return target.add_((end - target) * weight)
    return target.lerp_(end, weight)


_REPLACEMENTS: dict[Any, Callable[..., Any]] = {
    Tensor.add: _add,
    Tensor.add_: _add_,
    Tensor.addcdiv_: _addcdiv_,
    Tensor.addcmul_: _addcmul_,
    Tensor.lerp_: _lerp_,
    **lists.REPLACEMENTS,
}
