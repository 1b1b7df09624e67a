"""cerebras_pytorch on a wafer-scale system: the front end traces the first step of a run.

The system repeats that step without Python. From step to step it carries the state that the
optimizer's registered schedulers name. Any other tensor becomes a constant, without a warning, and
so does a learning rate that was put in a param group outside the step.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from accelsched._runtimes.base import Runtime
from accelsched.errors import ArgumentError


class Cerebras(Runtime):
    """The CSX backend of cerebras_pytorch, with the optimizers of ``cerebras.pytorch.optim``.

    It computes in float32, and refuses float64. So the default lowering is segments, which need
    float32 only. A curve that needs too many segments becomes a table, or the formula in
    double-float arithmetic.
    """

    name = "cerebras"
    traces_once = True
    has_float64 = False

    def as_state(self, state: Tensor, device: torch.device) -> Tensor:
        # Outside this context the backend drops a tensor's content.
        with _backend().device:
            return state.to(device)

    def rewritten(self, state: Tensor, content: Tensor) -> Tensor:
        # A new tensor is fine: the backend reads the state anew at each run (see CarriedState).
        return self.as_state(content, state.device)


RUNTIME = Cerebras()


def in_use() -> bool:
    """Return whether the lazy device of this process belongs to cerebras_pytorch."""
    # Do not import it here: that takes seconds, and replaces parts of PyTorch.
    backend = sys.modules.get("cerebras.pytorch.backend")
    return backend is not None and backend.use_cs()


def _backend() -> Any:
    import cerebras.pytorch

    return cerebras.pytorch.backend()


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Compute on the host as PyTorch does.

    After its first run, the backend makes pow, exp and other operations cast float64 to float32,
    on the CPU too.
    """
    import cerebras.pytorch
    from cerebras.pytorch.amp._amp_state import _amp_state

    started = hasattr(_amp_state, "handle")
    with cerebras.pytorch.amp.disable_casts() if started else contextlib.nullcontext():
        yield


def is_tracing() -> bool:
    """Return whether a step is being traced, so that tensors have no values yet."""
    return bool(_backend().is_tracing)


def read(state: Tensor) -> Tensor:
    """Return a carried tensor's value on the CPU: before a run, at a checkpoint, or after it."""
    value: Tensor = _backend().to_cpu(state)
    return value


def skip_if_not_finite(optimizer: Optimizer, state: Tensor) -> None:
    """Make dynamic loss scaling undo the step's change of a carried tensor when it skips a step."""
    import cerebras.pytorch

    cerebras.pytorch.amp.update_if_finite(optimizer, state)


class CarriedState(Protocol):
    """The methods of a driver that the backend needs."""

    def state(self) -> Sequence[Tensor]:
        """Return the tensors to carry: always the same number, in the same order."""

    def assign(self) -> None:
        """Put this step's values in the param groups, as operations of the traced step."""

    def counter(self) -> Tensor:
        """Return the step count, as an operation of the traced step."""

    def report(self, step: int) -> None:
        """Accept the step count that the device has returned."""


class Registration:
    """All drivers of one optimizer, as the one scheduler that the backend sees.

    Args:
        optimizer: an optimizer of ``cerebras.pytorch.optim``.
        carried: returns the drivers; called at each use, since they change as schedulers are
            composed.

    Raises:
        ArgumentError: the optimizer is not one of ``cerebras.pytorch.optim``.
    """

    #: Below the optimizer's count at the end of each step, so the backend calls update_groups.
    _step_count = -1

    def __init__(self, optimizer: Optimizer, carried: Callable[[], Iterable[CarriedState]]) -> None:
        registry = _registry(optimizer)
        self._carried = carried
        if not hasattr(optimizer, "_step_count"):
            # The backend compares both counts; its own schedulers set this attribute too.
            optimizer._step_count = 0  # type: ignore[attr-defined]
        registry[self] = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the backend names and carries: same names in every process."""
        return {"accelsched": [list(carried.state()) for carried in self._carried()]}

    def update_last_value(self) -> None:
        """Assign the values; the backend calls this before it traces the optimizer's step."""
        for carried in self._carried():
            carried.assign()

    @property
    def _last_value(self) -> list[Tensor]:
        return [carried.counter() for carried in self._carried()]

    def update_groups(self, steps: list[Tensor]) -> None:
        """Make the step counts outputs, for logs and checkpoints; called at the end of a step.

        The host computes the values from them: a second evaluation on the device would double the
        operations there.
        """
        import cerebras.pytorch

        def report(steps: list[Tensor]) -> None:
            for carried, step in zip(self._carried(), steps, strict=True):
                carried.report(int(step))

        cerebras.pytorch.step_closure(report)(steps)


def registration(
    optimizer: Optimizer, carried: Callable[[], Iterable[CarriedState]]
) -> Registration:
    """Return the registration of an optimizer, and make it if there is none.

    The registration lives as long as a driver holds it.
    """
    present = (entry for entry in _registry(optimizer) if isinstance(entry, Registration))
    return next(present, None) or Registration(optimizer, carried)


def _registry(optimizer: Optimizer) -> Any:
    """Return the optimizer's registry of schedulers; raise if it has none."""
    registry = getattr(optimizer, "_schedulers_registry", None)
    if registry is None:
        remedy = "give an optimizer of cerebras.pytorch.optim: the backend accepts no other"
        raise ArgumentError("optimizer", type(optimizer).__name__, remedy)
    return registry
