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
        self._device = device
        self._set(constants, _source(recording, device))

    def refill(
        self, recording: Recording, rewritten: Callable[[Tensor, Tensor], Tensor]
    ) -> Callable[[], None] | None:
        """Return what makes this the graph of another recording, by its numbers alone.

        None if that is of other operations, or its constants are of other shapes.

        Args:
            recording: on the CPU. It is changed.
            rewritten: from a tensor on the device and its new content to the tensor to hold.
        """
        if _source(recording, self._device) != self._source:
            return None
        new = dict(recording.named_buffers())
        held = {name: getattr(self._constants, name) for name in new}
        if any(held[name].shape != constant.shape for name, constant in new.items()):
            return None

        def write() -> None:
            for name, tensor in held.items():
                setattr(self._constants, name, rewritten(tensor, new[name]))

        return write

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
        return [*self._constants.buffers(), *self._constants.parameters()]

    def __getstate__(self) -> tuple[torch.device, torch.nn.Module, str]:
        return self._device, self._constants, self._source

    def __setstate__(self, state: tuple[torch.device, torch.nn.Module, str]) -> None:
        self._device, constants, source = state
        self._set(constants, source)


def _source(recording: Recording, device: torch.device) -> str:
    """The operations of a recording, on a device, as a function in Python."""
    for node in recording.graph.nodes:
        if node.kwargs.get("device") == _CPU:
            node.update_kwarg("device", device)
    return recording.graph.python_code("self").src
