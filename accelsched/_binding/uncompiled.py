"""What torch.compile is to leave alone, where it compiles what calls it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as Dynamo leaves it alone, if it compiles what calls it and has just given up.

    It would go on with each function that is called then, and fails inside of some.
    """
    if "torch._dynamo" not in sys.modules:
        return function
    disable: Any = torch.compiler.disable
    left_alone: Callable[..., Any] = disable(function)
    return left_alone
