"""Cerebras' schedulers and ours load each other's states: they continue exactly, or refuse."""

import copy
import json
import random
import warnings

import pytest
from binding import of_weight_decay
from broken_states import broken

from accelsched import ArgumentError, Scheduler, SchedulerList
from accelsched import lr_scheduler as ours
from accelsched import weight_decay_scheduler as our_decay
from accelsched.schedules import Linear

cstorch = pytest.importorskip(
    "cerebras.pytorch", reason="cerebras-pytorch is installed by `make test-cerebras` only"
)
from cerebras.pytorch.optim import lr_scheduler as theirs  # noqa: E402
from cerebras.pytorch.optim import weight_decay_scheduler as their_decay  # noqa: E402
from cerebras_cases import ALIKE, CLASSES, optimizer, rates  # noqa: E402

pytestmark = pytest.mark.usefixtures("cpu_backend")

#: A step at a milestone, and one far past it.
STEPS = pytest.mark.parametrize("steps", [12, 40])
MODULES = {
    "lr": (ours, theirs),
    "weight_decay": (of_weight_decay(our_decay), of_weight_decay(their_decay)),
}
KEYS = pytest.mark.parametrize("key", MODULES)
CASES = {
    **{name: make for name, (make, _) in ALIKE.items()},
    "LambdaLR": lambda m, o: m.LambdaLR(o, 0.1),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 0.2, 9),
}
EVERY = pytest.mark.parametrize("name", CASES)


def stepped(scheduler, count):
    """Return the values of all groups after each of the next steps."""
    key, found = scheduler.param_group_key, []
    for _ in range(count):
        scheduler.step()
        found.append(rates(scheduler.optimizer, key))
    return found


def test_every_class_is_tried():
    assert {name.split()[0] for name in CASES} == set(CLASSES)


@EVERY
@KEYS
@STEPS
def test_theirs_continues_exactly_from_our_state(name, key, steps):
    mine, other = MODULES[key]
    whole, resumed = (CASES[name](other, optimizer()) for _ in range(2))
    saved = CASES[name](mine, optimizer())
    stepped(whole, steps)
    stepped(saved, steps)
    resumed.load_state_dict(copy.deepcopy(saved.state_dict()))
    assert int(resumed.last_epoch) == steps
    assert stepped(resumed, 50) == stepped(whole, 50)


@EVERY
@KEYS
@STEPS
def test_ours_continues_exactly_from_their_state(name, key, steps):
    mine, other = MODULES[key]
    whole, resumed = (CASES[name](mine, optimizer()) for _ in range(2))
    saved = CASES[name](other, optimizer())
    stepped(whole, steps)
    stepped(saved, steps)
    resumed.load_state_dict(saved.state_dict())
    assert stepped(resumed, 50) == stepped(whole, 50)


@EVERY
@KEYS
def test_a_state_goes_there_and_back(name, key):
    """Theirs loads everything in a state, and saves it again."""
    mine, other = MODULES[key]
    whole, resumed = (CASES[name](mine, optimizer()) for _ in range(2))
    between = CASES[name](other, optimizer())
    stepped(whole, 20)
    between.load_state_dict(copy.deepcopy(whole.state_dict()))
    stepped(between, 15)
    stepped(whole, 15)
    resumed.load_state_dict(copy.deepcopy(between.state_dict()))
    assert stepped(resumed, 30) == stepped(whole, 30)


@EVERY
def test_our_state_is_plain_data(name):
    state = CASES[name](ours, optimizer()).state_dict()
    assert json.loads(json.dumps(state)) == state


#: Classes with other constants, which theirs overwrites on load, as with its own states.
OTHER_NUMBERS = {
    "LinearLR": lambda m, o, x: m.LinearLR(o, x, 2 * x, round(100 * x)),
    "CosineDecayLR": lambda m, o, x: m.CosineDecayLR(o, x, x / 3, round(200 * x)),
    "PiecewiseConstantLR": lambda m, o, x: m.PiecewiseConstantLR(o, [x, 3 * x], [round(90 * x)]),
    "SequentialLR": lambda m, o, x: m.SequentialLR(
        o,
        [m.LinearLR(o, 0.0, x, round(70 * x)), m.ExponentialLR(o, x, 5, 2 * x)],
        [round(70 * x)],
    ),
    "ChainedLR": lambda m, o, x: m.ChainedLR([m.StepLR(o, x, 6, x), m.MultiplicativeLR(o, x, x)]),
    "ScalePerParamLR": lambda m, o, x: m.ScalePerParamLR(o, m.CosineAnnealingLR(o, x, 20)),
    "CyclicLR": lambda m, o, x: m.CyclicLR(o, x / 9, x, round(30 * x)),
    "OneCycleLR": lambda m, o, x: m.OneCycleLR(o, x / 9, x, round(200 * x)),
}
NUMBERS = pytest.mark.parametrize("name", OTHER_NUMBERS)


@NUMBERS
@KEYS
def test_theirs_takes_our_numbers_over(name, key):
    mine, other = MODULES[key]
    whole = OTHER_NUMBERS[name](other, optimizer(), 0.3)
    resumed = OTHER_NUMBERS[name](other, optimizer(), 0.4)
    saved = OTHER_NUMBERS[name](mine, optimizer(), 0.3)
    stepped(whole, 25)
    stepped(saved, 25)
    resumed.load_state_dict(copy.deepcopy(saved.state_dict()))
    assert stepped(resumed, 30) == stepped(whole, 30)


@NUMBERS
@KEYS
def test_ours_refuses_their_numbers_if_its_own_are_others(name, key):
    mine, other = MODULES[key]
    saved = OTHER_NUMBERS[name](other, optimizer(), 0.3).state_dict()
    resumed = OTHER_NUMBERS[name](mine, optimizer(), 0.4)
    before = repr(resumed.state_dict())
    with pytest.raises(ArgumentError, match="build it to match"):
        resumed.load_state_dict(saved)
    assert repr(resumed.state_dict()) == before


def test_a_state_of_another_class_is_refused():
    made = {name: make(ours, optimizer(), 0.3) for name, make in OTHER_NUMBERS.items()}
    for name, make in OTHER_NUMBERS.items():
        saved = make(theirs, optimizer(), 0.3).state_dict()
        for other, scheduler in made.items():
            if other != name:
                with pytest.raises(ArgumentError, match=f"another class than {other}"):
                    scheduler.load_state_dict(saved)


def test_a_part_of_another_class_is_refused():
    """Both classes have the same arguments; in a state, only the line's `power` differs."""

    def of(part):
        return lambda m, o: m.SequentialLR(o, [getattr(m, part)(o, 0.1, 0.0, 9)], [])

    saved = of("LinearLR")(theirs, optimizer()).state_dict()
    of("LinearLR")(ours, optimizer()).load_state_dict(saved)
    with pytest.raises(ArgumentError, match="another class than SequentialLR"):
        of("CosineDecayLR")(ours, optimizer()).load_state_dict(saved)


def test_a_state_with_other_tags_is_refused():
    saved = theirs.ConstantLR(optimizer(), 0.1, param_group_tags="a").state_dict()
    for tags in (None, "b", ["a", None]):
        scheduler = ours.ConstantLR(optimizer(), 0.1, param_group_tags=tags)
        with pytest.raises(ArgumentError, match="state_dict: param_group_tags="):
            scheduler.load_state_dict(saved)
    ours.ConstantLR(optimizer(), 0.1, param_group_tags=["a"]).load_state_dict(saved)


@EVERY
def test_a_broken_state_of_theirs_is_taken_or_refused(name):
    rng = random.Random(name)
    good, scheduler = CASES[name](theirs, optimizer()).state_dict(), CASES[name](ours, optimizer())
    taken = 0
    for _ in range(100):
        before = repr(scheduler.state_dict())
        try:
            scheduler.load_state_dict(broken(good, rng))
            taken += 1
        except ArgumentError:
            assert repr(scheduler.state_dict()) == before
        scheduler.step()
    assert 0 < taken < 100


# A copy of what the trainer of the Model Zoo, release 2.10, does with its schedulers.


def as_a_trainer(schedulers, opt):
    """Bind a user's schedulers, and check that no two drive the same values."""
    bound = [
        given if isinstance(given, cstorch.optim.scheduler.Scheduler) else given(opt)
        for given in schedulers
    ]
    for position, one in enumerate(bound):
        for other in bound[:position]:
            if one.param_group_key == other.param_group_key:
                assert None not in (one.param_group_tags, other.param_group_tags)
                assert not one.param_group_tags.intersection(other.param_group_tags)
    return bound


def train(scheduler, steps):
    for _ in range(steps):
        with cstorch.name_scope(scheduler.param_group_key):
            scheduler.optimizer.step()
            scheduler.step()


GIVEN = {
    "unbound": lambda o: ours.LinearLR(None, 0.0, 0.1, 10),
    "bound": lambda o: ours.LinearLR(o, 0.0, 0.1, 10),
    "callable": lambda o: lambda opt: ours.LinearLR(opt, 0.0, 0.1, 10),
    "plain": lambda o: Scheduler(None, Linear(0.0, 0.1, 10)),
    "list": lambda o: SchedulerList([ours.LinearLR(None, 0.0, 0.1, 10)]),
    "composite": lambda o: ours.SequentialLR(None, [ours.LinearLR(None, 0.0, 0.1, 10)], []),
}


@pytest.mark.parametrize("make", GIVEN.values(), ids=GIVEN)
def test_the_trainer_takes_a_scheduler_or_what_makes_one(make):
    opt = optimizer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cstorch warns of parameters without gradients
        (scheduler,) = as_a_trainer([make(opt)], opt)
        assert (scheduler.param_group_key, scheduler.param_group_tags) == ("lr", None)
        train(scheduler, 5)
    assert rates(opt) == [0.05] * 3


def test_the_trainer_takes_several():
    opt = optimizer()
    tagged = [
        ours.ConstantLR(None, 0.5, param_group_tags="a"),
        ours.ConstantLR(None, 0.25, param_group_tags=["b", None]),
        our_decay.LinearWD(None, 0.1, 0.0, 10),
    ]
    bound = as_a_trainer(SchedulerList(tagged), opt)
    assert [s.param_group_tags for s in bound] == [{"a"}, {"b", None}, None]
    for scheduler in bound:
        scheduler.step()
    assert rates(opt) == [0.5, 0.25, 0.25]
    assert rates(opt, "weight_decay") == pytest.approx([0.09] * 3, rel=1e-15)
