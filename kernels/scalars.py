"""A scalar program: operations on single numbers, and their source.

Each scalar is created after its operands, and equal scalars are one. The source computes each at
the innermost place that serves all of its users: loop invariants before the loops, one side of a
condition only if that side is taken. The source contains no outside number or name: it reads its
numbers from two arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

#: The dtypes that can be compiled, and their names in the source.
DTYPES = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.int16: "int16",
    torch.int8: "int8",
    torch.uint8: "uint8",
    torch.bool: "boolean",
}
#: The first entries of ``wholes``.
HEADER = ("start", "stride", "rows", "width")
#: The number of rows that are repeated together if a sine needs it.
_BLOCK = 512
#: Conditions nested deeper than this compute both sides: Python's own limit is 100.
_MAX_DEPTH = 40


@dataclass(frozen=True, eq=False)
class Scalar:
    """One number of the program.

    Attributes:
        kind: how it is computed.
        text: for "value" a template of its operands ``{0}``, ``{1}``; for "lines" statements that
            set ``{out}``; for "fold" a template that combines two values.
        dtype: its dtype, to which the value of a template is cast.
        operands: the scalars that it is computed from.
        loops: the loop variables that it depends on.
    """

    kind: Literal["name", "value", "lines", "choice", "fold", "store"]
    text: str
    dtype: torch.dtype
    operands: tuple[Scalar, ...] = ()
    loops: frozenset[Scalar] = frozenset()


class Program:
    """Scalars, the numbers that they read, and the values that are stored.

    The source is a function ``kernel(wholes, frame)``. ``wholes`` points to int64 numbers and
    begins with a header: the first step, the stride in steps from a row to the next, the number of
    rows, and the width of a row. ``frame`` points to two pointers to float64: the reals, and
    ``out``. The kernel fills each row of ``out`` with the values at its step, advances the first
    step past the last row for the next call, and returns 0. On an error it does not advance, and
    returns 1 for an integer division by zero or 2 for an index out of range.
    """

    def __init__(self) -> None:
        self._reals: list[float] = []
        self._wholes: list[float] = [0] * len(HEADER)
        #: For each table: where the offset of its first entry is kept, whether it holds floats, and
        #: its values.
        self._tables: list[tuple[int, bool, Any]] = []
        self._scalars: dict[object, Scalar] = {}
        self.row = self._loop("row")
        self.step = self._make(
            Scalar("value", "start + row * stride", torch.int64, loops=frozenset({self.row}))
        )

    def _make(self, scalar: Scalar) -> Scalar:
        """Add a scalar, unless there is an equal one."""
        key = (scalar.kind, scalar.text, scalar.dtype, *map(id, scalar.operands))
        return self._scalars.setdefault(key, scalar)

    def _loop(self, name: str, *operands: Scalar) -> Scalar:
        variable = self._make(Scalar("name", name, torch.int64, operands))
        object.__setattr__(variable, "loops", frozenset({variable}))
        return variable

    # Numbers.

    def number(self, value: float, dtype: torch.dtype) -> Scalar:
        """Add a number, and return the scalar that reads it from the arrays."""
        name, numbers = self._numbers(dtype)
        numbers.append(value)
        return self.value(f"{name}[{len(numbers) - 1}]", dtype)

    def row_of(self, values: Any, dtype: torch.dtype) -> PerPhase:
        """Add a row of numbers that the kernel reads from its arrays by index."""
        first = self.number(0, torch.int64)
        self._tables.append((len(self._wholes) - 1, dtype.is_floating_point, values))
        return PerPhase(self, self._numbers(dtype)[0], first, dtype)

    def _numbers(self, dtype: torch.dtype) -> tuple[str, list[float]]:
        real = dtype.is_floating_point
        return ("reals", self._reals) if real else ("wholes", self._wholes)

    def data(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the two arrays: the numbers, in the order of the source, then the tables."""
        wholes: list[Any] = [np.array(self._wholes, np.int64)]
        reals: list[Any] = [np.array(self._reals, np.float64)]
        for place, real, values in self._tables:
            parts, dtype = (reals, np.float64) if real else (wholes, np.int64)
            wholes[0][place] = sum(map(len, parts))
            parts.append(np.asarray(values, dtype))
        return np.concatenate(reals), np.concatenate(wholes)

    # Computations.

    def value(self, text: str, dtype: torch.dtype, *operands: Scalar) -> Scalar:
        """Return a template of the operands, cast to a dtype."""
        return self._computed("value", text, dtype, operands)

    def lines(self, text: str, dtype: torch.dtype, *operands: Scalar) -> Scalar:
        """Return statements that set ``{out}`` from the operands, and may set ``status``."""
        return self._computed("lines", text, dtype, operands)

    def choice(self, condition: Scalar, yes: Scalar, no: Scalar) -> Scalar:
        """Return one of two scalars of a dtype; the other is not computed."""
        return self._computed("choice", "", yes.dtype, (condition, yes, no))

    def cast(self, scalar: Scalar, dtype: torch.dtype) -> Scalar:
        """Return the number in another dtype."""
        if scalar.dtype == dtype:
            return scalar
        return self.value("{0} != 0" if dtype == torch.bool else "{0}", dtype, scalar)

    def loop(self, extent: Scalar) -> Scalar:
        """Return a loop variable that counts from 0 to ``extent - 1``."""
        return self._loop(f"i{len(self._scalars)}", extent)

    def fold(self, text: str, first: Scalar, variable: Scalar, body: Scalar) -> Scalar:
        """Combine ``first`` with the values of the body over a loop, one by one."""
        (extent,) = variable.operands
        loops = (body.loops - {variable}) | extent.loops | first.loops
        operands = (first, extent, variable, body)
        return self._make(Scalar("fold", text, body.dtype, operands, loops))

    def store(self, position: Scalar, value: Scalar) -> None:
        """Store a value in the row of each step."""
        value = self.cast(value, torch.float64)
        loops = frozenset({self.row}) | position.loops | value.loops
        text = "out[row * width + {0}] = {1}"
        self._make(Scalar("store", text, torch.float64, (position, value), loops))

    def _computed(
        self, kind: Literal["value", "lines", "choice"], text: str, dtype: torch.dtype,
        operands: tuple[Scalar, ...],
    ) -> Scalar:  # fmt: skip
        loops = frozenset().union(*(operand.loops for operand in operands))
        return self._make(Scalar(kind, text, dtype, operands, loops))

    def source(self) -> str:
        """Return the program as Python source of the function ``kernel``."""
        return _Writer(list(self._scalars.values()), self.row).source()


@dataclass(frozen=True)
class PerPhase:
    """A row of numbers in one of a kernel's arrays."""

    program: Program
    array: str
    first: Scalar
    dtype: torch.dtype

    def entry(self, index: Scalar) -> Scalar:
        """Return the number at an index, which must be in range."""
        return self.program.value(f"{self.array}[{{0}} + {{1}}]", self.dtype, self.first, index)


@dataclass(eq=False)
class _Region:
    """A block of the source: the function, the body of a loop, or one side of a condition."""

    parent: _Region | None = None
    loop: Scalar | None = None
    lines: list[str] = field(default_factory=list)
    depth: int = 0

    def __post_init__(self) -> None:
        self.depth = 0 if self.parent is None else self.parent.depth + 1

    def indented(self) -> list[str]:
        return [f"    {line}" for line in self.lines]


class _Writer:
    """Finds the region of each scalar, and writes the scalar there."""

    def __init__(self, scalars: Sequence[Scalar], row: Scalar) -> None:
        self._scalars = scalars
        self._root = _Region()
        self._loops = {row: _Region(self._root, row)}
        self._home: dict[Scalar, _Region] = {}
        #: For a choice, the regions of its two sides; for a fold, the region of its body.
        self._inner: dict[Scalar, tuple[_Region, ...]] = {}
        self._names = {scalar: f"v{i}" for i, scalar in enumerate(scalars)}
        self._names |= {scalar: scalar.text for scalar in scalars if scalar.kind == "name"}
        self._row = row

    def source(self) -> str:
        """Place all scalars, and return the source of the whole function."""
        for scalar in reversed(self._scalars):
            self._place(scalar)
        for scalar in self._scalars:
            if scalar in self._home and scalar.kind != "name":
                self._home[scalar].lines += self._written(scalar)
        rows = self._loops.pop(self._row)
        for variable, region in self._loops.items():
            extent = self._of(variable.operands[0])
            rows.lines += [f"for {self._of(variable)} in range({extent}):", *region.indented()]
        self._root.lines += _row_loop(rows)
        header = ["reals = frame[0]", "out = frame[1]"]
        header += [f"{name} = wholes[{i}]" for i, name in enumerate(HEADER)]
        moved = ["if status == 0:", "    wholes[0] = start + rows * stride"]
        body = ["status = 0", *header, *self._root.lines, *moved, "return status"]
        return "\n".join(["def kernel(wholes, frame):", *(f"    {line}" for line in body), ""])

    # Placement.

    def _place(self, scalar: Scalar) -> None:
        """Fix the region of a scalar whose users are placed, and pass it on to its operands."""
        if scalar.kind == "store":
            self._home[scalar] = self._innermost(scalar.loops)
        elif scalar not in self._home:
            return  # no scalar uses it
        else:
            self._home[scalar] = self._hoisted(self._home[scalar], scalar)
        home = self._home[scalar]
        regions = [home] * len(scalar.operands)
        if scalar.kind == "choice" and home.depth < _MAX_DEPTH:
            regions[1:] = self._inner[scalar] = (_Region(home), _Region(home))
        if scalar.kind == "fold":
            self._inner[scalar] = (_Region(home, scalar.operands[2]),)
            regions[3] = self._inner[scalar][0]
        for operand, region in zip(scalar.operands, regions, strict=True):
            known = self._home.get(operand)
            self._home[operand] = region if known is None else _common(known, region)

    def _innermost(self, loops: frozenset[Scalar]) -> _Region:
        """Return the region of a stored value: the loop over the rows, or a loop inside it."""
        for variable in loops - {self._row}:
            return self._loops.setdefault(variable, _Region(self._loops[self._row], variable))
        return self._loops[self._row]

    @staticmethod
    def _hoisted(region: _Region, scalar: Scalar) -> _Region:
        """Hoist a scalar out of loops that do not change it, unless it may fail ("lines")."""
        best, outer = region, region
        while outer.parent is not None and outer.loop not in scalar.loops:
            outer = outer.parent if outer.loop is None else (best := outer.parent)
        return region if scalar.kind == "lines" else best

    # Source.

    def _of(self, scalar: Scalar) -> str:
        return self._names[scalar]

    def _written(self, scalar: Scalar) -> list[str]:
        """Return the statements that compute a scalar."""
        out, dtype = self._of(scalar), DTYPES[scalar.dtype]
        names = [self._of(operand) for operand in scalar.operands]
        if scalar.kind == "value":
            return [f"{out} = {dtype}({scalar.text.format(*names)})"]
        if scalar.kind == "choice":
            condition, yes, no = names
            sides = self._inner.get(scalar, ())
            if not any(side.lines for side in sides):
                return [f"{out} = select({condition}, {yes}, {no})"]
            lines = [f"if {condition}:", *sides[0].indented(), f"    {out} = {yes}"]
            return [*lines, "else:", *sides[1].indented(), f"    {out} = {no}"]
        if scalar.kind == "fold":
            begin, extent, variable, body = names
            combined = scalar.text.format(out, body)
            return [
                f"{out} = {dtype}({begin})",
                f"for {variable} in range({extent}):",
                *self._inner[scalar][0].indented(),
                f"    {out} = {dtype}({combined})",
            ]
        return scalar.text.format(*names, out=out, dtype=dtype).splitlines()


def _row_loop(rows: _Region) -> list[str]:
    """Return the loop over the rows; a block with a sine beyond ``NEAR`` is computed again.

    The first pass takes all sines as near ones. Without a branch at each sine LLVM vectorizes the
    loop, which makes it many times faster.
    """
    body = rows.indented()
    if not any("near_sine(" in line for line in body):
        return ["for row in range(rows):", *body]
    # The second pass uses new names: numba takes a pass over all lines for each name set twice.
    made = {line.split(" = ")[0].strip() for line in body if " = " in line}

    def renamed(name: re.Match[str]) -> str:
        return f"{name[0]}_again" if name[0] in made else name[0]

    again = [re.sub(r"\bv\d+\b", renamed, line).replace("near_sine(", "sine(") for line in body]
    return [
        f"for first in range(0, rows, {_BLOCK}):",
        f"    last = min(first + {_BLOCK}, rows)",
        "    far = False",
        "    for row in range(first, last):",
        *(f"    {line}" for line in body),
        "    if far:",
        "        for row in range(first, last):",
        *(f"        {line}" for line in again),
    ]


def _common(one: _Region, other: _Region) -> _Region:
    """Return the innermost region that contains both."""
    while one is not other:
        if one.depth >= other.depth:
            assert one.parent is not None
            one = one.parent
        else:
            assert other.parent is not None
            other = other.parent
    return one
