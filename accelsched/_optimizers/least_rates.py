"""The smallest learning rate that an optimizer can take as a tensor.

PyTorch's Adam and AdamW, if ``capturable`` or compiled and not ``foreach``, divide the second
moment by the negative learning rate before they add epsilon. For a weight that has had no gradient,
a learning rate of 0 makes that 0 / -0, a NaN (PyTorch issues 126514 and 97004).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import Adam, AdamW, Optimizer

#: The step multiplies the rate by a bias correction, whose square root is at least 2**-12 in
#: float32. The product must be a normal number, since XLA flushes subnormal ones to 0. A float64
#: rate needs that too: the step divides float32 weights by it. It moves a weight by less than
#: 2**-110.
_LEAST = torch.finfo(torch.float32).tiny * 2.0**12


def least_rate(optimizer: Optimizer, key: str, dtype: torch.dtype) -> float | None:
    """Return the value to write to a tensor in place of any smaller one; None if 0 is safe.

    Args:
        optimizer: the optimizer that has the value. Subclasses of Adam and AdamW count as these,
            even with a ``step`` of their own, which may call theirs.
        key: the key of the scheduled value.
        dtype: the dtype of the tensor.
    """
    if key != "lr" or not isinstance(optimizer, (Adam, AdamW)):
        return None
    info = torch.finfo(dtype)
    # float16 cannot hold that number, and gets its own smallest one.
    return max(_LEAST, info.tiny * info.eps)


def least_rates(
    optimizer: Optimizer, key: str, dtypes: Sequence[torch.dtype]
) -> list[float | None]:
    """Return :func:`least_rate` for the dtype of each param group's value."""
    return [least_rate(optimizer, key, dtype) for dtype in dtypes]
