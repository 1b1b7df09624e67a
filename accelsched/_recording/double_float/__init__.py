"""Double-float arithmetic: float64 formulas on devices that have no float64.

A double-float is the sum of two float32 numbers. ``arithmetic.py`` adds, multiplies and divides
them, ``functions.py`` has exp, log and sin, and ``aten.py`` maps each recorded operation to these.
Cerebras and MPS use it for ``lowering="graph"``, which is the default there for curves that neither
segments nor tables hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from accelsched._recording.double_float.arithmetic import DoubleFloat
from accelsched._recording.double_float.aten import apply
from accelsched._recording.recorder import Recording


def in_float32(graph: Recording) -> Callable[[Tensor], list[Tensor]]:
    """Return a graph's function in float32 and integers only, accurate to some 40 bits.

    The largest number is that of float32; the smallest one with all digits is some 2**-96.

    Args:
        graph: a float64 graph from :func:`accelsched._recording.recorder.record`.

    Returns:
        A function that maps the step to the outputs: float32 where they were float64.
    """

    def function(step: Tensor) -> list[Tensor]:
        values: dict[Node, Any] = {}

        def value(argument: Any) -> Any:
            return torch.fx.node.map_arg(argument, values.__getitem__)

        for node in graph.graph.nodes:
            if node.op == "placeholder":
                values[node] = step
            elif node.op == "get_attr":
                values[node] = getattr(graph, node.target)
            elif node.op == "output":
                return [
                    one.high if isinstance(one, DoubleFloat) else one for one in value(node.args[0])
                ]
            else:
                is_real = node.meta["value"].dtype == torch.float64
                values[node] = apply(node.target, value(node.args), value(node.kwargs), is_real)
        raise AssertionError("a graph without an output")

    return function
