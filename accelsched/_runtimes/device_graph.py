"""A recorded formula as a flat list of ATen operations that runs on a device.

Whatever is the same at every step happened once, while it was recorded: the Python of the formula,
the copies of constants to the device, and the choice of operations that the back end keeps in its
graph. Only the list is left for the back end to trace, compile or run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._recording import Recording

_CPU = torch.device("cpu")
_FILE = "<recorded by accelsched>"
#: What the source of a graph calls things.
_NAMES = {"torch": torch, "device": torch.device, "inf": math.inf, "nan": math.nan}


class DeviceGraph:
    """A recorded graph, moved to a device: a function from the counter to tensors.

    Args:
        recording: on the CPU. It is changed.
        device: where it is to run.
        as_state: puts a tensor of the CPU on that device.
    """

    def __init__(
        self,
        recording: Recording,
        device: torch.device,
        as_state: Callable[[Tensor, torch.device], Tensor],
    ) -> None:
        constants = torch.nn.Module()
        for name, constant in recording.named_buffers():
            # First the name: what a back end makes of a constant is a buffer, or a Parameter.
            constants.register_buffer(name, None)
            setattr(constants, name, as_state(constant, device))
        for node in recording.graph.nodes:
            if node.kwargs.get("device") == _CPU:
                node.update_kwarg("device", device)
        self._set(constants, recording.graph.python_code("self").src)

    def _set(self, constants: torch.nn.Module, source: str) -> None:
        self._constants, self._source = constants, source
        names: dict[str, Any] = dict(_NAMES)
        # All of one file's name, or cerebras_pytorch compiles the same lines anew. Lines that are
        # registered for tracebacks, as those of a GraphModule are, stay registered for ever.
        exec(compile(source, _FILE, "exec"), names)
        self._forward: Callable[[Tensor], Sequence[Tensor]] = names["forward"].__get__(constants)

    def __call__(self, counter: Tensor) -> Sequence[Tensor]:
        return self._forward(counter)

    def tensors(self) -> list[Tensor]:
        """Return all tensors that it holds on the device."""
        return list(self._constants.buffers())

    def __getstate__(self) -> tuple[torch.nn.Module, str]:
        return self._constants, self._source

    def __setstate__(self, state: tuple[torch.nn.Module, str]) -> None:
        self._set(*state)
