"""Draw the pictures of these pages: ``python docs/pictures.py``. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from accelsched import Scheduler
from accelsched._cli.demo import Contestant, race
from accelsched._lowering.fitting import Segments
from accelsched._lowering.segments import fit_schedule
from accelsched._runtimes import NAMED
from accelsched.lr_scheduler import CosineDecayLR
from accelsched.schedules import CosineDecay, Linear, Schedule, WarmupStableDecay

HERE = Path(__file__).parent
INK, GRAY, COLORS = "#1f2933", "#7b8794", ("#2f6690", "#c4412b")
SHADES = (*COLORS, "#5b8c5a", "#b08900")
WARM_UP, STEPS = 2000, 20_000
# Steps drawn as one range of errors: the picture has no room for each.
TOGETHER = 40


def segments() -> None:
    """Draw a warm-up and a cosine: the segment of each step, and its error."""
    schedule = Linear(0.0, 0.1, WARM_UP).then(CosineDecay(0.1, 0.0, STEPS - WARM_UP), at=WARM_UP)
    fitted = fit_schedule(schedule).segments
    steps = np.arange(STEPS + 1)
    exact = schedule(torch.from_numpy(steps)).numpy()
    segment = np.searchsorted(fitted.first, steps, side="right") - 1
    off = fitted.at(steps, segment) - exact
    ulps = off / np.spacing(np.maximum(exact, 1e-30).astype(np.float32))
    figure = Figure(figsize=(10, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    _draw_curve(above, fitted, exact, segment)
    _draw_error(below, fitted, ulps)
    _save(figure, "segments")


def _draw_curve(axes: Axes, fitted: Segments, exact: np.ndarray, segment: np.ndarray) -> None:
    shown = np.unique(segment)
    for i in shown:
        inside = np.flatnonzero(segment == i)
        at = np.linspace(inside[0], min(inside[-1] + 1, STEPS), 30).astype(np.int64)
        axes.plot(at, exact[at], color=COLORS[i % 2], linewidth=3, solid_capstyle="butt")
    title = f"{len(shown)} polynomials of degree 4, from step 0 to step {STEPS:,}"
    axes.set_title(title, loc="left", fontsize=14, color=INK)
    axes.set_ylabel("learning rate")
    _draw_borders(axes, fitted)


def _draw_error(axes: Axes, fitted: Segments, ulps: np.ndarray) -> None:
    rows = ulps[:STEPS].reshape(-1, TOGETHER)
    middle = np.arange(len(rows)) * TOGETHER + TOGETHER / 2
    axes.fill_between(middle, rows.min(axis=1), rows.max(axis=1), color=GRAY, linewidth=0)
    for bound in (-1, 1):
        axes.axhline(bound, color=COLORS[1], linewidth=1)
    for rounding in (-0.5, 0.5):
        axes.axhline(rounding, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set_ylim(-1.2, 1.2)
    axes.set_ylabel("error, ulps")
    axes.set_xlabel("step")
    _draw_borders(axes, fitted)


def open_ended_runs() -> None:
    """Draw a cosine whose end moves at step 60, and decays that begin at step 60."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    moved, begun = figure.subplots(1, 2, sharey=True)
    _draw_run(moved, "as it was planned", lambda _: None, GRAY)
    _draw_run(moved, "extend(200)", lambda s: s.extend(200), COLORS[0])
    _draw_run(moved, "total_iters = 200", lambda s: setattr(s, "total_iters", 200), COLORS[1])
    moved.set_title("CosineDecayLR of 100 steps, at step 60", loc="left", color=INK)
    moved.set_ylabel("learning rate")
    for shape, color in zip(("linear", "cosine", "1-sqrt", "exponential"), SHADES, strict=True):
        end = 0.001 if shape == "exponential" else 0.0

        def begin(scheduler: Scheduler, shape: str = shape, end: float = end) -> None:
            scheduler.begin_decay(60, end, shape)

        _draw_run(begun, shape, begin, color, WarmupStableDecay(0.1, None, 10))
    begun.set_title("begin_decay(60), at step 60", loc="left", color=INK)
    for axes in (moved, begun):
        axes.legend(frameon=False)
        axes.set_xlabel("step")
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, "recipes/open_ended_runs")


def _draw_run(
    axes: Axes,
    label: str,
    plan: Callable[[Scheduler], None],
    color: str,
    schedule: Schedule | None = None,
) -> None:
    """Draw the learning rate of a run whose scheduler gets a new plan at step 60."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    if schedule is None:
        scheduler: Scheduler = CosineDecayLR(optimizer, 0.1, 0.0, total_iters=100)
    else:
        scheduler = Scheduler(optimizer, schedule)
    rates = []
    for step in range(220):
        if step == 60:
            plan(scheduler)
            scheduler.step(step)
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    axes.plot(rates, label=label, color=color, linewidth=2)


def training() -> None:
    """Draw the demo: the learning rate read in training, and each scheduler's cost per step."""
    runtime = NAMED["xla"]
    recipe, contestants, _ = race(runtime, "warmup-cosine", "AdamW", 600)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    read, cost = figure.subplots(1, 2, width_ratios=(3, 2))
    curve = recipe.schedule.curve(0, 601)
    read.plot(curve, color="#a9bdd1", linewidth=3, label="reference, in float64")
    rates = contestants[1].lr
    read.plot(list(rates), list(rates.values()), "o", color=COLORS[1], label="read in training")
    read.set_title("Learning rate: 600 steps of AdamW on torch_xla", loc="left", color=INK)
    read.set_xlabel("step")
    read.legend(frameon=False)
    _draw_costs(cost, contestants)
    for axes in (read, cost):
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, "training")


def _draw_costs(axes: Axes, contestants: Sequence[Contestant]) -> None:
    """Draw labeled bars: the executions and transfers per step for each contestant."""
    at = np.arange(len(contestants))
    kinds = {"executions": ["executions"], "transfers": ["to_device", "from_device"]}
    for place, (kind, counts) in enumerate(kinds.items()):
        heights = [sum(c.per_step(count) for count in counts) for c in contestants]
        bars = axes.bar(at + 0.4 * place - 0.2, heights, 0.38, label=kind, color=COLORS[place])
        axes.bar_label(bars, [f"{height:.2g}" for height in heights], color=INK)
    names = [
        c.name.replace(" (", "\n(").replace("constant lr", "constant\nlr") for c in contestants
    ]
    axes.set_xticks(at, names)
    axes.set_title("What a training step costs", loc="left", color=INK)
    axes.legend(frameon=False)


def _save(figure: Figure, name: str) -> None:
    matplotlib.rcParams["svg.hashsalt"] = name  # the same names in each run
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})


def _draw_borders(axes: Axes, fitted: Segments) -> None:
    for first in fitted.first[fitted.first <= STEPS]:
        axes.axvline(first, color=GRAY, linewidth=0.5, alpha=0.6, zorder=0)
    axes.set_xlim(0, STEPS)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    segments()
    open_ended_runs()
    training()
