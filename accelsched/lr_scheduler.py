"""The learning rate schedulers of ``cerebras.pytorch.optim.lr_scheduler``, by the same names.

A training script changes its import and nothing else. Each class is that of
:mod:`accelsched.scheduler` with the key ``"lr"``, and with arguments that are named for a learning
rate: ``initial_learning_rate`` for ``initial_val``.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from accelsched import scheduler
from accelsched._binding import state
from accelsched._binding.arguments import Argument, WithArguments, argument_names
from accelsched._binding.param_groups import Tags
from accelsched._optimizers.remedies import level_of_the_caller
from accelsched.schedules import Schedule

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
