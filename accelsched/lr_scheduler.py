"""The learning rate schedulers of ``cerebras.pytorch.optim.lr_scheduler``, by the same names.

A training script changes its import and nothing else. Learning rates are absolute: the group's
own ``lr`` is overwritten at construction. Every scheduler is a closed form of the step, so it
resumes at any step without drift. Arguments stay readable and settable as attributes; a new
value counts from the next step. With None for the optimizer a scheduler is bound later:
``scheduler(optimizer)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer

from accelsched._binding import state
from accelsched._binding.composite import Composite, schedule_of
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
    """An argument of the constructor as an attribute: a field of the schedule."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.names: list[str] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.names.append(name)

    def name_in(self, cls: type[LRScheduler]) -> str:
        """What the constructor of a class calls it."""
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

    Takes what :class:`accelsched.Scheduler` takes.
    """

    #: Whether the constructor names its arguments for any value (``initial_val``), the last of the
    #: names that they have, and not for a learning rate (``initial_learning_rate``), the first.
    any_value = False

    @property
    def param_group_key(self) -> str:
        """The key of the param groups that is driven."""
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
        """The schedule of these fields; an error names the argument that the field comes from."""
        try:
            return schedule(**fields)
        except ArgumentError as error:
            raise error.renamed(_argument_names(cls)) from None


def _argument_names(cls: Any) -> dict[str, str]:
    """For the fields of a class's schedule, the arguments that they come from."""
    attributes = [value for base in cls.__mro__ for value in vars(base).values()]
    arguments = [value for value in attributes if isinstance(value, Argument)]
    return {"schedules": "schedulers", **{a.field: a.name_in(cls) for a in arguments}}


def _attribute_names(cls: type) -> list[str]:
    """The names by which the arguments of a class can be read."""
    members = [item for base in cls.__mro__ for item in vars(base).items()]
    return [name for name, value in members if isinstance(value, Argument)]


class ConstantLR(LRScheduler):
    """``learning_rate`` at every step, for ever.

    Args:
        optimizer: the optimizer whose param groups are driven.
        learning_rate: the value.
        total_iters: taken for compatibility; a constant has no end.
        param_group_tags: the groups to drive.
    """

    learning_rate = val = Argument("value")

    def __init__(
        self,
        optimizer: Optimizer | None,
        learning_rate: float,
        total_iters: int | None = None,
        param_group_tags: Tags = None,
    ) -> None:
        self.total_iters = total_iters
        schedule = self._schedule(Constant, value=learning_rate)
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class PolynomialLR(LRScheduler):
    """A polynomial from one learning rate to another: :class:`accelsched.schedules.Polynomial`.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at step 0.
        end_learning_rate: the value from step ``total_iters`` on.
        total_iters: steps that the decay takes, at least 1.
        power: the exponent of the fraction that is left, above 0.
        cycle: start again past the end, as Keras does, over the next multiple of the steps.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            Polynomial,
            initial=initial_learning_rate,
            end=end_learning_rate,
            total_iters=total_iters,
            power=power,
            cycle=cycle,
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class LinearLR(LRScheduler):
    """A straight line from one learning rate to another: :class:`accelsched.schedules.Linear`.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at step 0.
        end_learning_rate: the value from step ``total_iters`` on.
        total_iters: steps that the line takes, at least 1.
        cycle: start again past the end, as Keras does, over the next multiple of the steps.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            Linear,
            initial=initial_learning_rate,
            end=end_learning_rate,
            total_iters=total_iters,
            cycle=cycle,
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class ExponentialLR(LRScheduler):
    """``initial_learning_rate * decay_rate ** (step / total_iters)``, without end.

    ``decay_rate`` is the factor of ``total_iters`` steps, not of one step.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at step 0.
        total_iters: steps that one factor takes, at least 1.
        decay_rate: the factor, not negative.
        staircase: apply whole factors only.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            Exponential,
            initial=initial_learning_rate,
            total_iters=total_iters,
            rate=decay_rate,
            staircase=staircase,
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class InverseExponentialTimeDecayLR(LRScheduler):
    """``initial_learning_rate / (1 + decay_rate * step ** step_exponent / total_iters)``.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at step 0.
        step_exponent: the exponent of the step (alone: not of ``step / total_iters``).
        total_iters: the divisor, at least 1.
        decay_rate: the decay rate, not negative.
        staircase: round ``step ** step_exponent / total_iters`` down to a whole number.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            InverseExponentialTimeDecay,
            initial=initial_learning_rate,
            step_exponent=step_exponent,
            total_iters=total_iters,
            rate=decay_rate,
            staircase=staircase,
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class InverseSquareRootDecayLR(LRScheduler):
    """``initial_learning_rate * scale / sqrt(max(step, warmup_steps))``.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: a factor of the value.
        scale: another factor of the value.
        warmup_steps: the step until which the value is held; 0 counts as 1.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            InverseSquareRootDecay,
            initial=initial_learning_rate,
            scale=scale,
            warmup_steps=warmup_steps,
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class CosineDecayLR(LRScheduler):
    """Half a cosine wave to ``end_learning_rate``, then held.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at step 0.
        end_learning_rate: the value from step ``total_iters`` on; a value, not a fraction.
        total_iters: steps that the decay takes, at least 1.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            CosineDecay,
            initial=initial_learning_rate,
            end=end_learning_rate,
            total_iters=total_iters,
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class PiecewiseConstantLR(LRScheduler):
    """One learning rate up to each milestone, and one from the last milestone on.

    Args:
        optimizer: the optimizer whose param groups are driven.
        learning_rates: one more than there are milestones.
        milestones: steps, in increasing order.
        param_group_tags: the groups to drive.
    """

    learning_rates = vals = Argument("values")
    milestones = Argument("milestones")

    def __init__(
        self,
        optimizer: Optimizer | None,
        learning_rates: Sequence[float],
        milestones: Sequence[int],
        param_group_tags: Tags = None,
    ) -> None:
        schedule = self._schedule(PiecewiseConstant, values=learning_rates, milestones=milestones)
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class MultiStepLR(LRScheduler):
    """The learning rate times ``gamma`` at each milestone.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value before the first milestone.
        gamma: the factor of a milestone, not negative.
        milestones: steps, in increasing order; one given twice counts twice.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            MultiStep, initial=initial_learning_rate, gamma=gamma, milestones=milestones
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class StepLR(LRScheduler):
    """The learning rate times ``gamma`` every ``step_size`` steps.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at step 0.
        step_size: steps from one decay to the next, at least 1.
        gamma: the factor of a decay, not negative.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            Step, initial=initial_learning_rate, step_size=step_size, gamma=gamma
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class CosineAnnealingLR(LRScheduler):
    """A cosine wave between two learning rates, ``2 * T_max`` steps long, for ever.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the upper value, that of step 0.
        T_max: steps from the upper value to the lower, at least 1.
        eta_min: the lower value.
        param_group_tags: the groups to drive.
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
    ) -> None:
        schedule = self._schedule(
            CosineAnnealing, initial=initial_learning_rate, T_max=T_max, eta_min=eta_min
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine wave, restarted from the top at the end of each period.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at each restart.
        T_0: steps of the first period, at least 1.
        T_mult: how many times as long each period is as the one before, at least 1.
        eta_min: the value that a period ends towards.
        param_group_tags: the groups to drive.
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
        T_mult: int = 1,
        eta_min: float = 0.0,
        param_group_tags: Tags = None,
    ) -> None:
        schedule = self._schedule(
            WarmRestarts, initial=initial_learning_rate, T_0=T_0, T_mult=T_mult, eta_min=eta_min
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class _ModeDefault(str):
    """The default of ``scale_mode``: it equals "cycle", and stands for what the mode implies."""


class CyclicLR(LRScheduler):
    """Triangles between two learning rates: :class:`accelsched.schedules.Cyclic`.

    Args:
        optimizer: the optimizer whose param groups are driven.
        base_lr: the learning rate at the foot of a cycle.
        max_lr: the learning rate at the top of an unscaled cycle.
        step_size_up: steps from the foot to the top, at least 1.
        step_size_down: steps from the top to the foot; as many as up if not given.
        mode: ``"triangular"``, ``"triangular2"`` (half the height in each new cycle) or
            ``"exp_range"`` (``gamma ** x`` of the height).
        gamma: the base of ``exp_range``, not negative.
        scale_mode: what ``x`` counts: ``"cycle"`` or ``"iterations"``. If it is not given,
            ``exp_range`` counts iterations, as in the paper; if it is given, it is obeyed.
        param_group_tags: the groups to drive.
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
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


class OneCycleLR(LRScheduler):
    """The 1cycle policy: up, down, and held at the minimum: :class:`accelsched.schedules.OneCycle`.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at step 0 (torch's ``max_lr / div_factor``).
        max_lr: the value at the top.
        total_steps: steps of the whole cycle, at least 1.
        pct_start: the fraction of the steps that rises, between 0 and 1, both excluded.
        final_div_factor: the last value is ``initial_learning_rate / final_div_factor``.
        three_phase: fall to the initial value first, as steeply as it rose.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        param_group_tags: the groups to drive.
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
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)


# Schedulers that a subclass completes with functions of its own.


class _FunctionsLR(LRScheduler):
    """What the classes below share: the functions come from the class, so it can be pickled."""

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
    """The initial learning rate times the product of the functions of :meth:`set_value_lambda`.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value that the functions multiply.
        param_group_tags: the groups to drive.
        total_iters: keep the values up to this step in a table on the device, and hold the last:
            for functions that no graph can have, as they use ``math``, NumPy, ``min`` or an ``if``.
    """

    initial_learning_rate = initial_val = Argument("initial")
    total_iters = Argument("total_iters")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        param_group_tags: Tags = None,
        total_iters: int | None = None,
    ) -> None:
        schedule = self._schedule(
            Lambda,
            initial=initial_learning_rate,
            functions=self._functions(),
            total_iters=total_iters,
        )
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)

    def set_value_lambda(self) -> Any:
        """A function of the step, or a list of them: override it.

        See :class:`accelsched.schedules.Lambda` for what such a function may do.
        """
        return [lambda step: step / 30, lambda step: 0.95**step]


class MultiplicativeLR(_FunctionsLR):
    """``initial_learning_rate * coefficient ** step``.

    Args:
        optimizer: the optimizer whose param groups are driven.
        initial_learning_rate: the value at step 0.
        coefficient: the factor of one step, not negative.
        param_group_tags: the groups to drive.
    """

    initial_learning_rate = initial_val = Argument("initial")
    coefficient = Argument("coefficient")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        coefficient: float,
        param_group_tags: Tags = None,
    ) -> None:
        initial: dict[str, Any] = {"initial": initial_learning_rate}
        if type(self).set_value_lambda is MultiplicativeLR.set_value_lambda:
            schedule = self._schedule(Multiplicative, coefficient=coefficient, **initial)
        else:
            schedule = self._schedule(Lambda, functions=self._functions(), **initial)
        super().__init__(optimizer, schedule, param_group_tags=param_group_tags)

    def set_value_lambda(self) -> Any:
        """A function from the step to the coefficient, which is raised to the step: override it."""
        return lambda step: self.coefficient

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        coefficient = self.set_value_lambda()
        return (lambda step: coefficient(step) ** step,)


# Schedulers of schedulers.


class _Composite(Composite, LRScheduler):
    """What the classes below share."""

    @property
    def schedulers(self) -> list[Scheduler]:
        """The schedulers that this one was made of."""
        return list(self._children)

    def _require_alike(self, saved: dict[str, Any]) -> None:
        Composite._require_alike(self, saved)


class SequentialLR(_Composite):
    """One scheduler after the other; each counts its own steps from 0 at its milestone.

    Args:
        optimizer: the optimizer whose param groups are driven.
        schedulers: one more than there are milestones; they may be composed themselves.
        milestones: steps, in increasing order.
        last_epoch: start one step after this one, the schedulers with it.
        param_group_tags: the groups to drive.
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
    """The first scheduler times the relative factors of the others.

    A relative factor is a value over the initial value, or the value itself where the initial
    value is 0.

    Args:
        schedulers: at least one, all of the same optimizer; they may be composed themselves.
        param_group_tags: the groups to drive.
    """

    def __init__(self, schedulers: Sequence[Scheduler], param_group_tags: Tags = None) -> None:
        require(len(schedulers) > 0, "schedulers", schedulers, "give at least one")
        first = schedulers[0]
        if not isinstance(first, Scheduler):
            raise ArgumentError("schedulers[0]", first, "give a scheduler of accelsched")
        super().__init__(first.optimizer, schedulers, param_group_tags=param_group_tags)

    def composed(self, index: int) -> Schedule:
        return Chained(tuple(schedule_of(child, index) for child in self._children))

    def distribute(self, schedule: Schedule) -> Sequence[Schedule]:
        assert isinstance(schedule, Chained)
        return schedule.schedules


class ChainedScheduler(ChainedLR):
    """:class:`ChainedLR` by the name that torch gives it."""


class ScalePerParamLR(_Composite):
    """A scheduler's learning rate times the ``adjust_learning_rate`` of each param group.

    A group without that key is not scaled. Used for layer-wise rates and for muP (Tensor
    Programs V, arXiv:2203.03466).

    Args:
        optimizer: the optimizer whose param groups are driven.
        scheduler: the scheduler to scale; it may be composed itself.
        param_group_tags: the groups to drive.
    """

    child_name = "scheduler"

    def __init__(
        self, optimizer: Optimizer | None, scheduler: Scheduler, param_group_tags: Tags = None
    ) -> None:
        self._scalars = [1.0]
        super().__init__(optimizer, [scheduler], param_group_tags=param_group_tags)

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
