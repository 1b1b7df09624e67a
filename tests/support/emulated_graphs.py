"""CUDA graphs without CUDA: emulated captures and replays on CPU tensors.

A capture records each ATen operation with its tensors and numbers, then restores all memory,
because a real capture runs nothing. A replay repeats the operations in the same memory. So a
Python number is frozen, a tensor is not, and a read raises.
"""

import contextlib
import sys

import pytest
import torch
import torch._dynamo.device_interface  # at import it reads what is replaced here
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from accelsched._binding import capture
from accelsched._binding.graph_driver import GraphDriver


class Recorder(TorchDispatchMode):
    """Record operations; :meth:`undo` restores the memory that they changed."""

    def __init__(self):
        super().__init__()
        self.calls, self._before = [], {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing: a read")
        given = tensors_in([args, kwargs])
        for tensor in given:
            storage = tensor.untyped_storage()
            self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        out = function(*args, **kwargs)
        held = {tensor.untyped_storage().data_ptr() for tensor in given}
        new = [t if t.untyped_storage().data_ptr() not in held else None for t in tensors_in(out)]
        for tensor in filter(lambda t: t is not None, new):
            storage = tensor.untyped_storage()
            self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        self.calls.append((function, args, kwargs, new))
        return out

    def undo(self):
        for storage, before in self._before.values():
            storage.copy_(before)
        self._before.clear()


def tensors_in(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class EmulatedGraph:
    """The part of ``torch.cuda.CUDAGraph`` that the package uses."""

    recording = None

    def __init__(self, keep_graph=False):
        self.calls = []

    @torch.no_grad()
    def replay(self):
        for function, args, kwargs, new in self.calls:
            out = tensors_in(function(*args, **kwargs))
            for held, again in zip(new, out, strict=True):
                if held is not None:
                    held.copy_(again)


@contextlib.contextmanager
def capturing(graph, pool=None, stream=None, capture_error_mode="global"):
    recorder = EmulatedGraph.recording = Recorder()
    try:
        with recorder:
            yield
    finally:
        EmulatedGraph.recording = None
        recorder.undo()
    graph.calls = recorder.calls


class Stream:
    def wait_stream(self, stream):
        pass

    def is_capturing(self):
        return EmulatedGraph.recording is not None


@pytest.fixture
def capturable_on_the_cpu(monkeypatch):
    """Let optimizers with ``capturable=True`` accept CPU parameters."""
    supported = "_get_capturable_supported_devices"
    for module in [module for name, module in sys.modules.items() if "torch.optim." in name]:
        if hasattr(module, supported):
            monkeypatch.setattr(module, supported, lambda supports_xla=True: ["cpu"])


@pytest.fixture
def emulated_graphs(monkeypatch, capturable_on_the_cpu):
    """Let torch.cuda capture on the CPU."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", EmulatedGraph)
    monkeypatch.setattr(torch.cuda, "graph", capturing)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", Stream().is_capturing)
    if hasattr(torch, "accelerator"):
        monkeypatch.setattr(torch.accelerator, "current_stream", Stream)
    monkeypatch.setattr(capture, "_is_on_cuda", lambda tensor: True)
    # A driver checks for a capture on CUDA only, and no Python code runs at a replay.
    monkeypatch.setattr(GraphDriver, "_is_captured", True)
