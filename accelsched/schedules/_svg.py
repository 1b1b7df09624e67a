"""Curves as inline SVG, for notebooks and for the documentation.

Lines and letters have the color of the surrounding text, so the picture is readable on light and
dark backgrounds. A page may set the color of the curve, ``--accelsched-curve``.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accelsched.schedules._outline import outline, shown_steps, value_range

if TYPE_CHECKING:
    from accelsched.schedules.base import Schedule

#: The size of the picture, and its margins for the numbers: left, right, above, below.
WIDTH, HEIGHT, MARGINS = 480, 220, (58, 14, 14, 26)
#: The largest error of a drawn curve, in pixels.
PRECISION = 0.1
#: The number of spans to draw, about one per pixel.
SPANS = 400
#: The colors of several curves; a page may set the first one.
COLORS = ("#3584c8", "#d9622b", "#3b9a5a", "#b0588f", "#9a8414")


def svg(schedules: Sequence[Schedule], title: str, steps: int | None = None) -> str:
    """Return curves, drawn one over the other, as an SVG.

    Args:
        schedules: at least one.
        title: the name of the picture, for screen readers.
        steps: the last step; shortly past the last change by default.
    """
    last = shown_steps(schedules) if steps is None else steps
    curves = [outline(schedule, last, SPANS) for schedule in schedules]
    low, high = value_range(np.concatenate([values for _, values in curves]))
    paths = "".join(
        _path(at, values, (last, low, high), COLORS[i % len(COLORS)], i == 0)
        for i, (at, values) in enumerate(curves)
    )
    name = escape(title, quote=True)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{name}" '
        f'style="max-width:100%;height:auto">{_frame(last, low, high)}{paths}</svg>'
    )


def _frame(last: int, low: float, high: float) -> str:
    """Return the axes, and the numbers at their ends."""
    left, right, above, below = MARGINS
    floor, end = HEIGHT - below, WIDTH - right
    axes = f'<path d="M{left},{above}V{floor}H{end}" stroke="currentColor" stroke-opacity=".4"/>'
    texts = (
        (left - 6, above + 9, "end", f"{high:.4g}"),
        (left - 6, floor, "end", f"{low:.4g}"),
        (left, HEIGHT - 8, "start", "0"),
        (end, HEIGHT - 8, "end", f"{last:,}"),
        ((left + end) // 2, HEIGHT - 8, "middle", "step"),
    )
    labels = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'
        for x, y, anchor, text in texts
    )
    font = 'fill="currentColor" fill-opacity=".75" font-size="12" font-family="sans-serif"'
    return f'<g fill="none">{axes}</g><g {font}>{labels}</g>'


def _path(
    at: NDArray[np.int64],
    values: NDArray[np.float64],
    ranges: tuple[int, float, float],
    color: str,
    is_first: bool,
) -> str:
    left, right, above, below = MARGINS
    last, low, high = ranges
    finite = np.isfinite(values)
    x = left + at[finite] / max(last, 1) * (WIDTH - left - right)
    y = above + (high - values[finite]) / (high - low) * (HEIGHT - above - below)
    kept = _corners(x, y)
    points = " ".join(
        f"{a:g},{b:g}" for a, b in zip(x[kept].round(1), y[kept].round(1), strict=True)
    )
    stroke = f"var(--accelsched-curve,{color})" if is_first else color
    style = f"fill:none;stroke:{stroke};stroke-width:2;stroke-linejoin:round"
    return f'<polyline points="{points}" style="{style}"/>'


def _corners(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of the points that a line needs (Douglas and Peucker, 1973)."""
    ends = (0, len(x) - 1)
    kept, spans = set(ends[: len(x)]), [ends]
    while spans:
        start, end = spans.pop()
        if end - start < 2:
            continue
        straight = np.interp(x[start : end + 1], x[[start, end]], y[[start, end]])
        off = np.abs(y[start : end + 1] - straight)
        furthest = start + int(off.argmax())
        if off.max() > PRECISION:
            kept.add(furthest)
            spans += [(start, furthest), (furthest, end)]
    return np.array(sorted(kept), dtype=np.intp)
