"""A scheduler's step in one launch, on devices that Triton supports."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._runtimes.packed_curves import MOST_STARTS, PackedCurves

#: Compiled into the kernel: the terms of a polynomial beside its constant (the remainder of the
#: constant, and the powers), the halvings of a search among the starts, and the groups computed at
#: once.
CONSTANTS = {"TERMS": 5, "HALVINGS": (MOST_STARTS - 1).bit_length(), "BLOCK": 128}


@functools.cache
def is_installed() -> bool:
    """Return whether Triton is installed, without importing it."""
    return importlib.util.find_spec("triton") is not None


class OneKernel:
    """Advances a counter, and writes the value of each group into its tensor.

    The tensors' versions do not change: a driver compares them to detect writes by other code.

    Args:
        curves: the curves of all groups, on the CPU.
        tensors: the values of the groups: float32, on one device.
        counter: int64, on the same device.

    Raises:
        Exception: Triton cannot compile or launch here.
    """

    def __init__(self, curves: PackedCurves, tensors: Sequence[Tensor], counter: Tensor) -> None:
        self._device = counter.device
        self._curves = _on(curves, self._device)
        self._counter, self._tensors = counter, tensors  # keep alive: the kernel has addresses only
        addresses = [address_of(tensor) for tensor in tensors]
        self._addresses = torch.tensor(addresses, device="cpu").to(self._device)
        self._nothing = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._launch(0, self._nothing, groups=0)

    def __call__(self, by: int | Tensor) -> None:
        """Advance by a number, or by an int64 tensor on the device."""
        is_there = isinstance(by, Tensor)
        stride, further = (0, by) if is_there else (by, self._nothing)
        self._launch(stride, further, groups=len(self._tensors))

    def _launch(self, stride: Any, further: Any, groups: int) -> None:
        curves = self._curves
        launch(
            *(self._counter, curves.plan, curves.integers, curves.numbers),
            *(self._addresses, further, stride, groups),
        )

    def refill(self, curves: PackedCurves) -> Callable[[], None] | None:
        """Return a function that writes these curves in place; None if their shapes differ."""
        held, new = vars(self._curves), vars(curves)
        if any(held[name].shape != new[name].shape for name in new):
            return None

        def write() -> None:
            for name, content in new.items():
                held[name].copy_(content)

        return write


def address_of(tensor: Tensor) -> int:
    """Return the address of a tensor's number in device memory."""
    return tensor.data_ptr()


def launch(counter: Tensor, *others: Any) -> None:
    """Launch the kernel with these arguments, on the counter's device."""
    from accelsched._runtimes.triton_kernel import advance

    with _current(counter.device):
        advance[(1,)](counter, *others, **CONSTANTS, num_warps=1)


def _on(curves: PackedCurves, device: torch.device) -> PackedCurves:
    return PackedCurves(**{name: each.to(device) for name, each in vars(curves).items()})


def _current(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Make a device current, as Triton launches there; skip the 2 us if it is current already."""
    if device.type != "cuda" or device.index == torch.cuda.current_device():
        return contextlib.nullcontext()
    return torch.cuda.device(device)
