"""A recorded graph as a single node of the graphs that torch_xla traces.

Each traced operation costs the host some 5 us at every step, and a cosine has thirty. So its HLO is
made once and called: a step costs the same for any schedule.
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
        graph: on a device of torch_xla, with all of its operations in the graph.
        counter: of shape [], on that device; only for its kind.

    Attributes:
        graph: the same, whose tensors are parameters of the computation.
    """

    def __init__(self, graph: DeviceGraph, counter: Tensor) -> None:
        self.graph = graph
        held = [counter, *graph.tensors()]
        # What is still to be computed would become a part of it, and be no parameter.
        internals()._xla_sync_multi(held, [str(counter.device)], wait=True)
        context = internals().lowering.LoweringContext(_NAME)
        context.build(list(graph(counter)))
        self._proto: bytes = context.hlo()
        # The numbers in the formula are parameters as well.
        found = context.device_parameter_id_tensor_mapping()
        places = {_place(context, tensor): tensor for tensor in held}
        self._inputs = [places.get(i, found[i]).to(counter.device) for i in range(len(found))]
        at = _place(context, counter)
        #: Whether it is a function of the counter, and no constant.
        self.reads_the_counter = at is not None
        self._at = at or 0
        self._load()

    def _load(self) -> None:
        from torch_xla.core.xla_builder import computation_from_module_proto

        self._computation = computation_from_module_proto(_NAME, self._proto)

    def __call__(self, counter: Tensor) -> Sequence[Tensor]:
        # Dynamo knows ATen operations only, and under SPMD a call of another computation crashes.
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
    """Return which parameter of the built computation a tensor is, if it is one."""
    try:
        place: int = context.tensor_parameter_id(tensor)
    except RuntimeError:
        return None
    return place if place >= 0 else None


def is_spmd() -> bool:
    """Whether torch_xla runs one program on several devices."""
    import torch_xla.runtime as xr

    return bool(xr.is_spmd())


def internals() -> Any:
    """Return the part of torch_xla that is in C++."""
    import torch_xla

    module: Any = torch_xla
    return module._XLAC
