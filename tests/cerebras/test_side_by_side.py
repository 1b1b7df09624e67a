"""Our classes beside the real cerebras_pytorch 2.10.0, step by step, on its CPU backend."""

import inspect
import math
import types

import pytest
import torch
from binding import of_any_key, of_momentum, of_weight_decay
from float32 import UNIT, tolerance

from accelsched import ArgumentError, reference
from accelsched import lr_scheduler as ours
from accelsched import scheduler as our_generic
from accelsched import weight_decay_scheduler as our_decay

cstorch = pytest.importorskip(
    "cerebras.pytorch", reason="cerebras-pytorch is installed by `make test-cerebras` only"
)
from cerebras.pytorch.optim import lr_scheduler as theirs  # noqa: E402
from cerebras.pytorch.optim import scheduler as their_generic  # noqa: E402
from cerebras.pytorch.optim import weight_decay_scheduler as their_decay  # noqa: E402
from cerebras_cases import ALIKE, CLASSES, KEYS, STEPS, optimizer, rates  # noqa: E402

pytestmark = pytest.mark.usefixtures("cpu_backend")


def compare(mine, other, power, steps=STEPS):
    """Step both, and yield (step, group, theirs, ours, tolerance) for driven groups."""
    curves = dict(zip(mine.group_values.indices, mine.schedules, strict=True))
    peak = max(reference.value(s, t) for s in curves.values() for t in range(steps + 1))
    for step in range(steps + 1):
        key = mine.key
        pairs = zip(rates(other.optimizer, key), rates(mine.optimizer, key), strict=True)
        for index, (their_rate, my_rate) in enumerate(pairs):
            if index not in curves:
                assert their_rate == my_rate == 0.001 * (index + 1)
                continue

            def curve(t, schedule=curves[index]):
                return reference.value(schedule, t)

            yield step, index, their_rate, my_rate, tolerance(curve, step, peak, power)
        mine.step()
        other.step()


@pytest.mark.parametrize("kind", ["torch", "cstorch"])
@pytest.mark.parametrize(("make", "power"), ALIKE.values(), ids=ALIKE)
def test_values_step_by_step(make, power, kind):
    mine = make(ours, optimizer(kind=torch.optim.SGD if kind == "torch" else None))
    other = make(theirs, optimizer())
    for step, index, their_rate, my_rate, allowed in compare(mine, other, power):
        assert abs(their_rate - my_rate) <= allowed, (step, index)


@pytest.mark.parametrize("of_key", [of_weight_decay, of_momentum], ids=["decay", "momentum"])
@pytest.mark.parametrize(("make", "power"), ALIKE.values(), ids=ALIKE)
def test_another_key_step_by_step(make, power, of_key):
    generic = of_key is of_momentum
    mine = make(of_key(our_generic if generic else our_decay), optimizer())
    other = make(of_key(their_generic if generic else their_decay), optimizer())
    for step, index, their_value, my_value, allowed in compare(mine, other, power):
        assert abs(their_value - my_value) <= allowed, (step, index)


@pytest.mark.parametrize(("make", "power"), ALIKE.values(), ids=ALIKE)
def test_a_state_of_theirs_is_continued_from(make, power):
    other = make(theirs, optimizer())
    for _ in range(40):
        other.step()
    mine = make(ours, optimizer())
    mine.load_state_dict(other.state_dict())
    assert mine.last_epoch == 40
    curves = dict(zip(mine.group_values.indices, mine.schedules, strict=True))
    peak = max(reference.value(s, t) for s in curves.values() for t in range(STEPS))
    for index, schedule in curves.items():

        def curve(t, schedule=schedule):
            return reference.value(schedule, t)

        allowed = tolerance(curve, 40, peak, power)
        assert abs(rates(other.optimizer)[index] - rates(mine.optimizer)[index]) <= allowed


def test_a_state_of_theirs_with_other_numbers_is_refused():
    saved = theirs.CosineDecayLR(optimizer(), 0.1, 0.0, 50).state_dict()
    with pytest.raises(ArgumentError, match="total_iters=50: this scheduler has 60: build it"):
        ours.CosineDecayLR(optimizer(), 0.1, 0.0, 60).load_state_dict(saved)


def test_lambda_with_one_function():
    class Mine(ours.LambdaLR):
        def set_value_lambda(self):
            return [lambda step: 1 / (step + 1)]

    class Theirs(theirs.LambdaLR):
        set_value_lambda = Mine.set_value_lambda

    mine, other = Mine(optimizer(), 0.2), Theirs(optimizer(), 0.2)
    for step, _, their_rate, my_rate, allowed in compare(mine, other, power=True):
        assert abs(their_rate - my_rate) <= allowed, step


def test_every_class_is_compared():
    compared = {name.split()[0] for name in ALIKE}
    assert compared | {"LambdaLR"} == set(CLASSES)


def test_the_comparison_can_fail():
    mine, other = ours.CosineDecayLR(optimizer(), 0.1, 0.0, 50), theirs.CosineDecayLR(
        optimizer(), 0.1 * (1 + 4 * 17 * UNIT), 0.0, 50
    )  # fmt: skip
    rows = list(compare(mine, other, power=False))
    assert any(abs(theirs_ - mine_) > allowed for _, _, theirs_, mine_, allowed in rows)


MODULES = {
    "lr": (ours, theirs),
    "weight_decay": (of_weight_decay(our_decay), of_weight_decay(their_decay)),
    "momentum": tuple(
        types.SimpleNamespace(**of_any_key(module)) for module in (our_generic, their_generic)
    ),
}
# Arguments that only ours has, after the shared ones.
ONLY_OURS = {"LambdaLR": ["total_iters", "last_epoch"], "SequentialLR": []}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("key", KEYS)
def test_signatures(name, key):
    ours, theirs = MODULES[key]

    def arguments(module):
        parameters = inspect.signature(getattr(module, name).__init__).parameters.values()
        return [(parameter.name, parameter.default) for parameter in parameters]

    count = len(arguments(theirs))
    assert arguments(ours)[:count] == arguments(theirs)
    only_ours = [*ONLY_OURS.get(name, ["last_epoch"]), "open_ended"]
    assert [name for name, _ in arguments(ours)[count:]] == only_ours


# Deviations. The tests pin the value of theirs too, in case a later version fixes it.


def after(steps, make, groups=({},)):
    """Return the first group's learning rate after some steps: theirs, then ours."""
    found = []
    for module in (theirs, ours):
        opt = optimizer(groups)
        scheduler = make(module, opt)
        for _ in range(steps):
            scheduler.step()
        found.append(rates(opt)[0])
    return found


def nested(m, o):
    inner = m.SequentialLR(o, [m.LinearLR(o, 0.0, 0.1, 5), m.ConstantLR(o, 0.1)], [5])
    return m.SequentialLR(o, [m.ConstantLR(o, 0.5), inner], [4])


def chain_from_zero(m, o):
    return m.ChainedLR([m.ConstantLR(o, 0.2), m.LinearLR(o, 0.0, 1.0, 10)])


def scaled_in_a_sequence(m, o):
    return m.SequentialLR(o, [m.ScalePerParamLR(o, m.ConstantLR(o, 0.1))], [])


@pytest.mark.parametrize(
    ("make", "steps", "their_value", "our_value"),
    [
        (lambda m, o: m.PolynomialLR(o, 0.1, 0.0, 20, cycle=True), 30, 0.0, 0.025),
        (lambda m, o: m.LinearLR(o, 0.1, 0.0, 20, True), 30, 0.0, 0.025),
        (lambda m, o: m.CosineAnnealingWarmRestarts(o, 0.1, 10), 15, 0.1, 0.05),
        (lambda m, o: m.OneCycleLR(o, 0.004, 0.1, 100), 169, 0.1, 4e-7),
        (lambda m, o: m.OneCycleLR(o, 0.004, 0.1, 10, pct_start=0.1), 0, math.nan, 0.1),
        (nested, 6, 0.0, 0.04),
        (chain_from_zero, 5, math.inf, 0.1),
        (lambda m, o: m.LambdaLR(o, 0.1), 10, 0.1 * 0.1 * 0.95**10 / 3, 0.1 * 0.95**10 / 3),
        (
            lambda m, o: m.CyclicLR(
                o, 0.0, 0.1, 10, mode="exp_range", gamma=0.9, scale_mode="cycle"
            ),
            10, 0.1 * 0.9**10, 0.09,
        ),
        (
            lambda m, o: m.SequentialLR(
                o, [m.LinearLR(o, 0.0, 0.1, 10), m.ConstantLR(o, 0.1)], [10], last_epoch=4
            ),
            0, 0.0, 0.05,
        ),
    ],
)  # fmt: skip
def test_a_deviation(make, steps, their_value, our_value):
    found = after(steps, make)
    assert found[0] == pytest.approx(their_value, rel=1e-5, nan_ok=True)
    assert found[1] == pytest.approx(our_value, rel=1e-12)


def test_scaling_is_lost_in_their_sequence():
    assert after(3, scaled_in_a_sequence, ({"adjust_learning_rate": 0.5},)) == [
        pytest.approx(0.1),
        pytest.approx(0.05),
    ]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda m, o: m.CyclicLR(o, 0.0, 0.1, mode="square"), "mode"),
        (lambda m, o: m.OneCycleLR(o, 0.004, 0.1, 50, anneal_strategy="sine"), "anneal_strategy"),
        (lambda m, o: m.MultiStepLR(o, 0.1, 0.5, [10, 5]), "milestones"),
        (lambda m, o: m.PiecewiseConstantLR(o, [0.1, 0.2, 0.3, 0.4], [5]), "learning_rates"),
    ],
)
def test_what_theirs_takes_and_ours_refuses(make, argument):
    make(theirs, optimizer())
    with pytest.raises(ArgumentError, match=f"^{argument}="):
        make(ours, optimizer())


@pytest.mark.parametrize(
    "make",
    [
        lambda m, o: m.CosineAnnealingWarmRestarts(o, 0.1, 10, T_mult=2),
        lambda m, o: m.ChainedLR([m.ConstantLR(o, 0.1), m.ConstantLR(o, 0.1)]),
    ],
)
def test_what_theirs_refuses_and_ours_takes(make):
    with pytest.raises((ValueError, AttributeError)):
        make(theirs, optimizer())
    make(ours, optimizer()).step()


def test_an_empty_list_of_tags_is_untagged_for_ours_only():
    their_rate, our_rate = after(
        1, lambda m, o: m.ConstantLR(o, 0.5, param_group_tags=[None]), ({"tags": []}, {})
    )
    assert (their_rate, our_rate) == (0.001, 0.5)


def test_their_state_changes_after_it_was_saved_and_ours_does_not():
    for module, aliased in ((theirs, True), (ours, False)):
        scheduler = module.LinearLR(optimizer(), 0.0, 0.1, 10)
        scheduler.step()
        state = scheduler.state_dict()
        before = {k: str(v) for k, v in state.items()}
        scheduler.step()
        assert ({k: str(v) for k, v in state.items()} != before) is aliased


def test_a_loaded_state_sets_our_learning_rate_at_once():
    """Theirs keeps the rate of step 0 until its next step."""
    for module, loaded in ((theirs, 0.0), (ours, 0.04)):
        saved = module.LinearLR(optimizer(), 0.0, 0.1, 10)
        for _ in range(4):
            saved.step()
        opt = optimizer()
        scheduler = module.LinearLR(opt, 0.0, 0.1, 10)
        scheduler.load_state_dict(saved.state_dict())
        assert rates(opt) == pytest.approx([loaded] * 3)
        scheduler.step()
        assert rates(opt) == pytest.approx([0.05] * 3)
