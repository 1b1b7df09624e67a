"""Compare a scheduler's step with torch.optim.lr_scheduler's in eager PyTorch on the CPU.

python benchmarks/host.py
"""

import statistics
import warnings

import torch
from rounds import ratios, seconds, spread
from tables import Table, show
from torch.optim import lr_scheduler as theirs

from accelsched import Scheduler
from accelsched.schedules import CosineAnnealing, Linear, OneCycle

warnings.filterwarnings("ignore", "Detected call of")
HORIZON, WARM_UP, ROUNDS = 10**7, 20, 15


def optimizer(rates):
    return torch.optim.SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in rates])


def pairs(groups):
    """Yield torch's scheduler and ours for the same curves, with another peak in each group."""
    rates = [0.1 * (i + 1) / groups for i in range(groups)]

    def ours(curve):
        return Scheduler(optimizer(rates), [curve(rate) for rate in rates])

    yield (
        "CosineAnnealingLR",
        theirs.CosineAnnealingLR(optimizer(rates), HORIZON),
        ours(lambda rate: CosineAnnealing(rate, HORIZON)),
    )
    yield (
        "OneCycleLR",
        theirs.OneCycleLR(optimizer(rates), rates, total_steps=HORIZON, cycle_momentum=False),
        ours(lambda rate: OneCycle(rate / 25, rate, HORIZON)),
    )
    sequence = optimizer(rates)
    phases = [
        theirs.LinearLR(sequence, 0.1, total_iters=WARM_UP),
        theirs.CosineAnnealingLR(sequence, HORIZON),
    ]
    yield (
        "SequentialLR",
        theirs.SequentialLR(sequence, phases, [WARM_UP]),
        ours(
            lambda rate: Linear(0.1 * rate, rate, WARM_UP).then(
                CosineAnnealing(rate, HORIZON), at=WARM_UP
            )
        ),
    )


def tables():
    rows, bars = [], {}
    for groups in (1, 10, 100, 1000):
        for name, torchs, ours in pairs(groups):
            calls = max(10, 3000 // groups)
            times = seconds({"torch": torchs.step, "ours": ours.step}, ROUNDS, calls)
            faster = ratios(times["torch"], times["ours"])
            title = f"{groups} groups, {name}"
            rows.append([title, spread(times["torch"]), spread(times["ours"]), spread(faster, 1)])
            bars[title] = statistics.median(faster)
    yield Table(
        "A scheduler's step in eager PyTorch on the CPU",
        ["", "torch, us", "accelsched, us", "times as fast"],
        rows,
        f"In brackets the least and the most of {ROUNDS} rounds; torch {torch.__version__}.",
        bars=bars,
        axis="times as fast as torch",
    )


if __name__ == "__main__":
    show(tables())
