"""What a new process waits for: the import, and the first step on the host, cold and warm.

python benchmarks/startup.py
"""

import os
import subprocess
import sys
import tempfile

from rounds import spread
from tables import Table, show

ROUNDS = 7
PROGRAM = """
import sys, time
import torch
start = time.perf_counter()
import accelsched
from accelsched.schedules import CosineDecay, Linear
imported = time.perf_counter()
optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
schedule = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)
bound = time.perf_counter()
accelsched.Scheduler(optimizer, schedule).step()
stepped = time.perf_counter()
used = "numba" in sys.modules
import numba
with_numba = time.perf_counter()
print(imported - start, stepped - bound, with_numba - stepped, int(used))
"""


def measured(folder):
    """Seconds for the import, for the first step, for numba after it; and whether it used numba."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
        env={**os.environ, "ACCELSCHED_CACHE_DIR": folder},
    )  # fmt: skip
    return [float(word) for word in result.stdout.split()]


def row(name, runs, place):
    taken = [run[place] for run in runs]
    return [name, spread(taken, 1e-3)]


def tables():
    cold, warm = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(measured(folder))
            warm.append(measured(folder))
    rows = [
        row("import accelsched, after torch", cold + warm, 0),
        row("first step, nothing on disk", cold, 1),
        row("first step, machine code on disk", warm, 1),
        row("import numba, for comparison", warm, 2),
    ]
    imported = [f"{sum(run[3] for run in runs):.0f} of {ROUNDS}" for runs in (cold, warm)]
    yield Table(
        "What a new process waits for",
        ["", "ms (least to most)"],
        rows,
        f"numba was imported in {imported[0]} processes without machine code on disk, and in "
        f"{imported[1]} with it.",
    )


if __name__ == "__main__":
    show(tables())
