"""The learning rate schedulers of ``cerebras.pytorch.optim.lr_scheduler``, by the same names.

A training script changes only its import. Each class is one of :mod:`accelsched.scheduler` with the
key ``"lr"`` and with arguments named for a learning rate: ``initial_learning_rate`` for
``initial_val``. :class:`ReduceLROnPlateau` and :class:`GreedyLR` follow a metric and have the
interfaces of torch and transformers.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_schedulers

from accelsched import scheduler
from accelsched._binding import state
from accelsched._binding.arguments import Argument, WithArguments, argument_names
from accelsched._binding.metric import MetricScheduler, Register, Setting, SettingOfGroups
from accelsched._binding.metric_rules import Greedy, Plateau
from accelsched._binding.param_groups import Tags
from accelsched._optimizers.remedies import level_of_the_caller
from accelsched.errors import require
from accelsched.schedules import Schedule
from accelsched.schedules._fields import integer, real, step_number

__all__ = [
    "ChainedLR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CosineDecayLR",
    "CyclicLR",
    "ExponentialLR",
    "GreedyLR",
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
    "ReduceLROnPlateau",
    "ScalePerParamLR",
    "SequentialLR",
    "StepLR",
]

#: The settings that each scheduler of torch saves, by class name. One that also cycles a momentum
#: saves `_MOMENTA` too.
_OF_TORCH: dict[str, Any] = {
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


class LRScheduler(WithArguments):
    """A scheduler that drives the learning rate by any schedule; the base of the classes below.

    It takes the arguments of :class:`accelsched.Scheduler`, with ``key="lr"`` by default.

    A subclass may define ``_get_closed_form()`` instead, as in Cerebras. The method returns the
    learning rate at step ``self.last_epoch``, a 0-dim int64 tensor. It may use torch operations on
    this tensor and on attributes that were set before ``super().__init__(optimizer, total_iters,
    last_epoch, param_group_tags)``. It is recorded once, so every lowering works and the scheduler
    can be composed. An attribute that is set later takes effect at the next step; a list must be
    assigned, not edited. Code that cannot be recorded, such as an ``if`` on the step, raises an
    error with file and line.

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

        Your own class:

        >>> class Ramp(LRScheduler):
        ...     def __init__(self, optimizer, end, total_iters):
        ...         self.end = end
        ...         super().__init__(optimizer, total_iters)
        ...
        ...     def _get_closed_form(self):
        ...         return self.end * self.last_epoch.clamp(max=self.total_iters) / self.total_iters
        >>> scheduler = Ramp(optimizer, end=0.5, total_iters=4)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.125]
    """

    default_key = "lr"
    noun, getter, ending = "learning rate", "get_last_lr", "LR"
    # Set by `super().__init__` of a class with `_get_closed_form`.
    total_iters: Any

    @classmethod
    def _schedule(cls, schedule: type[Schedule], **fields: Any) -> Schedule:
        made = super()._schedule(schedule, **fields)
        _warn_of_arguments_of_torch(cls, fields)
        return made

    def _stands_for(self, saved: dict[str, Any]) -> bool:
        settings = state.settings_of(saved) - _MOMENTA
        of_torch = settings == _OF_TORCH.get(type(self).__name__)
        return (of_torch and not state.is_of_cerebras(saved)) or super()._stands_for(saved)


#: The fields of schedules that are learning rates.
_RATES = {"value", "initial", "end", "base_value", "max_value"}


def _warn_of_arguments_of_torch(cls: type[LRScheduler], fields: dict[str, Any]) -> None:
    """Warn of an int above 1 for a learning rate: in torch's signature it counts steps."""
    for name in _RATES & set(fields):
        value = fields[name]
        if isinstance(value, int) and value > 1:
            argument = argument_names(cls)[name]
            warnings.warn(
                f"{argument}={value}: a learning rate of {value}? If so, write {value}.0. For "
                "torch's arguments, use accelsched.from_torch(scheduler). This class has those of "
                f"Cerebras: {cls.__name__}{inspect.signature(cls)}",
                UserWarning,
                stacklevel=level_of_the_caller(),
            )


class ConstantLR(LRScheduler, scheduler.ConstantScheduler):
    """:class:`accelsched.scheduler.ConstantScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.ConstantLR`` differs: it multiplies by ``factor`` before step
    ``total_iters`` and by 1 from then on.
    """

    learning_rate = Argument("value")

    def __init__(
        self,
        optimizer: Optimizer | None,
        learning_rate: float,
        total_iters: int | None = None,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            learning_rate,
            total_iters,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class PolynomialLR(LRScheduler, scheduler.PolynomialScheduler):
    """:class:`accelsched.scheduler.PolynomialScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.PolynomialLR`` falls from the group's own learning rate to 0.
    """

    initial_learning_rate = Argument("initial")
    end_learning_rate = Argument("end")

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
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            end_learning_rate,
            total_iters,
            power,
            cycle,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class LinearLR(LRScheduler, scheduler.LinearScheduler):
    """:class:`accelsched.scheduler.LinearScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.LinearLR`` takes ``start_factor`` and ``end_factor``, which multiply
    the group's own learning rate.
    """

    initial_learning_rate = Argument("initial")
    end_learning_rate = Argument("end")

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
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            end_learning_rate,
            total_iters,
            cycle,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class ExponentialLR(LRScheduler, scheduler.ExponentialScheduler):
    """:class:`accelsched.scheduler.ExponentialScheduler` of the learning rate.

    In ``torch.optim.lr_scheduler.ExponentialLR``, ``gamma`` is the factor of one step: see
    :class:`MultiplicativeLR`.
    """

    initial_learning_rate = Argument("initial")

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
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            total_iters,
            decay_rate,
            staircase,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class InverseExponentialTimeDecayLR(LRScheduler, scheduler.InverseExponentialTimeDecayScheduler):
    """:class:`accelsched.scheduler.InverseExponentialTimeDecayScheduler` of the learning rate.

    torch has no such scheduler.
    """

    initial_learning_rate = Argument("initial")

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
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            step_exponent,
            total_iters,
            decay_rate,
            staircase,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class InverseSquareRootDecayLR(LRScheduler, scheduler.InverseSquareRootDecayScheduler):
    """:class:`accelsched.scheduler.InverseSquareRootDecayScheduler` of the learning rate.

    torch has no such scheduler.
    """

    initial_learning_rate = Argument("initial")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float = 1.0,
        scale: float = 1.0,
        warmup_steps: int = 1,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            scale,
            warmup_steps,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class CosineDecayLR(LRScheduler, scheduler.CosineDecayScheduler):
    """:class:`accelsched.scheduler.CosineDecayScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.CosineAnnealingLR(T_max, eta_min)`` has the same values up to step
    ``T_max`` and then rises again.
    """

    initial_learning_rate = Argument("initial")
    end_learning_rate = Argument("end")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        end_learning_rate: float,
        total_iters: int,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            end_learning_rate,
            total_iters,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class PiecewiseConstantLR(LRScheduler, scheduler.PiecewiseConstantScheduler):
    """:class:`accelsched.scheduler.PiecewiseConstantScheduler` of the learning rate.

    torch has no such scheduler.
    """

    learning_rates = Argument("values")

    def __init__(
        self,
        optimizer: Optimizer | None,
        learning_rates: Sequence[float],
        milestones: Sequence[int],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            ConstantLR,
            learning_rates,
            milestones,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class MultiStepLR(LRScheduler, scheduler.MultiStepScheduler):
    """:class:`accelsched.scheduler.MultiStepScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.MultiStepLR`` starts from the group's own learning rate.
    """

    initial_learning_rate = Argument("initial")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        gamma: float,
        milestones: Sequence[int],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            gamma,
            milestones,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class StepLR(LRScheduler, scheduler.StepScheduler):
    """:class:`accelsched.scheduler.StepScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.StepLR`` starts from the group's own learning rate.
    """

    initial_learning_rate = Argument("initial")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        step_size: int,
        gamma: float,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            step_size,
            gamma,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class CosineAnnealingLR(LRScheduler, scheduler.CosineAnnealingScheduler):
    """:class:`accelsched.scheduler.CosineAnnealingScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.CosineAnnealingLR`` starts from the group's own learning rate, and
    continues from a value that other code writes.
    """

    initial_learning_rate = Argument("initial")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        T_max: int,
        eta_min: float = 0.0,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            T_max,
            eta_min,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class CosineAnnealingWarmRestarts(LRScheduler, scheduler.CosineAnnealingWarmRestartsScheduler):
    """:class:`accelsched.scheduler.CosineAnnealingWarmRestartsScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`` has the same curve as this class, and
    starts from the group's own learning rate.
    """

    initial_learning_rate = Argument("initial")

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
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            T_0,
            T_mult,
            eta_min,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class CyclicLR(LRScheduler, scheduler.CyclicScheduler):
    """:class:`accelsched.scheduler.CyclicScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.CyclicLR`` ignores a ``scale_mode`` with these modes too, and by
    default also cycles the momentum.
    """

    base_lr = Argument("base_value")
    max_lr = Argument("max_value")

    def __init__(
        self,
        optimizer: Optimizer | None,
        base_lr: float,
        max_lr: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_mode: str = scheduler.MODE_DEFAULT,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            base_lr,
            max_lr,
            step_size_up,
            step_size_down,
            mode,
            gamma,
            scale_mode,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class OneCycleLR(LRScheduler, scheduler.OneCycleScheduler):
    """:class:`accelsched.scheduler.OneCycleScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.OneCycleLR`` takes ``div_factor``, which is
    ``max_lr / initial_learning_rate``. By default it cycles the momentum too. It raises an error
    for a step past the end.
    """

    initial_learning_rate = Argument("initial")
    max_lr = Argument("max_value")

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
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            max_lr,
            total_steps,
            pct_start,
            final_div_factor,
            three_phase,
            anneal_strategy,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class LambdaLR(LRScheduler, scheduler.LambdaScheduler):
    """:class:`accelsched.scheduler.LambdaScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.LambdaLR`` takes its functions as an argument, one for each param
    group, and runs them on the host.
    """

    initial_learning_rate = Argument("initial")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        param_group_tags: Tags = None,
        total_iters: int | None = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            param_group_tags,
            total_iters,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class MultiplicativeLR(LRScheduler, scheduler.MultiplicativeScheduler):
    """:class:`accelsched.scheduler.MultiplicativeScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.ExponentialLR(gamma)`` has the same curve, and starts from the
    group's own learning rate. ``torch.optim.lr_scheduler.MultiplicativeLR`` takes a function of the
    step.
    """

    initial_learning_rate = Argument("initial")

    def __init__(
        self,
        optimizer: Optimizer | None,
        initial_learning_rate: float,
        coefficient: float,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            initial_learning_rate,
            coefficient,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class SequentialLR(LRScheduler, scheduler.SequentialScheduler):
    """:class:`accelsched.scheduler.SequentialScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.SequentialLR`` also computes wrong values if one is nested in
    another.
    """


class ChainedLR(LRScheduler, scheduler.ChainedScheduler):
    """:class:`accelsched.scheduler.ChainedScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.ChainedScheduler`` multiplies the current value at each step, and so
    continues from a value that other code wrote.
    """


class ChainedScheduler(ChainedLR):
    """:class:`ChainedLR` under torch's name; see there for the formula and the arguments."""


class ScalePerParamLR(LRScheduler, scheduler.ScalePerParamScheduler):
    """:class:`accelsched.scheduler.ScalePerParamScheduler` of the learning rate.

    torch has no such scheduler: give each param group its own learning rate.
    """

    def _settings_of_cerebras(self, step: int) -> dict[str, Any]:
        return {"lr_adjustment_scalars": self.adjustment_scalars}


def _factor(name: str, value: Any) -> float:
    factor = real(name, value)
    require(factor < 1, name, value, "give a number below 1")
    return factor


def _positive_factor(name: str, value: Any) -> float:
    factor = _factor(name, value)
    require(factor > 0, name, value, "a rise divides the rate by factor: give a number above 0")
    return factor


class ReduceLROnPlateau(  # type: ignore[override]
    MetricScheduler, LRScheduler, torch_schedulers.ReduceLROnPlateau
):
    """A learning rate that is multiplied by a factor whenever a metric stops improving.

    The learning rate at step ``t``, after ``t`` metrics, with the default modes::

        best, bad, wait, value = inf, 0, 0, initial
        for metric in metrics[:t]:
            better = metric < best * (1 - threshold)
            best = metric if better else best
            bad = 0 if better or wait > 0 else bad + 1
            wait = max(0, wait - 1)
            if bad > patience:
                lower = max(value * factor, min_lr)
                value = lower if value - lower > eps else value
                bad, wait = 0, cooldown

    Each param group starts from its own learning rate. If other code changes the rate, the
    scheduler continues from the new one. On a device the state stays there, in float64 if the
    device has it, and ``step(loss)`` does not synchronize. On the CPU, if the rate is a float, the
    scheduler computes in floats, as torch does. Both give torch's rates; a float32 tensor in the
    group holds them rounded. Setting a number later, as in ``scheduler.factor = 0.5``, compiles
    nothing. Give a compiled step its metric as a tensor: ``torch.compile`` makes each Python number
    a constant.

    With ``schedule`` the rate is ``schedule(t) * scale``. The scale starts at 1, and each reduction
    lowers it, down to ``min_lr``. A ``step()`` without a metric only advances the schedule. So call
    ``step()`` after each batch, but ``step(loss)`` after the last one before each validation.

    A subclass that sets ``param_group_key`` drives another key. Every instance is also an instance
    of torch's class, from which trainers see that a step takes a metric.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        mode: "min" if a lower metric is better, "max" if a higher one is. Default "min".
        factor: the factor of one reduction, below 1. Default 0.1.
        patience: how many metrics in a row may fail to improve. Default 10.
        threshold: by how much a metric has to improve. Default 1e-4.
        threshold_mode: "rel" if the threshold is a fraction of the best metric, "abs" if it is a
            difference. Default "rel".
        cooldown: how many metrics after a reduction never count as failures. Default 0.
        min_lr: the lower bound of the rate: a number, or a list with one for each driven group.
            With ``schedule``, the lower bound of the scale. Default 0.
        eps: a reduction by this or less is skipped. Default 1e-8.
        schedule: the schedule that the scale multiplies, or a list with one for each driven group.
            Default: none.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        lowering: as for :class:`accelsched.Scheduler`. Default None.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        >>> scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> scheduler.get_last_lr()
        [0.5]
        >>> for loss in (3.0, 2.0, torch.tensor(2.5), 2.5):
        ...     scheduler.step(loss)
        >>> scheduler.get_last_lr(), scheduler.best
        ([0.25], 2.0)
        >>> scheduler.last_epoch
        4

        As a factor on a schedule:

        >>> from accelsched.schedules import Linear
        >>> decay = Linear(initial=0.8, end=0.0, total_iters=4)
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        >>> scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=0, schedule=decay)
        >>> scheduler.step()
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.6]
        >>> for loss in (3.0, 3.0):
        ...     scheduler.step(loss)
        >>> [round(value, 6) for value in scheduler.get_last_lr()]
        [0.1]

    Raises:
        ArgumentError: an argument is invalid, or the system takes no metric in a step, as Cerebras'
            does not.

    Elsewhere: ``torch.optim.lr_scheduler.ReduceLROnPlateau`` has the same arguments, results and
    state. With ``schedule``: ``optax.contrib.reduce_on_plateau``, whose ``min_scale`` is ``min_lr``
    here. Keras has a ``ReduceLROnPlateau`` too.
    """

    factor = Setting(_factor)
    patience, cooldown = Setting(integer), Setting(integer)
    threshold, eps = Setting(real), Setting(real)
    min_lrs = SettingOfGroups(real, "min_lr")

    def __init__(
        self,
        optimizer: Optimizer | None,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
        *,
        schedule: Any = None,
        param_group_tags: Tags = None,
        lowering: str | None = None,
    ) -> None:
        settings = {
            "factor": factor,
            "patience": patience,
            "threshold": threshold,
            "cooldown": cooldown,
            "min_lrs": min_lr,
            "eps": eps,
        }
        rule = Plateau(mode, threshold_mode)
        super().__init__(optimizer, rule, settings, schedule, param_group_tags, lowering)

    @property
    def default_min_lr(self) -> float | None:  # type: ignore[override]
        """The ``min_lr`` of a group that is added later; None if each group was given its own."""
        least: float | list[float] = self._settings["min_lrs"]
        return None if isinstance(least, list) else least

    def _saved_settings(self) -> dict[str, Any]:
        return {**super()._saved_settings(), "default_min_lr": self.default_min_lr}

    def _settings_from(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        settings = super()._settings_from(saved)
        shared = saved.get("default_min_lr")
        if shared is not None and set(settings["min_lrs"]) == {shared}:
            settings["min_lrs"] = float(shared)
        return settings


# Trainers, including the one of transformers, pass a metric to instances of torch's class.
class GreedyLR(  # type: ignore[override]
    MetricScheduler, LRScheduler, torch_schedulers.ReduceLROnPlateau
):
    """A learning rate that rises while a metric improves, and falls while the metric does not.

    The learning rate at step ``t``, after ``t`` metrics, with the default modes and without pauses
    (``cooldown``, ``warmup``), means and resets::

        best, bad, good, value = inf, 0, 0, initial
        for metric in metrics[:t]:
            better = metric < best - threshold
            best = metric if better else best
            bad, good = (0, good + 1) if better else (bad + 1, 0)
            if good > patience:
                higher = min(value / factor, max_lr)
                value, good = (higher if higher - value > eps else value), 0
            elif bad > patience:
                lower = max(value * factor, min_lr)
                value, bad = (lower if value - lower > eps else value), 0

    As in :class:`ReduceLROnPlateau`, the state stays on the device, ``step(loss)`` does not
    synchronize, the rates equal those of the original, and numbers may be set later.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        mode: "min" if a lower metric is better, "max" if a higher one is. Default "min".
        factor: the factor of one reduction and the divisor of one rise, between 0 and 1. Default
            0.95.
        patience: how many metrics in a row may improve, or fail to improve, before the rate
            changes. Default 10.
        threshold: by how much a metric has to improve. Default 1e-6.
        threshold_mode: "rel" if the threshold is a fraction of the best metric, "abs" if it is a
            difference. Default "abs".
        cooldown: how many metrics after a reduction are skipped. Default 0.
        warmup: how many metrics after a rise are skipped. Default 0.
        min_lr: the lower bound of the rate: a number, or a list with one for each driven group.
            Default 1e-3.
        max_lr: the upper bound, likewise. Default 1.0.
        eps: a change by this or less is skipped. Default 1e-8.
        verbose: accepted for compatibility; True raises an error, because printing would read the
            rate on the host. Default False.
        smooth: whether to replace each metric by the mean of the last ones. Default False.
        window_size: how many metrics ``smooth`` averages. Default 50.
        reset_start: after this many reductions while all groups are at ``min_lr``, everything
            restarts from the first rates. Default 500.
        param_group_tags: which param groups to drive, by their ``"tags"``. Default: all of them.
        lowering: as for :class:`accelsched.Scheduler`. Default None.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.25)
        >>> scheduler = GreedyLR(optimizer, factor=0.5, patience=1)
        >>> scheduler.get_last_lr()
        [0.25]
        >>> for loss in (3.0, torch.tensor(2.0)):
        ...     scheduler.step(loss)
        >>> scheduler.get_last_lr()
        [0.5]
        >>> for loss in (2.5, 2.5, 2.5, 2.5):
        ...     scheduler.step(loss)
        >>> scheduler.get_last_lr()
        [0.125]

    Raises:
        ArgumentError: an argument is invalid, or the system takes no metric in a step, as Cerebras'
            does not.

    Elsewhere: ``GreedyLR`` of transformers 5 has the same arguments, results and state.
    """

    factor = Setting(_positive_factor)
    patience = Setting(step_number)
    cooldown, warmup = Setting(integer), Setting(integer)
    reset_start_original = Setting(integer, "reset_start")
    threshold, eps = Setting(real), Setting(real)
    min_lrs, max_lrs = SettingOfGroups(real, "min_lr"), SettingOfGroups(real, "max_lr")
    num_good_epochs, warmup_counter = Register(integer), Register(integer)
    reset_start = Register(integer)

    _rule: Greedy
    _state_has_values = True
    #: Part of the state of the original. Nothing is printed.
    verbose = False

    def __init__(
        self,
        optimizer: Optimizer | None,
        mode: str = "min",
        factor: float = 0.95,
        patience: int = 10,
        threshold: float = 1e-6,
        threshold_mode: str = "abs",
        cooldown: int = 0,
        warmup: int = 0,
        min_lr: float | Sequence[float] = 1e-3,
        max_lr: float | Sequence[float] = 1.0,
        eps: float = 1e-8,
        verbose: bool = False,
        smooth: bool = False,
        window_size: int = 50,
        reset_start: int = 500,
        *,
        param_group_tags: Tags = None,
        lowering: str | None = None,
    ) -> None:
        require(not verbose, "verbose", verbose, "printing synchronizes: call get_last_lr()")
        size = step_number("window_size", window_size)
        require(size > 0, "window_size", window_size, "give at least 1")
        settings = {
            "factor": factor,
            "patience": patience,
            "threshold": threshold,
            "cooldown": cooldown,
            "warmup": warmup,
            "min_lrs": min_lr,
            "max_lrs": max_lr,
            "eps": eps,
            "reset_start_original": reset_start,
        }
        self._window_size = size
        rule = Greedy(mode, threshold_mode, size if smooth else None)
        super().__init__(optimizer, rule, settings, None, param_group_tags, lowering)

    @property
    def smooth(self) -> bool:
        """Whether each metric is replaced by the mean of the last ones."""
        return self._rule.window_size is not None

    @property
    def window_size(self) -> int:
        """How many metrics :attr:`smooth` averages."""
        return self._window_size

    def _saved_settings(self) -> dict[str, Any]:
        more = {name: getattr(self, name) for name in ("verbose", "smooth", "window_size")}
        return {**super()._saved_settings(), **more}
