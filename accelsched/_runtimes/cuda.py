"""CUDA: eager kernels, or a captured graph that is replayed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accelsched._runtimes import one_kernel
from accelsched._runtimes.base import Runtime
from accelsched._runtimes.captures import is_captured
from accelsched._runtimes.one_kernel import OneKernel
from accelsched._runtimes.packed_curves import PackedCurves


class Cuda(Runtime):
    """A device of torch.cuda, eager or captured."""

    name = "cuda"
    takes_floats = True
    captures = True

    def has_one_kernel(self, tensors: Sequence[Tensor]) -> bool:
        counter, *values = tensors
        kinds = {(value.dtype, value.device) for value in values}
        return one_kernel.is_installed() and kinds == {(torch.float32, counter.device)}

    def one_kernel(self, curves: PackedCurves, tensors: Sequence[Tensor]) -> OneKernel | None:
        counter, *values = tensors
        try:
            return OneKernel(curves, values, counter)
        except Exception:
            # Triton needs a C compiler, and does not support all devices. Use the recorded graph.
            return None

    def assign(self, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        if torch.compiler.is_compiling():
            return super().assign(tensors, values)
        # One kernel for all tensors of a dtype, if they are on one device.
        kinds: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        for tensor, value in zip(tensors, values, strict=True):
            into, content = kinds.setdefault(tensor.dtype, ([], []))
            into.append(tensor)
            content.append(value)
        for into, content in kinds.values():
            torch._foreach_copy_(into, content)

    def is_capturing(self) -> bool:
        return is_captured()
