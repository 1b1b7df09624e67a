"""Curves on matplotlib axes. matplotlib is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accelsched.errors import require
from accelsched.schedules._fields import step_number
from accelsched.schedules._outline import outline, shown_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from accelsched.schedules.base import Schedule

GRAY = "#7b8794"


def plot(
    curves: Mapping[str, Schedule], quantity: str, steps: int | None, axes: Axes | None
) -> Axes:
    """Draw schedules on axes, and return the axes.

    Args:
        curves: the schedules, by label.
        quantity: the label of the value axis.
        steps: the last step; shortly past the last change if None.
        axes: the axes to draw on; the current axes of pyplot if None.

    Raises:
        ArgumentError: ``steps`` is not a whole number above 0.
        ImportError: matplotlib is not installed.
    """
    if steps is not None:
        require(step_number("steps", steps) > 0, "steps", steps, "give a number above 0")
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("plot needs matplotlib: pip install accelsched[plot]") from None
    axes = pyplot.gca() if axes is None else axes
    lines = draw(axes, list(curves.values()), steps)
    for line, label in zip(lines, curves, strict=True):
        line.set_label(label)
    label_axes(axes, quantity)
    return axes


def draw(axes: Axes, schedules: list[Schedule], steps: int | None) -> list[Line2D]:
    """Draw a line for each schedule."""
    last = shown_steps(schedules) if steps is None else steps
    return [axes.plot(*outline(schedule, last), linewidth=2)[0] for schedule in schedules]


def label_axes(axes: Axes, quantity: str, **font: Any) -> None:
    """Label axes, and hide the lines above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
    axes.tick_params(color=GRAY)
    axes.set_xlabel("step", **font)
    axes.set_ylabel(quantity, **font)
