"""The stride of a step: how far it moves, checked and combined from the user's arguments."""

from __future__ import annotations

import numbers
from typing import Any

import torch
from torch import Tensor

from accelsched.errors import ArgumentError, Reason, require
from accelsched.schedules._fields import MAX_STEP

#: An int, or a tensor that is read on the device of the counter.
Stride = int | Tensor


def stride_of(by: Any, found_inf: Any) -> Stride:
    """Return how many steps to move; a tensor if an argument is one.

    Args:
        by: the number of steps; None for 1.
        found_inf: stay if this is not 0; None to move always.

    Raises:
        ArgumentError: ``by`` is not a count, or ``found_inf`` is not a flag. No tensor is read.
    """
    count: Stride = 1 if by is None else _count("by", by)
    if found_inf is None:
        return count
    is_finite = _flag("found_inf", found_inf) == 0
    if not isinstance(is_finite, Tensor):
        return count if is_finite else 0
    there = count.to(is_finite.device) if isinstance(count, Tensor) else count
    counted: Tensor = is_finite * there
    return counted


def require_one(by: Any, scheduler: object) -> None:
    """Raise unless ``by`` is 1, for a scheduler whose values each depend on the one before.

    Raises:
        ArgumentError: ``by`` is not 1.
    """
    one = by is None or (type(by) is int and by == 1)
    remedy = f"each value of {type(scheduler).__name__} depends on the one before: step once each"
    require(one, "by", by, remedy)


def _count(name: str, given: Any) -> Stride:
    remedy = "give an int or a one-element integer tensor: how many steps to move"
    if isinstance(given, Tensor):
        whole = not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
        if not whole or given.numel() != 1:
            raise ArgumentError(name, _shown(given), remedy)
        return given
    if isinstance(given, bool) or not isinstance(given, (int, numbers.Integral)):
        raise ArgumentError(name, given, remedy)
    count = int(given)
    require(0 <= count < MAX_STEP, name, given, "give 0 or more, or set last_epoch = step")
    return count


def _flag(name: str, given: Any) -> Any:
    remedy = "give a bool, a number, or a one-element tensor"
    if isinstance(given, Tensor):
        if given.numel() != 1:
            raise ArgumentError(name, _shown(given), remedy)
        return given
    require(isinstance(given, (bool, int, float)), name, given, remedy)
    return given


def _shown(tensor: Tensor) -> Reason:
    """Describe a tensor: printing it would read it from the device."""
    return Reason(f"{tensor.dtype}{list(tensor.shape)}")


def as_scalar(stride: Stride, device: torch.device) -> Tensor:
    """Return the stride as an int64 tensor of shape [] on a device."""
    if isinstance(stride, int):
        # Not of shape []: lazy back ends compile one graph each for 0, 1 and other numbers.
        stride = torch.tensor([stride], device="cpu")
    elif stride.device != device:
        stride = stride.reshape(1)
    return stride.to(device, torch.int64).reshape(())
