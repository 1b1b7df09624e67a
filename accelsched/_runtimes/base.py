"""The interface to a back end, with the defaults of eager PyTorch."""

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

#: Maps the step counter to tensors.
Evaluate = Callable[[Tensor], Sequence[Tensor]]
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Counters:
    """Counts of a back end since its start; ``after - before`` counts the time between.

    Attributes:
        compiles: graphs compiled (for torch.compile: frames, recompiles included).
        executions: graphs executed, or calls of compiled graphs where those are counted.
        to_device: transfers of data from the host to the device.
        from_device: transfers from the device to the host.
        fallbacks: operations that the back end ran on the host.
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
    """The properties and hooks in which back ends differ."""

    #: The name that a user gives.
    name = "eager"
    #: Whether a read on the host makes the host wait for the device, so state lives on the device.
    on_device = True
    #: Whether kernels take a host number at no cost, so values are Python floats unless the
    #: optimizer takes them as tensors.
    takes_floats = False
    #: Whether a graph can capture launches there, and replay them without Python.
    captures = False
    #: Whether a read on the host ends the graph that is being gathered.
    reads_cost_an_execution = False
    #: Whether every step is traced anew, so that each operation of a schedule costs host time.
    traces_every_step = False
    #: Whether only the first step of a run is traced, and then repeated without Python.
    traces_once = False
    #: Whether PyTorch accepts capturable=True for an optimizer there.
    accepts_capturable = True
    #: The :class:`Counters` that are kept; the others stay 0.
    counts: tuple[str, ...] = ()
    #: Whether float64 exists; if not, formulas use double-float arithmetic.
    has_float64 = True

    def as_state(self, state: Tensor, device: torch.device) -> Tensor:
        """Put a CPU tensor on the device, as state that graphs carry from step to step."""
        return state.to(device)

    def as_data(self, vector: Tensor, device: torch.device) -> Tensor:
        """Put a CPU tensor of shape [n] on the device, as data that no operation makes there.

        A graph that reads the tensor stays the same for other contents, or for a new tensor.
        """
        return vector.to(device)

    def lower(
        self,
        evaluation: Callable[[torch.device], Evaluate],
        device: torch.device,
        shape: Sequence[int] = (),
    ) -> Evaluate:
        """Record an evaluation, and return the function that this back end calls at each step.

        Args:
            evaluation: makes the evaluation for a device.
            device: the device to run on.
            shape: the shape of the counter.

        Raises:
            Untraceable: a user's function reads a number, on a back end that must trace it.
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
        """Return a function that turns ``held`` into another evaluation by writing its numbers.

        Graphs that were compiled or captured with ``held`` stay valid. None if the structure
        differs: then :meth:`lower` the evaluation.

        Args:
            held: the result of :meth:`lower`.
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
        """Return whether one kernel can evaluate segments or tables, and write these tensors."""
        return False

    def one_kernel(self, curves: PackedCurves, tensors: Sequence[Tensor]) -> OneKernel | None:
        """Return a kernel that does a whole step; None if it cannot be built.

        Call this only where :meth:`has_one_kernel` holds.

        Args:
            curves: the curves of the values, on the CPU.
            tensors: the counter, and the values.
        """
        return None

    def graph_of(self, held: Evaluate) -> DeviceGraph | None:
        """Return the graph behind a result of :meth:`lower`; None if it has none."""
        return held if isinstance(held, DeviceGraph) else None

    def rewritten(self, state: Tensor, content: Tensor) -> Tensor:
        """Write a CPU tensor into one from :meth:`as_state`, and return the tensor to hold."""
        return state.copy_(content)

    def _record(self, function: Evaluate, shape: Sequence[int]) -> Recording:
        """Record a function, in double-float arithmetic if there is no float64."""
        if not self.has_float64:
            function = in_float32(record(function, shape=shape))
        return record(function, self.replacements(), shape)

    def as_callable(
        self, graph: DeviceGraph, device: torch.device, shape: Sequence[int]
    ) -> Evaluate:
        """Make a graph callable on this back end; ``device`` and ``shape`` as for :meth:`lower`."""
        return graph

    def replacements(self) -> dict[Any, Callable[..., Tensor]]:
        """Map each ATen operation that would leave the graph to an equal one that stays."""
        return {}

    def assign(self, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """Write one value of shape [] into each tensor, in place."""
        for tensor, value in zip(tensors, values, strict=True):
            # copy_ and fill_ leave the graph on some lazy back ends.
            torch.add(value.to(tensor.device), 0, out=tensor)

    def execute(self, tensors: Sequence[Tensor]) -> None:
        """Compute tensors now, so that the next graph takes them as inputs."""

    def before_step(self, state: Sequence[Tensor], optimizer: Optimizer) -> None:
        """Prepare for a step of this optimizer's scheduler, before the state changes."""

    def is_capturing(self) -> bool:
        """Return whether operations are being captured now, to be replayed later."""
        return False

    # The rest serves code that drives a whole training loop: the demo, the tests, the benchmarks.

    def available(self) -> str | None:
        """Return why this back end cannot run here; None if it can."""
        return None

    def device(self) -> torch.device:
        """Return the device to put a model on."""
        return torch.device("cpu")

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function in the form that this back end runs."""
        return function

    def finish_step(self) -> None:
        """Execute the operations that a lazy back end has gathered."""

    def wait(self) -> None:
        """Block until the device is idle."""

    def counters(self) -> Counters:
        """Return the counts so far."""
        return Counters()

    def nodes(self, tensors: Sequence[Tensor]) -> int:
        """Return how many operations, constants included, a lazy back end has gathered."""
        return 0
