"""The steps and the values that a picture of a schedule shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accelsched.schedules._fields import MAX_STEP

if TYPE_CHECKING:
    from accelsched.schedules.base import Schedule

#: The default number of steps for schedules that never settle.
STEPS = 1000
#: The number of steps to compute for a picture, and of spans to draw.
SAMPLES, SPANS = 2**20, 2000


def shown_steps(schedules: Iterable[Schedule]) -> int:
    """Return the last step of a picture of some schedules: shortly past the last change."""
    return min(max(map(_shown_steps, schedules)), MAX_STEP - 1)


def _shown_steps(schedule: Schedule) -> int:
    end, repeats = schedule.settles, schedule.repeats
    if end is not None:
        return end + max(1, end // 10)
    # Show two periods of a schedule that repeats.
    return STEPS if repeats is None else max(STEPS, repeats[0] + 2 * repeats[1])


def outline(
    schedule: Schedule, steps: int, spans: int = SPANS
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the points of a curve to draw: the lowest and the highest one of each span.

    Args:
        schedule: the curve.
        steps: the last step.
        spans: the number of spans, all of equal length.

    Returns:
        The steps, in increasing order, and their values.
    """
    stride = -(-(steps + 1) // SAMPLES)
    at = np.append(np.arange(0, steps, stride), steps)
    values = np.append(schedule.curve(0, steps, stride), schedule(steps))
    if len(values) <= 2 * spans:
        return at, values
    size = -(-len(values) // spans)
    rows = np.pad(values, (0, -len(values) % size), mode="edge").reshape(-1, size)
    first = np.arange(len(rows)) * size
    ends = [0, len(values) - 1]
    kept = np.concatenate([first + rows.argmin(1), first + rows.argmax(1), ends])
    kept = np.unique(kept.clip(max=len(values) - 1))
    return at[kept], values[kept]


def value_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest and the highest value to draw; include 0 unless it is far off."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if 0 <= low <= high / 2:
        low = 0.0
    elif low / 2 <= high <= 0:
        high = 0.0
    return (low, high) if low < high else (low - (abs(low) or 1.0) / 2, high + (abs(high) or 1) / 2)
