"""Simulated CUDA without a GPU: what an optimizer's step would read from it and launch on it.

PyTorch's own Python code runs on tensors without data (``FakeTensorMode``), so the counts are those
of the installed torch. Nothing is computed: each read returns a made-up number.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from accelsched._binding.scheduler import Scheduler
from accelsched._costs.measuring import WARM_UP
from accelsched._lowering import segments
from accelsched._lowering.segments import Fitted
from accelsched._optimizers.on_device import on_device
from accelsched._runtimes import one_kernel
from accelsched.errors import ArgumentError
from accelsched.schedules import Constant

#: The result of every read. No formula or comparison treats this number specially.
_READ = 0.25
#: The arguments that the fused kernels read on the host, even if they are tensors.
_HOST_FLOATS = ("weight_decay", "momentum", "beta1", "beta2")


class Calls(TorchDispatchMode):
    """A mode that counts what reaches the device.

    Attributes:
        reads: numbers copied to the host, each of which waits for the device.
        launches: the names of the other operations that take time on the device.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reads = 0
        self.launches: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name == "_local_scalar_dense":
            self.reads += args[0].device.type == "cuda"
            return _READ
        if not func.is_view and func.namespace == "aten":
            self.launches.append(name)
        return func(*args, **(kwargs or {}))


class _WithoutDriver(TorchFunctionMode):
    """A mode that replaces the calls that need the CUDA driver with PyTorch before 2.14."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.__float__, Tensor.__int__, Tensor.__bool__):
            return {Tensor.__float__: float, Tensor.__int__: int}.get(func, bool)(args[0].item())
        if func in (Tensor.copy_, Tensor.__setitem__):
            return args[0].zero_()
        if func is Tensor.__getitem__ and isinstance(args[1], int):
            return args[0].select(0, args[1])
        if func is torch.full_like and isinstance(args[1], Tensor):
            return func(args[0], args[1].item(), *args[2:], **kwargs)
        if func is Tensor.to or (func is torch.as_tensor and isinstance(args[0], Tensor)):
            return _moved(args, kwargs)
        if getattr(func, "__name__", "").startswith("_fused_"):
            # There is no fused kernel for tensors without data. It would take lr on the device.
            given = (kwargs.get(name) for name in _HOST_FLOATS)
            return [each.item() for each in given if isinstance(each, Tensor)]
        return func(*args, **kwargs)


def _moved(args: Any, kwargs: dict[str, Any]) -> Tensor:
    """Return ``Tensor.to`` of a tensor whose content does not matter."""
    tensor, *given = args
    device = next((each for each in given if isinstance(each, torch.device)), kwargs.get("device"))
    if device is None or device.type == tensor.device.type:
        return Tensor.to(*args, **kwargs)
    dtype = next((each for each in given if isinstance(each, torch.dtype)), tensor.dtype)
    return torch.empty(tensor.shape, device=device, dtype=kwargs.get("dtype", dtype))


@contextlib.contextmanager
def simulated_cuda() -> Iterator[Calls]:
    """Make ``"cuda"`` tensors in the context have no data, and count their operations."""
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
    from torch.optim import optimizer

    def launch(*arguments: Any) -> None:
        calls.launches.append("one kernel")

    def fit_all(*arguments: Any) -> list[Fitted]:
        with unset_fake_temporarily():
            return fitted(*arguments)

    fitted = segments.fit_all
    # The foreach forms refuse tensor subclasses, but are to take FakeTensor.
    types = [*optimizer._foreach_supported_types, FakeTensor]
    with (
        mock.patch.object(optimizer, "_foreach_supported_types", types),
        mock.patch.object(segments, "fit_all", fit_all),
        mock.patch.object(one_kernel, "launch", launch),
        mock.patch.object(one_kernel, "address_of", id),
        _WithoutDriver(),
        FakeTensorMode(),
        Calls() as calls,
    ):
        yield calls


def built(name: str, way: str, parameters: int = 3) -> Optimizer:
    """Return an optimizer of torch.optim on tensors without data, with gradients set."""
    tensors = [torch.nn.Parameter(torch.ones(4, 4, device="cuda")) for _ in range(parameters)]
    words = [word for word in way.split() if word != "on_device"]
    options: dict[str, Any] = {word.removesuffix("=False"): "=" not in word for word in words}
    optimizer: Optimizer = getattr(torch.optim, name)(tensors, lr=0.1, **options)
    for tensor in tensors:
        tensor.grad = torch.ones_like(tensor)
    return optimizer


def reads(name: str, key: str, way: str, parameters: int) -> int | None:
    """Count what a step of an optimizer reads with a scheduled tensor.

    Args:
        name: the name of the class in torch.optim.
        key: the value that is scheduled.
        way: one of :data:`accelsched._optimizers.on_cuda.CONFIGURATIONS`.
        parameters: how many parameter tensors.

    Returns:
        The reads of one step, or None if PyTorch refuses to build or step it so.
    """
    within = on_device if "on_device" in way else contextlib.nullcontext
    with simulated_cuda() as calls, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            optimizer = built(name, way, parameters)
            # A constant: changing the tensor reads nothing, and would take most of the time here.
            Scheduler(optimizer, Constant(0.1), key, lowering="graph")
            for _ in range(WARM_UP if name == "RAdam" else 2):
                calls.reads = 0
                with within():
                    optimizer.step()
        except (TypeError, RuntimeError, ValueError, ArgumentError):
            return None
    return calls.reads
