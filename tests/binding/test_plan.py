"""Decays and extensions planned mid-run: on every back end, undone, in states and copies."""

import copy
import math
import pickle
from fractions import Fraction

import pytest
import torch
from binding import EVERY, optimizer
from ulps import float32_ulps

from accelsched import ArgumentError, Scheduler, on_device, reference
from accelsched.lr_scheduler import ConstantLR, CosineDecayLR, LinearLR, LRScheduler, SequentialLR
from accelsched.policy import Multiply, Policy
from accelsched.schedules import (
    Constant,
    CosineDecay,
    Cyclic,
    Lambda,
    Linear,
    Tabulated,
    WarmupStableDecay,
)
from accelsched.schedules._planned import SHAPES

KINDS = pytest.mark.parametrize("kind", ["host", "graph"])
STABLE = WarmupStableDecay(0.1, None, 4)
#: From 0.1 to 0.001, by the fraction of the steps.
CURVES = {
    "linear": lambda x: 0.1 - 0.099 * x,
    "cosine": lambda x: 0.001 + 0.099 * (1 + math.cos(math.pi * x)) / 2,
    "1-sqrt": lambda x: 0.1 - 0.099 * math.sqrt(x),
    "exponential": lambda x: 0.1 * 0.01**x,
}


def rates(scheduler):
    return [float(rate) for rate in scheduler.get_last_lr()]


def walked(scheduler, steps):
    """The rates of the first group after each of some steps."""
    made = []
    for _ in range(steps):
        scheduler.step()
        made.append(rates(scheduler)[0])
    return made


def begun(kind="host", schedule=STABLE, at=10, **options):
    scheduler = Scheduler(optimizer(kind=kind), schedule, open_ended=True)
    scheduler.step(at)
    scheduler.begin_decay(**{"total_iters": 8, "end": 0.001, **options})
    return scheduler


# The curve.


def test_every_shape_is_compared_here():
    assert tuple(CURVES) == SHAPES


@pytest.mark.parametrize("runtime", ["eager", "compile", "xla", "lazy"], indirect=True)
@pytest.mark.parametrize("lowering", ["graph", "segments", "table", "host"])
def test_a_decay_goes_from_the_value_now_to_its_end(runtime, lowering):
    parameter = torch.nn.Parameter(torch.ones(2, device=runtime.device()))
    made = torch.optim.SGD([parameter], lr=torch.tensor(0.5))
    with on_device():
        scheduler = Scheduler(made, STABLE, lowering=lowering)
    for shape, curve in CURVES.items():
        scheduler.step(10)
        scheduler.begin_decay(8, 0.001, shape)
        want = [curve(min(step / 8, 1)) for step in range(1, 11)]
        assert all(
            float32_ulps(got, exact) <= 1
            for got, exact in zip(walked(scheduler, 10), want, strict=True)
        )
        assert rates(scheduler) == pytest.approx([0.001], rel=2**-24)
        scheduler.end_decay()
        assert walked(scheduler, 1) == pytest.approx([0.1], rel=2**-24)


@KINDS
def test_a_decay_may_begin_in_the_warm_up_and_in_another_decay(kind):
    scheduler = begun(kind, at=2, total_iters=4, end=0.25)
    assert walked(scheduler, 2) == pytest.approx([0.1, 0.15])
    scheduler.begin_decay(2, 0.05)
    assert walked(scheduler, 3) == pytest.approx([0.1, 0.05, 0.05])


@KINDS
def test_a_decay_of_a_curve_that_comes_back_is_held(kind):
    scheduler = begun(kind, Cyclic(0.01, 0.1, 5), at=13, total_iters=4)
    last = walked(scheduler, 40)[3:]
    assert last == pytest.approx([0.001] * 37)


@KINDS
def test_wsd_s_goes_on_at_the_stable_value_after_each_decay(kind):
    scheduler, made = Scheduler(optimizer(kind=kind), STABLE), []
    for _ in range(2):
        made += walked(scheduler, 4)
        scheduler.begin_decay(2)
        made += walked(scheduler, 3)
        scheduler.end_decay()
    want = [0.025, 0.05, 0.075, 0.1, 0.05, 0.0, 0.0, *[0.1] * 4, 0.05, 0.0, 0.0]
    assert made == pytest.approx(want)


def test_each_group_decays_from_its_own_value_to_its_own():
    made = optimizer({"lr": 1.0}, {"lr": 0.5})
    scheduler = Scheduler(made, Constant(0.5), relative=True, open_ended=True)
    scheduler.begin_decay(2, [0.1, 0.2])
    scheduler.step()
    assert rates(scheduler) == pytest.approx([0.3, 0.225])
    scheduler.step()
    assert rates(scheduler) == [0.1, 0.2]


def test_a_group_that_is_added_decays_too():
    scheduler = begun()
    scheduler.step()
    for added in (1, 2):
        scheduler.optimizer.add_param_group({"params": [torch.ones(1)]})
        scheduler.step()
        assert len(scheduler.indices) == 1 + added
        assert len(set(rates(scheduler))) == 1
    assert rates(scheduler)[0] == pytest.approx(CURVES["linear"](3 / 8))


def test_a_group_that_is_added_to_ends_of_their_own_is_not_driven():
    scheduler = Scheduler(optimizer({}, {}), STABLE)
    scheduler.begin_decay(4, [0.1, 0.2])
    scheduler.optimizer.add_param_group({"params": [torch.ones(1)]})
    with pytest.warns(UserWarning, match="call begin_decay with one end for each"):
        scheduler.step()
    assert scheduler.indices == [0, 1]


@pytest.mark.parametrize("name", EVERY)
def test_a_scheduler_of_every_class_is_the_same_until_its_decay_begins(name):
    plain, planned = (EVERY[name](optimizer(kind="graph")) for _ in range(2))
    planned.open_ended = True
    assert walked(planned, 40) == walked(plain, 40)
    before = rates(planned)[0]
    planned.begin_decay(2, 0.5)
    assert walked(planned, 2) == pytest.approx([(before + 0.5) / 2, 0.5])


# A curve whose rest is stretched.


def at(fraction, schedule):
    """The value of a schedule between two steps, by the reference."""
    return reference.value(schedule, fraction)


@pytest.mark.parametrize("runtime", ["eager", "compile", "xla", "lazy"], indirect=True)
@pytest.mark.parametrize("lowering", ["graph", "segments", "table", "host"])
def test_what_is_left_goes_on_at_another_pace(runtime, lowering):
    parameter = torch.nn.Parameter(torch.ones(2, device=runtime.device()))
    made = torch.optim.SGD([parameter], lr=torch.tensor(0.5))
    schedule = Linear(0.0, 0.1, 4).then(CosineDecay(0.1, 0.001, 12), at=4)
    with on_device():
        scheduler = Scheduler(made, schedule, lowering=lowering)
    scheduler.step(7)
    scheduler.extend(22)
    assert float32_ulps(rates(scheduler)[0], at(7, schedule)) <= 1
    for step, got in enumerate(walked(scheduler, 17), start=8):
        place = 7 + Fraction(9, 15) * (min(step, 22) - 7)
        assert float32_ulps(got, at(place, schedule)) <= 1
    assert rates(scheduler) == pytest.approx([0.001], rel=2**-24)


@KINDS
def test_a_run_may_be_extended_again_and_shortened(kind):
    schedule = Linear(0.1, 0.0, 10)
    scheduler = Scheduler(optimizer(kind=kind), schedule, open_ended=True)
    scheduler.step(5)  # at 5 of 10
    scheduler.extend(15)
    assert walked(scheduler, 4) == pytest.approx([0.045, 0.04, 0.035, 0.03])
    scheduler.extend(12)  # at 7 of 10, and 3 steps are left
    assert walked(scheduler, 4) == pytest.approx([0.02, 0.01, 0.0, 0.0], rel=2**-24)
    with pytest.raises(ArgumentError, match="nothing is left to stretch"):
        scheduler.extend(100)


@KINDS
@pytest.mark.parametrize(("end", "until"), [(10**5, 10**6 + 3), (2**40, 2**41 + 1), (7, 2**45)])
def test_long_runs_end_where_they_are_to(kind, end, until):
    schedule = CosineDecay(0.5, 0.25, end)
    scheduler = Scheduler(optimizer(kind=kind), schedule, open_ended=True, lowering=None)
    now = end // 3
    scheduler.step(now)
    scheduler.extend(until)
    for step in (now, now + 1, (now + until) // 2, until - 1, until, until + 1):
        scheduler.step(step)
        place = now + Fraction(end - now, until - now) * (min(step, until) - now)
        assert float32_ulps(rates(scheduler)[0], at(place, schedule)) <= 1
    assert rates(scheduler) == [0.25]


def test_groups_that_end_at_other_steps_keep_their_order():
    made = optimizer({}, {})
    scheduler = Scheduler(made, [Linear(0.1, 0.0, 10), Linear(0.2, 0.0, 20)])
    scheduler.step(5)
    scheduler.extend(35)
    scheduler.step(15)
    assert rates(scheduler) == pytest.approx([0.0, 0.1], abs=1e-12)
    scheduler.step(35)
    assert rates(scheduler) == [0.0, 0.0]


@KINDS
def test_an_attribute_is_the_curve_as_if_it_had_always_been_so(kind):
    scheduler = CosineDecayLR(optimizer(kind=kind), 0.1, 0.0, 10, open_ended=True)
    scheduler.step(5)
    scheduler.extend(25)
    assert (scheduler.total_iters, scheduler.schedule) == (10, CosineDecay(0.1, 0.0, 10))
    scheduler.total_iters = 25
    assert walked(scheduler, 1) == pytest.approx([CosineDecay(0.1, 0.0, 25)(6)])
    assert "plan" not in scheduler.state_dict()


@KINDS
def test_a_decay_and_a_stretched_curve_are_beside_each_other(kind):
    scheduler = Scheduler(optimizer(kind=kind), Linear(0.1, 0.0, 10))
    scheduler.step(5)
    scheduler.extend(15)
    scheduler.begin_decay(2, 0.01)
    assert walked(scheduler, 2) == pytest.approx([0.03, 0.01])
    with pytest.raises(ArgumentError, match="total_iters=20: a decay began at step 5"):
        scheduler.extend(20)
    scheduler.end_decay()
    assert walked(scheduler, 1) == pytest.approx([0.035])
    scheduler.extend(22)  # at 6.5 of 10, and 14 steps are left
    assert walked(scheduler, 2) == pytest.approx([0.0325, 0.03])
    assert scheduler.state_dict()["plan"]["last"] == 7


@pytest.mark.parametrize("name", EVERY)
def test_every_class_is_stretched_or_says_why_not(name):
    scheduler = EVERY[name](optimizer(kind="graph"))
    scheduler.step(13)
    before = scheduler.state_dict()
    settles = max((s.settles or 0 for s in scheduler.schedules), default=0)
    if settles <= 13:
        with pytest.raises(ArgumentError, match=r"no end|count steps|nothing is left"):
            scheduler.extend(500)
        assert scheduler.state_dict() == before
        return
    (schedule,) = scheduler.schedules
    scheduler.extend(500)
    assert rates(scheduler) == pytest.approx(before["_last_lr"], rel=2**-22)
    scheduler.step(300)
    place = 13 + Fraction(settles - 13, 500 - 13) * (300 - 13)
    assert rates(scheduler) == pytest.approx([at(place, schedule)], rel=2**-22, abs=1e-12)
    scheduler.step(500)
    assert rates(scheduler) == pytest.approx([schedule(settles)], rel=2**-22)


@pytest.mark.parametrize(
    ("schedule", "wrong", "says"),
    [
        (Linear(0.1, 0.0, 10), 5, "total_iters=5: this is step 5"),
        (Linear(0.1, 0.0, 10), 2.5, "total_iters=2.5"),
        (Linear(0.1, 0.0, 5), 20, "nothing is left"),
        (Linear(0.1, 0.0, 2**60), 2**61, "int64 cannot count"),
        (Cyclic(0.0, 0.1), 20, "schedule=Cyclic.*no end"),
        (Tabulated(Linear(0.1, 0.0, 10), 10), 20, "schedule=Tabulated.*count steps"),
        (Constant(0.1) * Lambda(1.0, [lambda t: 1 / (1 + t)], 10), 20, "Lambda.*count steps"),
    ],
)
def test_what_cannot_be_stretched_is_refused_and_changes_nothing(schedule, wrong, says):
    scheduler = Scheduler(optimizer(), schedule)
    scheduler.step(5)
    before = scheduler.state_dict()
    with pytest.raises(ArgumentError, match=says):
        scheduler.extend(wrong)
    assert scheduler.state_dict() == before and not scheduler.open_ended


# With schedules, attributes and parents.


@KINDS
def test_other_schedules_and_attributes_drop_a_decay(kind):
    for change in (
        lambda s: setattr(s, "schedule", Constant(0.3)),
        lambda s: s.reschedule([Constant(0.3)]),
        lambda s: setattr(s, "learning_rate", 0.3),
        lambda s: s(s.optimizer),
        lambda s: setattr(s, "open_ended", False),
    ):
        scheduler = ConstantLR(optimizer(kind=kind), 0.3, open_ended=True)
        scheduler.begin_decay(4)
        scheduler.step()
        change(scheduler)
        assert walked(scheduler, 1) == pytest.approx([0.3], rel=2**-24)
        assert "plan" not in scheduler.state_dict()


def test_attributes_read_what_was_given():
    scheduler = CosineDecayLR(optimizer(), 0.1, 0.0, 100, open_ended=True)
    scheduler.begin_decay(7, 0.05)
    assert (scheduler.total_iters, scheduler.end_learning_rate) == (100, 0.0)
    assert scheduler.schedule == CosineDecay(0.1, 0.0, 100)


def test_who_is_open_ended():
    made = Scheduler(optimizer(), Constant(0.1))
    assert not made.open_ended
    assert Scheduler(None, Constant(0.1), open_ended=True).open_ended
    assert Scheduler(optimizer(), 0.5 * STABLE).open_ended
    made.begin_decay(3)
    made.end_decay()
    assert made.open_ended
    made.open_ended = False
    assert not made.open_ended
    with pytest.raises(ArgumentError, match="open_ended=1"):
        made.open_ended = 1


def test_a_class_with_a_formula_of_its_own_decays():
    class Ramp(LRScheduler):
        def __init__(self, optimizer, end, total_iters):
            self.end = end
            super().__init__(optimizer, total_iters, open_ended=True)

        def _get_closed_form(self):
            return self.end * self.last_epoch.clamp(max=self.total_iters) / self.total_iters

    scheduler = Ramp(optimizer(), 0.4, 4)
    scheduler.step(4)
    scheduler.begin_decay(2)
    assert walked(scheduler, 2) == pytest.approx([0.2, 0.0])
    scheduler.end = 0.8
    assert walked(scheduler, 1) == pytest.approx([0.8])


def test_a_part_refuses_and_its_parent_does_it():
    made = optimizer()
    parts = [LinearLR(made, 0.0, 0.1, 5), ConstantLR(made, 0.1)]
    scheduler = SequentialLR(made, parts, [5], open_ended=True)
    for part in parts:
        for call in (lambda: part.begin_decay(3), part.end_decay, lambda: part.extend(9)):  # noqa: B023
            with pytest.raises(RuntimeError, match="call .* on that one"):
                call()
    scheduler.step(10)
    scheduler.begin_decay(2)
    assert walked(scheduler, 2) == pytest.approx([0.05, 0.0])


def test_what_is_planned_for_one_is_not_lost_in_another():
    made = optimizer()
    part = ConstantLR(made, 0.1)
    part.begin_decay(3)
    with pytest.raises(ArgumentError, match="begin_decay or extend was called on it"):
        SequentialLR(made, [LinearLR(made, 0.0, 0.1, 5), part], [5])
    assert walked(part, 3)[-1] == 0


def test_without_an_optimizer_there_is_no_value_to_decay_from():
    with pytest.raises(RuntimeError, match="no optimizer yet"):
        Scheduler(None, STABLE).begin_decay(3)


def test_values_that_depend_on_those_before_them_have_no_decay():
    class Halved(Policy):
        def get_lr(self):
            return [group["lr"] * 0.5 for group in self.optimizer.param_groups]

    for scheduler in (Multiply({1: 0.5})(optimizer()), Halved()(optimizer())):
        with pytest.raises(ArgumentError, match="depends on the one before"):
            scheduler.begin_decay(3)


# What is refused, before anything is changed.


@KINDS
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"total_iters": 0}, "total_iters=0"),
        ({"total_iters": 2.5}, "total_iters=2.5"),
        ({"total_iters": 2**62 - 1}, "total_iters=.*before step"),
        ({"end": -0.1}, "end=-0.1: .*from 0"),
        ({"end": float("nan")}, "end=nan"),
        ({"end": [0.1, 0.2]}, r"end=\[0.1, 0.2\]: 1 param groups"),
        ({"end": "0"}, "end='0'"),
        ({"shape": "sqrt"}, "shape='sqrt'.*1-sqrt"),
        ({"end": 0.0, "shape": "exponential"}, "end=.*shape=.linear"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(kind, wrong, says):
    scheduler = begun(kind)
    scheduler.step()
    before = scheduler.state_dict()
    with pytest.raises(ArgumentError, match=says):
        scheduler.begin_decay(**{"total_iters": 4, **wrong})
    assert scheduler.state_dict() == before
    assert walked(scheduler, 1) == pytest.approx([CURVES["linear"](2 / 8)])


def test_no_factor_leads_from_zero():
    scheduler = Scheduler(optimizer(), STABLE)
    with pytest.raises(ArgumentError, match="shape='exponential': the value now is 0"):
        scheduler.begin_decay(4, 0.1, "exponential")


def test_a_scheduler_that_never_decayed_is_as_it_was_after_a_refusal():
    scheduler = Scheduler(optimizer(), Constant(0.1))
    with pytest.raises(ArgumentError):
        scheduler.begin_decay(4, -1.0)
    assert not scheduler.open_ended


# States and copies.


def phases(kind):
    """A scheduler in each phase of a run with two decays."""
    scheduler = Scheduler(optimizer({}, {}, kind=kind), STABLE)
    yield scheduler
    scheduler.step(7)
    yield scheduler
    scheduler.begin_decay(3, 0.02, "cosine")
    yield scheduler
    scheduler.step()
    yield scheduler
    scheduler.step(12)
    yield scheduler
    scheduler.end_decay()
    yield scheduler
    scheduler.step()
    yield scheduler
    scheduler.begin_decay(2, [0.01, 0.03], "exponential")
    scheduler.step()
    yield scheduler


def phases_of_a_stretched_curve(kind):
    """A scheduler in each phase of a run that is extended twice."""
    schedule = Linear(0.0, 0.1, 4).then(CosineDecay(0.1, 0.0, 8), at=4)
    scheduler = Scheduler(optimizer({}, {}, kind=kind), schedule)
    scheduler.step(6)
    scheduler.extend(19)
    yield scheduler
    scheduler.step()
    yield scheduler
    scheduler.extend(23)
    yield scheduler
    scheduler.begin_decay(3, 0.01)
    scheduler.step()
    yield scheduler
    scheduler.end_decay()
    scheduler.step(21)
    yield scheduler


@KINDS
@pytest.mark.parametrize("open_ended", [True, False])
def test_a_run_that_is_killed_in_any_phase_continues_bit_for_bit(kind, open_ended):
    for scheduler in phases(kind):
        schedule = STABLE if open_ended else Linear(0.0, 0.1, 4).then(Constant(0.1), at=4)
        killed = Scheduler(optimizer({}, {}, kind=kind), schedule)
        saved = pickle.loads(pickle.dumps(scheduler.state_dict()))
        if not open_ended:
            saved["schedules"] = killed.state_dict()["schedules"]
        copies = [copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))]
        killed.load_state_dict(saved)
        for other in (killed, *copies):
            assert rates(other) == rates(scheduler)
        want = rates_ahead(copies.pop())
        assert rates_ahead(killed) == want
        assert rates_ahead(copies.pop()) == want


@KINDS
def test_a_run_that_was_extended_continues_bit_for_bit(kind):
    for scheduler in phases_of_a_stretched_curve(kind):
        schedule = Linear(0.0, 0.1, 4).then(CosineDecay(0.1, 0.0, 8), at=4)
        killed = Scheduler(optimizer({}, {}, kind=kind), schedule)
        killed.load_state_dict(pickle.loads(pickle.dumps(scheduler.state_dict())))
        copied = copy.deepcopy(scheduler)
        assert rates(killed) == rates(scheduler) == rates(copied)
        assert rates_ahead(killed) == rates_ahead(copied)


def rates_ahead(scheduler):
    made = []
    for _ in range(5):
        scheduler.step()
        made.append(rates(scheduler))
    return made


@KINDS
def test_an_earlier_state_undoes_a_decay(kind):
    scheduler = Scheduler(optimizer(kind=kind), STABLE)
    scheduler.step(8)
    before = scheduler.state_dict()
    scheduler.begin_decay(2)
    assert walked(scheduler, 2)[-1] == 0
    scheduler.load_state_dict(before)
    assert walked(scheduler, 3) == pytest.approx([0.1] * 3)
    assert scheduler.state_dict().keys() == before.keys()


def test_a_decay_that_ends_before_it_began_is_none():
    scheduler = Scheduler(optimizer(), Linear(0.1, 0.0, 10))
    scheduler.step(2)
    scheduler.extend(20)
    scheduler.step(8)
    scheduler.begin_decay(3)
    scheduler.last_epoch = 5
    scheduler.end_decay()
    before = rates(scheduler)
    scheduler.load_state_dict(scheduler.state_dict())
    assert rates(scheduler) == before
    assert walked(scheduler, 15)[-1] == 0


def test_the_scheduler_of_torch_goes_on_from_our_state():
    scheduler = ConstantLR(optimizer(), 0.1)
    scheduler.begin_decay(3)
    theirs = torch.optim.lr_scheduler.ConstantLR(optimizer(), 1.0)
    theirs.load_state_dict(scheduler.state_dict())
    theirs.optimizer.step()
    theirs.step()
    assert theirs.last_epoch == 1


@pytest.mark.parametrize(
    "change",
    [
        {"shape": "sqrt"},
        {"start": -1},
        {"start": 2**62},
        {"last": "never"},
        {"total_iters": 0},
        {"initial": [0.1, 0.1]},
        {"end": [-1.0]},
        {"more": 1},
        {"slow": 3},
        {"since": 5, "until": 3},
    ],
)
def test_a_state_with_a_plan_that_cannot_be_is_refused(change):
    scheduler = begun()
    state = scheduler.state_dict()
    wrong = {**state, "plan": {**state["plan"], **change}}
    with pytest.raises(ArgumentError):
        scheduler.load_state_dict(wrong)
    with pytest.raises(ArgumentError, match=r"state_dict\['plan'\]=3"):
        scheduler.load_state_dict({**state, "plan": 3})
    assert scheduler.state_dict() == state


# Other ways to the values.


def test_what_is_exported_decays():
    from accelsched.export import program

    scheduler = begun()
    step, value = program(scheduler).module()(torch.tensor(13))
    assert (int(step), float(value)) == (14, pytest.approx(CURVES["linear"](3 / 8)))


def test_the_reference_has_the_same_decay():
    scheduler = begun(shape="cosine")
    (driven,) = scheduler._driven_by(scheduler.schedules, scheduler._plan)
    assert [reference.value(driven, step) for step in range(11, 19)] == pytest.approx(
        walked(scheduler, 8), rel=2**-50
    )
