"""CUDA: eager kernels, or a captured graph of them that is replayed."""

from __future__ import annotations

import torch

from accelsched._runtimes.base import Runtime


class Cuda(Runtime):
    """A device of torch.cuda, eager or captured."""

    name = "cuda"
    takes_floats = True

    def is_capturing(self) -> bool:
        # Without a driver it raises.
        return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()
