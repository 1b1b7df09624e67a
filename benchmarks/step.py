"""What a scheduler's step adds to a training step, by lowering and by schedule.

python benchmarks/step.py [xla | lazy]
"""

import os
import statistics
import sys
import time

os.environ.setdefault("PJRT_DEVICE", "CPU")

import torch

from accelsched import Scheduler, runtimes
from accelsched.schedules import Constant, CosineDecay, Linear

ROUNDS, STEPS = 15, 40
WARM_UP_COSINE = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 5000), at=20)
WARM_UP_COSINE_NESTED = (WARM_UP_COSINE * 0.5).then(WARM_UP_COSINE, at=100) * WARM_UP_COSINE
CONTESTANTS = {
    "constant, no scheduler": None,
    "Constant, formula": (Constant(0.1), "graph"),
    "cosine, formula": (CosineDecay(0.1, 0.0, 5000), "graph"),
    "warm-up + cosine, formula": (WARM_UP_COSINE, "graph"),
    "three of these, formula": (WARM_UP_COSINE_NESTED, "graph"),
    "warm-up + cosine, table": (WARM_UP_COSINE, "table"),
    "three of these, table": (WARM_UP_COSINE_NESTED, "table"),
}


def training_step(runtime, bound):
    """A step of plain tensor operations, so that it is the same with and without a scheduler."""
    device = runtime.device()
    weights = [torch.randn(32, 32).to(device) for _ in range(8)]
    cell = torch.tensor(0.1).to(device).clone()
    scheduler = None
    if bound:
        optimizer = torch.optim.SGD(weights, lr=0.1)
        scheduler = Scheduler(optimizer, bound[0], lowering=bound[1])
        cell = optimizer.param_groups[0]["lr"]

    @torch.no_grad()
    def step():
        for weight in weights:
            weight.sub_(torch.tanh(weight) * cell)
        if scheduler is not None:
            scheduler.step()
        runtime.finish_step()

    return step


def main():
    runtime = runtimes.NAMED[sys.argv[1] if len(sys.argv) > 1 else "xla"]
    steps = {name: training_step(runtime, bound) for name, bound in CONTESTANTS.items()}
    times = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            step()
            runtime.wait()
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            runtime.wait()
            times[name].append((time.perf_counter() - start) / STEPS * 1e6)
    base = times["constant, no scheduler"]
    print(f"torch {torch.__version__}, {runtime.name}, {ROUNDS} rounds of {STEPS} steps")
    print(f"{'':28}{'us per step':>12}{'min':>8}{'max':>8}{'added':>8}{'ratio':>8}")
    for name, measured in times.items():
        middle = statistics.median(measured)
        added = statistics.median(a - b for a, b in zip(measured, base, strict=True))
        ratio = statistics.median(a / b for a, b in zip(measured, base, strict=True))
        low, high = min(measured[1:]), max(measured[1:])
        print(f"{name:28}{middle:12.0f}{low:8.0f}{high:8.0f}{added:8.0f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
