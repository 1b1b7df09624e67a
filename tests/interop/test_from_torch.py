"""torch's schedulers and ours in lockstep: of every class, from every step, on every driver."""

import contextlib
import copy
import functools
import json
import math
import random
from pathlib import Path

import pytest
import torch
from binding import optimizer
from metrics import assert_same_state, drawn_metrics, drawn_settings, optimizer_of
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

from accelsched import ArgumentError, SchedulerList, from_torch
from accelsched import lr_scheduler as ours
from accelsched.schedules import Chained, Linear, Multiplicative, Scaled

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "torch.json").read_text())
RECORDED = [case for case in GOLDEN if case["values"] and case["scheduler"] != "ReduceLROnPlateau"]
KINDS = pytest.mark.parametrize("kind", ["host", "graph"])


def function(text):
    return eval(f"lambda step, x=0: {text}", vars(math).copy())


def scheduler(name, kwargs, opt):
    """Return the torch scheduler that a recorded case describes."""
    kwargs = dict(kwargs)
    for key, value in kwargs.items():
        if key in ("lr_lambda", "scale_fn"):
            texts = value if isinstance(value, list) else [value]
            if key == "scale_fn":
                kwargs[key] = eval(f"lambda x: {value}", vars(math).copy())
            else:
                made = [function(text) for text in texts]
                kwargs[key] = made if isinstance(value, list) else made[0]
        if key == "schedulers":
            kwargs[key] = [scheduler(v["scheduler"], v["kwargs"], opt) for v in value]
    if name == "ChainedScheduler":
        return theirs.ChainedScheduler(**kwargs)
    return (SWALR if name == "SWALR" else getattr(theirs, name))(opt, **kwargs)


def build(case, kind="host"):
    groups = [{k: v for k, v in group.items() if k != "lr"} for group in case["groups"]]
    momentum = {"momentum": 0.5} if "momentum" in case else {}
    opt = optimizer(*groups, kind=kind, **momentum)
    for group, given in zip(opt.param_groups, case["groups"], strict=True):
        lr = given.get("lr", case.get("default_lr", 1e-3))
        group["lr"] = torch.tensor(lr) if kind == "graph" else lr
    return scheduler(case["scheduler"], case["kwargs"], opt)


def values(made, key="lr"):
    return [
        float(group["betas"][0] if key == "betas" else group[key])
        for group in made.optimizer.param_groups
    ]


def tolerance(kind, steps, start=0):
    # torch steps recursively, with about 8 roundings a step, each relative to the peak. In float32
    # a value is rounded once, and so is the lr that it was converted from. Before the conversion,
    # torch rounds at each step in float32.
    return 8 * steps * 2**-53 if kind == "host" else 2**-22 + start * 2**-24


def lockstep(live, start, steps, kind="host", **options):
    """Convert a live scheduler after some steps, and compare it with torch's from there on."""
    reached, converted = live(), live(kind)
    for _ in range(start):
        reached.step()
        converted.step()
    made = from_torch(converted, **options)
    peak = max(map(abs, values(reached)))
    for step in range(start, steps):
        assert made.last_epoch == step
        for key in ("lr", "momentum", "betas"):
            if key in reached.optimizer.param_groups[0]:
                want = values(reached, key)
                peak = max([peak, *map(abs, want)])
                unit = tolerance(kind, steps, start)
                assert values(made, key) == pytest.approx(want, rel=unit, abs=unit * peak), step
        if step + 1 < steps:
            reached.step()
            made.step()
    return made


def name(case):
    return case["id"].removeprefix("torch/")


def lost_where_torch_loses_it(scheduler, kind, start, milestone):
    """Expect an error where a SequentialLR before torch 2.13 overwrote the initial tensor lr."""
    loses = not hasattr(theirs, "_param_groups_val_list")
    if scheduler == "SequentialLR" and kind == "graph" and loses and start >= milestone:
        return pytest.raises(ArgumentError, match="torch overwrote its initial lr: use a float lr")
    return contextlib.nullcontext()


@KINDS
@pytest.mark.parametrize("start", [0, 13])
@pytest.mark.parametrize("case", RECORDED, ids=name)
def test_lockstep_with_torch(case, start, kind):
    steps = max(case["steps"]) + 1
    if case["scheduler"] == "OneCycleLR":
        steps = min(steps, 100)  # past its end, torch's turns back for a step, then raises
    if start >= steps:
        start = steps - 1
    nested = name(case) in ("SequentialLR/05", "SequentialLR/06")
    milestone = 0 if nested else case["kwargs"].get("milestones", [0])[0]
    with lost_where_torch_loses_it(case["scheduler"], kind, start, milestone):
        lockstep(lambda kind="host": build(case, kind), start, steps, kind, total_iters=150)


@pytest.mark.parametrize("case", RECORDED, ids=name)
def test_recorded_curve(case):
    """Curves recorded with torch 2.13 hold for any installed torch."""
    if name(case) == "SequentialLR/06" and not hasattr(theirs, "_param_groups_val_list"):
        pytest.skip("nested sequences are not the same in each torch: lockstep compares them")
    made = from_torch(build(case), total_iters=150)
    steps = 100 if case["scheduler"] == "OneCycleLR" else 1000
    for step, want in zip(case["steps"], case["values"], strict=True):
        if step >= steps:
            break
        want = want if isinstance(want, list) else [want]
        peak = max(map(abs, want))
        made.last_epoch = step
        got = [float(value) for value in made.get_last_lr()]
        assert got == pytest.approx(want, rel=tolerance("host", 121), abs=1e-16 + 1e-14 * peak)


def test_every_class_of_torch_is_tried():
    taken = {case["scheduler"] for case in RECORDED} - {"SWALR"}
    assert taken == set(theirs.__all__) - {"LRScheduler", "ReduceLROnPlateau"}


@KINDS
def test_a_plateau_goes_on_from_any_point_of_its_life(kind):
    rnd = random.Random(7)
    dtype = torch.float64 if kind == "graph" else None
    for _ in range(40):
        rates, arguments = drawn_settings(rnd)
        metrics = drawn_metrics(rnd, 20)
        plain = theirs.ReduceLROnPlateau(optimizer_of(rates), **arguments)
        other = theirs.ReduceLROnPlateau(optimizer_of(rates, dtype), **arguments)
        at = rnd.randrange(20)
        for metric in metrics[:at]:
            plain.step(metric)
            other.step(metric)
        made = from_torch(other)
        assert isinstance(made, ours.ReduceLROnPlateau)
        for metric in metrics[at:]:
            plain.step(metric)
            made.step(metric)
        assert_same_state(made, plain)


# Cases beyond the recorded ones.


def adam(kind="host", **options):
    return optimizer({}, {}, kind=kind, cls=torch.optim.AdamW, **options)


MORE = {
    "betas of OneCycleLR": lambda o: theirs.OneCycleLR(o, [0.1, 0.3], 60),
    "betas of OneCycleLR in three phases": lambda o: theirs.OneCycleLR(
        o, 0.1, 60, three_phase=True, anneal_strategy="linear"
    ),
    "betas of CyclicLR": lambda o: theirs.CyclicLR(o, 0.01, 0.1, 7, 5, mode="triangular2"),
    "a function without the step": lambda o: theirs.MultiplicativeLR(o, lambda _: 0.97),
    "MultiplicativeLR in a sequence": lambda o: theirs.SequentialLR(
        o, [theirs.LinearLR(o, 0.1, 1.0, 9), theirs.MultiplicativeLR(o, lambda t: 0.9)], [10]
    ),
    "a chain in a chain": lambda o: theirs.ChainedScheduler(
        [
            theirs.ChainedScheduler([theirs.LinearLR(o, 0.1, 1.0, 9), theirs.StepLR(o, 20, 0.5)]),
            theirs.ExponentialLR(o, 0.99),
        ]
    ),
    "LambdaLR in a chain": lambda o: theirs.ChainedScheduler(
        [theirs.LambdaLR(o, lambda t: 1 / (1 + t)), theirs.StepLR(o, 20, 0.5)]
    ),
    "a cosine with a minimum in a chain": lambda o: theirs.ChainedScheduler(
        [theirs.LinearLR(o, 0.1, 1.0, 9), theirs.CosineAnnealingLR(o, 30, 1e-4)]
    ),
    "a sequence in a chain": lambda o: theirs.ChainedScheduler(
        [MORE["MultiplicativeLR in a sequence"](o), theirs.StepLR(o, 20, 0.5)]
    ),
    "a cycle in a sequence": lambda o: theirs.SequentialLR(
        o, [theirs.LinearLR(o, 0.1, 1.0, 9), theirs.CyclicLR(o, 0.01, 0.1, 7, 5)], [10]
    ),
    "SWALR after another": lambda o: _averaging_after_another(o),
}


def _averaging_after_another(o):
    first = theirs.StepLR(o, 2, 0.5)
    for _ in range(5):
        first.step()
    return SWALR(o, 0.05, 8)


IN_SEQUENCE = [make for name, make in MORE.items() if "sequence" in name]


@KINDS
@pytest.mark.parametrize("start", [0, 12, 35])
@pytest.mark.parametrize("make", MORE.values(), ids=MORE)
def test_more_lockstep(make, start, kind):
    sequence = "SequentialLR" if make in IN_SEQUENCE else ""
    milestone = 0 if make is MORE["a sequence in a chain"] else 10
    with lost_where_torch_loses_it(sequence, kind, start, milestone):
        lockstep(lambda kind="host": make(adam(kind)), start, 60, kind, total_iters=60)


class Own(theirs.StepLR):
    """A user's scheduler: halve the lr at each square step."""

    def get_lr(self):
        square = math.isqrt(self.last_epoch) ** 2 == self.last_epoch > 0
        return [group["lr"] * (0.5 if square else 1.0) for group in self.optimizer.param_groups]


class Renamed(theirs.StepLR):
    """A user's subclass that changes nothing."""


def test_a_class_of_ones_own_is_run_and_tabulated():
    made = lockstep(lambda kind="host": Own(optimizer(), 3), 10, 60, total_iters=60)
    assert made.schedules[0].total_iters == 60
    with pytest.raises(ArgumentError, match="Own has no known formula: give total_iters"):
        from_torch(Own(optimizer(), 3))
    assert "step_size" in repr(from_torch(Renamed(optimizer(), 3)))


# A learning rate from outside.


@KINDS
def test_what_was_changed_from_outside_is_stepped_on_from(kind):
    def live(kind="host"):
        made = theirs.StepLR(optimizer({}, {}, kind=kind), 10, 0.5)
        for _ in range(15):
            made.step()
        made.optimizer.param_groups[0]["lr"] = torch.tensor(0.02) if kind == "graph" else 0.02
        return made

    reached, made = live(), from_torch(live(kind))
    assert isinstance(made.schedules[0], Scaled)
    for _ in range(30):
        assert values(made) == pytest.approx(values(reached), rel=2**-22)
        made.step()
        reached.step()


# What is returned.


def test_the_optimizer_goes_on_without_the_wrapper_of_torch():
    opt = optimizer()
    old = theirs.CosineAnnealingLR(opt, 10)
    assert "step" in vars(opt)
    made = from_torch(old)
    assert "step" not in vars(opt)
    assert made.optimizer is opt
    assert isinstance(made, ours.LRScheduler)
    opt.step()
    made.step()


def test_a_functions_factors_are_evaluated_on_the_device():
    made = from_torch(theirs.LambdaLR(optimizer(), lambda step: 0.95**step))
    assert made.schedules[0].settles is None
    constant = from_torch(theirs.MultiplicativeLR(optimizer(), lambda _: 0.97))
    assert constant.schedules == (Scaled(Multiplicative(1.0, 0.97), 0.001),)
    growing = from_torch(theirs.MultiplicativeLR(optimizer(), lambda step: 1.5 + 0 * step))
    growing.last_epoch = 2000
    assert 1e300 < values(growing)[0] < math.inf  # the last product that float64 can hold


def test_lr_and_betas_have_one_state():
    old = theirs.OneCycleLR(adam(), 0.1, 60)
    for _ in range(20):
        old.step()
    made = from_torch(old)
    assert isinstance(made, SchedulerList)
    state = json.loads(json.dumps(made.state_dict()))
    resumed = from_torch(theirs.OneCycleLR(adam(), 0.1, 60))
    resumed.load_state_dict(state)
    for _ in range(20):
        assert (values(resumed), values(resumed, "betas")) == (values(made), values(made, "betas"))
        resumed.step()
        made.step()
    before = resumed.state_dict()
    state["schedulers"][1]["version"] = 7
    with pytest.raises(ArgumentError, match="version=7"):
        resumed.load_state_dict(state)
    assert resumed.state_dict() == before
    with pytest.raises(ArgumentError, match="SchedulerList of 2 schedulers"):
        resumed.load_state_dict({})


def test_betas_are_a_key_of_their_own():
    opt = adam("graph")
    made = SchedulerList(
        [
            ours.LinearLR(None, 0.0, 1.0, 10),
            ours.LRScheduler(None, Linear(0.9, 0.5, 10), "betas[0]", lowering="graph"),
            ours.LRScheduler(None, Linear(0.9, 0.99, 10), "betas[1]"),
        ]
    )
    with pytest.raises(RuntimeError, match="call scheduler"):
        made.step()
    assert made(opt) is made
    (cell, _), (other, _) = (group["betas"] for group in opt.param_groups)
    made.step()
    assert cell is opt.param_groups[0]["betas"][0] is not other
    assert cell.item() == pytest.approx(0.86)
    assert opt.param_groups[1]["betas"][1] == pytest.approx(0.909)
    assert values(made) == pytest.approx([0.1, 0.1])
    assert [float(v) for v in made.get_last_lr()] == pytest.approx([0.1, 0.1])
    saved = copy.deepcopy(opt.state_dict())
    made.step()
    opt.load_state_dict(saved)
    assert opt.param_groups[0]["betas"][0] is cell
    for key in ("betas[2]", "lr[0]"):
        with pytest.raises(ArgumentError, match="^key="):
            ours.LRScheduler(opt, Linear(0, 1, 2), key)


@pytest.mark.parametrize("cls", [torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam])
def test_betas_that_change_are_compiled_once(cls):
    """Ours never recompiles; torch's OneCycleLR sets floats and recompiles until Dynamo stops."""
    from torch._dynamo.utils import counters

    def trained(convert):
        torch._dynamo.reset()
        torch.manual_seed(0)
        weights = torch.nn.Parameter(torch.randn(8))
        opt = cls([weights], lr=torch.tensor(0.01))
        made = theirs.OneCycleLR(opt, 0.1, 40)
        made = from_torch(made) if convert else made

        def step():
            opt.zero_grad()
            weights.square().sum().backward()
            opt.step()
            made.step()

        step = torch.compile(step, backend="aot_eager") if convert else step
        for _ in range(3):
            step()
        before = counters["stats"]["unique_graphs"]
        for _ in range(30):
            step()
        return weights.detach(), counters["stats"]["unique_graphs"] - before

    weights, compiles = trained(True)
    assert compiles == 0
    # The compiled optimizer computes bias corrections in float32: an error of 2**-24 in
    # 1 - beta ** t, which is 0.001 at first, over 33 steps of at most 0.1.
    assert (weights - trained(False)[0]).abs().max() <= 33 * 0.1 * 2**-24 / 0.001


# torch's states, loaded into our schedulers.

PAIRS = {
    "StepLR": (lambda o: theirs.StepLR(o, 7, 0.5), lambda o: ours.StepLR(o, 0.001, 7, 0.5)),
    "MultiStepLR": (
        lambda o: theirs.MultiStepLR(o, [9, 5, 5], 0.5),
        lambda o: ours.MultiStepLR(o, 0.001, 0.5, [5, 5, 9]),
    ),
    "CosineAnnealingLR": (
        lambda o: theirs.CosineAnnealingLR(o, 9),
        lambda o: ours.CosineAnnealingLR(o, 0.001, 9),
    ),
    "SequentialLR": (
        lambda o: theirs.SequentialLR(
            o, [theirs.LinearLR(o, 0.1, 1.0, 9), theirs.CosineAnnealingLR(o, 30)], [9]
        ),
        lambda o: ours.SequentialLR(
            o, [ours.LinearLR(o, 0.0001, 0.001, 9), ours.CosineAnnealingLR(o, 0.001, 30)], [9]
        ),
    ),
    "ChainedScheduler": (
        lambda o: theirs.ChainedScheduler([theirs.StepLR(o, 7, 0.5), theirs.StepLR(o, 5, 0.5)]),
        lambda o: ours.ChainedLR([ours.StepLR(o, 0.001, 7, 0.5), ours.StepLR(o, 1.0, 5, 0.5)]),
    ),
    "converted": (
        lambda o: theirs.OneCycleLR(o, 0.1, 60, cycle_momentum=False),
        lambda o: from_torch(theirs.OneCycleLR(o, 0.1, 60, cycle_momentum=False)),
    ),
    "converted with its momentum": (
        lambda o: theirs.CyclicLR(o, 0.1, 0.2, 7),
        lambda o: from_torch(theirs.CyclicLR(o, 0.1, 0.2, 7)),
    ),
}


@KINDS
@pytest.mark.parametrize(("old", "new"), PAIRS.values(), ids=PAIRS)
def test_a_state_of_torch_is_continued_from(old, new, kind):
    saved, loaded = old(adam()), new(adam(kind))
    for _ in range(13):
        saved.step()
    loaded.load_state_dict(copy.deepcopy(saved.state_dict()))
    for step in range(13, 40):
        assert loaded.last_epoch == step
        unit = tolerance(kind, 40)
        assert values(loaded) == pytest.approx(values(saved), rel=unit, abs=unit * 0.2)
        loaded.step()
        saved.step()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("StepLR", lambda o: ours.StepLR(o, 0.001, 8, 0.5), "step_size=7: this scheduler has 8"),
        ("MultiStepLR", lambda o: ours.MultiStepLR(o, 0.1, 0.5, [5]), "milestones=.*has .5."),
        ("SequentialLR", lambda o: ours.SequentialLR(o, [ours.ConstantLR(o, 1)], []), "number of"),
        (
            "SequentialLR",
            lambda o: ours.SequentialLR(o, [ours.ConstantLR(o, 1), ours.ConstantLR(o, 1)], [8]),
            r"milestones=\[9\]: this scheduler has \[8\]: build it to match",
        ),
    ],
)
def test_a_state_of_torch_that_means_something_else_is_refused(old, new, message):
    saved, loaded = PAIRS[old][0](adam()), new(adam())
    before = loaded.state_dict()
    with pytest.raises(ArgumentError, match=message):
        loaded.load_state_dict(saved.state_dict())
    assert loaded.state_dict() == before


def test_a_chain_of_torch_at_two_steps_is_refused():
    state = PAIRS["ChainedScheduler"][0](adam()).state_dict()
    state["_schedulers"][0]["last_epoch"] = 3
    with pytest.raises(ArgumentError, match="at different steps"):
        PAIRS["ChainedScheduler"][1](adam()).load_state_dict(state)
    for bad in (-1, 2.5, True):
        with pytest.raises(ArgumentError, match="last_epoch"):
            ours.ConstantLR(adam(), 0.1).load_state_dict({"last_epoch": bad})


# What cannot be converted.


class OwnPlateau(theirs.ReduceLROnPlateau):
    def _is_better(self, metric, best):
        return metric <= best

    is_better = _is_better  # its name in torch 2.4


def refused():
    return {
        "a metric": (OwnPlateau(optimizer()), "its class overrides _?is_better: keep it"),
        "a metric for ever": (
            theirs.ReduceLROnPlateau(optimizer(), patience=math.inf),
            "patience=inf: give a finite number",
        ),
        "ours": (ours.ConstantLR(optimizer(), 0.1), "it is one of accelsched already"),
        "no scheduler": (0.1, "give a torch.optim.lr_scheduler.LRScheduler"),
        "LambdaLR in a chain": (
            MORE["LambdaLR in a chain"](optimizer()),
            "its LambdaLR does not multiply the lr: give total_iters",
        ),
        "half steps": (
            theirs.CyclicLR(optimizer(), 0.01, 0.1, 2.5, cycle_momentum=False),
            "its steps up or down are not whole: give total_iters",
        ),
        "a negative factor": (theirs.ExponentialLR(optimizer(), -0.5), "coefficient=-0.5"),
        "a fraction of a step": (theirs.CosineAnnealingLR(optimizer(), 2.5), "T_max=2.5"),
    }


@pytest.mark.parametrize("case", refused())
def test_what_cannot_be_converted_says_what_to_do(case):
    old, message = refused()[case]
    before = dict(old.optimizer.param_groups[0]) if hasattr(old, "optimizer") else {}
    with pytest.raises(ArgumentError, match=message):
        from_torch(old)
    if before:
        assert old.optimizer.param_groups[0] == before


def test_a_function_that_cannot_be_tabulated_is_named():
    old = theirs.LambdaLR(optimizer(), lambda step: math.inf if step > 3 else 1.0)
    with pytest.raises(ArgumentError, match="not a finite number, at step 4"):
        from_torch(old, total_iters=10)


def test_fractions_of_an_epoch():
    old = theirs.CosineAnnealingWarmRestarts(optimizer(), 10)
    old.step(3.5)
    with pytest.raises(ArgumentError, match="fractions of an epoch"):
        from_torch(old)
    old.step(4)
    assert from_torch(old).last_epoch == 4


# transformers.

HF = json.loads((Path(__file__).parents[1] / "golden" / "transformers.json").read_text())
RUN_HF = [case for case in HF if case["values"]]


def transformers_scheduler(case, kind="host"):
    transformers = pytest.importorskip(
        "transformers", reason="transformers is installed by `make test` only"
    )
    opt = optimizer(*[{}] * len(case["groups"]), kind=kind)
    for group, given in zip(opt.param_groups, case["groups"], strict=True):
        group["lr"] = torch.tensor(given["lr"]) if kind == "graph" else given["lr"]
    opt.defaults["lr"] = case["default_lr"]
    return transformers.get_scheduler(case["scheduler"], opt, **case["kwargs"])


@KINDS
@pytest.mark.parametrize("start", [0, 13])
@pytest.mark.parametrize("case", RUN_HF, ids=lambda c: c["id"].removeprefix("transformers/"))
def test_lockstep_with_transformers(case, start, kind):
    steps = max(case["steps"]) + 1
    made = lockstep(
        lambda kind="host": transformers_scheduler(case, kind), start, steps, kind, total_iters=200
    )
    for step, want in zip(case["steps"], case["values"], strict=True):
        made.last_epoch = step
        want = want if isinstance(want, list) else [want]
        unit = tolerance(kind, steps)
        assert values(made) == pytest.approx(want, rel=unit, abs=unit * 0.5)


def test_every_type_of_transformers_is_tried():
    pytest.importorskip("transformers", reason="transformers is installed by `make test` only")
    from transformers.trainer_utils import SchedulerType

    tried = {case["scheduler"] for case in HF}
    assert {kind.value for kind in SchedulerType} - tried <= {"reduce_lr_on_plateau", "greedy"}


@pytest.mark.parametrize("dtype", [None, torch.float64])
@pytest.mark.parametrize("smooth", [False, True])
def test_a_greedy_scheduler_goes_on_from_any_point_of_its_life(smooth, dtype):
    optimization = pytest.importorskip(
        "transformers.optimization", reason="transformers is installed by `make test` only"
    )
    options = {"factor": 0.5, "patience": 0, "warmup": 1, "cooldown": 1, "reset_start": 2}
    options |= {"smooth": smooth, "window_size": 3, "min_lr": [0.0, 0.25], "max_lr": 2.0}
    metrics = [3.0, 2.0, 1.0, 1.5, 2.0, 2.5, 0.5, 0.25, 0.125, 0.0625, *[1.0] * 20]

    def after(count, dtype=None):
        made = optimization.GreedyLR(optimizer_of([0.125, 0.5], dtype), **options)
        for metric in metrics[:count]:
            made.step(metric)
        return made

    whole = [after(count).get_last_lr() for count in range(len(metrics) + 1)]
    assert len({tuple(rates) for rates in whole}) > 5
    # GreedyLR replaces a tensor lr with a float at its first change, so only step 0 has one.
    for begun in (0, 1, 2, 5, 11, 20):
        made = from_torch(after(begun, dtype if begun == 0 else None))
        assert type(made) is ours.GreedyLR
        for count in range(begun, len(metrics)):
            assert values(made) == whole[count]
            made.step(metrics[count])
        assert values(made) == whole[-1]


def test_a_run_of_transformers_is_converted_in_one_line():
    """No total_iters and no warning: num_training_steps gives the length."""
    plan = functools.partial(
        lambda step, *, num_training_steps: max(0.0, math.cos(step / num_training_steps)),
        num_training_steps=1000,
    )
    made = from_torch(theirs.LambdaLR(optimizer(), plan))
    made.last_epoch = 1500
    assert values(made) == [0.001 * plan(1500)]
    called = []
    old = theirs.LambdaLR(adam(), lambda step: called.append(step) or min(1.0, step / 9))
    called.clear()
    from_torch(old, total_iters=5000)
    assert len(called) < 2 * 5000  # two groups share its table


def test_chains_are_not_the_chains_of_cerebras():
    """Cerebras takes factors relative to each first value, torch relative to each base lr."""
    opt = optimizer()
    chain = theirs.ChainedScheduler([theirs.LinearLR(opt, 0.1, 1.0, 5), theirs.StepLR(opt, 9)])
    assert not isinstance(from_torch(chain).schedules[0], Chained)
