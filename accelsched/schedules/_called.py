"""A Python function that is called at each step, as torch calls it: on the host only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelsched.schedules.base import Schedule


@dataclass(frozen=True)
class Called(Schedule):
    """What a function says at each step, without end and without a table.

    Args:
        function: from the step, an int, to a number.
    """

    function: Callable[..., Any]

    def formula(self, step: Tensor) -> Tensor:
        values = [float(self.function(at)) for at in step.flatten().tolist()]
        return torch.tensor(values, dtype=torch.float64).reshape(step.shape)
