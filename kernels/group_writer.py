"""Writes values from a kernel's memory to the dictionaries of many param groups, by machine code.

For each group, Python would make a float, unpack a pair and look up the group. That takes twice as
long as direct calls of Python's C API.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from accelsched.kernels.jit import compiled

# ``wholes``: the addresses of the group list and of the key, the number of values, the group
# index of each.
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


class GroupWriter:
    """Writes values, as floats, to some of the param groups.

    Args:
        values: float64, shape [len(indices)]; read at each call of :attr:`write`.
        key: the key to write in each group.
        indices: the indices of the groups.

    Attributes:
        groups: the list of groups to write to; see :meth:`take`.
        write: writes the values. It holds the GIL, and raises an error that a C call has set.
    """

    def __init__(self, values: NDArray[np.float64], key: str, indices: Sequence[int]) -> None:
        self.groups: list[dict[str, object]] | None = None
        # Keep these objects alive: the machine code has only their addresses.
        self._key, self._values = key, values
        wholes = [0, id(key), len(indices), *indices]
        self._wholes = np.array(wholes, dtype=np.int64)
        self._frame = np.array([values.ctypes.data], dtype=np.intp)
        addresses = self._wholes.ctypes.data, self._frame.ctypes.data
        self.write: Callable[[], int] = functools.partial(compiled(_SOURCE).call, *addresses)

    def take(self, groups: list[dict[str, object]]) -> None:
        """Write to these groups from now on."""
        if not isinstance(groups, list):
            raise TypeError(f"optimizer.param_groups must be a list, not {groups!r}")
        self.groups, self._wholes[0] = groups, id(groups)
