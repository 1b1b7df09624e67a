"""cerebras_pytorch on a wafer-scale system: the front end traces the first step of a run.

The system repeats that step without Python. It carries from step to step the state that the
optimizer's registered schedulers name. Any other tensor is a constant, without a warning, and so is
a learning rate that was put in a param group outside of the step.
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

    Its arithmetic is float32; it refuses float64. So the default is segments, of float32 alone; a
    curve of too many parts is a table, or the formula in double-float arithmetic.
    """

    name = "cerebras"
    traces_once = True
    has_float64 = False

    def as_state(self, state: Tensor, device: torch.device) -> Tensor:
        # Outside of this context the backend drops what a tensor holds.
        with _backend().device:
            return state.to(device)

    def rewritten(self, state: Tensor, content: Tensor) -> Tensor:
        # The state is asked for at each run: see CarriedState.
        return self.as_state(content, state.device)


RUNTIME = Cerebras()


def in_use() -> bool:
    """Whether the lazy device of this process is that of cerebras_pytorch."""
    # Asking must not import it: it takes seconds, and replaces parts of PyTorch.
    backend = sys.modules.get("cerebras.pytorch.backend")
    return backend is not None and backend.use_cs()


def _backend() -> Any:
    import cerebras.pytorch

    return cerebras.pytorch.backend()


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Compute on the host as PyTorch does.

    From its first run on, the backend has pow, exp and others cast float64 to float32, on the CPU
    too.
    """
    import cerebras.pytorch
    from cerebras.pytorch.amp._amp_state import _amp_state

    started = hasattr(_amp_state, "handle")
    with cerebras.pytorch.amp.disable_casts() if started else contextlib.nullcontext():
        yield


def is_tracing() -> bool:
    """Whether a step is being traced, so that tensors have no values yet."""
    return bool(_backend().is_tracing)


def read(state: Tensor) -> Tensor:
    """Return a carried tensor's value on the CPU: before a run, at a checkpoint, or after it."""
    value: Tensor = _backend().to_cpu(state)
    return value


def skip_if_not_finite(optimizer: Optimizer, state: Tensor) -> None:
    """Let dynamic loss scaling undo this step's change of a carried tensor if it skips the step."""
    import cerebras.pytorch

    cerebras.pytorch.amp.update_if_finite(optimizer, state)


class CarriedState(Protocol):
    """What the backend needs of a driver."""

    def state(self) -> Sequence[Tensor]:
        """Return the tensors to carry: always as many, in the same order."""

    def assign(self) -> None:
        """Put the values of this step, as operations of it, in the param groups."""

    def counter(self) -> Tensor:
        """Return the step, as an operation of the traced one."""

    def report(self, step: int) -> None:
        """Take the step that the device has returned."""


class Registration:
    """All drivers of one optimizer, as the one scheduler that the backend sees.

    Args:
        optimizer: one of ``cerebras.pytorch.optim``.
        carried: asked for at each use, since it changes while schedulers are composed.

    Raises:
        ArgumentError: the optimizer is not one of these.
    """

    #: Below the optimizer's at the end of each step, so that update_groups is called there.
    _step_count = -1

    def __init__(self, optimizer: Optimizer, carried: Callable[[], Iterable[CarriedState]]) -> None:
        registry = _registry(optimizer)
        self._carried = carried
        if not hasattr(optimizer, "_step_count"):
            # The backend compares the two; its own schedulers set this one too.
            optimizer._step_count = 0  # type: ignore[attr-defined]
        registry[self] = None

    def state_dict(self) -> dict[str, Any]:
        """Return what the backend names and carries: the same names in every process."""
        return {"accelsched": [list(carried.state()) for carried in self._carried()]}

    def update_last_value(self) -> None:
        """Assign the values; the backend calls this before it traces the optimizer's step."""
        for carried in self._carried():
            carried.assign()

    @property
    def _last_value(self) -> list[Tensor]:
        return [carried.counter() for carried in self._carried()]

    def update_groups(self, steps: list[Tensor]) -> None:
        """Make the steps outputs, for logs and checkpoints; called at the end of a step.

        The host computes the values of them: another evaluation on the device would double its
        operations.
        """
        import cerebras.pytorch

        def report(steps: list[Tensor]) -> None:
            for carried, step in zip(self._carried(), steps, strict=True):
                carried.report(int(step))

        cerebras.pytorch.step_closure(report)(steps)


def registration(
    optimizer: Optimizer, carried: Callable[[], Iterable[CarriedState]]
) -> Registration:
    """Return the registration of an optimizer; it lives as long as a driver holds it."""
    present = (entry for entry in _registry(optimizer) if isinstance(entry, Registration))
    return next(present, None) or Registration(optimizer, carried)


def _registry(optimizer: Optimizer) -> Any:
    """Return the optimizer's own list of schedulers; refuse an optimizer without one."""
    registry = getattr(optimizer, "_schedulers_registry", None)
    if registry is None:
        remedy = "give an optimizer of cerebras.pytorch.optim: the backend knows no other"
        raise ArgumentError("optimizer", type(optimizer).__name__, remedy)
    return registry
