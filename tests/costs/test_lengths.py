"""Where a schedule ends in a run, and the unit it was built in if it ends elsewhere."""

import math

import pytest
import torch
from binding import EVERY, optimizer
from drawing import compositions, leaves
from hypothesis import given, settings
from hypothesis import strategies as st
from own_schedulers import written_for

from accelsched import (
    ArgumentError,
    Scheduler,
    SchedulerList,
    check,
    lr_scheduler,
    on_device,
    policy,
)
from accelsched._cli.command import main
from accelsched._costs.lengths import _top
from accelsched._costs.units import run_of
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineDecay,
    Exponential,
    InverseSquareRootDecay,
    Linear,
    Logarithmic,
    MultiStep,
    OneCycle,
    Tabulated,
    WarmupCosine,
    WarmupStableDecay,
)
from accelsched.schedules._called import Called


def said(schedule, key="lr", **run):
    """Return the text of `check` about schedules, one line per length."""
    groups = [{}] * (len(schedule) if isinstance(schedule, list) else 1)
    its = optimizer(*groups, momentum=0.5)
    return "\n".join(map(str, check(its, Scheduler(its, schedule, key), **run).lengths))


def decay(steps):
    return CosineDecay(0.1, 0.0, steps)


# Mistakes that other projects made.


@pytest.mark.parametrize(
    ("schedule", "run", "expected"),
    [
        # LTX-Video-Trainer issue 67: 10,000 optimizer steps on 4 GPUs. accelerate steps the
        # LinearLR of 10,000 steps 4 times at each, so the lr ends at step 2,500.
        (
            Linear(0.1, 0.0, 10_000),
            {"total_steps": 10_000, "world_size": 4},
            "lr ends at 25 % of the run (step 2,500 of 10,000): was it built in optimizer steps "
            "(world_size=4 left out)?",
        ),
        (
            Linear(0.1, 0.0, 40_000),
            {"total_steps": 10_000, "world_size": 4},
            "lr ends with the run (step 10,000 of 10,000)",
        ),
        # transformers issue 26827: the same on 2 GPUs, with a warm-up.
        (
            WarmupCosine(0.1, 20_000, 2_000),
            {"total_steps": 20_000, "world_size": 2},
            "lr ends at 50 % of the run (step 10,000 of 20,000): was it built in optimizer steps "
            "(world_size=2 left out)?",
        ),
        # SkyRL issue 872, pull request 873: two optimizer steps (mini-batches of 64) for each
        # training batch of 128. The schedule counted batches.
        (
            decay(3 * 58),
            {"total_steps": 2 * 3 * 58, "epochs": 3, "batches": 58},
            "lr ends at 50 % of the run (step 174 of 348): was it built in batches?",
        ),
        # diffusers issue 4387: max_train_steps was multiplied by the 4 batches per step.
        (
            decay(4 * 2_000),
            {"total_steps": 2_000, "accumulate": 4},
            "lr is at 25 % of its horizon when the run ends (step 2,000 of 8,000): was it built in "
            "batches?",
        ),
        # Correct for accelerate: the batches of all 4 processes, before prepare(loader).
        (
            decay(3 * 1_000 * 4 // 2),
            {"epochs": 3, "batches": 1_000, "accumulate": 2, "world_size": 4},
            "lr ends with the run (step 1,500 of 1,500)",
        ),
        # accelerate issue 2318, EasyContext issue 21: divided by the number of processes as well.
        (
            decay(2_500),
            {"total_steps": 10_000, "world_size": 4},
            "lr ends at 6 % of the run (step 625 of 10,000): was it built in optimizer steps "
            "(divided by world_size=4)?",
        ),
        # villa pull request 1495: 1,000 epochs of 250 iterations, and a horizon of 1,000.
        (
            decay(1_000),
            {"epochs": 1_000, "batches": 250},
            "lr ends at 0.4 % of the run (step 1,000 of 250,000): was it built in epochs?",
        ),
        # particulate issue 22: a cosine that repeats; accelerate steps it 8 times per step.
        (
            CosineAnnealing(0.1, 100_000),
            {"total_steps": 100_000, "world_size": 8},
            "lr has no end: it repeats every 200,000 steps: was it built in optimizer steps "
            "(world_size=8 left out)?",
        ),
    ],
)
def test_a_mistake_that_was_made_is_named(schedule, run, expected):
    assert said(schedule, **run) == expected


# The report.


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (decay(1000), "ends with the run (step 1,000 of 1,000)"),
        (decay(999), "ends with the run (step 999 of 1,000)"),
        (
            decay(970),
            "ends at 97 % of the run (step 970 of 1,000): the learning rate of the last 30 steps "
            "is 0",
        ),
        (CosineDecay(0.1, 0.01, 998), "ends at 99 % of the run (step 998 of 1,000)"),
        (
            decay(1001),
            "is at 99 % of its horizon when the run ends (step 1,000 of 1,001): its last value is "
            "not reached",
        ),
        (OneCycle(0.1, 0.5, 1000, 0.25, 100.0), "ends with the run (step 999 of 1,000)"),
        (Constant(0.1), "is constant"),
        (Exponential(0.1, total_iters=10, rate=0.5), "has no end"),
        (Exponential(0.1, total_iters=10, rate=1.01), "has no end"),
        (InverseSquareRootDecay(0.1), "has no end"),
        (CosineAnnealing(0.1, 1000), "has no end: it repeats every 2,000 steps"),
        (CosineAnnealing(0.1, 500), "has no end: it repeats every 1,000 steps"),
        (CosineAnnealing(0.1, 70), "has no end: it repeats every 140 steps"),
        (
            MultiStep(0.1, milestones=(500, 900), gamma=0.1),
            "ends at 90 % of the run (step 900 of 1,000)",
        ),
        # A warm-up to a constant may have any length up to that of the run.
        (
            Linear(0.0, 0.1, 100).then(Constant(0.1), at=100),
            "rises until step 100 of 1,000, and stays",
        ),
        (
            WarmupStableDecay(0.1, 5000, 1000, 200),
            "is still in its warm-up when the run ends (step 1,000 of 1,000): its highest value is "
            "not reached",
        ),
        (
            WarmupCosine(0.1, 10_000, 2000),
            "is still in its warm-up when the run ends (step 1,000 of 2,000): its highest value is "
            "not reached",
        ),
        (
            Linear(0.0, 0.1, 5000).then(Constant(0.1), at=5000),
            "is at 20 % of its horizon when the run ends (step 1,000 of 5,000): its last value is "
            "not reached",
        ),
        (
            Linear(0.0, 0.1, 4000).then(Exponential(0.1, total_iters=10, rate=0.9), at=4000),
            "is still in its warm-up when the run ends (step 1,000 of 4,000): its highest value is "
            "not reached",
        ),
        # A function is tabulated past its last change.
        (lambda t: 0.1 if t < 500 else 0.05, "ends at 50 % of the run (step 500 of 1,000)"),
        (lambda t: 0.1 / (1 + t), "has no known end"),
        (Tabulated(lambda t: 0.1 / (1 + t), 1000), "ends with the run (step 1,000 of 1,000)"),
        (
            2.0 * Tabulated(decay(100), 100, "cycle"),
            "has no end: it repeats every 100 steps",
        ),
    ],
)
def test_the_line_of_a_schedule_in_a_run_of_1000_steps(schedule, expected):
    assert said(schedule, total_steps=1000) == f"lr {expected}"


def test_a_function_that_goes_on_past_its_table_has_no_end_that_is_known():
    with pytest.warns(UserWarning, match="tabulated"):
        assert said(lambda t: 0.1 / math.sqrt(t + 1), total_steps=9) == ("lr has no known end")


def test_a_class_that_a_user_wrote_ends_at_its_total_iters():
    its, written = optimizer(), written_for("cerebras.pytorch.optim")
    scheduler = written.Trapezoid(its, 0.2, 110, 300, 3000)
    assert [
        str(length) for length in check(its, scheduler, total_steps=750, accumulate=4).lengths
    ] == [
        "lr is at 25 % of its horizon when the run ends (step 750 of 3,000): was it built in "
        "batches?"
    ]


def test_milestones_in_epochs_are_within_the_epochs():
    schedule = MultiStep(0.1, milestones=(30, 60, 80), gamma=0.1)
    assert said(schedule, epochs=90, batches=100) == (
        "lr ends at 0.89 % of the run (step 80 of 9,000): was it built in epochs?"
    )


def test_only_a_learning_rate_of_zero_is_doubtful():
    for key in ("momentum", "weight_decay"):
        line = said(decay(500), key, total_steps=1000)
        assert line == f"{key} ends at 50 % of the run (step 500 of 1,000)"


def test_without_a_run_it_says_where_the_schedule_ends():
    assert said(decay(1500)) == "lr ends at step 1,500"
    assert said(CosineAnnealing(0.1, 50)) == "lr has no end: it repeats every 100 steps"


def test_groups_of_one_length_have_one_line():
    schedules = [decay(10), 2.0 * decay(10), decay(20), Constant(0.1), Linear(1.0, 0.1, 10)]
    assert said(schedules, total_steps=20).split("\n") == [
        "lr of param groups 0, 1 ends at 50 % of the run (step 10 of 20): the learning rate of the "
        "last 10 steps is 0",
        "lr of param group 2 ends with the run (step 20 of 20)",
        "lr of param group 3 is constant",
        "lr of param group 4 ends at 50 % of the run (step 10 of 20)",
    ]
    assert said([decay(10) * i for i in range(1, 9)] + [Constant(0.1)], total_steps=10).split(
        "\n"
    ) == [
        "lr of param groups 0, 1, 2, 3, ... ends with the run (step 10 of 10)",
        "lr of param group 8 is constant",
    ]


def test_a_list_has_a_line_for_each_of_its_schedulers():
    its = optimizer(momentum=0.5)
    both = SchedulerList([Scheduler(its, decay(20)), Scheduler(its, decay(10), "momentum")])
    found = check(its, both, total_steps=20)
    assert found.key == "lr"
    assert [length.end for length in found.lengths] == [20, 10]
    assert found.doubts == []
    assert str(found).split("\n")[-2:] == [
        "lr ends with the run (step 20 of 20)",
        "momentum ends at 50 % of the run (step 10 of 20)",
    ]


def test_values_that_depend_on_those_before_them():
    its = optimizer()
    halves = policy.Multiply({5: 0.5})(its)
    (length,) = check(its, halves, total_steps=20).lengths
    assert str(length) == "lr depends on the values before: no end is known"


def test_a_scheduler_without_an_optimizer_yet():
    unbound = Scheduler(None, [decay(20), decay(10)])
    ends = [length.end for length in check(optimizer({}, {}), unbound, total_steps=20).lengths]
    assert ends == [20, 10]


def test_relative_schedulers_and_compositions():
    its = optimizer({"lr": 0.1}, {"lr": 0.3})
    (length,) = check(its, Scheduler(its, decay(20), relative=True), total_steps=10).lengths
    assert (length.end, length.indices) == (20, (0, 1))
    parts = [lr_scheduler.LinearLR(None, 0.0, 0.1, 5), lr_scheduler.CosineDecayLR(None, 0.1, 0, 15)]
    its = optimizer()
    whole = lr_scheduler.SequentialLR(its, parts, milestones=[5])
    assert [length.says for length in check(its, whole, total_steps=20).lengths] == [
        "lr ends with the run (step 20 of 20)"
    ]


@pytest.mark.parametrize("name", EVERY)
def test_every_scheduler_has_a_length_and_is_left_as_it_is(name):
    its = optimizer()
    scheduler = EVERY[name](its)
    scheduler.step(7)
    before = scheduler.state_dict(), scheduler.get_last_lr()
    (length,) = check(its, scheduler, epochs=3, batches=50, accumulate=4, world_size=2).lengths
    assert length.says.startswith("lr ")
    assert (scheduler.state_dict(), scheduler.get_last_lr()) == before


@pytest.mark.parametrize("runtime", ["xla", "lazy"], indirect=True)
def test_it_reads_nothing_from_the_device(runtime):
    parameter = torch.nn.Parameter(torch.ones(2).to(runtime.device()))
    its = torch.optim.SGD([parameter], lr=0.1)
    with on_device():
        scheduler = Scheduler(its, WarmupCosine(0.1, 100, 10))
    scheduler.step()
    runtime.finish_step()
    runtime.wait()
    before = runtime.counters()
    (length,) = check(its, scheduler, total_steps=50).lengths
    assert runtime.counters() == before
    assert (length.end, length.doubt) == (100, "its last value is not reached")


# The arithmetic.


def counted(epochs, batches, accumulate, leftover):
    """Return the optimizer steps of a loop; `leftover` says how it treats the last batches."""
    steps = waiting = 0
    for _ in range(epochs):
        for batch in range(batches):
            waiting += 1
            ends = leftover == "step" and batch == batches - 1
            if waiting == accumulate or ends:
                steps, waiting = steps + 1, 0
        if leftover == "drop":
            waiting = 0
    return steps


COUNT = st.integers(1, 12)
#: How a loop treats the last batches of an epoch if they do not fill an accumulation.
LEFTOVER = st.sampled_from(["step", "drop", "keep"])


@settings(deadline=None)
@given(COUNT, st.integers(1, 50), COUNT, st.integers(1, 4), LEFTOVER)
def test_the_steps_of_a_loop_fit_the_run_however_it_ends_an_epoch(
    epochs, batches, accumulate, size, leftover
):
    steps = counted(epochs, batches, accumulate, leftover)
    run = run_of(None, epochs, batches, accumulate, size)
    assert run.most == counted(epochs, batches, accumulate, "step")
    if steps:
        assert run.fits(steps * size)
        assert run.fits(steps * size - 1)
    assert not run.fits(run.steps + 1)
    assert not run.fits(run.least * size - 2)


def units(epochs, batches, accumulate, size):
    """Yield each unit that `check` can name, and the length of a schedule built in it."""
    steps = counted(epochs, batches, accumulate, "step")
    an_epoch = counted(1, batches, accumulate, "step")
    lengths = {"in optimizer steps": steps, "in epochs": epochs, "for one epoch": an_epoch}
    # If each batch is an optimizer step, both units give the same length.
    if min(accumulate, batches) > 1:
        lengths["in batches"] = epochs * batches
        lengths["in batches for one epoch"] = batches
    if accumulate > 1:
        lengths["in optimizer steps divided by accumulate"] = -(-steps // accumulate)
    for unit, length in lengths.items():
        yield unit, length * size
        if size > 1:
            yield f"{unit} (world_size={size} left out)", length
            yield f"{unit} (divided by world_size={size})", -(-length // size)
            yield f"{unit} (multiplied by world_size={size} twice)", length * size**2


@settings(deadline=None)
@given(COUNT, st.integers(1, 50), COUNT, st.integers(1, 4))
def test_the_unit_of_a_schedule_is_named_once(epochs, batches, accumulate, size):
    run = run_of(None, epochs, batches, accumulate, size)
    expected = list(units(epochs, batches, accumulate, size))
    for unit, length in expected:
        named = run.counted_in(length)
        assert unit in named
        assert {*named} <= {unit for unit, _ in expected}
        assert len(named) == len({*named})


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(100, 2000), st.integers(2, 9))
def test_a_schedule_in_batches_is_asked_about(epochs, batches, accumulate):
    run = {"epochs": epochs, "batches": batches, "accumulate": accumulate}
    its = optimizer()
    (length,) = check(its, Scheduler(its, decay(epochs * batches)), **run).lengths
    assert length.doubt.startswith("was it built in batches")
    steps = counted(epochs, batches, accumulate, "step")
    assert f"(step {steps:,} of {epochs * batches:,})" in length.says
    same = check(its, Scheduler(its, decay(epochs * batches)), total_steps=steps, **run)
    assert same.lengths == (length,)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4), st.integers(1, 200))
def test_a_run_that_is_told_in_one_number_is_that_long(steps, factor, size, end):
    run = run_of(steps, None, None, factor, size)
    assert run.fits(end) == (steps * size - 1 <= end <= steps * size)
    assert ("in optimizer steps" in run.counted_in(end)) == run.fits(end)


WARMUPS = {
    "linear": lambda n: Linear(0.0, 0.1, n),
    "logarithmic": lambda n: Logarithmic(0.0, 0.1, n),
    "late": lambda n: Linear(0.0, 0.1, n).shifted(-3),
}


@settings(deadline=None)
@given(
    st.sampled_from(sorted(WARMUPS)),
    st.integers(1, 3000) | st.integers(1, 10**6),
    st.integers(0, 5000),
    st.integers(1, 10**6),
)
def test_the_top_of_a_warm_up_is_found_to_the_step(shape, warmup, stable, decayed):
    top = warmup + 3 * (shape == "late")
    schedule = WARMUPS[shape](warmup).then(Constant(0.1), at=top)
    schedule = schedule.then(Linear(0.1, 0.0, decayed), at=top + stable)
    assert _top(schedule, top + stable + decayed) == top
    assert _top(decay(decayed), decayed) == 0


@settings(deadline=None, max_examples=30)
@given(leaves() | compositions(2), st.integers(1, 10**6), st.integers(1, 4))
def test_any_schedule_has_a_length_and_stays_from_its_end_on(schedule, steps, size):
    its = optimizer()
    # A key that accepts any value: some curves are not valid learning rates.
    its.param_groups[0]["number"] = 0.5
    scheduler = Scheduler(its, schedule, "number")
    (length,) = check(its, scheduler, total_steps=steps, world_size=size).lengths
    assert str(length).startswith("number ")
    if length.end is not None:
        later = {schedule(length.end + more) for more in (0, 1, 1000, 10**9)}
        assert len(later) == 1


def test_a_function_of_a_user_is_not_called_past_the_run():
    def own(step):
        assert step <= 20
        return 0.1 / (1 + step)

    assert said(Called(own), total_steps=20) == "lr has no known end"


# Errors.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": 0}, "total_steps=0: give at least 1"),
        ({"total_steps": 1.5}, "total_steps=1.5: give a whole number"),
        ({"total_steps": "9"}, "total_steps='9': give a number"),
        ({"epochs": 3}, "total_steps=None: say how long the run is"),
        ({"batches": 3, "accumulate": 2}, "total_steps=None: say how long the run is"),
        ({"accumulate": 2}, "total_steps=None: say how long the run is"),
        ({"world_size": 0, "total_steps": 9}, "world_size=0: give at least 1"),
    ],
)
def test_a_run_that_cannot_be(options, message):
    its = optimizer()
    with pytest.raises(ArgumentError, match=message):
        check(its, Scheduler(its, decay(9)), **options)


def test_a_scheduler_that_cannot_be_compared():
    its = optimizer()
    with pytest.raises(ArgumentError, match="key='lr': a key has no end: write check"):
        check(its, "lr", total_steps=9)
    with pytest.raises(ArgumentError, match="bound to another optimizer: write check"):
        check(optimizer(), Scheduler(its, decay(9)), total_steps=9)
    with pytest.raises(ArgumentError, match="give a key, or a scheduler of accelsched"):
        check(its, torch.optim.lr_scheduler.StepLR(its, 3), total_steps=9)


# The command.

SCRIPT = """
import torch
from accelsched.lr_scheduler import CosineDecayLR

def make_scheduler():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    return CosineDecayLR(optimizer, 0.1, 0.0, total_iters=3000)

unbound = CosineDecayLR(None, 0.1, 0.0, total_iters=3000)
"""


def test_the_command_takes_the_units_of_a_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "of_lengths.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    run = ["--epochs", "3", "--batches", "1000", "--accumulate", "4"]
    assert main(["check", "of_lengths:make_scheduler", *run]) == 0
    assert capsys.readouterr().out.split("\n")[-2] == (
        "lr is at 25 % of its horizon when the run ends (step 750 of 3,000): was it built in "
        "batches?"
    )
    assert main(["check", "of_lengths:unbound"]) == 1
    assert "this scheduler has no optimizer yet" in capsys.readouterr().err
