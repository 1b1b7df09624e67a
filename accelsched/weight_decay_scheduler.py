"""The schedulers of ``cerebras.pytorch.optim.weight_decay_scheduler``, by the same names.

Each is the class of :mod:`accelsched.lr_scheduler` with another key, and with arguments that are
named for any value: ``initial_val`` for ``initial_learning_rate``. The constructors and the
docstrings are derived from those of the learning rate, so a family for a third key is as short as
this one.
"""

from __future__ import annotations

import functools
import inspect
import re
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

#: What a docstring of the learning rate says, and what it says of the weight decay.
_WORDS = {
    "learning rate": "weight decay",
    "learning rates": "weight decays",
    "rate": "value",
    "scheduler.get_last_lr": "scheduler.get_last_value",
    **{name.removesuffix("WD") + "LR": name for name in __all__ if name.endswith("WD")},
    "CosineAnnealingWarmRestarts": "CosineAnnealingWarmRestartsWD",
}
_ELSEWHERE = """Elsewhere: Cerebras' ``weight_decay_scheduler`` has a class of this name, with the
    same arguments; for where it differs see
    :class:`accelsched.lr_scheduler.{}`.
    torch schedules no weight decay. optax schedules it as any other number, by
    ``optax.inject_hyperparams``.
    """


class WeightDecayScheduler(LRScheduler):
    """Drives the weight decay by any schedule; the base of the classes below.

    Its arguments are those of :class:`accelsched.Scheduler`, with ``key="weight_decay"`` by
    default. PyTorch checks on the host whether the weight decay is zero. On a device, step the
    optimizer within :class:`accelsched.on_device`, which skips the check.

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
    any_value = True

    if TYPE_CHECKING:  # which cannot rename arguments

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" not in vars(cls) and WeightDecayScheduler in cls.__bases__:
            cls.__init__ = _renamed(cls)  # type: ignore[method-assign]
            cls.__doc__ = _documented(cls)


def _names(cls: type[LRScheduler]) -> dict[str, str]:
    """Map the arguments of the learning rate's class to those of a class for any value."""
    base: Any = cls.__bases__[-1]
    arguments = [value for value in vars(base).values() if isinstance(value, Argument)]
    return {a.name_in(base): a.name_in(cls) for a in arguments}


def _documented(cls: type[LRScheduler]) -> str | None:
    """Write the docstring of a class: its own line, then that of the learning rate's class."""
    base = cls.__bases__[-1]
    if not cls.__doc__ or not base.__doc__:
        return cls.__doc__  # python -OO keeps none
    text, _, _ = base.__doc__.partition("Elsewhere:")
    for theirs, mine in {**_WORDS, **_names(cls)}.items():
        # A name after a point is that of another module.
        text = re.sub(rf"(?<!\.)\b{theirs}\b", mine, text)
    return f"{cls.__doc__}\n\n    {text}{_ELSEWHERE.format(base.__name__)}"


def _renamed(cls: type[LRScheduler]) -> Callable[..., None]:
    """Make the constructor: that of the learning rate's class, with the names for any value."""
    base: Any = cls.__bases__[-1]
    shown = _names(cls)
    given = {mine: theirs for theirs, mine in shown.items()}

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
