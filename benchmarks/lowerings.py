"""The cost of each lowering of a curve (operations, state, time to build and trace), and its error.

python benchmarks/lowerings.py (two minutes), or with one back end: eager, xla, lazy, no-float64
"""

import copy
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial

os.environ.setdefault("PJRT_DEVICE", "CPU")

import numpy as np
import torch
from rounds import seconds, spread
from tables import Table, show

from accelsched import ArgumentError, _lowering, reference
from accelsched._runtimes import NAMED
from accelsched.schedules import Constant, CosineDecay, Linear, Multiplicative
from accelsched.schedules._vectorize import group_by_structure

WARM_UP, HORIZON, PEAK, FACTOR = 2000, 10**6, 0.1, 0.99999
ROUNDS, CALLS, AT_RANDOM = 7, 50, 1000
COSINE = CosineDecay(PEAK, PEAK / 100, HORIZON - WARM_UP)
DECAY = Multiplicative(PEAK / 100, FACTOR)
CURVES = {
    "constant": Constant(PEAK),
    "cosine": CosineDecay(PEAK, 0.0, HORIZON),
    "warm-up, cosine": Linear(0.0, PEAK, WARM_UP).then(COSINE, at=WARM_UP),
    "exponential": Multiplicative(PEAK, FACTOR),
    "warm-up, cosine, exponential":
        Linear(0.0, PEAK, WARM_UP).then(COSINE, at=WARM_UP).then(DECAY, at=HORIZON),
}  # fmt: skip
LOWERINGS = ("graph", "table", "segments")
#: Eager tensors without float64 run the graphs that are recorded for Cerebras and MPS.
BACK_ENDS = {
    "eager": "eager tensors on the CPU",
    "xla": "torch_xla, traced at every step",
    "lazy": "PyTorch's lazy back end",
    "no-float64": "eager tensors without float64, as for Cerebras and MPS",
}
COLUMNS = ["lowering", "operations", "state, bytes", "built, ms", "a step, us", "error, ulps"]


def runtime_named(name):
    if name == "no-float64":
        runtime = copy.copy(NAMED["eager"])
        runtime.has_float64 = False
        return runtime
    return NAMED[name]


def evaluation(schedule, lowering, runtime):
    """Return a function that makes the evaluation of a schedule for a device."""
    batches = group_by_structure([schedule], [torch.float32])
    return _lowering._choose(lowering, batches, runtime).evaluation


def lowered(schedule, lowering, runtime):
    return runtime.lower(evaluation(schedule, lowering, runtime), runtime.device())


def recorded(schedule, lowering, runtime):
    """Return the graph of a step, or None if the curve cannot have the lowering."""
    try:
        made = evaluation(schedule, lowering, runtime)
    except ArgumentError:
        return None
    return runtime._record(made(torch.device("cpu")), ())


def steps():
    """Return steps at the start, near the middle and the ends of phases, and at random."""
    near = np.arange(-100, 101) + np.array([[0], [WARM_UP], [HORIZON // 2], [HORIZON]])
    random = np.random.default_rng(0).integers(0, HORIZON, AT_RANDOM)
    return np.unique(np.concatenate([near.ravel().clip(0), random])).tolist()


def worst(evaluate, schedule, device):
    """The largest distance from the float64 reference, in float32 ulps."""
    at = steps()
    got = np.array([evaluate(torch.tensor(step).to(device))[0].item() for step in at])
    exact = np.array([reference.value(schedule, step) for step in at])
    # A zero is exact or infinitely far.
    ulps = np.where(exact == 0.0, 1e-45, np.spacing(np.abs(exact).astype(np.float32)))
    return float((np.abs(got - exact) / ulps).max())


def traced(evaluate, runtime):
    """Return the host's seconds per call in each round, without executing the traced graph."""
    counter = runtime.as_state(torch.tensor(WARM_UP), runtime.device())
    rounds = []
    for _ in range(ROUNDS + 1):
        times = []
        for _ in range(CALLS):
            start = time.perf_counter()
            values = evaluate(counter)
            times.append(time.perf_counter() - start)
            runtime.finish_step()
            runtime.wait()
            del values
        rounds.append(statistics.median(times))
    return rounds[1:]


def rows(name, schedule, runtime):
    graphs = {lowering: recorded(schedule, lowering, runtime) for lowering in LOWERINGS}
    graphs = {lowering: graph for lowering, graph in graphs.items() if graph is not None}
    build = {lowering: partial(lowered, schedule, lowering, runtime) for lowering in graphs}
    built = seconds(build, ROUNDS)
    for lowering, graph in graphs.items():
        evaluate = build[lowering]()
        yield [
            name,
            lowering,
            f"{sum(node.op == 'call_function' for node in graph.graph.nodes):,}",
            f"{sum(state.nbytes for state in graph.buffers()):,}",
            spread(built[lowering], 1e-3),
            spread(traced(evaluate, runtime)),
            f"{worst(evaluate, schedule, runtime.device()):.2f}",
        ]


def table(name):
    runtime = runtime_named(name)
    return Table(
        f"Lowerings on {BACK_ENDS[name]}",
        ["", *COLUMNS],
        [row for curve, schedule in CURVES.items() for row in rows(curve, schedule, runtime)],
        f"A warm-up of {WARM_UP:,} steps, a cosine up to step {HORIZON:,}, an exponential of "
        f"{FACTOR} a step; one group, a float32 value. What never settles has no table. Operations "
        "and state: of the recorded graph, beside the counter. Built: fitted or tabulated, and "
        "recorded, in a warm process. A step: the time that the host takes to trace it, or in "
        f"eager mode to run it. Error: the largest of {len(steps()):,} steps, from the float64 "
        "reference; rounding alone makes half an ulp. In brackets the least and the most of "
        f"{ROUNDS} rounds.",
    )


def tables():
    named = [name for name in BACK_ENDS if name in sys.argv]
    if named:
        yield from map(table, named)
        return
    for name in BACK_ENDS:
        # torch_xla and PyTorch's lazy back end cannot share a process.
        command = [sys.executable, __file__, name, "--json"]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        yield from (Table(**made) for made in json.loads(result.stdout.splitlines()[-1]))


if __name__ == "__main__":
    show(tables())
