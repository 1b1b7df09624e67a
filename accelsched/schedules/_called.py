"""A Python function that is called at each step, on the host only, as in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class Called(Schedule):
    """The value of a function at each step, without an end and without a table.

    Args:
        function: a function from the step, an int, to a number.
    """

    function: Callable[..., Any]

    def formula(self, step: Tensor) -> Tensor:
        values = [float(self.function(at)) for at in step.flatten().tolist()]
        return torch.tensor(values, dtype=torch.float64).reshape(step.shape)
