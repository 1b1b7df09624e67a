"""Is a CUDA graph captured now, or is what runs a rehearsal for it?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

_rehearsals = 0


@contextlib.contextmanager
def rehearsal() -> Iterator[None]:
    """Within it, what a capture would refuse is refused: what runs is to be captured next."""
    global _rehearsals
    _rehearsals += 1
    try:
        yield
    finally:
        _rehearsals -= 1


def is_captured() -> bool:
    """Whether a CUDA graph captures what is launched now; in 0.2 us."""
    # Without a driver PyTorch cannot say, and fake tensors are on "cuda" there too.
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def is_for_a_graph() -> bool:
    """Whether a CUDA graph captures what is launched now, or is to capture it next."""
    return _rehearsals > 0 or is_captured()
