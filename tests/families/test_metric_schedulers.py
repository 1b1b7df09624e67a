"""Schedulers that follow a metric, against torch's class and recordings of transformers'."""

import copy
import inspect
import json
import math
import pickle
import random
import re
import warnings
from textwrap import dedent

import pytest
import torch
from metrics import (
    GREEDY,
    assert_same_state,
    drawn_metrics,
    drawn_settings,
    optimizer_of,
    rates_of,
)
from torch.optim import lr_scheduler as theirs

import accelsched
from accelsched import ArgumentError
from accelsched import lr_scheduler as ours
from accelsched.lr_scheduler import GreedyLR, ReduceLROnPlateau
from accelsched.schedules import Constant, Linear

#: None: a float lr on the CPU, which stays a float. A dtype: a tensor lr.
DTYPES = pytest.mark.parametrize("dtype", [None, torch.float64, torch.float32], ids=str)
TENSORS = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


SMOOTH = {"smooth": True, "window_size": 3}


def rounded(rates, dtype):
    return rates if dtype is None else torch.tensor(rates, dtype=dtype).tolist()


def pair(rates, dtype, **arguments):
    """Return torch's scheduler with float lrs, and ours; both start from lrs of the dtype."""
    held = rounded(rates, dtype)
    plain = theirs.ReduceLROnPlateau(optimizer_of(held), **arguments)
    return plain, ReduceLROnPlateau(optimizer_of(held, dtype), **arguments)


def as_metric(metric, dtype):
    """Return the metric as a training loop has it: a float or a float64 tensor."""
    return metric if dtype is None else torch.tensor(metric, dtype=torch.float64)


def assert_alike(plain, made, dtype, where=None):
    assert rates_of(made.optimizer) == rounded(rates_of(plain.optimizer), dtype), where
    assert_same_state(made, plain)


@pytest.mark.parametrize(
    ("dtype", "sequences"), [(None, 3000), (torch.float64, 150), (torch.float32, 150)], ids=str
)
def test_every_rate_is_torch_s(dtype, sequences):
    rnd = random.Random(f"{dtype}")
    for sequence in range(sequences):
        rates, arguments = drawn_settings(rnd)
        plain, made = pair(rates, dtype, **arguments)
        for step, metric in enumerate(drawn_metrics(rnd, 25)):
            plain.step(metric)
            made.step(as_metric(metric, dtype))
            want = rounded(rates_of(plain.optimizer), dtype)
            assert rates_of(made.optimizer) == want, (sequence, step, arguments)
        assert_alike(plain, made, dtype, arguments)


@DTYPES
@pytest.mark.parametrize("case", GREEDY, ids=lambda case: case["id"])
def test_every_rate_is_that_of_transformers(case, dtype):
    made = GreedyLR(optimizer_of(case["groups"], dtype and torch.float64), **case["kwargs"])
    for metric, want in zip(case["metrics"], case["values"], strict=True):
        made.step(as_metric(metric, dtype))
        assert rates_of(made.optimizer) == want
    saved = made.state_dict()
    assert repr({name: saved[name] for name in case["state"]}) == repr(case["state"])


def test_the_recorded_metrics_do_everything():
    states = [case["state"] for case in GREEDY]
    for name in ("smooth", "cooldown", "warmup"):
        assert {bool(state[name]) for state in states} == {True, False}
    rises = [max(map(max, case["values"])) > max(case["groups"]) for case in GREEDY]
    assert {True, False} == set(rises)
    resets = [state["reset_start"] < state["reset_start_original"] for state in states]
    assert any(resets)
    assert any(math.isnan(metric) for case in GREEDY for metric in case["metrics"])


# Changes by other code.


@DTYPES
def test_a_rate_that_somebody_puts_there_is_gone_on_from(dtype):
    rnd = random.Random(1)
    plain, made = pair([0.1, 0.3], dtype, patience=1, factor=0.7, eps=0.0)
    for step, metric in enumerate(drawn_metrics(rnd, 60)):
        for scheduler, kind in ((plain, None), (made, dtype)):
            group = scheduler.optimizer.param_groups[step % 2]
            if step % 7 == 2:
                group["lr"] = 0.9  # exact, although a tensor rounds it
            elif step % 7 == 5:
                group["lr"] = 0.625 if kind is None else torch.tensor(0.625, dtype=kind)
            elif step % 7 == 6 and kind is not None:
                group["lr"].fill_(0.125)
            elif step % 7 == 6:
                group["lr"] = 0.125
        plain.step(metric)
        made.step(as_metric(metric, dtype))
        assert_alike(plain, made, dtype, step)


@TENSORS
def test_the_tensor_in_a_group_stays_that_tensor(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = ReduceLROnPlateau(optimizer_of([0.1], dtype), patience=0)
        tensor = made.optimizer.param_groups[0]["lr"]
        made.step(1.0)
        made.optimizer.param_groups[0]["lr"] = 0.5
        made.step(1.0)
        assert made.optimizer.param_groups[0]["lr"] is tensor
    assert tensor.item() == rounded([0.05], dtype)[0]


@DTYPES
def test_settings_that_are_set_count_from_the_next_metric_on(dtype):
    rnd = random.Random(2)
    plain, made = pair([0.1, 0.5], dtype, patience=1)
    changes = [
        ("factor", 0.7), ("patience", 0), ("threshold", 0.3), ("threshold_mode", "abs"),
        ("cooldown", 2), ("eps", 0.0), ("min_lrs", [0.01, 0.02]), ("mode", "max"),
        ("best", 0.9), ("num_bad_epochs", 1), ("cooldown_counter", 1), ("patience", -1),
        ("cooldown", -2),
    ]  # fmt: skip
    for name, value in changes:
        setattr(plain, name, value)
        setattr(made, name, value)
        assert getattr(made, name) == value
        for metric in drawn_metrics(rnd, 10, odd=0.0):
            plain.step(metric)
            made.step(as_metric(metric, dtype))
            assert rates_of(made.optimizer) == rounded(rates_of(plain.optimizer), dtype), name


@DTYPES
def test_a_group_that_is_added_is_moved_by_the_next_metric(dtype):
    plain, made = pair([0.1], dtype, patience=0, min_lr=0.01)
    for step in range(6):
        if step == 3:
            plain.min_lrs = [0.01, 0.01]  # torch 2.4 has no bound for a new group
            for scheduler, kind in ((plain, None), (made, dtype)):
                rate = 0.5 if kind is None else torch.tensor(0.5, dtype=kind)
                scheduler.optimizer.add_param_group({"params": [torch.zeros(1)], "lr": rate})
        plain.step(1.0)
        made.step(as_metric(1.0, dtype))
        assert_alike(plain, made, dtype, step)
    assert made.min_lrs == [0.01, 0.01]


def test_a_group_without_a_bound_of_its_own_is_left_alone():
    made = ReduceLROnPlateau(optimizer_of([0.1]), patience=0, min_lr=[0.01])
    made.optimizer.add_param_group({"params": [torch.zeros(1)], "lr": 0.5})
    with pytest.warns(UserWarning, match="1 were given for 2 param groups"):
        made.step(1.0)
    made.step(1.0)
    assert rates_of(made.optimizer) == [0.1 * 0.1, 0.5]


# State.


def resumed(made, dtype, optimizer_first):
    """Return a new scheduler with a new optimizer, loaded from the saved states of both."""
    saved = json.loads(json.dumps(made.state_dict()))
    of_optimizer = copy.deepcopy(made.optimizer.state_dict())
    rates = [0.7] * len(made.optimizer.param_groups)
    opt = optimizer_of(rates, dtype)
    loaded = type(made)(opt, **(SMOOTH if isinstance(made, GreedyLR) else {}))
    if optimizer_first:
        opt.load_state_dict(of_optimizer)
    loaded.load_state_dict(saved)
    if not optimizer_first:
        opt.load_state_dict(of_optimizer)
    return loaded


@DTYPES
@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("cls", [ReduceLROnPlateau, GreedyLR])
def test_it_goes_on_from_every_step_bit_for_bit(cls, optimizer_first, dtype):
    rnd = random.Random(3)
    options = {**SMOOTH, "warmup": 1} if cls is GreedyLR else {}
    arguments = {"patience": 1, "factor": 0.7, "cooldown": 1, "min_lr": 0.001, **options}
    made = cls(optimizer_of([0.1, 0.3], dtype), **arguments)
    for metric in drawn_metrics(rnd, 30):
        twin = resumed(made, dtype, optimizer_first)
        copied = pickle.loads(pickle.dumps((made, made.optimizer)))[0]
        deep = copy.deepcopy((made.optimizer, made))[1]
        for scheduler in (made, twin, copied, deep):
            scheduler.step(as_metric(metric, dtype))
        want = repr(made.state_dict())
        for scheduler in (twin, copied, deep):
            assert repr(scheduler.state_dict()) == want
            assert rates_of(scheduler.optimizer) == rates_of(made.optimizer)


@DTYPES
def test_torch_goes_on_from_its_state_and_it_from_torch_s(dtype):
    rnd = random.Random(4)
    rates, other = [0.1, 0.3], {"patience": 7, "mode": "max", "threshold": 3.0}
    arguments = {"patience": 1, "factor": 0.7, "cooldown": 1, "min_lr": [0.001, 0.002], "eps": 0.0}
    plain, made = pair(rates, dtype, **arguments)
    for metric in drawn_metrics(rnd, 30):
        new_plain, new_made = pair(rates, dtype, **other)
        new_plain.load_state_dict(made.state_dict())
        new_made.load_state_dict(plain.state_dict())
        for old, new in ((made, new_plain), (plain, new_made)):
            held = old.state_dict()["_last_lr"]
            for group, rate in zip(new.optimizer.param_groups, held, strict=True):
                group["lr"] = rate
        for scheduler in (plain, new_plain):
            scheduler.step(metric)
        for scheduler in (made, new_made):
            scheduler.step(as_metric(metric, dtype))
        assert_alike(plain, made, dtype)
        assert_alike(plain, new_made, dtype)
        assert_same_state(new_plain, plain)


@pytest.mark.parametrize("case", GREEDY[:10], ids=lambda case: case["id"])
def test_it_goes_on_from_a_state_of_transformers(case):
    made = GreedyLR(optimizer_of([9.0] * len(case["groups"])), **case["kwargs"])
    made.load_state_dict(case["state"])
    assert rates_of(made.optimizer) == case["state"]["_last_lr"]
    names = set(made.state_dict()) & set(case["state"])
    assert repr([made.state_dict()[n] for n in names]) == repr([case["state"][n] for n in names])


@DTYPES
def test_a_reset_begins_at_the_worst_metric_of_a_mode_that_was_loaded_or_set(dtype):
    options = {"patience": 0, "min_lr": 0.125, "reset_start": 1}
    saved = GreedyLR(optimizer_of([0.125]), "max", **options).state_dict()
    loaded, made = (GreedyLR(optimizer_of([0.125], dtype), **options) for _ in range(2))
    loaded.load_state_dict(saved)
    made.mode, made.best = "max", -math.inf
    for scheduler in (loaded, made):
        scheduler.step(as_metric(2.0, dtype))
        scheduler.step(as_metric(1.0, dtype))
        assert (scheduler.best, scheduler.reset_start) == (-math.inf, 1)


def test_a_state_that_does_not_fit_changes_nothing():
    made = ReduceLROnPlateau(optimizer_of([0.1]), patience=3)
    made.step(0.5)
    before = made.state_dict()
    saved = {**before, "factor": 0.7, "values": [0.9]}
    wrong = [
        ({**saved, "mode": "least"}, "^mode='least'"),
        ({**saved, "factor": 2.0}, r"^state_dict\['factor'\]=2.0: give a number below 1"),
        ({**saved, "num_bad_epochs": 0.5}, r"^state_dict\['num_bad_epochs'\]"),
        ({**saved, "best": "low"}, r"^state_dict\['best'\]"),
        ({**saved, "values": [1.0, 2.0]}, r"^state_dict\['values'\].*for 1 param groups"),
        ({**saved, "min_lrs": [1.0, 2.0]}, "^min_lr=.*for 1 param groups"),
        ({**saved, "key": "momentum"}, "key"),
        ({n: v for n, v in saved.items() if n != "best"}, "give the state_dict.. of a scheduler"),
        (theirs.StepLR(optimizer_of([0.1]), 3).state_dict(), "it is of another class than Reduce"),
    ]
    for state, message in wrong:
        with pytest.raises(ArgumentError, match=message):
            made.load_state_dict(state)
        assert made.state_dict() == before
    made.load_state_dict({"last_epoch": 17}, step_only=True)
    assert made.state_dict() == {**before, "last_epoch": 17, "_step_count": 18}
    smooth = GreedyLR(optimizer_of([0.1]), smooth=True, window_size=3)
    with pytest.raises(ArgumentError, match="window_size=.*scheduler has None: give the saved"):
        GreedyLR(optimizer_of([0.1])).load_state_dict(smooth.state_dict())


# As a factor on a schedule.


@DTYPES
def test_the_scale_of_a_schedule_is_what_torch_makes_of_a_rate_of_1(dtype):
    rnd = random.Random(5)
    arguments = {"patience": 1, "factor": 0.7, "cooldown": 1, "min_lr": 0.1}
    plain = theirs.ReduceLROnPlateau(optimizer_of([1.0, 1.0]), **arguments)
    curves = [Linear(0.5, 0.0, 100), Constant(0.3)]
    made = ReduceLROnPlateau(optimizer_of([9.0, 9.0], dtype), **arguments, schedule=curves)
    for step, metric in enumerate(drawn_metrics(rnd, 60, odd=0.0)):
        scales = rates_of(plain.optimizer)
        want = [curve(step) * scale for curve, scale in zip(curves, scales, strict=True)]
        # The float64 formula is exact to a few roundings; a float32 tensor adds one.
        unit = 2.0**-24 if dtype is torch.float32 else 2.0**-51
        assert rates_of(made.optimizer) == pytest.approx(want, rel=unit * 1.01, abs=0.0)
        if step % 3:
            made.step()
        else:
            plain.step(metric)
            made.step(as_metric(metric, dtype))
        if step == 20:
            made.load_state_dict(json.loads(json.dumps(made.state_dict())))
    assert made.last_epoch == 60


def test_what_somebody_puts_beside_a_schedule_does_not_last():
    made = ReduceLROnPlateau(optimizer_of([0.1]), schedule=Linear(0.8, 0.0, 4))
    made.optimizer.param_groups[0]["lr"] = 7.0
    made.step()
    assert rates_of(made.optimizer) == pytest.approx([0.6])
    made.last_epoch = 3
    assert rates_of(made.optimizer) == pytest.approx([0.2])
    made.step(0.5, epoch=1)
    assert rates_of(made.optimizer) == pytest.approx([0.6])
    assert (made.last_epoch, made.best) == (1, 0.5)


# Other behavior, torch's and our own.


@DTYPES
def test_an_epoch_is_taken_as_torch_takes_it(dtype):
    plain, made = pair([0.1], dtype, patience=0)
    made.step(metrics=1.0, epoch=7)
    with pytest.warns(UserWarning, match="epoch parameter"):
        plain.step(metrics=1.0, epoch=7)
    for scheduler in (plain, made):
        scheduler.step(1.0)
    assert_alike(plain, made, dtype)
    assert made.last_epoch == 8


def test_metrics_of_every_kind():
    kinds = (2, 2.0, torch.tensor(2), torch.tensor([2.0]), torch.tensor(2.0, dtype=torch.bfloat16))
    for dtype in (None, torch.float32):
        made = ReduceLROnPlateau(optimizer_of([0.5], dtype), patience=len(kinds) - 2)
        for metric in kinds:
            made.step(metric)
        loss = torch.ones(1, requires_grad=True).sum() * 3
        assert rates_of(made.optimizer) == rounded([0.5 * 0.1], dtype)
        made.step(loss)
        assert made.best == 2.0
        with pytest.raises(ArgumentError, match=r"^metrics=\(2,\): give one number"):
            made.step(torch.ones(2))


def test_it_is_bound_later_and_again():
    made = ReduceLROnPlateau(None, patience=0, min_lr=0.01)
    assert (made.best, made.min_lrs, made.num_bad_epochs) == (math.inf, [0.01], 0)
    made.patience = 1
    with pytest.raises(RuntimeError, match="has no optimizer yet"):
        made.step(1.0)
    first = made(optimizer_of([0.1])).optimizer
    for _ in range(3):
        made.step(1.0)
    assert rates_of(first) == [0.1 * 0.1]
    second = made(optimizer_of([0.2, 0.4])).optimizer
    assert (made.best, made.last_epoch, made.min_lrs) == (math.inf, 0, [0.01, 0.01])
    made.step(1.0)
    assert rates_of(second) == [0.2, 0.4]


@DTYPES
def test_tags_and_another_key(dtype):
    opt = optimizer_of([0.1, 0.3, 0.5], dtype)
    for group, tags in zip(opt.param_groups, ("a", "b", "a"), strict=True):
        group["tags"] = tags
    made = ReduceLROnPlateau(opt, patience=0, min_lr=[0.03, 0.2], param_group_tags="a")
    decay = type("Decay", (ReduceLROnPlateau,), {"param_group_key": "weight_decay"})
    for group in opt.param_groups:
        group["weight_decay"] = 0.5
    other = decay(opt, patience=0, param_group_tags="b", factor=0.5)
    for _ in range(2):
        made.step(as_metric(1.0, dtype))
        other.step(as_metric(1.0, dtype))
    assert rates_of(opt) == rounded([0.03, 0.3, 0.2], dtype)
    assert [float(value) for value in other.get_last_value()] == [0.5, 0.25, 0.5]
    assert [float(value) for value in made.get()] == rates_of(opt)
    plain = theirs.ReduceLROnPlateau(optimizer_of([0.1, 0.3, 0.5]), min_lr=[1.0, 2.0, 3.0])
    made.load_state_dict(plain.state_dict())
    assert made.min_lrs == [1.0, 3.0]


def test_another_lowering_goes_on_from_the_same_state():
    rnd = random.Random(10)
    plain, made = pair([0.1, 0.3], None, patience=1, factor=0.7, cooldown=1)
    for lowering in ("graph", "host", "graph", None):
        made.lowering = lowering
        for metric in drawn_metrics(rnd, 10, odd=0.0):
            plain.step(metric)
            made.step(metric)
        assert_same_state(made, plain)


def test_a_rate_of_0_is_no_tensor_of_adam_and_the_rule_goes_on_from_0():
    parameter = torch.nn.Parameter(torch.ones(2))
    opt = torch.optim.Adam([parameter], lr=torch.tensor(0.5), capturable=False)
    made = ReduceLROnPlateau(opt, patience=0, factor=0.0)
    for _ in range(4):
        made.step(torch.tensor(1.0))
    assert rates_of(opt) == [2.0**-114]
    assert made.state_dict()["values"] == [0.0]


def test_trainers_know_it_for_torch_s():
    made = ReduceLROnPlateau(optimizer_of([0.1]))
    assert isinstance(made, theirs.ReduceLROnPlateau)
    # Trainers use this check to see whether step takes a metric.
    assert isinstance(GreedyLR(optimizer_of([0.1])), theirs.ReduceLROnPlateau)
    assert not made.in_cooldown
    assert made.mode_worse == math.inf
    assert "patience=10" in repr(made)
    assert "groups" not in repr(ReduceLROnPlateau(None))


def test_what_has_no_metric_refuses_it():
    made = ReduceLROnPlateau(optimizer_of([0.1], torch.float32))
    with pytest.raises(ArgumentError, match="^metrics=None: the values follow a metric"):
        made.step()
    with pytest.raises(ArgumentError, match="it follows a metric"):
        accelsched.update(made.optimizer, made)
    scaled = ReduceLROnPlateau(None, schedule=Constant(0.1))
    with pytest.raises(ArgumentError, match="cannot be composed"):
        ours.ChainedLR([scaled])
    with pytest.raises(ArgumentError, match="the values follow a metric"):
        made.reschedule([Constant(0.1)])


def test_it_is_plain_data():
    for made in (
        ReduceLROnPlateau(None, "max", 0.5, 3, 0.1, "abs", 2, [0.1], 1e-5),
        ReduceLROnPlateau(None, schedule=Linear(0.1, 0.0, 9), param_group_tags="a"),
        ReduceLROnPlateau(None, schedule=[Constant(0.1), Constant(0.2)]),
        GreedyLR(None, "max", 0.5, smooth=True, window_size=7, reset_start=3),
        GreedyLR(None, max_lr=[0.1, 0.2]),
    ):
        spec = json.loads(json.dumps(accelsched.to_spec(made)))
        assert accelsched.to_spec(accelsched.from_spec(spec)) == spec
        assert repr(accelsched.from_spec(spec)) == repr(made)


def test_a_step_of_a_schedule_without_a_metric_is_a_part_of_an_update():
    parameter = torch.nn.Parameter(torch.zeros(1))
    opt = torch.optim.SGD([parameter], lr=torch.tensor(0.1))
    made = ReduceLROnPlateau(opt, schedule=Linear(0.8, 0.0, 4))
    accelsched.update(opt, made)()
    assert rates_of(opt) == pytest.approx([0.6])


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (ReduceLROnPlateau, {"mode": "low"}, "^mode='low': give 'min' or 'max'"),
        (ReduceLROnPlateau, {"threshold_mode": 1}, "^threshold_mode=1: give 'rel' or 'abs'"),
        (ReduceLROnPlateau, {"factor": 1.0}, "^factor=1.0: give a number below 1"),
        (ReduceLROnPlateau, {"factor": "x"}, "^factor='x': give a number"),
        (ReduceLROnPlateau, {"patience": 0.5}, "^patience=0.5: give a whole number"),
        (ReduceLROnPlateau, {"min_lr": [0.1, 0.2]}, "^min_lr=.*2 were given for 1 param groups"),
        (ReduceLROnPlateau, {"min_lr": ["x"]}, r"^min_lr\[0\]='x': give a number"),
        (ReduceLROnPlateau, {"schedule": [Constant(0.1)] * 2}, "^schedule=.*1 param groups"),
        (ReduceLROnPlateau, {"schedule": Constant(-0.1)}, "^schedule=.*takes numbers from 0"),
        (ReduceLROnPlateau, {"lowering": "fast"}, "^lowering='fast'"),
        (GreedyLR, {"factor": 0.0}, "^factor=0.0: a rise divides the rate by factor"),
        (GreedyLR, {"patience": -1}, "^patience=-1"),
        (GreedyLR, {"window_size": 0}, "^window_size=0: give at least 1"),
        (GreedyLR, {"verbose": True}, "^verbose=True: printing synchronizes: call get_last_lr"),
        (GreedyLR, {"max_lr": [1.0, 2.0]}, "^max_lr=.*2 were given for 1 param groups"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(cls, arguments, message):
    opt = optimizer_of([0.1])
    before = {name: value for name, value in opt.param_groups[0].items()}
    with pytest.raises(ArgumentError, match=message):
        cls(opt, **arguments)
    assert opt.param_groups[0] == before


# The formula in the docstring.


@pytest.mark.parametrize("cls", [ReduceLROnPlateau, GreedyLR])
def test_the_formula_gives_the_rates(cls):
    rnd, doc = random.Random(6), inspect.getdoc(cls)
    (lines,) = re.findall(r"^The learning[^:]*::\n\n((?:    .+\n)+)", doc, re.MULTILINE)
    for _ in range(50):
        arguments = {
            "factor": rnd.choice((0.5, 0.9)),
            "patience": rnd.choice((0, 1, 3)),
            "threshold": rnd.choice((0.0, 1e-2)),
            "min_lr": 0.01,
            "eps": 1e-3,
            **({"cooldown": rnd.choice((0, 2))} if cls is ReduceLROnPlateau else {"max_lr": 0.9}),
        }
        made = cls(optimizer_of([0.3]), **arguments)
        metrics = drawn_metrics(rnd, 20)
        known = {"inf": math.inf, "metrics": metrics, "initial": 0.3, **arguments}
        for t, metric in enumerate(metrics, 1):
            made.step(metric)
            names = {**known, "t": t}
            exec(dedent(lines), names)
            assert rates_of(made.optimizer) == [names["value"]]
