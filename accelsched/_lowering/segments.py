"""Schedules as piecewise polynomials on the device, fitted once and evaluated in float32 alone.

A step takes some twenty operations, for any schedule of any length: find the segment of the step,
read its row of numbers, evaluate the polynomial. See :mod:`.fitting`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accelsched._lowering import fitting
from accelsched._lowering.fitting import Curve, NotFitted, Segments, Steps
from accelsched._runtimes.packed_curves import Curves
from accelsched.errors import ArgumentError, require
from accelsched.schedules import (
    CosineAnnealingWarmRestarts,
    Exponential,
    InverseExponentialTimeDecay,
    Linear,
    Polynomial,
    Schedule,
    Sequential,
    Shifted,
    Step,
)
from accelsched.schedules._fields import MAX_STEP, field_types
from accelsched.schedules._from_function import PROBES
from accelsched.schedules._planned import END, Planned
from accelsched.schedules._vectorize import Batch, stack

#: A curve that settles before the first of these steps is compared with its fit at every step. A
#: user's table or function may jump anywhere, so the limit for a curve with one is the second.
ALL_STEPS, ALL_OF_USERS = 2**20, 2**23
#: A curve without an end is fitted before this step: 70 years at a thousand steps a second. All
#: lowerings are compared with the reference up to step 2**40.
FAR = 2**41
#: The least capacity in segments: 2.8 KB. A graph compares a step with all segments at once.
_LEAST_ROOM = 64
#: The capacity for a schedule that is to be planned: 11 KB, for a warm-up, two curves and more.
_PLANNED_ROOM = 256
# This many values stay in the processor's caches between operations of a formula. Smaller blocks
# make PyTorch's threads wait for each other more often: it splits even 2**12 sines among several.
_BLOCK = 2**17
# A longer curve is compared at all of its first steps, near all knots, and at random steps.
_FIRST_STEPS, _NEAR_A_KNOT, _AT_RANDOM = 2**14, 3, 2**17
_FIRST_STEPS_OF_USERS = 2**20
# Many groups are fitted in batches that have about this number of values.
_MOST_VALUES = 2**20


@dataclass(frozen=True)
class Fitted:
    """The segments of one schedule.

    Attributes:
        segments: the polynomials.
        repeats: the step from which the values repeat, and their period; None if not used.
        end: the segments are valid before this step.
    """

    segments: Segments
    repeats: tuple[int, int] | None = None
    end: int = MAX_STEP


def fit_all(schedules: Sequence[Schedule]) -> list[Fitted]:
    """Fit schedules of one structure; multiples of the first one share its segments.

    Raises:
        NotFitted: a schedule cannot be fitted.
    """
    first = schedules[0]
    if len(schedules) == 1:
        return [fit_schedule(first)]
    task = _task(first)
    multiples = fitting.Multiples(task.curve, task.end, task.proof, task.knots)
    # Two tables may differ at any step.
    looks = task.proof if _is_of_user(first) else multiples.looks
    size = max(1, _MOST_VALUES // len(looks))
    fits: list[Fitted] = []
    for start in range(0, len(schedules), size):
        some = schedules[start : start + size]
        factors = _factors(first, looks, some)
        is_multiple = np.isfinite(factors)
        made = iter(multiples.times(factors[is_multiple]))
        fits += [
            Fitted(next(made), task.repeats, task.holds) if multiple else fit_schedule(schedule)
            for multiple, schedule in zip(is_multiple, some, strict=True)
        ]
    return fits


def _factors(first: Schedule, looks: Steps, others: Sequence[Schedule]) -> fitting.Reals:
    """Return the factor between each schedule and the first one; NaN where there is none."""
    # A jump that the first schedule does not have is at a knot of the other.
    knots = {knot for schedule in others for knot in _knots(schedule)}
    near = np.array(sorted(knots), dtype=np.int64)[:, None] + [-1, 0, 1]
    values = _together([first, *others], np.concatenate([looks, near.ravel().clip(0)]))
    known, each = values[0], values[1:]
    largest = np.abs(known).argmax()
    if known[largest] == 0.0:
        return np.full(len(others), np.nan)
    factors: fitting.Reals = each[:, largest] / known[largest]
    # The tolerance covers the roundings of both formulas; values that float32 rounds to 0 may have
    # lost digits.
    apart = np.abs(each - factors[:, None] * known) > 2.0**-48 * np.abs(each).clip(2.0**-200)
    same = [(s.settles, s.repeats) == (first.settles, first.repeats) for s in others]
    factors[apart.any(axis=1) | ~np.array(same)] = np.nan
    return factors


def _together(schedules: Sequence[Schedule], steps: Steps) -> fitting.Reals:
    """Return the values of schedules of one structure at steps: shape [G, steps]."""
    if _is_of_user(schedules[0]):
        return np.stack([_curve(schedule)(steps) for schedule in schedules])
    stacked = stack(schedules, torch.device("cpu"))
    columns = _evaluated(stacked, steps[:, None], len(schedules))
    return np.ascontiguousarray(columns.T)


def fit_schedule(schedule: Schedule) -> Fitted:
    """Fit a schedule: one period if its values repeat, else all steps, or those before FAR.

    Args:
        schedule: any schedule.

    Raises:
        NotFitted: the schedule needs too many segments, has a value that float32 cannot hold, or
            has a function that is not elementwise in the step.
    """
    task = _task(schedule)
    segments = fitting.fit(task.curve, task.end, task.proof, task.knots)
    return Fitted(segments, task.repeats, task.holds)


@dataclass(frozen=True)
class _Task:
    """The part of a schedule that is to be fitted.

    Attributes:
        curve: maps steps to values.
        end: the curve is fitted before this step.
        proof: the steps at which the segments are compared with the curve.
        knots: steps at which the curve may have a jump or a bend.
        repeats: as in :class:`Fitted`.
        holds: the segments are valid before this step.
    """

    curve: Curve
    end: int
    proof: Steps
    knots: Sequence[int]
    repeats: tuple[int, int] | None = None
    holds: int = MAX_STEP


def _task(schedule: Schedule) -> _Task:
    """Return the part of a schedule that is to be fitted; raise as :func:`fit_schedule` does."""
    knots, of_user = sorted(_knots(schedule)), _is_of_user(schedule)
    if of_user:
        _require_vectorized(schedule)
    task = functools.partial(_compared, schedule)
    if schedule.settles is not None:
        last = schedule.settles
        if of_user and last >= ALL_OF_USERS:
            raise NotFitted("it has a table or a function and settles at step 2**23 or later")
        return task(MAX_STEP, last, [*knots, last])
    if schedule.repeats is not None and sum(schedule.repeats) <= FAR:
        end = sum(schedule.repeats)
        return task(end, end - 1, knots, schedule.repeats)
    far = _curve(schedule)(FAR * np.array([1, 2, 2**10, 2**20]))
    if (far == far[0]).all():
        return task(MAX_STEP, FAR, [*knots, FAR])
    return task(FAR, FAR - 1, knots, holds=FAR)


def _compared(
    schedule: Schedule, end: int, last: int, knots: Sequence[int], *more: Any, **named: Any
) -> _Task:
    """Return a curve to fit before ``end``, whose value no longer changes after ``last``."""
    curve, of_user = _curve(schedule), _is_of_user(schedule)
    if last >= (ALL_OF_USERS if of_user else ALL_STEPS):
        # An extremum between two periods may be narrower than the distance of the probed steps.
        _require_few_periods(schedule, 0, last)
        first_steps = _FIRST_STEPS_OF_USERS if of_user else _FIRST_STEPS
        return _Task(curve, end, _proof(knots, last, first_steps), knots, *more, **named)
    steps = np.arange(last + 1)
    values = curve(steps)

    def known(steps: Steps) -> fitting.Reals:
        held: fitting.Reals = values[np.minimum(steps, last)]
        return held

    return _Task(known, end, steps, knots, *more, **named)


def _curve(schedule: Schedule) -> Curve:
    def curve(steps: Steps) -> fitting.Reals:
        return _evaluated(schedule, steps.ravel()).reshape(steps.shape)

    return curve


def _evaluated(schedule: Schedule, steps: Steps, *groups: int) -> fitting.Reals:
    """Return the values of a schedule at steps: shape [steps], or [steps, G] if it is stacked."""
    values = np.empty((len(steps), *groups))
    size = max(1, _BLOCK // math.prod(groups))
    for start in range(0, len(steps), size):
        block = slice(start, start + size)
        values[block] = schedule.formula(torch.from_numpy(steps[block])).numpy()
    return values


def _is_of_user(schedule: Schedule) -> bool:
    """Return whether a schedule contains a user's function or table."""
    return any(
        _is_of_user(item)
        if isinstance(item, Schedule)
        else callable(item) or isinstance(item, Tensor)
        for item in _items(schedule)
    )


def _items(schedule: Schedule) -> Iterator[Any]:
    """Yield the field values of a schedule, and the items of those that are tuples."""
    for name in field_types(type(schedule)):
        value = getattr(schedule, name)
        yield from value if isinstance(value, tuple) else (value,)


def _require_vectorized(schedule: Schedule) -> None:
    """Raise unless the user's functions map a tensor of steps element by element."""
    steps = torch.tensor(PROBES)
    try:
        together = schedule.formula(steps)
        alone = torch.stack([schedule.formula(step) for step in steps])
    except Exception as error:
        raise NotFitted(f"its function must be elementwise in the step: {error}") from error
    if together.shape != alone.shape or not torch.equal(together, alone):
        raise NotFitted("its function must be elementwise in the step")


def _knots(schedule: Schedule, start: int = 0, end: int = MAX_STEP) -> Iterator[int]:
    """Yield the steps at which the curve may have a jump or a bend: every number in its fields.

    For a wave, the numbers count from the beginning of each period.
    """
    counts = [item for item in _items(schedule) if isinstance(item, (int, float))]
    turns = _turns(schedule)
    of_periods = (turn + count for turn in turns for count in counts if _period(schedule))
    for step in (*counts, *turns, *of_periods):
        if 0 < step < end - start:
            yield start + int(step)
    for child, first, last in _children(schedule):
        yield from _knots(child, start + first, min(end, start + last))


def _turns(schedule: Schedule) -> Sequence[int]:
    """Return the steps at which stairs or periods begin, at most one for each segment."""
    if isinstance(schedule, Step):
        length = schedule.step_size
    elif isinstance(schedule, (Exponential, InverseExponentialTimeDecay)) and schedule.staircase:
        length = schedule.total_iters
    elif isinstance(schedule, (Linear, Polynomial)) and schedule.cycle:
        length = int(schedule.total_iters)
    elif isinstance(schedule, CosineAnnealingWarmRestarts) and schedule.T_mult != 1:
        return schedule.starts
    elif _children(schedule):
        return ()
    else:
        length = _period(schedule) or 0
    return range(length, length * fitting.MOST_SEGMENTS, length) if length else ()


def _period(schedule: Schedule) -> int | None:
    """Return the period of a wave in steps; None if the schedule is no wave."""
    return schedule.repeats[1] if schedule.settles is None and schedule.repeats else None


def _require_few_periods(schedule: Schedule, start: int, end: int) -> None:
    """Raise if a wave within a schedule has more periods before its end than segments allow."""
    most, period = fitting.MOST_SEGMENTS, _period(schedule)
    if period is not None and (end - start) // period > most:
        raise NotFitted(f"the curve needs more than {most} segments")
    for child, first, last in _children(schedule):
        _require_few_periods(child, start + first, min(end, start + last))


def _children(schedule: Schedule) -> list[tuple[Schedule, int, int]]:
    """Return the schedules in the fields of one, each with the steps where it begins and ends."""
    if isinstance(schedule, Sequential):
        starts = (0, *schedule.milestones)
        return list(zip(schedule.schedules, starts, (*schedule.milestones, MAX_STEP), strict=True))
    if isinstance(schedule, Shifted):
        return [(schedule.schedule, -schedule.by, MAX_STEP)]
    if isinstance(schedule, Planned):
        # After ``since`` the child is at other steps than the run, so its knots do not count.
        until = schedule.start if schedule.last == END else MAX_STEP
        return [(schedule.schedule, 0, min(until, schedule.since))]
    return [(item, 0, MAX_STEP) for item in _items(schedule) if isinstance(item, Schedule)]


def _proof(knots: Sequence[int], last: int, first_steps: int) -> Steps:
    """Return the steps at which a long curve is compared."""
    random = np.random.default_rng(0)
    far = random.integers(0, last, _AT_RANDOM, endpoint=True)
    near = far >> random.integers(0, 62, _AT_RANDOM)
    offsets = np.arange(-_NEAR_A_KNOT, _NEAR_A_KNOT + 1)
    at_knots = (np.array([*knots, last])[:, None] + offsets).ravel()
    return np.unique(np.concatenate([np.arange(first_steps), far, near, at_knots]).clip(0, last))


def required(batches: Sequence[Batch], held: Sequence[Room] = ()) -> BatchedSegments:
    """Return the segments that the user asked for; takes the arguments of :class:`BatchedSegments`.

    Raises:
        ArgumentError: a schedule cannot be fitted, or a value is float64.
    """
    wide = [batch for batch in batches if batch.dtype == torch.float64]
    remedy = 'segments are float32, and this value is float64: give lowering="graph"'
    require(not wide, "lowering", "segments", remedy)
    try:
        return BatchedSegments(batches, held)
    except NotFitted as error:
        remedy = f'{error}: leave out lowering, or give "graph"'
        raise ArgumentError("lowering", "segments", remedy) from None


@dataclass(frozen=True)
class Room:
    """The capacity of the operations on some segments, whose numbers may change later.

    Attributes:
        segments: the number of segments for each group.
        terms: the number of terms of a polynomial beside its constant: 0 for constants.
        is_scaled: whether the offset in a segment is multiplied by a scale.
        repeats: 0 if no values repeat, 1 if all repeat from step 0, 2 if some repeat from any step.
    """

    segments: int = 1
    terms: int = 0
    is_scaled: bool = False
    repeats: int = 0

    def merged(self, other: Room) -> Room:
        """Return the larger of both capacities, field by field."""
        return Room(*map(max, astuple(self), astuple(other)))


class BatchedSegments:
    """Evaluates batches at a step: one float32 tensor of shape [] or [G] for each batch.

    Args:
        batches: schedules, by structure.
        held: the rooms of the earlier segments for the same groups, which are to be reused.

    Attributes:
        end: the values are valid before this step.
        rooms: the room of each batch.

    Raises:
        NotFitted: a schedule cannot be fitted.
    """

    def __init__(self, batches: Sequence[Batch], held: Sequence[Room] = ()) -> None:
        fits = [fit_all(_distinct(batch)) for batch in batches]
        self.end = min(fit.end for of_batch in fits for fit in of_batch)
        at_least = held if len(held) == len(fits) else map(_room_for_plans, batches)
        curves = [_BatchedCurve(*pair) for pair in zip(fits, at_least, strict=True)]
        self.rooms = [curve.room for curve in curves]
        self._batches = batches
        self._curves = [
            (curve, batch.written) for curve, batch in zip(curves, batches, strict=True)
        ]

    def curves(self) -> list[Curves]:
        """Return these curves for a device that computes all of them in one kernel."""
        pairs = zip(self._curves, self._batches, strict=True)
        return [curve.rows(batch.positions, batch.least) for (curve, _), batch in pairs]

    def __call__(self, counter: Tensor) -> list[Tensor]:
        return [written(curve(counter)) for curve, written in self._curves]


def _distinct(batch: Batch) -> Sequence[Schedule]:
    """Return one schedule if all groups have the same, else one for each group."""
    return batch.schedules[:1] if len(set(batch.schedules)) == 1 else batch.schedules


class _BatchedCurve:
    """Evaluates several schedules, each with its own segments, in the same operations."""

    def __init__(self, fits: Sequence[Fitted], at_least: Room) -> None:
        segments = [fit.segments for fit in fits]
        needed = _needed(fits)
        has_room = needed.merged(at_least) == at_least
        self.room = room = at_least if has_room else _roomy(needed).merged(at_least)
        starts = np.stack([_padded(one.first, room.segments, MAX_STEP) for one in segments])
        origins = np.concatenate([_padded(one.origin, room.segments, 0) for one in segments])
        rows = np.concatenate([_padded(one.rows, room.segments, 0) for one in segments])
        self._starts = torch.from_numpy(starts[:, 1:])
        self._origins = torch.from_numpy(origins)
        # One table per column: it takes a graph more operations to split a row.
        self._columns = [torch.from_numpy(column.copy()) for column in rows.T]
        self._first_rows = torch.arange(len(fits)) * room.segments
        self._repeats = _repeats(fits)

    def __call__(self, counter: Tensor) -> Tensor:
        constant, *_ = self._columns
        if len(constant) == 1 and self.room.terms == 0:
            return constant[0]
        step = self._within(counter)
        # Groups with different periods have steps of their own. The sum is taken of int64, as the
        # front end of cerebras_pytorch sums booleans to a boolean.
        reached = (step.unsqueeze(-1) if step.dim() else step) >= self._starts
        index = reached.to(torch.int64).sum(-1)
        if len(self._first_rows) > 1:
            return self._polynomial(step, index + self._first_rows)
        return self._polynomial(step, index).squeeze(0)

    def rows(self, positions: Sequence[int], least: float | None) -> Curves:
        """Return the rows of these polynomials, and the groups that have them."""
        columns = torch.stack(self._columns)
        if self.room.terms == 0:
            columns = torch.cat([columns[:1], torch.zeros(1, columns.shape[1])])
        begin, period = self._repeats
        return Curves(columns, self._starts, self._origins, begin, period, positions, least)

    def _polynomial(self, step: Tensor, index: Tensor) -> Tensor:
        def at(column: int) -> Tensor:
            return self._columns[column].index_select(0, index)

        if self.room.terms == 0:
            return at(0)
        x = (step - self._origins.index_select(0, index)).to(torch.float32)
        if self.room.is_scaled:
            x = x * at(-1)
        value = at(self.room.terms)
        for term in range(self.room.terms - 1, 0, -1):
            value = value * x + at(term)
        return at(0) + value

    def _within(self, step: Tensor) -> Tensor:
        """Map a step to the step of the first period that has the same value."""
        start, period = self._repeats
        if self.room.repeats == 2:
            late = (step - start).clamp(min=0)
            return step - late + late % period
        return step % period if self.room.repeats == 1 else step


def _room_for_plans(batch: Batch) -> Room:
    """Return room for the decays, and for the end, of schedules that are to be planned."""
    planned = [schedule for schedule in batch.schedules if isinstance(schedule, Planned)]
    if not planned:
        return Room()
    waves = any(one.schedule.settles is None and one.schedule.repeats for one in planned)
    return Room(_PLANNED_ROOM, fitting.DEGREE + 1, is_scaled=True, repeats=2 if waves else 0)


def _roomy(needed: Room) -> Room:
    """Double the room for segments, so that another curve of the same kind usually fits."""
    if needed == Room():
        return needed
    room: int = 2 ** (2 * needed.segments - 1).bit_length()
    return replace(needed, segments=min(max(_LEAST_ROOM, room), fitting.MOST_SEGMENTS))


def _needed(fits: Sequence[Fitted]) -> Room:
    """Return the least room that holds these fits."""
    longest = max(len(fit.segments) for fit in fits)
    rows = np.concatenate([fit.segments.rows for fit in fits])
    starts = [fit.repeats[0] for fit in fits if fit.repeats is not None]
    all_from_0 = len(starts) == len(fits) and not any(starts)
    return Room(
        longest,
        # Constants need no terms: adding the remainder would round to the same number.
        rows.shape[1] - 2 if rows[:, 2:-1].any() else 0,
        bool((rows[:, -1] != 1.0).any()),
        0 if not starts else 1 if all_from_0 else 2,
    )


def _padded(column: np.ndarray, length: int, by: int) -> np.ndarray:
    missing = length - len(column)
    return np.concatenate([column, np.full((missing, *column.shape[1:]), by, column.dtype)])


def _repeats(fits: Sequence[Fitted]) -> tuple[Tensor, Tensor]:
    """Return the step from which values repeat, and the period: one for all, or one for each."""
    known = [fit.repeats or (0, MAX_STEP) for fit in fits]
    return _shared([start for start, _ in known]), _shared([period for _, period in known])


def _shared(numbers: Sequence[int]) -> Tensor:
    return torch.tensor(numbers[0] if len(set(numbers)) == 1 else numbers)
