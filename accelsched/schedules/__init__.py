"""Pure schedules: frozen dataclasses that map a step to a value.

To add a schedule, add a class here and a function of the same name in :mod:`accelsched.reference`.
"""

from accelsched.schedules._fields import Table
from accelsched.schedules.base import Schedule
from accelsched.schedules.compose import Chained, Product, Scaled, Sequential, Sum
from accelsched.schedules.custom import Lambda, Tabulated
from accelsched.schedules.cyclic import (
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    Cyclic,
    OneCycle,
)
from accelsched.schedules.decay import (
    Constant,
    CosineDecay,
    Exponential,
    InverseExponentialTimeDecay,
    InverseSquareRootDecay,
    Linear,
    Multiplicative,
    Polynomial,
)
from accelsched.schedules.milestones import MultiStep, PiecewiseConstant, Step

#: The name that release 0.1 gave to :data:`Table`.
Lookup = Table  # type: ignore[type-arg]

__all__ = [
    "Chained",
    "Constant",
    "CosineAnnealing",
    "CosineAnnealingWarmRestarts",
    "CosineDecay",
    "Cyclic",
    "Exponential",
    "InverseExponentialTimeDecay",
    "InverseSquareRootDecay",
    "Lambda",
    "Linear",
    "MultiStep",
    "Multiplicative",
    "OneCycle",
    "PiecewiseConstant",
    "Polynomial",
    "Product",
    "Scaled",
    "Schedule",
    "Sequential",
    "Step",
    "Sum",
    "Table",
    "Tabulated",
]
