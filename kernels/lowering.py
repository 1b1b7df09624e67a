"""A recorded graph as scalars: the elements of its tensors.

A tensor is a :class:`View`. The table in ``aten.py`` has a rule that turns views into the view of
each operation's result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from accelsched._recording import Recording, Untraceable
from accelsched.kernels.scalars import DTYPES, Program, Scalar

Index = tuple[Scalar, ...]
Rule = Callable[["Lowering", "Call"], "View | list[View]"]


@dataclass(frozen=True)
class View:
    """A tensor, as a function from an index to a scalar.

    Attributes:
        shape: its shape. The program depends only on which sizes are 1, so a table of another
            length yields the same program.
        dtype: its dtype.
        at: returns the scalar at an index, which has as many entries as the shape.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    at: Callable[[Index], Scalar]


@dataclass(frozen=True)
class Call:
    """A call of an ATen operation, with its recorded result."""

    node: Node

    @property
    def name(self) -> str:
        """The operation and its overload: ``"aten.add.Tensor"``."""
        return str(self.node.target)

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments: nodes, numbers, lists."""
        return self.node.args

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments."""
        return self.node.kwargs

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return tuple(self.node.meta["value"].shape)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the result."""
        dtype: torch.dtype = self.node.meta["value"].dtype
        return dtype

    def view(self, at: Callable[[Index], Scalar]) -> View:
        """Return a view with the shape and dtype of the result."""
        return View(self.shape, self.dtype, at)

    def unsupported(self, reason: str) -> Untraceable:
        """Return the error for an operation that cannot be compiled: its name, reason and line."""
        return Untraceable(f"{self.name}: {reason}, {self.node.meta['origin']}")


class Lowering:
    """The nodes of a recorded graph as views, made of scalars of one program.

    Args:
        graph: the recording.
        table: the rule of each operation that can be compiled.

    Raises:
        Untraceable: an operation is not in the table, or its rule cannot compile this call.
    """

    def __init__(self, graph: Recording, table: Mapping[str, Rule]) -> None:
        self.program = Program()
        self._outputs: list[Node] = []
        self.zero = self.program.value("0", torch.int64)
        self._table = table
        self._views: dict[Node, View | list[View]] = {}
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                self._views[node] = View((), torch.int64, lambda _: self.program.step)
            elif node.op == "get_attr":
                self._views[node] = self._constant(node.meta["value"])
            elif node.op == "output":
                self._outputs = list(node.args[0])
            elif node.target is operator.getitem:
                several, place = node.args
                self._views[node] = self._views[several][place]  # type: ignore[index]
            else:
                self._views[node] = self._called(Call(node))

    @property
    def outputs(self) -> list[View]:
        """The results of the graph."""
        return [self.view(node) for node in self._outputs]

    def output(self, place: int, index: Index) -> Scalar:
        """Return the scalar of a result at an index."""
        # Make its ancestors first, in order: a long chain would recurse too deeply.
        needed, shape = _ancestors(self._outputs[place]), self.outputs[place].shape
        for node, view in self._views.items():
            if node in needed and isinstance(view, View) and view.shape == shape:
                view.at(index)
        return self.outputs[place].at(index)

    def view(self, node: Node) -> View:
        """Return the view of a node."""
        view = self._views[node]
        assert isinstance(view, View)
        return view

    def _called(self, call: Call) -> View | list[View]:
        """Apply the table's rule to a call."""
        if call.name not in self._table:
            raise call.unsupported("it is not in the table of compiled operations")
        result = self._table[call.name](self, call)
        views = [
            self._made_once(call, v) for v in (result if isinstance(result, list) else [result])
        ]
        return views if isinstance(result, list) else views[0]

    @staticmethod
    def _made_once(call: Call, view: View) -> View:
        """Return a view that makes each scalar once; raise if its dtype cannot be compiled."""
        if view.dtype not in DTYPES:
            raise call.unsupported(f"{view.dtype} is not compiled")
        made: dict[Index, Scalar] = {}

        def at(index: Index) -> Scalar:
            if index not in made:
                made[index] = view.at(index)
            return made[index]

        return View(view.shape, view.dtype, at)

    def _constant(self, value: Tensor) -> View:
        """Return the view of a constant: a number, or a row of numbers that is read by index."""
        shape, program = tuple(value.shape), self.program
        if value.dtype not in DTYPES:
            raise Untraceable(f"a constant of {value.dtype} is not compiled")
        if not shape:
            number = program.number(value.item(), value.dtype)
            return View((), value.dtype, lambda _: number)
        row = program.row_of(value.flatten().numpy(), value.dtype)
        strides = [self.size(stride) for stride in value.contiguous().stride()[:-1]]

        def at(index: Index) -> Scalar:
            flat = index[-1]
            for position, stride in zip(index[:-1], strides, strict=True):
                flat = program.value("{0} + {1} * {2}", torch.int64, flat, position, stride)
            return row.entry(flat)

        return View(shape, value.dtype, at)

    def size(self, extent: int) -> Scalar:
        """Return a length as a number of the program, which its source does not contain."""
        return self.program.number(extent, torch.int64)

    def operand(self, value: Any, dtype: torch.dtype) -> View:
        """Return an argument (a node or a number) as a view in a dtype."""
        if not isinstance(value, Node):
            number = self.program.number(value, dtype)
            return View((), dtype, lambda _: number)
        view = self.view(value)
        return View(view.shape, dtype, lambda index: self.program.cast(view.at(index), dtype))

    def elementwise(
        self, call: Call, combine: Callable[..., Scalar], operands: Sequence[View]
    ) -> View:
        """Return the view of an elementwise operation on broadcast operands."""

        def at(index: Index) -> Scalar:
            return combine(*(view.at(self.broadcast(index, view.shape)) for view in operands))

        return call.view(at)

    def broadcast(self, index: Index, shape: tuple[int, ...]) -> Index:
        """Map an index to the index into a tensor of this shape before broadcasting."""
        last = index[len(index) - len(shape) :]
        return tuple(self.zero if n == 1 else i for i, n in zip(last, shape, strict=True))

    def in_range(self, position: Scalar, extent: Scalar, from_end: bool = False) -> Scalar:
        """Check a position in a dimension; if it is out of range, the kernel returns an error."""
        wrapped = "{out} = {0} + {1} if {0} < 0 else {0}" if from_end else "{out} = {0}"
        return self.program.lines(
            f"{wrapped}\nif not 0 <= {{out}} < {{1}}:\n    status |= 2\n    {{out}} = 0",
            torch.int64, position, extent,
        )  # fmt: skip


def _ancestors(node: Node) -> set[Node]:
    """Return the nodes that a node is computed from."""
    found: set[Node] = set()
    waiting = [node]
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source not in found:
                found.add(source)
                waiting.append(source)
    return found
