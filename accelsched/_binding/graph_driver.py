"""The driver that computes values as tensors, from a step counter on the device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, device_of, dtype_of
from accelsched._binding.stride import Stride, as_scalar
from accelsched._binding.uncompiled import uncompiled
from accelsched._lowering import Lowered, lower_to_device
from accelsched._optimizers.least_rates import least_rates
from accelsched._optimizers.on_device import Factor, mark
from accelsched._optimizers.remedies import level_of_the_caller, needs_grad
from accelsched._runtimes import runtime_of
from accelsched.schedules import Schedule
from accelsched.schedules._fields import MAX_STEP


class GraphDriver:
    """A driver whose counter and values live on the device: a step is a few graph operations.

    :meth:`step` reads no number, and changes no Python state that a graph depends on. So it can be
    traced, compiled and captured, and compiled graphs stay valid.

    Args:
        group_values: the values to write.
        schedules: one per group.
        step: the first step, whose values are written.
        lowering: the lowering that the user asked for; None for the default.
    """

    _lowered: Lowered
    #: The step, if the host knows it: Python has taken every step since the counter was read.
    _known: int | None = None
    #: Whether a step was captured. A replay may move the counter at any time.
    _is_captured = False
    #: The version of each value tensor after the last write; None if their content is unknown.
    _versions: Sequence[int] | None = None

    def __init__(
        self,
        group_values: GroupValues,
        schedules: Sequence[Schedule],
        step: int,
        lowering: str | None = None,
    ) -> None:
        self.group_values = group_values
        self._optimizer = group_values.optimizer
        self._group_count = group_values.group_count
        self._asked = lowering
        self._warned = False
        self.device = group_values.device
        self._runtime = runtime_of(self.device)
        # State made in inference mode could not be updated outside it.
        with torch.inference_mode(False):
            self._counter = self._state(step, torch.int64, self.device)
            # Everything that can raise runs before the optimizer is changed.
            self._value_tensors = [self._value_tensor(index) for index in group_values.indices]
            self._dtypes = [tensor.dtype for tensor in self._value_tensors]
            self._least = least_rates(self._optimizer, group_values.key, self._dtypes)
            self.follow(self.lower(schedules))
            with torch.no_grad():
                self._next(self._counter)
            self.set_step(step)

    def _state(self, number: float, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Put a number on the device, as state that graphs carry from step to step."""
        return self._runtime.as_state(torch.tensor(number, dtype=dtype, device="cpu"), device)

    def _value_tensor(self, index: int) -> Tensor:
        """Return the only tensor of a group's value; create it if it does not exist yet."""
        optimizer, key = self.group_values.optimizer, self.group_values.key
        known = ownership_of(optimizer).value_tensors
        group = optimizer.param_groups[index]
        device = device_of([group])
        if (index, key) not in known or known[index, key].device != device:
            dtype = dtype_of(group, self.group_values.value(group))
            tensor = self._state(float("nan"), dtype, device)
            if needs_grad(optimizer, index, key, self._runtime):
                # A parameter: other tensors that require a gradient cannot be loaded on the device.
                tensor = Factor(tensor)
            if key != "lr":
                mark(tensor)
            known[index, key] = tensor
        return known[index, key]

    def lower(self, schedules: Sequence[Any]) -> Lowered:
        """Return what :meth:`follow` takes, given one schedule per group; change nothing."""
        dtypes, device, least = self._dtypes, self.device, self._least
        held, tensors = self._held(), [self._counter, *self._value_tensors]
        return lower_to_device(
            schedules, dtypes, device, self._asked, held=held, least=least, tensors=tensors
        )

    def _held(self) -> Lowered | None:
        """Return the lowered schedules in use; None during construction."""
        return getattr(self, "_lowered", None)

    def follow(self, lowered: Lowered) -> None:
        """Evaluate other schedules from the next step on."""
        if lowered.refill is not None:
            with torch.inference_mode(False), torch.no_grad():
                lowered.refill()
        self.lowering, self.reason = lowered.name, lowered.reason
        self._next = lowered.evaluate
        self._lowered = lowered
        # Until the next step the tensors hold the values of the previous schedules.
        self._versions = None

    def stepper(self) -> Callable[[], bool]:
        """Return the function that computes the values of the next step."""
        return self.step

    def step(self) -> bool:
        """Compute the values of the next step, in place, on the device."""
        return self._step(None)

    def move_on(self, by: Stride, far: bool) -> bool:
        """Advance the counter by ``by``, and compute the values there, in place, on the device."""
        if far and self._lowered.end < MAX_STEP:
            self._leave_what_ends()
        return self._step(by)

    def _step(self, by: Stride | None) -> bool:
        self._runtime.before_step([self._counter], self._optimizer)
        with torch.no_grad():
            self._advance(by)
        self._count_on(1 if by is None else by)
        return self._look()

    def _count_on(self, by: Stride) -> None:
        """Update the host's copy of the counter after a step, and note what was written."""
        if torch.compiler.is_compiling():
            # Each call of the compiled code does this too. Writing an attribute adds no guard.
            self._known = None
            return
        if self._runtime.is_capturing():
            self._is_captured = True
        if self._is_captured or isinstance(by, Tensor):
            self._known = None
        elif self._known is not None:
            self._known += by
        self._versions = _versions(self._value_tensors)

    def _leave_what_ends(self) -> None:
        """Switch to a lowering without an end, as token counts can pass the end of segments."""
        if torch.compiler.is_compiling():
            raise RuntimeError(
                "step(by=...) can pass the end of the segments: call it once outside torch.compile"
            )
        uncompiled(self._follow_beyond)()

    def _follow_beyond(self) -> None:
        self.follow(self._lowered.beyond())

    def _look(self) -> bool:
        """Put back each tensor that was replaced in a group; return whether groups changed."""
        held, has_new_groups = self.group_values, self.has_new_groups()
        for group, tensor in zip(self._driven, self._value_tensors, strict=True):
            if held.value(group) is not tensor:
                self._warn_of(group)
                held.put(group, tensor)
        return has_new_groups

    def has_new_groups(self) -> bool:
        """Take up the present param groups, and return whether their number has changed."""
        # Reading param_groups under Dynamo would add guards on the whole optimizer.
        if not torch.compiler.is_compiling() and self._groups is not self._optimizer.param_groups:
            self._know(self._optimizer.param_groups)
        return len(self._groups) != self._group_count

    def _warn_of(self, group: dict[str, Any]) -> None:
        # Dynamo cannot trace a warning.
        if self._warned or torch.compiler.is_compiling():
            return
        self._warned = True
        key, value = self.group_values.key, self.group_values.value(group)
        # The repr of a tensor would read the device.
        shown = "another tensor" if isinstance(value, Tensor) else repr(value)
        warnings.warn(
            f"{key!r} is scheduled, but other code set it to {shown}: change the scheduler "
            "instead, as by scheduler.schedule = ...; the scheduled tensor is back in its place",
            UserWarning,
            stacklevel=level_of_the_caller(),
        )

    def _advance(self, by: Stride | None = None) -> None:
        """Write the counter and the values after a step, in place."""
        if not torch.compiler.is_compiling() and self._lowered.kernel is not None:
            # torch.compile fuses the operations into a kernel anyway, with those around them.
            self._lowered.kernel(1 if by is None else self._number(by))
            return
        before = self._counter
        if by is not None:
            before = before + (self._number(by) - 1)
        self._runtime.assign([self._counter, *self._value_tensors], self._next(before))

    def _number(self, by: Stride) -> Stride:
        """Return the stride as an operand; back ends that trace every step need a tensor."""
        if isinstance(by, int) and not self._runtime.traces_every_step:
            return by
        return as_scalar(by, self.device)

    @property
    def count(self) -> int:
        """The step whose values the groups have; read from the device if the host lacks it."""
        if torch.compiler.is_compiling() or self._is_captured:
            return int(self._counter.item())
        if self._known is None:
            self._known, self._versions = int(self._counter.item()), None
        return self._known

    def known_values(self, at: Callable[[int], Sequence[float] | None]) -> dict[int, float]:
        """Return the values of the tensors by their ``id``, without those that need a read.

        Args:
            at: maps a step to the groups' values in float64; returns None if the host has none.
        """
        if torch.compiler.is_compiling() or not self._runtime.on_device or self._versions is None:
            return {}
        values = None if self._known is None else at(self._known)
        if values is None:
            return {}
        exact = torch.tensor(values, dtype=torch.float64, device="cpu")
        rounded = {dtype: exact.to(dtype).tolist() for dtype in set(self._dtypes)}
        written, now = self._versions, _versions(self._value_tensors)
        columns = zip(self._value_tensors, self._dtypes, self._least, strict=True)
        return {
            id(tensor): max(rounded[dtype][i], least or -math.inf)
            for i, (tensor, dtype, least) in enumerate(columns)
            if now[i] == written[i]
        }

    def set_step(self, step: int) -> None:
        """Move to a step, compute its values, and put the tensors in the groups."""
        self.move(step)
        self.write_to_groups()

    def move(self, step: int) -> None:
        """Move to a step, and compute its values. A value that other code put in a group stays."""
        with torch.inference_mode(False), torch.no_grad():
            self._set_counter(step - 1)
            self._advance()
            # Otherwise the next training step's graph would contain this, and would recompile.
            self._runtime.execute([self._counter, *self._value_tensors])
        self._count_on(1)

    def _set_counter(self, step: int) -> None:
        if step >= self._lowered.end - 1:
            self._follow_beyond()
        self._rewrite(self._counter, step)
        self._known = step

    def _rewrite(self, state: Tensor, number: float) -> None:
        """Write a number into state that is on the device."""
        self._runtime.rewritten(state, torch.tensor(number, dtype=state.dtype, device="cpu"))

    def ignore_new_groups(self) -> None:
        """Accept the present number of param groups."""
        self._group_count = self.group_values.group_count = len(self._optimizer.param_groups)

    def write_to_groups(self, groups: list[dict[str, Any]] | None = None) -> None:
        """Put the tensors in the groups."""
        self._know(self._optimizer.param_groups if groups is None else groups)
        self.group_values.write(self._value_tensors, groups)

    def _know(self, groups: list[dict[str, Any]]) -> None:
        self._groups, self._driven = groups, self.group_values.groups(groups)

    def current(self) -> list[Tensor]:
        """Recompute the values of the current step."""
        with torch.no_grad():
            return list(self._next(self._counter - 1))[1:]


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    """Return how often each tensor was changed in place; 100 tensors take 5 us."""
    # Otherwise each lookup on a subclass such as Factor would run __torch_function__.
    with torch._C.DisableTorchFunction():  # type: ignore[no-untyped-call]
        return [tensor._version for tensor in tensors]
