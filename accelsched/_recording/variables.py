"""The variables that users' functions read, and that may have another value at the next step."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

#: Reads a variable.
Read = Callable[[], Any]

# The contents of these modules never change.
_LIBRARIES = {"accelsched", "numpy", "torch"}
_CONSTANT_MODULES = sys.stdlib_module_names | _LIBRARIES
_NUMBERS = (int, float, complex, str, bytes, type(None))
_MISSING = object()


def variables_of(functions: Iterable[Any]) -> list[Read] | None:
    """Return one reader for each variable that some functions read.

    These are variables of enclosing functions and of the module, read by a function itself or by
    the functions that it calls. Readers return objects: another number is another object.

    Args:
        functions: Python functions, partials, or other callables.

    Returns:
        Functions without arguments. None if anything else may change: an attribute, an item of a
        list or a dictionary, a tensor.
    """
    reads: list[Read] = []
    seen: set[int] = set()

    def fixed(value: Any) -> bool:
        """Return whether no part of a value may change, apart from the variables that are read."""
        if isinstance(value, _NUMBERS) or id(value) in seen or _is_constant(value):
            return True
        if isinstance(value, tuple):
            return all(map(fixed, value))
        if isinstance(value, functools.partial):
            return all(map(fixed, (value.func, *value.args, *value.keywords.values())))
        if not isinstance(value, types.FunctionType):
            return False
        seen.add(id(value))
        new = list(_variables(value))
        reads.extend(new)
        defaults = (value.__defaults__ or (), *(value.__kwdefaults__ or {}).values())
        return all(map(fixed, (*defaults, *(read() for read in new))))

    return reads if all(map(fixed, functions)) else None


def _is_constant(value: Any) -> bool:
    """Return whether this is a module that does not change, or an object from one."""
    if value is _MISSING:
        return True
    if isinstance(value, types.ModuleType):
        return _root(value.__name__) in _CONSTANT_MODULES
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__  # for a method: its object, which may change
        return owner is None or isinstance(owner, types.ModuleType)
    if isinstance(value, (type, types.FunctionType)):
        return _root(value.__module__) in _CONSTANT_MODULES
    # An operation of a library, or a schedule.
    return callable(value) and _root(type(value).__module__) in _LIBRARIES


def _root(module: str | None) -> str:
    return str(module).partition(".")[0]


def _variables(function: types.FunctionType) -> Iterator[Read]:
    """Yield a reader for each variable that a function takes from outside."""
    for cell in function.__closure__ or ():
        yield functools.partial(_content, cell)
    variables = function.__globals__
    for name in _names(function.__code__):
        if name in variables:
            yield functools.partial(variables.get, name, _MISSING)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return _MISSING


def _names(code: types.CodeType) -> set[str]:
    """Return the names of global variables in a function, and in the functions defined in it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
