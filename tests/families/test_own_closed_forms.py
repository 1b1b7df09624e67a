"""Schedulers that users write with ``_get_closed_form``, as for cerebras_pytorch."""

import copy
import gc
import json
import pickle
import weakref

import pytest
import torch
from binding import optimizer
from float32 import tolerance
from own_schedulers import EXPECTED, written_for

from accelsched import ArgumentError, Scheduler, from_spec, on_device, to_spec
from accelsched._runtimes import NAMED
from accelsched.lr_scheduler import (
    ChainedLR,
    ConstantLR,
    LinearLR,
    LRScheduler,
    ScalePerParamLR,
    SequentialLR,
)
from accelsched.schedules import Linear

MINE = written_for("cerebras.pytorch.optim")
KINDS = pytest.mark.parametrize("kind", ["host", "graph"])
NAMES = pytest.mark.parametrize("name", MINE.EVERY)
GROUPS = ({"tags": ["a"]}, {"adjust_learning_rate": 0.5})


def made(name, kind="host", groups=GROUPS):
    opt = optimizer(*groups, kind=kind, momentum=0.5, weight_decay=0.5)
    return MINE.EVERY[name](MINE, opt)


def held(scheduler):
    return float(scheduler.get_last_value()[0])


def assert_alike(value, name, t):
    allowed = tolerance(EXPECTED[name], t, 1.0, power=True)
    assert value == pytest.approx(EXPECTED[name](t), abs=allowed), t


@KINDS
@NAMES
def test_values(name, kind):
    scheduler = made(name, kind)
    untouched = optimizer(*GROUPS, kind=kind, momentum=0.5, weight_decay=0.5).param_groups
    for t in range(90):
        assert_alike(held(scheduler), name, t)
        scheduler.step()
    for index, (group, before) in enumerate(
        zip(scheduler.optimizer.param_groups, untouched, strict=True)
    ):
        others = {"lr", "momentum", "weight_decay"}
        others -= {scheduler.key} if index in scheduler.indices else set()
        assert all(group[key] == before[key] for key in others)
    assert scheduler.param_group_key == scheduler.key


@NAMES
def test_the_whole_curve_and_a_step_are_one_formula(name):
    scheduler = made(name)
    schedule = scheduler.schedule
    curve, steps = schedule.curve(0, 90), torch.arange(90)
    for t in range(90):
        # Two libraries compute a power in float32.
        assert schedule(t) == curve[t] == pytest.approx(float(schedule(steps)[t]), rel=2**-22)
        assert_alike(curve[t], name, t)


@pytest.mark.parametrize("runtime", ["compile", "xla", "lazy"], indirect=True)
@NAMES
def test_a_back_end_compiles_it_once(runtime, name):
    parameter = torch.nn.Parameter(torch.ones(2).to(runtime.device()))
    value = torch.tensor(0.5) if runtime.name == "compile" else 0.5
    opt = torch.optim.SGD([{"params": [parameter], "tags": ["a"]}], lr=value)
    opt.param_groups[0]["momentum"] = opt.param_groups[0]["weight_decay"] = value
    with on_device():
        scheduler = MINE.EVERY[name](MINE, opt)
    step = runtime.compiled(scheduler.step)
    for _ in range(3):
        step()
        runtime.finish_step()
    before = runtime.counters()
    for t in range(4, 30):
        step()
        runtime.finish_step()
        after = runtime.counters()
        assert (after - before).compiles == (after - before).fallbacks == 0
        assert_alike(held(scheduler), name, t)
        runtime.finish_step()
        before = runtime.counters()


def test_a_back_end_without_float64():
    runtime = type(NAMED["eager"])()
    runtime.has_float64 = False
    for name in MINE.EVERY:
        schedule = made(name).schedule
        evaluate = runtime.lower(lambda _, s=schedule: s._values, torch.device("cpu"))
        for t in (0, 1, 6, 7, 20, 41, 69, 70):
            (value,) = evaluate(torch.tensor(t))
            assert_alike(float(value), name, t)


# Attributes that change.


@KINDS
def test_an_attribute_counts_from_the_next_step(kind):
    scheduler = made("Trapezoid", kind)
    scheduler.step(20)
    for name, value in (("initial_val", 0.4), ("_decay", 40), ("total_iters", 60)):
        before = held(scheduler)
        setattr(scheduler, name, value)
        assert held(scheduler) == before
    scheduler.step(40)
    assert held(scheduler) == pytest.approx(0.4 * 20 / 40)
    stairs = made("Stairs", kind)
    stairs.milestones = [2]
    stairs.step(2)
    assert held(stairs) == pytest.approx(0.2)
    dimmed = made("Dimmed", kind)
    dimmed.factor, dimmed.end_learning_rate = 0.5, 0.04
    assert (dimmed.end_learning_rate, dimmed.total_iters) == (0.04, 60)
    dimmed.step(60)
    assert held(dimmed) == pytest.approx(0.02)


@KINDS
@pytest.mark.parametrize("value", ["wide", -1, torch.ones(3)], ids=str)
def test_an_attribute_that_cannot_be_changes_nothing(value, kind):
    scheduler = made("Trapezoid", kind)
    with pytest.raises(ArgumentError):
        scheduler.initial_val = value
    assert scheduler.initial_val == 0.2
    scheduler.step(5)
    assert_alike(held(scheduler), "Trapezoid", 5)


def test_a_schedule_that_is_set_in_its_place_stays():
    scheduler = made("Trapezoid")
    scheduler.schedule = Linear(0.0, 0.1, 10)
    scheduler.initial_val = 0.4
    scheduler.step(5)
    assert held(scheduler) == pytest.approx(0.05)
    other = made("Trapezoid")
    other.schedule = Linear(0.0, 0.2, 20)
    other.load_state_dict(scheduler.state_dict())
    assert (held(other), other.initial_val) == (held(scheduler), 0.2)


# Composition.


@KINDS
def test_in_a_sequence_that_sees_attributes_change(kind):
    opt = optimizer(*GROUPS, kind=kind)
    first, second = MINE.Trapezoid(None, 0.2, 11, 30, 70), MINE.Stairs(opt, 0.4, 0.8, 7, [])
    both = SequentialLR(opt, [first, ScalePerParamLR(opt, second)], [20])
    both.step(19)
    assert rates(opt) == pytest.approx([0.2, 0.2])
    both.step(27)
    assert rates(opt) == pytest.approx([0.4 * 0.8, 0.2 * 0.8])
    second.rate = 0.5
    both.step(27)
    assert rates(opt) == pytest.approx([0.2, 0.1])


@KINDS
def test_in_a_chain_it_is_relative_to_its_initial_val(kind):
    opt = optimizer(kind=kind)
    chain = ChainedLR([ConstantLR(opt, 0.1), MINE.Trapezoid(opt, 0.2, 10, 30, 70)])
    chain.step(5)
    assert rates(opt) == pytest.approx([0.05])


def rates(opt):
    return [float(group["lr"]) for group in opt.param_groups]


@KINDS
def test_another_scheduler_that_it_asks_is_at_its_step(kind):
    """Its step is not fixed at the value it had when this scheduler was recorded."""

    class Following(LRScheduler):
        def __init__(self, optimizer, *others):
            self.others = others
            super().__init__(optimizer, None)

        def _get_closed_form(self):
            one, other = self.others
            return one._get_closed_form() * other._get_closed_form()

    opt = optimizer(kind=kind, momentum=0.5)
    ramp = MINE.MomentumRamp(opt, 0.5, 1.0, 10)
    following = Following(opt, ramp, LinearLR(None, 0.0, 0.2, 10))
    following.step(4)
    assert held(following) == pytest.approx(0.7 * 0.08)
    assert ramp.last_epoch == 0


def test_a_composite_has_no_method_of_its_own():
    class Mine(SequentialLR):
        def _get_closed_form(self):
            return super()._get_closed_form()

    with pytest.raises(ArgumentError, match="derive from accelsched.Scheduler"):
        Mine(optimizer(), [ConstantLR(None, 0.1)], [])


# State.


@KINDS
@NAMES
def test_its_state_and_its_copies_go_on(name, kind):
    scheduler = made(name, kind)
    if name == "Trapezoid":
        scheduler.initial_val = 0.3
    scheduler.step(9)
    saved = scheduler.state_dict()
    assert json.loads(json.dumps(saved)) == saved
    loaded = made(name, kind)
    loaded.load_state_dict(json.loads(json.dumps(saved)))
    twins = [loaded, copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))]
    for _ in range(40):
        for twin in twins:
            assert held(twin) == held(scheduler)
            assert twin.last_epoch == scheduler.last_epoch
        for each in (scheduler, *twins):
            each.step()
    for attribute in sorted(scheduler._form_names):
        assert all(getattr(t, attribute) == getattr(scheduler, attribute) for t in twins)


def test_lists_are_lists_again():
    class Nested(LRScheduler):
        def __init__(self, optimizer, points):
            self.points, self.pair = points, (1, 2)
            super().__init__(optimizer, None)

        def _get_closed_form(self):
            value = torch.zeros_like(self.last_epoch, dtype=torch.float64)
            for start, rate in self.points.copy():
                value = torch.where(self.last_epoch >= start, rate, value)
            return value

    scheduler = Nested(optimizer(), [[2, 0.5], [4, 0.25]])
    scheduler.step(4)
    saved = json.loads(json.dumps(scheduler.state_dict()))
    other = Nested(optimizer(), [[3, 0.1], [4, 0.5]])
    other.load_state_dict(saved)
    assert (other.points, other.pair) == ([[2, 0.5], [4, 0.25]], (1, 2))
    assert held(other) == held(scheduler) == 0.25


def test_a_state_with_other_attributes_is_refused():
    scheduler = made("Trapezoid")
    saved = scheduler.state_dict()
    for entry in saved["schedules"]:
        entry["numbers"] = [pair for pair in entry["numbers"] if pair[0] != "warmup"]
    with pytest.raises(ArgumentError, match="warmup"):
        scheduler.load_state_dict(saved)
    for entry in saved["schedules"]:
        entry["numbers"] = "warmup"
    with pytest.raises(ArgumentError, match="numbers"):
        scheduler.load_state_dict(saved)
    assert scheduler.warmup == 11


def test_it_is_bound_later_and_started_later():
    class Late(MINE.Trapezoid):
        def __init__(self, *args):
            self.initial_val, self.warmup, self._decay = 0.2, 11, 30
            LRScheduler.__init__(self, *args)

    scheduler = Late(None, 70, 4)
    scheduler(optimizer())
    assert scheduler.last_epoch == 5
    assert_alike(held(scheduler), "Trapezoid", 5)


def test_nothing_holds_it():
    scheduler = made("Trapezoid")
    gone, schedule = weakref.ref(scheduler), scheduler.schedule
    del scheduler
    assert gone() is None
    assert_alike(schedule(5), "Trapezoid", 5)
    gc.collect()


# Errors.


def refused(body):
    """Return the error of a class whose method has this body, on line 2 of its file."""
    source = f"class Mine(LRScheduler):\n    def _get_closed_form(self): {body}\n"
    names = {"LRScheduler": LRScheduler, "torch": torch, "__name__": __name__}
    exec(compile(source, "mine.py", "exec"), names)
    opt = optimizer()
    with pytest.raises(ArgumentError) as raised:
        names["Mine"](opt, 10)
    assert rates(opt) == [0.001]
    return str(raised.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 0.1 if self.last_epoch < 5 else 0.2", "reads the step on the host"),
        ("return min(self.last_epoch / 5, 1)", "reads the step on the host"),
        ("return {3: 0.1}.get(self.last_epoch, 0.2)", "is looked up in a dict"),
        ("return torch.rand_like(self.last_epoch.float())", "is random"),
        ("return self.last_epoch.add_(1)", "changes a tensor in place"),
        ("return self.optimizer.param_groups[0]['lr']", "has no attribute 'optimizer'"),
        ("return self.warmup * self.last_epoch", "has no attribute 'warmup'"),
        ("return super()._get_closed_form()", "NoneType"),
    ],
)
def test_what_cannot_be_traced_says_where(body, reason):
    message = refused(body)
    assert reason in message
    assert "mine.py:2" in message or "scheduler.py" in message


def test_what_is_no_number_is_refused():
    assert "shape [2]" in refused("return torch.stack([self.last_epoch, self.last_epoch])")
    assert "its value at step" in refused("return self.last_epoch * 0.1 - 1")


def test_a_class_of_ones_own_is_no_spec():
    with pytest.raises(ArgumentError, match="only classes of accelsched"):
        to_spec(made("Trapezoid"))
    assert isinstance(from_spec(to_spec(LinearLR(None, 0.0, 0.1, 5))), LinearLR)


def test_a_schedule_is_still_given_as_before():
    class Named(Scheduler):
        """A class that does not define ``_get_closed_form``."""

    scheduler = Named(optimizer(), LinearLR(None, 0.0, 0.1, 10).schedule, "lr")
    scheduler.step()
    assert held(scheduler) == pytest.approx(0.01)
