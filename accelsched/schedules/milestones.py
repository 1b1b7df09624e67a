"""Schedules that jump at milestones and are constant between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import (
    Table,
    require_increasing,
    require_not_negative,
    require_positive,
)
from accelsched.schedules._power import Power
from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """``values[i]`` from milestone ``i - 1`` (inclusive) to milestone ``i`` (exclusive).

    Args:
        values: one more than there are milestones.
        milestones: steps, in increasing order.
    """

    values: Table[float]
    milestones: Table[int]

    def check(self) -> None:
        require_increasing("milestones", self.milestones)
        wanted = len(self.milestones) + 1
        require(
            len(self.values) == wanted,
            "values",
            self.values,
            f"{len(self.milestones)} milestones need {wanted} values, not {len(self.values)}",
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
    """``initial * gamma ** (t // step_size)``.

    Args:
        initial: the value at step 0.
        step_size: the number of steps between two decays, at least 1.
        gamma: the factor of a decay, not negative.
    """

    initial: float
    step_size: int
    gamma: float
    powers: Power = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_positive(self, "step_size")
        require_not_negative(self, "gamma")
        object.__setattr__(self, "powers", Power(self.initial, self.gamma))

    def formula(self, step: Tensor) -> Tensor:
        return self.powers.at(terms.quotient(step, self.step_size))


@dataclass(frozen=True)
class MultiStep(Schedule):
    """``initial * gamma ** n`` once ``n`` milestones are reached.

    Args:
        initial: the value before the first milestone.
        gamma: the factor of a milestone, not negative.
        milestones: steps, in increasing order; one given twice counts twice.
    """

    initial: float
    gamma: float
    milestones: Table[int]
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
