"""ATen operations on double-floats, in one table. To add an operation, add it to the table.

An operation without a rule runs in float32 on rounded operands.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from accelsched._recording.double_float import arithmetic, functions
from accelsched._recording.double_float.arithmetic import (
    DoubleFloat,
    add,
    constant,
    divide,
    multiply,
    subtract,
    where,
)

Rule = Callable[..., Any]
aten = torch.ops.aten


def apply(operation: Any, args: Sequence[Any], kwargs: dict[str, Any], is_real: bool) -> Any:
    """Apply an operation to tensors, Python numbers and double-floats.

    Args:
        operation: the ATen operation.
        args: its arguments, with a double-float for each float64 tensor that depends on the step.
        kwargs: its keyword arguments, with double-floats likewise.
        is_real: whether its recorded result was float64.
    """
    # Overloads differ only in which arguments may be numbers, and rules take either.
    packet = getattr(operation, "overloadpacket", None)
    if is_real or _has_double_float(args):
        if packet in SHAPES:
            return _by_part(operation, *args, **kwargs)
        if packet in TABLE:
            return TABLE[packet](*args, **kwargs)
    args, kwargs = tree_map(_rounded, (args, kwargs), is_leaf=_is_double_float)
    result = operation(*args, **kwargs)
    return DoubleFloat(result, 0.0) if is_real else result


def pair(operand: Any) -> DoubleFloat:
    """Convert any operand to a double-float; integers are exact up to 2**48."""
    if isinstance(operand, DoubleFloat):
        return operand
    if not isinstance(operand, Tensor):
        return constant(float(operand))
    if operand.dtype == torch.float64:
        return arithmetic.constants(operand)
    if operand.is_floating_point() or operand.dtype == torch.bool:
        return DoubleFloat(operand.to(torch.float32), 0.0)
    return arithmetic.whole(operand)


def _is_double_float(argument: Any) -> bool:
    return isinstance(argument, DoubleFloat)


def _has_double_float(args: Sequence[Any]) -> bool:
    return any(map(_is_double_float, tree_leaves(args, is_leaf=_is_double_float)))


def _rounded(argument: Any) -> Any:
    if isinstance(argument, DoubleFloat):
        return argument.high
    if argument is torch.float64:
        return torch.float32
    is_constant = isinstance(argument, Tensor) and argument.dtype == torch.float64
    return argument.to(torch.float32) if is_constant else argument


# Arithmetic.


def _of(function: Callable[..., DoubleFloat]) -> Rule:
    return lambda *operands: function(*map(pair, operands))


def _add(x: Any, y: Any, alpha: float = 1) -> DoubleFloat:
    return add(pair(x), _times(y, alpha))


def _subtract(x: Any, y: Any, alpha: float = 1) -> DoubleFloat:
    return subtract(pair(x), _times(y, alpha))


def _times(x: Any, number: float) -> DoubleFloat:
    return pair(x) if number == 1 else multiply(pair(x), constant(float(number)))


def _divide(x: Any, y: Any, rounding_mode: str | None = None) -> DoubleFloat:
    quotient = divide(pair(x), pair(y))
    if rounding_mode is None:
        return quotient
    return arithmetic.floor(quotient) if rounding_mode == "floor" else _trunc(quotient)


def _remainder(x: Any, y: Any) -> DoubleFloat:
    multiple = multiply(_divide(x, y, "floor"), pair(y))
    return subtract(pair(x), multiple)


def _trunc(x: DoubleFloat) -> DoubleFloat:
    size = arithmetic.floor(_absolute(x))
    return where(x.high < 0, arithmetic.negative(size), size)


def _ceil(x: DoubleFloat) -> DoubleFloat:
    return arithmetic.negative(arithmetic.floor(arithmetic.negative(x)))


def _absolute(x: DoubleFloat) -> DoubleFloat:
    return where(x.high < 0, arithmetic.negative(x), x)


def _maximum(x: Any, y: Any) -> DoubleFloat:
    x, y = pair(x), pair(y)
    return where(arithmetic.difference(x, y) >= 0, x, y)


def _minimum(x: Any, y: Any) -> DoubleFloat:
    x, y = pair(x), pair(y)
    return where(arithmetic.difference(x, y) <= 0, x, y)


def _clamp(x: Any, min: Any = None, max: Any = None) -> DoubleFloat:
    x = x if min is None else _maximum(x, min)
    return pair(x) if max is None else _minimum(x, max)


def _compare(comparison: Callable[[Any, float], Tensor]) -> Rule:
    return lambda x, y: comparison(arithmetic.difference(pair(x), pair(y)), 0)


# Functions.


def _power(base: Any, exponent: Any) -> DoubleFloat:
    if isinstance(exponent, DoubleFloat):
        return _exponential(base, exponent)
    if not isinstance(exponent, Tensor):
        if abs(exponent) == 0.5:
            root = arithmetic.square_root(pair(base))
            return root if exponent > 0 else divide(constant(1.0), root)
        if exponent == int(exponent) and abs(exponent) <= _MOST_FACTORS:
            return functions.whole_power(pair(base), int(exponent))
    return functions.power(pair(base), pair(exponent))


# The error of a power grows with its logarithm, and that of a product with the number of factors.
_MOST_FACTORS = 64


def _exponential(base: Any, exponent: DoubleFloat) -> DoubleFloat:
    """Return ``base ** exponent``; the logarithm of a constant base is taken in float64."""
    if isinstance(base, DoubleFloat):
        return functions.power(base, exponent)
    numbers = torch.as_tensor(base, dtype=torch.float64, device="cpu")
    if bool((numbers < 0).any()):
        return DoubleFloat(torch.pow(_rounded(base), exponent.high), 0.0)
    logarithm = torch.where(numbers == 0, functions.LOG_OF_ZERO, numbers.log())
    return functions.exp(multiply(pair(logarithm), exponent))


def _scaled(
    function: Callable[[DoubleFloat], DoubleFloat], factor: float
) -> Callable[[DoubleFloat], DoubleFloat]:
    return lambda x: multiply(function(x), constant(factor))


def _exp2(x: DoubleFloat) -> DoubleFloat:
    return functions.exp(multiply(x, constant(math.log(2))))


def _inverse(x: DoubleFloat) -> DoubleFloat:
    return divide(constant(1.0), x)


def _tan(x: DoubleFloat) -> DoubleFloat:
    return divide(functions.sin(x), functions.cos(x))


def _lerp(start: DoubleFloat, end: DoubleFloat, weight: DoubleFloat) -> DoubleFloat:
    return add(start, multiply(weight, subtract(end, start)))


def _addcmul(x: Any, y: Any, z: Any, value: float = 1) -> DoubleFloat:
    return add(pair(x), _times(multiply(pair(y), pair(z)), value))


def _addcdiv(x: Any, y: Any, z: Any, value: float = 1) -> DoubleFloat:
    return add(pair(x), _times(divide(pair(y), pair(z)), value))


# New tensors, dtypes and shapes.


def _to_copy(x: Any, dtype: torch.dtype | None = None, **_: Any) -> Any:
    if not isinstance(x, DoubleFloat) or dtype is None or dtype == torch.float64:
        return pair(x)
    if dtype.is_floating_point:
        return x.high.to(dtype)
    if dtype == torch.bool:
        return x.high != 0
    whole = _trunc(x)
    return whole.high.to(dtype) + whole.low.to(dtype)


def _filled(number: float) -> Rule:
    return lambda like, **_: _full_like(like, number)


def _full_like(like: Any, number: float, **_: Any) -> DoubleFloat:
    zeros = torch.zeros_like(_rounded(like), dtype=torch.float32)
    filled = constant(float(number))
    return DoubleFloat(zeros + filled.high, filled.low)


def _select(condition: Tensor, x: Any, y: Any) -> DoubleFloat:
    return where(condition, pair(x), pair(y))


def _by_part(operation: Any, x: Any, *args: Any, **kwargs: Any) -> DoubleFloat:
    """Apply an operation that only moves elements to both parts of a double-float."""
    high, low = pair(x)
    return DoubleFloat(
        operation(high, *args, **kwargs),
        operation(low, *args, **kwargs) if isinstance(low, Tensor) else low,
    )


def _join(operation: Any, operands: Sequence[Any], dim: int = 0) -> DoubleFloat:
    pairs = [pair(operand) for operand in operands]
    lows = [p.low if isinstance(p.low, Tensor) else torch.zeros_like(p.high) for p in pairs]
    return DoubleFloat(operation([p.high for p in pairs], dim), operation(lows, dim))


def _reduce(combine: Callable[[DoubleFloat, DoubleFloat], DoubleFloat]) -> Rule:
    """Make a rule that combines all numbers along some dimensions, by halves."""

    def rule(
        x: Any, dims: int | Sequence[int] | None = None, keepdim: bool = False, **_: Any
    ) -> DoubleFloat:
        reduced = pair(x)
        rank = reduced.high.dim()
        given = range(rank) if dims is None else [dims] if isinstance(dims, int) else dims
        along = sorted({d % rank for d in given or range(rank)}, reverse=True)
        for dim in along:
            reduced = _halved(combine, reduced, dim)
            reduced = reduced if keepdim else _by_part(aten.squeeze.dim, reduced, dim)
        return reduced

    return rule


def _halved(
    combine: Callable[[DoubleFloat, DoubleFloat], DoubleFloat], x: DoubleFloat, dim: int
) -> DoubleFloat:
    while (count := x.high.shape[dim]) > 1:
        half = count // 2
        first, second = (_by_part(aten.narrow, x, dim, at, half) for at in (0, half))
        both = combine(first, second)
        rest = _by_part(aten.narrow, x, dim, 2 * half, count % 2)
        x = _join(aten.cat.default, [both, rest], dim) if count % 2 else both
    return x


#: Operations that only move numbers: they are applied to both parts.
SHAPES = {
    aten.view, aten._unsafe_view, aten.unsqueeze, aten.squeeze, aten.expand, aten.permute,
    aten.transpose, aten.t, aten.select, aten.slice, aten.index, aten.index_select, aten.gather,
    aten.flip, aten.roll, aten.repeat, aten.clone, aten.detach, aten.alias,
}  # fmt: skip

TABLE: dict[Any, Rule] = {
    aten.add: _add,
    aten.sub: _subtract,
    aten.rsub: lambda x, y, alpha=1: _subtract(y, x, alpha),
    aten.mul: _of(multiply),
    aten.div: _divide,
    aten.floor_divide: lambda x, y: _divide(x, y, "floor"),
    aten.remainder: _remainder,
    aten.neg: _of(arithmetic.negative),
    aten.abs: _of(_absolute),
    aten.reciprocal: _of(_inverse),
    aten.floor: _of(arithmetic.floor),
    aten.ceil: _of(_ceil),
    aten.trunc: _of(_trunc),
    aten.maximum: _maximum,
    aten.minimum: _minimum,
    aten.clamp: _clamp,
    aten.clamp_min: _maximum,
    aten.clamp_max: _minimum,
    aten.lerp: _of(_lerp),
    aten.addcmul: _addcmul,
    aten.addcdiv: _addcdiv,
    aten.ge: _compare(torch.ge),
    aten.gt: _compare(torch.gt),
    aten.le: _compare(torch.le),
    aten.lt: _compare(torch.lt),
    aten.eq: _compare(torch.eq),
    aten.ne: _compare(torch.ne),
    aten.pow: _power,
    aten.sqrt: _of(arithmetic.square_root),
    aten.rsqrt: lambda x: _power(x, -0.5),
    aten.exp: _of(functions.exp),
    aten.exp2: _of(_exp2),
    aten.expm1: _of(functions.expm1),
    aten.log: _of(functions.log),
    aten.log2: _of(_scaled(functions.log, 1 / math.log(2))),
    aten.log10: _of(_scaled(functions.log, 1 / math.log(10))),
    aten.log1p: _of(functions.log1p),
    aten.sin: _of(functions.sin),
    aten.cos: _of(functions.cos),
    aten.tan: _of(_tan),
    aten.tanh: _of(functions.tanh),
    aten.sigmoid: _of(functions.sigmoid),
    aten._to_copy: _to_copy,
    aten.zeros_like: _filled(0.0),
    aten.ones_like: _filled(1.0),
    aten.full_like: _full_like,
    aten.where: _select,
    aten.sum: _reduce(add),
    aten.prod: _reduce(multiply),
    aten.amin: _reduce(_minimum),
    aten.amax: _reduce(_maximum),
    aten.stack: functools.partial(_join, aten.stack.default),
    aten.cat: functools.partial(_join, aten.cat.default),
}
