"""The public classes: their arguments as attributes, their errors, the functions of subclasses."""

import inspect
import math

import pytest
import torch
from binding import BY_STEP, EVERY, optimizer

from accelsched import ArgumentError, SchedulerList, lr_scheduler, reference
from accelsched import lr_scheduler as ours
from accelsched.lr_scheduler import LambdaLR, MultiplicativeLR, ScalePerParamLR, SequentialLR

CLASSES = [getattr(lr_scheduler, name) for name in BY_STEP if name != "LRScheduler"]
KINDS = pytest.mark.parametrize("kind", ["host", "graph"])

NOT_ATTRIBUTES = {"self", "optimizer", "scheduler", "last_epoch"}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_every_argument_is_an_attribute(make):
    scheduler = make(optimizer())
    parameters = set(inspect.signature(type(scheduler).__init__).parameters)
    for name in parameters - NOT_ATTRIBUTES:
        getattr(scheduler, name)


def test_attributes_read_what_was_given():
    opt = optimizer()
    one = ours.OneCycleLR(opt, 0.002, 0.05, total_steps=99, three_phase=True)
    assert (one.initial_learning_rate, one.initial_val) == (0.002, 0.002)
    assert (one.max_lr, one.max_val, one.total_steps, one.three_phase) == (0.05, 0.05, 99, True)
    steps = ours.MultiStepLR(optimizer(), 0.1, 0.5, [3, 4])
    assert steps.milestones == [3, 4]
    assert steps.param_group_key == "lr"


SETTINGS = [
    (lambda o: ours.ConstantLR(o, 0.1), "learning_rate", 0.2),
    (lambda o: ours.ConstantLR(o, 0.1), "val", 0.2),
    (lambda o: ours.LinearLR(o, 0.0, 0.1, 10), "end_learning_rate", 0.4),
    (lambda o: ours.LinearLR(o, 0.0, 0.1, 10), "total_iters", 20),
    (lambda o: ours.PolynomialLR(o, 0.0, 0.1, 10), "power", 3.0),
    (lambda o: ours.CosineDecayLR(o, 0.1, 0.0, 10), "initial_val", 0.4),
    (lambda o: ours.MultiStepLR(o, 0.1, 0.5, [30]), "milestones", [1, 2]),
    (lambda o: ours.CyclicLR(o, 0.1, 0.5), "step_size_up", 7),
    (lambda o: ours.OneCycleLR(o, 0.1, 0.5), "total_steps", 20),
    (lambda o: ours.OneCycleLR(o, 0.1, 0.5, 20), "anneal_strategy", "linear"),
    (lambda o: ours.LambdaLR(o, 0.1), "initial_learning_rate", 0.7),
    (lambda o: ours.CosineAnnealingWarmRestarts(o, 0.1, 1), "T_mult", 2),
    (lambda o: EVERY["SequentialLR"](o), "milestones", [1]),
    (lambda o: ours.ScalePerParamLR(o, ours.ConstantLR(o, 1.0)), "adjustment_scalars", [0.2]),
]


@KINDS
@pytest.mark.parametrize(("make", "name", "value"), SETTINGS, ids=lambda v: str(v)[:20])
def test_setting_an_attribute_counts_from_the_next_step(make, name, value, kind):
    opt = optimizer(kind=kind)
    scheduler = make(opt)
    scheduler.step()
    before = float(opt.param_groups[0]["lr"])
    setattr(scheduler, name, value)
    assert getattr(scheduler, name) == value
    assert float(opt.param_groups[0]["lr"]) == before
    scheduler.step()
    want = reference.value(scheduler.schedules[0], 2)
    assert float(opt.param_groups[0]["lr"]) == pytest.approx(want, rel=2**-23)
    # The value differs from the one without the setting.
    undisturbed = make(optimizer())
    undisturbed.last_epoch = 2
    assert undisturbed.get_last_lr()[0] != pytest.approx(want, rel=2**-23)


@pytest.mark.parametrize(
    ("make", "name", "value", "argument"),
    [
        (lambda o: ours.LinearLR(o, 0.0, 0.1, 10), "total_iters", -1, "total_iters"),
        (lambda o: ours.LinearLR(o, 0.0, 0.1, 10), "end_val", math.inf, "end_learning_rate"),
        (lambda o: ours.MultiStepLR(o, 0.1, 0.5, [3]), "milestones", [3, 2], "milestones"),
        (lambda o: EVERY["SequentialLR"](o), "milestones", [5, 9], "schedulers"),
        (lambda o: EVERY["ScalePerParamLR"](o), "adjustment_scalars", [1, 2], "adjustment_scalars"),
    ],
)
def test_a_bad_setting_changes_nothing(make, name, value, argument):
    opt = optimizer()
    scheduler = make(opt)
    before = getattr(scheduler, name)
    with pytest.raises(ArgumentError, match=f"^{argument}="):
        setattr(scheduler, name, value)
    assert getattr(scheduler, name) == before
    scheduler.step()


BAD = [
    (ours.ConstantLR, dict(learning_rate=math.nan), "learning_rate"),
    (ours.ConstantLR, dict(learning_rate="x"), "learning_rate"),
    (ours.LinearLR, dict(end_learning_rate=math.inf), "end_learning_rate"),
    (ours.LinearLR, dict(total_iters=-1), "total_iters"),
    (ours.LinearLR, dict(total_iters=-5), "total_iters"),
    (ours.LinearLR, dict(total_iters=2.5), "total_iters"),
    (ours.LinearLR, dict(cycle="yes"), "cycle"),
    (ours.PolynomialLR, dict(total_iters=-1), "total_iters"),
    (ours.PolynomialLR, dict(power=0), "power"),
    (ours.ExponentialLR, dict(total_iters=0), "total_iters"),
    (ours.ExponentialLR, dict(decay_rate=-0.1), "decay_rate"),
    (ours.InverseExponentialTimeDecayLR, dict(total_iters=0), "total_iters"),
    (ours.InverseExponentialTimeDecayLR, dict(decay_rate=-1), "decay_rate"),
    (ours.InverseSquareRootDecayLR, dict(warmup_steps=-1), "warmup_steps"),
    (ours.CosineDecayLR, dict(total_iters=-1), "total_iters"),
    (ours.PiecewiseConstantLR, dict(learning_rates=[0.1]), "learning_rates"),
    (ours.PiecewiseConstantLR, dict(learning_rates=[0.1, math.nan]), r"learning_rates\[1\]"),
    (ours.PiecewiseConstantLR, dict(milestones=[-1]), "milestones"),
    (ours.PiecewiseConstantLR, dict(milestones=3), "milestones"),
    (ours.MultiStepLR, dict(milestones=[5, 3]), "milestones"),
    (ours.MultiStepLR, dict(milestones=[5.5]), r"milestones\[0\]"),
    (ours.StepLR, dict(step_size=0), "step_size"),
    (ours.StepLR, dict(gamma=math.nan), "gamma"),
    (ours.CosineAnnealingLR, dict(T_max=0), "T_max"),
    (ours.CosineAnnealingWarmRestarts, dict(T_0=0), "T_0"),
    (ours.CosineAnnealingWarmRestarts, dict(T_mult=0), "T_mult"),
    (ours.MultiplicativeLR, dict(coefficient=math.inf), "coefficient"),
    (ours.CyclicLR, dict(mode="square"), "mode"),
    (ours.CyclicLR, dict(scale_mode="steps"), "scale_mode"),
    (ours.CyclicLR, dict(step_size_up=0), "step_size_up"),
    (ours.CyclicLR, dict(step_size_down=0), "step_size_down"),
    (ours.OneCycleLR, dict(pct_start=0), "pct_start"),
    (ours.OneCycleLR, dict(pct_start=1.0), "pct_start"),
    (ours.OneCycleLR, dict(pct_start=0.6, three_phase=True), "pct_start"),
    (ours.OneCycleLR, dict(anneal_strategy="sine"), "anneal_strategy"),
    (ours.OneCycleLR, dict(total_steps=0), "total_steps"),
    (ours.OneCycleLR, dict(final_div_factor=0), "final_div_factor"),
]
FINE = {
    "learning_rate": 0.1, "initial_learning_rate": 0.1, "end_learning_rate": 0.01,
    "total_iters": 10, "decay_rate": 0.5, "step_exponent": 1, "learning_rates": [0.1, 0.2],
    "milestones": [5], "gamma": 0.5, "step_size": 5, "T_max": 10, "T_0": 10, "coefficient": 0.9,
    "base_lr": 0.01, "max_lr": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "bad", "argument"), BAD, ids=lambda v: getattr(v, "__name__", str(v))
)
def test_bad_arguments_are_named_as_they_were_given(cls, bad, argument):
    opt = optimizer()
    parameters = inspect.signature(cls.__init__).parameters
    needed = {
        name: FINE[name]
        for name, parameter in parameters.items()
        if name in FINE and parameter.default is inspect.Parameter.empty
    }
    with pytest.raises(ArgumentError, match=f"^{argument}="):
        cls(opt, **{**needed, **bad})
    assert opt.param_groups[0]["lr"] == 0.001
    cls(opt, **needed)  # valid without the bad argument


def test_whole_floats_are_whole_numbers():
    scheduler = ours.LinearLR(optimizer(), 0.0, 1.0, total_iters=1e5)  # a whole float
    assert scheduler.total_iters == 100_000
    assert isinstance(scheduler.total_iters, int)


def test_scale_mode_is_obeyed_if_it_is_given():
    def top(**given):
        scheduler = ours.CyclicLR(
            optimizer(), 0.0, 1.0, step_size_up=10, mode="exp_range", gamma=0.9, **given
        )
        scheduler.last_epoch = 10
        return scheduler.get_last_lr()[0]

    assert top() == top(scale_mode="iterations") == pytest.approx(0.9**10)
    assert top(scale_mode="cycle") == pytest.approx(0.9)
    assert inspect.signature(ours.CyclicLR.__init__).parameters["scale_mode"].default == "cycle"


# User functions.


class Halving(LambdaLR):
    def set_value_lambda(self):
        return [lambda step: 0.5**step, lambda step: 1 / (step + 1)]


class OneFunction(LambdaLR):
    def set_value_lambda(self):
        return lambda step: 0.99**step


@KINDS
def test_lambda_multiplies_the_initial_value_once(kind):
    opt = optimizer(kind=kind)
    scheduler = Halving(opt, 0.8)
    scheduler.last_epoch = 3
    assert float(opt.param_groups[0]["lr"]) == pytest.approx(0.8 * 0.5**3 / 4)
    assert float(OneFunction(optimizer(), 2.0).get_last_lr()[0]) == 2.0


def test_lambda_keeps_the_digits_of_a_slow_decay():
    class Slow(LambdaLR):
        def set_value_lambda(self):
            return lambda step: 0.99999**step  # float32 is 1.3 % off at step 10**6

    scheduler = Slow(optimizer(), 1.0)
    scheduler.last_epoch = 10**6
    assert scheduler.get_last_lr()[0] == pytest.approx(0.99999**1_000_000, rel=1e-9)


def test_multiplicative_by_an_overridden_coefficient():
    class Given(MultiplicativeLR):
        def set_value_lambda(self):
            return lambda step: 0.5

    scheduler = Given(optimizer(), 0.8, coefficient=0.9)
    scheduler.last_epoch = 2
    assert scheduler.get_last_lr() == [0.2]


def test_nothing_is_lost_in_a_nest_of_scales():
    opt = optimizer({"adjust_learning_rate": 0.5}, {"adjust_val": 0.1}, {})
    inner = ScalePerParamLR(opt, ours.ConstantLR(opt, 1.0))
    outer = SequentialLR(opt, [ScalePerParamLR(opt, inner)], [])
    assert outer.get_last_lr() == pytest.approx([0.25, 0.01, 1.0])


def test_repr_says_what_is_bound_without_reading_the_device():
    scheduler = ours.LinearLR(optimizer({}, {}, kind="graph"), 0.0, 1.0, 10)
    text = repr(scheduler)
    for part in ("LinearLR(SGD", "Linear(initial=0.0, end=1.0", "groups=[0, 1]", "graph"):
        assert part in text
    assert "tensor" not in text


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_every_class_is_documented(cls):
    names = set(inspect.signature(cls.__init__).parameters) - {"self"}
    assert all(f"{name}:" in cls.__doc__ for name in names) or cls.__doc__.startswith(":class:")


@KINDS
def test_a_training_step_uses_the_value(kind):
    opt = optimizer(kind=kind)
    parameter = opt.param_groups[0]["params"][0]
    scheduler = ours.LinearLR(opt, 0.0, 1.0, 4)
    moved = []
    for _ in range(4):
        before = parameter.detach().clone()
        parameter.grad = torch.ones_like(parameter)
        opt.step()
        scheduler.step()
        moved.append((before - parameter.detach())[0].item())
    assert moved == [0.0, 0.25, 0.5, 0.75]


@KINDS
@pytest.mark.parametrize("name", sorted(set(BY_STEP) - {"LRScheduler"}))
def test_every_class_starts_after_the_last_epoch_that_it_is_given(name, kind):
    """skorch passes last_epoch by keyword."""
    cls = getattr(ours, name)

    class Late(cls):
        def __init__(self, *args, **options):
            super().__init__(*args, **{**options, "last_epoch": 6})

    opt = optimizer(kind=kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, name, Late)
        late = EVERY[name](opt)
    there = EVERY[name](optimizer(kind=kind))
    there.step(7)
    assert late.last_epoch == 7
    assert late.get_last_lr() == there.get_last_lr()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda o: ours.OneCycleLR(o, 0.1, 1000), "max_lr=1000"),
        (lambda o: ours.CosineAnnealingWarmRestarts(o, 10, 2), "initial_learning_rate=10"),
        (lambda o: ours.ConstantLR(o, 5), "learning_rate=5"),
    ],
)
def test_arguments_that_are_those_of_torch_are_told(make, argument):
    with pytest.warns(UserWarning, match=f"{argument}: .* use accelsched.from_torch"):
        make(optimizer())


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (
            lambda o: lr_scheduler.SequentialLR(o, 5, [1]),
            "^schedulers=5: give a list",
        ),
        (lambda o: lr_scheduler.SequentialLR(o, [1, 2], [1]), r"^schedulers\[0\]=1: give a sched"),
        (lambda o: lr_scheduler.ChainedLR(5), "^schedulers=5: give a list"),
        (lambda o: lr_scheduler.ChainedLR([]), r"^schedulers=\[\]: give at least one"),
        (lambda o: SchedulerList(5), "^schedulers=5: give a list"),
        (lambda o: SchedulerList([5]), r"^schedulers\[0\]=5: give a scheduler"),
        (
            lambda o: lr_scheduler.ConstantLR(o, 0.1, param_group_tags=[[1]]),
            r"^param_group_tags=\[\[1\]\]: give a string, or a list of strings",
        ),
    ],
)
def test_what_is_no_list_of_schedulers_or_tags(build, error):
    opt = optimizer()
    with pytest.raises(ArgumentError, match=error):
        build(opt)
    assert opt.param_groups[0]["lr"] == 0.001
