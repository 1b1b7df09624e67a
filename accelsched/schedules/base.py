"""What every schedule is: a frozen dataclass with one pure formula from steps to values.

A schedule holds numbers and other schedules, never an optimizer, a device or a step.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accelsched._runtimes import runtime_of
from accelsched.errors import ArgumentError, require
from accelsched.schedules._fields import check_fields, step_number
from accelsched.schedules._once import computed_once

if TYPE_CHECKING:
    from accelsched.kernels import HostFunction


@dataclasses.dataclass(frozen=True)
class Schedule(ABC):
    """A pure function from the step to the value of one hyper-parameter.

    A subclass is a frozen dataclass with a :meth:`formula`. Its fields are checked and
    converted by their annotations (``float``, ``int``, ``bool``, ``Literal``, ``Schedule``, tuples,
    ``Table`` and ``Source`` of these); :meth:`check` adds what the class alone knows.

    Raises:
        ArgumentError: a field is of another type, not finite, or does not fit the others.
    """

    def __post_init__(self) -> None:
        check_fields(self)
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

        A schedule that settles can be a table on the device: ``lowering="table"``.
        """
        return None

    @overload
    def __call__(self, step: int) -> float: ...
    @overload
    def __call__(self, step: Tensor) -> Tensor: ...
    def __call__(self, step: int | Tensor) -> float | Tensor:
        """The value at ``step``: a float for an int, a tensor for an integer tensor.

        An int is evaluated by machine code, which is compiled once for all schedules that differ
        in numbers only, and kept on disk. A tensor is evaluated by the formula, on its device:
        float64, or float32 where the device has no float64.

        Raises:
            ArgumentError: the step is negative, or not an integer.
        """
        if isinstance(step, Tensor):
            if step.is_floating_point() or step.is_complex() or step.dtype == torch.bool:
                raise ArgumentError("step", step.dtype, "steps are counted: give an int64 tensor")
            return self._on_device(step.to(torch.int64))
        return self._on_host.at(step_number("step", step))[0]

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
        stride = step_number("step", step)
        require(stride > 0, "step", step, "give 1 or more")
        steps = range(step_number("start", start), step_number("stop", stop), stride)
        return self._on_host.rows(steps)[:, 0]

    def _on_device(self, step: Tensor) -> Tensor:
        runtime = runtime_of(step.device)
        if runtime.has_float64:
            return self.formula(step)
        return runtime.lower(lambda _: self._values, step.device, step.shape)(step)[0]

    def _values(self, step: Tensor) -> list[Tensor]:
        return [self.formula(step)]

    @computed_once
    def _on_host(self) -> HostFunction:
        from accelsched.kernels import host_function  # and with it the compiler

        return host_function(self._values)

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    # Operators make schedules of classes that inherit from this one. So _operators imports this
    # module, and this module imports _operators when the first operator is used: the only two
    # files of the package that import each other.

    def __add__(self, other: Schedule | float) -> Schedule:
        made: Schedule = _operators().add(self, other)
        return made

    def __mul__(self, other: Schedule | float) -> Schedule:
        made: Schedule = _operators().multiply(self, other)
        return made

    __radd__ = __add__
    __rmul__ = __mul__

    def then(self, following: Schedule, *, at: int) -> Schedule:
        """This schedule before step ``at``; from there ``following``, which counts from 0 again."""
        made: Schedule = _operators().join(self, following, at)
        return made


def _operators() -> Any:
    from accelsched.schedules import _operators

    return _operators
