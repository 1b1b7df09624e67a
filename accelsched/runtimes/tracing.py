"""The formula as a flat list of ATen operations, which every back end traces, compiles or runs.

What is the same at every step happens once, here: the Python of the formula, the copies of
constants to the device, the choice of operations that the back end keeps in its graph, and, where
it has no float64, the pairs of float32 that stand for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from accelsched.pairs import in_float32
from accelsched.tracing import record

if TYPE_CHECKING:
    from accelsched.runtimes.base import Evaluate, Runtime

_CPU = torch.device("cpu")
_FILE = "<recorded by accelsched>"


class Traced:
    """An evaluation on a device, as the operations that it does on the counter.

    Args:
        evaluation: makes the evaluation for a device.
        runtime: that of the device.
        device: where it is to run.
        shape: that of the steps it will get.

    Raises:
        Untraceable: a user's function cannot be traced, as it reads a number on the host.
    """

    def __init__(
        self,
        evaluation: Callable[[torch.device], Evaluate],
        runtime: Runtime,
        device: torch.device,
        shape: Sequence[int] = (),
    ) -> None:
        function = evaluation(_CPU)
        if not runtime.has_float64:
            function = in_float32(record(function, shape=shape))
        self._graph = record(function, runtime.replacements(), shape)
        _move(self._graph, runtime, device)
        # Not the module itself: its call looks for hooks, at every step.
        self._forward: Evaluate = self._graph.forward

    def __call__(self, counter: Tensor) -> Sequence[Tensor]:
        return self._forward(counter)

    def tensors(self) -> list[Tensor]:
        """All that it holds on the device."""
        return list(self._graph.buffers())


def _move(graph: GraphModule, runtime: Runtime, device: torch.device) -> None:
    """Let a graph that was recorded on the CPU run on another device."""
    for name, constant in list(graph.named_buffers()):
        setattr(graph, name, runtime.settled(constant, device))
    for node in graph.graph.nodes:
        if node.kwargs.get("device") == _CPU:
            node.update_kwarg("device", device)
    graph.recompile()
    # Each is a file of another name otherwise, and cerebras_pytorch compiles the same lines anew.
    forward: Any = type(graph).forward
    forward.__code__ = forward.__code__.replace(co_filename=_FILE)
