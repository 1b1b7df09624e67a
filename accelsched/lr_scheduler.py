"""The learning rate schedulers of ``cerebras.pytorch.optim.lr_scheduler``, by the same names.

A training script changes its import and nothing else. Learning rates are absolute: a scheduler
overwrites the group's own ``lr`` when it is built. Every scheduler is a closed form of the step, so
it resumes at any step without drift. Arguments can be read and set as attributes; a new value
counts from the next step. With None for the optimizer a scheduler is bound later:
``scheduler(optimizer)``.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer

from accelsched._binding import state
from accelsched._binding.composite import Composite, schedule_of
from accelsched._binding.param_groups import GroupValues, Tags
from accelsched._binding.scheduler import Scheduler
from accelsched._optimizers.remedies import level_of_the_caller
from accelsched.errors import ArgumentError, require
from accelsched.schedules import (
    Chained,
    Constant,
    CosineAnnealing,
    CosineDecay,
    Cyclic,
    Exponential,
    InverseExponentialTimeDecay,
    InverseSquareRootDecay,
    Lambda,
    Linear,
    Multiplicative,
    MultiStep,
    OneCycle,
    PiecewiseConstant,
    Polynomial,
    Scaled,
    Schedule,
    Sequential,
    Step,
)
from accelsched.schedules import CosineAnnealingWarmRestarts as WarmRestarts

__all__ = [
    "ChainedLR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CosineDecayLR",
    "CyclicLR",
    "ExponentialLR",
    "InverseExponentialTimeDecayLR",
    "InverseSquareRootDecayLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PiecewiseConstantLR",
    "PolynomialLR",
    "ScalePerParamLR",
    "SequentialLR",
    "StepLR",
]


#: What Cerebras' schedulers save beside the settings that are attributes here too.
_OF_CEREBRAS = {"param_group_tags", "total_iters", "power", "cycle", "lr_adjustment_scalars"}
#: The settings that the state of each scheduler of torch has, by its name; it has more where it
#: schedules a momentum too.
_OF_TORCH = {
    "ConstantLR": {"factor", "total_iters"},
    "LinearLR": {"start_factor", "end_factor", "total_iters"},
    "ExponentialLR": {"gamma"},
    "StepLR": {"step_size", "gamma"},
    "MultiStepLR": {"milestones", "gamma"},
    "CosineAnnealingLR": {"T_max", "eta_min"},
    "CosineAnnealingWarmRestarts": {"T_0", "T_i", "T_mult", "T_cur", "eta_min"},
    "PolynomialLR": {"total_iters", "power"},
    "LambdaLR": {"lr_lambdas"},
    "MultiplicativeLR": {"lr_lambdas"},
    "CyclicLR": {"max_lrs", "total_size", "step_ratio", "mode", "gamma", "scale_mode"},
    "OneCycleLR": {"total_steps"},
    "SequentialLR": set(),
    "ChainedScheduler": set(),
    "ChainedLR": set(),
}
_MOMENTA = {"cycle_momentum", "use_beta1", "base_momentums", "max_momentums"}


class Argument:
    """An argument of a constructor, as an attribute that reads and sets a field of the schedule."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.names: list[str] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.names.append(name)

    def name_in(self, cls: type[LRScheduler]) -> str:
        """Return what the constructor of a class calls this argument."""
        return self.names[-1 if cls.any_value else 0]

    def __get__(self, scheduler: Scheduler | None, owner: type) -> Any:
        if scheduler is None:
            return self
        value = getattr(scheduler.schedules[0], self.field)
        return list(value) if isinstance(value, tuple) else value

    def __set__(self, scheduler: Scheduler, value: object) -> None:
        change: dict[str, Any] = {self.field: value}
        try:
            changed = [dataclasses.replace(s, **change) for s in scheduler.schedules]
        except ArgumentError as error:
            raise error.renamed(_argument_names(type(scheduler))) from None
        scheduler.reschedule(changed)


class LRScheduler(Scheduler):
    """Drives the learning rate by any schedule; the base of the classes below.

    Its arguments are those of :class:`accelsched.Scheduler`, with ``key="lr"`` by default.

    Example:
        >>> import torch
        >>> from accelsched.schedules import Linear
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = LRScheduler(optimizer, Linear(initial=0.0, end=0.1, total_iters=2))
        >>> scheduler.get_last_lr()
        [0.0]
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
        >>> scheduler.last_epoch = 10
        >>> scheduler.get_last_lr()
        [0.1]
    """

    #: Whether the constructor names its arguments for any value (``initial_val``), the last of the
    #: names that they have, and not for a learning rate (``initial_learning_rate``), the first.
    any_value = False

    @property
    def param_group_key(self) -> str:
        """The key of the param groups that this scheduler drives."""
        return self.key

    def _stands_for(self, saved: dict[str, Any]) -> bool:
        settings = state.settings_of(saved)
        if "_last_value" in saved:  # of Cerebras, whose settings have the names of ours
            known = {*_attribute_names(type(self)), *_OF_CEREBRAS}
            return settings <= known and set(saved) >= {"param_group_tags"}
        mine = _OF_TORCH.get(type(self).__name__)
        return super()._stands_for(saved) or (mine is not None and settings - _MOMENTA == mine)

    def _require_alike(self, saved: dict[str, Any]) -> None:
        for name in _attribute_names(type(self)):
            theirs = saved.get(name, saved.get(f"_{name}"))
            if theirs is not None:
                state.require_alike(theirs, getattr(self, name), name)

    @classmethod
    def _schedule(cls, schedule: type[Schedule], **fields: Any) -> Schedule:
        """Build a schedule; an error names the argument that the field comes from."""
        try:
            made = schedule(**fields)
        except ArgumentError as error:
            raise error.renamed(_argument_names(cls)) from None
        if not cls.any_value:
            _warn_of_arguments_of_torch(cls, fields)
        return made


#: The fields that are learning rates.
_RATES = {"value", "initial", "end", "base_value", "max_value"}


def _warn_of_arguments_of_torch(cls: type[LRScheduler], fields: dict[str, Any]) -> None:
    """Warn of a whole number above 1 for a learning rate: in torch's signature it counts steps."""
    for name in _RATES & set(fields):
        value = fields[name]
        if isinstance(value, int) and value > 1:
            argument = _argument_names(cls)[name]
            warnings.warn(
                f"{argument}={value}: a learning rate of {value}? The arguments are those of "
                f"Cerebras: {cls.__name__}{inspect.signature(cls)}. For torch's scheduler build "
                f"that, and give it to accelsched.from_torch; if it is meant, write {value}.0",
                UserWarning,
                stacklevel=level_of_the_caller(),
            )


def _argument_names(cls: Any) -> dict[str, str]:
    """Map the fields of a class's schedule to the arguments that they come from."""
    attributes = [value for base in cls.__mro__ for value in vars(base).values()]
    arguments = [value for value in attributes if isinstance(value, Argument)]
    return {"schedules": "schedulers", **{a.field: a.name_in(cls) for a in arguments}}


def _attribute_names(cls: type) -> list[str]:
    """List the names by which the arguments of a class can be read."""
    members = [item for base in cls.__mro__ for item in vars(base).items()]
    return [name for name, value in members if isinstance(value, Argument)]


class ConstantLR(LRScheduler):
    """The same learning rate at every step.

    The learning rate at step ``t``::

        value = learning_rate

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        learning_rate: the learning rate, at every step.
        total_iters: taken for compatibility and not used: a constant has no end. Default None.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = ConstantLR(optimizer, learning_rate=0.1)
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.1]
        >>> scheduler.last_epoch = 1000
        >>> scheduler.get_last_lr()
        [0.1]

    Raises:
        ArgumentError: the learning rate is not a number, or a number is not finite.

    Source: see :class:`accelsched.schedules.Constant`, the schedule that this class drives, also
    for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values.
    ``torch.optim.lr_scheduler.ConstantLR`` does something else: it multiplies by ``factor`` until
    ``total_iters`` and by 1 from there.
    """

    learning_rate = val = Argument("value")

    def __init__(
        self,
        optimizer: Optimizer | None,
        learning_rate: float,
        total_iters: int | None = None,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = total_iters
        schedule = self._schedule(Constant, value=learning_rate)
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class PolynomialLR(LRScheduler):
    """A power of the fraction that is left, from one learning rate to another, then held.

    The learning rate at step ``t``::

        n = total_iters * max(1, ceil(t / total_iters)) if cycle else total_iters
        x = min(t / n, 1)
        value = end_learning_rate + (initial_learning_rate - end_learning_rate) * (1 - x) ** power

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0.
        end_learning_rate: the learning rate at step ``total_iters`` and past it.
        total_iters: the length of the decay in steps; one of 0 steps is skipped, and is at the end.
        power: the exponent, above 0, without a unit. Default 1: a straight line.
        cycle: past the end, jump back up and fall again, over a span stretched to the next multiple
            of ``total_iters``. Default False.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = PolynomialLR(
        ...     optimizer,
        ...     initial_learning_rate=0.1,
        ...     end_learning_rate=0.02,
        ...     total_iters=100,
        ...     power=2.0,
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.098408]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.02]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.02]

    Raises:
        ArgumentError: ``total_iters`` is negative, ``power`` is not above 0, or a number is not
            finite.

    Source: see :class:`accelsched.schedules.Polynomial`, the schedule that this class drives, also
    for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments; its ``cycle`` has no effect.
    ``torch.optim.lr_scheduler.PolynomialLR`` falls from the group's rate to 0.
    """

    initial_learning_rate = initial_val = Argument("initial")
    end_learning_rate = end_val = Argument("end")
    total_iters = Argument("total_iters")
    power = Argument("power")
    cycle = Argument("cycle")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        end_learning_rate: float,
        total_iters: int,
        power: float = 1.0,
        cycle: bool = False,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            Polynomial,
            initial=initial_learning_rate,
            end=end_learning_rate,
            total_iters=total_iters,
            power=power,
            cycle=cycle,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class LinearLR(LRScheduler):
    """A straight line from one learning rate to another, then held.

    The learning rate at step ``t``::

        n = total_iters * max(1, ceil(t / total_iters)) if cycle else total_iters
        x = min(t / n, 1)
        value = initial_learning_rate + (end_learning_rate - initial_learning_rate) * x

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0.
        end_learning_rate: the learning rate at step ``total_iters`` and past it.
        total_iters: the length of the line in steps; one of 0 steps is skipped, and is at the end.
        cycle: past the end, jump back up and fall again, over a span stretched to the next multiple
            of ``total_iters``. Default False.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = LinearLR(
        ...     optimizer, initial_learning_rate=0.0, end_learning_rate=0.1, total_iters=100
        ... )
        >>> scheduler.get_last_lr()
        [0.0]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.001]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.1]

    Raises:
        ArgumentError: ``total_iters`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.Linear`, the schedule that this class drives, also for
    the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments; its ``cycle`` has no effect.
    ``torch.optim.lr_scheduler.LinearLR`` takes factors of the group's rate, ``start_factor`` and
    ``end_factor``.
    """

    initial_learning_rate = initial_val = Argument("initial")
    end_learning_rate = end_val = Argument("end")
    total_iters = Argument("total_iters")
    cycle = Argument("cycle")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        end_learning_rate: float,
        total_iters: int,
        cycle: bool = False,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            Linear,
            initial=initial_learning_rate,
            end=end_learning_rate,
            total_iters=total_iters,
            cycle=cycle,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class ExponentialLR(LRScheduler):
    """A decay by the factor ``decay_rate`` in every ``total_iters`` steps, without end.

    The learning rate at step ``t``::

        k = t // total_iters if staircase else t / total_iters
        value = initial_learning_rate * decay_rate ** k

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0.
        total_iters: the steps in which the rate is multiplied by ``decay_rate``, at least 1. Not an
            end.
        decay_rate: the factor of ``total_iters`` steps, not of one step; not negative, without a
            unit.
        staircase: apply whole factors only, one every ``total_iters`` steps. Default False.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = ExponentialLR(
        ...     optimizer, initial_learning_rate=0.1, total_iters=100, decay_rate=0.5
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.099309]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.05]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.025]

    Raises:
        ArgumentError: ``total_iters`` is below 1, ``decay_rate`` is negative, or a number is not
            finite.

    Source: see :class:`accelsched.schedules.Exponential`, the schedule that this class drives, also
    for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values. The ``gamma`` of
    ``torch.optim.lr_scheduler.ExponentialLR`` is the factor of one step: see
    :class:`MultiplicativeLR`.
    """

    initial_learning_rate = initial_val = Argument("initial")
    total_iters = Argument("total_iters")
    decay_rate = Argument("rate")
    staircase = Argument("staircase")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        total_iters: int,
        decay_rate: float,
        staircase: bool = False,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            Exponential,
            initial=initial_learning_rate,
            total_iters=total_iters,
            rate=decay_rate,
            staircase=staircase,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class InverseExponentialTimeDecayLR(LRScheduler):
    """A decay by one over a power of the step, without end.

    The learning rate at step ``t``::

        a = t**step_exponent / total_iters
        a = floor(a) if staircase else a
        value = initial_learning_rate / (1 + decay_rate * a)

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0.
        step_exponent: the exponent of the step alone, not of ``t / total_iters``; not negative,
            without a unit.
        total_iters: the divisor, at least 1: in steps for ``step_exponent=1``. Not an end.
        decay_rate: how much each whole ``a`` adds to the denominator, not negative, without a unit.
        staircase: round ``a`` down to a whole number. Default False.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = InverseExponentialTimeDecayLR(
        ...     optimizer,
        ...     initial_learning_rate=0.1,
        ...     step_exponent=1.0,
        ...     total_iters=100,
        ...     decay_rate=1.0,
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.09901]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.05]
        >>> scheduler.last_epoch = 300
        >>> scheduler.get_last_lr()
        [0.025]

    Raises:
        ArgumentError: ``total_iters`` is below 1, ``step_exponent`` or ``decay_rate`` is negative,
            or a number is not finite.

    Source: see :class:`accelsched.schedules.InverseExponentialTimeDecay`, the schedule that this
    class drives, also for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values. torch has none.
    """

    initial_learning_rate = initial_val = Argument("initial")
    step_exponent = Argument("step_exponent")
    total_iters = Argument("total_iters")
    decay_rate = Argument("rate")
    staircase = Argument("staircase")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        step_exponent: float,
        total_iters: int,
        decay_rate: float,
        staircase: bool = False,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            InverseExponentialTimeDecay,
            initial=initial_learning_rate,
            step_exponent=step_exponent,
            total_iters=total_iters,
            rate=decay_rate,
            staircase=staircase,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class InverseSquareRootDecayLR(LRScheduler):
    """One over the square root of the step, held until ``warmup_steps``, without end.

    The learning rate at step ``t``::

        value = initial_learning_rate * scale / sqrt(max(t, warmup_steps, 1))

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: a factor of the learning rate, in its unit. Default 1.
        scale: another factor, without a unit. Default 1.
        warmup_steps: the step until which the rate is held; 0 counts as 1. Default 1.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = InverseSquareRootDecayLR(
        ...     optimizer, initial_learning_rate=0.1, scale=10.0, warmup_steps=100
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.last_epoch = 400
        >>> scheduler.get_last_lr()
        [0.05]

    Raises:
        ArgumentError: ``warmup_steps`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.InverseSquareRootDecay`, the schedule that this class
    drives, also for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values, but is infinite at
    step 0 for ``warmup_steps=0``. torch has none.
    """

    initial_learning_rate = initial_val = Argument("initial")
    scale = Argument("scale")
    warmup_steps = Argument("warmup_steps")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float = 1.0,
        scale: float = 1.0,
        warmup_steps: int = 1,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            InverseSquareRootDecay,
            initial=initial_learning_rate,
            scale=scale,
            warmup_steps=warmup_steps,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class CosineDecayLR(LRScheduler):
    """Half a cosine wave from one learning rate to another, then held.

    The learning rate at step ``t``::

        x = min(t / total_iters, 1)
        y = (1 + cos(pi * x)) / 2
        value = end_learning_rate + (initial_learning_rate - end_learning_rate) * y

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0.
        end_learning_rate: the learning rate at step ``total_iters`` and past it: a rate, not a
            fraction.
        total_iters: the length of the decay in steps; one of 0 steps is skipped, and is at the end.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = CosineDecayLR(
        ...     optimizer, initial_learning_rate=0.1, end_learning_rate=0.001, total_iters=100
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.099976]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.001]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.001]

    Raises:
        ArgumentError: ``total_iters`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.CosineDecay`, the schedule that this class drives, also
    for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values.
    ``torch.optim.lr_scheduler.CosineAnnealingLR(T_max, eta_min)`` has the same values up to
    ``T_max`` and rises again from there.
    """

    initial_learning_rate = initial_val = Argument("initial")
    end_learning_rate = end_val = Argument("end")
    total_iters = Argument("total_iters")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        end_learning_rate: float,
        total_iters: int,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            CosineDecay,
            initial=initial_learning_rate,
            end=end_learning_rate,
            total_iters=total_iters,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class PiecewiseConstantLR(LRScheduler):
    """One learning rate before the first milestone, and one from each milestone on.

    The learning rate at step ``t``::

        i = sum(t >= milestone for milestone in milestones)
        value = learning_rates[i]

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        learning_rates: one learning rate more than there are milestones.
        milestones: steps from 0 on, in increasing order. At a milestone the new rate is in force.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = PiecewiseConstantLR(
        ...     optimizer, learning_rates=[0.1, 0.01, 0.001], milestones=[100, 200]
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.01]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.001]
        >>> scheduler.last_epoch = 1000
        >>> scheduler.get_last_lr()
        [0.001]

    Raises:
        ArgumentError: there are too many or too few values, the milestones decrease, or a number is
            not finite.

    Source: see :class:`accelsched.schedules.PiecewiseConstant`, the schedule that this class
    drives, also for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values, and takes some wrong
    numbers of them without an error. torch has none.
    """

    learning_rates = vals = Argument("values")
    milestones = Argument("milestones")

    def __init__(
        self,
        optimizer: Optimizer | None,
        learning_rates: Sequence[float],
        milestones: Sequence[int],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(PiecewiseConstant, values=learning_rates, milestones=milestones)
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class MultiStepLR(LRScheduler):
    """A decay by the factor ``gamma`` at each milestone.

    The learning rate at step ``t``::

        n = sum(t >= milestone for milestone in milestones)
        value = initial_learning_rate * gamma**n

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate before the first milestone.
        gamma: the factor of a milestone, not negative, without a unit.
        milestones: steps from 0 on, in increasing order; one that is given twice counts twice.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = MultiStepLR(
        ...     optimizer, initial_learning_rate=0.1, gamma=0.5, milestones=[100, 200]
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.05]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.025]
        >>> scheduler.last_epoch = 1000
        >>> scheduler.get_last_lr()
        [0.025]

    Raises:
        ArgumentError: ``gamma`` is negative, the milestones decrease, or a number is not finite.

    Source: see :class:`accelsched.schedules.MultiStep`, the schedule that this class drives, also
    for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values.
    ``torch.optim.lr_scheduler.MultiStepLR`` starts from the group's rate.
    """

    initial_learning_rate = initial_val = Argument("initial")
    gamma = Argument("gamma")
    milestones = Argument("milestones")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        gamma: float,
        milestones: Sequence[int],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            MultiStep, initial=initial_learning_rate, gamma=gamma, milestones=milestones
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class StepLR(LRScheduler):
    """A decay by the factor ``gamma`` once every ``step_size`` steps, without end.

    The learning rate at step ``t``::

        value = initial_learning_rate * gamma ** (t // step_size)

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0.
        step_size: the steps from one decay to the next, at least 1.
        gamma: the factor of a decay, not negative, without a unit.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = StepLR(optimizer, initial_learning_rate=0.1, step_size=100, gamma=0.5)
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.05]
        >>> scheduler.last_epoch = 250
        >>> scheduler.get_last_lr()
        [0.025]

    Raises:
        ArgumentError: ``step_size`` is below 1, ``gamma`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.Step`, the schedule that this class drives, also for
    the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values, but decays a step
    early past step 2**24. ``torch.optim.lr_scheduler.StepLR`` starts from the group's rate.
    """

    initial_learning_rate = initial_val = Argument("initial")
    step_size = Argument("step_size")
    gamma = Argument("gamma")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        step_size: int,
        gamma: float,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            Step, initial=initial_learning_rate, step_size=step_size, gamma=gamma
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class CosineAnnealingLR(LRScheduler):
    """A cosine wave: down to ``eta_min`` in ``T_max`` steps, up again, for ever.

    The learning rate at step ``t``::

        value = eta_min + (initial_learning_rate - eta_min) * (1 + cos(pi * t / T_max)) / 2

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0, and at every even multiple of ``T_max``.
        T_max: half a period in steps, at least 1.
        eta_min: the learning rate at every odd multiple of ``T_max``. Default 0.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = CosineAnnealingLR(
        ...     optimizer, initial_learning_rate=0.1, T_max=100, eta_min=0.02
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.09998]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.02]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.1]

    Raises:
        ArgumentError: ``T_max`` is below 1, or a number is not finite.

    Source: see :class:`accelsched.schedules.CosineAnnealing`, the schedule that this class drives,
    also for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values.
    ``torch.optim.lr_scheduler.CosineAnnealingLR`` starts from the group's rate, and follows one
    that is changed from outside.
    """

    initial_learning_rate = initial_val = Argument("initial")
    T_max = Argument("T_max")
    eta_min = Argument("eta_min")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        T_max: int,
        eta_min: float = 0.0,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            CosineAnnealing, initial=initial_learning_rate, T_max=T_max, eta_min=eta_min
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine wave towards ``eta_min``, restarted at the end of each period.

    The learning rate at step ``t``::

        start, length = 0, T_0
        while t >= start + length:
            start, length = start + length, length * T_mult
        x = (t - start) / length
        value = eta_min + (initial_learning_rate - eta_min) * (1 + cos(pi * x)) / 2

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0 and at every restart.
        T_0: the length of the first period in steps, at least 1.
        T_mult: a factor, not steps: each period is this many times as long as the one before. 1, or
            from 1.01 to 2**20. Default 1.
        eta_min: the learning rate that a period falls towards; the restart comes in its place.
            Default 0.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = CosineAnnealingWarmRestarts(
        ...     optimizer, initial_learning_rate=0.1, T_0=100, T_mult=2, eta_min=0.02
        ... )
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.09998]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.last_epoch = 300
        >>> scheduler.get_last_lr()
        [0.1]

    Raises:
        ArgumentError: ``T_0`` is below 1, ``T_mult`` is out of range, or a number is not finite.

    Source: see :class:`accelsched.schedules.CosineAnnealingWarmRestarts`, the schedule that this
    class drives, also for the nearest names in optax, Keras and transformers.

    Elsewhere: ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`` has the same values, from
    the group's rate on. Cerebras' class takes no ``T_mult`` but 1, and jumps between two values
    after the first period.
    """

    initial_learning_rate = initial_val = Argument("initial")
    T_0 = Argument("T_0")
    T_mult = Argument("T_mult")
    eta_min = Argument("eta_min")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        T_0: int,
        T_mult: float = 1,
        eta_min: float = 0.0,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            WarmRestarts, initial=initial_learning_rate, T_0=T_0, T_mult=T_mult, eta_min=eta_min
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class _ModeDefault(str):
    """The default of ``scale_mode``: it equals "cycle", and stands for what ``mode`` implies."""


class CyclicLR(LRScheduler):
    """Triangles between two learning rates, whose height ``mode`` scales.

    The learning rate at step ``t``::

        cycle, since = divmod(t, step_size_up + step_size_down)
        until = step_size_up + step_size_down - since
        height = min(since / step_size_up, until / step_size_down)
        x = cycle + 1 if scale_mode == "cycle" else t
        scale = {"triangular": 1, "triangular2": 0.5 ** (x - 1), "exp_range": gamma**x}[mode]
        value = base_lr + (max_lr - base_lr) * height * scale

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        base_lr: the learning rate at the foot of a cycle, and at step 0.
        max_lr: the learning rate at the top of an unscaled cycle.
        step_size_up: the steps from the foot to the top, at least 1. Default 2000.
        step_size_down: the steps from the top to the foot, at least 1. Default: as many as up.
        mode: ``"triangular"`` keeps the height, ``"triangular2"`` halves it in each new cycle,
            ``"exp_range"`` scales it by ``gamma**x``. Default ``"triangular"``.
        gamma: the factor of ``exp_range``, not negative, without a unit. Default 1.
        scale_mode: what ``x`` counts: ``"cycle"`` counts cycles from 1, ``"iterations"`` counts
            steps from 0. Default: steps for ``exp_range`` and cycles for the others, as in the
            paper.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = CyclicLR(
        ...     optimizer, base_lr=0.01, max_lr=0.1, step_size_up=50, mode="triangular2"
        ... )
        >>> scheduler.get_last_lr()
        [0.01]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.0118]
        >>> scheduler.last_epoch = 50
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.01]
        >>> scheduler.last_epoch = 150
        >>> scheduler.get_last_lr()
        [0.055]

    Raises:
        ArgumentError: a step size is below 1, ``gamma`` is negative, a mode is unknown, or a number
            is not finite.

    Source: see :class:`accelsched.schedules.Cyclic`, the schedule that this class drives, also for
    the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name and ``torch.optim.lr_scheduler.CyclicLR`` do not obey a
    ``scale_mode`` that is given with these modes. torch's also cycles the momentum, by default.
    """

    base_lr = base_val = Argument("base_value")
    max_lr = max_val = Argument("max_value")
    step_size_up = Argument("step_size_up")
    step_size_down = Argument("step_size_down")
    mode = Argument("mode")
    gamma = Argument("gamma")
    scale_mode = Argument("scale_mode")

    def __init__(
        self,
        optimizer: Optimizer | None,
        base_lr: float,
        max_lr: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_mode: str = _ModeDefault("cycle"),
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            Cyclic,
            base_value=base_lr,
            max_value=max_lr,
            step_size_up=step_size_up,
            step_size_down=step_size_down,
            mode=mode,
            gamma=gamma,
            scale_mode=None if isinstance(scale_mode, _ModeDefault) else scale_mode,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


class OneCycleLR(LRScheduler):
    """Up to ``max_lr``, down to ``initial_learning_rate / final_div_factor``, then held.

    The learning rate at step ``t``::

        rise = pct_start * total_steps
        points = [(0, initial_learning_rate), (rise - 1, max_lr)]
        points += [(2 * rise - 2, initial_learning_rate)] if three_phase else []
        points += [(total_steps - 1, initial_learning_rate / final_div_factor)]
        (t0, v0), (t1, v1) = around(t, points)
        x = (t - t0) / (t1 - t0)
        y = (1 - cos(pi * x)) / 2 if anneal_strategy == "cos" else x
        value = v0 + (v1 - v0) * y

    ``around`` finds the points on both sides of ``t``. A phase that is left no steps is skipped.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0.
        max_lr: the learning rate at the top, at step ``pct_start * total_steps - 1``.
        total_steps: the length of the cycle in steps, at least 1; its last step is
            ``total_steps - 1``. Default 1000.
        pct_start: the fraction of the steps in which the rate rises, between 0 and 1, both
            excluded; at most 0.5 with ``three_phase``. Default 0.3.
        final_div_factor: the first learning rate over the last, above 0, without a unit. Default
            10,000.
        three_phase: fall to the first learning rate as steeply as it rose, and then on to the last.
            Default False.
        anneal_strategy: ``"cos"`` for half a cosine wave in each phase, ``"linear"`` for a straight
            line. Default ``"cos"``.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = OneCycleLR(
        ...     optimizer, initial_learning_rate=0.004, max_lr=0.1, total_steps=100
        ... )
        >>> scheduler.get_last_lr()
        [0.004]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.004281]
        >>> scheduler.last_epoch = 29
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.last_epoch = 99
        >>> scheduler.get_last_lr()
        [4e-07]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [4e-07]

    Raises:
        ArgumentError: a count or factor is not above 0, ``pct_start`` is no such fraction, the
            strategy is unknown, or a number is not finite.

    Source: see :class:`accelsched.schedules.OneCycle`, the schedule that this class drives, also
    for the nearest names in optax, Keras and transformers.

    Elsewhere: ``torch.optim.lr_scheduler.OneCycleLR`` takes ``div_factor``, which is
    ``max_lr / initial_learning_rate``, cycles the momentum by default, and refuses steps past the
    end. Cerebras' class of this name rises again past the end.
    """

    initial_learning_rate = initial_val = Argument("initial")
    max_lr = max_val = Argument("max_value")
    total_steps = Argument("total_steps")
    pct_start = Argument("pct_start")
    final_div_factor = Argument("final_div_factor")
    three_phase = Argument("three_phase")
    anneal_strategy = Argument("anneal_strategy")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        max_lr: float,
        total_steps: int = 1000,
        pct_start: float = 0.3,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        anneal_strategy: str = "cos",
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            OneCycle,
            initial=initial_learning_rate,
            max_value=max_lr,
            total_steps=total_steps,
            pct_start=pct_start,
            final_div_factor=final_div_factor,
            three_phase=three_phase,
            anneal_strategy=anneal_strategy,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )


# Schedulers that a subclass completes with functions of its own.


class _FunctionsLR(LRScheduler):
    """The base of classes whose functions come from the class itself, so they can be pickled."""

    def set_value_lambda(self) -> Any:
        raise NotImplementedError

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        given = self.set_value_lambda()
        return (given,) if callable(given) else tuple(given)

    def _attributes(self) -> dict[str, Any]:
        attributes = super()._attributes()
        names = ("_schedules", "_given")
        without = {name: self._with_functions(attributes[name], ()) for name in names}
        return {**attributes, **without}

    def _restore(self, attributes: dict[str, Any]) -> None:
        super()._restore(attributes)
        functions = self._functions()
        self._given = self._with_functions(self._given, functions)
        self._schedules = self._with_functions(self._schedules, functions)

    @staticmethod
    def _with_functions(
        schedules: Sequence[Schedule], functions: tuple[Callable[..., Any], ...]
    ) -> tuple[Schedule, ...]:
        return tuple(
            dataclasses.replace(s, functions=functions) if isinstance(s, Lambda) else s
            for s in schedules
        )


class LambdaLR(_FunctionsLR):
    """The initial learning rate times the functions that :meth:`set_value_lambda` returns.

    The learning rate at step ``t``::

        n = t if total_iters is None else min(t, total_iters)
        value = initial_learning_rate * prod(function(n) for function in functions)

    Override :meth:`set_value_lambda` in a subclass.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate that the functions multiply.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        total_iters: make a table of the functions up to this step, and hold its last value: for
            functions in ``math``, NumPy, ``min`` or an ``if``, which cannot be traced. Default: no
            table.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> class InverseTime(LambdaLR):
        ...     def set_value_lambda(self):
        ...         return [lambda step: 1 / (1 + step / 100)]
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = InverseTime(optimizer, initial_learning_rate=0.1)
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.09901]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.05]
        >>> scheduler.last_epoch = 300
        >>> scheduler.get_last_lr()
        [0.025]

    Raises:
        ArgumentError: a table would be too long, or a value is not finite.

    Source: see :class:`accelsched.schedules.Lambda`, the schedule that this class drives, also for
    what a function may do, and for optax and Keras.

    Elsewhere: ``torch.optim.lr_scheduler.LambdaLR`` takes its functions as an argument, one for
    each param group, and runs them on the host. Cerebras' class of this name multiplies by the
    initial rate once for each function.
    """

    initial_learning_rate = initial_val = Argument("initial")
    total_iters = Argument("total_iters")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        param_group_tags: Tags = None,
        total_iters: int | None = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        schedule = self._schedule(
            Lambda,
            initial=initial_learning_rate,
            functions=self._functions(),
            total_iters=total_iters,
        )
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )

    def set_value_lambda(self) -> Any:
        """Return a function of the step, or a list of them: override it.

        See :class:`accelsched.schedules.Lambda` for what such a function may do.
        """
        return [lambda step: step / 30, lambda step: 0.95**step]


class MultiplicativeLR(_FunctionsLR):
    """A decay by the same factor at every step, without end.

    The learning rate at step ``t``::

        value = initial_learning_rate * coefficient ** t

    A subclass may override :meth:`set_value_lambda`, whose function of the step then stands for
    ``coefficient``.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_learning_rate: the learning rate at step 0.
        coefficient: the factor of one step, not negative, without a unit.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = MultiplicativeLR(optimizer, initial_learning_rate=0.1, coefficient=0.5)
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.05]
        >>> scheduler.last_epoch = 2
        >>> scheduler.get_last_lr()
        [0.025]
        >>> scheduler.last_epoch = 4
        >>> scheduler.get_last_lr()
        [0.00625]

    Raises:
        ArgumentError: ``coefficient`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.Multiplicative`, the schedule that this class drives,
    also for the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and values.
    ``torch.optim.lr_scheduler.ExponentialLR(gamma)`` is the same from the group's rate on;
    ``torch.optim.lr_scheduler.MultiplicativeLR`` takes a function of the step.
    """

    initial_learning_rate = initial_val = Argument("initial")
    coefficient = Argument("coefficient")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        coefficient: float,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        initial: dict[str, Any] = {"initial": initial_learning_rate}
        if type(self).set_value_lambda is MultiplicativeLR.set_value_lambda:
            schedule = self._schedule(Multiplicative, coefficient=coefficient, **initial)
        else:
            schedule = self._schedule(Lambda, functions=self._functions(), **initial)
        super().__init__(
            optimizer, schedule, param_group_tags=param_group_tags, last_epoch=last_epoch
        )

    def set_value_lambda(self) -> Any:
        """Return a function from the step to the coefficient, which is raised to the step."""
        return lambda step: self.coefficient

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        coefficient = self.set_value_lambda()
        return (lambda step: coefficient(step) ** step,)


# Schedulers of schedulers.


class _Composite(Composite, LRScheduler):
    """The base of the schedulers that are made of schedulers."""

    @property
    def schedulers(self) -> list[Scheduler]:
        """The schedulers that this one was made of."""
        return list(self._children)

    def _require_alike(self, saved: dict[str, Any]) -> None:
        Composite._require_alike(self, saved)


class SequentialLR(_Composite):
    """One scheduler after the other; each counts its own steps from 0 at its milestone.

    The learning rate at step ``t``, where ``scheduler(t)`` is that of a scheduler at its step
    ``t``::

        starts = [0, *milestones]
        i = sum(t >= milestone for milestone in milestones)
        value = schedulers[i](t - starts[i])

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        schedulers: one scheduler more than there are milestones; they may be composed themselves.
            Step this scheduler only: it drives them.
        milestones: steps from 0 on, in increasing order. At a milestone the next scheduler is in
            force.
        last_epoch: start one step after this one, the schedulers with it. Default -1: step 0.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = SequentialLR(
        ...     optimizer,
        ...     schedulers=[
        ...         LinearLR(optimizer, 0.0, 0.1, total_iters=10),
        ...         CosineDecayLR(optimizer, 0.1, 0.0, total_iters=90),
        ...     ],
        ...     milestones=[10],
        ... )
        >>> scheduler.get_last_lr()
        [0.0]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.01]
        >>> scheduler.last_epoch = 10
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.0]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.0]

    Raises:
        ArgumentError: there are too many or too few schedulers, one is bound to another optimizer
            or is a part already, or the milestones decrease.

    Source: see :class:`accelsched.schedules.Sequential`, the schedule that this class drives, also
    for optax.

    Elsewhere: Cerebras' class of this name and ``torch.optim.lr_scheduler.SequentialLR`` have the
    same values, but go wrong where one is inside of another.
    """

    def __init__(
        self,
        optimizer: Optimizer | None,
        schedulers: Sequence[Scheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
        param_group_tags: Tags = None,
    ) -> None:
        self._milestones: Sequence[int] = milestones
        super().__init__(
            optimizer, schedulers, param_group_tags=param_group_tags, last_epoch=last_epoch
        )

    def _require_alike(self, saved: dict[str, Any]) -> None:
        super()._require_alike(saved)
        state.require_alike(saved["_milestones"], self.milestones, "milestones")

    @property
    def milestones(self) -> list[int]:
        """The steps at which the next scheduler takes over."""
        return list(self._milestones)

    @milestones.setter
    def milestones(self, milestones: Sequence[int]) -> None:
        before, self._milestones = self._milestones, milestones
        try:
            self.recompose()
        except ArgumentError:
            self._milestones = before
            raise

    def composed(self, index: int) -> Schedule:
        parts = tuple(schedule_of(child, index) for child in self._children)
        return self._schedule(Sequential, schedules=parts, milestones=self._milestones)

    def distribute(self, schedule: Schedule) -> Sequence[Schedule]:
        assert isinstance(schedule, Sequential)
        self._milestones = schedule.milestones
        return schedule.schedules


class ChainedLR(_Composite):
    """The first scheduler times the relative factor of each of the others.

    The learning rate at step ``t``, where ``scheduler(t)`` is that of a scheduler at step ``t``::

        value = schedulers[0](t) * prod(s(t) / (s.base or 1) for s in schedulers[1:])

    ``base`` is the initial learning rate of a scheduler. Where it is 0, as that of a warm-up from 0
    is, the learning rate itself is the factor.

    Args:
        schedulers: at least one, all of the same optimizer; they may be composed themselves. Step
            this scheduler only: it drives them.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> decay = StepLR(optimizer, 0.1, step_size=100, gamma=0.5)
        >>> warmup = LinearLR(optimizer, 0.0, 1.0, total_iters=10)
        >>> scheduler = ChainedLR([decay, warmup])
        >>> scheduler.get_last_lr()
        [0.0]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.01]
        >>> scheduler.last_epoch = 10
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.025]

    Raises:
        ArgumentError: there is no scheduler, or one has another optimizer or is a part already.

    Source: see :class:`accelsched.schedules.Chained`, the schedule that this class drives.

    Elsewhere: Cerebras' class of this name is not finite where a later scheduler starts from 0.
    ``torch.optim.lr_scheduler.ChainedScheduler`` multiplies step by step, and so steps on from a
    rate that was changed from outside.
    """

    def __init__(
        self,
        schedulers: Sequence[Scheduler],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        require(len(schedulers) > 0, "schedulers", schedulers, "give at least one")
        first = schedulers[0]
        if not isinstance(first, Scheduler):
            raise ArgumentError("schedulers[0]", first, "give a scheduler of accelsched")
        super().__init__(
            first.optimizer, schedulers, param_group_tags=param_group_tags, last_epoch=last_epoch
        )

    def composed(self, index: int) -> Schedule:
        return Chained(tuple(schedule_of(child, index) for child in self._children))

    def distribute(self, schedule: Schedule) -> Sequence[Schedule]:
        assert isinstance(schedule, Chained)
        return schedule.schedules


class ChainedScheduler(ChainedLR):
    """:class:`ChainedLR` by the name that torch gives it; see there for formula and arguments."""


class ScalePerParamLR(_Composite):
    """A scheduler's learning rate times a factor of each param group, its ``adjust_learning_rate``.

    The learning rate at step ``t``, where ``scheduler(t)`` is that of the scheduler at step ``t``::

        value = adjust_learning_rate * scheduler(t)

    ``adjust_learning_rate`` is a key of the param group. A group without it is not scaled.
    Layer-wise learning rates and muP use it.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        scheduler: the scheduler to scale; it may be composed itself. Step this scheduler only: it
            drives the other.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.

    Example:
        >>> import torch
        >>> groups = [
        ...     {"params": [torch.zeros(1)], "adjust_learning_rate": 0.5},
        ...     {"params": [torch.zeros(1)]},
        ... ]
        >>> optimizer = torch.optim.SGD(groups, lr=1.0)
        >>> decay = LinearLR(optimizer, 0.1, 0.0, total_iters=100)
        >>> scheduler = ScalePerParamLR(optimizer, decay)
        >>> scheduler.get_last_lr()
        [0.05, 0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.0495, 0.099]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.0, 0.0]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_lr()
        [0.0, 0.0]

    Raises:
        ArgumentError: the scheduler has another optimizer, or is a part already.

    Source: Yang et al., Tensor Programs V (muP), arXiv:2203.03466. The schedule that this class
    drives is :class:`accelsched.schedules.Scaled`, with a factor for each group.

    Elsewhere: Cerebras' class of this name, whose factor is lost inside of other schedulers. torch
    has none: give each param group a rate of its own.
    """

    child_name = "scheduler"

    def __init__(
        self,
        optimizer: Optimizer | None,
        scheduler: Scheduler,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
    ) -> None:
        self._scalars = [1.0]
        super().__init__(
            optimizer, [scheduler], param_group_tags=param_group_tags, last_epoch=last_epoch
        )

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        groups = group_values.optimizer.param_groups
        self._scalars = [
            group.get("adjust_learning_rate", group.get("adjust_val", 1.0)) for group in groups
        ]
        return super()._schedules_for(group_values)

    @property
    def adjustment_scalars(self) -> list[float]:
        """The factor of each of the optimizer's param groups."""
        return list(self._scalars)

    @adjustment_scalars.setter
    def adjustment_scalars(self, scalars: Sequence[float]) -> None:
        count = len(self._scalars)
        right = len(scalars) == count
        require(right, "adjustment_scalars", scalars, f"give one for each of {count} param groups")
        before, self._scalars = self._scalars, list(scalars)
        try:
            self.recompose()
        except ArgumentError:
            self._scalars = before
            raise

    lr_adjustment_scalars = adjustment_scalars

    def composed(self, index: int) -> Schedule:
        child = schedule_of(self._children[0], index)
        return Scaled(child, self._scalars[index])

    def distribute(self, schedule: Schedule) -> Sequence[Schedule]:
        assert isinstance(schedule, Scaled)
        return (schedule.schedule,)

    def _take_over(self, schedules: Sequence[Schedule]) -> None:
        super()._take_over(schedules)
        for index, schedule in zip(self.indices, schedules, strict=True):
            assert isinstance(schedule, Scaled)
            self._scalars[index] = schedule.factor
