"""Values as Python floats in the param groups, from a counter on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from accelsched._binding.param_groups import GroupValues
from accelsched._lowering import lower_to_host
from accelsched.schedules import Schedule

if TYPE_CHECKING:
    from accelsched.kernels import HostFunction
    from accelsched.kernels.group_writer import GroupWriter


class HostDriver:
    """A counter and Python floats on the host: the fastest way in eager PyTorch on the CPU.

    Args:
        group_values: what it writes.
        schedules: one for each group.
        step: where to start; the values of this step are written.
    """

    lowering = "host"

    def __init__(self, group_values: GroupValues, schedules: Sequence[Schedule], step: int) -> None:
        self._group_values = group_values
        self._optimizer = group_values.optimizer
        self._follow(lower_to_host(schedules))
        self.set_step(step)

    def _follow(self, function: HostFunction) -> None:
        """Step by this function from now on."""
        self._function = function
        # Looked up once, as a step takes no longer than a few look-ups.
        self._run, self._value = function.run, function.out.item
        only_one = len(self._group_values.indices) == 1 and not self._group_values.is_element
        self._only = self._group_values.indices[0] if only_one else None
        self._key = self._group_values.key
        self._writer = _writer(self._group_values, function)
        self._write = self._writer.write

    def step(self) -> None:
        """Compute the values of the next step, and write them to the groups."""
        status = self._run()
        if status:
            raise self._function.error(status)
        groups = self._optimizer.param_groups
        if self._only is not None:
            groups[self._only][self._key] = self._value()
            return
        # Loading a state replaces them.
        if groups is not self._writer.groups:
            self._writer.take(groups)
        self._write()

    @property
    def count(self) -> int:
        """The step whose values the groups have."""
        return self._function.step - 1

    def set_step(self, step: int) -> None:
        """Move to a step, and write its values to the groups."""
        self._function.step = step
        self.step()

    def set_schedules(self, schedules: Sequence[Schedule]) -> None:
        """Evaluate other schedules from the next step on, one for each group."""
        step, values = self._function.step, self.last()
        self._follow(lower_to_host(schedules))
        self._function.step = step
        self._function.out[:] = values

    def write_to_groups(self) -> None:
        """Write the values of this step to the groups again."""
        self._group_values.write(self.last())

    def current(self) -> list[float]:
        """Compute the values of this step anew."""
        return self._function.at(self.count)

    def last(self) -> list[float]:
        """Return the values that were written last."""
        values: list[float] = self._function.out.tolist()
        return values


class _PythonWriter:
    """A :class:`GroupWriter` in Python: for numbers of tuples, and where nothing is compiled."""

    def __init__(self, group_values: GroupValues, function: HostFunction) -> None:
        self.groups: list[dict[str, Any]] | None = None
        self._group_values, self._function = group_values, function

    def take(self, groups: list[dict[str, Any]]) -> None:
        self.groups = groups

    def write(self) -> None:
        self._group_values.write(self._function.out.tolist())


def _writer(group_values: GroupValues, function: HostFunction) -> GroupWriter | _PythonWriter:
    """Choose how values are written: machine code pays from two groups on."""
    from accelsched.kernels import Kernel
    from accelsched.kernels.group_writer import GroupWriter

    one = len(group_values.indices) == 1
    if one or group_values.is_element or not isinstance(function, Kernel):
        return _PythonWriter(group_values, function)
    return GroupWriter(function.out, group_values.key, group_values.indices)
