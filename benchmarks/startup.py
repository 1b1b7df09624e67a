"""What a new process waits for: the import, and the first step on the host, cold and warm.

python benchmarks/startup.py
"""

import os
import statistics
import subprocess
import sys
import tempfile

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
    taken = [run[place] * 1e3 for run in runs]
    print(f"{name:44}{statistics.median(taken):8.0f}{min(taken):8.0f}{max(taken):8.0f}")


def main():
    cold, warm = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(measured(folder))
            warm.append(measured(folder))
    print(f"{f'ms, {ROUNDS} processes each':44}{'median':>8}{'min':>8}{'max':>8}")
    row("import accelsched, after torch", cold + warm, 0)
    row("first step, nothing on disk", cold, 1)
    row("first step, machine code on disk", warm, 1)
    row("import numba, for comparison", warm, 2)
    print(f"numba imported: cold {sum(r[3] for r in cold):.0f} of {ROUNDS}, "
          f"warm {sum(r[3] for r in warm):.0f} of {ROUNDS}")  # fmt: skip


if __name__ == "__main__":
    main()
