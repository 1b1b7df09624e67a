"""Training steps captured in one CUDA graph, and their replay."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from accelsched._runtimes.captures import rehearsal
from accelsched.errors import ArgumentError, Reason, require

Step = Callable[..., Any]


class Captured:
    """Training steps in a CUDA graph, as :func:`accelsched.capture` returns them.

    Attributes:
        graph: the ``torch.cuda.CUDAGraph``.
        step: the captured function; it keeps the tensors that the graph uses alive.
        steps: the number of training steps in a replay; None for one without a leading dimension.
        inputs: the tensors that the graph reads; write to them, or give inputs to ``replay``.
        outputs: the tensors that the step returned, or a list with one item per step; each replay
            overwrites them.
    """

    def __init__(
        self,
        graph: torch.cuda.CUDAGraph,
        step: Step,
        steps: int | None,
        inputs: list[Tensor],
        outputs: Any,
    ) -> None:
        self.graph, self.step, self.steps = graph, step, steps
        self.inputs, self.outputs = inputs, outputs

    def replay(self, *inputs: Tensor) -> Any:
        """Run the captured steps on the current stream, without synchronizing.

        Args:
            inputs: tensors with the shapes and dtypes of the examples, on any device. Pinned memory
                makes the copy asynchronous. Without arguments the graph reads :attr:`inputs` as
                they are.

        Returns:
            :attr:`outputs`. The next replay overwrites them, so clone what you keep.

        Raises:
            ArgumentError: the number of inputs, or the shape or dtype of an input, is wrong.
        """
        if inputs:
            self._take(inputs)
        self.graph.replay()
        return self.outputs

    def _take(self, inputs: Sequence[Tensor]) -> None:
        count = len(self.inputs)
        require(len(inputs) == count, "inputs", len(inputs), f"give {count} tensors, or none")
        # Check all, then change.
        for i, (given, held) in enumerate(zip(inputs, self.inputs, strict=True)):
            is_tensor = isinstance(given, Tensor)
            if not is_tensor or (given.shape, given.dtype) != (held.shape, held.dtype):
                remedy = f"the graph reads {_shown(held)}: give that, or capture another graph"
                raise ArgumentError(f"inputs[{i}]", _shown(given), remedy)
        for given, held in zip(inputs, self.inputs, strict=True):
            held.copy_(given, non_blocking=True)


def capture(step: Step, *examples: Tensor, steps: int | None = None, warmup: int = 3) -> Captured:
    """Capture training steps in a CUDA graph, each with its own scheduled values.

    ``step`` is a whole training step: it zeroes gradients, computes a loss, runs the backward pass,
    and steps the optimizer and its schedulers. With ``steps=10`` one replay runs ten steps with ten
    different learning rates, and no host work in between. Changes to a schedule's numbers take
    effect in the next replay: ``begin_decay``, ``reschedule``, ``load_state_dict``,
    ``last_epoch = ...``.

    First ``step`` runs ``warmup`` times on a side stream, as PyTorch requires: kernels are compiled
    and the optimizer creates its state. **These are training steps:** they update the weights and
    move the schedulers on. The capture itself runs no step.

    Args:
        step: a function of tensors that returns any tensors, also in lists or dicts. It must not
            read values from the device or branch on them.
        examples: inputs as a replay takes them, on the current CUDA device. With ``steps``, the
            inputs of all steps are stacked in a leading dimension. The warm-up uses them too.
        steps: the number of steps in a replay. Step ``i`` gets slice ``i`` of each input, and the
            outputs are a list. Default None: one step, without the leading dimension and the list.
        warmup: the number of warm-up steps; 0 if you ran some on a side stream. Default 3.

    Returns:
        The graph, its inputs and outputs, and ``replay(*inputs)``.

    Raises:
        ArgumentError: there is no CUDA device, or an example is not on it; a number of steps is
            invalid; or a scheduled value would freeze: its scheduler writes floats, or the
            optimizer reads it as a number. A value that would freeze is found in the first step,
            before the weights change.

    Example:
        >>> import torch
        >>> from accelsched import Scheduler, capture
        >>> from accelsched.schedules import CosineDecay
        >>> def train(batches):  # of shape [n, 32, 8]
        ...     model = torch.nn.Linear(8, 1, device="cuda")
        ...     optimizer = torch.optim.AdamW(model.parameters(), fused=True, capturable=True)
        ...     scheduler = Scheduler(optimizer, CosineDecay(1e-3, 1e-5, total_iters=1000))
        ...
        ...     def step(x):
        ...         optimizer.zero_grad()
        ...         loss = model(x).square().mean()
        ...         loss.backward()
        ...         optimizer.step()
        ...         scheduler.step()
        ...         return loss
        ...
        ...     ten = capture(step, batches[:10], steps=10)
        ...     return [ten.replay(batches[i : i + 10])[-1].item() for i in range(3, 993, 10)]
        >>> if torch.cuda.is_available():
        ...     losses = train(torch.randn(1000, 32, 8, device="cuda"))

    What to know:

    * If a value other than the learning rate is scheduled, ``step`` needs
      ``with accelsched.on_device():``.
    * Delete the losses of earlier eager steps: their autograd graphs are tied to another stream.
    * ``optimizer.load_state_dict`` gives the optimizer new tensors, but the graph keeps using the
      old ones: load before the capture. Schedulers and modules load in place, at any time.
    * To undo the warm-up, restore in place what it changed: ``module.load_state_dict(before)``,
      ``scheduler.last_epoch = 0``, and ``zero_()`` for each tensor in ``optimizer.state``.
    * A tensor that later steps change in place, such as ``param_groups[0]["lr"]``, has its last
      value in all outputs: return a clone.
    * ``GradScaler`` reads the device, except for optimizers with ``fused=True``. Give its flag to
      ``scheduler.step(found_inf=...)``.

    Elsewhere: ``torch.cuda.make_graphed_callables``, which captures a module without its optimizer.
    """
    _require_counts(steps, warmup)
    _require_on_cuda(step, examples, steps)
    inputs = [example.detach().clone() for example in examples]
    given = [inputs] if steps is None else [[x[i] for x in inputs] for i in range(steps)]
    with rehearsal():
        _warm_up(step, [given[i % len(given)] for i in range(warmup)])
    graph = torch.cuda.CUDAGraph()
    # Other threads, such as those that pin batches in memory, may keep calling CUDA.
    with _no_collection(), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        # An attached loss would keep its autograd graph alive, for each of the steps.
        outputs = [tree_map_only(Tensor, Tensor.detach, step(*one)) for one in given]
    return Captured(graph, step, steps, inputs, outputs[0] if steps is None else outputs)


def _warm_up(step: Step, inputs: Sequence[Sequence[Tensor]]) -> None:
    """Run steps on a side stream: a capture must not wait for the default stream."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for given in inputs:
            step(*given)
    torch.cuda.current_stream().wait_stream(side)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Disable garbage collection: freeing device memory may end a capture."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _require_counts(steps: int | None, warmup: int) -> None:
    for name, count, least in (("steps", steps, 1), ("warmup", warmup, 0)):
        if count is not None:
            whole = isinstance(count, int) and not isinstance(count, bool)
            require(whole and count >= least, name, count, f"give {least} or more")


def _require_on_cuda(step: Step, examples: Sequence[Tensor], steps: int | None) -> None:
    there = torch.cuda.is_available()
    require(there, "step", step, "there is no CUDA device to capture it on: call step itself")
    for i, example in enumerate(examples):
        where = f"examples[{i}]"
        fits, shown = isinstance(example, Tensor) and _is_on_cuda(example), _shown(example)
        require(fits, where, shown, "give a tensor on the current CUDA device")
        stacked = steps is None or example.shape[:1] == (steps,)
        remedy = f"give the inputs of {steps} steps, stacked in a leading dimension"
        require(stacked, where, shown, remedy)


def _is_on_cuda(tensor: Tensor) -> bool:
    return tensor.is_cuda and tensor.device.index == torch.cuda.current_device()


def _shown(tensor: object) -> object:
    """Return a tensor as an error shows it, without a read; anything else unchanged."""
    if not isinstance(tensor, Tensor):
        return tensor
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Reason(f"{dtype}{list(tensor.shape)} on {tensor.device}")
