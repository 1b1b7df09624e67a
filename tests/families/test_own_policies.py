"""Policies that users write with ``get_lr``, as for thunder, against values of thunder 0.1.1."""

import contextlib
import copy
import gc
import json
import pickle
import random
import warnings
import weakref
from pathlib import Path

import pytest
import torch
from binding import optimizer
from own_schedulers import written_for

from accelsched import ArgumentError, on_device
from accelsched._binding import rates as rates_module
from accelsched.lr_scheduler import ConstantLR, SequentialLR
from accelsched.policy import Multiply, Policy, Schedule
from accelsched.schedules import Linear

MINE = written_for("thunder")
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "thunder_own.json").read_text())
KINDS = pytest.mark.parametrize("kind", ["host", "graph"])
NAMES = pytest.mark.parametrize("name", MINE.EVERY)
CASES = pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
pytestmark = pytest.mark.filterwarnings("ignore:get_lr cannot be traced")


@pytest.fixture(autouse=True)
def short_tables(monkeypatch):
    monkeypatch.setattr(rates_module, "DEFAULT_STEPS", 4096)


@contextlib.contextmanager
def told(name):
    """Expect exactly one warning if the policy's get_lr is called on the host."""
    if MINE.EVERY[name][1]:
        yield
        return
    with pytest.warns(UserWarning, match=f"get_lr of {name} is called on the host") as warned:
        yield
    assert len(warned) == 1


def bound(name, kind="host", rates=(0.1, 0.02)):
    opt = optimizer({}, {}, kind=kind)
    for group, rate in zip(opt.param_groups, rates, strict=True):
        group["lr"] = torch.tensor(rate) if kind == "graph" else rate
    with told(name):
        return MINE.EVERY[name][0](MINE)(opt)


def rates(policy):
    return [float(group["lr"]) for group in policy.optimizer.param_groups]


@KINDS
@CASES
def test_what_thunder_gave(case, kind):
    policy = bound(case["id"], kind, [group["lr"] for group in case["groups"]])
    # float64: a few roundings of a power or of joined factors. float32: also those of each
    # step's factor and product.
    unit = 2**-50 if kind == "host" else 60 * 2**-24
    for step, want in enumerate(case["values"]):
        assert policy.last_epoch == step
        assert rates(policy) == pytest.approx(want, rel=unit), step
        policy.step()


def test_every_policy_is_recorded():
    assert [case["id"] for case in GOLDEN] == list(MINE.EVERY)


@KINDS
@NAMES
def test_what_is_on_the_device(name, kind):
    policy = bound(name, kind)
    on_device = MINE.EVERY[name][1]
    assert policy.lowering is None
    tensors = [group["lr"] for group in policy.optimizer.param_groups]
    for _ in range(3):
        policy.step()
    if kind == "graph":
        for group, tensor in zip(policy.optimizer.param_groups, tensors, strict=True):
            assert group["lr"] is tensor
        assert policy.driver.lowering == ("graph" if on_device else "host")
    else:
        assert all(type(group["lr"]) is float for group in policy.optimizer.param_groups)


@pytest.mark.parametrize("runtime", ["xla", "lazy"], indirect=True)
@pytest.mark.parametrize("name", ["Decay", "Triangle", "Shrink", "Warmed", "At"])
def test_a_lazy_back_end_reads_nothing(runtime, name):
    parameters = [torch.nn.Parameter(torch.ones(2).to(runtime.device())) for _ in range(2)]
    opt = torch.optim.SGD([{"params": [p]} for p in parameters], lr=0.1)
    opt.param_groups[1]["lr"] = 0.02
    with on_device():
        policy = MINE.EVERY[name][0](MINE)(opt)
    values = next(case["values"] for case in GOLDEN if case["id"] == name)
    for _ in range(3):
        policy.step()
        runtime.finish_step()
    before = runtime.counters()
    for _ in range(4, 21):
        policy.step()
        runtime.finish_step()
    spent = runtime.counters() - before
    assert (spent.compiles, spent.from_device, spent.fallbacks) == (0, 0, 0)
    assert list(map(float, policy.get_last_lr())) == pytest.approx(values[20], rel=60 * 2**-24)


# Attributes that change, values that other code changes, steps that are set.


@KINDS
def test_an_attribute_counts_from_the_next_step(kind):
    decay, shrink, floored = bound("Decay", kind), bound("Shrink", kind), bound("Floored", kind)
    for policy in (decay, shrink, floored):
        policy.step()
    before = rates(decay), rates(shrink)
    decay.peak, shrink.end, floored.note = 0.4, 0.1, "which nobody reads"
    assert (rates(decay), rates(shrink)) == before
    decay.step()
    shrink.step()
    assert rates(decay) == pytest.approx([0.4 * 0.95**2] * 2)
    assert rates(shrink) == pytest.approx([rate * 0.75 + 0.025 for rate in before[1]])


@KINDS
def test_an_attribute_that_cannot_be_changes_nothing(kind):
    decay = bound("Decay", kind)
    with pytest.warns(UserWarning, match="TypeError"), pytest.raises(ArgumentError):
        decay.factor = "0.9"
    decay.step()
    assert decay.factor == 0.95
    assert rates(decay) == pytest.approx([0.19, 0.19])


@KINDS
def test_a_rate_that_is_changed_from_outside_survives_in_a_recurrence(kind):
    for name in ("Warmed", "At", "Floored"):
        policy = bound(name, kind)
        policy.step(4)
        changed = torch.tensor(0.7) if kind == "graph" else 0.7
        policy.optimizer.param_groups[0]["lr"] = changed
        policy.step()
        factor = {"Warmed": 6 / 9, "At": 1, "Floored": 0.7}[name]
        assert rates(policy)[0] == pytest.approx(0.7 * factor)


@KINDS
def test_a_step_that_is_set_applies_the_rule_there_once(kind):
    """As in torch, step(epoch) applies the rule; setting last_epoch leaves a recurrence's rate."""
    policy = bound("At", kind)
    policy.step(12)
    assert rates(policy) == pytest.approx([0.005, 0.005])
    policy.last_epoch = 2
    assert rates(policy) == pytest.approx([0.005, 0.005])
    policy.step()
    assert (policy.last_epoch, rates(policy)) == (3, pytest.approx([0.2, 0.2]))


@KINDS
def test_a_group_that_is_added_is_driven_from_its_own_rate(kind):
    policy = bound("Shrink", kind)
    new = torch.tensor(0.4) if kind == "graph" else 0.4
    policy.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": new})
    policy.step()
    policy.step()
    assert rates(policy)[2] == pytest.approx(0.4 * 0.75 + 0.0025)


# Composition and state.


def test_a_formula_can_be_composed_and_a_recurrence_not():
    opt = optimizer({}, {})
    both = SequentialLR(opt, [ConstantLR(opt, 0.5), MINE.Decay(0.2, 0.5)(opt)], [2])
    both.step(3)
    assert rates(both) == [0.1, 0.1]
    with pytest.raises(ArgumentError, match="it cannot be composed"):
        SequentialLR(opt, [MINE.Shrink(0.5, 0.1)(opt)], [])


@KINDS
@NAMES
def test_its_state_and_its_copies_go_on(name, kind):
    policy = bound(name, kind)
    for _ in range(5):
        policy.step()
    if not policy.schedules:
        changed = torch.tensor(0.5) if kind == "graph" else 0.5
        policy.optimizer.param_groups[0]["lr"] = changed
    policy.step()
    saved = json.loads(json.dumps(policy.state_dict()))
    loaded = bound(name, kind)
    loaded.load_state_dict(saved)
    twins = [loaded, copy.deepcopy(policy)]
    # Functions defined in the test cannot be pickled.
    twins += [] if name.startswith("Functions") else [pickle.loads(pickle.dumps(policy))]
    for _ in range(8):
        for twin in twins:
            assert rates(twin) == rates(policy)
            assert twin.last_epoch == policy.last_epoch
        for each in (policy, *twins):
            each.step()


def test_what_is_left_out_of_a_state():
    policy = MINE.Patient(3)
    with told("Patient"):
        policy(optimizer({}, {}))
    whole = policy.state_dict()
    assert (whole["patience"], whole["waited"], whole["last_epoch"]) == (3, 1, 0)
    assert policy.prepare_state_dict("waited") == {k: v for k, v in whole.items() if k != "waited"}
    assert "mapping" not in bound("Functions").state_dict()


def test_a_state_of_thunder_is_continued_from():
    """The state is that of torch's LRScheduler: its __dict__ without the optimizer."""
    saved = {
        "patience": 4,
        "waited": 2,
        "base_lrs": [0.1, 0.02],
        "last_epoch": 9,
        "_step_count": 10,
        "_get_lr_called_within_step": False,
        "_last_lr": [0.05, 0.01],
    }
    policy = bound("Patient")
    policy.load_state_dict(saved)
    assert (policy.last_epoch, rates(policy), policy.patience) == (9, [0.05, 0.01], 4)
    for _ in range(2):
        policy.step()
    assert rates(policy) == [0.025, 0.005]


def test_a_state_that_does_not_fit_changes_nothing():
    policy = bound("Shrink")
    before = policy.state_dict()
    for wrong in ({"values": [0.1]}, {"values": None}, {"groups": [0]}, {"last_epoch": -1}):
        with pytest.raises(ArgumentError):
            policy.load_state_dict({**before, **wrong})
    assert policy.state_dict() == before


def test_nothing_holds_it():
    for name in MINE.EVERY:
        policy = bound(name)
        gone = weakref.ref(policy)
        del policy
        assert gone() is None, name
    gc.collect()


def test_a_binding_that_fails_changes_nothing():
    for make in (lambda: MINE.At({0: ("by", 0.5)}, [0.1] * 3), lambda: MINE.Decay(-0.1, 0.5)):
        opt = optimizer({}, {})
        policy = make()
        with pytest.raises(ArgumentError):
            policy(opt)
        assert policy.optimizer is None
        assert [dict(group) for group in opt.param_groups] == [
            dict(group, params=held["params"])
            for group, held in zip(optimizer({}, {}).param_groups, opt.param_groups, strict=True)
        ]
    policy = bound("Shrink")
    policy.step()
    before = policy.state_dict()
    with pytest.raises(TypeError):
        policy(None)
    assert policy.state_dict() == before
    policy.step()


# How a get_lr is classified.


def kind_of(get_lr, kind="graph", **attributes):
    """Return "formula", "recurrence" or None for a get_lr, and the text of its warnings."""
    mine = type("Mine", (Policy,), {"get_lr": get_lr})()
    vars(mine).update(attributes)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        mine(optimizer({}, {}, kind=kind))
    said = " ".join(str(warning.message) for warning in warned)
    if mine.schedules:
        return "formula", said
    return ("recurrence" if mine._rule else None), said


def each(function):
    return lambda self: [function(self, group) for group in self.optimizer.param_groups]


@pytest.mark.parametrize(
    ("get_lr", "kind", "says"),
    [
        (each(lambda s, g: 0.1), "formula", ""),
        (each(lambda s, g: g["initial_lr"] / (1 + s.last_epoch)), "formula", ""),
        (each(lambda s, g: {3: 0.2}.get(s.last_epoch, 0.1)), "formula", ""),
        (each(lambda s, g: g["lr"]), "recurrence", ""),
        (each(lambda s, g: -(0.5 - g["lr"]) / 2 + 0.25), "recurrence", ""),
        (each(lambda s, g: 0.1 if s.last_epoch == 7 else g["lr"]), "recurrence", ""),
        (each(lambda s, g: g["lr"] ** 2), None, "unsupported operand"),
        (each(lambda s, g: g["lr"] * g["lr"]), None, "two rates are combined"),
        (each(lambda s, g: g["lr"] if g["lr"] else 0.1), None, "compared with 0"),
        (each(lambda s, g: 0.1 if g["lr"] == 0.1 else 0.2), None, "a rate is compared"),
        (each(lambda s, g: float(g["lr"])), None, "float() argument"),
        (each(lambda s, g: 0.1 * g["momentum"]), None, "more than the step"),
        (lambda s: [s.optimizer.param_groups[0]["lr"]] * 2, None, "more than the step"),
        (lambda s: [random.random() for _ in s.optimizer.param_groups], None, "different values"),
        (each(lambda s, g: s.history.append(0) or 0.1), None, "changes an attribute"),
        (each(lambda s, g: s.missing), None, "no attribute 'missing'"),
    ],
)
def test_what_a_get_lr_is(get_lr, kind, says):
    if says == "no attribute 'missing'":
        with pytest.raises(AttributeError):
            kind_of(get_lr)
        return
    found, said = kind_of(get_lr, history=[])
    assert found == kind
    assert (says in said) if says else not said
    if kind is None and says != "different values" and "attribute" not in says:
        assert "more than" in said or "test_own_policies.py:" in said or "rates.py:" in said


def test_a_table_that_does_not_settle_is_told():
    mine = type("Mine", (Policy,), {"get_lr": each(lambda s, g: min(s.last_epoch, 10**9) / 1e4)})
    with pytest.warns(UserWarning, match="its first 4096 steps were tabulated"):
        mine()(optimizer(kind="graph"))
    # On the host no table limits the steps.
    policy = mine()(optimizer())
    policy.step(10**5)
    assert rates(policy) == [10.0]


def test_wrong_numbers_of_values_are_refused():
    mine = type("Mine", (Policy,), {"get_lr": lambda self: [0.1]})
    opt = optimizer({}, {})
    with pytest.warns(UserWarning, match="1 values for 2"), pytest.raises(ArgumentError):
        mine()(opt)
    assert [group["lr"] for group in opt.param_groups] == [0.001, 0.001]


def test_what_has_values_already_takes_no_others():
    for base in (Multiply, Schedule):
        with pytest.raises(TypeError, match="derive it from Policy or MappingPolicy"):
            type("Mine", (base,), {"get_lr": lambda self: [0.1]})
    mine = type("Mine", (Policy,), {"get_lr": lambda self: [0.1]})
    with pytest.raises(ArgumentError, match="defines get_lr: leave out the schedule"):
        mine(Linear(0.0, 1.0, 10))


def test_a_lowering_of_ones_own():
    class Mine(Policy):
        def __init__(self, lowering):
            super().__init__(lowering=lowering)

        def get_lr(self):
            return [0.1 / (1 + self.last_epoch) for _ in self.optimizer.param_groups]

    policy = Mine("graph")(optimizer())
    policy.step()
    assert isinstance(policy.optimizer.param_groups[0]["lr"], torch.Tensor)
    assert rates(policy) == pytest.approx([0.05])
