"""What a new process waits for: the import, the scheduler and its first step, cold and warm.

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
ready = time.perf_counter()
schedule = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)
made = time.perf_counter()
scheduler = accelsched.Scheduler(optimizer, schedule)
bound = time.perf_counter()
scheduler.step()
stepped = time.perf_counter()
used = "numba" in sys.modules
import numba
with_numba = time.perf_counter()
print(imported - start, made - ready, bound - made, stepped - bound, with_numba - stepped, used)
"""


def measured(folder):
    """Return the seconds of each part of the program, and whether it used numba."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
        # Let Python write this package's bytecode, as installed packages have theirs.
        env={**os.environ, "ACCELSCHED_CACHE_DIR": folder, "PYTHONDONTWRITEBYTECODE": ""},
    )  # fmt: skip
    *times, used = result.stdout.split()
    return [float(word) for word in times], used == "True"


def row(name, runs, place):
    return [name, spread([times[place] for times, _ in runs], 1e-3)]


def tables():
    cold, warm = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(measured(folder))
            warm.append(measured(folder))
    rows = [
        row("import accelsched, after torch", cold + warm, 0),
        row("a schedule", cold + warm, 1),
        row("its scheduler, nothing on disk", cold, 2),
        row("its scheduler, machine code on disk", warm, 2),
        row("first step", cold + warm, 3),
        row("import numba, for comparison", warm, 4),
    ]
    imported = [f"{sum(used for _, used in runs)} of {ROUNDS}" for runs in (cold, warm)]
    yield Table(
        "What a new process waits for",
        ["", "ms (least to most)"],
        rows,
        f"numba was imported in {imported[0]} processes without machine code on disk, and in "
        f"{imported[1]} with it.",
    )


if __name__ == "__main__":
    show(tables())
