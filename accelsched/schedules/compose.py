"""Schedules made of other schedules. Each is a pure function, so they nest to any depth."""

from __future__ import annotations

import functools
import math
import sys
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from accelsched.errors import require
from accelsched.schedules import terms
from accelsched.schedules._fields import Source, Steps, Table, require_increasing
from accelsched.schedules._once import computed_once
from accelsched.schedules._phases import merge_phases
from accelsched.schedules._side_by_side import merge_terms
from accelsched.schedules.base import Schedule


def _last_settles(schedules: Sequence[Schedule]) -> int | None:
    """Return the step at which the last schedule settles; None unless all do."""
    steps = [schedule.settles for schedule in schedules]
    known = [step for step in steps if step is not None]
    return max(known) if len(known) == len(steps) else None


def _repeat_together(schedules: Sequence[Schedule]) -> tuple[int, int] | None:
    """Return the step from which all schedules repeat, and their period; None unless all do."""
    known = [schedule.repeats for schedule in schedules]
    starts_and_periods = [one for one in known if one is not None]
    if len(starts_and_periods) < len(known):
        return None
    starts, periods = zip(*starts_and_periods, strict=True)
    return max(starts), math.lcm(*periods)


def _require_some(name: str, schedules: Sequence[Schedule]) -> None:
    require(bool(schedules), name, schedules, "give at least one")


@dataclass(frozen=True)
class Sequential(Schedule):
    """Schedules one after the other; each counts its own steps from 0 at its milestone.

    The value at step ``t``::

        starts = [0, *milestones]
        i = sum(t >= milestone for milestone in milestones)
        value = schedules[i](t - starts[i])

    ``first.then(second, at=10)`` is ``Sequential([first, second], [10])``.

    Args:
        schedules: one more schedule than milestones; they may themselves be composed.
        milestones: steps from 0 on, in increasing order. The next schedule starts at the milestone.

    Example:
        >>> from accelsched.schedules import CosineDecay, Linear
        >>> warmup = Linear(initial=0.0, end=0.1, total_iters=10)
        >>> decay = CosineDecay(initial=0.1, end=0.0, total_iters=90)
        >>> schedule = Sequential(schedules=[warmup, decay], milestones=[10])
        >>> [round(schedule(t), 6) for t in (0, 5, 10, 55, 100, 200)]
        [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]

    Raises:
        ArgumentError: there are too many or too few schedules, or the milestones decrease.

    Elsewhere: ``optax.join_schedules(schedules, boundaries)`` and torch's ``SequentialLR``.
    ``SequentialLR`` of torch and of Cerebras returns wrong values when nested.
    """

    schedules: Source[Sequence[Schedule]]
    milestones: Source[Sequence[int]]
    parts: tuple[Schedule, ...] = field(init=False, repr=False, compare=False)
    starts: tuple[Steps, ...] = field(init=False, repr=False, compare=False)
    turns: Table[Steps] | None = field(init=False, repr=False, compare=False)
    part_of: Table[int] | None = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        _require_some("schedules", self.schedules)
        require_increasing("milestones", self.milestones)
        wanted = len(self.milestones) + 1
        require(
            len(self.schedules) == wanted,
            "schedules",
            self.schedules,
            f"give {wanted} for {len(self.milestones)} milestones, not {len(self.schedules)}",
        )
        self._derive_parts()

    def _derive_parts(self) -> None:
        """Merge phases into parts, and derive which part each phase belongs to."""
        first_steps = (0, *self.milestones)
        made = sorted(merge_phases(self.schedules, first_steps), key=lambda part: part[1])
        part_of = [0] * len(self.schedules)
        for index, (_, positions) in enumerate(made):
            for position in positions:
                part_of[position] = index
        # If no part recurs, comparing the step with each start is enough to select the part.
        taken_in_turn = part_of == sorted(part_of)
        derived = {
            "parts": tuple(part for part, _ in made),
            "starts": tuple(first_steps[positions[0]] for _, positions in made),
            "turns": None if taken_in_turn else self.milestones,
            "part_of": None if taken_in_turn else tuple(part_of),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @property
    def base(self) -> float:
        return self.schedules[0].base

    @property
    def settles(self) -> int | None:
        last = self.schedules[-1].settles
        return None if last is None else max(self.milestones, default=0) + last

    @property
    def repeats(self) -> tuple[int, int] | None:
        last = self.schedules[-1].repeats
        return None if last is None else (max(self.milestones, default=0) + last[0], last[1])

    def formula(self, step: Tensor) -> Tensor:
        value = self.parts[0].formula(step)
        if self.turns is None or self.part_of is None:
            for start, part in zip(self.starts[1:], self.parts[1:], strict=True):
                value = torch.where(step >= start, part.formula(step), value)
            return value
        now = terms.take(self.part_of, terms.reached(self.turns, step))
        for index, part in enumerate(self.parts[1:], start=1):
            value = torch.where(now == index, part.formula(step), value)
        return value


@dataclass(frozen=True)
class Chained(Schedule):
    """The first schedule times the relative factor of each other schedule.

    The value at step ``t``::

        value = schedules[0](t) * prod(s(t) / (s.base or 1) for s in schedules[1:])

    ``base`` is the initial value of a schedule, usually one of its arguments. If ``base`` is 0, as
    for a warm-up from 0, the schedule itself is the factor.

    Args:
        schedules: at least one; they may themselves be composed. The first sets the unit.

    Example:
        >>> from accelsched.schedules import Linear, Step
        >>> decay = Step(initial=0.1, step_size=100, gamma=0.5)
        >>> schedule = Chained(schedules=[decay, Linear(initial=0.0, end=1.0, total_iters=10)])
        >>> [round(schedule(t), 6) for t in (0, 5, 10, 100, 200)]
        [0.0, 0.05, 0.1, 0.05, 0.025]

    Raises:
        ArgumentError: there is no schedule, or a ``base`` is too small to divide by.

    Elsewhere: torch's ``ChainedScheduler``, which multiplies step by step and so continues from an
    lr that was changed from outside. optax has none: multiply functions, as :class:`Product` does.
    """

    schedules: Sequence[Schedule]
    stretches = True
    bases: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        _require_some("schedules", self.schedules)
        bases = tuple(schedule.base or 1.0 for schedule in self.schedules[1:])
        for position, base in enumerate(bases, start=1):
            remedy = "cannot divide by its initial value: make that 0, or at least 2**-1022"
            divides = sys.float_info.min <= abs(base) <= sys.float_info.max
            require(divides, f"schedules[{position}]", self.schedules[position], remedy)
        object.__setattr__(self, "bases", bases)

    @property
    def base(self) -> float:
        return self.schedules[0].base

    @property
    def settles(self) -> int | None:
        return _last_settles(self.schedules)

    @property
    def repeats(self) -> tuple[int, int] | None:
        return _repeat_together(self.schedules)

    def formula(self, step: Tensor) -> Tensor:
        value = self.schedules[0].formula(step)
        for schedule, base in zip(self.schedules[1:], self.bases, strict=True):
            value = value * (schedule.formula(step) / base)
        return value


@dataclass(frozen=True)
class Scaled(Schedule):
    """A schedule times a number, as in ``0.5 * schedule``.

    The value at step ``t``::

        value = factor * schedule(t)

    Args:
        schedule: any schedule; it may itself be composed.
        factor: the number, without a unit; it may be 0 or negative.

    Example:
        >>> from accelsched.schedules import Linear
        >>> schedule = Scaled(schedule=Linear(initial=0.1, end=0.0, total_iters=100), factor=0.5)
        >>> [schedule(t) for t in (0, 50, 100, 200)]
        [0.05, 0.025, 0.0, 0.0]

    Raises:
        ArgumentError: ``factor`` is not a finite number, or ``schedule`` is not a schedule.

    Elsewhere: Cerebras' ``ScalePerParamLR``, with a factor for each param group. In optax
    ``lambda t: factor * schedule(t)``.
    """

    schedule: Source[Schedule]
    factor: Source[float]
    stretches = True
    # Nested factors are merged: the schedule that they scale, and their product.
    inner: Schedule = field(init=False, repr=False, compare=False)
    product: float = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        inner, product = self.schedule, self.factor
        if isinstance(inner, Scaled) and keeps_digits(inner.product, product):
            product *= inner.product
            inner = inner.inner
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "product", product)

    @property
    def base(self) -> float:
        return self.inner.base * self.product

    @property
    def settles(self) -> int | None:
        return self.inner.settles

    @property
    def repeats(self) -> tuple[int, int] | None:
        return self.schedule.repeats

    def formula(self, step: Tensor) -> Tensor:
        return self.inner.formula(step) * self.product


def keeps_digits(one: float, other: float) -> bool:
    """Return whether the product of two numbers keeps all digits in float64."""
    size = abs(one * other)
    return sys.float_info.min <= size <= sys.float_info.max or 0 in (one, other)


@dataclass(frozen=True)
class _Fold(Schedule):
    """Schedules whose values are combined two by two, in the given order.

    Eight or more terms of one structure are combined first.
    """

    schedules: Source[Sequence[Schedule]]
    stretches = True
    # Computed on first use, because a + b + c + ... makes a sum for each operator.
    parts: tuple[Schedule, ...] = field(
        init=False, repr=False, compare=False,
        default=computed_once(lambda fold: fold.merged()),  # type: ignore[arg-type]
    )  # fmt: skip

    #: The tensor method that reduces the values along a dimension.
    reduction: ClassVar[str]

    def merged(self) -> tuple[Schedule, ...]:
        """Return equivalent terms, as few as possible."""
        return merge_terms(self.schedules, self.reduction)

    @staticmethod
    @abstractmethod
    def together(one: Any, other: Any) -> Any:
        """Combine two values."""

    def check(self) -> None:
        _require_some("schedules", self.schedules)

    @property
    def base(self) -> float:
        return float(functools.reduce(self.together, (s.base for s in self.schedules)))

    @property
    def settles(self) -> int | None:
        return _last_settles(self.schedules)

    @property
    def repeats(self) -> tuple[int, int] | None:
        return _repeat_together(self.schedules)

    def formula(self, step: Tensor) -> Tensor:
        values = (schedule.formula(step) for schedule in self.parts)
        total: Tensor = functools.reduce(self.together, values)
        return total


@dataclass(frozen=True)
class Sum(_Fold):
    """The sum of schedules, as in ``one + other``.

    The value at step ``t``::

        value = sum(s(t) for s in schedules)

    Args:
        schedules: at least one, all in the same unit; they may themselves be composed.

    Example:
        >>> from accelsched.schedules import Constant, Linear
        >>> decay = Linear(initial=0.1, end=0.0, total_iters=100)
        >>> schedule = Sum(schedules=[Constant(0.01), decay])
        >>> [round(schedule(t), 6) for t in (0, 50, 100, 200)]
        [0.11, 0.06, 0.01, 0.01]

    Raises:
        ArgumentError: there is no schedule.

    Elsewhere: none; in optax ``lambda t: one(t) + other(t)``.
    """

    reduction = "sum"

    @staticmethod
    def together(one: Any, other: Any) -> Any:
        return one + other


@dataclass(frozen=True)
class Product(_Fold):
    """The product of schedules, as in ``one * other``.

    The value at step ``t``::

        value = prod(s(t) for s in schedules)

    Args:
        schedules: at least one; they may themselves be composed. One has the unit of the value; the
            others are factors without a unit.

    Example:
        >>> from accelsched.schedules import Linear, Step
        >>> warmup = Linear(initial=0.0, end=1.0, total_iters=10)
        >>> schedule = Product(schedules=[Step(initial=0.1, step_size=100, gamma=0.5), warmup])
        >>> [schedule(t) for t in (0, 5, 10, 100, 200)]
        [0.0, 0.05, 0.1, 0.05, 0.025]

    Raises:
        ArgumentError: there is no schedule.

    Elsewhere: none; in optax ``lambda t: one(t) * other(t)``. :class:`Chained` divides each factor
    by its initial value first, as torch's ``ChainedScheduler`` does.
    """

    reduction = "prod"

    @staticmethod
    def together(one: Any, other: Any) -> Any:
        return one * other


@dataclass(frozen=True)
class Minimum(_Fold):
    """The smallest value of several schedules, as in ``minimum(one, other)``.

    The value at step ``t``::

        value = min(s(t) for s in schedules)

    Args:
        schedules: at least one, all in the same unit; they may themselves be composed.

    Example:
        >>> from accelsched.schedules import Constant, Linear
        >>> rise = Linear(initial=0.0, end=1.0, total_iters=100)
        >>> schedule = Minimum(schedules=[rise, Constant(0.4)])
        >>> [schedule(t) for t in (0, 30, 50, 100, 200)]
        [0.0, 0.3, 0.4, 0.4, 0.4]

    Raises:
        ArgumentError: there is no schedule.

    Elsewhere: none; in optax ``lambda t: jnp.minimum(one(t), other(t))``.
    """

    reduction = "amin"

    @staticmethod
    def together(one: Any, other: Any) -> Any:
        return torch.minimum(one, other) if isinstance(one, Tensor) else min(one, other)


@dataclass(frozen=True)
class Maximum(_Fold):
    """The largest value of several schedules, as in ``maximum(one, other)``.

    The value at step ``t``::

        value = max(s(t) for s in schedules)

    Args:
        schedules: at least one, all in the same unit; they may themselves be composed.

    Example:
        >>> from accelsched.schedules import Constant, CosineDecay
        >>> decay = CosineDecay(initial=0.1, end=0.0, total_iters=100)
        >>> schedule = Maximum(schedules=[decay, Constant(0.01)])
        >>> [round(schedule(t), 6) for t in (0, 50, 90, 100, 200)]
        [0.1, 0.05, 0.01, 0.01, 0.01]

    Raises:
        ArgumentError: there is no schedule.

    Elsewhere: ``min_lr`` of Megatron and others is a floor under a decay. In optax
    ``lambda t: jnp.maximum(one(t), other(t))``.
    """

    reduction = "amax"

    @staticmethod
    def together(one: Any, other: Any) -> Any:
        return torch.maximum(one, other) if isinstance(one, Tensor) else max(one, other)
