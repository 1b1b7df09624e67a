"""The formula as a flat list of ATen operations, for back ends that trace it at every step.

What is the same at every step happens once, here: the Python of the formula, the copies of
constants to the device, the choice of operations that the back end keeps in its graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from accelsched.runtimes.base import Evaluate
from accelsched.tracing import record

_CPU = torch.device("cpu")


def traced(
    evaluation: Callable[[torch.device], Evaluate],
    device: torch.device,
    replacements: Mapping[Any, Callable[..., Any]],
) -> Evaluate:
    """The evaluation on a device, as the operations that it does on the counter.

    Args:
        evaluation: makes the evaluation for a device.
        device: where it is to run.
        replacements: for an ATen operation, a function that does the same.

    Raises:
        Untraceable: a user's function cannot be traced, as it reads a number on the host.
    """
    graph = record(evaluation(_CPU), replacements)
    _move(graph, device)
    graph.recompile()
    # Not the module itself: its call looks for hooks, at every step.
    forward: Evaluate = graph.forward
    return forward


def _move(graph: GraphModule, device: torch.device) -> None:
    """Let a graph that was recorded on the CPU run on another device."""
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            constant = getattr(graph, node.target)
            if isinstance(constant, Tensor):
                setattr(graph, node.target, constant.to(device).clone())
        elif node.kwargs.get("device") == _CPU:
            node.update_kwarg("device", device)
