"""The interface of a back end; the defaults are those of eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from accelsched._recording import Recording, Untraceable, record
from accelsched._recording.double_float import in_float32
from accelsched._runtimes.device_graph import DeviceGraph
from accelsched._runtimes.one_kernel import OneKernel
from accelsched._runtimes.packed_curves import PackedCurves

#: From the step counter to tensors.
Evaluate = Callable[[Tensor], Sequence[Tensor]]
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Counters:
    """What a back end has done since its start; ``after - before`` counts what came between.

    Attributes:
        compiles: graphs compiled (for torch.compile: frames, recompiles included).
        executions: graphs executed, or calls of compiled graphs where that is counted.
        to_device: transfers of data from the host to the device.
        from_device: transfers from the device to the host.
        fallbacks: operations that the back end handed to the host.
    """

    compiles: int = 0
    executions: int = 0
    to_device: int = 0
    from_device: int = 0
    fallbacks: int = 0

    def __sub__(self, before: Counters) -> Counters:
        old = asdict(before)
        return Counters(**{name: count - old[name] for name, count in asdict(self).items()})


ALL_COUNTS = tuple(Counters.__dataclass_fields__)


class Runtime:
    """What differs from back end to back end."""

    #: The name a user gives it.
    name = "eager"
    #: Whether a number read on the host stops the device, so that state has to live on it.
    on_device = True
    #: Whether its kernels take a number of the host for nothing, so that values are Python floats
    #: unless the optimizer takes them as tensors.
    takes_floats = False
    #: Whether a graph may capture what is launched there, and repeat it without any Python.
    captures = False
    #: Whether such a read ends the graph that is being gathered.
    reads_cost_an_execution = False
    #: Whether every step is traced anew, so that each operation of a schedule costs the host time.
    traces_every_step = False
    #: Whether only the first step of a run is traced, and then repeated without any Python.
    traces_once = False
    #: Whether PyTorch lets an optimizer there be built with capturable=True.
    accepts_capturable = True
    #: Which of its :class:`Counters` it keeps; the others stay 0.
    counts: tuple[str, ...] = ()
    #: Whether it computes in float64; where not, formulas are in double-float.
    has_float64 = True

    def as_state(self, state: Tensor, device: torch.device) -> Tensor:
        """Put a CPU tensor on the device, as state that graphs carry from step to step."""
        return state.to(device)

    def as_data(self, vector: Tensor, device: torch.device) -> Tensor:
        """Put a CPU tensor of shape [n] on the device, as data that no operation makes there.

        A graph that reads it is the same whatever is in it, and whether or not it is new.
        """
        return vector.to(device)

    def lower(
        self,
        evaluation: Callable[[torch.device], Evaluate],
        device: torch.device,
        shape: Sequence[int] = (),
    ) -> Evaluate:
        """Record an evaluation, and return what this back end calls at each step.

        Args:
            evaluation: makes the evaluation for a device.
            device: where it is to run.
            shape: that of the counter.

        Raises:
            Untraceable: a user's function reads a number, on a back end that has to trace it.
        """
        try:
            graph = self._record(evaluation(_CPU), shape)
        except Untraceable:
            if self.traces_every_step or not self.has_float64:
                raise
            return evaluation(device)
        return self.as_callable(DeviceGraph(graph, device, self.as_state), device, shape)

    def refill(
        self, held: Evaluate, evaluation: Callable[[torch.device], Evaluate]
    ) -> Callable[[], None] | None:
        """Return what makes something lowered another evaluation, by writing numbers in place.

        Nothing that was compiled or captured with it is compiled again. None if this is another
        structure: then :meth:`lower` it.

        Args:
            held: as :meth:`lower` returned it.
            evaluation: as for :meth:`lower`.
        """
        graph = self.graph_of(held)
        if graph is None:
            return None
        try:
            recording = self._record(evaluation(_CPU), ())
        except Untraceable:
            return None
        return graph.refill(recording, self.rewritten)

    def has_one_kernel(self, tensors: Sequence[Tensor]) -> bool:
        """Whether curves that are rows of numbers may be one kernel, which writes these tensors."""
        return False

    def one_kernel(self, curves: PackedCurves, tensors: Sequence[Tensor]) -> OneKernel | None:
        """Return what computes a whole step at once, where :meth:`has_one_kernel`; None if not.

        Args:
            curves: of the values, on the CPU.
            tensors: the counter, and the values.
        """
        return None

    def graph_of(self, held: Evaluate) -> DeviceGraph | None:
        """Return the graph that was made callable, if it was one."""
        return held if isinstance(held, DeviceGraph) else None

    def rewritten(self, state: Tensor, content: Tensor) -> Tensor:
        """Write a CPU tensor into one that :meth:`as_state` made, and return the one to hold."""
        return state.copy_(content)

    def _record(self, function: Evaluate, shape: Sequence[int]) -> Recording:
        """Record a function, in double-float arithmetic where there is no float64."""
        if not self.has_float64:
            function = in_float32(record(function, shape=shape))
        return record(function, self.replacements(), shape)

    def as_callable(
        self, graph: DeviceGraph, device: torch.device, shape: Sequence[int]
    ) -> Evaluate:
        """Make a graph callable on this back end; the arguments are those of :meth:`lower`."""
        return graph

    def replacements(self) -> dict[Any, Callable[..., Tensor]]:
        """Map each ATen operation that would leave the graph to an equal one that stays."""
        return {}

    def assign(self, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """Write values of shape [] in place, one into each tensor."""
        for tensor, value in zip(tensors, values, strict=True):
            # copy_ and fill_ would leave the graph on some lazy back ends.
            torch.add(value.to(tensor.device), 0, out=tensor)

    def execute(self, tensors: Sequence[Tensor]) -> None:
        """Compute tensors now, so that a graph that is gathered next takes them as they are."""

    def before_step(self, state: Sequence[Tensor], optimizer: Optimizer) -> None:
        """Prepare for a step of a scheduler of this optimizer, before its state moves on."""

    def is_capturing(self) -> bool:
        """Whether what is called now is kept, and runs whenever somebody replays it."""
        return False

    # For those that drive a whole training loop: the demo, the tests, the benchmarks.

    def available(self) -> str | None:
        """Say why this back end cannot run here; None if it can."""
        return None

    def device(self) -> torch.device:
        """Return the device to put a model on."""
        return torch.device("cpu")

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function as this back end runs it."""
        return function

    def finish_step(self) -> None:
        """Execute what a lazy back end has gathered."""

    def wait(self) -> None:
        """Block until the device is idle."""

    def counters(self) -> Counters:
        """Return the counts so far."""
        return Counters()

    def nodes(self, tensors: Sequence[Tensor]) -> int:
        """Count the operations that a lazy back end has gathered for tensors, with constants."""
        return 0
