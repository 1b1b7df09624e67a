"""Pictures of the schedules that drive the param groups of a scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsched._binding.reporting import named_groups, require_schedules
from accelsched.schedules import Schedule, _axes
from accelsched.schedules._svg import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from accelsched._binding.scheduler import Scheduler


def plot(scheduler: Scheduler, steps: int | None, axes: Axes | None) -> Axes:
    """Draw the curve of each param group; see :meth:`Scheduler.plot`."""
    curves = _curves(scheduler)
    drawn = _axes.plot(curves, scheduler.key, steps, axes)
    if len(curves) > 1:
        drawn.legend(frameon=False)
    return drawn


def html(scheduler: Scheduler) -> str | None:
    """Return the curves for a notebook; None if values depend on the previous ones."""
    return svg(list(_curves(scheduler).values()), str(scheduler)) if scheduler.in_force else None


def _curves(scheduler: Scheduler) -> dict[str, Schedule]:
    """Return the schedules in force, by the groups that each one drives."""
    require_schedules(scheduler)
    schedules = scheduler.in_force
    # An unbound scheduler has no indices of groups.
    indices = range(len(schedules)) if scheduler.optimizer is None else scheduler.indices
    groups: dict[Schedule, list[int]] = {}
    for index, schedule in zip(indices, schedules, strict=True):
        groups.setdefault(schedule, []).append(index)
    return {named_groups(of_one): schedule for schedule, of_one in groups.items()}
