"""Values from a kernel's memory into the dictionaries of many param groups, by machine code.

For each group Python would make a float, unpack a pair and look the group up: twice the time that
the two calls of Python's C interface take, which do the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.optim import Optimizer

from accelsched.kernels.jit import compiled

# ``wholes``: the list of groups, the key, how many values there are, the group of each.
_SOURCE = """
def kernel(wholes, frame):
    values = frame[0]
    groups = wholes[0]
    key = wholes[1]
    for i in range(wholes[2]):
        group = PyList_GetItem(groups, wholes[3 + i])
        if group == 0:
            return 1
        value = PyFloat_FromDouble(values[i])
        failed = PyObject_SetItem(group, key, value)
        Py_DecRef(value)
        if failed != 0:
            return 1
    return 0
"""


def writer(
    values: NDArray[np.float64], optimizer: Optimizer, key: str, indices: Sequence[int]
) -> Callable[[], None]:
    """A function that puts each value, as a float, in the param group of its index.

    Args:
        values: float64, shape [len(indices)]; read at each call.
        optimizer: asked for its groups at each call, as loading a state replaces them.
        key: what the groups hold the values by.
        indices: of the groups.
    """
    # The interpreter's lock is held in the call, and an error that was set in it is raised after.
    call = compiled(_SOURCE).call
    wholes = np.array([0, id(key), len(indices), *indices], dtype=np.int64)
    frame = np.array([values.ctypes.data], dtype=np.intp)
    addresses = wholes.ctypes.data, frame.ctypes.data
    known: list[dict[str, object]] | None = None

    def write() -> None:
        nonlocal known
        groups = optimizer.param_groups
        if groups is not known:
            if not isinstance(groups, list):
                raise TypeError(f"optimizer.param_groups is no list: {groups!r}")
            known, wholes[0] = groups, id(groups)
        call(*addresses)

    # What is known by its address only must live as long as the function.
    write.keeps = key, values, wholes, frame  # type: ignore[attr-defined]
    return write
