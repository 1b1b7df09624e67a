"""All benchmarks, as one report with tables and plots: benchmarks/report/README.md.

python benchmarks/report.py, or `make bench`; half an hour
"""

import datetime
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure
from tables import Table, markdown
from training import CONFIGURATIONS

HERE = Path(__file__).parent
FOLDER = HERE / "report"
CHAPTERS = {
    "Accuracy": [["accuracy.py"]],
    "Training steps": [*(["training.py", way] for way in CONFIGURATIONS), ["many_groups.py"]],
    "Lowerings": [["lowerings.py"]],
    "How cost grows": [["growth.py"]],
    "On the CPU": [["host.py"], ["curve.py"]],
    "Start-up": [["startup.py"]],
}
PACKAGES = ("torch", "torch_xla", "numba", "numpy", "optax", "jax", "transformers")
NOT_MEASURED = """CUDA, TPU, MPS and Cerebras hardware were not available. torch_xla ran on its CPU
client, where a transfer is a copy in memory and an execution needs no network. Counts carry over
to an accelerator, times do not. The machine has two cores, so other work disturbs a measurement: a
difference smaller than the spread in brackets means nothing."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    parts = [heading()]
    for chapter, commands in CHAPTERS.items():
        parts.append(f"## {chapter}")
        for command in commands:
            print(*command, flush=True)
            parts += [section(command, Table(**made)) for made in run(command)]
            (FOLDER / "README.md").write_text("\n\n".join(parts) + "\n")


def run(command: list[str]) -> list[dict]:
    script, *arguments = command
    result = subprocess.run(
        [sys.executable, HERE / script, *arguments, "--json"],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(result.stdout.splitlines()[-1])


def heading() -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return "\n\n".join([
        "# Benchmarks of accelsched",
        f"Made by `make bench` on {datetime.date.today()}, on {machine()}, with Python "
        f"{platform.python_version()}, {versions}.",
        NOT_MEASURED,
    ])  # fmt: skip


def machine() -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = len(re.findall("^processor", Path("/proc/cpuinfo").read_text(), re.M))
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    assert cpu and memory
    return f"{cores} cores of {cpu[1]}, {int(memory[1]) / 2**20:.0f} GiB"


def section(command: list[str], table: Table) -> str:
    parts = [f"### {table.title}", markdown(table), f"`python benchmarks/{' '.join(command)}`"]
    if table.lines or table.bars:
        name = re.sub(r"\W+", "-", table.title).strip("-").lower() + ".svg"
        draw(table).savefig(FOLDER / name, metadata={"Date": None})
        parts.insert(2, f"![{table.title}]({name})")
    return "\n\n".join(parts)


def draw(table: Table) -> Figure:
    height = max(3.0, 0.7 + 0.22 * len(table.bars))
    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.subplots()
    for name, points in table.lines.items():
        axes.loglog(*zip(*points, strict=True), marker="o", label=name)
    if table.lines:
        axes.legend()
    if table.bars:
        # Bars start at 1, the baseline.
        axes.barh(list(table.bars), [length - 1 for length in table.bars.values()], left=1)
        axes.invert_yaxis()
        axes.axvline(1.0, color="black", linewidth=0.8)
        if max(table.bars.values()) > 20:
            axes.set_xscale("log")
    axes.set_xlabel(table.axis)
    axes.grid(True, alpha=0.3)
    return figure


if __name__ == "__main__":
    main()
