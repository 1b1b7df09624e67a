"""Schedules and schedulers as plain data: names and numbers, as JSON and YAML hold them.

A spec is a dict that maps the name of one class to its arguments: ``{"Linear": {"initial": 0.0,
"end": 0.1, "total_iters": 100}}``. The class is a schedule (of :mod:`accelsched.schedules`) or a
scheduler (of :mod:`accelsched.lr_scheduler` or :mod:`accelsched.weight_decay_scheduler`,
``Scheduler``, ``SchedulerList``, ``Multiply`` or ``Switch``). :mod:`.modelzoo` reads a list, or a
whole configuration of the Cerebras Model Zoo. No code in a spec or an expression is ever run.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import difflib
import functools
import inspect
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from accelsched import lr_scheduler, policy, schedules, weight_decay_scheduler
from accelsched._binding.metric import MetricScheduler
from accelsched._binding.scheduler import Scheduler
from accelsched._binding.scheduler_list import SchedulerList
from accelsched._interop import modelzoo, modelzoo_trainer
from accelsched._interop.bounds import require_bounded
from accelsched._interop.text_numbers import number
from accelsched.errors import ArgumentError, require, shown
from accelsched.schedules import Schedule
from accelsched.schedules._keywords import warn_of_positions

Item = Schedule | Scheduler | SchedulerList

_POLICIES: dict[str, Any] = {"Multiply": policy.Multiply, "Switch": policy.Switch}
_SCHEDULERS: dict[str, Any] = {
    **{name: getattr(lr_scheduler, name) for name in lr_scheduler.__all__},
    **{name: getattr(weight_decay_scheduler, name) for name in weight_decay_scheduler.__all__},
    **_POLICIES,
    "Scheduler": Scheduler,
    "SchedulerList": SchedulerList,
}
_SCHEDULES: dict[str, Any] = {
    name: item
    for name, item in vars(schedules).items()
    if name in schedules.__all__ and inspect.isclass(item) and item is not Schedule
}
_NAMED = {**_SCHEDULES, **_SCHEDULERS}


def to_spec(item: Item) -> Any:
    """Return a schedule or a scheduler as plain data, which :func:`from_spec` reads back.

    Args:
        item: a schedule, a scheduler (bound or not), or a :class:`SchedulerList`. The step of a
            scheduler is in its ``state_dict``, not in the spec.

    Returns:
        A dict that maps the name of a class to its arguments. JSON and YAML can hold it.

    Raises:
        ArgumentError: ``item`` contains a Python function, or a class that is not of accelsched.

    Example:
        >>> to_spec(schedules.Linear(initial=0.0, end=0.1, total_iters=100))
        {'Linear': {'initial': 0.0, 'end': 0.1, 'total_iters': 100, 'cycle': False}}
    """
    name = type(item).__name__
    named = _SCHEDULES if isinstance(item, Schedule) else _SCHEDULERS
    require(named.get(name) is type(item), "item", item, "use only classes of accelsched")
    if isinstance(item, Schedule):
        fields = [field.name for field in dataclasses.fields(item) if field.init]
        return {name: {field: _plain(field, getattr(item, field)) for field in fields}}
    # The step is in state_dict.
    names = [argument for argument in _parameters(named[name]) if argument != "last_epoch"]
    arguments = {argument: _argument(item, argument) for argument in names}
    return {name: {argument: _plain(argument, value) for argument, value in arguments.items()}}


def _argument(scheduler: Any, name: str) -> Any:
    """Return the argument that a scheduler was built with."""
    if isinstance(scheduler, MetricScheduler) and name != "param_group_tags":
        return scheduler.argument(name)
    if name == "schedule":
        alike = len(set(scheduler.schedules)) == 1
        return scheduler.schedules[0] if alike else scheduler.schedules
    if name == "scheduler":
        return scheduler.schedulers[0]
    if name == "param_group_tags":  # as given: a part reports the tags of the whole
        return scheduler._param_group_tags
    return getattr(scheduler, name)


def _plain(name: str, value: Any) -> Any:
    """Write an argument as plain data; refuse a function."""
    if isinstance(value, (Schedule, Scheduler)):
        return to_spec(value)
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)
    if isinstance(value, Mapping):
        return {str(key): _plain(name, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(name, item) for item in value]
    require(not callable(value), name, value, "a Python function is no data: use a schedule class")
    return str(value) if isinstance(value, str) else value


def from_spec(spec: Any, optimizer: Optimizer | None = None) -> Item:
    """Build the schedule or the scheduler that a spec describes.

    Args:
        spec: a dict that maps the name of a class to its arguments; an expression such as
            ``"Linear(0, 0.1, 100).then(Step(0.1, 30, 0.5), at=100)"``, which may have ``then``,
            ``shifted``, ``minimum``, ``maximum`` and arithmetic; or a list of schedulers or a whole
            configuration, both as :func:`accelsched.modelzoo.schedulers` reads them.
        optimizer: the optimizer to bind schedulers to. Default None: bind them later.

    Raises:
        ArgumentError: a name or an argument does not exist (the message gives the nearest one), or
            a class refuses a value.

    Example:
        >>> schedule = from_spec({"Linear": {"initial": 0.0, "end": 0.1, "total_iters": 100}})
        >>> schedule(50)
        0.05
        >>> from_spec("Linear(0, 0.1, 100).then(Constant(0.1), at=100)")(200)
        0.1
    """
    if modelzoo.is_config(spec):
        several = schedulers_of(spec, optimizer)
        return several[0] if len(several) == 1 else several
    with _refused_as("spec", spec):
        made = _unbound(spec)
        return made if optimizer is None or isinstance(made, Schedule) else made(optimizer)


def schedulers_of(config: Any, optimizer: Optimizer | None) -> SchedulerList:
    """Build what the Model Zoo's trainer would; see :func:`accelsched.modelzoo.schedulers`."""
    with _refused_as("config", config):
        require_bounded(config)
        made = SchedulerList([_made(item) for item in modelzoo.as_specs(config)])  # type: ignore[misc]
        modelzoo_trainer.require_apart(made.schedulers, optimizer)
        if optimizer is None:
            return made
        return SchedulerList([*modelzoo_trainer.scaled(made.schedulers, optimizer)])(optimizer)


def _unbound(spec: Any) -> Item:
    if isinstance(spec, str):
        return _expression(spec)
    require_bounded(spec)
    return _made(spec)


@contextlib.contextmanager
def _refused_as(argument: str, value: Any) -> Iterator[None]:
    """Turn errors that a class raises for unexpected values into an :class:`ArgumentError`."""
    try:
        yield
    except ArgumentError:
        raise
    except RecursionError:
        raise ArgumentError(argument, value, "nested too deeply: flatten it") from None
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        remedy = f"give other arguments, {type(error).__name__}: {error}"
        raise ArgumentError(argument, value, remedy) from error


def _made(spec: Any) -> Item:
    """Build what a dict describes."""
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise ArgumentError("spec", spec, "give a dict with one name, and its arguments under it")
    ((name, arguments),) = spec.items()
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping):
        raise ArgumentError(text_of(name), arguments, "give a dict of its arguments")
    convert = _by_step if name in _POLICIES else _value
    return _built(name, {argument: convert(value) for argument, value in arguments.items()})


def _value(value: Any) -> Any:
    """Return an argument, built if it is a spec itself."""
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, Mapping) and len(value) == 1 and text_of(next(iter(value))).isidentifier():
        return _made(value)
    return number(value)


def _built(name: Any, arguments: Mapping[Any, Any]) -> Item:
    """Build a class by name from its arguments; name what is wrong or missing."""
    cls = _named(name, arguments)
    parameters = _parameters(cls)
    for argument in arguments:
        if argument not in parameters:
            raise ArgumentError(name, argument, _remedy("argument", argument, parameters))
    missing = [p for p, needed in parameters.items() if needed and p not in arguments]
    if missing:
        raise ArgumentError(name, dict(arguments), f"give it {', '.join(missing)}")
    unbound = {"optimizer": None} if _takes_optimizer(cls) else {}
    with _refused_as(name, dict(arguments)):
        made: Item = cls(**unbound, **arguments)
    return made


def _named(name: Any, arguments: Mapping[Any, Any]) -> Any:
    """Return the class of a name; the arguments decide where both kinds have that name."""
    if name not in _NAMED:
        raise ArgumentError("spec", name, _remedy("name", name, _NAMED))
    # CosineAnnealingWarmRestarts is a schedule and a scheduler.
    return _SCHEDULES[name] if name in _SCHEDULES and "initial" in arguments else _NAMED[name]


@functools.cache
def _parameters(cls: Any) -> dict[str, bool]:
    """Map the arguments of a class to whether each is required."""
    parameters = inspect.signature(cls).parameters.values()
    needed = {p.name: p.default is inspect.Parameter.empty for p in parameters}
    needed.pop("optimizer", None)
    return needed


@functools.cache
def _takes_optimizer(cls: Any) -> bool:
    return "optimizer" in inspect.signature(cls).parameters


def _remedy(kind: str, wrong: Any, known: Mapping[str, Any]) -> str:
    """Suggest the nearest name."""
    nearest = difflib.get_close_matches(text_of(wrong), known, n=1, cutoff=0.0)
    return f"there is no such {kind}; the nearest is {', '.join(map(repr, nearest))}"


def text_of(name: Any) -> str:
    """Return what should be a name as text of limited length."""
    return name[:100] if isinstance(name, str) else shown(name)


def _by_step(mapping: Any) -> Any:
    """Convert the mapping of a policy, whose keys are text in JSON."""
    if isinstance(mapping, list):
        return [_by_step(item) for item in mapping]
    if not isinstance(mapping, Mapping):
        return number(mapping)
    return {int(k) if str(k).isdecimal() else k: number(v) for k, v in mapping.items()}


# Expressions: a small part of Python, parsed and never run.


def _expression(text: str) -> Item:
    """Build what the text of an expression describes."""
    made = _evaluated(_parsed(text.strip()), text.strip())
    if not isinstance(made, Item):
        raise ArgumentError("spec", text, "give a schedule, such as Linear(0, 0.1, 100)")
    return made


def _parsed(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            # Syntax warnings are for programs.
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except (SyntaxError, UnicodeError) as error:
        why = getattr(error, "msg", None) or str(error)
        raise ArgumentError("spec", text, f"it cannot be read: {why}") from None
    except (RecursionError, MemoryError):
        # The parser raises MemoryError when its own stack is full.
        raise ArgumentError("spec", text, "nested too deeply: flatten it") from None


def _evaluated(node: ast.expr, text: str) -> Any:
    """Evaluate a node of an expression; raise for anything but schedules and arithmetic."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_evaluated(item, text) for item in items]
        case ast.Dict(keys=keys, values=values) if all(isinstance(k, ast.Constant) for k in keys):
            pairs = zip(keys, values, strict=True)
            return {k.value: _evaluated(v, text) for k, v in pairs}  # type: ignore[union-attr]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _operated(operator.neg, [_evaluated(operand, text)], node, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            operands = [_evaluated(left, text), _evaluated(right, text)]
            return _operated(_OPERATORS[type(op)], operands, node, text)
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _COMBINED:
            operands = [_evaluated(item, text) for item in given]
            return _operated(_COMBINED[name], operands, node, text)
        case ast.Call(func=ast.Name(id=name), args=given, keywords=keywords):
            return _called(name, [_evaluated(item, text) for item in given], keywords, text)
        case ast.Call(func=ast.Attribute(value=before, attr="then" | "shifted" as method)):
            schedule = _evaluated(before, text)
            if isinstance(schedule, Schedule):
                return _method_called(getattr(schedule, method), node, text)
    raise _not_in_expressions(node, text)


def _method_called(method: Callable[..., Schedule], call: ast.Call, text: str) -> Schedule:
    items = [_evaluated(item, text) for item in call.args]
    named = {str(keyword.arg): _evaluated(keyword.value, text) for keyword in call.keywords}
    with _refused_as(method.__name__, [*items, *named.values()]):
        return method(*items, **named)


def _operated(
    operation: Callable[..., Any], operands: Sequence[Any], node: ast.expr, text: str
) -> Any:
    if all(isinstance(operand, _OPERANDS) for operand in operands):
        with contextlib.suppress(TypeError, ArithmeticError):
            return operation(*operands)
    raise _not_in_expressions(node, text)


def _not_in_expressions(node: ast.expr, text: str) -> ArgumentError:
    part = ast.get_source_segment(text, node)
    return ArgumentError("spec", part, "write schedules, numbers, + - * / and .then()")


def _called(name: str, given: list[Any], keywords: list[ast.keyword], text: str) -> Item:
    """Build what a call in an expression describes."""
    # Before the arguments are known, a name that both kinds have means the schedule.
    names = list(_parameters(_named(name, {"initial": None})))
    require(len(given) <= len(names), name, given, f"give at most {len(names)} arguments")
    arguments = dict(zip(names, given, strict=False))
    for keyword in keywords:
        once = keyword.arg is not None and keyword.arg not in arguments
        require(once, name, keyword.arg, "give each argument once, by its name")
        arguments[str(keyword.arg)] = _evaluated(keyword.value, text)
    made = _built(name, arguments)
    warn_of_positions(type(made), given, arguments, stacklevel=2)
    return made


_OPERANDS = (int, float, Schedule)
_COMBINED = {"minimum": schedules.minimum, "maximum": schedules.maximum}
_OPERATORS: dict[Any, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def is_spec(content: Mapping[Any, Any]) -> bool:
    """Return whether a dict with one key is a spec; if not, the key is a label."""
    (name,) = content
    return name in _SCHEDULES or name in _SCHEDULERS


def pure(item: Scheduler) -> Schedule:
    """Return the first param group's schedule; for a policy, as if nobody changed its values."""
    if isinstance(item, (policy.Multiply, policy.Switch)):
        return item.undisturbed()
    require(bool(item.schedules), "schedule", item, "give a schedule, or one for each group")
    return item.schedules[0]
