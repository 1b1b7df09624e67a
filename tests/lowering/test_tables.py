"""The table lowering: what it holds, what it refuses, what it costs a graph."""

import math

import numpy as np
import pytest
import torch
from binding import optimizer
from drawing import compositions
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from accelsched import ArgumentError, Scheduler
from accelsched._lowering import tables
from accelsched.schedules import (
    CosineAnnealing,
    CosineDecay,
    Linear,
    Scaled,
    Step,
    Tabulated,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=compositions(depth=3), factor=st.floats(0.1, 1.0))
def test_a_table_holds_the_float64_values_rounded_once(schedule, factor):
    assume(schedule.settles is not None and schedule.settles < 10**4)
    opt = optimizer({}, {}, kind="graph")
    curves = [schedule, Scaled(schedule, factor)]
    scheduler = Scheduler(opt, curves, lowering="table")
    for step in sorted({0, 1, 2, schedule.settles, schedule.settles + 1, 2**40}):
        scheduler.last_epoch = step
        rates = [group["lr"].item() for group in opt.param_groups]
        for rate, curve in zip(rates, curves, strict=True):
            value = curve(torch.arange(schedule.settles + 1))[min(step, schedule.settles)]
            assert rate == value.to(torch.float32).item()


def test_what_never_settles_is_refused_with_the_way_out():
    opt = optimizer(kind="graph")
    with pytest.raises(ArgumentError, match=r"never settles: give lowering=.graph., or Tabulated"):
        Scheduler(opt, Step(0.1, 10, 0.5), lowering="table")
    assert opt.param_groups[0]["lr"].item() == pytest.approx(0.001)
    Scheduler(opt, Tabulated(Step(0.1, 10, 0.5), 100), lowering="table").step()


def test_what_takes_too_much_memory_is_refused():
    opt = optimizer({}, {}, kind="graph")
    long = CosineDecay(0.1, 0.0, tables.MAX_NUMBERS - 1)
    Scheduler(opt, long, lowering="table")  # groups that share a schedule share its table
    with pytest.raises(ArgumentError, match="at most 4194304 numbers"):
        Scheduler(opt, [long, 2 * long], lowering="table")


def test_a_setting_that_no_table_holds_changes_nothing():
    opt = optimizer(kind="graph")
    scheduler = Scheduler(opt, Linear(0.0, 0.1, 10), lowering="table")
    with pytest.raises(ArgumentError, match="never settles"):
        scheduler.reschedule([CosineAnnealing(0.1, 10)])
    assert scheduler.schedules == (Linear(0.0, 0.1, 10),)
    scheduler.step()
    assert opt.param_groups[0]["lr"].item() == pytest.approx(0.01)


def test_a_table_of_steps_is_bounded():
    with pytest.raises(ArgumentError, match="total_iters=.*at most 4194304 steps"):
        Tabulated(lambda step: 0.1, 2**22 + 1)
    with pytest.raises(ArgumentError, match="not a finite number, at step 3"):
        Tabulated(lambda step: 1.0 if step < 3 else float("inf"), 10)


@pytest.mark.parametrize("source", [np.cos, np.tanh, math.exp, lambda t: 1.0 if t < 3 else 0.5])
def test_a_table_takes_any_function(source):
    table = Tabulated(source, 5)
    steps = [0, 1, 4, 5, 6, 2**40]
    assert [table(t) for t in steps] == [float(source(min(t, 5))) for t in steps]


def test_what_is_past_the_end_of_a_table():
    line = Linear(0.0, 1.0, 10)
    assert [Tabulated(line, 4)(t) for t in (3, 4, 5, 9)] == [0.3, 0.4, 0.4, 0.4]
    assert [Tabulated(line, 4, "cycle")(t) for t in (3, 4, 5, 9)] == [0.3, 0.0, 0.1, 0.1]
    assert Tabulated(line, 10, "error")(99) == 1.0
    assert Tabulated(lambda t: min(t, 4), 4, "error")(9) == 4.0
    for source, end in ((line, 9), (CosineAnnealing(0.1, 4), 8), (lambda t: float(t), 4)):
        with pytest.raises(ArgumentError, match="^source=.*may change past step"):
            Tabulated(source, end, "error")
    with pytest.raises(ArgumentError, match="^past_end=.*give one of"):
        Tabulated(line, 10, "stop")


def test_a_table_takes_eight_bytes_a_step():
    table = Tabulated(Linear(0.0, 1.0, 10), 1000)
    assert table.values.dtype == torch.float64
    assert table.values.untyped_storage().nbytes() == 8 * 1001
