"""CUDA: eager kernels, or a captured graph of them that is replayed."""

from __future__ import annotations

from accelsched._runtimes.base import Runtime


class Cuda(Runtime):
    """A device of torch.cuda, eager or captured."""

    name = "cuda"
