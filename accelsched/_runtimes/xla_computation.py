"""A recorded graph as a single node of the graphs that torch_xla traces.

Each traced operation costs the host some 5 us at every step, and a cosine has thirty operations. So
the graph's HLO is built once and called: a step takes the host equally long for any schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._runtimes.device_graph import DeviceGraph

_NAME = "accelsched::values"


class XlaComputation:
    """The operations of a recorded graph on the counter, as one operation.

    Args:
        graph: a graph on a torch_xla device; none of its operations falls back to the host.
        counter: a tensor of shape [] on that device; its value is not used.

    Attributes:
        graph: the graph, whose tensors are parameters of the computation.
    """

    def __init__(self, graph: DeviceGraph, counter: Tensor) -> None:
        self.graph = graph
        held = [counter, *graph.tensors()]
        # A pending tensor would be computed inside the graph, instead of being a parameter.
        internals()._xla_sync_multi(held, [str(counter.device)], wait=True)
        context = internals().lowering.LoweringContext(_NAME)
        context.build(list(graph(counter)))
        self._proto: bytes = context.hlo()
        # The numbers in the formula are parameters too.
        found = context.device_parameter_id_tensor_mapping()
        places = {_place(context, tensor): tensor for tensor in held}
        self._inputs = [places.get(i, found[i]).to(counter.device) for i in range(len(found))]
        at = _place(context, counter)
        #: Whether the result depends on the counter.
        self.reads_the_counter = at is not None
        self._at = at or 0
        self._load()

    def _load(self) -> None:
        from torch_xla.core.xla_builder import computation_from_module_proto

        self._computation = computation_from_module_proto(_NAME, self._proto)

    def __call__(self, counter: Tensor) -> Sequence[Tensor]:
        # Dynamo traces only ATen operations, and under SPMD a call of another computation crashes.
        if torch.compiler.is_compiling() or is_spmd():
            return self.graph(counter)
        self._inputs[self._at] = counter
        values: list[Tensor] = internals()._xla_user_computation(
            _NAME, self._inputs, self._computation
        )
        return values

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_computation"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._load()


def _place(context: Any, tensor: Tensor) -> int | None:
    """Return a tensor's parameter number in the built computation; None if it is no parameter."""
    try:
        place: int = context.tensor_parameter_id(tensor)
    except RuntimeError:
        return None
    return place if place >= 0 else None


def is_spmd() -> bool:
    """Return whether torch_xla runs one program on several devices (SPMD)."""
    import torch_xla.runtime as xr

    return bool(xr.is_spmd())


def internals() -> Any:
    """Return torch_xla's C++ extension module."""
    import torch_xla

    module: Any = torch_xla
    return module._XLAC
