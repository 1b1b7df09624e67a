"""The CPU, eagerly: a Python float is the fastest learning rate there."""

from __future__ import annotations

from accelsched.runtimes.base import Runtime


class Cpu(Runtime):
    """Eager PyTorch on the CPU."""

    name = "eager"
    on_device = False
