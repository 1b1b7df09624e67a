"""How the cost of a schedule grows: with groups, phases, milestones, depth and horizon.

python benchmarks/growth.py
"""

import os
import statistics
import time

os.environ.setdefault("PJRT_DEVICE", "CPU")

import torch
from rounds import seconds
from tables import Table, show

from accelsched import Scheduler, runtimes
from accelsched.schedules import (
    CosineDecay,
    Linear,
    MultiStep,
    PiecewiseConstant,
    Sequential,
)
from accelsched.schedules.stacking import Evaluation, buckets
from accelsched.tracing import record

ROUNDS = 9
NOT_RUN = "not run"
CPU = torch.device("cpu")
# The in-place write of so many groups is a graph that XLA takes minutes to compile.
MOST_GROUPS_ON_XLA = 1000


def line(i):
    return Linear(0.1 / (i + 1), 0.2 / (i + 2), 7 + i)


def cosine(i=0, horizon=7):
    return CosineDecay(0.1 / (i + 1), 0.01 / (i + 2), horizon + i)


def phases(count, *kinds):
    """So many phases of ten steps, the kinds by turns."""
    made = [kinds[i % len(kinds)](i) for i in range(count)]
    return Sequential(made, [10 * i for i in range(1, count)])


def nested(depth):
    """So many schedules within each other."""
    schedule = cosine()
    for i in range(1, depth):
        schedule = (schedule.then(line(i), at=10) if i % 2 else schedule + line(i)) * 0.9
    return schedule


def warm_up_cosine(horizon):
    return Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, horizon - 20), at=20)


def many_milestones(cls):
    def made(count):
        milestones = [10 * (i + 1) for i in range(count)]
        if cls is MultiStep:
            return MultiStep(0.1, 0.9999, milestones)
        return PiecewiseConstant([0.1 / (i + 1) for i in range(count + 1)], milestones)

    return made


def groups(count):
    return [warm_up_cosine(1000) * (1 / (i + 1)) for i in range(count)]


#: What grows, how the schedule of a size is made, and the sizes.
GROWING = {
    "param groups, warm-up and cosine": (groups, [1, 10, 100, 1000, 10_000]),
    "milestones of MultiStep": (many_milestones(MultiStep), [1, 10, 100, 1000, 10_000]),
    "milestones of PiecewiseConstant": (
        many_milestones(PiecewiseConstant),
        [1, 10, 100, 1000, 10_000],
    ),
    "phases of one kind": (lambda n: phases(n, line), [1, 2, 3, 10, 100, 1000, 10_000]),
    "phases of two kinds by turns": (
        lambda n: phases(n, line, cosine),
        [2, 4, 6, 10, 100, 1000, 10_000],
    ),
    "depth of nesting": (nested, [1, 2, 4, 8, 16, 32, 64]),
    "horizon in steps, formula": (warm_up_cosine, [10**3, 10**5, 10**7, 10**9]),
}


def milliseconds(call):
    start = time.perf_counter()
    result = call()
    return (time.perf_counter() - start) * 1e3, result


def optimizer(count, device):
    weights = [torch.zeros(1).to(device) for _ in range(count)]
    return torch.optim.SGD([{"params": [weight]} for weight in weights], lr=0.1)


def microseconds(step, finish=lambda: None, calls=20):
    def steps():
        for _ in range(calls):
            step()
            finish()

    return statistics.median(seconds({"": steps}, ROUNDS)[""]) / calls * 1e6


def row(make, size):
    built, schedule = milliseconds(lambda: make(size))
    each = schedule if isinstance(schedule, list) else [schedule]
    evaluation = Evaluation(buckets(each, [torch.float64] * len(each)), CPU)
    operations = sum(node.op == "call_function" for node in record(evaluation).graph.nodes)
    first, host = milliseconds(lambda: Scheduler(optimizer(len(each), CPU), schedule))
    on_host = microseconds(host.step, calls=200 if len(each) < 1000 else 20)
    cells = [f"{size:,}", f"{operations}", f"{built:.3g}", f"{first:.3g}", f"{on_host:.3g}"]
    if len(each) > MOST_GROUPS_ON_XLA:
        return [*cells, *[NOT_RUN] * 3]
    runtime = runtimes.NAMED["xla"]
    there = optimizer(len(each), runtime.device())
    bound, scheduler = milliseconds(lambda: Scheduler(there, schedule, lowering="graph"))
    runtime.finish_step()
    scheduler.step()
    nodes = runtime.nodes([*scheduler.driver._cells, scheduler.driver._counter])
    runtime.finish_step()

    def finish():
        runtime.finish_step()
        runtime.wait()

    on_xla = microseconds(scheduler.step, finish)
    return [*cells, f"{nodes}", f"{bound:.3g}", f"{on_xla:.3g}"]


COLUMNS = [
    "", "operations", "built, ms", "bound on the CPU, ms", "step there, us",
    "nodes on torch_xla", "bound there, ms", "step there, us",
]  # fmt: skip


def tables():
    for title, (make, sizes) in GROWING.items():
        rows = [row(make, size) for size in sizes]
        drawn = {"operations": 1, "us on the CPU": 4, "us on torch_xla": 7}
        yield Table(
            f"Cost by {title}",
            COLUMNS,
            rows,
            "Operations: of the formula, for all groups at once. A step on torch_xla is the "
            f"scheduler's alone, with its execution; medians of {ROUNDS} rounds. "
            "What is bound on the CPU is compiled, if its code is not on disk.",
            lines={
                name: [
                    (size, float(cells[at]))
                    for size, cells in zip(sizes, rows, strict=True)
                    if cells[at] != NOT_RUN
                ]
                for name, at in drawn.items()
            },
            axis=title,
        )


if __name__ == "__main__":
    show(tables())
