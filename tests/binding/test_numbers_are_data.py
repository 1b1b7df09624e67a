"""Changing numbers but not structure writes in place: compiled graphs stay valid.

The back ends' own counters show every compilation. If a graph keeps a number as a constant, the
value differs from the reference.
"""

import contextlib
import dataclasses

import pytest
import torch
from binding import EVERY
from drawing import CLASSES, compositions, one
from hypothesis import HealthCheck, given, settings
from ulps import float32_ulps

from accelsched import Scheduler, reference
from accelsched._recording import record
from accelsched.lr_scheduler import CosineDecayLR, LinearLR, OneCycleLR, SequentialLR
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineDecay,
    Linear,
    Schedule,
    Step,
    WarmupStableDecay,
)
from accelsched.schedules._pytree import flatten
from accelsched.schedules._vectorize import BatchedFormulas, group_by_structure

EVERYWHERE = pytest.mark.parametrize("runtime", ["eager", "compile", "xla", "lazy"], indirect=True)
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    """Reset Dynamo, whose limit of 8 compiles per function spans all tests."""
    torch._dynamo.reset()


class Training:
    """Steps of a scheduler on a back end, each a graph of its own."""

    def __init__(self, runtime, make, groups=2):
        self.runtime, device = runtime, runtime.device()
        lr = torch.tensor(0.01) if device.type == "cpu" else 0.01
        named = [
            {"params": [torch.zeros(2, device=device)], "adjust_learning_rate": 1 - i / 2}
            for i in range(groups)
        ]
        self.optimizer = torch.optim.SGD(named, lr=lr)
        self.scheduler = make(self.optimizer)
        self.step = self.scheduler.step
        if runtime.name == "compile":
            self.step = torch.compile(self.step, fullgraph=True, backend="aot_eager")
        self.train(3)

    def train(self, steps, *, may_compile=False):
        """Take steps, and return how many graphs were compiled."""
        before = self.runtime.counters()
        compiled = self.runtime.name == "compile" and not may_compile
        no_recompile = torch._dynamo.config.patch(error_on_recompile=True)
        with no_recompile if compiled else contextlib.nullcontext():
            for _ in range(steps):
                self.step()
                self.runtime.finish_step()
        self.runtime.wait()
        return (self.runtime.counters() - before).compiles

    def off(self):
        """How far the groups are from the reference, in ulps."""
        step = self.scheduler.last_epoch
        return max(
            float32_ulps(group["lr"].item(), reference.value(schedule, step))
            for group, schedule in zip(
                self.optimizer.param_groups, self.scheduler.in_force, strict=True
            )
        )


def with_others(schedule):
    """The same schedule with other numbers: lengths of a fifth more, values of a quarter less."""

    def other(value):
        if isinstance(value, tuple):
            return tuple(map(other, value))
        if isinstance(value, Schedule):
            return with_others(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        if isinstance(value, int):
            return value + value // 5
        return value * 0.75

    given = [field.name for field in dataclasses.fields(schedule) if field.init]
    return dataclasses.replace(schedule, **{name: other(getattr(schedule, name)) for name in given})


@EVERYWHERE
@pytest.mark.parametrize("lowering", [None, "graph"])
@pytest.mark.parametrize("name", EVERY)
def test_other_numbers_of_any_class(runtime, lowering, name):
    def make(optimizer):
        return Scheduler(optimizer, EVERY[name](optimizer).schedules, lowering=lowering)

    training = Training(runtime, make)
    before = training.scheduler.schedules
    changed = [with_others(schedule) for schedule in before]
    assert changed != list(before)
    for schedules in (changed, before):
        training.scheduler.reschedule(schedules)
        assert training.train(2) == 0
        assert training.off() <= 1


@EVERYWHERE
def test_an_attribute_of_a_part_a_whole_and_a_state(runtime):
    def make(optimizer):
        parts = [LinearLR(optimizer, 0.0, 0.1, 20), CosineDecayLR(optimizer, 0.1, 0.0, 10**4)]
        return SequentialLR(optimizer, parts, [20])

    training = Training(runtime, make, groups=1)
    scheduler = training.scheduler
    saved = scheduler.state_dict()
    scheduler.children[1].total_iters = 12_000
    scheduler.children[0].end_val = 0.3
    assert training.train(2) == 0
    assert scheduler.schedules[0].schedules[1].total_iters == 12_000
    assert training.off() <= 1
    changed = scheduler.state_dict()
    for state, total in ((saved, 10**4), (changed, 12_000)):
        scheduler.load_state_dict(state)
        assert training.train(2) == 0
        assert scheduler.children[1].total_iters == total
        assert training.off() <= 1


@EVERYWHERE
def test_an_attribute_of_one(runtime):
    training = Training(runtime, lambda o: OneCycleLR(o, 0.01, 0.1, 1000), groups=1)
    training.scheduler.total_steps = 1200
    training.scheduler.max_lr = 0.2
    assert training.train(2) == 0
    assert training.scheduler.max_lr == 0.2
    assert training.off() <= 1


@EVERYWHERE
@pytest.mark.parametrize("lowering", ["segments", "table"])
def test_the_room_of_a_curve_serves_shorter_and_longer_ones(runtime, lowering):
    training = Training(
        runtime, lambda o: Scheduler(o, CosineDecay(0.1, 0.0, 600), lowering=lowering)
    )
    for schedule in (Linear(0.3, 0.0, 1000), Constant(0.2), Linear(0.1, 0.2, 5)):
        # Another class, but the lowering has no other operations for it.
        training.scheduler.schedule = schedule
        assert training.train(2) == 0
        assert training.off() <= 1


@EVERYWHERE
def test_a_wave_becomes_a_curve_that_does_not_repeat(runtime):
    training = Training(
        runtime, lambda o: Scheduler(o, CosineAnnealing(0.1, 4), lowering="segments")
    )
    training.scheduler.schedule = CosineDecay(0.3, 0.0, 1000)
    assert training.train(9) == 0
    assert training.off() <= 1


@EVERYWHERE
@pytest.mark.parametrize("lowering", [None, "graph"])
@pytest.mark.parametrize(
    "schedule",
    [
        WarmupStableDecay(0.1, None, 3),
        Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.001, 10**6), at=20),
        CosineAnnealing(0.1, 5),
    ],
    ids=["stable", "curve", "wave"],
)
def test_decays_from_here_and_an_end_that_is_moved(runtime, schedule, lowering):
    """Begun, ended, begun again with each shape, and undone by a state."""

    def make(optimizer):
        return Scheduler(optimizer, schedule, lowering=lowering, open_ended=True)

    training = Training(runtime, make, groups=1)
    scheduler, saved = training.scheduler, training.scheduler.state_dict()
    if scheduler.last_epoch < (schedule.settles or 0):
        scheduler.extend(2 * 10**6)
        assert training.train(2) == 0
        assert training.off() <= 1
    for shape in ("linear", "cosine", "1-sqrt", "exponential"):
        scheduler.begin_decay(10**5, 0.01, shape)
        assert training.train(3) == 0
        assert training.off() <= 1
    scheduler.end_decay()
    assert training.train(2) == 0
    assert training.off() <= 1
    scheduler.load_state_dict(saved)
    assert training.train(2) == 0
    assert training.off() <= 1


@EVERYWHERE
def test_another_structure_compiles_once(runtime):
    training = Training(
        runtime, lambda o: Scheduler(o, CosineDecay(0.1, 0.0, 60), lowering="graph")
    )
    training.scheduler.schedule = Step(0.1, 7, 0.5)
    training.train(2, may_compile=True)
    assert training.off() <= 1
    training.scheduler.schedule = Step(0.2, 9, 0.25)
    assert training.train(2) == 0
    assert training.off() <= 1


def test_an_error_writes_no_number():
    training = Training(_eager(), lambda o: CosineDecayLR(o, 0.1, 0.0, 100), groups=1)
    scheduler, before = training.scheduler, training.scheduler.get()
    with pytest.raises(ValueError, match="total_iters"):
        scheduler.total_iters = -1
    with pytest.raises(ValueError, match="state_dict"):
        scheduler.load_state_dict({**scheduler.state_dict(), "schedules": []})
    assert scheduler.get() == before
    training.train(2)
    assert training.off() <= 1


def _eager():
    from accelsched._runtimes import NAMED

    return NAMED["eager"]


# Why it is so: what is recorded depends on the structure alone.


def recorded(schedules):
    batches = group_by_structure(schedules, [torch.float32] * len(schedules))
    recording = record(BatchedFormulas(batches, torch.device("cpu")))
    shapes = [(name, number.shape) for name, number in recording.named_buffers()]
    return recording.graph.python_code("self").src, shapes


@pytest.mark.parametrize(
    "schedules", [*map(one, CLASSES), compositions(2)], ids=[*(c.__name__ for c in CLASSES), "all"]
)
def test_no_number_is_in_what_is_recorded(schedules):
    by_structure = {}

    @settings(max_examples=25, **QUIET)
    @given(schedules)
    def same(schedule):
        _, structure = flatten(schedule)
        known = by_structure.setdefault(structure, recorded([schedule]))
        assert recorded([schedule]) == known

    same()


@given(*[one(CosineDecay)] * 4)
@settings(max_examples=25, **QUIET)
def test_no_number_of_a_group_is_in_what_is_recorded(first, second, third, fourth):
    """Which numbers two groups share is structure."""
    one_pair, other_pair = [first, second], [third, fourth]
    if [a == b for a, b in zip(flatten(first)[0], flatten(second)[0], strict=True)] == [
        a == b for a, b in zip(flatten(third)[0], flatten(fourth)[0], strict=True)
    ]:
        assert recorded(one_pair) == recorded(other_pair)
