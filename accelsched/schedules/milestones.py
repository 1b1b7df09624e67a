"""Schedules that jump at milestones and are constant between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import (
    Steps,
    Table,
    require_increasing,
    require_not_negative,
    require_positive,
)
from accelsched.schedules._keywords import by_keyword
from accelsched.schedules._power import Power
from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """One value before the first milestone, and one from each milestone on.

    The value at step ``t``::

        i = sum(t >= milestone for milestone in milestones)
        value = values[i]

    Args:
        values: one more value than milestones.
        milestones: steps from 0 on, in increasing order. The new value starts at the milestone.

    Example:
        >>> schedule = PiecewiseConstant(values=[0.1, 0.01, 0.001], milestones=[100, 200])
        >>> [schedule(t) for t in (0, 99, 100, 200, 1000)]
        [0.1, 0.1, 0.01, 0.001, 0.001]

    Raises:
        ArgumentError: there are too many or too few values, the milestones decrease, or a number is
            not finite.

    Elsewhere: Keras' ``PiecewiseConstantDecay(boundaries, values)``, where the boundary step still
    has the old value. ``optax.piecewise_constant_schedule`` takes factors, not values.
    torch has none: its ``MultiStepLR`` has one factor for all milestones.
    """

    values: Table[float]
    milestones: Table[Steps]

    def check(self) -> None:
        require_increasing("milestones", self.milestones)
        wanted = len(self.milestones) + 1
        require(
            len(self.values) == wanted,
            "values",
            self.values,
            f"give {wanted} for {len(self.milestones)} milestones, not {len(self.values)}",
        )

    @property
    def base(self) -> float:
        return self.values[0]

    @property
    def settles(self) -> int | None:
        return max(self.milestones, default=0)

    def formula(self, step: Tensor) -> Tensor:
        return terms.take(self.values, terms.reached(self.milestones, step))


@dataclass(frozen=True)
class Step(Schedule):
    """A decay by the factor ``gamma`` once every ``step_size`` steps, without end.

    The value at step ``t``::

        value = initial * gamma ** (t // step_size)

    Args:
        initial: the value at step 0.
        step_size: the steps from one decay to the next, at least 1.
        gamma: the factor for one decay, not negative, without a unit.

    Example:
        >>> schedule = Step(initial=0.1, step_size=100, gamma=0.5)
        >>> [schedule(t) for t in (0, 99, 100, 250)]
        [0.1, 0.1, 0.05, 0.025]

    Raises:
        ArgumentError: ``step_size`` is below 1, ``gamma`` is negative, or a number is not finite.

    Elsewhere: torch's ``StepLR(step_size, gamma)``; ``optax.exponential_decay`` and Keras'
    ``ExponentialDecay``, both with ``staircase=True``, like :class:`Exponential`.
    """

    initial: float
    step_size: Steps
    gamma: float
    powers: Power = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_positive(self, "step_size")
        require_not_negative(self, "gamma")
        object.__setattr__(self, "powers", Power(self.initial, self.gamma))

    def formula(self, step: Tensor) -> Tensor:
        return self.powers.at(terms.quotient(step, self.step_size))


@by_keyword
@dataclass(frozen=True)
class MultiStep(Schedule):
    """A decay by the factor ``gamma`` at each milestone.

    The value at step ``t``::

        n = sum(t >= milestone for milestone in milestones)
        value = initial * gamma**n

    Args:
        initial: the value before the first milestone.
        gamma: the factor at each milestone, not negative, without a unit.
        milestones: steps from 0 on, in increasing order; one given twice counts twice.

    Example:
        >>> schedule = MultiStep(initial=0.1, gamma=0.1, milestones=[100, 200])
        >>> [round(schedule(t), 6) for t in (0, 99, 100, 200, 1000)]
        [0.1, 0.1, 0.01, 0.001, 0.001]

    Raises:
        ArgumentError: ``gamma`` is negative, the milestones decrease, or a number is not finite.

    Elsewhere: torch's ``MultiStepLR(milestones, gamma)``; ``optax.piecewise_constant_schedule``,
    with its own factor for each milestone.
    """

    initial: float
    gamma: float
    milestones: Table[Steps]
    powers: Power = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_not_negative(self, "gamma")
        require_increasing("milestones", self.milestones)
        object.__setattr__(self, "powers", Power(self.initial, self.gamma))

    @property
    def settles(self) -> int | None:
        return max(self.milestones, default=0)

    def formula(self, step: Tensor) -> Tensor:
        return self.powers.at(terms.real(terms.reached(self.milestones, step)))
