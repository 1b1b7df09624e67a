"""Pure schedules: frozen dataclasses that map a step to a value.

To add a schedule, add a class here and a function of the same name in :mod:`accelsched.reference`.
"""

from accelsched.schedules._fields import Steps, Table
from accelsched.schedules._operators import maximum, minimum
from accelsched.schedules.base import Schedule
from accelsched.schedules.compose import (
    Chained,
    Maximum,
    Minimum,
    Product,
    Scaled,
    Sequential,
    Sum,
)
from accelsched.schedules.custom import Lambda, Tabulated
from accelsched.schedules.cyclic import (
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    Cyclic,
    OneCycle,
)
from accelsched.schedules.decay import (
    Constant,
    Exponential,
    InverseExponentialTimeDecay,
    InverseSquareRootDecay,
    Multiplicative,
)
from accelsched.schedules.milestones import MultiStep, PiecewiseConstant, Step
from accelsched.schedules.ramps import CosineDecay, Linear, Logarithmic, OneMinusPower, Polynomial
from accelsched.schedules.shifted import Shifted
from accelsched.schedules.warmup import WarmupCosine, WarmupStableDecay

#: The name of :data:`Table` in release 0.1.
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
    "Logarithmic",
    "Maximum",
    "Minimum",
    "MultiStep",
    "Multiplicative",
    "OneCycle",
    "OneMinusPower",
    "PiecewiseConstant",
    "Polynomial",
    "Product",
    "Scaled",
    "Schedule",
    "Sequential",
    "Shifted",
    "Step",
    "Steps",
    "Sum",
    "Table",
    "Tabulated",
    "WarmupCosine",
    "WarmupStableDecay",
    "maximum",
    "minimum",
]
