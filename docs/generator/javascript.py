"""The formula of a docstring in JavaScript, so that a page evaluates what the docstring says.

A formula is written once, in the docstring of its class. The tests compare it with the values of
the class, in Python and in a browser.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence

#: What a formula calls, besides schedules; `_static/interactive.js` has the others.
_FUNCTIONS = {
    name: f"Math.{name}" for name in ("ceil", "cos", "floor", "log", "max", "min", "sqrt")
}
_FUNCTIONS |= {name: f"python.{name}" for name in ("around", "divmod", "prod", "sum")}
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_CALLED = {ast.FloorDiv: "python.quotient", ast.Mod: "python.remainder", ast.Pow: "Math.pow"}
_COMPARISONS = {
    ast.Eq: "===",
    ast.Is: "===",
    ast.Lt: "<",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.LtE: "<=",
}
_CONSTANTS = {"pi": "Math.PI"}
_RESERVED = {"function", "default", "new", "in", "var", "this"}


class Untranslated(Exception):
    """A formula has a construct that is new to this file: add its translation here."""


def function(formula: str, arguments: Sequence[str]) -> str:
    """Translate a formula to a JavaScript function of the step and of an object of arguments.

    Args:
        formula: lines of Python that set ``value``, from ``t`` and the arguments.
        arguments: their names.

    Raises:
        Untranslated: the formula has a construct that is not handled here.
    """
    body = ast.parse(formula).body
    assigned = set().union(*map(_assigned, ast.walk(ast.Module(body, [])))) - set(arguments)
    local = f"let {', '.join(sorted(map(_name, assigned)))}; " if assigned else ""
    given = ", ".join(map(_name, arguments))
    return f"(t, {{{given}}}) => {{ {local}{_block(body)} return value; }}"


def _assigned(node: ast.AST) -> set[str]:
    """Return the names that a statement assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}


def _name(name: str) -> str:
    return f"{name}_" if name in _RESERVED else name


def _block(statements: Sequence[ast.stmt]) -> str:
    return " ".join(map(_statement, statements))


def _statement(node: ast.stmt) -> str:
    match node:
        case ast.Assign(targets=[target], value=value):
            return f"{_pattern(target)} = {_expression(value)};"
        case ast.AugAssign(target=target, op=ast.Add(), value=value):
            return f"{_pattern(target)} = python.plus({_pattern(target)}, {_expression(value)});"
        case ast.If(test=test, body=body, orelse=orelse):
            rest = f" else {{ {_block(orelse)} }}" if orelse else ""
            return f"if ({_expression(test)}) {{ {_block(body)} }}{rest}"
        case ast.While(test=test, body=body, orelse=[]):
            return f"while ({_expression(test)}) {{ {_block(body)} }}"
    raise Untranslated(ast.unparse(node))


def _pattern(node: ast.expr) -> str:
    """Translate the target of an assignment."""
    if isinstance(node, ast.Tuple):
        return f"[{', '.join(map(_pattern, node.elts))}]"
    return _expression(node)


def _expression(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=value):
            return json.dumps(value)
        case ast.Name(id=name):
            return _CONSTANTS.get(name) or _name(name)
        case ast.BinOp(left=left, op=op, right=right):
            return _operation(op, _expression(left), _expression(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"(-{_expression(operand)})"
        case ast.BoolOp(op=ast.Or(), values=values):
            return f"({' || '.join(map(_expression, values))})"
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            return f"({_expression(left)} {_COMPARISONS[type(op)]} {_expression(right)})"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return f"({_expression(test)} ? {_expression(body)} : {_expression(orelse)})"
        case _:
            return _compound(node)


def _operation(op: ast.operator, left: str, right: str) -> str:
    if type(op) in _OPERATORS:
        return f"({left} {_OPERATORS[type(op)]} {right})"
    return f"{_CALLED[type(op)]}({left}, {right})"


def _compound(node: ast.AST) -> str:
    """Translate calls, collections, access to their items, and lambdas."""
    match node:
        case ast.Call(func=called, args=[ast.GeneratorExp() as each], keywords=[]):
            values = _expression(each)
            is_variadic = isinstance(called, ast.Name) and called.id in ("max", "min")
            return f"{_called(called)}({'...' * is_variadic}{values})"
        case ast.Call(func=called, args=args, keywords=[]):
            return f"{_called(called)}({', '.join(map(_expression, args))})"
        case ast.GeneratorExp(
            elt=element, generators=[ast.comprehension(target=target, iter=items, ifs=[])]
        ):
            return f"{_expression(items)}.map(({_pattern(target)}) => {_expression(element)})"
        case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=None, step=None)):
            return f"{_expression(value)}.slice({_expression(lower or ast.Constant(0))})"
        case ast.Subscript(value=value, slice=index):
            return f"{_expression(value)}[{_expression(index)}]"
        case ast.Attribute(value=value, attr=name):
            return f"{_expression(value)}.{name}"
        case ast.Starred(value=value):
            return f"...{_expression(value)}"
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return f"[{', '.join(map(_expression, elements))}]"
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            items = (f"{_expression(key)}: {_expression(value)}" for key, value in pairs if key)
            return f"({{{', '.join(items)}}})"
        case ast.Lambda(args=ast.arguments(args=names), body=body):
            return f"(({', '.join(_name(a.arg) for a in names)}) => {_expression(body)})"
    raise Untranslated(ast.unparse(node))


def _called(node: ast.expr) -> str:
    name = node.id if isinstance(node, ast.Name) else ""
    return _FUNCTIONS.get(name) or _expression(node)
