"""The schedulers of ``cerebras.pytorch.optim.weight_decay_scheduler``, by the same names.

Each class is one of :mod:`accelsched.scheduler`, with the key ``"weight_decay"``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch.optim import Optimizer

from accelsched import scheduler
from accelsched._binding.arguments import WithArguments
from accelsched._binding.param_groups import Tags

__all__ = [
    "ChainedWD",
    "ConstantWD",
    "CosineAnnealingWD",
    "CosineAnnealingWarmRestartsWD",
    "CosineDecayWD",
    "CyclicWD",
    "ExponentialWD",
    "InverseExponentialTimeDecayWD",
    "InverseSquareRootDecayWD",
    "LambdaWD",
    "LinearWD",
    "MultiStepWD",
    "MultiplicativeWD",
    "OneCycleWD",
    "PiecewiseConstantWD",
    "PolynomialWD",
    "ScalePerParamWD",
    "SequentialWD",
    "StepWD",
    "WeightDecayScheduler",
]


class WeightDecayScheduler(WithArguments):
    """Drives the weight decay by any schedule; the base of the classes below.

    Its arguments are those of :class:`accelsched.Scheduler`, with ``key="weight_decay"`` by
    default. A subclass may define ``_get_closed_form()``: see
    :class:`accelsched.lr_scheduler.LRScheduler`. PyTorch checks on the host whether the weight
    decay is zero. On a device, step the optimizer within :class:`accelsched.on_device`, which skips
    the check.

    Example:
        >>> import torch
        >>> from accelsched.schedules import Linear
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = WeightDecayScheduler(optimizer, Linear(initial=0.0, end=0.1, total_iters=2))
        >>> scheduler.get_last_value()
        [0.0]
        >>> scheduler.step()
        >>> scheduler.get_last_value()
        [0.05]
        >>> scheduler.last_epoch = 10
        >>> optimizer.param_groups[0]["weight_decay"]
        0.1
    """

    default_key = "weight_decay"
    noun, ending = "weight decay", "WD"
    elsewhere = """torch does not schedule the weight decay. optax does, as any other number, with
    ``optax.inject_hyperparams``."""


class ConstantWD(WeightDecayScheduler, scheduler.ConstantScheduler):
    """:class:`accelsched.scheduler.ConstantScheduler` of the weight decay."""


class PolynomialWD(WeightDecayScheduler, scheduler.PolynomialScheduler):
    """:class:`accelsched.scheduler.PolynomialScheduler` of the weight decay."""


class LinearWD(WeightDecayScheduler, scheduler.LinearScheduler):
    """:class:`accelsched.scheduler.LinearScheduler` of the weight decay."""


class ExponentialWD(WeightDecayScheduler, scheduler.ExponentialScheduler):
    """:class:`accelsched.scheduler.ExponentialScheduler` of the weight decay."""


class InverseExponentialTimeDecayWD(
    WeightDecayScheduler, scheduler.InverseExponentialTimeDecayScheduler
):
    """:class:`accelsched.scheduler.InverseExponentialTimeDecayScheduler` of the weight decay."""


class InverseSquareRootDecayWD(WeightDecayScheduler, scheduler.InverseSquareRootDecayScheduler):
    """:class:`accelsched.scheduler.InverseSquareRootDecayScheduler` of the weight decay."""


class CosineDecayWD(WeightDecayScheduler, scheduler.CosineDecayScheduler):
    """:class:`accelsched.scheduler.CosineDecayScheduler` of the weight decay."""


class SequentialWD(WeightDecayScheduler, scheduler.SequentialScheduler):
    """:class:`accelsched.scheduler.SequentialScheduler` of the weight decay."""


class PiecewiseConstantWD(WeightDecayScheduler, scheduler.PiecewiseConstantScheduler):
    """:class:`accelsched.scheduler.PiecewiseConstantScheduler` of the weight decay."""

    def __init__(
        self,
        optimizer: Optimizer | None,
        vals: Sequence[float],
        milestones: Sequence[int],
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        open_ended: bool = False,
    ) -> None:
        super().__init__(
            optimizer,
            ConstantWD,
            vals,
            milestones,
            param_group_tags,
            last_epoch=last_epoch,
            open_ended=open_ended,
        )


class MultiStepWD(WeightDecayScheduler, scheduler.MultiStepScheduler):
    """:class:`accelsched.scheduler.MultiStepScheduler` of the weight decay."""


class StepWD(WeightDecayScheduler, scheduler.StepScheduler):
    """:class:`accelsched.scheduler.StepScheduler` of the weight decay."""


class CosineAnnealingWD(WeightDecayScheduler, scheduler.CosineAnnealingScheduler):
    """:class:`accelsched.scheduler.CosineAnnealingScheduler` of the weight decay."""


class LambdaWD(WeightDecayScheduler, scheduler.LambdaScheduler):
    """:class:`accelsched.scheduler.LambdaScheduler` of the weight decay."""


class CosineAnnealingWarmRestartsWD(
    WeightDecayScheduler, scheduler.CosineAnnealingWarmRestartsScheduler
):
    """:class:`accelsched.scheduler.CosineAnnealingWarmRestartsScheduler` of the weight decay."""


class MultiplicativeWD(WeightDecayScheduler, scheduler.MultiplicativeScheduler):
    """:class:`accelsched.scheduler.MultiplicativeScheduler` of the weight decay."""


class ChainedWD(WeightDecayScheduler, scheduler.ChainedScheduler):
    """:class:`accelsched.scheduler.ChainedScheduler` of the weight decay."""


class CyclicWD(WeightDecayScheduler, scheduler.CyclicScheduler):
    """:class:`accelsched.scheduler.CyclicScheduler` of the weight decay."""


class OneCycleWD(WeightDecayScheduler, scheduler.OneCycleScheduler):
    """:class:`accelsched.scheduler.OneCycleScheduler` of the weight decay."""


class ScalePerParamWD(WeightDecayScheduler, scheduler.ScalePerParamScheduler):
    """:class:`accelsched.scheduler.ScalePerParamScheduler` of the weight decay."""
