"""The learning rate schedulers of ``cerebras.pytorch.optim.lr_scheduler``, by the same names.

A training script changes its import and nothing else. Each class is that of
:mod:`accelsched.scheduler` with the key ``"lr"``, and with arguments that are named for a learning
rate: ``initial_learning_rate`` for ``initial_val``. :class:`ReduceLROnPlateau` and
:class:`GreedyLR` follow a metric, and are those of torch and transformers.
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

#: The settings that the state of each scheduler of torch has, by its name; it has more where it
#: schedules a momentum too.
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
    """Drives the learning rate by any schedule; the base of the classes below.

    Its arguments are those of :class:`accelsched.Scheduler`, with ``key="lr"`` by default.

    A subclass may define ``_get_closed_form()`` instead, as in Cerebras. It returns the learning
    rate at ``self.last_epoch``, a 0-dim int64 tensor, in torch operations on it and on attributes
    that were set before ``super().__init__(optimizer, total_iters, last_epoch,
    param_group_tags)``. It is recorded once, so it has every lowering and can be composed. An
    attribute that is set later counts from the next step; a list counts if it is assigned. What
    cannot be recorded, an ``if`` on the step for example, raises an error with file and line.

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

        A class of one's own:

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

    @classmethod
    def _schedule(cls, schedule: type[Schedule], **fields: Any) -> Schedule:
        made = super()._schedule(schedule, **fields)
        _warn_of_arguments_of_torch(cls, fields)
        return made

    def _stands_for(self, saved: dict[str, Any]) -> bool:
        settings = state.settings_of(saved) - _MOMENTA
        of_torch = settings == _OF_TORCH.get(type(self).__name__)
        return (of_torch and not state.is_of_cerebras(saved)) or super()._stands_for(saved)


#: The fields that are learning rates.
_RATES = {"value", "initial", "end", "base_value", "max_value"}


def _warn_of_arguments_of_torch(cls: type[LRScheduler], fields: dict[str, Any]) -> None:
    """Warn of a whole number above 1 for a learning rate: in torch's signature it counts steps."""
    for name in _RATES & set(fields):
        value = fields[name]
        if isinstance(value, int) and value > 1:
            argument = argument_names(cls)[name]
            warnings.warn(
                f"{argument}={value}: a learning rate of {value}? The arguments are those of "
                f"Cerebras: {cls.__name__}{inspect.signature(cls)}. For torch's scheduler build "
                f"that, and give it to accelsched.from_torch; if it is meant, write {value}.0",
                UserWarning,
                stacklevel=level_of_the_caller(),
            )


class ConstantLR(LRScheduler, scheduler.ConstantScheduler):
    """:class:`accelsched.scheduler.ConstantScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.ConstantLR`` does something else: it multiplies by ``factor`` until
    ``total_iters`` and by 1 from there.
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

    ``torch.optim.lr_scheduler.PolynomialLR`` falls from the group's rate to 0.
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

    ``torch.optim.lr_scheduler.LinearLR`` takes factors of the group's rate, ``start_factor`` and
    ``end_factor``.
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

    The ``gamma`` of ``torch.optim.lr_scheduler.ExponentialLR`` is the factor of one step: see
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

    torch has none.
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

    torch has none.
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

    ``torch.optim.lr_scheduler.CosineAnnealingLR(T_max, eta_min)`` has the same values up to
    ``T_max`` and rises again from there.
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

    torch has none.
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

    ``torch.optim.lr_scheduler.MultiStepLR`` starts from the group's rate.
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

    ``torch.optim.lr_scheduler.StepLR`` starts from the group's rate.
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

    ``torch.optim.lr_scheduler.CosineAnnealingLR`` starts from the group's rate, and follows one
    that is changed from outside.
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

    ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`` has the same values as this one, from
    the group's rate on.
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

    Nor does ``torch.optim.lr_scheduler.CyclicLR``, which also cycles the momentum, by default.
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
    ``max_lr / initial_learning_rate``, cycles the momentum by default, and refuses steps past the
    end.
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

    ``torch.optim.lr_scheduler.ExponentialLR(gamma)`` is the same from the group's rate on;
    ``torch.optim.lr_scheduler.MultiplicativeLR`` takes a function of the step.
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

    So does ``torch.optim.lr_scheduler.SequentialLR``.
    """


class ChainedLR(LRScheduler, scheduler.ChainedScheduler):
    """:class:`accelsched.scheduler.ChainedScheduler` of the learning rate.

    ``torch.optim.lr_scheduler.ChainedScheduler`` multiplies step by step, and so steps on from a
    rate that was changed from outside.
    """


class ChainedScheduler(ChainedLR):
    """:class:`ChainedLR` by the name that torch gives it; see there for formula and arguments."""


class ScalePerParamLR(LRScheduler, scheduler.ScalePerParamScheduler):
    """:class:`accelsched.scheduler.ScalePerParamScheduler` of the learning rate.

    torch has none: give each param group a rate of its own.
    """

    def _settings_of_cerebras(self, step: int) -> dict[str, Any]:
        return {"lr_adjustment_scalars": self.adjustment_scalars}


def _factor(name: str, value: Any) -> float:
    factor = real(name, value)
    require(factor < 1, name, value, "give a number below 1")
    return factor


def _positive_factor(name: str, value: Any) -> float:
    factor = _factor(name, value)
    require(factor > 0, name, value, "the rate is divided by it: give a number above 0")
    return factor


class ReduceLROnPlateau(  # type: ignore[override]
    MetricScheduler, LRScheduler, torch_schedulers.ReduceLROnPlateau
):
    """Multiply the learning rate by a factor whenever a metric has stopped improving.

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

    Each param group starts from its own rate, and a rate that somebody else puts there is gone on
    from. On a device all of this lives there, in float64 where the device has it, and
    ``step(loss)`` reads nothing. On the CPU, with a float for a rate, it is torch's arithmetic on
    floats. Both give torch's rates, which a float32 tensor in the group holds rounded. Numbers
    that are set later, ``scheduler.factor = 0.5``, compile nothing. Give a compiled step its metric
    as a tensor: torch.compile takes each Python number for another constant.

    With ``schedule`` the rate is ``schedule(t) * scale``: the scale starts at 1, and is what falls,
    down to ``min_lr``. A ``step()`` without a metric moves on in the schedule only, so that it may
    be taken at each batch, and ``step(loss)`` at the last one before each validation.

    A subclass that sets ``param_group_key`` drives another key. Every instance is one of torch's
    class too, by which trainers know that a step takes a metric.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        mode: "min" if a lower metric is better, "max" if a higher one is. Default "min".
        factor: what the rate is multiplied by, below 1. Default 0.1.
        patience: how many metrics in a row may fail to improve. Default 10.
        threshold: by how much a metric has to improve. Default 1e-4.
        threshold_mode: "rel" if the threshold is a fraction of the best metric, "abs" if it is a
            difference. Default "rel".
        cooldown: how many metrics after a reduction cannot count against it. Default 0.
        min_lr: the least rate: a number, or a list with one for each driven group. With
            ``schedule`` it is the least scale. Default 0.
        eps: a reduction by this or less is left out. Default 1e-8.
        schedule: what the scale is a factor of: a schedule, or a list with one for each driven
            group. Default: none.
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
        ArgumentError: a word or a number that cannot be, or no system on which a metric could be
            given, as Cerebras' is.

    Elsewhere: ``torch.optim.lr_scheduler.ReduceLROnPlateau``, whose arguments, results and state
    these are; with ``schedule``, ``optax.contrib.reduce_on_plateau``, whose ``min_scale`` is
    ``min_lr`` here; Keras' ``ReduceLROnPlateau``.
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
        """The least rate of a group that is added later; None if each group was given its own."""
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


# Trainers, that of transformers too, give a metric to what is of torch's class for one.
class GreedyLR(  # type: ignore[override]
    MetricScheduler, LRScheduler, torch_schedulers.ReduceLROnPlateau
):
    """Divide the learning rate by a factor while a metric improves, and multiply it when it stops.

    The learning rate at step ``t``, after ``t`` metrics, with the default modes, for the settings
    that leave out pauses (``cooldown``, ``warmup``), means and resets::

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

    The rest is as for :class:`ReduceLROnPlateau`: state on the device, no read, the rates of the
    original, numbers that may be set later.

    Args:
        optimizer: the optimizer to drive. None to bind it later: ``scheduler(optimizer)``.
        mode: "min" if a lower metric is better, "max" if a higher one is. Default "min".
        factor: what the rate is multiplied by or divided by, between 0 and 1. Default 0.95.
        patience: how many metrics in a row may improve, or fail to, before the rate moves. Default
            10.
        threshold: by how much a metric has to improve. Default 1e-6.
        threshold_mode: "rel" if the threshold is a fraction of the best metric, "abs" if it is a
            difference. Default "abs".
        cooldown: how many metrics after a reduction are left out. Default 0.
        warmup: how many metrics after a rise are left out. Default 0.
        min_lr: the least rate: a number, or a list with one for each driven group. Default 1e-3.
        max_lr: the largest rate, likewise. Default 1.0.
        eps: a change by this or less is left out. Default 1e-8.
        verbose: taken for compatibility; True is refused, as a message would have to read the
            rate. Default False.
        smooth: whether the metric is the mean of the last ones. Default False.
        window_size: how many metrics are averaged then. Default 50.
        reset_start: after how many reductions at the least rate of all groups all begins anew,
            from the first rates. Default 500.
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
        ArgumentError: a word or a number that cannot be, or no system on which a metric could be
            given, as Cerebras' is.

    Elsewhere: ``GreedyLR`` of transformers 5, whose arguments, results and state these are.
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
    #: Whether to print; nothing is printed.
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
        require(not verbose, "verbose", verbose, "it prints nothing: read get_last_lr()")
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
        """Whether the metric is the mean of the last ones."""
        return self._rule.window_size is not None

    @property
    def window_size(self) -> int:
        """How many metrics are averaged, if any are."""
        return self._window_size

    def _saved_settings(self) -> dict[str, Any]:
        more = {name: getattr(self, name) for name in ("verbose", "smooth", "window_size")}
        return {**super()._saved_settings(), **more}
