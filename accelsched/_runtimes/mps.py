"""Apple's GPUs, which have no float64."""

from __future__ import annotations

from accelsched._runtimes.base import Runtime


class Mps(Runtime):
    """A device of torch.mps."""

    name = "mps"
    has_float64 = False
