"""What a scheduler's step adds to a training step on a lazy back end: formula or table.

Time and graph nodes, by how complex the schedule is, how far it reaches and how many groups there
are. `GraphDriver._default_lowering` is decided by this.

python benchmarks/step.py [xla | lazy]
"""

import os
import statistics
import sys

os.environ.setdefault("PJRT_DEVICE", "CPU")

import torch
from rounds import seconds, spread

from accelsched import Scheduler, runtimes
from accelsched.schedules import Constant, CosineDecay, Linear

ROUNDS, STEPS = 15, 40


def warm_up_cosine(horizon=5000):
    return Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, horizon - 20), at=20)


def nested():
    one = warm_up_cosine()
    return (one * 0.5).then(one, at=100) * one


CONTESTANTS = {
    "no scheduler": None,
    "Constant, formula": ([Constant(0.1)], "graph"),
    "cosine, formula": ([CosineDecay(0.1, 0.0, 5000)], "graph"),
    "warm-up + cosine, formula": ([warm_up_cosine()], "graph"),
    "three of these, formula": ([nested()], "graph"),
    "cosine, table": ([CosineDecay(0.1, 0.0, 5000)], "table"),
    "three of these, table": ([nested()], "table"),
    "table of 10^3 steps": ([warm_up_cosine(10**3)], "table"),
    "table of 10^6 steps": ([warm_up_cosine(10**6)], "table"),
    "table of 4 x 10^6 steps": ([warm_up_cosine(4 * 10**6)], "table"),
    "8 groups, formula": ([warm_up_cosine() * (i + 1) for i in range(8)], "graph"),
    "8 groups, table": ([warm_up_cosine() * (i + 1) for i in range(8)], "table"),
}


def training_step(runtime, bound):
    """A step of plain tensor operations, the same with and without a scheduler; and its nodes."""
    device = runtime.device()
    weights = [torch.randn(32, 32).to(device) for _ in range(8)]
    rates, scheduler, nodes = [torch.tensor(0.1).to(device).clone()], None, 0
    if bound:
        schedules, lowering = bound
        share = len(weights) // len(schedules)
        groups = [weights[i * share : (i + 1) * share] for i in range(len(schedules))]
        optimizer = torch.optim.SGD([{"params": group} for group in groups], lr=0.1)
        scheduler = Scheduler(optimizer, schedules, lowering=lowering)
        rates = [group["lr"] for group in optimizer.param_groups]
        runtime.finish_step()
        runtime.wait()
        scheduler.step()
        nodes = runtime.nodes([*rates, scheduler.driver._counter])

    @torch.no_grad()
    def step():
        for i, weight in enumerate(weights):
            weight.sub_(torch.tanh(weight) * rates[i * len(rates) // len(weights)])
        if scheduler is not None:
            scheduler.step()
        runtime.finish_step()

    def steps():
        for _ in range(STEPS):
            step()
        runtime.wait()

    return steps, nodes


def main():
    runtime = runtimes.NAMED[sys.argv[1] if len(sys.argv) > 1 else "xla"]
    made = {name: training_step(runtime, bound) for name, bound in CONTESTANTS.items()}
    taken = seconds({name: steps for name, (steps, _) in made.items()}, ROUNDS)
    times = {name: [t / STEPS for t in each] for name, each in taken.items()}
    print(f"torch {torch.__version__}, {runtime.name}, {ROUNDS} rounds of {STEPS} steps")
    print(f"{'':28}{'us per step (least to most)':>30}{'added':>8}{'ratio':>8}{'nodes':>8}")
    base = times["no scheduler"]
    for name, each in times.items():
        added = statistics.median(a - b for a, b in zip(each, base, strict=True)) * 1e6
        ratio = statistics.median(a / b for a, b in zip(each, base, strict=True))
        print(f"{name:28}{spread(each):>30}{added:8.0f}{ratio:8.2f}{made[name][1]:8}")


if __name__ == "__main__":
    main()
