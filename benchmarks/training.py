"""Compare training steps with our schedulers, a constant learning rate and torch's schedulers.

python benchmarks/training.py WAY, which is one of xla, xla-compile, openxla, lazy, compile
"""

import multiprocessing
import os
import statistics
import sys
import time
import warnings
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

os.environ.setdefault("PJRT_DEVICE", "CPU")

import torch
from rounds import ratios, seconds, spread
from tables import Table, show
from torch.optim import lr_scheduler

from accelsched import Scheduler
from accelsched._runtimes import NAMED
from accelsched.schedules import CosineDecay, Linear

warnings.simplefilter("ignore")
ROUNDS, CALLS, WARM = 11, 10, 12
# The longest that a turn of several calls should take.
SECONDS = 1.0
LAYERS, WIDTH, BATCH = 50, 64, 64
HORIZON, WARM_UP = 20_000, 100
#: A constant rate is the baseline. torch's schedulers change a float, or a tensor in place.
CONTESTANTS = (
    "constant",
    "accelsched, formula",
    "accelsched, segments",
    "accelsched, table",
    "torch, float lr",
    "torch, tensor lr",
)
#: (groups, steps per graph). torch.compile ends a graph after optimizer.step.
ONE_STEP = [(1, 1), (10, 1), (100, 1)]
ANY_STEPS = [*ONE_STEP, (1, 10), (1, 100)]
#: The title of each way, and its (groups, steps per graph).
CONFIGURATIONS = {
    "xla": ("torch_xla, traced at every step", ANY_STEPS),
    "xla-compile": ("torch_xla.compile", ANY_STEPS),
    "openxla": ('torch.compile(backend="openxla")', ONE_STEP),
    "lazy": ("PyTorch's lazy back end", ANY_STEPS),
    "compile": ("torch.compile, Inductor", ONE_STEP),
}
# A graph of a hundred steps of the large model would take XLA minutes to compile.
FEW_LAYERS = 2


class Training:
    """A multilayer perceptron and SGD with momentum, with its parameters divided into groups."""

    def __init__(self, way: str, contestant: str, groups: int, steps_in_a_graph: int) -> None:
        self.runtime = NAMED["xla" if way in ("xla-compile", "openxla") else way]
        self.steps_in_a_graph = steps_in_a_graph
        torch.manual_seed(0)
        device = self.runtime.device()
        layers = LAYERS if steps_in_a_graph == 1 else FEW_LAYERS
        scale = (2 / WIDTH) ** 0.5
        self.weights = [(torch.randn(WIDTH, WIDTH) * scale).to(device) for _ in range(layers)]
        self.biases = [torch.zeros(WIDTH).to(device) for _ in range(layers)]
        self.inputs = torch.randn(BATCH, WIDTH).to(device)
        self.parameters = [p.requires_grad_() for p in (*self.weights, *self.biases)]
        self.peaks = [1e-4 * (1 + i / groups) for i in range(groups)]
        is_tensor = contestant == "torch, tensor lr" or (
            contestant.startswith("accelsched") and device.type == "cpu"
        )
        named = [
            {
                "params": self.parameters[i::groups],
                "lr": torch.tensor(peak).to(device).clone() if is_tensor else peak,
            }
            for i, peak in enumerate(self.peaks)
        ]
        self.optimizer = torch.optim.SGD(named, lr=1e-4, momentum=0.9)
        self.scheduler = self._scheduler(contestant)
        # Dynamo does not trace torch's schedulers; ours are meant to be compiled with the step.
        inside = self.scheduler is not None and (
            contestant.startswith("accelsched") or way == "xla-compile"
        )
        self._body = self._train_and_schedule if inside else self._train
        self._outside = None if inside else self.scheduler
        self._graph = self.traced
        if way == "xla-compile":
            import torch_xla

            self._graph = torch_xla.compile(self.traced)
        elif way == "openxla":
            self._body = torch.compile(self._body, backend="openxla")
        elif way == "compile":
            self._body = torch.compile(self._body)
        self._finishes = way in ("xla", "lazy")

    def _scheduler(self, contestant: str) -> Any:
        if contestant == "constant":
            return None
        if contestant.startswith("accelsched"):
            schedules = [
                Linear(0.01 * p, p, WARM_UP).then(CosineDecay(p, 0.0, HORIZON), at=WARM_UP)
                for p in self.peaks
            ]
            name = contestant.partition(", ")[2]
            lowering = "graph" if name == "formula" else name
            return Scheduler(self.optimizer, schedules, lowering=lowering)
        phases = [
            lr_scheduler.LinearLR(self.optimizer, 0.01, total_iters=WARM_UP),
            lr_scheduler.CosineAnnealingLR(self.optimizer, HORIZON),
        ]
        return lr_scheduler.SequentialLR(self.optimizer, phases, [WARM_UP])

    def _train(self) -> None:
        self.optimizer.zero_grad()
        x = self.inputs
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = torch.relu(x @ weight + bias)
        x.square().mean().backward()
        self.optimizer.step()

    def _train_and_schedule(self) -> None:
        self._train()
        self.scheduler.step()

    def traced(self) -> None:
        """Run all steps of a graph, before the graph is executed."""
        for _ in range(self.steps_in_a_graph):
            self._body()
            if self._outside is not None:
                self._outside.step()

    def step(self) -> None:
        self._graph()
        if self._finishes:
            self.runtime.finish_step()

    def steps(self, graphs: int) -> None:
        for _ in range(graphs):
            self.step()
        self.runtime.wait()

    def state(self) -> list[torch.Tensor]:
        buffers = [self.optimizer.state[p]["momentum_buffer"] for p in self.parameters]
        rates = [g["lr"] for g in self.optimizer.param_groups if isinstance(g["lr"], torch.Tensor)]
        driver = getattr(self.scheduler, "driver", None)
        return [*self.parameters, *buffers, *rates, *([driver._counter] if driver else [])]


@dataclass
class Counted:
    """The costs of a training step other than its time, and the milliseconds to trace it.

    Attributes:
        graphs: graphs per turn; fewer for a contestant that recompiles at every step.
    """

    graphs: int
    counts: list[float]
    nodes: str
    tracing: str


def counted(training: Training) -> Counted:
    before, start, graphs = training.runtime.counters(), time.perf_counter(), 10
    training.steps(graphs)
    cost = training.runtime.counters() - before
    most = int(SECONDS * graphs / (time.perf_counter() - start))
    steps = graphs * training.steps_in_a_graph
    counts = [getattr(cost, field.name) / steps for field in fields(cost)]
    enough = max(1, min(most, CALLS // training.steps_in_a_graph))
    if not training._finishes:
        return Counted(enough, counts, "-", "-")
    times, nodes = [], 0
    for _ in range(9):
        start = time.perf_counter()
        training.traced()
        times.append((time.perf_counter() - start) / training.steps_in_a_graph)
        nodes = training.runtime.nodes(training.state())
        training.runtime.finish_step()
        training.runtime.wait()
    share = f"{nodes / training.steps_in_a_graph:.0f}"
    return Counted(enough, counts, share, spread(times, 1e-3))


def contestant(connection: Connection, *arguments: Any) -> None:
    """Train in a separate process, as all would share Dynamo's cache and its limits."""
    training = Training(*arguments)
    training.steps(WARM)
    connection.send(True)
    connection.recv()
    cost = counted(training)
    connection.send(cost)
    while connection.recv():
        training.steps(cost.graphs)
        connection.send(True)


def turn(connection: Connection) -> Any:
    connection.send(True)
    return connection.recv()


def rows(way: str, groups: int, steps_in_a_graph: int) -> dict[tuple[str, ...], float]:
    """Return the rows of a table, each with its time relative to a constant rate."""
    connections = {}
    spawn = multiprocessing.get_context("spawn")
    for name in CONTESTANTS:
        connections[name], theirs = spawn.Pipe()
        arguments = (theirs, way, name, groups, steps_in_a_graph)
        spawn.Process(target=contestant, args=arguments, daemon=True).start()
    for connection in connections.values():
        connection.recv()  # all are warm, and idle
    costs = {name: turn(connection) for name, connection in connections.items()}
    turns = {name: partial(turn, connection) for name, connection in connections.items()}
    times = {
        name: [taken / (costs[name].graphs * steps_in_a_graph) for taken in rounds]
        for name, rounds in seconds(turns, ROUNDS).items()
    }
    for connection in connections.values():
        connection.send(False)
    made = {}
    for name, taken in times.items():
        cost, more = costs[name], ratios(taken, times["constant"])
        cells = (
            f"{groups} groups, {steps_in_a_graph} a graph: {name}",
            spread(taken, 1e-3), spread(more, 1),
            *(f"{count:.2g}" for count in cost.counts[:4]), cost.nodes, cost.tracing,
        )  # fmt: skip
        made[cells] = statistics.median(more)
    return made


def tables(way: str):
    title, measured = CONFIGURATIONS[way]
    made = {}
    for groups, together in measured:
        made |= rows(way, groups, together)
    yield Table(
        f"A training step under {title}",
        ["", "ms (least to most)", "times constant", "compiles", "executions", "to device",
         "from device", "nodes", "tracing, ms"],
        [list(cells) for cells in made],
        f"A perceptron of {LAYERS} layers of {WIDTH} ({FEW_LAYERS} where a graph is of several "
        f"steps), {BATCH} samples, SGD with momentum; warm-up and cosine, of another size in each "
        "group. All counts are of one training step. Each trains in a process of its own, by "
        f"turns: {ROUNDS} rounds; torch {torch.__version__}. A rate of torch's is a number that "
        "each step sends, or, in a tensor, several operations that are executed apart.",
        bars={cells[0]: more for cells, more in made.items()},
        axis="times a constant learning rate",
    )  # fmt: skip


if __name__ == "__main__":
    show(tables(sys.argv[1]))
