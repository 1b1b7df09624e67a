"""A decay that replaces part of a schedule: its numbers never change the structure."""

from dataclasses import replace

import pytest
import torch
from drawing import CLASSES, _is_composed, compositions, one, planned, steps_of, stretched
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from parity import agrees, leaves_of

from accelsched import ArgumentError, reference, schedules
from accelsched.schedules import Constant, CosineDecay, Cyclic, Linear, Schedule, WarmupStableDecay
from accelsched.schedules._planned import END, SHAPES, Planned, is_open_ended
from accelsched.schedules._pytree import flatten
from accelsched.schedules._slowed import most_steps, require_stretches, slowed

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=100, **QUIET)
@given(schedule=compositions(depth=3))
def test_without_a_decay_all_values_are_those_of_the_schedule(schedule):
    steps = torch.tensor([*steps_of(schedule), END])
    same = Planned(schedule)
    assert torch.equal(same.formula(steps).nan_to_num(), schedule.formula(steps).nan_to_num())
    assert (same.settles, same.repeats, same.base) == (
        schedule.settles,
        schedule.repeats,
        schedule.base,
    )


def test_without_a_decay_machine_code_gives_the_same_bits():
    schedule = Linear(0.0, 0.1, 7).then(CosineDecay(0.1, 0.0, 90), at=7)
    assert (Planned(schedule).curve(0, 200) == schedule.curve(0, 200)).all()


@settings(max_examples=200, **QUIET)
@given(schedule=planned(compositions(depth=2)))
def test_it_settles_and_repeats_where_it_says(schedule):
    if schedule.repeats is None:
        assert schedule.settles is None
        return
    start, period = schedule.repeats
    near = torch.tensor([start + step for step in (0, 1, 2, 17, 1000, 2**30)])
    values = schedule.formula(near).nan_to_num()
    assert torch.equal(values, schedule.formula(near + period).nan_to_num())
    if schedule.settles is not None:
        assert (schedule.settles, 1) == schedule.repeats
        assert (values == values[0]).all()


@pytest.mark.parametrize("shape", range(len(SHAPES)), ids=SHAPES)
@pytest.mark.parametrize(("initial", "end"), [(0.1, 0.003), (1e-5, 0.7), (3e-4, 3e-4)])
def test_both_ends_of_a_decay_are_exact(shape, initial, end):
    for length in (1, 2, 3, 1000, 2**40 + 1):
        schedule = Planned(Constant(0.5), 7, END, length, initial, end, shape)
        at = torch.tensor([6, 7, 7 + length, 8 + length, END - 1])
        assert schedule.formula(at).tolist() == [0.5, initial, end, end, end]


@pytest.mark.parametrize("shape", range(len(SHAPES)), ids=SHAPES)
def test_a_decay_never_turns_back(shape):
    schedule = Planned(Constant(0.5), 3, END, 1000, 0.1, 1e-7, shape)
    values = schedule.formula(torch.arange(3, 1010))
    assert (values.diff() <= 0).all() and values.isfinite().all()


def test_no_number_of_a_decay_is_structure():
    schedule = WarmupStableDecay(0.1, None, 10)
    plans = [Planned(schedule)]
    plans += [Planned(schedule, 20, END, 5, 0.1, 0.01, shape) for shape in range(len(SHAPES))]
    plans += [Planned(schedule, 20, 30, 5, 0.1, 0.0)]
    plans += [Planned(schedule, since=3, until=90, slow=12, pace=7, target=120)]
    assert len({flatten(plan)[1] for plan in plans}) == 1


# Schedules in smaller steps.


def stretches(schedule):
    try:
        require_stretches(schedule)
    except ArgumentError:
        return False
    return True


#: Classes that cannot be stretched, since their formulas depend on the length of one step.
NEVER = {"InverseExponentialTimeDecay", "InverseSquareRootDecay", "Lambda", "Multiplicative"}
NEVER |= {"Tabulated"}
#: Classes that cannot be stretched with some arguments. A composed class may contain such a part.
SOMETIMES = {"CosineAnnealingWarmRestarts", "Cyclic"}
SOMETIMES |= {cls.__name__ for cls in CLASSES if _is_composed(cls)}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_in_smaller_steps_has_the_same_values(cls):
    inner = st.one_of(one(schedules.Step), one(schedules.Polynomial), one(schedules.Constant))

    @settings(max_examples=20, **QUIET)
    @given(
        schedule=one(cls, inner if _is_composed(cls) else None),
        by=st.one_of(st.integers(1, 9), st.integers(1, 2**20)),
    )
    def holds(schedule, by):
        if cls.__name__ in NEVER or not stretches(schedule):
            assert not stretches(schedule) and cls.__name__ in NEVER | SOMETIMES
            return
        assume(most_steps(schedule) * by <= 2**61)
        smaller = slowed(schedule, by)
        assert flatten(smaller)[1] == flatten(schedule)[1]
        steps = torch.tensor([step for step in steps_of(schedule) if step * by <= 2**61])
        both = smaller.formula(steps * by).tolist(), schedule.formula(steps).tolist()
        assert all(agrees(*pair, leaves_of(schedule)) for pair in zip(*both, strict=True))

    holds()


@settings(max_examples=200, **QUIET)
@given(schedule=stretched(st.sampled_from(CLASSES).flatmap(one)))
def test_what_is_stretched_is_the_reference_between_two_steps(schedule):
    if isinstance(one_cycle := schedule.schedule, schedules.OneCycle):
        # A phase of OneCycle begins between two steps: at a float64 that needs no rounding here.
        fraction = max(1, round(32 * one_cycle.pct_start)) / 64
        schedule = replace(schedule, schedule=replace(one_cycle, pct_start=fraction))
        assume(schedule.until < 2**20)
    steps = [step for step in steps_of(schedule) if step <= 2**41]
    values = schedule.formula(torch.tensor(steps)).tolist()
    for step, value in zip(steps, values, strict=True):
        want = reference.value(schedule, step)
        assert agrees(value, want, leaves_of(schedule)), (step, value, want)
    until = schedule.settles
    assert schedule.formula(torch.tensor([until, until + 1, END])).unique().numel() == 1


def test_a_class_of_a_user_stretches_if_it_says_what_counts_steps():
    from dataclasses import dataclass

    from accelsched.schedules import Steps, Table, terms

    @dataclass(frozen=True)
    class Told(Schedule):
        half_life: Steps
        jumps: Table[Steps]

        def formula(self, step):
            return terms.reached(self.jumps, step) / (1 + terms.real(step) / self.half_life)

    @dataclass(frozen=True)
    class Untold(Schedule):
        half_life: int

        def formula(self, step):
            return 1 / (1 + terms.real(step) / self.half_life)

    told, steps = Told(10, (2, 5)), torch.arange(30)
    assert torch.equal(slowed(told, 6).formula(6 * steps), told.formula(steps))
    with pytest.raises(ArgumentError, match="schedule=.*Untold.*count steps"):
        require_stretches(0.5 * Untold(10))


# Others.


def test_a_schedule_without_an_end_is_found_in_others():
    warmup = WarmupStableDecay(0.1, None, 10)
    assert all(map(is_open_ended, (warmup, 0.5 * warmup, Constant(0.1).then(warmup, at=3))))
    assert not any(map(is_open_ended, (WarmupStableDecay(0.1, 20, 10), Cyclic(0.0, 0.1))))


@pytest.mark.parametrize(
    "numbers",
    [
        {"total_iters": 0},
        {"start": -1},
        {"start": END},
        {"initial": float("nan")},
        {"shape": 3, "initial": 0.0, "end": 1.0},
        {"shape": 3, "initial": 1.0, "end": 0.0},
        {"shape": 3, "initial": 1e-300, "end": 1e300},
        {"slow": 2},
        {"slow": 0, "since": 3, "until": 5},
        {"pace": -1, "since": 3, "until": 5},
        {"since": 5, "until": 3},
        {"since": 3, "until": 2**40, "pace": 2**40},
    ],
)
def test_numbers_that_do_not_fit_are_refused(numbers):
    with pytest.raises(ArgumentError):
        Planned(Constant(0.1), **{"last": END, **numbers})


def test_a_decay_without_the_length_of_all_phases_is_refused():
    with pytest.raises(ArgumentError, match=r"decay_iters=5: .*begin_decay"):
        WarmupStableDecay(0.1, None, 10, 5)
