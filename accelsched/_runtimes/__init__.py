"""The back ends, one file each. No code outside this package checks a tensor's back end."""

from __future__ import annotations

import torch

from accelsched._runtimes import cerebras
from accelsched._runtimes.base import Counters, Evaluate, Runtime
from accelsched._runtimes.cpu import Cpu
from accelsched._runtimes.cuda import Cuda
from accelsched._runtimes.dynamo import Dynamo
from accelsched._runtimes.lazy import Lazy
from accelsched._runtimes.mps import Mps
from accelsched._runtimes.xla import Xla

__all__ = ["NAMED", "Counters", "Evaluate", "Runtime", "runtime_of"]

_ANY = Runtime()
_BY_DEVICE: dict[str, Runtime] = {
    "cpu": Cpu(),
    "xla": Xla(),
    "lazy": Lazy(),
    "mps": Mps(),
    "cuda": Cuda(),
}

#: The runtimes that the demo and the tests can drive, by the name that a user gives.
NAMED: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (_BY_DEVICE["xla"], _BY_DEVICE["lazy"], Dynamo(), _BY_DEVICE["cpu"])
}


def runtime_of(device: torch.device) -> Runtime:
    """Return the runtime of a device."""
    if device.type == "lazy" and cerebras.in_use():
        return cerebras.RUNTIME
    return _BY_DEVICE.get(device.type, _ANY)
