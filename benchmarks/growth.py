"""How the cost of a schedule grows: with groups, phases, milestones, depth and horizon.

python benchmarks/growth.py
"""

import gc
import os
import statistics
import tempfile
from functools import partial

os.environ.setdefault("PJRT_DEVICE", "CPU")

import torch
from rounds import seconds, spread
from tables import Table, show

from accelsched import Scheduler
from accelsched._recording import record
from accelsched._runtimes import NAMED
from accelsched.kernels import jit
from accelsched.schedules import (
    CosineDecay,
    Linear,
    MultiStep,
    PiecewiseConstant,
    Sequential,
)
from accelsched.schedules._vectorize import BatchedFormulas, group_by_structure

ROUNDS, FEW_ROUNDS = 9, 3
NOT_RUN = "not run"
CPU = torch.device("cpu")
# XLA takes minutes to compile a graph of ten thousand outputs, or crashes.
MOST_GROUPS_ON_XLA = 1000


def line(i):
    return Linear(0.1 / (i + 1), 0.2 / (i + 2), 7 + i)


def cosine(i=0, horizon=7):
    return CosineDecay(0.1 / (i + 1), 0.01 / (i + 2), horizon + i)


def phases(count, *kinds):
    """Return ``count`` phases of ten steps, which alternate the kinds."""
    made = [kinds[i % len(kinds)](i) for i in range(count)]
    return Sequential(made, [10 * i for i in range(1, count)])


def nested(depth):
    """Return a schedule nested to a depth."""
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
            return MultiStep(0.1, gamma=0.9999, milestones=milestones)
        return PiecewiseConstant([0.1 / (i + 1) for i in range(count + 1)], milestones)

    return made


def groups(count):
    return [warm_up_cosine(1000) * (1 / (i + 1)) for i in range(count)]


#: What grows, the function that makes a schedule of a size, and the sizes.
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


def optimizer(count, device):
    weights = [torch.zeros(1).to(device) for _ in range(count)]
    return torch.optim.SGD([{"params": [weight]} for weight in weights], lr=0.1)


def alone(function, rounds=FEW_ROUNDS, calls=1):
    """Return the seconds that a call took in each round."""
    return seconds({"": function}, rounds, calls)[""]


def bound(schedule, groups, device, lowering=None):
    """Return a function that binds the schedule to a new optimizer at each call."""
    optimizers = [optimizer(groups, device) for _ in range(FEW_ROUNDS + 2)]
    return lambda: Scheduler(optimizers.pop(), schedule, lowering=lowering)


def anew(bind):
    """Bind with empty caches, so that nothing is compiled yet."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ACCELSCHED_CACHE_DIR"] = folder
        jit.CODES.clear()
        bind()


def row(make, size):
    """Return the cells of a size, and the figures to draw."""
    schedule = make(size)
    each = schedule if isinstance(schedule, list) else [schedule]
    evaluation = BatchedFormulas(group_by_structure(each, [torch.float64] * len(each)), CPU)
    operations = sum(node.op == "call_function" for node in record(evaluation).graph.nodes)
    cells = [
        f"{size:,}", f"{operations}", spread(alone(partial(make, size)), 1e-3),
        spread(alone(partial(anew, bound(schedule, len(each), CPU))), 1e-3),
        spread(alone(bind := bound(schedule, len(each), CPU)), 1e-3),
    ]  # fmt: skip
    steps = alone(bind().step, ROUNDS, 200 if len(each) < 1000 else 20)
    cells.append(spread(steps))
    drawn = {"operations": operations, "us on the CPU": statistics.median(steps) * 1e6}
    if len(each) > MOST_GROUPS_ON_XLA:
        return [*cells, *[NOT_RUN] * 3], drawn
    runtime = NAMED["xla"]
    bind = bound(schedule, len(each), runtime.device(), "graph")
    binding = spread(alone(bind), 1e-3)
    scheduler = bind()
    # torch_xla visits every live tensor at each step.
    gc.collect()
    runtime.finish_step()
    scheduler.step()
    nodes = runtime.nodes([*scheduler.driver._value_tensors, scheduler.driver._counter])
    runtime.finish_step()

    def step():
        scheduler.step()
        runtime.finish_step()
        runtime.wait()

    steps = alone(step, ROUNDS, 20)
    drawn["us on torch_xla"] = statistics.median(steps) * 1e6
    return [*cells, f"{nodes}", binding, spread(steps)], drawn


COLUMNS = [
    "", "operations", "built, ms", "bound on the CPU, ms", "bound again, ms", "step there, us",
    "nodes on torch_xla", "bound there, ms", "step there, us",
]  # fmt: skip


def tables():
    for title, (make, sizes) in GROWING.items():
        rows, lines = [], {}
        for size in sizes:
            cells, drawn = row(make, size)
            rows.append(cells)
            for name, figure in drawn.items():
                lines.setdefault(name, []).append((size, figure))
        yield Table(
            f"Cost by {title}",
            COLUMNS,
            rows,
            "Operations: of the formula, for all groups at once. A step on torch_xla is the "
            "scheduler's alone, with its execution. What is bound on the CPU is compiled, but "
            f"not again, whatever its numbers are. In brackets the least and the most of {ROUNDS} "
            f"rounds for steps, and of {FEW_ROUNDS} for the rest.",
            lines=lines,
            axis=title,
        )


if __name__ == "__main__":
    show(tables())
