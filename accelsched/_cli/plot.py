"""Pictures of schedules: curves, and the values that an optimizer had in training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsched import reference
from accelsched.schedules import Schedule

#: Of a legend, the most lines and the letters of each that leave room for the picture.
_LABELS, _LETTERS = 12, 100
_INK, _GRAY, _LINE, _MARKER = "#1f2933", "#7b8794", "#a9bdd1", "#c4412b"


def plot(
    schedule: Schedule,
    read: Mapping[int, float],
    output: Path,
    title: str,
    subtitle: str,
    milestones: Mapping[int, str],
) -> None:
    """Draw a schedule as a line, and values that were read in training as markers on it.

    Args:
        schedule: its reference values, at every step, are the line.
        read: by step, the learning rate that was read.
        output: the PNG to write.
        title: what the curve is.
        subtitle: what was trained, and where.
        milestones: by step, a word on what happens there.
    """
    # Not pyplot, which would choose a back end for the whole process.
    from matplotlib.figure import Figure

    steps = range(max(read) + 1)
    exact = [reference.value(schedule, step) for step in steps]
    figure = Figure(figsize=(10, 5.6), dpi=200, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)  # type: ignore[union-attr, call-arg]
    axes = figure.add_subplot()
    axes.plot(steps, exact, color=_LINE, linewidth=3.5, label="reference (float64, on the host)")
    markers: dict[str, Any] = {"markersize": 6, "markeredgecolor": "white", "clip_on": False}
    axes.plot(
        list(read), list(read.values()), "o", color=_MARKER, label="read in training", **markers
    )
    axes.set_xlim(-0.015 * steps[-1], 1.015 * steps[-1])
    axes.set_ylim(0, 1.16 * max(exact))
    for step, text in milestones.items():
        axes.axvline(step, color=_GRAY, linewidth=1, linestyle=(0, (2, 3)), zorder=0)
        label: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "fontsize": 11.5}
        side = "left" if step < 0.75 * steps[-1] else "right"
        text = f"  {text}  \n  step {step:,}  "
        axes.text(step, 0.985, text, color=_GRAY, ha=side, va="top", **label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GRAY)
    axes.tick_params(labelsize=12, color=_GRAY, labelcolor=_INK)
    axes.set_xlabel("step", fontsize=13.5, color=_INK)
    axes.set_ylabel("learning rate", fontsize=13.5, color=_INK)
    axes.set_title(title, loc="left", fontsize=18, fontweight="bold", color=_INK, pad=32)
    axes.text(0, 1.04, subtitle, transform=axes.transAxes, fontsize=13, color=_GRAY)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1.01), frameon=False, fontsize=12.5, labelcolor=_INK
    )
    figure.savefig(output, format="png")


def plot_curves(
    curves: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]], output: Path
) -> None:
    """Draw curves, each of them as steps and the values there.

    Args:
        curves: by label.
        output: the file to write, in the format that its name says.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    lines = [axes.plot(steps, values, linewidth=2)[0] for steps, values in curves.values()]
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GRAY)
    axes.tick_params(labelsize=12, color=_GRAY, labelcolor=_INK)
    axes.set_xlabel("step", fontsize=13.5, color=_INK)
    axes.set_ylabel("value", fontsize=13.5, color=_INK)
    # A label is set as it is: matplotlib would take "$" for mathematics, and leave out "_".
    shown = list(curves)[:_LABELS]
    numbers = [str(number) for number in range(len(shown))]
    above: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1.01), "frameon": False}
    legend = axes.legend(lines[: len(shown)], numbers, labelcolor=_INK, **above)
    for text, label in zip(legend.get_texts(), shown, strict=True):
        text.set_parse_math(False)
        text.set_text(label if len(label) <= _LETTERS else f"{label[: _LETTERS - 3]}...")
    with warnings.catch_warnings():
        # Letters that the font has not are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(output)
