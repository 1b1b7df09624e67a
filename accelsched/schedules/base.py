"""What every schedule is: a frozen dataclass with one pure formula from steps to values.

A schedule holds numbers and other schedules, never an optimizer, a device or a step.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import numbers
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accelsched import runtimes
from accelsched.errors import ArgumentError, require

if TYPE_CHECKING:
    from accelsched.host import Eager
    from accelsched.kernels import Kernel

T = TypeVar("T")
#: A tuple that the formula reads by index: on a device it is one tensor, however long it is.
Lookup = Annotated[tuple[T, ...], "lookup"]
#: What the formula does not read, since others are derived from it.
Given = Annotated[T, "given"]


@dataclasses.dataclass(frozen=True)
class Schedule(ABC):
    """A pure function from the step to the value of one hyper-parameter.

    A subclass is a frozen dataclass with a :meth:`formula`. Its fields are checked and
    converted by their annotations (``float``, ``int``, ``bool``, ``Literal``, ``Schedule``, tuples,
    :data:`Lookup` and :data:`Given` of these); :meth:`check` adds what the class alone knows.

    Raises:
        ArgumentError: a field is of another type, not finite, or does not fit the others.
    """

    def __post_init__(self) -> None:
        for field, kind in kinds(type(self)).items():
            if field.init:
                given = getattr(self, field.name)
                object.__setattr__(self, field.name, kind.convert(field.name, given))
        self.check()

    def check(self) -> None:  # noqa: B027 (most have nothing to add)
        """Raise ArgumentError for fields that do not fit together, then derive what is derived."""

    @abstractmethod
    def formula(self, step: Tensor) -> Tensor:
        """The value at each step.

        Written in torch operations on ``step``'s device, without a Python branch on a tensor.
        Steps are integers: subtract and divide them as integers, and convert once, with
        :func:`accelsched.schedules.terms.real`. A numeric field is a Python number, or a
        tensor of shape [G] when the schedules of G param groups are evaluated together.

        Args:
            step: int64 tensor of any shape, not negative.

        Returns:
            float64 tensor, shaped like ``step``.
        """

    @property
    def base(self) -> float:
        """The initial value, of which a chain takes this schedule's relative factor."""
        initial = getattr(self, "initial", None)
        return float(self.formula(torch.tensor(0)) if initial is None else initial)

    @property
    def settles(self) -> int | None:
        """The step from which the value stays the same; None if it never does, or none is known.

        A schedule that settles fits a table on the device (see :mod:`accelsched.schedules.tables`).
        """
        return None

    @overload
    def __call__(self, step: int) -> float: ...
    @overload
    def __call__(self, step: Tensor) -> Tensor: ...
    def __call__(self, step: int | Tensor) -> float | Tensor:
        """The value at ``step``: a float for an int, a tensor for an integer tensor.

        An int is looked up by machine code, which is compiled once for all schedules that differ
        in numbers only, and kept on disk; a tensor by the formula, on its device: float64, or
        float32 where the device has no float64.

        Raises:
            ArgumentError: the step is negative, or not an integer.
        """
        if isinstance(step, Tensor):
            if step.is_floating_point() or step.is_complex() or step.dtype == torch.bool:
                raise ArgumentError("step", step.dtype, "steps are counted: give an int64 tensor")
            return self._on_device(step.to(torch.int64))
        return self._on_host.at(_count("step", step))[0]

    def curve(self, start: int, stop: int, step: int = 1) -> NDArray[np.float64]:
        """The values at the steps of ``range(start, stop, step)``, on all cores, without PyTorch.

        Args:
            start: the first step.
            stop: the step before which to stop.
            step: from a value to the next, in steps, at least 1.

        Returns:
            float64 array with a value for each step.

        Raises:
            ArgumentError: a step is negative, or not an integer.
        """
        stride = _count("step", step)
        require(stride > 0, "step", step, "give 1 or more")
        return self._on_host.rows(range(_count("start", start), _count("stop", stop), stride))[:, 0]

    def _on_device(self, step: Tensor) -> Tensor:
        runtime = runtimes.of(step.device)
        if runtime.has_float64:
            return self.formula(step)
        return runtime.lowered(lambda _: self._values, step.device, step.shape)(step)[0]

    def _values(self, step: Tensor) -> list[Tensor]:
        return [self.formula(step)]

    @functools.cached_property
    def _on_host(self) -> Kernel | Eager:
        from accelsched.host import evaluator

        return evaluator(self._values)

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def __add__(self, other: Schedule | float) -> Schedule:
        from accelsched.schedules.compose import Sum

        return Sum((self, _as_schedule(other)))

    def __mul__(self, other: Schedule | float) -> Schedule:
        from accelsched.schedules.compose import Product, Scaled

        return Product((self, other)) if isinstance(other, Schedule) else Scaled(self, other)

    __radd__ = __add__
    __rmul__ = __mul__

    def then(self, following: Schedule, *, at: int) -> Schedule:
        """This schedule before step ``at``; from there ``following``, which counts from 0 again."""
        from accelsched.schedules.compose import Sequential

        if isinstance(self, Sequential):
            return Sequential((*self.schedules, following), (*self.milestones, at))
        return Sequential((self, following), (at,))


def _as_schedule(value: Schedule | float) -> Schedule:
    from accelsched.schedules.decay import Constant

    return value if isinstance(value, Schedule) else Constant(value)


# Fields: what an annotation means, read once a class.


@dataclasses.dataclass(frozen=True)
class Kind:
    """How a field is checked, converted and, for several param groups, stacked."""

    element: Callable[[str, Any], Any]
    is_tuple: bool = False
    is_lookup: bool = False
    is_given: bool = False
    is_number: bool = False

    def convert(self, name: str, value: Any) -> Any:
        if not self.is_tuple:
            return self.element(name, value)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise ArgumentError(name, value, "give a list")
        return tuple(self.element(f"{name}[{i}]", item) for i, item in enumerate(value))


@functools.cache
def kinds(cls: type[Schedule]) -> dict[dataclasses.Field[Any], Kind]:
    """The kind of each field of a schedule class, in order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field: _kind(hints[field.name]) for field in dataclasses.fields(cls)}


def _kind(hint: Any) -> Kind:
    if typing.get_origin(hint) is Annotated:
        kind = _kind(typing.get_args(hint)[0])
        is_given = "given" in hint.__metadata__
        return dataclasses.replace(kind, is_given=is_given, is_lookup=not is_given)
    if typing.get_origin(hint) is tuple:
        return dataclasses.replace(_kind(typing.get_args(hint)[0]), is_tuple=True)
    if typing.get_origin(hint) is Literal:
        return Kind(_one_of(typing.get_args(hint)))
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _optional(_kind(typing.get_args(hint)[0]))
    return _KINDS.get(hint, _ANYTHING)


def _optional(kind: Kind) -> Kind:
    element = kind.element
    return dataclasses.replace(
        kind, element=lambda name, value: None if value is None else element(name, value)
    )


def real(name: str, value: Any) -> float:
    """The value of an argument that is a finite number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentError(name, value, "give a number")
    require(math.isfinite(value), name, value, "give a finite number")
    return float(value)


def integer(name: str, value: Any) -> int:
    """The value of an argument that counts steps."""
    # YAML and JSON read 1e5 as a float, so a float that is a whole number is taken for one.
    number = real(name, value)
    require(number == int(number), name, value, "give a whole number of steps")
    require(abs(int(value)) < 2**62, name, value, "give a number that int64 can count with")
    return int(value)


def _count(name: str, value: Any) -> int:
    count = integer(name, value)
    require(count >= 0, name, value, "steps are counted from 0")
    return count


def _boolean(name: str, value: Any) -> bool:
    require(isinstance(value, bool), name, value, "give True or False")
    return bool(value)


def _one_of(choices: tuple[str, ...]) -> Callable[[str, Any], Any]:
    def element(name: str, value: Any) -> Any:
        require(value in choices, name, value, f"give one of {', '.join(map(repr, choices))}")
        return value

    return element


def _schedule(name: str, value: Any) -> Schedule:
    if isinstance(value, Schedule):
        return value
    raise ArgumentError(name, value, "give a Schedule")


def _function(name: str, value: Any) -> Any:
    require(callable(value), name, value, "give a function of the step")
    return value


_ANYTHING = Kind(lambda _, value: value)
_KINDS: dict[Any, Kind] = {
    float: Kind(real, is_number=True),
    int: Kind(integer, is_number=True),
    bool: Kind(_boolean),
    Schedule: Kind(_schedule),
    Callable[..., Any]: Kind(_function),
}


def require_positive(schedule: Schedule, *names: str) -> None:
    """Refuse a field that is not above zero."""
    for name in names:
        value = getattr(schedule, name)
        require(value > 0, name, value, "give a number above 0")


def require_not_negative(schedule: Schedule, *names: str) -> None:
    """Refuse a field below zero."""
    for name in names:
        value = getattr(schedule, name)
        require(value >= 0, name, value, "give 0 or a number above it")


def require_increasing(name: str, milestones: tuple[int, ...]) -> None:
    """Refuse milestones that go back; two equal ones make a phase of no steps."""
    ordered = all(a <= b for a, b in itertools.pairwise(milestones))
    require(ordered, name, milestones, "give steps in increasing order")
    require(not milestones or milestones[0] >= 0, name, milestones, "steps are counted from 0")
