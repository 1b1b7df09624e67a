"""The schedulers of ``cerebras.pytorch.optim.scheduler``, by the same names, for any key.

:class:`Scheduler` drives a key by any schedule. The other classes take the arguments of one
schedule. They have no key: a subclass sets ``param_group_key``. The classes of
:mod:`accelsched.lr_scheduler` and :mod:`accelsched.weight_decay_scheduler` derive from them.

Values are absolute: a new scheduler overwrites the value in the group. Every scheduler is a closed
form of the step, so it resumes at any step without drift. Arguments can be read and set as
attributes; a new value takes effect at the next step. If the optimizer is None, bind the scheduler
later: ``scheduler(optimizer)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer

from accelsched._binding import state
from accelsched._binding.arguments import Argument, WithArguments, argument_names
from accelsched._binding.composite import Composite, schedule_of
from accelsched._binding.given import as_list, not_a_scheduler
from accelsched._binding.param_groups import GroupValues, Tags
from accelsched._binding.scheduler import Scheduler
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
    "ChainedScheduler",
    "ConstantScheduler",
    "CosineAnnealingScheduler",
    "CosineAnnealingWarmRestartsScheduler",
    "CosineDecayScheduler",
    "CyclicScheduler",
    "ExponentialScheduler",
    "InverseExponentialTimeDecayScheduler",
    "InverseSquareRootDecayScheduler",
    "LambdaScheduler",
    "LinearScheduler",
    "MultiStepScheduler",
    "MultiplicativeScheduler",
    "OneCycleScheduler",
    "PiecewiseConstantScheduler",
    "PolynomialScheduler",
    "ScalePerParamScheduler",
    "Scheduler",
    "SequentialScheduler",
    "StepScheduler",
]


class ConstantScheduler(WithArguments):
    """The same value at every step.

    The value at step ``t``::

        value = val

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        val: the value, at every step.
        total_iters: accepted for compatibility, not used: a constant has no end. Default None.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(ConstantScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(optimizer, val=0.1)
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.1]
        >>> scheduler.last_epoch = 1000
        >>> scheduler.get_last_value()
        [0.1]

    Raises:
        ArgumentError: the value is not a number, or is not finite.

    Source: see :class:`accelsched.schedules.Constant`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve.
    """

    val = Argument("value")

    def __init__(
        self,
        optimizer: Optimizer | None,
        val: float,
        total_iters: int | None = None,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        self.total_iters = total_iters
        schedule = self._schedule(Constant, value=val)
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class PolynomialScheduler(WithArguments):
    """A polynomial decay from one value to another, then held.

    The value at step ``t``::

        n = total_iters * max(1, ceil(t / total_iters)) if cycle else total_iters
        x = min(t / n, 1)
        value = end_val + (initial_val - end_val) * (1 - x) ** power

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0.
        end_val: the value at step ``total_iters`` and past it.
        total_iters: the length of the decay in steps; with 0 the value is ``end_val`` throughout.
        power: the exponent, above 0, without a unit. Default 1: a straight line.
        cycle: past the end, jump back and run to ``end_val`` again, over a span stretched to the
            next multiple of ``total_iters``. Default False.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(PolynomialScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer,
        ...     initial_val=0.1,
        ...     end_val=0.02,
        ...     total_iters=100,
        ...     power=2.0,
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.098408]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.02]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.02]

    Raises:
        ArgumentError: ``total_iters`` is negative, ``power`` is not above 0, or a number is not
            finite.

    Source: see :class:`accelsched.schedules.Polynomial`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments; its ``cycle`` has no effect.
    """

    initial_val = Argument("initial")
    end_val = Argument("end")
    total_iters = Argument("total_iters")
    power = Argument("power")
    cycle = Argument("cycle")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        end_val: float,
        total_iters: int,
        power: float = 1.0,
        cycle: bool = False,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            Polynomial,
            initial=initial_val,
            end=end_val,
            total_iters=total_iters,
            power=power,
            cycle=cycle,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class LinearScheduler(WithArguments):
    """A straight line from one value to another, then held.

    The value at step ``t``::

        n = total_iters * max(1, ceil(t / total_iters)) if cycle else total_iters
        x = min(t / n, 1)
        value = initial_val + (end_val - initial_val) * x

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0.
        end_val: the value at step ``total_iters`` and past it.
        total_iters: the length of the line in steps; with 0 the value is ``end_val`` throughout.
        cycle: past the end, jump back and run to ``end_val`` again, over a span stretched to the
            next multiple of ``total_iters``. Default False.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(LinearScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, initial_val=0.0, end_val=0.1, total_iters=100
        ... )
        >>> scheduler.get_last_value()
        [0.0]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.001]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.1]

    Raises:
        ArgumentError: ``total_iters`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.Linear`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments; its ``cycle`` has no effect.
    """

    initial_val = Argument("initial")
    end_val = Argument("end")
    total_iters = Argument("total_iters")
    cycle = Argument("cycle")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        end_val: float,
        total_iters: int,
        cycle: bool = False,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            Linear,
            initial=initial_val,
            end=end_val,
            total_iters=total_iters,
            cycle=cycle,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )

    def _settings_of_cerebras(self, step: int) -> dict[str, Any]:
        # Cerebras' class derives from its PolynomialScheduler, so the state has a power.
        return {**super()._settings_of_cerebras(step), "power": 1.0}


class ExponentialScheduler(WithArguments):
    """A decay by the factor ``decay_rate`` every ``total_iters`` steps, without end.

    The value at step ``t``::

        k = t // total_iters if staircase else t / total_iters
        value = initial_val * decay_rate ** k

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0.
        total_iters: the number of steps that multiply the value by ``decay_rate``, at least 1. The
            decay does not end there.
        decay_rate: the factor per ``total_iters`` steps, not per step; not negative, without a
            unit.
        staircase: apply whole factors only, one every ``total_iters`` steps. Default False.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(ExponentialScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, initial_val=0.1, total_iters=100, decay_rate=0.5
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.099309]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.05]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.025]

    Raises:
        ArgumentError: ``total_iters`` is below 1, ``decay_rate`` is negative, or a number is not
            finite.

    Source: see :class:`accelsched.schedules.Exponential`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve.
    """

    initial_val = Argument("initial")
    total_iters = Argument("total_iters")
    decay_rate = Argument("rate")
    staircase = Argument("staircase")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        total_iters: int,
        decay_rate: float,
        staircase: bool = False,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            Exponential,
            initial=initial_val,
            total_iters=total_iters,
            rate=decay_rate,
            staircase=staircase,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class InverseExponentialTimeDecayScheduler(WithArguments):
    """An inverse time decay with a power of the step, without end.

    The value at step ``t``::

        a = t**step_exponent / total_iters
        a = floor(a) if staircase else a
        value = initial_val / (1 + decay_rate * a)

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0.
        step_exponent: the exponent of the step alone, not of ``t / total_iters``; not negative,
            without a unit.
        total_iters: the divisor, at least 1; in steps if ``step_exponent=1``. The decay does not
            end there.
        decay_rate: the factor of ``a`` in the denominator, not negative, without a unit.
        staircase: round ``a`` down to a whole number. Default False.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(InverseExponentialTimeDecayScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer,
        ...     initial_val=0.1,
        ...     step_exponent=1.0,
        ...     total_iters=100,
        ...     decay_rate=1.0,
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.09901]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.05]
        >>> scheduler.last_epoch = 300
        >>> scheduler.get_last_value()
        [0.025]

    Raises:
        ArgumentError: ``total_iters`` is below 1, ``step_exponent`` or ``decay_rate`` is negative,
            or a number is not finite.

    Source: see :class:`accelsched.schedules.InverseExponentialTimeDecay`, the schedule that this
    class drives. Its docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve.
    """

    initial_val = Argument("initial")
    step_exponent = Argument("step_exponent")
    total_iters = Argument("total_iters")
    decay_rate = Argument("rate")
    staircase = Argument("staircase")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        step_exponent: float,
        total_iters: int,
        decay_rate: float,
        staircase: bool = False,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            InverseExponentialTimeDecay,
            initial=initial_val,
            step_exponent=step_exponent,
            total_iters=total_iters,
            rate=decay_rate,
            staircase=staircase,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class InverseSquareRootDecayScheduler(WithArguments):
    """An inverse square root decay, constant until ``warmup_steps``, without end.

    The value at step ``t``::

        value = initial_val * scale / sqrt(max(t, warmup_steps, 1))

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: a factor, in the unit of the value. Default 1.
        scale: another factor, without a unit. Default 1.
        warmup_steps: hold the value constant until this step; 0 counts as 1. Default 1.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(InverseSquareRootDecayScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, initial_val=0.1, scale=10.0, warmup_steps=100
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.last_epoch = 400
        >>> scheduler.get_last_value()
        [0.05]

    Raises:
        ArgumentError: ``warmup_steps`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.InverseSquareRootDecay`, the schedule that this class
    drives. Its docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve, but returns infinity
    at step 0 if ``warmup_steps=0``.
    """

    initial_val = Argument("initial")
    scale = Argument("scale")
    warmup_steps = Argument("warmup_steps")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float = 1.0,
        scale: float = 1.0,
        warmup_steps: int = 1,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            InverseSquareRootDecay,
            initial=initial_val,
            scale=scale,
            warmup_steps=warmup_steps,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class CosineDecayScheduler(WithArguments):
    """Half a cosine wave from one value to another, then held.

    The value at step ``t``::

        x = min(t / total_iters, 1)
        y = (1 + cos(pi * x)) / 2
        value = end_val + (initial_val - end_val) * y

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0.
        end_val: the value at step ``total_iters`` and past it, not a fraction of ``initial_val``.
        total_iters: the length of the decay in steps; with 0 the value is ``end_val`` throughout.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(CosineDecayScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, initial_val=0.1, end_val=0.001, total_iters=100
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.099976]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.001]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.001]

    Raises:
        ArgumentError: ``total_iters`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.CosineDecay`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve.
    """

    initial_val = Argument("initial")
    end_val = Argument("end")
    total_iters = Argument("total_iters")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        end_val: float,
        total_iters: int,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            CosineDecay,
            initial=initial_val,
            end=end_val,
            total_iters=total_iters,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class PiecewiseConstantScheduler(WithArguments):
    """One value before the first milestone, and one from each milestone on.

    The value at step ``t``::

        i = sum(t >= milestone for milestone in milestones)
        value = vals[i]

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        constant_cls: the class that Cerebras builds the pieces from; here only the state uses it.
        vals: the values, one more than there are milestones.
        milestones: steps, 0 or more, in increasing order. At each, the next value takes effect.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(PiecewiseConstantScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer,
        ...     constant_cls=ConstantScheduler,
        ...     vals=[0.1, 0.01, 0.001],
        ...     milestones=[100, 200],
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.01]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.001]
        >>> scheduler.last_epoch = 1000
        >>> scheduler.get_last_value()
        [0.001]

    Raises:
        ArgumentError: there are too many or too few values, the milestones decrease, or a number is
            not finite.

    Source: see :class:`accelsched.schedules.PiecewiseConstant`, the schedule that this class
    drives. Its docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve, but accepts some wrong
    counts of values and milestones without an error.
    """

    vals = Argument("values")
    milestones = Argument("milestones")

    def __init__(
        self,
        optimizer: Optimizer | None,
        constant_cls: type[Scheduler],
        vals: Sequence[float],
        milestones: Sequence[int],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        self._constant_cls = constant_cls
        schedule = self._schedule(PiecewiseConstant, values=vals, milestones=milestones)
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )

    def _settings_of_cerebras(self, step: int) -> dict[str, Any]:
        # Cerebras' class saves a sequence of constants.
        name = argument_names(self._constant_cls).get("value", "val")
        values = zip(state.at_phases(step, self.milestones), self.vals, strict=True)
        parts = [{"last_epoch": at, name: value} for at, value in values]
        return {"_schedulers": parts, "_milestones": self.milestones}


class MultiStepScheduler(WithArguments):
    """A decay by the factor ``gamma`` at each milestone.

    The value at step ``t``::

        n = sum(t >= milestone for milestone in milestones)
        value = initial_val * gamma**n

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value before the first milestone.
        gamma: the factor at each milestone, not negative, without a unit.
        milestones: steps, 0 or more, in increasing order; a step that is given twice counts twice.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(MultiStepScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, initial_val=0.1, gamma=0.5, milestones=[100, 200]
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.05]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.025]
        >>> scheduler.last_epoch = 1000
        >>> scheduler.get_last_value()
        [0.025]

    Raises:
        ArgumentError: ``gamma`` is negative, the milestones decrease, or a number is not finite.

    Source: see :class:`accelsched.schedules.MultiStep`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve.
    """

    initial_val = Argument("initial")
    gamma = Argument("gamma")
    milestones = Argument("milestones")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        gamma: float,
        milestones: Sequence[int],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            MultiStep, initial=initial_val, gamma=gamma, milestones=milestones
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class StepScheduler(WithArguments):
    """A decay by the factor ``gamma`` once every ``step_size`` steps, without end.

    The value at step ``t``::

        value = initial_val * gamma ** (t // step_size)

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0.
        step_size: the steps from one decay to the next, at least 1.
        gamma: the factor of each decay, not negative, without a unit.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(StepScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(optimizer, initial_val=0.1, step_size=100, gamma=0.5)
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.05]
        >>> scheduler.last_epoch = 250
        >>> scheduler.get_last_value()
        [0.025]

    Raises:
        ArgumentError: ``step_size`` is below 1, ``gamma`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.Step`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve, but decays one step
    early after step 2**24.
    """

    initial_val = Argument("initial")
    step_size = Argument("step_size")
    gamma = Argument("gamma")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        step_size: int,
        gamma: float,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(Step, initial=initial_val, step_size=step_size, gamma=gamma)
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class CosineAnnealingScheduler(WithArguments):
    """A cosine wave that falls to ``eta_min`` in ``T_max`` steps and rises again, without end.

    The value at step ``t``::

        value = eta_min + (initial_val - eta_min) * (1 + cos(pi * t / T_max)) / 2

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0, and at every even multiple of ``T_max``.
        T_max: half a period in steps, at least 1.
        eta_min: the value at every odd multiple of ``T_max``. Default 0.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(CosineAnnealingScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, initial_val=0.1, T_max=100, eta_min=0.02
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.09998]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.02]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.1]

    Raises:
        ArgumentError: ``T_max`` is below 1, or a number is not finite.

    Source: see :class:`accelsched.schedules.CosineAnnealing`, the schedule that this class drives.
    Its docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve.
    """

    initial_val = Argument("initial")
    T_max = Argument("T_max")
    eta_min = Argument("eta_min")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        T_max: int,
        eta_min: float = 0.0,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            CosineAnnealing, initial=initial_val, T_max=T_max, eta_min=eta_min
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class CosineAnnealingWarmRestartsScheduler(WithArguments):
    """Half a cosine wave towards ``eta_min``, restarted at the end of each period.

    The value at step ``t``::

        start, length = 0, T_0
        while t >= start + length:
            start, length = start + length, length * T_mult
        x = (t - start) / length
        value = eta_min + (initial_val - eta_min) * (1 + cos(pi * x)) / 2

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0 and at every restart.
        T_0: the length of the first period in steps, at least 1.
        T_mult: each period is this many times as long as the one before. A factor, not steps: 1, or
            1.01 to 2**20. Default 1.
        eta_min: the value that each period falls toward; the restart comes before the curve reaches
            it. Default 0.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(CosineAnnealingWarmRestartsScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, initial_val=0.1, T_0=100, T_mult=2, eta_min=0.02
        ... )
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.09998]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.last_epoch = 300
        >>> scheduler.get_last_value()
        [0.1]

    Raises:
        ArgumentError: ``T_0`` is below 1, ``T_mult`` is out of range, or a number is not finite.

    Source: see :class:`accelsched.schedules.CosineAnnealingWarmRestarts`, the schedule that this
    class drives. Its docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name accepts only ``T_mult=1``, and jumps up and down after
    the first period.
    """

    initial_val = Argument("initial")
    T_0 = Argument("T_0")
    T_mult = Argument("T_mult")
    eta_min = Argument("eta_min")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        T_0: int,
        T_mult: float = 1,
        eta_min: float = 0.0,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            WarmRestarts, initial=initial_val, T_0=T_0, T_mult=T_mult, eta_min=eta_min
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class _ModeDefault(str):
    """The default of ``scale_mode``: equal to "cycle", but means what ``mode`` implies."""


#: The default that signatures show.
MODE_DEFAULT = _ModeDefault("cycle")


class CyclicScheduler(WithArguments):
    """A triangle wave between two values; ``mode`` scales its height.

    The value at step ``t``::

        cycle, since = divmod(t, step_size_up + step_size_down)
        until = step_size_up + step_size_down - since
        height = min(since / step_size_up, until / step_size_down)
        x = cycle + 1 if scale_mode == "cycle" else t
        scale = {"triangular": 1, "triangular2": 0.5 ** (x - 1), "exp_range": gamma**x}[mode]
        value = base_val + (max_val - base_val) * height * scale

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        base_val: the value at the foot of a cycle, and at step 0.
        max_val: the value at the top of an unscaled cycle.
        step_size_up: the steps from the foot to the top, at least 1. Default 2000.
        step_size_down: the steps from the top to the foot, at least 1. Default: ``step_size_up``.
        mode: ``"triangular"`` keeps the height, ``"triangular2"`` halves it in each new cycle,
            ``"exp_range"`` scales it by ``gamma**x``. Default ``"triangular"``.
        gamma: the factor of ``exp_range``, not negative, without a unit. Default 1.
        scale_mode: what ``x`` counts: ``"cycle"`` counts cycles from 1, ``"iterations"`` counts
            steps from 0. Default: as in the paper, steps for ``exp_range`` and cycles for the other
            modes.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(CyclicScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, base_val=0.01, max_val=0.1, step_size_up=50, mode="triangular2"
        ... )
        >>> scheduler.get_last_value()
        [0.01]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.0118]
        >>> scheduler.last_epoch = 50
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.01]
        >>> scheduler.last_epoch = 150
        >>> scheduler.get_last_value()
        [0.055]

    Raises:
        ArgumentError: a step size is below 1, ``gamma`` is negative, a mode is unknown, or a number
            is not finite.

    Source: see :class:`accelsched.schedules.Cyclic`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name does not use a ``scale_mode`` that is given with one of
    these modes.
    """

    base_val = Argument("base_value")
    max_val = Argument("max_value")
    step_size_up = Argument("step_size_up")
    step_size_down = Argument("step_size_down")
    mode = Argument("mode")
    gamma = Argument("gamma")
    scale_mode = Argument("scale_mode")

    def __init__(
        self,
        optimizer: Optimizer | None,
        base_val: float,
        max_val: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_mode: str = MODE_DEFAULT,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            Cyclic,
            base_value=base_val,
            max_value=max_val,
            step_size_up=step_size_up,
            step_size_down=step_size_down,
            mode=mode,
            gamma=gamma,
            scale_mode=None if isinstance(scale_mode, _ModeDefault) else scale_mode,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class OneCycleScheduler(WithArguments):
    """A rise to ``max_val``, then a fall to ``initial_val / final_div_factor``, then held.

    The value at step ``t``::

        rise = pct_start * total_steps
        points = [(0, initial_val), (rise - 1, max_val)]
        points += [(2 * rise - 2, initial_val)] if three_phase else []
        points += [(total_steps - 1, initial_val / final_div_factor)]
        (t0, v0), (t1, v1) = around(t, points)
        x = (t - t0) / (t1 - t0)
        y = (1 - cos(pi * x)) / 2 if anneal_strategy == "cos" else x
        value = v0 + (v1 - v0) * y

    ``around`` returns the points on both sides of ``t``. A phase without steps is skipped.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0.
        max_val: the value at the top, at step ``pct_start * total_steps - 1``.
        total_steps: the length of the cycle in steps, at least 1; its last step is
            ``total_steps - 1``. Default 1000.
        pct_start: the fraction of the steps in which the value rises, between 0 and 1, both
            excluded; at most 0.5 with ``three_phase``. Default 0.3.
        final_div_factor: the first value divided by the last, above 0, without a unit. Default
            10,000.
        three_phase: fall to the first value in as many steps as the rise took, then to the last
            one. Default False.
        anneal_strategy: ``"cos"`` for half a cosine wave in each phase, ``"linear"`` for a straight
            line. Default ``"cos"``.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(OneCycleScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer, initial_val=0.004, max_val=0.1, total_steps=100
        ... )
        >>> scheduler.get_last_value()
        [0.004]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.004281]
        >>> scheduler.last_epoch = 29
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.last_epoch = 99
        >>> scheduler.get_last_value()
        [4e-07]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [4e-07]

    Raises:
        ArgumentError: ``total_steps`` or ``final_div_factor`` is not above 0, ``pct_start`` is out
            of range, the strategy is unknown, or a number is not finite.

    Source: see :class:`accelsched.schedules.OneCycle`, the schedule that this class drives. Its
    docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name rises again past the end.
    """

    initial_val = Argument("initial")
    max_val = Argument("max_value")
    total_steps = Argument("total_steps")
    pct_start = Argument("pct_start")
    final_div_factor = Argument("final_div_factor")
    three_phase = Argument("three_phase")
    anneal_strategy = Argument("anneal_strategy")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        max_val: float,
        total_steps: int = 1000,
        pct_start: float = 0.3,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        anneal_strategy: str = "cos",
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            OneCycle,
            initial=initial_val,
            max_value=max_val,
            total_steps=total_steps,
            pct_start=pct_start,
            final_div_factor=final_div_factor,
            three_phase=three_phase,
            anneal_strategy=anneal_strategy,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class _FunctionsScheduler(WithArguments):
    """The base of classes that get their functions from a method: pickles leave them out."""

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


class LambdaScheduler(_FunctionsScheduler):
    """The initial value times the functions that :meth:`set_value_lambda` returns.

    The value at step ``t``::

        n = t if total_iters is None else min(t, total_iters)
        value = initial_val * prod(function(n) for function in functions)

    Override :meth:`set_value_lambda` in a subclass.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value that the functions multiply.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        total_iters: make a table of the functions up to this step, and hold its last number. For
            functions that cannot be traced, as they use ``math``, NumPy, ``min`` or an ``if``.
            Default: no table.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class InverseTime(LambdaScheduler):
        ...     param_group_key = "momentum"
        ...     def set_value_lambda(self):
        ...         return [lambda step: 1 / (1 + step / 100)]
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = InverseTime(optimizer, initial_val=0.1)
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.09901]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.05]
        >>> scheduler.last_epoch = 300
        >>> scheduler.get_last_value()
        [0.025]

    Raises:
        ArgumentError: a table would be too long, or a value is not finite.

    Source: see :class:`accelsched.schedules.Lambda`, the schedule that this class drives. Its
    docstring also covers what a function may do, optax and Keras.

    Elsewhere: Cerebras' class of this name multiplies by the initial value once for each function.
    """

    initial_val = Argument("initial")
    total_iters = Argument("total_iters")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        param_group_tags: Tags = None,
        total_iters: int | None = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        schedule = self._schedule(
            Lambda,
            initial=initial_val,
            functions=self._functions(),
            total_iters=total_iters,
        )
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )

    def set_value_lambda(self) -> Any:
        """Return a function of the step, or a list of functions; override this in a subclass.

        See :class:`accelsched.schedules.Lambda` for what a function may do.
        """
        return [lambda step: step / 30, lambda step: 0.95**step]


class MultiplicativeScheduler(_FunctionsScheduler):
    """A decay by the same factor at every step, without end.

    The value at step ``t``::

        value = initial_val * coefficient ** t

    A subclass may override :meth:`set_value_lambda`. Its function of the step then replaces
    ``coefficient``.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        initial_val: the value at step 0.
        coefficient: the factor of one step, not negative, without a unit.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(MultiplicativeScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(optimizer, initial_val=0.1, coefficient=0.5)
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.05]
        >>> scheduler.last_epoch = 2
        >>> scheduler.get_last_value()
        [0.025]
        >>> scheduler.last_epoch = 4
        >>> scheduler.get_last_value()
        [0.00625]

    Raises:
        ArgumentError: ``coefficient`` is negative, or a number is not finite.

    Source: see :class:`accelsched.schedules.Multiplicative`, the schedule that this class drives.
    Its docstring also gives the nearest names in optax, Keras and transformers.

    Elsewhere: Cerebras' class of this name has the same arguments and curve.
    """

    initial_val = Argument("initial")
    coefficient = Argument("coefficient")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_val: float,
        coefficient: float,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        initial: dict[str, Any] = {"initial": initial_val}
        if type(self).set_value_lambda is MultiplicativeScheduler.set_value_lambda:
            schedule = self._schedule(Multiplicative, coefficient=coefficient, **initial)
        else:
            schedule = self._schedule(Lambda, functions=self._functions(), **initial)
        super().__init__(
            optimizer,
            schedule,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )

    def set_value_lambda(self) -> Any:
        """Return a function of the step that returns the coefficient, the base of the power."""
        return lambda step: self.coefficient

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        coefficient = self.set_value_lambda()
        return (lambda step: coefficient(step) ** step,)


class _CompositeScheduler(Composite, WithArguments):
    """The base of schedulers that are composed of others."""

    @property
    def schedulers(self) -> list[Scheduler]:
        """The schedulers that this one is composed of."""
        return list(self._children)


class SequentialScheduler(_CompositeScheduler):
    """One scheduler after another; each counts its own steps, from 0 at its milestone.

    The value at step ``t``, where ``scheduler(t)`` is a scheduler's value at its own step ``t``::

        starts = [0, *milestones]
        i = sum(t >= milestone for milestone in milestones)
        value = schedulers[i](t - starts[i])

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        schedulers: one more than there are milestones; each may itself be composed. Step only the
            outer scheduler: it drives the others.
        milestones: steps, 0 or more, in increasing order. At each, the next scheduler takes over.
        last_epoch: start one step after this one, with the schedulers. Default -1: start at step 0.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class CosineDecay(CosineDecayScheduler): param_group_key = "momentum"
        >>> class Linear(LinearScheduler): param_group_key = "momentum"
        >>> class Momentum(SequentialScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> scheduler = Momentum(
        ...     optimizer,
        ...     schedulers=[
        ...         Linear(optimizer, 0.0, 0.1, total_iters=10),
        ...         CosineDecay(optimizer, 0.1, 0.0, total_iters=90),
        ...     ],
        ...     milestones=[10],
        ... )
        >>> scheduler.get_last_value()
        [0.0]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.01]
        >>> scheduler.last_epoch = 10
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.0]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.0]

    Raises:
        ArgumentError: there are too many or too few schedulers, one is bound to another optimizer
            or already part of another scheduler, or the milestones decrease.

    Source: see :class:`accelsched.schedules.Sequential`, the schedule that this class drives. Its
    docstring also names the one of optax.

    Elsewhere: Cerebras' class of this name has the same arguments, but computes wrong values if one
    is nested in another.
    """

    def __init__(
        self,
        optimizer: Optimizer | None,
        schedulers: Sequence[Scheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
        param_group_tags: Tags = None,
        *,
        open_ended: bool = False,
    ) -> None:
        self._milestones: Sequence[int] = milestones
        super().__init__(
            optimizer,
            schedulers,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )

    def _settings_of_cerebras(self, step: int) -> dict[str, Any]:
        return {"_milestones": self.milestones}

    def _steps_of_children(self, step: int) -> Sequence[int]:
        return state.at_phases(step, self.milestones)

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


class ChainedScheduler(_CompositeScheduler):
    """The first scheduler times the relative factor of each of the others.

    The value at step ``t``, where ``scheduler(t)`` is a scheduler's value at step ``t``::

        value = schedulers[0](t) * prod(s(t) / (s.base or 1) for s in schedulers[1:])

    ``base`` is the initial value of a scheduler. If the base is 0, as in a warm-up from 0, the
    value itself is the factor.

    Args:
        schedulers: at least one, all of the same optimizer; each may itself be composed. Step only
            the outer scheduler: it drives the others.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Momentum(ChainedScheduler): param_group_key = "momentum"
        >>> class Linear(LinearScheduler): param_group_key = "momentum"
        >>> class Step(StepScheduler): param_group_key = "momentum"
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> decay = Step(optimizer, 0.1, step_size=100, gamma=0.5)
        >>> warmup = Linear(optimizer, 0.0, 1.0, total_iters=10)
        >>> scheduler = Momentum([decay, warmup])
        >>> scheduler.get_last_value()
        [0.0]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.01]
        >>> scheduler.last_epoch = 10
        >>> scheduler.get_last_value()
        [0.1]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.025]

    Raises:
        ArgumentError: there is no scheduler, or one is bound to another optimizer or already part
            of another scheduler.

    Source: see :class:`accelsched.schedules.Chained`, the schedule that this class drives.

    Elsewhere: Cerebras' class of this name has values that are not finite if a later scheduler
    starts from 0.
    """

    def __init__(
        self,
        schedulers: Sequence[Scheduler],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        first = as_list("schedulers", schedulers)[0]
        if not isinstance(first, Scheduler):
            raise not_a_scheduler("schedulers[0]", first)
        super().__init__(
            first.optimizer,
            schedulers,
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )

    def composed(self, index: int) -> Schedule:
        return Chained(tuple(schedule_of(child, index) for child in self._children))

    def distribute(self, schedule: Schedule) -> Sequence[Schedule]:
        assert isinstance(schedule, Chained)
        return schedule.schedules


class ScalePerParamScheduler(_CompositeScheduler):
    """A scheduler's value times a factor that each param group holds, ``adjust_learning_rate``.

    The value at step ``t``, where ``scheduler(t)`` is the scheduler's value at step ``t``::

        value = adjust_learning_rate * scheduler(t)

    ``adjust_learning_rate``, or else ``adjust_val``, is a key of the param group. A group that has
    neither is not scaled. Use the factors for layer-wise values and muP.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        scheduler: the scheduler to scale, which may itself be composed. Step only the outer
            scheduler: it drives the other one.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        last_epoch: start one step after this one. Default -1: start at step 0.
        open_ended: let :meth:`begin_decay` start at any step without a recompile. Default False.

    Example:
        >>> import torch
        >>> class Linear(LinearScheduler): param_group_key = "momentum"
        >>> class Momentum(ScalePerParamScheduler): param_group_key = "momentum"
        >>> groups = [
        ...     {"params": [torch.zeros(1)], "adjust_learning_rate": 0.5},
        ...     {"params": [torch.zeros(1)]},
        ... ]
        >>> optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.5)
        >>> decay = Linear(optimizer, 0.1, 0.0, total_iters=100)
        >>> scheduler = Momentum(optimizer, decay)
        >>> scheduler.get_last_value()
        [0.05, 0.1]
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_value()]
        [0.0495, 0.099]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_value()
        [0.0, 0.0]
        >>> scheduler.last_epoch = 200
        >>> scheduler.get_last_value()
        [0.0, 0.0]

    Raises:
        ArgumentError: the scheduler is bound to another optimizer, or already part of another
            scheduler.

    Source: Yang et al., Tensor Programs V (muP), arXiv:2203.03466. The schedule that this class
    drives is :class:`accelsched.schedules.Scaled`, with one factor for each group.

    Elsewhere: Cerebras' class of this name loses its factor inside other schedulers.
    """

    child_name = "scheduler"

    def __init__(
        self,
        optimizer: Optimizer | None,
        scheduler: Scheduler,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        self._scalars = [1.0]
        super().__init__(
            optimizer,
            [scheduler],
            param_group_tags=param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
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

    def _as_cerebras(self, step: int) -> dict[str, Any]:
        mine = super()._as_cerebras(step)
        (mine["_scheduler"],) = mine.pop("_schedulers")
        return mine

    def _settings_of_cerebras(self, step: int) -> dict[str, Any]:
        return {"adjustment_scalars": self.adjustment_scalars}

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
