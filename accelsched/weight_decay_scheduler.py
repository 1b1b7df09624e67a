"""The schedulers of ``cerebras.pytorch.optim.weight_decay_scheduler``, by the same names.

Each is that of :mod:`accelsched.lr_scheduler` with another key, and with arguments that are named
for any value: ``initial_val`` for ``initial_learning_rate``. A family for a third key is as short.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from accelsched import lr_scheduler
from accelsched.lr_scheduler import Argument, LRScheduler

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


class WeightDecayScheduler(LRScheduler):
    """Drives the weight decay by any schedule; the base of the classes below.

    Takes what :class:`accelsched.Scheduler` takes. On a back end that is not the CPU the optimizer
    is to be stepped within :class:`accelsched.on_device`, as PyTorch asks on the host whether the
    weight decay is 0.
    """

    default_key = "weight_decay"
    any_value = True

    if TYPE_CHECKING:  # which cannot rename arguments

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" not in vars(cls) and WeightDecayScheduler in cls.__bases__:
            cls.__init__ = _renamed(cls)  # type: ignore[method-assign]


def _renamed(cls: type[LRScheduler]) -> Callable[..., None]:
    """The constructor of the learning rate's class, its arguments named for any value."""
    base: Any = cls.__bases__[-1]
    arguments = [value for value in vars(base).values() if isinstance(value, Argument)]
    given = {a.name_in(cls): a.name_in(base) for a in arguments}
    shown = {theirs: mine for mine, theirs in given.items()}

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs).arguments
        base.__init__(**{given.get(name, name): value for name, value in bound.items()})

    signature = inspect.signature(base.__init__)
    parameters = signature.parameters.values()
    signature = signature.replace(
        parameters=[p.replace(name=shown.get(p.name, p.name)) for p in parameters]
    )
    made: Any = functools.wraps(base.__init__)(__init__)
    made.__signature__ = signature
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made  # type: ignore[no-any-return]


class ConstantWD(WeightDecayScheduler, lr_scheduler.ConstantLR):
    """:class:`accelsched.lr_scheduler.ConstantLR` of the weight decay."""


class PolynomialWD(WeightDecayScheduler, lr_scheduler.PolynomialLR):
    """:class:`accelsched.lr_scheduler.PolynomialLR` of the weight decay."""


class LinearWD(WeightDecayScheduler, lr_scheduler.LinearLR):
    """:class:`accelsched.lr_scheduler.LinearLR` of the weight decay."""


class ExponentialWD(WeightDecayScheduler, lr_scheduler.ExponentialLR):
    """:class:`accelsched.lr_scheduler.ExponentialLR` of the weight decay."""


class InverseExponentialTimeDecayWD(
    WeightDecayScheduler, lr_scheduler.InverseExponentialTimeDecayLR
):
    """:class:`accelsched.lr_scheduler.InverseExponentialTimeDecayLR` of the weight decay."""


class InverseSquareRootDecayWD(WeightDecayScheduler, lr_scheduler.InverseSquareRootDecayLR):
    """:class:`accelsched.lr_scheduler.InverseSquareRootDecayLR` of the weight decay."""


class CosineDecayWD(WeightDecayScheduler, lr_scheduler.CosineDecayLR):
    """:class:`accelsched.lr_scheduler.CosineDecayLR` of the weight decay."""


class SequentialWD(WeightDecayScheduler, lr_scheduler.SequentialLR):
    """:class:`accelsched.lr_scheduler.SequentialLR` of the weight decay."""


class PiecewiseConstantWD(WeightDecayScheduler, lr_scheduler.PiecewiseConstantLR):
    """:class:`accelsched.lr_scheduler.PiecewiseConstantLR` of the weight decay."""


class MultiStepWD(WeightDecayScheduler, lr_scheduler.MultiStepLR):
    """:class:`accelsched.lr_scheduler.MultiStepLR` of the weight decay."""


class StepWD(WeightDecayScheduler, lr_scheduler.StepLR):
    """:class:`accelsched.lr_scheduler.StepLR` of the weight decay."""


class CosineAnnealingWD(WeightDecayScheduler, lr_scheduler.CosineAnnealingLR):
    """:class:`accelsched.lr_scheduler.CosineAnnealingLR` of the weight decay."""


class LambdaWD(WeightDecayScheduler, lr_scheduler.LambdaLR):
    """:class:`accelsched.lr_scheduler.LambdaLR` of the weight decay."""


class CosineAnnealingWarmRestartsWD(WeightDecayScheduler, lr_scheduler.CosineAnnealingWarmRestarts):
    """:class:`accelsched.lr_scheduler.CosineAnnealingWarmRestarts` of the weight decay."""


class MultiplicativeWD(WeightDecayScheduler, lr_scheduler.MultiplicativeLR):
    """:class:`accelsched.lr_scheduler.MultiplicativeLR` of the weight decay."""


class ChainedWD(WeightDecayScheduler, lr_scheduler.ChainedLR):
    """:class:`accelsched.lr_scheduler.ChainedLR` of the weight decay."""


class CyclicWD(WeightDecayScheduler, lr_scheduler.CyclicLR):
    """:class:`accelsched.lr_scheduler.CyclicLR` of the weight decay."""


class OneCycleWD(WeightDecayScheduler, lr_scheduler.OneCycleLR):
    """:class:`accelsched.lr_scheduler.OneCycleLR` of the weight decay."""


class ScalePerParamWD(WeightDecayScheduler, lr_scheduler.ScalePerParamLR):
    """:class:`accelsched.lr_scheduler.ScalePerParamLR` of the weight decay."""
