"""torch.compile on the CPU, with Dynamo's counters."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import torch

from accelsched._runtimes.base import Counters, Runtime


class Dynamo(Runtime):
    """A training step with torch.compile, on the CPU."""

    name = "compile"
    counts = ("compiles",)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # Inductor needs a C++ compiler; without one Dynamo still captures and guards.
        inductor = shutil.which("g++") or shutil.which("clang++") or shutil.which("cl")
        return torch.compile(function, backend="inductor" if inductor else "aot_eager")

    def counters(self) -> Counters:
        from torch._dynamo.utils import counters

        return Counters(compiles=counters["stats"]["unique_graphs"])
