"""Measure what 100 different rates cost a step on torch_xla, and other ways to store them.

python benchmarks/many_groups.py, some two minutes. Only the way of "accelsched" is in the package.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import SimpleNamespace

import torch
from rounds import ratios, spread
from tables import Table, show
from torch import Tensor
from training import HORIZON, WARM, WARM_UP, Training, turn

from accelsched import Scheduler
from accelsched._lowering.segments import BatchedSegments
from accelsched._optimizers.on_device import Factor
from accelsched.schedules import CosineDecay, Linear
from accelsched.schedules._vectorize import group_by_structure

GROUPS, ROUNDS, CALLS = 100, 25, 10


def constant() -> Training:
    return Training("xla", "constant", GROUPS, 1)


def accelsched() -> Training:
    return Training("xla", "accelsched, segments", GROUPS, 1)


def never_written() -> Training:
    """Put tensors in the groups that are no outputs of the graph."""
    training = constant()
    for group in training.optimizer.param_groups:
        group["lr"] = Factor(torch.tensor(group["lr"]).to(training.inputs.device).clone())
    return training


def views() -> Training:
    """The rates are views of one vector, which a step writes."""
    training = accelsched()
    driver = training.scheduler.driver
    batches = group_by_structure(training.scheduler.schedules, driver._dtypes, driver._least)
    evaluate = driver._runtime.lower(lambda _: BatchedSegments(batches), driver.device)
    vector = evaluate(driver._counter)[0].clone()
    driver._runtime.execute([vector])
    # Not unbind: each of its outputs reads the whole vector anew.
    for i, group in enumerate(training.optimizer.param_groups):
        group["lr"] = Factor(vector[i])

    def step() -> None:
        driver._runtime.assign([driver._counter], [driver._counter + 1])
        vector.copy_(evaluate(driver._counter)[0])

    training.scheduler = SimpleNamespace(step=step)
    return training


class Pending(Factor):
    """A rate that is computed when a step reads it, and dropped before the graph ends.

    C++ code would read a stale rate: ``xm.save``, and the graphs of ``backend="openxla"``.
    """

    value: Tensor | None = None
    compute: Callable[[], None]

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            if func is not Tensor.addcmul_:
                return func(*args, **(kwargs or {}))
            target, one, rate = args
            if rate.value is None:
                rate.compute()
            return torch.sub(target, one * rate.value, out=target)


def pending() -> Training:
    """The counter is the only state from one graph to the next."""
    training = accelsched()
    driver = training.scheduler.driver
    rates = [Pending(torch.tensor(peak).to(driver.device).clone()) for peak in training.peaks]

    def compute() -> None:
        for rate, value in zip(rates, driver._next(driver._counter)[1:], strict=True):
            rate.value = value

    for group, rate in zip(training.optimizer.param_groups, rates, strict=True):
        group["lr"], rate.compute = rate, compute

    def step() -> None:
        driver._runtime.assign([driver._counter], [driver._counter + 1])
        for rate in rates:
            rate.value = None

    training.scheduler = SimpleNamespace(step=step)
    return training


def shared() -> Training:
    """The same rate in all groups, as one tensor."""
    training = constant()
    groups = training.optimizer.param_groups
    schedule = Linear(1e-6, 1e-4, WARM_UP).then(CosineDecay(1e-4, 0.0, HORIZON), at=WARM_UP)
    first, *others = groups
    groups[1:] = []
    training.scheduler = Scheduler(training.optimizer, schedule, lowering="segments")
    training.scheduler.driver._look = lambda: False
    for group in others:
        group["lr"] = first["lr"]
    groups += others
    training._body = training._train_and_schedule
    return training


CONTESTANTS = {
    "constant": constant,
    "tensors that are never written": never_written,
    "accelsched": accelsched,
    "views of one vector": views,
    "computed in each graph, no outputs": pending,
    "one tensor, of one rate": shared,
}


def counts() -> tuple[int, int]:
    """Return how many tensors were made by tracing, and how many as outputs of graphs."""
    from torch_xla.debug import metrics

    return tuple(metrics.counter_value(name) for name in ("CreateXlaTensor", "CreateDataHandles"))


def contestant(connection: Connection, name: str) -> None:
    """Train in a separate process: the outputs of a graph are all tensors of its process."""
    training = CONTESTANTS[name]()
    training.steps(WARM)
    before = counts()
    training.steps(1)
    connection.send([after - old for old, after in zip(before, counts(), strict=True)])
    while connection.recv():
        wall, cpu = time.perf_counter(), time.process_time()
        training.steps(CALLS)
        taken = time.perf_counter() - wall, time.process_time() - cpu
        connection.send([seconds / CALLS for seconds in taken])


def tables():
    connections, times = {}, {name: [] for name in CONTESTANTS}
    spawn = multiprocessing.get_context("spawn")
    for name in CONTESTANTS:
        connections[name], theirs = spawn.Pipe()
        spawn.Process(target=contestant, args=(theirs, name), daemon=True).start()
    counted = {name: connection.recv() for name, connection in connections.items()}
    for _ in range(ROUNDS):
        for name, connection in connections.items():
            times[name].append(turn(connection))
    for connection in connections.values():
        connection.send(False)
    columns = {name: list(zip(*taken, strict=True)) for name, taken in times.items()}
    rows = []
    for name, (wall, cpu) in columns.items():
        more = [ratios(*pair) for pair in zip((wall, cpu), columns["constant"], strict=True)]
        shown = [spread(wall, 1e-3), spread(more[0], 1), f"{statistics.median(more[1]):.3g}"]
        rows.append([name, *shown, *map(str, counted[name])])
    yield Table(
        f"A training step on torch_xla with {GROUPS} param groups",
        ["the rates", "ms (least to most)", "times constant", "CPU time, times constant",
         "tensors traced", "outputs of the graph"],
        rows,
        f"The perceptron and the schedule of training.py, each in a process of its own, by turns: "
        f"{ROUNDS} rounds; torch {torch.__version__}. CPU time is that of all threads.",
    )  # fmt: skip


if __name__ == "__main__":
    show(tables())
