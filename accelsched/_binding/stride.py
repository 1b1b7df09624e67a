"""By how much a step moves on: what a user gives for it, checked, and as one number."""

from __future__ import annotations

import numbers
from typing import Any

import torch
from torch import Tensor

from accelsched.errors import ArgumentError, require
from accelsched.schedules._fields import MAX_STEP

#: Read now, or where the counter is.
Stride = int | Tensor


def stride_of(by: Any, found_inf: Any) -> Stride:
    """By how much to move on; a tensor if it depends on one.

    Args:
        by: what to count, None for 1.
        found_inf: whether to stay, as any number but 0 says; None for no.

    Raises:
        ArgumentError: this is no count, or no flag. Nothing is read of a tensor.
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
    """Refuse to move a scheduler on by several steps, if each step changes the value before it.

    Raises:
        ArgumentError: this is not 1.
    """
    one = by is None or (type(by) is int and by == 1)
    remedy = f"each step of {type(scheduler).__name__} changes the value before it: step once each"
    require(one, "by", by, remedy)


def _count(name: str, given: Any) -> Stride:
    remedy = "give an int, or a tensor with one integer, of what the schedule counts"
    if isinstance(given, Tensor):
        whole = not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
        # The text of a tensor would be read from the device.
        require(whole and given.numel() == 1, name, _shown(given), remedy)
        return given
    if isinstance(given, bool) or not isinstance(given, (int, numbers.Integral)):
        raise ArgumentError(name, given, remedy)
    count = int(given)
    require(0 <= count < MAX_STEP, name, given, "give 0 or more: last_epoch moves to any step")
    return count


def _flag(name: str, given: Any) -> Any:
    remedy = "give a bool or a number, or a tensor with one"
    if isinstance(given, Tensor):
        require(given.numel() == 1, name, _shown(given), remedy)
        return given
    require(isinstance(given, (bool, int, float)), name, given, remedy)
    return given


def _shown(tensor: Tensor) -> str:
    return f"a tensor of {tensor.dtype} and shape {list(tensor.shape)}"


def as_scalar(stride: Stride, device: torch.device) -> Tensor:
    """The number on a device: int64, of shape []."""
    if isinstance(stride, int):
        # Not of shape []: lazy back ends make another graph for each of 0, 1 and other numbers.
        stride = torch.tensor([stride], device="cpu")
    elif stride.device != device:
        stride = stride.reshape(1)
    return stride.to(device, torch.int64).reshape(())
