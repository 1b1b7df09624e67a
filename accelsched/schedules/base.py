"""The base class of schedules: a frozen dataclass with one pure formula."""

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
from accelsched.schedules import _text
from accelsched.schedules._fields import check_fields, field_types, step_number
from accelsched.schedules._once import computed_once

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from accelsched.kernels import HostFunction


@dataclasses.dataclass(frozen=True)
class Schedule(ABC):
    """A pure function from the step to the value of one hyper-parameter.

    A schedule holds numbers and other schedules, never an optimizer, a device or a step. So the
    same schedule can be called, drawn, composed with others, and bound to any number of optimizers.

    To write a schedule, subclass this class as a frozen dataclass with a :meth:`formula`. The
    annotations of its fields define how arguments are checked and converted: ``float``, ``int``,
    ``bool``, ``Literal``, ``Schedule``, or a ``Sequence`` of these, which becomes a tuple.
    :data:`Steps` is an int that counts steps, and :data:`Table` is a sequence of numbers that the
    formula reads by index. Override :meth:`check` for checks that the annotations cannot express.

    Example:
        >>> from dataclasses import dataclass
        >>> from accelsched.schedules import terms
        >>> @dataclass(frozen=True)
        ... class InverseTime(Schedule):
        ...     initial: float
        ...     half_life: int
        ...
        ...     def formula(self, step):
        ...         return self.initial / (1 + terms.real(step) / self.half_life)
        >>> schedule = InverseTime(initial=0.1, half_life=50)
        >>> schedule(0), schedule(50)
        (0.1, 0.05)
        >>> schedule(torch.tensor([0, 50]))
        tensor([0.1000, 0.0500], dtype=torch.float64)

    Raises:
        ArgumentError: a field has the wrong type, is not finite, or does not fit the others.

    Elsewhere: optax's schedules are also functions of the step. Keras' schedules are
    ``LearningRateSchedule`` objects. torch's schedulers are bound to an optimizer from the start.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # @dataclass generates a __repr__ unless the class defines one: define the inherited one.
        cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        check_fields(self)
        self.check()

    def check(self) -> None:  # noqa: B027 (most have nothing to add)
        """Raise ArgumentError for fields that do not fit together, then set the derived fields."""

    @abstractmethod
    def formula(self, step: Tensor) -> Tensor:
        """Return the value at each step.

        Write the formula in torch operations on ``step``'s device, without a Python branch on a
        tensor. Steps are integers: subtract and divide them as integers, then convert once with
        :func:`accelsched.schedules.terms.real`. A numeric field is a Python number, or a tensor of
        shape [G] when the schedules of G param groups are evaluated together.

        Args:
            step: int64 tensor of any shape, not negative.

        Returns:
            float64 tensor, shaped like ``step``.
        """

    @property
    def base(self) -> float:
        """The nominal initial value; :class:`Chained` divides by it to get a relative factor."""
        initial = getattr(self, "initial", None)
        return float(self.formula(torch.tensor(0)) if initial is None else initial)

    @property
    def settles(self) -> int | None:
        """The step from which the value is constant; None if it never is, or if unknown.

        A schedule that settles can be lowered to a table on the device: ``lowering="table"``.
        """
        return None

    @property
    def repeats(self) -> tuple[int, int] | None:
        """The step from which the values repeat, and their period in steps.

        None if the values never repeat, or if that is unknown. A schedule that settles has a
        period of 1.
        """
        return None if self.settles is None else (self.settles, 1)

    @property
    def stretches(self) -> bool:
        """Whether :meth:`accelsched.Scheduler.extend` can stretch this schedule.

        If True, multiplying the step and all :data:`Steps` fields by one number must not change
        the value. The default is True for a class with such a field.
        """
        return any(kind.is_steps for kind in field_types(type(self)).values())

    @overload
    def __call__(self, step: int) -> float: ...
    @overload
    def __call__(self, step: Tensor) -> Tensor: ...
    def __call__(self, step: int | Tensor) -> float | Tensor:
        """Return the value at ``step``: a float for an int, a tensor for an integer tensor.

        For an int, machine code computes the value. It is compiled once for each structure and
        cached on disk. For a tensor, the formula runs on the tensor's device: in float64, or in
        float32 if the device has no float64.

        Args:
            step: a step, 0 or more, or an integer tensor of steps of any shape.

        Raises:
            ArgumentError: the step is negative, or not an integer.
        """
        if isinstance(step, Tensor):
            if step.is_floating_point() or step.is_complex() or step.dtype == torch.bool:
                raise ArgumentError("step", step.dtype, "steps are integers: give an int64 tensor")
            _require_counted(step)
            return self._on_device(step.to(torch.int64))
        return self._on_host.at(step_number("step", step))[0]

    def curve(self, start: int, stop: int, step: int = 1) -> NDArray[np.float64]:
        """Return the values at ``range(start, stop, step)``, computed on all cores without PyTorch.

        Args:
            start: the first step.
            stop: the step to stop before.
            step: the distance from one value to the next, in steps, at least 1. Default 1.

        Returns:
            float64 array with one value for each step.

        Raises:
            ArgumentError: a step is negative, or not an integer.

        Example:
            >>> from accelsched.schedules import Linear
            >>> Linear(initial=0.0, end=1.0, total_iters=4).curve(0, 7)
            array([0.  , 0.25, 0.5 , 0.75, 1.  , 1.  , 1.  ])
        """
        stride = step_number("step", step)
        require(stride > 0, "step", step, "give 1 or more")
        steps = range(step_number("start", start), step_number("stop", stop), stride)
        return self._on_host.rows(steps)[:, 0]

    def plot(self, steps: int | None = None, axes: Axes | None = None) -> Axes:
        """Draw the curve with matplotlib.

        Args:
            steps: the last step to draw. Default: shortly past the last change, or two periods, or
                1,000 steps.
            axes: the axes to draw on. Default: the current axes, so a second call adds a curve.

        Returns:
            The axes. The line is labeled with the schedule; ``axes.legend()`` shows the label.

        Raises:
            ArgumentError: ``steps`` is not a whole number above 0.
            ImportError: matplotlib is not installed: ``pip install accelsched[plot]``.
        """
        from accelsched.schedules import _axes

        return _axes.plot({str(self): self}, "value", steps, axes)

    def _repr_html_(self) -> str:
        """Return the curve as an SVG, for notebooks."""
        from accelsched.schedules._svg import svg

        return svg([self], str(self))

    def __repr__(self) -> str:
        """Return the call that makes this schedule, without arguments that have their defaults."""
        return _text.in_full(self)

    def __str__(self) -> str:
        """Return the same call, cut to one terminal line."""
        return _text.in_a_line(self)

    def _on_device(self, step: Tensor) -> Tensor:
        runtime = runtime_of(step.device)
        if runtime.has_float64:
            return self.formula(step)
        return runtime.lower(lambda _: self._values, step.device, step.shape)(step)[0]

    def _values(self, step: Tensor) -> list[Tensor]:
        return [self.formula(step)]

    @computed_once
    def _on_host(self) -> HostFunction:
        from accelsched.kernels import host_function  # imports the compiler

        return host_function(self._values)

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    # Operators create subclasses of Schedule, so _operators imports this module. This module
    # imports _operators when the first operator is used. No other two files import each other.

    def __add__(self, other: Schedule | float) -> Schedule:
        made: Schedule = _operators().add(self, other)
        return made

    def __mul__(self, other: Schedule | float) -> Schedule:
        made: Schedule = _operators().multiply(self, other)
        return made

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Schedule:
        return self * -1.0

    def __sub__(self, other: Schedule | float) -> Schedule:
        return self + -other

    def __rsub__(self, other: float) -> Schedule:
        return -self + other

    def __truediv__(self, divisor: float) -> Schedule:
        if isinstance(divisor, Schedule):
            return NotImplemented
        made: Schedule = _operators().divide(self, divisor)
        return made

    def then(self, following: Schedule, *, at: int, restart: bool = True) -> Schedule:
        """Return this schedule before step ``at``, and ``following`` from step ``at`` on.

        Args:
            following: the schedule that takes over.
            at: the step at which ``following`` takes over.
            restart: whether ``following`` counts its own steps from 0 at ``at``. If False, it
                starts at its own step ``at``, as if it had run from the start. Default True.

        Example:
            >>> from accelsched.schedules import Constant, InverseSquareRootDecay, Linear
            >>> warmup = Linear(initial=0.0, end=0.1, total_iters=16)
            >>> schedule = warmup.then(Constant(0.1), at=16)
            >>> [schedule(t) for t in (0, 8, 16, 64)]
            [0.0, 0.05, 0.1, 0.1]

            Count the steps of the decay from the start, not from the end of the warm-up:

            >>> schedule = warmup.then(InverseSquareRootDecay(0.4), at=16, restart=False)
            >>> [schedule(t) for t in (0, 8, 16, 64)]
            [0.0, 0.05, 0.1, 0.05]
        """
        made: Schedule = _operators().join(self, following, at, restart)
        return made

    def shifted(self, by: int) -> Schedule:
        """Return this schedule advanced by ``by`` steps, or delayed if ``by`` is negative.

        Libraries differ in the first learning rate of a warm-up of n steps. Here, the first
        training step uses ``schedule(0)``.

        ================================== ================== ==============================
        warm-up of n steps to lr, in       first lr values    in accelsched
        ================================== ================== ==============================
        accelsched, optax, Keras,          0, lr/n, 2 lr/n    ``Linear(0, lr, n)``
        transformers, Megatron, timm,
        fairseq, MaxText, Levanter
        torchtitan, fairseq's ``fixed``    lr/n, 2 lr/n       ``Linear(0, lr, n).shifted(1)``
        NeMo, torchtitan until 2025        lr/(n + 1), ...    ``Linear(0, lr, n + 1).shifted(1)``
        DeepSpeed                          0, 0, lr/n         ``Linear(0, lr, n).shifted(-1)``
        ================================== ================== ==============================

        Args:
            by: the number of steps to advance. If negative, the schedule starts that many steps
                later and holds its first value until then.

        Example:
            >>> from accelsched.schedules import Linear
            >>> warmup = Linear(initial=0.0, end=0.4, total_iters=4)
            >>> [round(warmup.shifted(1)(t), 6) for t in range(5)]
            [0.1, 0.2, 0.3, 0.4, 0.4]
            >>> [round(warmup.shifted(-2)(t), 6) for t in range(5)]
            [0.0, 0.0, 0.0, 0.1, 0.2]
        """
        made: Schedule = _operators().shift(self, by)
        return made


def _require_counted(step: Tensor) -> None:
    """Raise for negative steps, unless reading them would synchronize or break a trace."""
    if type(step) is not Tensor or step.device.type != "cpu" or torch.compiler.is_compiling():
        return
    negative = step[step < 0]
    require(
        not len(negative), "step", negative[:1].tolist(), "steps are counted from 0: give 0 or more"
    )


def _operators() -> Any:
    from accelsched.schedules import _operators

    return _operators
