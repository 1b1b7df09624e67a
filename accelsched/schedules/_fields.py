"""The fields of a schedule: the annotations, and how they check and convert values."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import math
import numbers
import types
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from torch import Tensor

from accelsched.errors import ArgumentError, require

T = TypeVar("T")

#: All steps are below this, so the int64 counter never wraps.
MAX_STEP = 2**62

#: Numbers that the formula reads by index, such as ``milestones: Table[int]``. Any sequence is
#: accepted and becomes a tuple. On a device it is one tensor, so its length adds no operation to a
#: graph.
Table = Annotated[Sequence[T], "table"]
#: A table that is a tensor from the start, such as ``values: TensorTable``.
TensorTable = Annotated[Tensor, "table"]
#: A number that counts steps, such as ``total_iters: Steps`` or ``milestones: Table[Steps]``.
#: Multiplying the step and all such fields by one number must not change the value:
#: :meth:`accelsched.Scheduler.extend` stretches a curve this way.
Steps = Annotated[int, "steps"]
#: Like :data:`Steps`, for a length that may end between two steps.
RealSteps = Annotated[float, "steps"]
#: A field that other fields are derived from, and that the formula itself does not read, such as
#: ``schedules: Source[Sequence[Schedule]]``.
Source = Annotated[T, "source"]


@dataclasses.dataclass(frozen=True)
class FieldType:
    """The type of a field, read from its annotation.

    Attributes:
        element: checks and converts a value, or each item of a tuple, given the argument's name.
        is_tuple: whether the value is a tuple.
        is_table: whether the value is a :data:`Table` or a :data:`TensorTable`.
        is_source: whether the value is a :data:`Source`.
        is_number: whether the value, or each item, is an int or a float.
        is_steps: whether the value, or each item, is a :data:`Steps`.
    """

    element: Callable[[str, Any], Any]
    is_tuple: bool = False
    is_table: bool = False
    is_source: bool = False
    is_number: bool = False
    is_steps: bool = False

    def convert(self, name: str, value: Any) -> Any:
        """Check a value, and convert it to what the formula reads.

        Raises:
            ArgumentError: the value is not of this type.
        """
        if not self.is_tuple:
            return self.element(name, value)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise ArgumentError(name, value, "give a list")
        return tuple(self.element(f"{name}[{i}]", item) for i, item in enumerate(value))


@functools.cache
def field_types(cls: type[Any]) -> dict[str, FieldType]:
    """Return the type of each field of a schedule class, by name, in order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: _field_type(hints[field.name]) for field in dataclasses.fields(cls)}


def check_fields(schedule: Any) -> None:
    """Check and convert each field that the constructor takes.

    Raises:
        ArgumentError: a value is not of its field's type.
    """
    types = field_types(schedule.__class__)
    for field in dataclasses.fields(schedule):
        if field.init:
            value = types[field.name].convert(field.name, getattr(schedule, field.name))
            object.__setattr__(schedule, field.name, value)


def _field_type(hint: Any) -> FieldType:
    """Return the type of a field with this annotation."""
    if typing.get_origin(hint) is Annotated:
        marks: dict[str, Any] = {f"is_{mark}": True for mark in hint.__metadata__}
        return dataclasses.replace(_field_type(typing.get_args(hint)[0]), **marks)
    if typing.get_origin(hint) in (tuple, Sequence):
        return dataclasses.replace(_field_type(typing.get_args(hint)[0]), is_tuple=True)
    if typing.get_origin(hint) is Literal:
        return FieldType(_one_of(typing.get_args(hint)))
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _optional(_field_type(typing.get_args(hint)[0]))
    if hint in _KNOWN:
        return _KNOWN[hint]
    return FieldType(_instance_of(hint) if inspect.isclass(hint) else lambda _, value: value)


def _optional(kind: FieldType) -> FieldType:
    element = kind.element
    return dataclasses.replace(
        kind, element=lambda name, value: None if value is None else element(name, value)
    )


def real(name: str, value: Any) -> float:
    """Return a finite number as a float; raise for any other value."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentError(name, value, "give a number")
    try:
        number = float(value)
    except OverflowError:  # an int past float64
        number = math.inf
    require(math.isfinite(number), name, value, "give a finite number")
    return number


def integer(name: str, value: Any) -> int:
    """Return a number of steps as an int; raise for any other value."""
    # YAML and JSON read 1e5 as a float, so a float with a whole value is accepted.
    number = real(name, value)
    require(number == int(number), name, value, "give a whole number of steps")
    require(abs(int(value)) < MAX_STEP, name, value, "give a number between -2**62 and 2**62")
    return int(value)


def step_number(name: str, value: Any) -> int:
    """Return a step as an int; raise for any other value."""
    number = integer(name, value)
    require(number >= 0, name, value, "steps are counted from 0: give 0 or more")
    return number


def boolean(name: str, value: Any) -> bool:
    """Return True or False; raise for any other value."""
    require(isinstance(value, bool), name, value, "give True or False")
    return bool(value)


def _one_of(choices: tuple[str, ...]) -> Callable[[str, Any], Any]:
    def element(name: str, value: Any) -> Any:
        require(value in choices, name, value, f"give one of {', '.join(map(repr, choices))}")
        return value

    return element


def _instance_of(cls: type) -> Callable[[str, Any], Any]:
    def element(name: str, value: Any) -> Any:
        require(isinstance(value, cls), name, value, f"give a {cls.__name__}")
        return value

    return element


def _function(name: str, value: Any) -> Any:
    require(callable(value), name, value, "give a function of the step")
    return value


_KNOWN: dict[Any, FieldType] = {
    float: FieldType(real, is_number=True),
    int: FieldType(integer, is_number=True),
    bool: FieldType(boolean),
    Callable[..., Any]: FieldType(_function),
}


# Checks that several schedules share.


def require_positive(schedule: Any, *names: str) -> None:
    """Raise unless the fields are above 0."""
    for name in names:
        value = getattr(schedule, name)
        require(value > 0, name, value, "give a number above 0")


def require_not_negative(schedule: Any, *names: str) -> None:
    """Raise unless the fields are 0 or more."""
    for name in names:
        value = getattr(schedule, name)
        require(value >= 0, name, value, "give 0 or more")


def require_increasing(name: str, milestones: Sequence[int]) -> None:
    """Raise if milestones decrease or are negative; two equal ones make a phase of 0 steps."""
    ordered = all(a <= b for a, b in itertools.pairwise(milestones))
    require(ordered, name, milestones, "give steps in increasing order")
    require(
        not milestones or milestones[0] >= 0,
        name,
        milestones,
        "steps are counted from 0: give 0 or more",
    )
