"""ATen operations that can be compiled, in one table. To add an operation, add it to the table.

An elementwise operation is a template. ``shapes.py`` has those that move or combine elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from accelsched.kernels import shapes
from accelsched.kernels.lowering import Call, Lowering, Rule, View
from accelsched.kernels.scalars import Scalar


def _common_dtype(call: Call) -> torch.dtype:
    """Return the dtype in which an operation compares its operands."""
    values = [arg.meta["value"] if isinstance(arg, Node) else arg for arg in call.args[:2]]
    dtype: torch.dtype = torch.result_type(*values)
    return torch.uint8 if dtype == torch.bool else dtype


def _applied(
    lowering: Lowering, call: Call, text: str, args: Sequence[Any], dtype: torch.dtype
) -> View:
    """Apply a template to arguments in one dtype, and cast to the dtype of the call's result."""
    views = [lowering.operand(arg, dtype) for arg in args]
    return lowering.elementwise(
        call, lambda *scalars: lowering.program.value(text, call.dtype, *scalars), views
    )


def _template(whole: str, real: str | None = None, *, operands: int | None = None) -> Rule:
    """Make the rule of a template in the dtype of the result; ``real`` replaces it for floats."""

    def rule(lowering: Lowering, call: Call) -> View:
        text = real if real is not None and call.dtype.is_floating_point else whole
        return _applied(lowering, call, text, call.args[:operands], call.dtype)

    return rule


def _comparison(sign: str) -> Rule:
    """Make the rule of a comparison."""

    def rule(lowering: Lowering, call: Call) -> View:
        return _applied(lowering, call, f"{{0}} {sign} {{1}}", call.args, _common_dtype(call))

    return rule


def _predicate(text: str) -> Rule:
    """Make the rule of a test of one number, in its own dtype; integers become floats."""

    def rule(lowering: Lowering, call: Call) -> View:
        dtype = lowering.view(call.args[0]).dtype
        dtype = dtype if dtype.is_floating_point else torch.float64
        return _applied(lowering, call, text, call.args, dtype)

    return rule


def _logical(text: str) -> Rule:
    """Make the rule of a logical operation."""

    def rule(lowering: Lowering, call: Call) -> View:
        return _applied(lowering, call, text, call.args, torch.bool)

    return rule


def _division(whole: str, real: str) -> Rule:
    """Make the rule of a division; an integer one is guarded if a step may divide by zero."""

    def rule(lowering: Lowering, call: Call) -> View:
        dtype, program = call.dtype, lowering.program
        views = [lowering.operand(arg, dtype) for arg in call.args[:2]]
        by_zero = "if {1} == 0:\n    status |= 1\n    {out} = {dtype}(0)\nelse:\n"
        guarded = f"{by_zero}    {{out}} = {{dtype}}({whole})"

        def combine(dividend: Scalar, divisor: Scalar) -> Scalar:
            if dtype.is_floating_point:
                return program.value(real, dtype, dividend, divisor)
            if program.row in divisor.loops:
                return program.lines(guarded, dtype, dividend, divisor)
            return program.value(whole, dtype, dividend, divisor)

        return lowering.elementwise(call, combine, views)

    return rule


_floor_divide = _division("{0} // {1}", "floor_divide({0}, {1})")
_trunc_divide = _division("trunc_divide({0}, {1})", "np.trunc({0} / {1})")


def _divide_by_mode(lowering: Lowering, call: Call) -> View | list[View]:
    """Divide, and round as ``rounding_mode`` requires."""
    modes = {"floor": _floor_divide, "trunc": _trunc_divide, None: TABLE["aten.div.Tensor"]}
    return modes[call.kwargs["rounding_mode"]](lowering, call)


def _with_alpha(plain: str, scaled: str) -> Rule:
    """Make the rule of an addition; ``alpha``, if given, multiplies the second operand."""

    def rule(lowering: Lowering, call: Call) -> View:
        alpha = call.kwargs.get("alpha", call.args[2] if len(call.args) > 2 else 1)
        if alpha == 1:
            return _applied(lowering, call, plain, call.args[:2], call.dtype)
        return _applied(lowering, call, scaled, [*call.args[:2], alpha], call.dtype)

    return rule


def _product_added(sign: str) -> Rule:
    """Make the rule of ``a + value * b * c``, or ``/ c``."""

    def rule(lowering: Lowering, call: Call) -> View:
        args = [*call.args[:3], call.kwargs.get("value", 1)]
        return _applied(lowering, call, f"{{0}} + {{3}} * {{1}} {sign} {{2}}", args, call.dtype)

    return rule


#: Powers for which PyTorch does not call ``pow``, by the exponent.
_POWERS = {
    1: "{0}",
    2: "{0} * {0}",
    3: "{0} * {0} * {0}",
    0.5: "math.sqrt({0})",
    -0.5: "1 / math.sqrt({0})",
    -1: "1 / {0}",
    -2: "1 / ({0} * {0})",
}
_power = _template("integer_power({0}, {1})", "math.pow({0}, {1})")


def _power_of_number(lowering: Lowering, call: Call) -> View | list[View]:
    """Raise to a number; simple exponents are computed as in PyTorch."""
    text = _POWERS.get(call.args[1])
    return (_template(text, operands=1) if text else _power)(lowering, call)


_MINIMUM = "select(({0} < {1}) | ({0} != {0}), {0}, {1})"
_MAXIMUM = "select(({0} > {1}) | ({0} != {0}), {0}, {1})"


def _clamp(lowering: Lowering, call: Call) -> View:
    dtype, program = call.dtype, lowering.program
    low, high = ([*call.args[1:], None, None])[:2]
    low, high = call.kwargs.get("min", low), call.kwargs.get("max", high)
    bounds = [(_MAXIMUM, low), (_MINIMUM, high)]
    texts = [text for text, bound in bounds if bound is not None]
    given = [call.args[0], *(bound for _, bound in bounds if bound is not None)]

    def combine(value: Scalar, *limits: Scalar) -> Scalar:
        for text, limit in zip(texts, limits, strict=True):
            value = program.value(text, dtype, value, limit)
        return value

    return lowering.elementwise(call, combine, [lowering.operand(arg, dtype) for arg in given])


def _where(lowering: Lowering, call: Call) -> View:
    dtype = call.dtype
    condition, yes, no = call.args
    views = [lowering.operand(condition, torch.bool)]
    views += [lowering.operand(arg, dtype) for arg in (yes, no)]
    return lowering.elementwise(call, lowering.program.choice, views)


def _bitwise_not(lowering: Lowering, call: Call) -> View | list[View]:
    truth = call.dtype == torch.bool
    return (_logical("not {0}") if truth else _template("~{0}"))(lowering, call)


def _sine(lowering: Lowering, call: Call) -> View | list[View]:
    """Compute a sine by :func:`near_sine`; the row loop repeats rows with an argument beyond it."""
    if call.dtype != torch.float64:
        return _template("math.sin({0})")(lowering, call)
    text = "far |= abs({0}) > NEAR\n{out} = {dtype}(near_sine({0}))"
    return lowering.elementwise(
        call,
        lambda scalar: lowering.program.lines(text, call.dtype, scalar),
        [lowering.operand(call.args[0], call.dtype)],
    )


def _copy(lowering: Lowering, call: Call) -> View:
    """Copy, or cast, to the dtype of the result."""
    return lowering.operand(call.args[0], call.dtype)


def _filled(number: int | None) -> Rule:
    """Make the rule of a tensor that is filled with ``number``, or with the second argument."""

    def rule(lowering: Lowering, call: Call) -> View:
        if number is None:
            scalar = lowering.operand(call.args[1], call.dtype).at(())
        else:
            scalar = lowering.program.value(f"{number}", call.dtype)
        return call.view(lambda _: scalar)

    return rule


def _named(names: str, rule: Rule) -> dict[str, Rule]:
    """Give one rule to several operations or overloads: ``"add.Tensor sub.Tensor"``."""
    return {f"aten.{name}": rule for name in names.split()}


#: Functions of one float that ATen and ``math`` name alike.
_FUNCTIONS = (
    "cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp expm1 log log1p log2 log10 "
    "sqrt erf erfc lgamma"
)
_FLOAT_FUNCTIONS = {
    **{name: f"math.{name}({{0}})" for name in _FUNCTIONS.split()},
    "exp2": "math.pow({0} * 0 + 2, {0})",
    "rsqrt": "1 / math.sqrt({0})",
    "reciprocal": "1 / {0}",
    "sigmoid": "1 / (1 + math.exp(-{0}))",
}
_ROUNDINGS = {
    "floor": "np.floor({0})",
    "ceil": "np.ceil({0})",
    "trunc": "np.trunc({0})",
    "round": "np.rint({0})",
}
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

TABLE: dict[str, Rule] = {
    # On each element, in the dtype of the result.
    **_named("add.Tensor", _with_alpha("{0} + {1}", "{0} + {2} * {1}")),
    **_named("sub.Tensor", _with_alpha("{0} - {1}", "{0} - {2} * {1}")),
    **_named("rsub.Tensor rsub.Scalar", _with_alpha("{1} - {0}", "{1} - {2} * {0}")),
    **_named("mul.Tensor", _template("{0} * {1}")),
    **_named("div.Tensor", _template("{0} / {1}")),
    **_named("div.Tensor_mode", _divide_by_mode),
    **_named("floor_divide.default", _floor_divide),
    **_named(
        "remainder.Tensor remainder.Scalar remainder.Scalar_Tensor",
        _division("{0} % {1}", "remainder({0}, {1})"),
    ),
    **_named(
        "fmod.Tensor fmod.Scalar",
        _division("{0} - trunc_divide({0}, {1}) * {1}", "np.fmod({0}, {1})"),
    ),
    **_named("pow.Tensor_Scalar", _power_of_number),
    **_named("pow.Tensor_Tensor pow.Scalar", _power),
    **_named("neg.default", _template("-{0}")),
    **_named("abs.default", _template("abs({0})")),
    **_named("sign.default sgn.default", _template("1 if {0} > 0 else (-1 if {0} < 0 else 0)")),
    **_named("minimum.default clamp_max.default clamp_max.Tensor", _template(_MINIMUM)),
    **_named("maximum.default clamp_min.default clamp_min.Tensor", _template(_MAXIMUM)),
    **_named("clamp.default clamp.Tensor", _clamp),
    **_named("addcmul.default", _product_added("*")),
    **_named("addcdiv.default", _product_added("/")),
    **_named(
        "lerp.Scalar lerp.Tensor",
        _template("{0} + {2} * ({1} - {0}) if abs({2}) < 0.5 else {1} - ({1} - {0}) * (1 - {2})"),
    ),
    **_named("atan2.default", _template("math.atan2({0}, {1})")),
    **{f"aten.{name}.default": _template(text) for name, text in _FLOAT_FUNCTIONS.items()},
    **{f"aten.{name}.default": _template("{0}", text) for name, text in _ROUNDINGS.items()},
    **_named("sin.default", _sine),
    **_named("frac.default", _template("{0} - np.trunc({0})")),
    **_named("bitwise_and.Tensor bitwise_and.Scalar", _template("{0} & {1}")),
    **_named("bitwise_or.Tensor bitwise_or.Scalar", _template("{0} | {1}")),
    **_named("bitwise_xor.Tensor bitwise_xor.Scalar", _template("{0} ^ {1}")),
    **_named("bitwise_not.default", _bitwise_not),
    **_named("zeros_like.default", _filled(0)),
    **_named("ones_like.default", _filled(1)),
    **_named("full_like.default", _filled(None)),
    **_named("_to_copy.default clone.default detach.default", _copy),
    # Truths.
    **{
        f"aten.{name}.{overload}": _comparison(sign)
        for name, sign in _COMPARISONS.items()
        for overload in ("Tensor", "Scalar")
    },
    **_named("isnan.default", _predicate("{0} != {0}")),
    **_named("isinf.default", _predicate("math.isinf({0})")),
    **_named("logical_and.default", _logical("{0} and {1}")),
    **_named("logical_or.default", _logical("{0} or {1}")),
    **_named("logical_xor.default", _logical("{0} != {1}")),
    **_named("logical_not.default", _logical("not {0}")),
    **_named("where.self", _where),
    # Elements elsewhere.
    **_named("view.default squeeze.default squeeze.dim squeeze.dims", shapes.reshape),
    **_named("unsqueeze.default", shapes.reshape),
    **_named("expand.default", shapes.expand),
    **_named("permute.default transpose.int t.default", shapes.permute),
    **_named("select.int", shapes.select),
    **_named("slice.Tensor", shapes.slice_),
    **_named("index_select.default", shapes.index_select),
    **_named("gather.default", shapes.gather),
    **_named("index.Tensor take.default", shapes.indexed),
    **_named("stack.default", shapes.stack),
    **_named("unbind.int", shapes.unbind),
    # Elements together.
    **_named("sum.default sum.dim_IntList", shapes.reduction("{0} + {1}", "0")),
    **_named("mean.default mean.dim", shapes.reduction("{0} + {1}", "0", mean=True)),
    **_named("prod.default prod.dim_int", shapes.reduction("{0} * {1}", "1")),
    **_named("amax.default max.default", shapes.reduction(_MAXIMUM, None)),
    **_named("amin.default min.default", shapes.reduction(_MINIMUM, None)),
    **_named("any.default any.dim any.dims", shapes.reduction("{0} or {1}", "False", torch.bool)),
    **_named("all.default all.dim all.dims", shapes.reduction("{0} and {1}", "True", torch.bool)),
}
