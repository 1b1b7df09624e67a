"""A recorded formula as a flat list of ATen operations that runs on a device.

Whatever is the same at every step happened once, while it was recorded: the Python of the formula,
the copies of constants to the device, and the choice of operations that the back end keeps in its
graph. Only the list is left for the back end to trace, compile or run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

_CPU = torch.device("cpu")
_FILE = "<recorded by accelsched>"


class DeviceGraph:
    """A recorded graph, moved to a device: a function from the counter to tensors.

    Args:
        graph: as :func:`accelsched._recording.record` makes it, on the CPU. It is changed.
        device: where it is to run.
        as_state: puts a tensor of the CPU on that device.
    """

    def __init__(
        self,
        graph: GraphModule,
        device: torch.device,
        as_state: Callable[[Tensor, torch.device], Tensor],
    ) -> None:
        self._graph = graph
        for name, constant in list(graph.named_buffers()):
            setattr(graph, name, as_state(constant, device))
        for node in graph.graph.nodes:
            if node.kwargs.get("device") == _CPU:
                node.update_kwarg("device", device)
        graph.recompile()
        # Each is a file of another name otherwise, and cerebras_pytorch compiles the same lines
        # anew.
        forward: Any = type(graph).forward
        forward.__code__ = forward.__code__.replace(co_filename=_FILE)
        # Not the module itself: its call looks for hooks, at every step.
        self._forward: Callable[[Tensor], Sequence[Tensor]] = graph.forward

    def __call__(self, counter: Tensor) -> Sequence[Tensor]:
        return self._forward(counter)

    def tensors(self) -> list[Tensor]:
        """Return all tensors that it holds on the device."""
        return list(self._graph.buffers())
