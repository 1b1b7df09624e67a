"""State: plain, versioned, loaded in place, refused as a whole, the same on every driver."""

import copy
import io
import json
import pickle
import subprocess
import sys

import pytest
import torch
from binding import EVERY, optimizer
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsched import ArgumentError, Scheduler, reference
from accelsched.lr_scheduler import (
    CosineDecayLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    SequentialLR,
)
from accelsched.schedules import Lambda, Linear, Tabulated

KINDS = pytest.mark.parametrize("kind", ["host", "graph"])
CASES = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
GROUPS = ({}, {"adjust_learning_rate": 0.25})


def rates(scheduler):
    return [float(group["lr"]) for group in scheduler.optimizer.param_groups]


def saved_and_loaded(state):
    """Through torch.save and the loader that runs no code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def plain(value):
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (bool, int, float, str)


def without_rates(state):
    return {name: value for name, value in state.items() if name != "_last_lr"}


@KINDS
@CASES
def test_a_run_that_is_killed_continues_bit_for_bit(make, kind):
    whole = make(optimizer(*GROUPS, kind=kind))
    killed = make(optimizer(*GROUPS, kind=kind))
    for _ in range(37):
        whole.step()
        killed.step()
    state = saved_and_loaded(killed.state_dict())
    assert plain(state)
    assert json.loads(json.dumps(state)) == state
    resumed = make(optimizer(*GROUPS, kind=kind))
    resumed.load_state_dict(state)
    for _ in range(80):
        assert resumed.last_epoch == whole.last_epoch
        assert rates(resumed) == rates(whole)
        resumed.step()
        whole.step()


@CASES
def test_a_state_moves_between_the_drivers(make):
    host, graph = (make(optimizer(*GROUPS, kind=kind)) for kind in ("host", "graph"))
    host.last_epoch = 41
    graph.load_state_dict(host.state_dict())
    assert without_rates(graph.state_dict()) == without_rates(host.state_dict())
    # The host holds float64, the graph the same value rounded to float32.
    assert rates(graph) == [float(torch.tensor(rate)) for rate in rates(host)]


@settings(max_examples=60, deadline=None)
@given(stop=st.integers(0, 2**40), more=st.integers(0, 20), name=st.sampled_from(sorted(EVERY)))
def test_resuming_anywhere_equals_running_there(stop, more, name):
    there = EVERY[name](optimizer(*GROUPS))
    there.last_epoch = stop + more
    resumed = EVERY[name](optimizer(*GROUPS))
    resumed.load_state_dict({**resumed.state_dict(), "last_epoch": stop})
    for _ in range(more):
        resumed.step()
    assert rates(resumed) == rates(there)


def test_a_state_is_a_copy():
    for kind in ("host", "graph"):
        scheduler = MultiStepLR(optimizer(kind=kind), 0.1, 0.5, [3, 4])
        state = scheduler.state_dict()
        kept = copy.deepcopy(state)
        scheduler.step()
        assert state == kept
        other = MultiStepLR(optimizer(kind=kind), 0.1, 0.5, [3, 4])
        other.load_state_dict(state)
        other.step()
        assert state == kept


def test_loading_takes_the_numbers_over():
    saved = LinearLR(optimizer(), 0.0, 1.0, 10)
    saved.end_learning_rate = 3.0
    saved.step()
    loaded = LinearLR(optimizer(), 0.5, 0.5, 99)
    loaded.load_state_dict(saved.state_dict())
    assert (loaded.initial_learning_rate, loaded.end_learning_rate) == (0.0, 3.0)
    assert rates(loaded) == rates(saved) == pytest.approx([0.3])


def test_loading_reaches_the_children():
    def make(peak):
        opt = optimizer(*GROUPS)
        ramp, decay = LinearLR(opt, 0.0, peak, 10), CosineDecayLR(opt, peak, 0.0, 90)
        return ramp, SequentialLR(opt, [ramp, decay], [10])

    _, saved = make(0.7)
    ramp, loaded = make(0.1)
    loaded.load_state_dict(saved.state_dict())
    assert ramp.end_learning_rate == 0.7
    ramp.end_learning_rate = 0.2
    loaded.step()
    assert rates(loaded) == pytest.approx([0.02, 0.02])


def test_functions_stay_and_are_not_in_the_state():
    scheduler = LambdaLR(optimizer(), 0.3)
    state = scheduler.state_dict()
    assert "functions" not in state["schedules"][0]
    other = LambdaLR(optimizer(), 0.9)
    other.load_state_dict(state)
    assert other.initial_learning_rate == 0.3


STATE = {
    "version": 2,
    "key": "lr",
    "last_epoch": 3,
    "groups": [0],
    "schedules": [
        {"schedule": "Linear", "initial": 0.0, "end": 1.0, "total_iters": 10, "cycle": False}
    ],
}
LINEAR = STATE["schedules"][0]


@KINDS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "version=3: this scheduler has 2"),
        ({"key": "weight_decay"}, "key='weight_decay': this scheduler has 'lr'"),
        ({"groups": [0, 1]}, r"groups=\[0, 1\]: this scheduler has \[0\]"),
        ({"schedules": []}, "number of schedules=0: this scheduler has 1"),
        ({"last_epoch": -1}, "last_epoch"),
        ({"last_epoch": 2.5}, "last_epoch"),
        ({"last_epoch": True}, "last_epoch"),
        ({"last_epoch": 2**62}, "last_epoch"),
        ({"last_epoch": 10**400}, "last_epoch"),
        ({"groups": None}, "groups"),
        ({"schedules": None}, "schedules"),
        ({"schedules": [{**LINEAR, "schedule": "Step"}]}, "'Step': this scheduler has 'Linear'"),
        ({"schedules": [{**LINEAR, "power": 2}]}, "fields of schedule="),
        ({"schedules": [{**LINEAR, "total_iters": -1}]}, "total_iters=-1"),
        ({"schedules": [{**LINEAR, "end": "1"}]}, "end='1'"),
        ({"schedules": ["Linear"]}, "schedule='Linear'"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message, kind):
    scheduler = LinearLR(optimizer(kind=kind), 0.0, 2.0, 10)
    scheduler.step()
    before, rate = scheduler.state_dict(), rates(scheduler)
    with pytest.raises(ArgumentError, match=message):
        scheduler.load_state_dict({**STATE, **change})
    assert (scheduler.state_dict(), rates(scheduler)) == (before, rate)
    scheduler.load_state_dict(STATE)
    assert rates(scheduler) == pytest.approx([0.3])


def test_a_state_of_the_first_release_is_continued_from():
    scheduler = LinearLR(optimizer(), 0.0, 2.0, 10)
    first = {name: STATE[name] for name in ("key", "groups", "schedules")}
    scheduler.load_state_dict({**first, "version": 1, "step": 3})
    assert rates(scheduler) == pytest.approx([0.3])


@pytest.mark.parametrize("other", [{}, {"step": 3, "_step_count": 4}, None, [1]])
def test_what_is_no_state_of_ours(other):
    with pytest.raises(ArgumentError, match="give the state_dict.. of a scheduler"):
        LinearLR(optimizer(), 0.0, 1.0, 10).load_state_dict(other)


def test_a_composition_of_another_shape_is_refused():
    def make(count):
        opt = optimizer()
        children = [LinearLR(opt, 0.0, 1.0, 10) for _ in range(count)]
        return SequentialLR(opt, children, list(range(5, 5 + count - 1)))

    scheduler = make(2)
    with pytest.raises(ArgumentError, match="schedules"):
        scheduler.load_state_dict(make(3).state_dict())
    assert len(scheduler.schedulers) == 2


# Copies and pickles.


@KINDS
@CASES
@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copy_goes_its_own_way(make, kind, how):
    scheduler = make(optimizer(*GROUPS, kind=kind))
    scheduler.last_epoch = 12
    copied = (
        copy.deepcopy(scheduler) if how == "deepcopy" else pickle.loads(pickle.dumps(scheduler))
    )
    assert type(copied) is type(scheduler)
    assert copied.optimizer is not scheduler.optimizer
    assert (copied.last_epoch, rates(copied)) == (12, rates(scheduler))
    before = rates(scheduler)
    for _ in range(30):
        copied.step()
    assert rates(scheduler) == before
    assert rates(copied) == pytest.approx(
        [reference.value(schedule, 42) for schedule in copied.schedules], rel=2**-23, abs=1e-12
    )


def test_a_copy_of_both_stays_bound():
    opt = optimizer(kind="graph")
    scheduler = LinearLR(opt, 0.0, 1.0, 10)
    new_opt, new_scheduler = copy.deepcopy((opt, scheduler))
    assert new_scheduler.optimizer is new_opt
    new_scheduler.step()
    assert float(new_opt.param_groups[0]["lr"]) == pytest.approx(0.1)
    assert float(opt.param_groups[0]["lr"]) == 0.0


def test_children_of_a_copy_are_children_still():
    opt = optimizer()
    scheduler = SequentialLR(opt, [LinearLR(opt, 0.0, 1.0, 10)], [])
    copied = copy.deepcopy(scheduler)
    with pytest.raises(RuntimeError, match="was given to SequentialLR"):
        copied.schedulers[0].step()
    copied.schedulers[0].end_learning_rate = 2.0
    copied.step()
    assert rates(copied) == [0.2]


def test_functions_of_children_are_pickled_with_their_class():
    opt = optimizer()
    scheduler = SequentialLR(opt, [LambdaLR(opt, 0.3), LinearLR(opt, 0.0, 1.0, 10)], [5])
    copied = pickle.loads(pickle.dumps(scheduler))
    copied.step()
    scheduler.step()
    assert rates(copied) == rates(scheduler) == pytest.approx([0.3 / 30 * 0.95])


def test_deepcopy_takes_a_user_function_along():
    scheduler = Scheduler(optimizer(), Lambda(0.5, (lambda step: 0.9**step,)))
    copied = copy.deepcopy(scheduler)
    copied.step()
    assert rates(copied) == pytest.approx([0.45])


def test_a_process_that_was_killed(tmp_path):
    """A state written by one process, read by another after the first is gone."""
    program = """
import os, signal, sys, torch
from accelsched import Scheduler
from accelsched.schedules import Linear, CosineDecay
opt = torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(0.1))
scheduler = Scheduler(opt, Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 100), at=20))
path, stop = sys.argv[1], int(sys.argv[2])
if os.path.exists(path):
    scheduler.load_state_dict(torch.load(path, weights_only=True))
while scheduler.last_epoch < stop:
    scheduler.step()
torch.save(scheduler.state_dict(), path)
print(float(opt.param_groups[0]["lr"]).hex(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

    def run(path, stop):
        result = subprocess.run(
            [sys.executable, "-c", program, path, str(stop)], capture_output=True, text=True
        )
        assert result.returncode == -9, result.stderr
        return result.stdout.strip()

    run(tmp_path / "killed", 33)
    assert run(tmp_path / "killed", 77) == run(tmp_path / "whole", 77)


def test_new_cells_for_a_loaded_optimizer_of_another_kind():
    """A state saved with a float learning rate, loaded where the value is a tensor."""
    saved = optimizer(kind="host")
    LinearLR(saved, 0.0, 1.0, 10)
    opt = optimizer(kind="graph")
    scheduler = Scheduler(opt, Linear(0.0, 1.0, 10))
    cell = opt.param_groups[0]["lr"]
    opt.load_state_dict(saved.state_dict())
    scheduler.step()
    assert opt.param_groups[0]["lr"] is cell
    assert float(cell) == pytest.approx(0.1)


@CASES
def test_a_scheduler_that_follows_another_class_of_schedule_has_a_state(make):
    """It has no settings by Cerebras' names: their scheduler has another formula."""
    one, two = make(optimizer(*GROUPS)), make(optimizer(*GROUPS))
    if hasattr(one, "schedulers"):
        pytest.skip("a composite follows its parts")
    for scheduler in (one, two):
        scheduler.reschedule([Tabulated(Linear(0.0, 1.0, 4), 9)] * 2)
    one.last_epoch = 3
    state = one.state_dict()
    plain_one = Scheduler(one.optimizer, Linear(0.0, 1.0, 4))
    assert {*state} == {*plain_one.state_dict()}
    two.load_state_dict(saved_and_loaded(state))
    assert (two.last_epoch, rates(two)) == (3, [0.75] * 2)
