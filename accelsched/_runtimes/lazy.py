"""PyTorch's own lazy-tensor back end (device "lazy"), which other back ends build on.

Its TorchScript executor runs some operations on the host, and each costs a graph execution. They
are replaced by equal operations that stay in the graph.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._runtimes.base import ALL_COUNTS, Counters, Runtime


class Lazy(Runtime):
    """Device "lazy" with the TorchScript executor that ships with PyTorch."""

    name = "lazy"
    reads_cost_an_execution = True
    traces_every_step = True
    counts = ALL_COUNTS
    accepts_capturable = False

    def as_state(self, state: Tensor, device: torch.device) -> Tensor:
        return state.to(device).clone()

    def rewritten(self, state: Tensor, content: Tensor) -> Tensor:
        state.copy_(content)
        # Upload now, or the tensor would be one more output of the next graph.
        self.execute([state])
        return state

    def assign(self, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        # This takes a third of the time, and of the nodes, of adding 0. Without the clone, which
        # adds no node, tensors of one value or of one vector would share memory.
        for tensor, value in zip(tensors, values, strict=True):
            tensor.data = value.to(tensor.device).clone()

    def execute(self, tensors: Sequence[Tensor]) -> None:
        devices = sorted({str(tensor.device) for tensor in tensors})
        torch._C._lazy._sync_multi(list(tensors), devices)

    def as_data(self, vector: Tensor, device: torch.device) -> Tensor:
        data = vector.to(device)
        # Upload now, as in rewritten. This compiles and executes nothing.
        self.execute([data])
        return data

    def replacements(self) -> dict[Any, Callable[..., Tensor]]:
        return _in_graph()

    def available(self) -> str | None:
        # Both register themselves as the process's only lazy back end.
        if "torch_xla" in sys.modules:
            return "PyTorch's lazy back end crashes beside torch_xla: run it in another process"
        return None

    def device(self) -> torch.device:
        _initialize()
        return torch.device("lazy")

    def finish_step(self) -> None:
        import torch._lazy

        torch._lazy.mark_step()

    def wait(self) -> None:
        import torch._lazy

        torch._lazy.wait_device_ops()

    def counters(self) -> Counters:
        from torch._lazy import metrics

        counts = {name: metrics.counter_value(name) for name in metrics.counter_names()}
        compiled = counts.get("UncachedCompile", 0)
        fallbacks = {n: c for n, c in counts.items() if n.startswith("aten::")}
        return Counters(
            compiles=compiled,
            executions=compiled + counts.get("CachedCompile", 0),
            to_device=counts.get("DeviceDataCacheMiss", 0),
            from_device=fallbacks.get("aten::_local_scalar_dense", 0),
            fallbacks=sum(fallbacks.values()),
        )

    def nodes(self, tensors: Sequence[Tensor]) -> int:
        text: str = torch._C._lazy._get_tensors_text(list(tensors))
        return text.count(" = ")


@functools.cache
def _initialize() -> None:
    """Start the back end, once in a process."""
    import torch._lazy.ts_backend

    # A process may register it only once, and the user may have done so.
    with contextlib.suppress(RuntimeError):
        torch._lazy.ts_backend.init()


def _in_graph() -> dict[Any, Callable[..., Tensor]]:
    """Map each operation that would leave the graph to an equal one that does not.

    New tensors are made from existing ones. An empty 0-dim tensor would be uploaded with whatever
    its memory holds. If that equals another number of the graph, the graph changes.
    """
    aten = torch.ops.aten
    return {
        aten.zeros_like.default: _zeros_like,
        aten.where.self: _where,
        aten.sin.default: _sin,
        aten.log1p.default: _log1p,
        aten.expm1.default: lambda x: torch.tanh(x / 2) * (torch.exp(x) + 1),
        aten.floor_divide.default: _floor_divide,
        aten.pow.Scalar: lambda base, exponent: torch.pow(exponent * 0 + base, exponent),
        aten.clamp.Tensor: _clamp,
    }


def _zeros_like(like: Tensor, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return (like * 0).to(dtype or like.dtype)


def _sin(x: Tensor) -> Tensor:
    # ``missing`` is what float64 loses of pi / 2 and of a small x; a small sine needs it.
    shifted = x - math.pi / 2
    missing = (x - (shifted + math.pi / 2)) - math.cos(math.pi / 2)
    return torch.cos(shifted) + missing * torch.cos(x)


def _log1p(x: Tensor) -> Tensor:
    # Subtract the effect of rounding 1 + x from the logarithm.
    shifted = 1 + x
    return torch.log(shifted) - ((shifted - 1) - x) / shifted.clamp(min=2.0**-53)


def _where(condition: Tensor, value: Tensor, other: Tensor) -> Tensor:
    shape = torch.broadcast_shapes(condition.shape, value.shape, other.shape)
    choice = torch.stack([other.expand(shape), value.expand(shape)])
    index = condition.expand(shape).to(torch.int64).unsqueeze(0)
    return choice.gather(0, index).squeeze(0)


def _floor_divide(dividend: Tensor, divisor: Tensor | int) -> Tensor:
    return torch.div(dividend, divisor, rounding_mode="floor")


def _clamp(value: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if low is not None:
        value = torch.maximum(value, low)
    return value if high is None else torch.minimum(value, high)
