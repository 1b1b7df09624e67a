"""Draws the pictures of these pages: ``python docs/pictures.py``, where matplotlib is."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from accelsched._lowering.fitting import Segments
from accelsched._lowering.segments import fit_schedule
from accelsched.schedules import CosineDecay, Linear

HERE = Path(__file__).parent
INK, GRAY, COLORS = "#1f2933", "#7b8794", ("#2f6690", "#c4412b")
WARM_UP, STEPS = 2000, 20_000
# Steps of which the worst is drawn, as a picture has no room for each.
TOGETHER = 40


def segments() -> None:
    """A warm-up and a cosine: which segment each step is in, and how far off it is."""
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
    matplotlib.rcParams["svg.hashsalt"] = "segments"  # the same names in each run
    figure.savefig(HERE / "segments.svg", metadata={"Date": None})


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


def _draw_borders(axes: Axes, fitted: Segments) -> None:
    for first in fitted.first[fitted.first <= STEPS]:
        axes.axvline(first, color=GRAY, linewidth=0.5, alpha=0.6, zorder=0)
    axes.set_xlim(0, STEPS)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    segments()
