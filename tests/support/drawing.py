"""Draws schedules of every class from the class itself, so that a new class needs no edit here.

A class whose fields must fit together, as milestones and values must, has a strategy of its own.
"""

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal

from generator.docstrings import CLASSES
from hypothesis import assume
from hypothesis import strategies as st

from accelsched import ArgumentError, schedules
from accelsched.schedules import Schedule
from accelsched.schedules._planned import END, SHAPES, Planned
from accelsched.schedules.ramps import Ramp

# Values of learning rates, decays and fractions. None is above 1: a growing value overflows
# before step 2**40, and a product with infinities depends on the order.
numbers = st.one_of(st.sampled_from([0.0, 1e-5, 0.1, 0.5, 0.99999, 1.0]), st.floats(1e-6, 1.0))
whole = st.one_of(st.integers(1, 50), st.integers(1, 10**6), st.integers(1, 2**40))
milestones = st.lists(st.one_of(st.integers(0, 100), st.integers(0, 2**40)), max_size=4).map(sorted)
functions = st.sampled_from(
    [lambda t: 0.999**t, lambda t: 1 / (1 + t), lambda t: t / 30, lambda t: (t + 1) ** -0.5]
)


def leaves() -> st.SearchStrategy[Schedule]:
    """Draw any schedule that contains no other schedule."""
    return st.sampled_from([cls for cls in CLASSES if not _is_composed(cls)]).flatmap(one)


def compositions(depth: int = 4) -> st.SearchStrategy[Schedule]:
    """Schedules nested up to a depth."""
    if depth == 1:
        return leaves()
    inner = compositions(depth - 1)
    composed = [cls for cls in CLASSES if _is_composed(cls)]
    return st.one_of(leaves(), st.sampled_from(composed).flatmap(lambda cls: one(cls, inner)))


def one(
    cls: type[Schedule], inner: st.SearchStrategy[Schedule] | None = None
) -> st.SearchStrategy[Schedule]:
    """Schedules of one class, made of schedules of ``inner`` (leaves by default)."""
    inner = inner if inner is not None else (leaves() if _is_composed(cls) else st.nothing())
    if cls.__name__ in _FITTED:
        return _FITTED[cls.__name__](inner)
    hints = typing.get_type_hints(cls)
    fields = {f.name: _field(hints[f.name], inner) for f in dataclasses.fields(cls) if f.init}
    if issubclass(cls, Ramp):
        fields["total_iters"] = st.one_of(st.just(0), whole)
    return st.fixed_dictionaries(fields).map(lambda given: _built(cls, given))


def _built(cls: type[Schedule], given: dict[str, Any]) -> Schedule:
    try:
        return cls(**given)
    except ArgumentError:
        assume(False)
        raise


def _field(hint: Any, inner: st.SearchStrategy[Schedule]) -> st.SearchStrategy[Any]:
    if typing.get_origin(hint) is Literal:
        return st.sampled_from(typing.get_args(hint))
    if typing.get_origin(hint) in (tuple, Sequence):
        return st.lists(_field(typing.get_args(hint)[0], inner), min_size=1, max_size=3).map(tuple)
    if type(None) in typing.get_args(hint):
        return st.one_of(st.none(), _field(typing.get_args(hint)[0], inner))
    if hint == Callable[..., Any]:
        return functions
    simple = {float: numbers, int: whole, bool: st.booleans(), Schedule: inner}
    return simple[hint]


def _is_composed(cls: type[Schedule]) -> bool:
    """Return whether a class takes schedules as arguments."""
    return any("Schedule" in str(f.type) for f in dataclasses.fields(cls) if f.init)


def _piecewise(_: object) -> st.SearchStrategy[Schedule]:
    return milestones.flatmap(
        lambda at: st.builds(
            schedules.PiecewiseConstant,
            st.lists(numbers, min_size=len(at) + 1, max_size=len(at) + 1),
            st.just(at),
        )
    )


def _sequential(inner: st.SearchStrategy[Schedule]) -> st.SearchStrategy[Schedule]:
    # Phases of one class differ only in their constants more often than any two schedules do.
    simple = st.sampled_from([cls for cls in CLASSES if not _is_composed(cls)])
    of_a_kind = simple.map(one)
    in_turn = st.tuples(simple, simple).map(lambda pair: st.one_of(*map(one, pair)))
    of_many = st.one_of(st.just(inner), of_a_kind, in_turn)
    return st.tuples(milestones, of_many).flatmap(
        lambda drawn: st.builds(
            schedules.Sequential,
            st.lists(drawn[1], min_size=len(drawn[0]) + 1, max_size=len(drawn[0]) + 1),
            st.just(drawn[0]),
        )
    )


def _lambda(_: object) -> st.SearchStrategy[Schedule]:
    # As for Tabulated: no large table.
    ends = st.one_of(st.none(), st.integers(1, 300))
    return st.builds(
        schedules.Lambda, numbers, st.lists(functions, min_size=1, max_size=3).map(tuple), ends
    )


def _tabulated(_: object) -> st.SearchStrategy[Schedule]:
    # A table takes memory: `whole` would draw tables that are too large.
    source = st.one_of(one(schedules.CosineDecay), st.just(math.sqrt))
    ends = st.sampled_from(["hold", "cycle"])
    free = st.builds(schedules.Tabulated, source, st.integers(1, 300), ends)
    settled = st.integers(1, 300).map(lambda n: schedules.CosineDecay(0.1, 0.01, n))
    return st.one_of(
        free, settled.map(lambda s: schedules.Tabulated(s, s.total_iters + 3, "error"))
    )


def _inverse_time(_: object) -> st.SearchStrategy[Schedule]:
    # Stairs are exact while the power of the step is below 2**53; with exponents 0 and 1 it is.
    cls = schedules.InverseExponentialTimeDecay
    exponents = {False: numbers, True: st.sampled_from([0, 1])}
    drawn = {"initial": numbers, "total_iters": whole, "rate": numbers}
    return st.one_of(
        st.builds(cls, **drawn, step_exponent=exponents[stairs], staircase=st.just(stairs))
        for stairs in exponents
    )


def _warm_restarts(_: object) -> st.SearchStrategy[Schedule]:
    cls = schedules.CosineAnnealingWarmRestarts
    return st.builds(cls, numbers, whole, factors, numbers)


#: Factors from one period to the next: integers, binary fractions, and inexact decimals.
factors = st.sampled_from([1, 2, 3, 1.5, 1.25, 1.1, 1.3, 2.7])


def _shifted(inner: st.SearchStrategy[Schedule]) -> st.SearchStrategy[Schedule]:
    by = st.one_of(st.integers(-20, 20), st.integers(-(2**40), 2**40))
    return st.builds(schedules.Shifted, inner, by)


def _warmup_cosine(_: object) -> st.SearchStrategy[Schedule]:
    return st.tuples(numbers, numbers, lengths(2)).map(
        lambda drawn: schedules.WarmupCosine(drawn[0], sum(drawn[2]), drawn[2][0], drawn[1])
    )


def _warmup_stable_decay(_: object) -> st.SearchStrategy[Schedule]:
    shapes = st.tuples(
        st.sampled_from(["linear", "cosine", "logarithmic"]),
        st.sampled_from(["linear", "cosine", "1-sqrt"]),
    )

    def built(values: Any, steps: Any, shapes: Any, has_end: bool) -> Schedule:
        peak, *ends = values
        phases = (sum(steps), steps[0], steps[2]) if has_end else (None, steps[0], 0)
        return schedules.WarmupStableDecay(peak, *phases, *ends, *shapes)

    values = st.tuples(numbers, numbers, numbers)
    return st.builds(built, values, lengths(3), shapes, st.sampled_from([True, True, False]))


def lengths(count: int) -> st.SearchStrategy[list[int]]:
    """Draw the lengths of some phases; a phase may have no steps."""
    return st.lists(st.one_of(st.just(0), whole), min_size=count, max_size=count)


def planned(inner: st.SearchStrategy[Schedule]) -> st.SearchStrategy[Schedule]:
    """Draw schedules with a decay that begins somewhere and may end, or with none."""
    at = st.one_of(st.integers(0, 100), st.integers(0, 2**39))
    fields = {
        "schedule": inner,
        "start": at,
        "last": st.one_of(st.sampled_from([-1, END]), at),
        "total_iters": st.one_of(st.integers(1, 50), st.integers(1, 2**39)),
        "initial": numbers,
        "end": numbers,
        "shape": st.integers(0, len(SHAPES) - 1),
    }
    return st.fixed_dictionaries(fields).map(lambda given: _built(Planned, given))


def stretched(inner: st.SearchStrategy[Schedule]) -> st.SearchStrategy[Schedule]:
    """Draw schedules whose rest, from a step on, is stretched or shortened."""

    def built(schedule: Schedule, part: float, until: int) -> Schedule:
        end = schedule.settles
        assume(end is not None and end > 0)
        since = int(part * (end or 0))
        until += since
        clock = {"slow": until - since, "pace": end - since, "target": end * (until - since)}
        return _built(Planned, {"schedule": schedule, "since": since, "until": until, **clock})

    return st.builds(built, inner, st.floats(0, 1, exclude_max=True), whole)


_FITTED: dict[str, Callable[[Any], st.SearchStrategy[Schedule]]] = {
    "CosineAnnealingWarmRestarts": _warm_restarts,
    "InverseExponentialTimeDecay": _inverse_time,
    "Lambda": _lambda,
    "PiecewiseConstant": _piecewise,
    "Sequential": _sequential,
    "Shifted": _shifted,
    "Tabulated": _tabulated,
    "WarmupCosine": _warmup_cosine,
    "WarmupStableDecay": _warmup_stable_decay,
}


def steps_of(schedule: Schedule) -> list[int]:
    """Return steps that matter to a schedule: near its integers and their sums, and far ones."""
    numbers = {abs(n) for n in _whole_numbers(schedule) if abs(n) <= 2**40}
    sums = {a + b for a in numbers for b in numbers}
    near = {n + d for n in numbers | sums for d in (-1, 0, 1)}
    far = {0, 1, 2, 3, 10, 99, 12345, 2**24 + 1, 2**31 + 7, 2**40}
    return sorted(step for step in near | far if 0 <= step <= 2**40)


def _whole_numbers(value: Any) -> set[int]:
    if isinstance(value, Schedule):
        value = tuple(getattr(value, f.name) for f in dataclasses.fields(value) if f.init)
    if isinstance(value, tuple):
        return set().union(*map(_whole_numbers, value)) if value else set()
    return {value} if isinstance(value, int) and not isinstance(value, bool) else set()
