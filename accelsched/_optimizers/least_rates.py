"""The least learning rate that an optimizer can be given as a tensor.

PyTorch's Adam and AdamW, where they are ``capturable`` or compiled and not ``foreach``, divide the
second moment by the negative learning rate before they add epsilon: 0 / -0, a NaN, for a weight
that has had no gradient (PyTorch issues 126514 and 97004).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import Adam, AdamW, Optimizer

#: It stays a normal number where the step multiplies it by a bias correction, whose square root is
#: at least 2**-12 in float32: XLA flushes subnormal ones to 0. A rate in float64 needs it too,
#: since the step divides float32 weights by it. It moves a weight by less than 2**-110.
_LEAST = torch.finfo(torch.float32).tiny * 2.0**12


def least_rate(optimizer: Optimizer, key: str, dtype: torch.dtype) -> float | None:
    """What is written to a tensor in the place of a smaller number; None if 0 can be.

    Args:
        optimizer: whose value it is. A subclass of Adam and AdamW counts as these, with a ``step``
            of its own too, which may call theirs.
        key: the value that is scheduled.
        dtype: that of the tensor.
    """
    if key != "lr" or not isinstance(optimizer, (Adam, AdamW)):
        return None
    info = torch.finfo(dtype)
    # float16 has no such number: its least one.
    return max(_LEAST, info.tiny * info.eps)


def least_rates(
    optimizer: Optimizer, key: str, dtypes: Sequence[torch.dtype]
) -> list[float | None]:
    """The same for the value of each of some param groups."""
    return [least_rate(optimizer, key, dtype) for dtype in dtypes]
