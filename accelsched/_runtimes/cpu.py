"""The CPU: a Python float is the fastest learning rate, and torch.compile needs a tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from accelsched._runtimes.base import Runtime


class Cpu(Runtime):
    """Eager PyTorch on the CPU."""

    name = "eager"
    on_device = False

    def as_state(self, state: Tensor, device: torch.device) -> Tensor:
        # torch.compile (2.4 to 2.13) treats a plain 0-dim float64 tensor on the CPU as a Python
        # number, and drops in-place writes to it without a warning. A Parameter is not plain.
        if state.dtype == torch.float64 and state.dim() == 0:
            return torch.nn.Parameter(state, requires_grad=False)
        return state
