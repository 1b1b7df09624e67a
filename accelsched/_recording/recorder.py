"""A recorder: runs a function of the step once, and returns the graph of its ATen operations.

PyTorch's ``make_fx`` records too. But its first call takes a second or more to import a compiler
and a computer algebra system. It also takes a NumPy result for a constant, without an error. The
step recorded here has no memory, so any read of it is caught.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.utils._pytree import tree_map

from accelsched.errors import ArgumentError, Reason

_TORCH = str(Path(torch.__file__).parent)
_REMEDY = (
    "use torch operations on the step, no `if`, `min`, `math`, NumPy or `.item()`; or make the "
    "function a table: Tabulated(function, total_iters), or total_iters of Lambda and LambdaLR"
)


class Untraceable(ArgumentError):
    """A schedule cannot be recorded as operations on the step; the message names the line."""

    def __init__(self, reason: str) -> None:
        super().__init__("schedule", Reason(reason), _REMEDY)

    def __reduce__(self) -> Any:
        return type(self), (str(self.value),)


class Recording(torch.nn.Module):
    """A graph, with its constants as buffers under the names in its nodes.

    A ``GraphModule`` would write source code for its graph at once, which PyTorch and
    :mod:`linecache` keep forever.
    """

    def __init__(
        self, graph: Graph, constants: Mapping[str, Tensor], functions: Sequence[Any] = ()
    ) -> None:
        super().__init__()
        self.graph = graph
        #: The user's functions that ran; the variables that they read may change later.
        self.functions = functions
        for name, constant in constants.items():
            self.register_buffer(name, constant)


def record(
    function: Callable[[Tensor], Sequence[Tensor]],
    replacements: Mapping[Any, Callable[..., Any]] | None = None,
    shape: Sequence[int] = (),
) -> Recording:
    """Record the operations that a function performs on an int64 step, on the CPU.

    Whatever does not depend on the step is computed now and becomes a constant of the graph. The
    ``meta`` of a node holds its recorded ``"value"`` and its ``"origin"``, a line of source code.

    Args:
        function: maps the step to a list of tensors.
        replacements: for an ATen operation, a function that computes the same with others.
        shape: the shape of the step.

    Raises:
        Untraceable: the function reads the step on the host, changes a tensor in place, draws
            random numbers, or fails.
    """
    recorder = _Recorder(replacements or {})
    try:
        with torch.no_grad():
            # Not step 0: a formula may divide by the step.
            step = torch.ones(shape, dtype=torch.int64, device="cpu")
            counter = recorder.recorded(step, recorder.graph.placeholder("step"))
            counter.has_views = True
            outputs = function(counter)
    except Untraceable:
        raise
    except Exception as error:
        where = origin_of(error)
        raise Untraceable(f"{type(error).__name__}: {error}, {where}") from error
    recorder.graph.output([recorder.node(output) for output in outputs])
    recorder.graph.eliminate_dead_code()
    return Recording(recorder.graph, recorder.constants(), recorder.functions)


def call(function: Callable[[Tensor], Any], argument: Tensor) -> Any:
    """Call a user's function; if the argument is being recorded, note the function."""
    if isinstance(argument, _Recorded):
        argument.recorder.functions.append(function)
    return function(argument)


class _Recorder:
    """The graph so far, and its constants."""

    def __init__(self, replacements: Mapping[Any, Callable[..., Any]]) -> None:
        self.graph = Graph()
        self._replacements = replacements
        self.functions: list[Any] = []
        # Keep each tensor alive, or its id may be reused for another.
        self._constants: dict[int, tuple[Tensor, Node]] = {}

    def recorded(self, value: Tensor, node: Node, origin: str = "") -> _Recorded:
        """Wrap the value of a node, so that operations on it are recorded."""
        node.meta.update(value=value, origin=origin)
        return _Recorded(value, node, self)

    def node(self, value: Any) -> Any:
        """Return the node of a tensor argument; any other argument as it is."""
        if isinstance(value, _Recorded):
            return value.node
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self._constants:
            name = f"constant{len(self._constants)}"
            node = self.graph.get_attr(name)
            node.meta.update(value=value.detach(), origin="")
            self._constants[id(value)] = value, node
        return self._constants[id(value)][1]

    def constants(self) -> dict[str, Tensor]:
        """Return the constants that the graph reads, by name."""
        nodes = (node for node in self.graph.nodes if node.op == "get_attr")
        return {node.target: node.meta["value"] for node in nodes}

    def call(self, operation: Any, args: Any, kwargs: Any) -> Any:
        """Run an operation on the values, and record it."""
        if operation._schema.is_mutable and (pure := _out_of_place(operation, args, kwargs)):
            made = self.call(pure, args, kwargs)
            args[0].value, args[0].node = made.value, made.node
            return args[0]
        if operation in self._replacements:
            return self._replacements[operation](*args, **kwargs)
        origin = _origin(sys._getframe(2))
        refusal = _refusal(operation, args)
        if refusal:
            raise Untraceable(f"{operation} {refusal}, {origin}")
        outputs = operation(*tree_map(_value, args), **tree_map(_value, kwargs))
        if not isinstance(outputs, (Tensor, list, tuple)):
            return outputs  # for example a dtype
        nodes = tree_map(self.node, args), tree_map(self.node, kwargs)
        node = self.graph.call_function(operation, *nodes)
        if isinstance(outputs, Tensor):
            made = self.recorded(outputs, node, origin)
            _share_memory(operation, args, made)
            return made
        return [
            self.recorded(output, self.graph.call_function(operator.getitem, (node, i)), origin)
            for i, output in enumerate(outputs)
        ]


def _refusal(operation: Any, args: Sequence[Any]) -> str | None:
    """Return why an operation cannot be recorded; None if it can."""
    tags = operation.tags
    if torch.Tag.data_dependent_output in tags:
        return "reads the step on the host"
    # PyTorch tags all indexing as dynamic, but only a boolean mask gives such a shape.
    by_number = operation is torch.ops.aten.index.Tensor and not any(
        index is not None and index.dtype == torch.bool for index in args[1]
    )
    if torch.Tag.dynamic_output_shape in tags and not by_number:
        return "has a shape that depends on the step"
    if torch.Tag.nondeterministic_seeded in tags:
        return "is random, but a schedule must be a function of the step"
    return "changes a tensor in place" if operation._schema.is_mutable else None


def _out_of_place(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the out-of-place form of an in-place operation; None if it must not be replaced.

    The write must not be visible elsewhere: neither in a view, nor to the caller of the function.
    """
    name = operation._schema.name.removeprefix("aten::")
    written = args[0] if args else None
    if not name.endswith("_") or not isinstance(written, _Recorded) or written.has_views:
        return None
    packet = getattr(torch.ops.aten, name[:-1])
    overloads = [getattr(packet, overload) for overload in packet.overloads()]
    pure = next((o for o in overloads if _arguments(o) == _arguments(operation)), None)
    if pure is None:
        return None
    computed = pure(*tree_map(_value, args), **tree_map(_value, kwargs))
    alike = (computed.dtype, computed.shape) == (written.dtype, written.shape)
    return pure if alike else None


def _arguments(operation: Any) -> list[tuple[str, bool]]:
    """Return the type of each argument of an operation, and whether it is keyword-only."""
    return [(str(a.type), a.kwarg_only) for a in operation._schema.arguments]


def _share_memory(operation: Any, args: Sequence[Any], made: _Recorded) -> None:
    """Mark a view and the tensor that it is a view of."""
    if any(returned.alias_info is not None for returned in operation._schema.returns):
        for tensor in (made, *args):
            if isinstance(tensor, _Recorded):
                tensor.has_views = True


class _Recorded(Tensor):
    """A tensor that depends on the step, and has no memory."""

    node: Node
    value: Tensor
    recorder: _Recorder
    #: Whether a write into it would be visible elsewhere.
    has_views = False

    @staticmethod
    def __new__(cls, value: Tensor, node: Node, recorder: _Recorder) -> _Recorded:
        wrapper: _Recorded = Tensor._make_wrapper_subclass(
            cls, value.shape, dtype=value.dtype, device=value.device
        )
        wrapper.value, wrapper.node, wrapper.recorder = value, node, recorder
        return wrapper

    def __hash__(self) -> int:
        # A dict would treat the step as a missing key.
        origin = _origin(sys._getframe(1))
        raise Untraceable(f"the step is looked up in a dict or a set, {origin}")

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves: list[Any] = []
        tree_map(leaves.append, (args, kwargs))
        recorder = next(leaf.recorder for leaf in leaves if isinstance(leaf, _Recorded))
        return recorder.call(operation, args, kwargs)


def _value(argument: Any) -> Any:
    return argument.value if isinstance(argument, _Recorded) else argument


# The line of the user's code that an operation comes from.


def _origin(frame: FrameType | None) -> str:
    """Return the innermost line of the stack outside PyTorch and this file."""
    while frame is not None and _is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    return f"at {frame.f_code.co_filename}:{frame.f_lineno}" if frame else "at an unknown place"


def origin_of(error: Exception) -> str:
    """Return the innermost line of an error's traceback outside PyTorch and this file."""
    trace, found = error.__traceback__, "at an unknown place"
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if not _is_machinery(filename):
            found = f"at {filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _is_machinery(filename: str) -> bool:
    return filename == __file__ or filename.startswith(_TORCH)
