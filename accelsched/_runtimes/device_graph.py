"""A recorded formula as a flat list of ATen operations that runs on a device.

Work that is the same at every step is done once, at recording: the formula's Python, the copies of
constants to the device, and the choice of operations that the back end keeps in its graph. The back
end only traces, compiles or runs the list.
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
#: The names that the source of a graph uses.
_NAMES = {"torch": torch, "device": torch.device, "inf": math.inf, "nan": math.nan}


class DeviceGraph:
    """A recorded graph on a device: a function that maps the counter to tensors.

    Args:
        recording: a recording on the CPU; it is modified.
        device: the device to run on.
        as_state: puts a CPU tensor on that device.
    """

    def __init__(
        self,
        recording: Recording,
        device: torch.device,
        as_state: Callable[[Tensor, torch.device], Tensor],
    ) -> None:
        constants = torch.nn.Module()
        for name, constant in recording.named_buffers():
            # Register the name first: as_state returns a plain tensor, or a Parameter.
            constants.register_buffer(name, None)
            setattr(constants, name, as_state(constant, device))
        self._device = device
        self._set(constants, _source(recording, device))

    def refill(
        self, recording: Recording, rewritten: Callable[[Tensor, Tensor], Tensor]
    ) -> Callable[[], None] | None:
        """Return a function that makes this the graph of another recording, by its numbers alone.

        None if the recording has other operations, or constants of other shapes.

        Args:
            recording: a recording on the CPU; it is modified.
            rewritten: writes new content into a tensor on the device, and returns the one to hold.
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
        # All sources share one file name, or cerebras_pytorch would compile the same lines anew.
        # They are not registered for tracebacks, as a GraphModule's are: that would be forever.
        exec(compile(source, _FILE, "exec"), names)
        self._forward: Callable[[Tensor], Sequence[Tensor]] = names["forward"].__get__(constants)

    def __call__(self, counter: Tensor) -> Sequence[Tensor]:
        return self._forward(counter)

    def tensors(self) -> list[Tensor]:
        """Return all tensors that the graph holds on the device."""
        return [*self._constants.buffers(), *self._constants.parameters()]

    def __getstate__(self) -> tuple[torch.device, torch.nn.Module, str]:
        return self._device, self._constants, self._source

    def __setstate__(self, state: tuple[torch.device, torch.nn.Module, str]) -> None:
        self._device, constants, source = state
        self._set(constants, source)


def _source(recording: Recording, device: torch.device) -> str:
    """Return the operations of a recording, on a device, as the source of a Python function."""
    for node in recording.graph.nodes:
        if node.kwargs.get("device") == _CPU:
            node.update_kwarg("device", device)
    return recording.graph.python_code("self").src
