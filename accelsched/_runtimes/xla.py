"""torch_xla: traced anew at every step, compiled once while the graph stays the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from accelsched._runtimes.base import ALL_COUNTS, Counters, Evaluate, Runtime
from accelsched._runtimes.device_graph import DeviceGraph
from accelsched._runtimes.xla_computation import XlaComputation, internals, is_spmd


class Xla(Runtime):
    """Any PJRT client of torch_xla: TPU, GPU or CPU."""

    name = "xla"
    reads_cost_an_execution = True
    traces_every_step = True
    counts = ALL_COUNTS

    def as_state(self, state: Tensor, device: torch.device) -> Tensor:
        # A fresh 0-dim tensor shares its buffer with every equal constant of a graph, so
        # backend="openxla" would mistake the state for that constant.
        return state.to(device).clone()

    def as_callable(
        self, graph: DeviceGraph, device: torch.device, shape: Sequence[int]
    ) -> Evaluate:
        if len(shape) > 0 or is_spmd():
            return graph
        counter = self.as_state(torch.tensor(1, device="cpu"), device)
        before = self.counters().fallbacks
        computation = XlaComputation(graph, counter)
        # An operation that falls back to the host runs now, and would become a constant.
        whole = self.counters().fallbacks == before
        return computation if whole and computation.reads_the_counter else graph

    def graph_of(self, held: Evaluate) -> DeviceGraph | None:
        return super().graph_of(held.graph if isinstance(held, XlaComputation) else held)

    def rewritten(self, state: Tensor, content: Tensor) -> Tensor:
        # A tensor that copy_ uploads would share its buffer with every equal number, as in
        # as_state. The graph would have fewer parameters, and compile again.
        if is_spmd():
            return super().rewritten(state, content)
        (uploaded,) = internals()._xla_tensors_from_aten([content], [str(state.device)])
        internals()._replace_xla_tensor(state, uploaded)
        return state

    def assign(self, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        # torch_xla's own FSDP does the same. It takes a quarter of the time of copy_.
        replace = internals()._replace_xla_tensor
        is_traced = torch.compiler.is_compiling() or is_spmd()
        for tensor, value in zip(tensors, values, strict=True):
            if is_traced or tensor.device != value.device:
                tensor.copy_(value)
            else:
                replace(tensor, value)

    def execute(self, tensors: Sequence[Tensor]) -> None:
        devices = sorted({str(tensor.device) for tensor in tensors})
        internals()._xla_sync_multi(list(tensors), devices, wait=False)

    def before_step(self, state: Sequence[Tensor], optimizer: Optimizer) -> None:
        # backend="openxla" executes only the inputs of its own graphs. State that changes outside
        # them, such as a counter, gathers more operations at each step, and its users recompile.
        # This does not happen if the optimizer's step is pending too, as in a graph of several
        # steps.
        if torch.compiler.is_compiling() or not _is_pending(state):
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if not _is_pending(parameters):
            self.execute(state)

    def replacements(self) -> dict[Any, Callable[..., Tensor]]:
        return _exact()

    def available(self) -> str | None:
        if importlib.util.find_spec("torch_xla") is None:
            return "torch_xla is not installed (pip install accelsched[xla], on Linux)"
        return None

    def device(self) -> torch.device:
        import torch_xla

        return torch.device(torch_xla.device())

    def finish_step(self) -> None:
        import torch_xla

        torch_xla.sync()

    def wait(self) -> None:
        import torch_xla.core.xla_model as xm

        xm.wait_device_ops()

    def counters(self) -> Counters:
        import torch_xla.debug.metrics as met

        def samples(metric: str) -> int:
            data: Any = met.metric_data(metric)
            return int(data[0]) if data else 0

        names: list[str] = [name for name in met.counter_names() if name.startswith("aten::")]
        return Counters(
            compiles=samples("CompileTime"),
            # Under SPMD, executions count in the second metric.
            executions=samples("ExecuteTime") + samples("ExecuteReplicatedTime"),
            to_device=samples("TransferToDeviceTime"),
            from_device=samples("TransferFromDeviceTime"),
            fallbacks=sum(int(met.counter_value(name)) for name in names),
        )

    def nodes(self, tensors: Sequence[Tensor]) -> int:
        text: str = internals()._get_xla_tensors_text(list(tensors))
        return text.count(" = ")


def _is_pending(tensors: Sequence[Tensor]) -> bool:
    """Return whether a tensor is gathered but not executed; takes 0.3 us for one tensor."""
    return any(internals()._check_tensor_need_materialization(list(tensors)))


def _exact() -> dict[Any, Callable[..., Tensor]]:
    """Map the integer division in users' functions to an exact one: torch_xla's uses float32."""
    return {torch.ops.aten.floor_divide.default: _floor_divide}


def _floor_divide(dividend: Tensor, divisor: Any) -> Tensor:
    if torch.result_type(dividend, divisor).is_floating_point:
        return torch.floor(dividend / divisor)
    multiple: Tensor = dividend - dividend % divisor
    quotient: Tensor = multiple.to(torch.float64) / divisor
    return quotient.to(torch.int64)
