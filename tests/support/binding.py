"""Small optimizers to bind schedulers to, and schedulers of every public class."""

import types
from collections.abc import Callable
from typing import Any

import torch

from accelsched import lr_scheduler as ours
from accelsched.lr_scheduler import LRScheduler


def optimizer(
    *groups: dict[str, Any],
    kind: str = "host",
    cls: type[torch.optim.Optimizer] = torch.optim.SGD,
    **options: Any,
) -> torch.optim.Optimizer:
    """Return a CPU optimizer: kind "graph" has a tensor learning rate, "host" a float."""
    lr = torch.tensor(0.001) if kind == "graph" else 0.001
    named = [{"params": [torch.nn.Parameter(torch.ones(2))], **group} for group in groups or ({},)]
    return cls(named, lr=lr, **options)


#: The classes driven by a metric, which exist for the lr only, and those driven by the step.
BY_METRIC = {"GreedyLR", "ReduceLROnPlateau"}
BY_STEP = sorted({*ours.__all__} - BY_METRIC)

#: One or more makers for every class driven by the step; each takes the optimizer.
EVERY: dict[str, Callable[[torch.optim.Optimizer], LRScheduler]] = {
    "ConstantLR": lambda o: ours.ConstantLR(o, 0.03),
    "PolynomialLR": lambda o: ours.PolynomialLR(o, 0.05, 0.01, 60, power=2.0),
    "PolynomialLR cycle": lambda o: ours.PolynomialLR(o, 0.05, 0.01, 40, power=0.5, cycle=True),
    "LinearLR": lambda o: ours.LinearLR(o, 0.0, 0.05, 100),
    "ExponentialLR": lambda o: ours.ExponentialLR(o, 0.05, 50, 0.7),
    "ExponentialLR stairs": lambda o: ours.ExponentialLR(o, 0.05, 50, 0.7, staircase=True),
    "InverseExponentialTimeDecayLR": lambda o: ours.InverseExponentialTimeDecayLR(
        o, 0.05, 2, 500, 0.3
    ),
    "InverseExponentialTimeDecayLR stairs": lambda o: ours.InverseExponentialTimeDecayLR(
        o, 0.05, 1, 20, 0.3, staircase=True
    ),
    "InverseSquareRootDecayLR": lambda o: ours.InverseSquareRootDecayLR(o, 0.1, 2.0, 30),
    "CosineDecayLR": lambda o: ours.CosineDecayLR(o, 0.05, 0.001, 150),
    "SequentialLR": lambda o: ours.SequentialLR(
        o, [ours.LinearLR(o, 0.0, 0.05, 20), ours.CosineDecayLR(o, 0.05, 0.0, 150)], [20]
    ),
    "SequentialLR nested": lambda o: ours.SequentialLR(
        o, [ours.ConstantLR(o, 0.01), EVERY["SequentialLR"](o), EVERY["ChainedLR"](o)], [5, 90]
    ),
    "PiecewiseConstantLR": lambda o: ours.PiecewiseConstantLR(o, [0.01, 0.05, 0.02], [10, 99]),
    "MultiStepLR": lambda o: ours.MultiStepLR(o, 0.05, 0.5, [30, 60, 61]),
    "StepLR": lambda o: ours.StepLR(o, 0.05, 25, 0.8),
    "CosineAnnealingLR": lambda o: ours.CosineAnnealingLR(o, 0.05, 30, 0.001),
    "LambdaLR": lambda o: ours.LambdaLR(o, 0.05),
    "CosineAnnealingWarmRestarts": lambda o: ours.CosineAnnealingWarmRestarts(o, 0.05, 30),
    "CosineAnnealingWarmRestarts mult": lambda o: ours.CosineAnnealingWarmRestarts(o, 0.05, 9, 2),
    "MultiplicativeLR": lambda o: ours.MultiplicativeLR(o, 0.05, 0.99),
    "ChainedLR": lambda o: ours.ChainedLR(
        [ours.ExponentialLR(o, 0.05, 10, 0.9), ours.StepLR(o, 0.1, 40, 0.5)]
    ),
    "ChainedScheduler": lambda o: ours.ChainedScheduler(
        [ours.ConstantLR(o, 0.05), ours.LinearLR(o, 0.0, 1.0, 50)]
    ),
    "CyclicLR": lambda o: ours.CyclicLR(o, 0.001, 0.05, 20, 13),
    "CyclicLR triangular2": lambda o: ours.CyclicLR(o, 0.001, 0.05, 20, mode="triangular2"),
    "CyclicLR exp_range": lambda o: ours.CyclicLR(o, 0.001, 0.05, 20, mode="exp_range", gamma=0.99),
    "OneCycleLR": lambda o: ours.OneCycleLR(o, 0.002, 0.05, 150),
    "OneCycleLR three phases": lambda o: ours.OneCycleLR(
        o, 0.002, 0.05, 150, three_phase=True, anneal_strategy="linear"
    ),
    "ScalePerParamLR": lambda o: ours.ScalePerParamLR(o, EVERY["SequentialLR"](o)),
}


def classes_in(cases: dict[str, Any]) -> set[str]:
    return {name.split()[0] for name in cases}


def of_weight_decay(module: types.ModuleType) -> types.SimpleNamespace:
    """Return the weight-decay classes of a module under the names of the lr classes."""
    known = vars(module)
    names = {name: f"{name.removesuffix('LR')}WD" for name in BY_STEP}
    names |= {"ChainedScheduler": "ChainedWD", "LRScheduler": "WeightDecayScheduler"}
    return types.SimpleNamespace(**{mine: known[name] for mine, name in names.items()})


def of_any_key(module: types.ModuleType) -> dict[str, type]:
    """Return the classes of the generic family under the names of the lr classes."""
    every = "CosineAnnealingWarmRestarts"
    names = {name: f"{name.removesuffix('LR')}Scheduler" for name in BY_STEP}
    names |= {"ChainedScheduler": "ChainedScheduler", "LRScheduler": "Scheduler"}
    names |= {every: f"{every}Scheduler"}
    return {mine: getattr(module, name) for mine, name in names.items()}


def of_momentum(module: types.ModuleType) -> types.SimpleNamespace:
    """Derive momentum classes from the generic family, as a user does."""
    made: dict[str, Any] = {
        name: type(f"{name}OfMomentum", (cls,), {"param_group_key": "momentum"})
        for name, cls in of_any_key(module).items()
    }
    pieces = made["PiecewiseConstantLR"]

    def piecewise(optimizer: torch.optim.Optimizer, *given: Any, **options: Any) -> Any:
        return pieces(optimizer, made["ConstantLR"], *given, **options)

    return types.SimpleNamespace(**{**made, "PiecewiseConstantLR": piecewise})
