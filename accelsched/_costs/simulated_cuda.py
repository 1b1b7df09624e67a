"""CUDA where there is no GPU: what an optimizer's step would read there, and what it would launch.

PyTorch's own Python runs, on tensors without data (``FakeTensorMode``), so what is counted is that
of the torch that runs. Nothing is computed: a number that is read is made up.
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

#: What every read gives: no number that a formula or a comparison treats apart.
_READ = 0.25
#: What the fused kernels take as numbers of the host, whatever they are given.
_HOST_FLOATS = ("weight_decay", "momentum", "beta1", "beta2")


class Calls(TorchDispatchMode):
    """Counts what reaches the device.

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
    """Replaces what asks the driver of CUDA, with PyTorch before 2.14, by what does not."""

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
            # There is none for tensors without data. It takes a rate on the device.
            given = (kwargs.get(name) for name in _HOST_FLOATS)
            return [each.item() for each in given if isinstance(each, Tensor)]
        return func(*args, **kwargs)


def _moved(args: Any, kwargs: dict[str, Any]) -> Tensor:
    """``Tensor.to`` of a tensor whose content does not count."""
    tensor, *given = args
    device = next((each for each in given if isinstance(each, torch.device)), kwargs.get("device"))
    if device is None or device.type == tensor.device.type:
        return Tensor.to(*args, **kwargs)
    dtype = next((each for each in given if isinstance(each, torch.dtype)), tensor.dtype)
    return torch.empty(tensor.shape, device=device, dtype=kwargs.get("dtype", dtype))


@contextlib.contextmanager
def simulated_cuda() -> Iterator[Calls]:
    """Inside, a tensor of device ``"cuda"`` is one without data, and its operations are counted."""
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
    from torch.optim import optimizer

    def launch(*arguments: Any) -> None:
        calls.launches.append("one kernel")

    def fit_all(*arguments: Any) -> list[Fitted]:
        with unset_fake_temporarily():
            return fitted(*arguments)

    fitted = segments.fit_all
    # Those are no subclasses of a user's: the foreach forms take them.
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
    """An optimizer of torch.optim, on tensors without data, whose gradients are there."""
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
        name: of the class in torch.optim.
        key: the value that is scheduled.
        way: one of :data:`accelsched._optimizers.on_cuda.CONFIGURATIONS`.
        parameters: how many parameter tensors.

    Returns:
        The reads of one step, or None if PyTorch refuses to build or to step it so.
    """
    within = on_device if "on_device" in way else contextlib.nullcontext
    with simulated_cuda() as calls, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            optimizer = built(name, way, parameters)
            # One tensor all along: to change it reads nothing, and takes most of the time here.
            Scheduler(optimizer, Constant(0.1), key, lowering="graph")
            for _ in range(WARM_UP if name == "RAdam" else 2):
                calls.reads = 0
                with within():
                    optimizer.step()
        except (TypeError, RuntimeError, ValueError, ArgumentError):
            return None
    return calls.reads
