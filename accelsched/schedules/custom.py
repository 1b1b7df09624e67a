"""Schedules made of the user's own functions: traced, or tabulated if they cannot be traced."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from accelsched._recording import call
from accelsched.errors import ArgumentError, require
from accelsched.schedules import terms
from accelsched.schedules._fields import Source, TensorTable
from accelsched.schedules.base import Schedule

#: A table of this length takes 32 MiB on the host, and 16 or 32 MiB on the device.
MAX_TABLE_STEPS = 2**22


@dataclass(frozen=True)
class Lambda(Schedule):
    """A number times functions of the step, which are traced once and run on the device.

    The value at step ``t``::

        n = t if total_iters is None else min(t, total_iters)
        value = initial * prod(function(n) for function in functions)

    Each function receives the step as a float64 tensor, so ``0.95**step`` keeps its digits. Write
    functions with operators or torch functions. A function that needs ``math``, NumPy, ``min`` or
    ``if`` runs on the host only, step by step. With ``total_iters``, its values are computed once,
    from Python integers. The table runs on any device, and takes 8 bytes a step on the host and at
    most as much on the device.

    On the host, a function reads the current values of its outer variables at each step. A device
    graph keeps the values from when it was traced, and a table from when it was built.

    Args:
        initial: the value that the functions multiply.
        functions: functions from the step to a factor without a unit.
        total_iters: tabulate the functions up to this step, at most ``MAX_TABLE_STEPS``, and hold
            the last value. Default: no table.

    Example:
        >>> schedule = Lambda(initial=0.1, functions=[lambda step: 1 / (1 + step / 100)])
        >>> [round(schedule(t), 6) for t in (0, 100, 900)]
        [0.1, 0.05, 0.01]

        With a table, for a function that needs Python numbers:

        >>> import math
        >>> stairs = lambda step: math.floor(10 - step / 10) / 10
        >>> schedule = Lambda(initial=0.1, functions=[stairs], total_iters=90)
        >>> [round(schedule(t), 6) for t in (0, 50, 90, 200)]
        [0.1, 0.05, 0.01, 0.01]

    Raises:
        ArgumentError: the table would be too long, or a value in it is not finite; the message
            names the step.

    Elsewhere: torch's ``LambdaLR(lr_lambda)``, which runs one function for each param group on the
    host; Keras' callback ``LearningRateScheduler``. In optax, any function is a schedule.
    Cerebras' ``LambdaLR`` multiplies by ``initial`` once for each function.
    """

    initial: float
    functions: Sequence[Callable[..., Any]]
    total_iters: int | None = None
    factors: TensorTable | None = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        factors = None
        if self.total_iters is not None:
            require_table(self.total_iters)
            factors = _table("functions", self._factor, self.total_iters + 1)
        object.__setattr__(self, "factors", factors)

    def _factor(self, step: int) -> float:
        """Return the product of the functions at a step."""
        return math.prod(float(function(step)) for function in self.functions)

    @property
    def settles(self) -> int | None:
        return self.total_iters

    def formula(self, step: Tensor) -> Tensor:
        if self.factors is not None:
            return terms.take(self.factors, terms.held(step, self.factors)) * self.initial
        value = terms.filled(step, self.initial)
        for function in self.functions:
            value = value * call(function, terms.real(step))
        return value


@dataclass(frozen=True)
class Tabulated(Schedule):
    """A table of values, computed once in float64 and then looked up by step.

    The value at step ``t``::

        n = t % total_iters if past_end == "cycle" else min(t, total_iters)
        value = source(n)

    The table takes 8 bytes a step on the host. On the device, each step takes the size of the
    device's real dtype.

    Args:
        source: a schedule, or any function from an int to a number, in Python or NumPy. It may
            branch.
        total_iters: the last step of the table, or its period for ``"cycle"``, from 1 to
            ``MAX_TABLE_STEPS``.
        past_end: ``"hold"`` holds the last value; ``"cycle"`` starts again at step
            ``total_iters``; ``"error"`` holds the last value, and raises now if the source does
            not. Default ``"hold"``.

    Example:
        >>> import math
        >>> schedule = Tabulated(source=lambda step: 0.1 / math.sqrt(step + 1), total_iters=99)
        >>> [round(schedule(t), 6) for t in (0, 3, 99, 200)]
        [0.1, 0.05, 0.01, 0.01]

    Raises:
        ArgumentError: the table would be too long, a value is not finite (the message names the
            step), or, with ``"error"``, the source changes past the end. A function is checked at
            ``total_iters + 1`` and ``2 * total_iters`` only.

    Elsewhere: torch's ``LambdaLR`` with ``table.__getitem__``, which runs on the host and fails
    past the end.
    """

    source: Source[Callable[..., Any]]
    total_iters: int
    past_end: Literal["hold", "cycle", "error"] = "hold"
    values: TensorTable = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        require_table(self.total_iters)
        if self.past_end == "error":
            self._require_end()
        steps = self.total_iters + (self.past_end != "cycle")
        object.__setattr__(self, "values", _table("source", self.source, steps))

    def _require_end(self) -> None:
        """Raise unless the source is constant past the end of the table."""
        last = self.total_iters
        if isinstance(self.source, Schedule):
            ends = self.source.settles is not None and self.source.settles <= last
        else:
            ends = self.source(last) == self.source(last + 1) == self.source(2 * last)
        remedy = f'may change past step {last}: give more steps, or past_end="hold" or "cycle"'
        require(ends, "source", self.source, remedy)

    @property
    def settles(self) -> int | None:
        return None if self.past_end == "cycle" else self.total_iters

    @property
    def repeats(self) -> tuple[int, int]:
        return (0, self.total_iters) if self.past_end == "cycle" else (self.total_iters, 1)

    def formula(self, step: Tensor) -> Tensor:
        index = (
            step % self.total_iters if self.past_end == "cycle" else terms.held(step, self.values)
        )
        return terms.take(self.values, index)


def require_table(total_iters: int) -> None:
    """Raise unless a table has from 1 to ``MAX_TABLE_STEPS`` steps."""
    require(total_iters > 0, "total_iters", total_iters, "give a number above 0")
    remedy = f"give at most {MAX_TABLE_STEPS} steps, or write the function in torch operations"
    require(total_iters <= MAX_TABLE_STEPS, "total_iters", total_iters, remedy)


def _table(name: str, source: Callable[..., Any], steps: int) -> Tensor:
    """Return the values of a source at the first ``steps`` steps; raise if one is not finite."""
    if isinstance(source, Schedule):
        curve = source.formula(torch.arange(steps))
    else:
        curve = torch.tensor([float(source(i)) for i in range(steps)], dtype=torch.float64)
    wrong = (~curve.isfinite()).nonzero()
    if len(wrong):
        at = int(wrong[0])
        raise ArgumentError(
            name, float(curve[at]), f"not a finite number, at step {at}: return a finite one there"
        )
    return curve
