"""What a scheduler says of itself: its value at any step, and where it is in its schedule."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch
from binding import EVERY, optimizer
from hypothesis import given, settings
from hypothesis import strategies as st
from own_schedulers import EXPECTED, written_for

from accelsched import (
    ArgumentError,
    Scheduler,
    SchedulerList,
    lr_scheduler,
    on_device,
    policy,
)
from accelsched._binding import host_values
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineDecay,
    Exponential,
    InverseSquareRootDecay,
    Linear,
    WarmupCosine,
)

MINE = written_for("cerebras.pytorch.optim")


def on(*names):
    return pytest.mark.parametrize("runtime", names, indirect=True)


# The value at a step.


@pytest.mark.parametrize("name", EVERY)
def test_it_is_what_the_groups_hold_at_that_step(name):
    its = optimizer({}, {})
    scheduler = EVERY[name](its)
    foretold = [scheduler.value_at(step) for step in range(120)]
    for values in foretold:
        assert values == scheduler.get_last_value()
        scheduler.step()
    assert scheduler.value_at(3) == foretold[3]


@pytest.mark.parametrize("name", EVERY)
def test_on_a_device_it_is_the_value_before_it_is_rounded(name):
    scheduler = EVERY[name](optimizer(kind="graph"))
    for step in (0, 1, 20, 21, 99, 1000, 2**40):
        assert scheduler.value_at(step) == [scheduler.schedule(step)]
    assert scheduler.last_epoch == 0


def test_a_zero_is_a_zero_where_the_group_holds_the_least_rate():
    its = optimizer(kind="graph", cls=torch.optim.AdamW, capturable=True)
    scheduler = Scheduler(its, Linear(0.0, 0.1, 10))
    assert scheduler.value_at(0) == [0.0]
    assert float(its.param_groups[0]["lr"]) == 2.0**-114


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, 99)), min_size=1),
    st.integers(0, 2**40),
)
def test_it_has_one_float_for_each_driven_group(numbers, step):
    schedules = [Linear(*each) for each in numbers]
    groups = [{"tags": "mine"}, *([{"tags": "mine"}] * (len(numbers) - 1)), {"tags": "other"}]
    scheduler = Scheduler(optimizer(*groups), schedules, param_group_tags="mine")
    values = scheduler.value_at(step)
    assert values == [schedule(step) for schedule in schedules]
    assert all(type(value) is float for value in values)


def test_a_hundred_groups_are_one_call_of_one_function(monkeypatch):
    made, asked = [], []
    lower = host_values.lower_to_host

    def lowered(schedules):
        made.append(schedules)
        function = lower(schedules)
        at = function.at
        function.at = lambda step: asked.append(step) or at(step)
        return function

    monkeypatch.setattr(host_values, "lower_to_host", lowered)
    scheduler = Scheduler(optimizer(*[{}] * 100), [CosineDecay(0.1 * i, 0, 9) for i in range(100)])
    for step in range(12):
        assert len(scheduler.value_at(step)) == 100
    assert len(made) == 1
    assert asked == list(range(12))
    scheduler.schedules = [Constant(0.1)] * 100
    assert scheduler.value_at(5) == [0.1] * 100
    assert len(made) == 2


def test_a_schedule_that_is_changed_counts_at_once():
    its = optimizer()
    scheduler = lr_scheduler.LinearLR(its, 0.0, 1.0, 10)
    assert scheduler.value_at(5) == [0.5]
    scheduler.total_iters = 20
    assert scheduler.value_at(5) == [0.25]
    scheduler.schedule = Constant(0.3)
    assert scheduler.value_at(5) == [0.3]
    other = lr_scheduler.LinearLR(optimizer(), 0.0, 1.0, 40)
    scheduler = lr_scheduler.LinearLR(optimizer(), 0.0, 1.0, 10)
    scheduler.value_at(5)
    scheduler.load_state_dict(other.state_dict())
    assert scheduler.value_at(5) == [0.125]


def test_relative_values_are_those_of_each_group():
    its = optimizer({"lr": 0.5}, {"lr": 0.25})
    scheduler = Scheduler(its, Linear(1.0, 0.0, 4), relative=True)
    assert scheduler.value_at(2) == [0.25, 0.125]


def test_a_part_has_steps_of_its_own():
    its = optimizer()
    scheduler = EVERY["SequentialLR nested"](its)
    _, second, third = scheduler.children
    assert scheduler.value_at(5 + 30) == second.value_at(30)
    assert scheduler.value_at(90 + 30) == third.value_at(30)
    assert second.children[1].value_at(10) == second.value_at(30)


@pytest.mark.parametrize("name", MINE.EVERY)
def test_a_closed_form_that_a_user_wrote(name):
    its = optimizer({"tags": ["a"]}, {"tags": ["b"]}, momentum=0.5, weight_decay=0.1)
    scheduler = MINE.EVERY[name](MINE, its)
    for step in (0, 1, 10, 41, 100, 1000):
        # Some compute in float32: five roundings, each of half an ulp of a number below 1.
        allowed = 5 * 2.0**-25
        assert scheduler.value_at(step)[0] == pytest.approx(EXPECTED[name](step), abs=allowed)
        scheduler.step(step)
        held = scheduler.get_last_value()
        assert scheduler.value_at(step) == [held[index] for index in scheduler.indices]


def test_a_class_that_a_user_wrote_ends_at_its_total_iters():
    ends = {}
    for name, make in MINE.EVERY.items():
        its = optimizer({"tags": ["a"]}, momentum=0.5, weight_decay=0.1)
        ends[name] = make(MINE, its).report().ends
    assert ends == {
        "Trapezoid": (70,),
        "Trapezoid of a tag": (70,),
        "Stairs": (None,),
        "Stairs that are smooth": (None,),
        "Wave": (None,),
        "MomentumRamp": (50,),
        "Dimmed": (60,),
    }


class Inverse(policy.Policy):
    """One over the step: a function of it alone."""

    def get_lr(self):
        return [0.1 / (1 + self.last_epoch) for _ in self.optimizer.param_groups]


class Branches(policy.Policy):
    """A function of the step that cannot be traced."""

    def get_lr(self):
        return [0.1 if self.last_epoch < 3 else 0.05 for _ in self.optimizer.param_groups]


class Halved(policy.Policy):
    """Half of what each group has."""

    def get_lr(self):
        return [group["lr"] * 0.5 for group in self.optimizer.param_groups]


@pytest.mark.parametrize("cls", [Inverse, Branches])
def test_a_get_lr_that_reads_the_step_only(cls):
    scheduler = cls()(optimizer())
    for step in range(6):
        assert scheduler.value_at(step) == scheduler.get_last_lr()
        scheduler.step()


def test_values_that_depend_on_those_before_them_are_refused():
    for scheduler in (
        policy.Multiply({3: 0.5}, lr_init=0.1)(optimizer()),
        policy.Switch({3: 0.5}, lr_init=0.1)(optimizer(kind="graph")),
        Halved()(optimizer()),
    ):
        with pytest.raises(ArgumentError, match="depends on the one before: step it, and read"):
            scheduler.value_at(3)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (-1, "step=-1: steps are counted from 0"),
        (1.5, "step=1.5: give a whole number of steps"),
        ("3", "step='3': give a number"),
        (True, "step=True: give a number"),
        (None, "step=None: give a number"),
        (float("nan"), "step=nan: give a finite number"),
        (2**70, r"step=1180591620717411303424: give a number between -2\*\*62 and 2\*\*62"),
        (torch.tensor(3), r"step=tensor\(3\): give a number"),
    ],
)
def test_what_is_no_step(step, message):
    scheduler = Scheduler(optimizer(), Constant(0.1))
    with pytest.raises(ArgumentError, match=message):
        scheduler.value_at(step)


def test_a_step_of_numpy_is_one():
    assert Scheduler(optimizer(), Linear(0.0, 1.0, 4)).value_at(np.int64(1)) == [0.25]


def test_without_an_optimizer_there_are_no_groups():
    scheduler = Scheduler(None, Constant(0.1))
    for ask in (lambda: scheduler.value_at(0), scheduler.report):
        with pytest.raises(RuntimeError, match="no optimizer yet: call"):
            ask()


def test_to_have_asked_leaves_no_trace():
    its = optimizer()
    scheduler = lr_scheduler.LinearLR(its, 0.0, 1.0, 10)
    before = scheduler.state_dict(), dict(vars(scheduler))
    scheduler.value_at(5)
    scheduler.report()
    assert (scheduler.state_dict(), dict(vars(scheduler))) == before
    for again in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        assert again.value_at(5) == [0.5]
    gone = weakref.ref(scheduler)
    del scheduler, its, before, again
    gc.collect()
    assert gone() is None


# The report.


def test_the_report_of_a_schedule_from_its_start_to_past_its_end():
    scheduler = Scheduler(optimizer(), CosineDecay(0.1, 0.01, 1000))
    expected = {
        0: "step 0: 0.1\n  ends at step 1,000: 0 % done, 1,000 to go",
        3: "step 3: 0.099998\n  ends at step 1,000: 0.3 % done, 997 to go",
        500: "step 500: 0.055\n  ends at step 1,000: 50 % done, 500 to go",
        999: "step 999: 0.0100002\n  ends at step 1,000: 99 % done, 1 to go",
        1000: "step 1,000: 0.01\n  the horizon was reached at step 1,000: the value stays at 0.01",
        5000: "step 5,000: 0.01\n  the horizon was passed at step 1,000: the value stays at 0.01",
    }
    for step, text in expected.items():
        scheduler.step(step)
        assert str(scheduler.report()) == f"Scheduler of lr, {text}"


@pytest.mark.parametrize(
    ("schedule", "line"),
    [
        (Constant(0.1), "is constant"),
        (Exponential(0.1, total_iters=10, rate=0.5), "has no end"),
        (InverseSquareRootDecay(0.1), "has no end"),
        (CosineAnnealing(0.1, 50), "has no end: it repeats every 100 steps"),
        (lambda t: 0.1 / (1 + t), "has no known end"),
        (lambda t: 0.1 if t < 500 else 0.05, "ends at step 500: 2 % done, 490 to go"),
    ],
)
def test_the_report_of_a_schedule_at_step_10(schedule, line):
    scheduler = Scheduler(optimizer(), schedule)
    scheduler.step(10)
    assert str(scheduler.report()).split("\n  ")[1:] == [line]


def test_a_sequence_says_in_which_phase_it_is():
    scheduler = EVERY["SequentialLR nested"](optimizer())
    expected = {
        3: ["phase 1 of 3, Constant, until step 5", "has no end"],
        5: ["phase 2 of 3, Sequential, from step 5, until step 90", "has no end"],
        90: ["phase 3 of 3, Chained, from step 90", "has no end"],
    }
    for step, lines in expected.items():
        scheduler.step(step)
        assert list(scheduler.report().lines) == lines
    its = optimizer({"lr": 0.5}, {"lr": 0.25})
    scheduler = Scheduler(its, WarmupCosine(1.0, 110, 10), relative=True)
    scheduler.step(60)
    assert str(scheduler.report()) == (
        "Scheduler of lr, step 60: 0.25, 0.125\n"
        "  phase 2 of 2, CosineDecay, from step 10\n"
        "  ends at step 110: 55 % done, 50 to go"
    )


def test_groups_at_one_place_have_one_line():
    schedules = [Linear(1.0, 0.0, 10) * (i + 1) for i in range(6)]
    its = optimizer(*[{}] * 8, momentum=0.5)
    scheduler = Scheduler(its, [*schedules, Constant(0.5), Linear(1.0, 0.5, 5)], "momentum")
    scheduler.step(5)
    assert str(scheduler.report()) == (
        "Scheduler of momentum, step 5: 0.5, 1, 1.5, 2, ...\n"
        "  param groups 0, 1, 2, 3, ...: ends at step 10: 50 % done, 5 to go\n"
        "  param group 6: is constant\n"
        "  param group 7: the horizon was reached at step 5: the value stays at 0.5"
    )
    assert scheduler.report().ends == (10,) * 6 + (0, 5)
    assert scheduler.report().values == (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 0.5, 0.5)


def test_values_that_depend_on_those_before_them_are_those_of_the_groups():
    scheduler = policy.Multiply({1: 0.5}, lr_init=0.1)(optimizer(kind="graph"))
    scheduler.step()
    assert str(scheduler.report()) == (
        "Multiply of lr, step 1: 0.05\n  each value depends on the one before: no end is known"
    )
    assert scheduler.report().ends == (None,)


def test_a_list_has_a_report_for_each_scheduler():
    its = optimizer(momentum=0.5)
    both = SchedulerList(
        [Scheduler(its, Linear(1, 0, 4)), Scheduler(its, Constant(0.5), "momentum")]
    )
    both.step()
    assert [str(report) for report in both.report()] == [
        "Scheduler of lr, step 1: 0.75\n  ends at step 4: 25 % done, 3 to go",
        "Scheduler of momentum, step 1: 0.5\n  is constant",
    ]


def test_a_part_is_in_the_report_of_the_whole():
    scheduler = EVERY["SequentialLR"](optimizer())
    with pytest.raises(RuntimeError, match="step that one"):
        scheduler.children[0].report()


# What it costs.


@on("xla", "lazy")
def test_values_and_a_report_read_nothing_from_the_device(runtime):
    parameter = torch.nn.Parameter(torch.ones(2).to(runtime.device()))
    groups = [{"params": [parameter]}, {"params": [torch.nn.Parameter(parameter.detach().clone())]}]
    its = torch.optim.SGD(groups, lr=0.1)
    with on_device():
        scheduler = Scheduler(its, [CosineDecay(0.1, 0.0, 10), CosineDecay(0.2, 0.0, 10)])
    for _ in range(3):
        scheduler.step()
        runtime.finish_step()
    runtime.wait()
    before = runtime.counters()
    assert scheduler.value_at(5) == pytest.approx([0.05, 0.1], rel=1e-15)
    assert runtime.counters() == before
    assert scheduler.report().step == 3
    assert runtime.counters() == before  # as Python took each step
