"""Pictures of schedules: curves, and the values that an optimizer had in training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelsched import reference
from accelsched.schedules import Schedule
from accelsched.schedules._axes import GRAY, draw, label_axes

#: The most lines of a legend, and the most characters of a line.
_LABELS, _LETTERS = 12, 100
_INK, _LINE, _MARKER = "#1f2933", "#a9bdd1", "#c4412b"
_FONT: dict[str, Any] = {"fontsize": 13.5, "color": _INK}


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
        schedule: the schedule, whose reference values at every step are the line.
        read: the learning rates that were read, by step.
        output: the PNG to write.
        title: what the curve is.
        subtitle: what was trained, and where.
        milestones: a label for each milestone, by step.
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
        axes.axvline(step, color=GRAY, linewidth=1, linestyle=(0, (2, 3)), zorder=0)
        label: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "fontsize": 11.5}
        side = "left" if step < 0.75 * steps[-1] else "right"
        text = f"  {text}  \n  step {step:,}  "
        axes.text(step, 0.985, text, color=GRAY, ha=side, va="top", **label)
    axes.tick_params(labelsize=12, labelcolor=_INK)
    label_axes(axes, "learning rate", **_FONT)
    axes.set_title(title, loc="left", fontsize=18, fontweight="bold", color=_INK, pad=32)
    axes.text(0, 1.04, subtitle, transform=axes.transAxes, fontsize=13, color=GRAY)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1.01), frameon=False, fontsize=12.5, labelcolor=_INK
    )
    figure.savefig(output, format="png")


def plot_curves(curves: Mapping[str, Schedule], steps: int, output: Path) -> None:
    """Draw the curves of schedules into a file.

    Args:
        curves: the schedules, by label.
        steps: the last step.
        output: the file to write, in the format of its suffix.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    lines = draw(axes, list(curves.values()), steps)
    axes.tick_params(labelsize=12, labelcolor=_INK)
    label_axes(axes, "value", **_FONT)
    # Set labels verbatim: matplotlib would parse "$" as math, and leave out labels with "_".
    shown = list(curves)[:_LABELS]
    numbers = [str(number) for number in range(len(shown))]
    above: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1.01), "frameon": False}
    legend = axes.legend(lines[: len(shown)], numbers, labelcolor=_INK, **above)
    for text, label in zip(legend.get_texts(), shown, strict=True):
        text.set_parse_math(False)
        text.set_text(label if len(label) <= _LETTERS else f"{label[: _LETTERS - 3]}...")
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(output)
