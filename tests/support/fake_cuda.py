"""A CUDA device without CUDA: fake tensors, which cannot be read, and a simulated capture."""

import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from accelsched._runtimes import Runtime


class FusedKernels(TorchDispatchMode):
    """Stand in for fused kernels, which fake tensors do not reach; keep their arguments."""

    def __init__(self):
        super().__init__()
        self.given = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "_fused_" in str(function):
            self.given.append(kwargs)
            return None
        return function(*args, **(kwargs or {}))


@pytest.fixture
def fake_cuda(monkeypatch):
    """Make all tensors fake: they have no values and may be on ``"cuda"``."""
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    # PyTorch would not accept their type for the foreach form, the default on CUDA.
    module, name = sys.modules["torch.optim.optimizer"], "_foreach_supported_types"
    monkeypatch.setattr(module, name, [*getattr(module, name), FakeTensor])
    # Older PyTorch calls CUDA to write to a fake tensor from the CPU.
    monkeypatch.setattr(Runtime, "rewritten", lambda self, state, content: state)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


@pytest.fixture
def capture_under_way(fake_cuda, monkeypatch):
    """Return a function that makes PyTorch report a capture, or none."""

    def set_to(is_capturing):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: is_capturing)
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: is_capturing)

    return set_to


def parameters(count=2):
    """Parameters with gradients, on the fake device."""
    made = [torch.nn.Parameter(torch.empty(4, 4, device="cuda:0")) for _ in range(count)]
    for parameter in made:
        parameter.grad = torch.empty(4, 4, device="cuda:0")
    return made
