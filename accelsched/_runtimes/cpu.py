"""The CPU: a Python float is the fastest learning rate there, a tensor what torch.compile needs."""

from __future__ import annotations

import torch
from torch import Tensor

from accelsched._runtimes.base import Runtime


class Cpu(Runtime):
    """Interpreted PyTorch on the CPU."""

    name = "eager"
    on_device = False

    def as_state(self, state: Tensor, device: torch.device) -> Tensor:
        # torch.compile (2.4 to 2.13) takes a plain 0-dim float64 tensor on the CPU for a Python
        # number, and in-place writes to it are dropped without a word. A Parameter is not plain.
        if state.dtype == torch.float64 and state.dim() == 0:
            return torch.nn.Parameter(state, requires_grad=False)
        return state
