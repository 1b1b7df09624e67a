"""Measure what a scheduled lr adds to a step of AdamW on one CUDA card, over a constant one.

python benchmarks/cuda.py FOLDER, or `make bench-cuda`; three minutes on an H100. It writes the
figures and a table into the folder, named after the card. With --small, tiny sizes, on the CPU too.
"""

import contextlib
import json
import platform
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rounds import ratios, spread, turns
from tables import Table, markdown, text

import accelsched
from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HORIZON, WARM_UP, PEAK = 10_000, 100, 1e-3
CURVE = Linear(1e-8, PEAK, WARM_UP).then(CosineDecay(PEAK, 1e-5, HORIZON - WARM_UP), at=WARM_UP)
#: Seconds after which no contestant is built: a compiler may take long.
BUDGET = 150.0
OURS = ("host", "graph", "table", "segments", "default")
ON_DEVICE = OURS[1:]
TORCH = ("torch, float", "torch, tensor", "torch, fill_")


@dataclass(frozen=True)
class Sizes:
    parameters: int = 320
    width: int = 256
    groups: tuple[int, ...] = (1, 16)
    rounds: int = 7
    calls: int = 40


SMALL = Sizes(parameters=4, width=4, groups=(1, 2), rounds=2, calls=10)


@dataclass(frozen=True)
class Way:
    """How a step runs, and the contestants; the first is the baseline of the others.

    Attributes:
        steps: the training steps per call.
        groups_at_most: more groups would take too long to compile.
    """

    title: str
    kinds: tuple[str, ...]
    options: dict[str, bool] = field(default_factory=dict)
    compiled: bool = False
    captured: bool = False
    steps: int = 1
    groups_at_most: int = 16


FUSED = {"fused": True, "capturable": True}
CAPTURABLE = {"foreach": True, "capturable": True}
CONSTANT = ("constant, tensor", "constant, float")
WAYS = (
    Way("eager, as PyTorch builds it", ("constant, float", "torch, float", "host", "default")),
    Way("eager, fused", (*CONSTANT[::-1], *TORCH, *OURS), FUSED),
    Way("captured, fused", (*CONSTANT, *TORCH[1:], *ON_DEVICE), FUSED, captured=True),
    Way("captured, fused, ten a graph", (*CONSTANT, *ON_DEVICE), FUSED, captured=True, steps=10),
    Way("captured, foreach", (CONSTANT[0], *ON_DEVICE), CAPTURABLE, captured=True),
    Way("compiled", (CONSTANT[0], TORCH[1], "default"), CAPTURABLE, True, groups_at_most=1),
    Way("compiled and captured", (CONSTANT[0], "default"), CAPTURABLE, True, True,
        groups_at_most=1),
)  # fmt: skip


@dataclass
class Row:
    """The cost of a step: microseconds by round, and counts.

    Attributes:
        kernels: those on the device; for a graph, its nodes.
        launches: the host's calls that launched them.
        synchronizations: how often the host waited.
    """

    name: str
    host_us: list[float] = field(default_factory=list)
    gpu_us: list[float] = field(default_factory=list)
    kernels: float | None = None
    launches: float | None = None
    synchronizations: float | None = None
    error: str | None = None


# The contestants.


def optimizer_for(kind: str, way: Way, groups: int, sizes: Sizes) -> torch.optim.Optimizer:
    shape = sizes.width, sizes.width
    parameters = [torch.randn(shape, device=DEVICE) for _ in range(sizes.parameters)]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    named = [{"params": parameters[i::groups]} for i in range(groups)]
    is_float = kind == "host" or kind.endswith("float") or not way.options
    rate = PEAK if is_float else torch.tensor(PEAK, device=DEVICE)
    return torch.optim.AdamW(named, lr=rate, **way.options)


def filler(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Fill the rates from the host, as users do by hand for captured graphs."""
    values = iter(CURVE.curve(1, HORIZON).tolist() * 100)

    def fill() -> None:
        value = next(values)
        for group in optimizer.param_groups:
            group["lr"].fill_(value)

    return fill


def stepper(kind: str, way: Way, groups: int, sizes: Sizes) -> Callable[[], object]:
    """Return the function that a contestant calls at each step, or once for several steps."""
    optimizer = optimizer_for(kind, way, groups, sizes)
    after: Callable[[], None] | None = None
    schedulers = []
    if kind == "torch, fill_":
        after = filler(optimizer)
    elif kind in TORCH:
        after = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, HORIZON).step
    elif kind in OURS:
        lowering = None if kind == "default" else kind
        schedulers = [Scheduler(optimizer, CURVE, lowering=lowering)]
    step = one_step(optimizer, schedulers, way)
    if way.captured:
        steps = None if way.steps == 1 else way.steps
        step = accelsched.capture(step, steps=steps).replay
    return step if after is None else lambda: (step(), after())


def one_step(
    optimizer: torch.optim.Optimizer, schedulers: list[Scheduler], way: Way
) -> Callable[[], object]:
    if way.compiled:
        return torch.compile(accelsched.update(optimizer, schedulers), fullgraph=True)
    if not schedulers:
        return optimizer.step
    (scheduler,) = schedulers
    return lambda: (optimizer.step(), scheduler.step())


# Measuring.


def timed(calls: int, steps: int) -> Callable[[Callable[[], object]], tuple[float, float | None]]:
    """Return a function that measures the host's and the device's microseconds a step."""

    calls = max(1, calls // steps)
    taken = calls * steps

    def on_host(function: Callable[[], object]) -> tuple[float, None]:
        began = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - began) / taken * 1e6, None

    def on_both(function: Callable[[], object]) -> tuple[float, float]:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        host, _ = on_host(function)
        end.record()
        torch.cuda.synchronize()
        return host, start.elapsed_time(end) / taken * 1e3

    return on_both if DEVICE == "cuda" else on_host


def counted(row: Row, function: Callable[[], object], steps: int) -> None:
    """Count the kernels, launches and synchronizations of a warm step."""
    for _ in range(5):
        function()
    if DEVICE == "cpu":
        return
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught, sync_warnings():
        function()
    found = [w for w in caught if "called a synchronizing" in str(w.message)]
    row.synchronizations = len(found) / steps
    torch.cuda.synchronize()
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        function()
        torch.cuda.synchronize()
    events = profiled.key_averages()
    launched = [e.count for e in events if "LaunchKernel" in e.key or "GraphLaunch" in e.key]
    row.launches = sum(launched) / steps
    row.kernels = sum(e.count for e in events if str(e.device_type).endswith("CUDA")) / steps


@contextlib.contextmanager
def sync_warnings() -> Iterator[None]:
    warnings.simplefilter("always")
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def measured(way: Way, groups: int, sizes: Sizes, deadline: float) -> list[Row]:
    """Measure all rows of a table; an error in one does not stop the others."""
    rows, contestants = {name: Row(name) for name in way.kinds}, {}
    torch._dynamo.reset()
    for name, row in rows.items():
        if time.perf_counter() > deadline:
            row.error = "left out: time was up"
            continue
        with errors_in(row):
            function = stepper(name, way, groups, sizes)
            counted(row, function, way.steps)
            contestants[name] = function
    try:
        figures = turns(contestants, sizes.rounds, timed(sizes.calls, way.steps))
    except Exception as error:
        figures = {}
        for name in contestants:
            rows[name].error = shown(error)
    for name, pairs in figures.items():
        rows[name].host_us = [host for host, _ in pairs]
        rows[name].gpu_us = [gpu for _, gpu in pairs if gpu is not None]
    return list(rows.values())


@contextlib.contextmanager
def errors_in(row: Row) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        row.error = shown(error)


def shown(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]


# What is written.


def compared(figures: list[float], base: list[float]) -> list[str]:
    """Return the microseconds, and their ratio to those of a constant rate."""
    if not figures:
        return ["-", "-"]
    return [spread(figures, 1), spread(ratios(figures, base), 1) if base else "-"]


def cells(row: Row, base: Row) -> list[str]:
    counts = (row.kernels, row.launches, row.synchronizations)
    return [
        row.name,
        *compared(row.host_us, base.host_us),
        *compared(row.gpu_us, base.gpu_us),
        *("-" if count is None else f"{count:.3g}" for count in counts),
    ]


COLUMNS = ["", "host, us", "times constant", "GPU, us", "times constant", "kernels", "launches",
           "synchronizations"]  # fmt: skip


def table_of(way: Way, groups: int, rows: list[Row]) -> Table:
    title = f"{way.title}, {groups} param group{'s' if groups > 1 else ''}"
    errors = [f"{row.name}: {row.error}" for row in rows if row.error]
    return Table(title, COLUMNS, [cells(row, rows[0]) for row in rows], "\n\n".join(errors))


def tables(sizes: Sizes) -> Iterator[tuple[dict, Table]]:
    """Yield each table with its figures."""
    deadline = time.perf_counter() + BUDGET
    for way in WAYS:
        for groups in sizes.groups:
            if groups > way.groups_at_most:
                continue
            rows = measured(way, groups, sizes, deadline)
            made = {"way": asdict(way), "groups": groups, "rows": [asdict(row) for row in rows]}
            yield made, table_of(way, groups, rows)


def card() -> str:
    return torch.cuda.get_device_name() if DEVICE == "cuda" else f"no GPU, {platform.machine()}"


def heading(sizes: Sizes) -> dict:
    return {
        "what": f"A step of AdamW on {sizes.parameters} parameters of {sizes.width} x "
        f"{sizes.width}; warm-up and cosine. A median, and in brackets the least and the most of "
        f"{sizes.rounds} turns of {sizes.calls} steps. The first row of a table is what the others "
        "are compared with, round by round. Kernels of a graph are its nodes.",
        "device": card(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "command": shlex.join(["python", *sys.argv]),
    }


def main(folder: Path, sizes: Sizes) -> None:
    began, head, made, parts = time.perf_counter(), heading(sizes), [], []
    name = "cuda-" + re.sub(r"\W+", "-", head["device"]).strip("-").lower()
    folder.mkdir(parents=True, exist_ok=True)
    for figures, table in tables(sizes):
        print(text(table), flush=True)
        made.append(figures)
        parts += [f"## {table.title}", markdown(table)]
        head["seconds"] = round(time.perf_counter() - began, 1)
        # Write after each table, so that a run that is cut off keeps its results.
        told = f"{head['what']}\n\n{head['device']}, torch {head['torch']}: `{head['command']}`"
        page = "\n\n".join(["# Steps on CUDA", told, *parts])
        (folder / f"{name}.json").write_text(json.dumps({**head, "tables": made}, indent=1) + "\n")
        (folder / f"{name}.md").write_text(page + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    arguments = [argument for argument in sys.argv[1:] if argument != "--small"]
    where = Path(arguments[0]) if arguments else Path(__file__).parent / "report"
    main(where, SMALL if "--small" in sys.argv else Sizes())
