"""Schedules made of the user's own functions: traced, or tabulated where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from accelsched.errors import ArgumentError, require
from accelsched.schedules import terms
from accelsched.schedules.base import Lookup, Schedule, require_positive

#: 2**22 steps: 32 MiB of float64 on the host and on the device.
MAX_TABLE_STEPS = 2**22


@dataclass(frozen=True)
class Lambda(Schedule):
    """``initial`` times the product of ``functions``, each a function of the step.

    A function gets the step as a float64 tensor (so ``0.95 ** step`` keeps its digits) and is to
    be written in operators or torch functions. One that needs ``math``, ``min`` or an ``if`` can
    run on the CPU only; make it ``Tabulated(function, total_iters)`` for any other device.

    Args:
        initial: the value that the functions multiply.
        functions: functions from the step to a factor.
    """

    initial: float
    functions: tuple[Callable[..., Any], ...]

    def formula(self, step: Tensor) -> Tensor:
        value = terms.filled(step, self.initial)
        for function in self.functions:
            value = value * function(terms.real(step))
        return value


@dataclass(frozen=True)
class Tabulated(Schedule):
    """A curve computed once, in float64, and looked up by the step from then on.

    Takes 8 bytes a step, on the host and on the device.

    Args:
        source: a schedule, or any function from an int to a number.
        total_iters: the last step that is computed, at least 1 and at most ``MAX_TABLE_STEPS``.
        past_end: ``"hold"`` the last value, or ``"cycle"``: start again at step ``total_iters``.
    """

    source: Callable[..., Any]
    total_iters: int
    past_end: Literal["hold", "cycle"] = "hold"
    values: Lookup[float] = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_positive(self, "total_iters")
        require(
            self.total_iters <= MAX_TABLE_STEPS,
            "total_iters",
            self.total_iters,
            f"a table holds at most {MAX_TABLE_STEPS} steps: write the function in torch "
            "operations instead, for Lambda",
        )
        object.__setattr__(self, "values", self._curve())

    def _curve(self) -> tuple[float, ...]:
        steps = self.total_iters + (self.past_end == "hold")
        if isinstance(self.source, Schedule):
            curve = self.source.formula(torch.arange(steps))
        else:
            curve = torch.tensor([float(self.source(i)) for i in range(steps)], dtype=torch.float64)
        wrong = (~curve.isfinite()).nonzero()
        if len(wrong):
            at = int(wrong[0])
            raise ArgumentError("source", float(curve[at]), f"not a finite number, at step {at}")
        return tuple(curve.tolist())

    @property
    def settles(self) -> int | None:
        return self.total_iters if self.past_end == "hold" else None

    def formula(self, step: Tensor) -> Tensor:
        if self.past_end == "cycle":
            index = step % self.total_iters
        else:
            index = step.clamp(max=self.total_iters)
        return terms.take(self.values, index)
