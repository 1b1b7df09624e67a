"""The back ends, one file each: the only place that asks which one a tensor lives on."""

from __future__ import annotations

import torch

from accelsched.runtimes import cerebras
from accelsched.runtimes.base import Counters, Evaluate, Runtime
from accelsched.runtimes.cpu import Cpu
from accelsched.runtimes.dynamo import Dynamo
from accelsched.runtimes.lazy import Lazy
from accelsched.runtimes.xla import Xla

__all__ = ["NAMED", "Counters", "Evaluate", "Runtime", "of"]


class _Mps(Runtime):
    name = "mps"
    has_float64 = False


class _Cuda(Runtime):
    name = "cuda"


_ANY = Runtime()
_CEREBRAS = cerebras.Cerebras()
_BY_DEVICE: dict[str, Runtime] = {
    "cpu": Cpu(),
    "xla": Xla(),
    "lazy": Lazy(),
    "mps": _Mps(),
    "cuda": _Cuda(),
}

#: The runtimes that the demo and the tests can drive, by the name a user gives.
NAMED: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (_BY_DEVICE["xla"], _BY_DEVICE["lazy"], Dynamo(), _BY_DEVICE["cpu"])
}


def of(device: torch.device) -> Runtime:
    """The runtime of a device."""
    if device.type == "lazy" and cerebras.in_use():
        return _CEREBRAS
    return _BY_DEVICE.get(device.type, _ANY)
