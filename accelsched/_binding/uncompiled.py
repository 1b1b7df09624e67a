"""Functions that torch.compile must not compile, even if it compiles their callers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that Dynamo does not trace after a graph break in its caller.

    After a graph break, Dynamo traces each function that the caller calls, and fails inside some.
    """
    if "torch._dynamo" not in sys.modules:
        return function
    disable: Any = torch.compiler.disable
    left_alone: Callable[..., Any] = disable(function)
    return left_alone
