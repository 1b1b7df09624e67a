"""thunder's policies: its recorded curves, its semantics in plain Python, and the back ends."""

import copy
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from binding import EVERY, optimizer
from hypothesis import given, settings
from hypothesis import strategies as st
from training import Run, eager_result

from accelsched import ArgumentError, Scheduler, policy, schedules
from accelsched._runtimes import Counters
from accelsched.lr_scheduler import (
    ChainedLR,
    ConstantLR,
    LinearLR,
    ScalePerParamLR,
    SequentialLR,
)
from accelsched.policy import Multiply, Policy, Schedule, Switch
from accelsched.schedules import Lambda, Linear, Tabulated
from accelsched.schedules._from_function import DEFAULT_STEPS, from_function

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "thunder.json").read_text())
KINDS = pytest.mark.parametrize("kind", ["host", "graph", "table"])


def bound(made, *groups, kind="host"):
    made.lowering = {"table": "table"}.get(kind)
    return made(optimizer(*groups, kind="host" if kind == "host" else "graph"))


def rates(made):
    return [float(group["lr"]) for group in made.optimizer.param_groups]


# The curves that thunder 0.1.1 gave.


def mapping_of(recorded):
    if isinstance(recorded, list):
        return [mapping_of(item) for item in recorded]
    if isinstance(recorded, str):
        return eval(f"lambda step: {recorded}", vars(math).copy())
    return {int(step): number for step, number in recorded.items()}


@KINDS
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_recorded_curve(case, kind):
    options = {} if case["scheduler"] != "Schedule" else {"total_iters": 100}
    mapping = mapping_of(case["kwargs"]["mapping"])
    if kind == "table" and options:
        functions = mapping if isinstance(mapping, list) else [mapping] * len(case["groups"])
        mapping = [Tabulated(function, 100) for function in functions]
    lr_init = case["kwargs"].get("lr_init", 1e-3)
    made = getattr(policy, case["scheduler"])(mapping, lr_init, **options)
    if "error" in case:
        with pytest.raises(ValueError, match=r"\b[12] .* 3 param groups"):
            bound(made, *case["groups"], kind=kind)
        return
    bound(made, *case["groups"], kind=kind)
    step = 0
    for at, want in zip(case["steps"], case["values"], strict=True):
        while step < at:
            made.step()
            step += 1
        want = want if isinstance(want, list) else [want]
        # float64: a few roundings of another cosine. float32: those of the value and the factor.
        unit = 2**-50 if kind == "host" else 4 * 2**-24
        assert rates(made) == pytest.approx(want, rel=unit, abs=unit / 10), at


def test_all_recorded_curves_are_here():
    assert len(GOLDEN) == 17


# Its semantics, in plain Python.


class Plain:
    """thunder's updates of the learning rates of one optimizer, one float per group."""

    def __init__(self, kind, mappings, lr_init):
        self.kind, self.mappings, self.epoch = kind, mappings, 0
        self.rates = list(lr_init)
        self._apply()

    def step(self):
        self.epoch += 1
        self._apply()

    def _apply(self):
        for i, mapping in enumerate(self.mappings):
            if self.kind == "Multiply":
                self.rates[i] = self.rates[i] * mapping.get(self.epoch, 1)
            else:
                self.rates[i] = mapping.get(self.epoch, self.rates[i])


numbers = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0]), st.floats(1e-6, 4.0))
mappings = st.dictionaries(st.integers(0, 25), numbers, max_size=6)
# {(step, group): value}: values that other code sets between two steps.
changes = st.dictionaries(st.tuples(st.integers(0, 25), st.integers(0, 1)), numbers, max_size=2)


@KINDS
@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["Multiply", "Switch"]),
    each=st.lists(mappings, min_size=2, max_size=2),
    lr_init=st.lists(numbers, min_size=2, max_size=2),
    changed=changes,
    in_place=st.booleans(),
)
def test_generated_mappings(kind, name, each, lr_init, changed, in_place):
    theirs = Plain(name, each, lr_init)
    ours = bound(getattr(policy, name)(each, lr_init), {}, {}, kind=kind)
    tensors = [group["lr"] for group in ours.optimizer.param_groups]
    for step in range(28):
        if kind == "host":
            assert rates(ours) == theirs.rates
        else:
            # Each of at most 6 factors is rounded, and so is each product.
            assert rates(ours) == pytest.approx(theirs.rates, rel=14 * 2**-24, abs=1e-30)
        for (at, index), number in changed.items():
            if at == step:
                theirs.rates[index] = number
                group = ours.optimizer.param_groups[index]
                if in_place and kind != "host":
                    group["lr"].fill_(number)
                else:
                    group["lr"] = number
        theirs.step()
        ours.step()
        if kind != "host":
            groups = ours.optimizer.param_groups
            assert all(group["lr"] is cell for group, cell in zip(groups, tensors, strict=True))


@settings(max_examples=40, deadline=None)
@given(each=st.lists(mappings, min_size=1, max_size=3), stop=st.integers(0, 30))
def test_jumping_is_stepping(each, stop):
    for cls in (Multiply, Switch):
        stepped, jumped = (bound(cls(each, 0.1), *[{}] * len(each)) for _ in range(2))
        for _ in range(stop):
            stepped.step()
        jumped.last_epoch = stop
        assert rates(jumped) == rates(stepped)
        assert (jumped.last_epoch, stepped.last_epoch) == (stop, stop)


# The public side.


def test_a_policy_binds_and_is_returned():
    made = Multiply({1: 0.1})
    opt = optimizer()
    assert made.optimizer is None
    assert made(opt) is made
    assert made.optimizer is opt
    assert rates(made) == [1e-3]
    assert made.get_last_lr() == made.get_lr() == [1e-3]
    assert isinstance(made, torch.optim.lr_scheduler.LRScheduler)


def test_a_policy_binds_again():
    one, two = optimizer(), optimizer({}, {})
    made = Switch({0: 0.1, 2: 0.2})(one)
    made.step()
    made.step()
    made.set_optimizer(two)
    assert (made.last_epoch, rates(made)) == (0, [0.1, 0.1])
    ConstantLR(one, 0.5).step()  # no other scheduler drives it any more


def test_repr_is_that_of_thunder():
    made = Switch({10: 0.1}, lr_init=0.5)
    assert repr(made) == "Switch(mapping={10: 0.1}, lr_init=0.5)"
    made(optimizer({}, {}))
    assert repr(made) == "Switch(mapping=[{10: 0.1}, {10: 0.1}], lr_init=[0.5, 0.5])"


def test_a_schedule_as_a_policy():
    made = Policy(Linear(0.0, 1.0, 10))(optimizer({}, {}))
    made.step()
    assert rates(made) == [0.1, 0.1]


BAD = [
    (lambda: Multiply({-1: 0.1}), "mapping={-1: 0.1}: give no negative step"),
    (lambda: Multiply({1.5: 0.1}), "mapping=1.5: give a whole number"),
    (lambda: Multiply({1: math.nan}), r"mapping\[1\]=nan"),
    (lambda: Switch([{1: "0.1"}]), r"mapping\[0\]\[1\]='0.1'"),
    (lambda: Switch(np.cos), "mapping=<ufunc 'cos'>: give a dict"),
    (lambda: Switch({}, lr_init="0.1"), "lr_init='0.1': give a number"),
    (lambda: Switch({3: -0.1}), r"mapping\[3\]=-0.1: give a number of 0 or more"),
    (lambda: Schedule({1: 0.1}), "mapping={1: 0.1}: give a function; for a dict use Switch"),
    (lambda: Schedule(0.1), "mapping=0.1: give a function"),
    (lambda: Schedule([np.cos, None], total_iters=9), r"mapping\[1\]=None"),
    (lambda: Multiply([{}, {}])(optimizer()), "mapping=.* 2 were given for 1 param groups"),
    (lambda: Multiply({}, [1, 2])(optimizer()), "lr_init=.* 2 were given for 1 param groups"),
    (lambda: Schedule([np.cos] * 2, total_iters=9)(optimizer()), "2 were given for 1 param groups"),
    (lambda: Multiply({})(optimizer()).reschedule([Linear(0, 1, 2)]), "follows its mapping"),
]


@pytest.mark.parametrize(("attempt", "message"), BAD, ids=[message for _, message in BAD])
def test_what_cannot_be(attempt, message):
    with pytest.raises(ArgumentError, match=f"^{message}|{message}"):
        attempt()


def test_a_refused_binding_changes_nothing():
    opt = optimizer({}, {}, {})
    for made in (Multiply([{1: 0.1}]), Switch({}, [0.1]), Schedule([np.cos], total_iters=9)):
        with pytest.raises(ArgumentError):
            made(opt)
        assert made.optimizer is None
        assert [group["lr"] for group in opt.param_groups] == [0.001] * 3
        with pytest.raises(RuntimeError, match=r"call scheduler\(optimizer\)"):
            made.step()


def test_what_depends_on_its_past_cannot_be_composed():
    opt = optimizer()
    for made in (Multiply({1: 0.1}), Switch({1: 0.1})(opt)):
        with pytest.raises(ArgumentError, match="it cannot be composed"):
            SequentialLR(opt, [made], [])
    opt = optimizer()
    ours = SequentialLR(opt, [Schedule(lambda step: step / 10), ConstantLR(None, 1.0)], [5])
    ours.step()
    assert rates(ours) == [0.1]


# State.


@KINDS
@pytest.mark.parametrize("cls", [Multiply, Switch])
def test_a_run_that_is_killed_continues_with_the_values_that_it_had(cls, kind):
    def make(each):
        return bound(cls(each, 0.7), {}, {}, kind=kind)

    each = [{1: 0.3, 4: 0.1}, {6: 0.5}]
    killed = make(each)
    for _ in range(3):
        killed.step()
    killed.optimizer.param_groups[1]["lr"] = 0.25
    killed.step()
    saved = killed.state_dict()
    assert json.loads(json.dumps(saved)) == saved
    resumed = make([{}, {1: 2.0}])
    resumed.load_state_dict(saved)
    copies = [copy.deepcopy(killed), pickle.loads(pickle.dumps(killed)), resumed]
    for _ in range(4):
        for other in copies:
            assert rates(other) == rates(killed)
            assert other.last_epoch == killed.last_epoch
        for other in [killed, *copies]:
            other.step()


@KINDS
def test_an_optimizer_that_is_loaded_brings_its_values(kind):
    made = bound(Multiply({1: 0.5, 3: 0.5}, 1.0), kind=kind)
    made.step()
    saved = copy.deepcopy(made.optimizer.state_dict())
    made.step()
    made.step()
    assert rates(made) == [0.25]
    made.optimizer.load_state_dict(saved)
    assert rates(made) == [0.5]


STATE = {
    "version": 2,
    "key": "lr",
    "last_epoch": 3,
    "_step_count": 4,
    "_last_lr": [0.5],
    "groups": [0],
    "values": [0.5],
    "mappings": [[]],
}


@KINDS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "version=3"),
        ({"groups": [0, 1]}, "groups="),
        ({"last_epoch": -1}, "last_epoch"),
        ({"values": [0.5, 0.5]}, "values=.* 2 were given for 1"),
        ({"values": [math.nan]}, r"values\[0\]=nan"),
        ({"mappings": [[], []]}, "mappings=.* 2 were given for 1"),
        ({"mappings": [[[-1, 0.5]]]}, "give no negative step"),
        ({"values": None}, r"\['values'\]=None: give a list"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message, kind):
    made = bound(Multiply({1: 0.5}, 1.0), kind=kind)
    made.step()
    before = made.state_dict()
    with pytest.raises(ArgumentError, match=message):
        made.load_state_dict({**STATE, **change})
    assert made.state_dict() == before
    made.load_state_dict(STATE)
    assert made.state_dict() == STATE


#: The state that thunder 0.1.1 saves for Multiply({1: 0.5, 4: 0.25}, 0.5) after three steps.
OF_THUNDER = {
    "current_mapping": [{1: 0.5, 4: 0.25}],
    "mapping": {1: 0.5, 4: 0.25},
    "current_lr_init": [0.5],
    "lr_init": 0.5,
    "base_lrs": [0.5],
    "last_epoch": 3,
    "_step_count": 4,
    "_is_initial": False,
    "_get_lr_called_within_step": False,
    "_last_lr": [0.25],
}


@KINDS
def test_a_state_of_thunder_is_taken_over(kind):
    """It replaces the mapping too, as in thunder; tests/clients loads a state of the package."""
    made = bound(Multiply({2: 2.0}, 1.0), kind=kind)
    made.load_state_dict(OF_THUNDER)
    assert (made.last_epoch, rates(made)) == (3, [0.25])
    made.step()
    assert rates(made) == [0.0625]
    looked_up = Schedule(lambda step: math.ldexp(0.5, -int(step)), total_iters=9)
    function = bound(looked_up, kind=kind)
    functions = {n: v for n, v in OF_THUNDER.items() if n not in ("mapping", "current_mapping")}
    function.load_state_dict(functions)
    assert (function.last_epoch, rates(function)) == (3, [0.0625])


@KINDS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"current_mapping": [{}, {}]}, "mappings=.* 2 were given for 1"),
        ({"current_mapping": [abs]}, r"mappings\[0\]=.*give pairs"),
        ({"current_mapping": 5}, r"\['current_mapping'\]=5: give a list"),
        ({"_last_lr": [math.nan]}, r"values\[0\]=nan"),
        ({"_last_lr": ["?"]}, r"values\[0\]="),
        ({"last_epoch": -1}, "last_epoch"),
    ],
)
def test_a_state_of_thunder_that_does_not_fit_changes_nothing(change, message, kind):
    made = bound(Multiply({1: 0.5}, 1.0), kind=kind)
    before = made.state_dict()
    with pytest.raises(ArgumentError, match=message):
        made.load_state_dict({**OF_THUNDER, **change})
    assert made.state_dict() == before


def test_functions_are_not_in_the_state():
    made = bound(Schedule(lambda step: abs(math.cos(step)), total_iters=9))
    assert "source" not in made.state_dict()["schedules"][0]
    made.load_state_dict({**made.state_dict(), "last_epoch": 6})
    assert rates(made) == pytest.approx([abs(math.cos(6))])


# Every other scheduler, bound later.


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_every_class_can_be_bound_later(make, kind):
    groups = ({"adjust_learning_rate": 0.5}, {})
    at_once = make(optimizer(*groups, kind=kind))
    later = make(None)
    assert later.optimizer is None
    assert later.schedules[0](7) == make(optimizer()).schedules[0](7)
    with pytest.raises(RuntimeError, match=r"call scheduler\(optimizer\)"):
        later.step()
    opt = optimizer(*groups, kind=kind)
    assert copy.deepcopy(later)(opt).get_last_lr() == at_once.get_last_lr()
    assert later.set_optimizer(opt) is later
    assert later.optimizer is opt
    for _ in range(100):
        assert rates(later) == rates(at_once)
        later.step()
        at_once.step()
    assert later.state_dict() == at_once.state_dict()
    assert later(optimizer({}, {})).last_epoch == 0  # binds again, to another optimizer


def test_attributes_are_set_before_there_is_an_optimizer():
    ramp = LinearLR(None, 0.0, 1.0, 10)
    both = SequentialLR(None, [ramp, ConstantLR(None, 1.0)], [10])
    ramp.end_learning_rate = 2.0
    both.milestones = [5]
    with pytest.raises(ArgumentError, match="^total_iters=-1"):
        ramp.total_iters = -1
    both(optimizer({}, {})).step()
    assert rates(both) == [0.2, 0.2]
    assert both.milestones == [5]


def test_children_without_an_optimizer_get_that_of_their_parent():
    opt = optimizer({"adjust_learning_rate": 0.5}, {})
    ramp = LinearLR(None, 0.0, 1.0, 10)
    scaled = ScalePerParamLR(opt, ChainedLR([ramp, ConstantLR(None, 1.0)]))
    scaled.step()
    assert rates(scaled) == [0.05, 0.1]
    assert ramp.optimizer is opt
    with pytest.raises(RuntimeError, match="was given to"):
        ramp.step()
    with pytest.raises(RuntimeError, match="bind that one"):
        ramp(opt)


def test_a_parent_cannot_be_bound_later_than_its_children():
    child = ConstantLR(optimizer(), 0.5)
    with pytest.raises(ArgumentError, match=r"^optimizer=None: schedulers\[0\] is bound: give"):
        SequentialLR(None, [child], [])
    child.step()


def test_a_binding_that_fails_in_a_child_changes_nothing():
    opt = optimizer({"tags": "a"}, {})
    children = [ConstantLR(None, 0.5), Scheduler(None, [Linear(0, 1, 9)] * 3)]
    both = SequentialLR(None, children, [5])
    with pytest.raises(ArgumentError, match="2 param groups are driven"):
        both(opt)
    assert rates_of(opt) == [0.001, 0.001]
    assert both.optimizer is children[0].optimizer is None
    ConstantLR(opt, 0.1).step()  # no other scheduler drives it
    assert rates_of(opt) == [0.1, 0.1]


def rates_of(opt):
    return [float(group["lr"]) for group in opt.param_groups]


def test_any_schedule_of_any_key_bound_later():
    opt = optimizer({}, {}, cls=torch.optim.AdamW)
    one_each = Scheduler(None, [Linear(0, 1, 10), Linear(0, 2, 10)], key="weight_decay")
    one_each(opt).step()
    assert [group["weight_decay"] for group in opt.param_groups] == [0.1, 0.2]
    with pytest.raises(ArgumentError, match="3 param groups are driven"):
        one_each(optimizer({}, {}, {}, cls=torch.optim.AdamW))
    one_each.step()
    assert opt.param_groups[0]["weight_decay"] == pytest.approx(0.2)


# Functions.


@pytest.mark.parametrize(
    "function",
    [
        lambda step: 0.95**step,
        lambda step: 0.1,
        lambda step: 0.1 / (1 + step // 30),
        lambda step: (step + 1) ** -0.5,
        lambda step: torch.cos(torch.as_tensor(step, dtype=torch.float64)),
    ],
)
def test_a_function_in_operators_is_traced(function):
    made = from_function(function, 50)
    assert isinstance(made, Lambda)
    for step in (0, 1, 50, 99, 3000):
        assert made(step) == pytest.approx(float(function(step)), rel=2**-50)


@pytest.mark.parametrize(
    "function",
    [
        np.cos,
        lambda step: math.cos(step / 10),
        lambda step: min(step / 10, 1.0),
        lambda step: 0.1 if step < 30 else 0.01,
        lambda step: [0.1, 0.2, 0.3][step % 3],
        lambda step: float(np.float32(0.1) * step),
        lambda step: 0.1 * (step % 7 == 0),  # a trace would compute it in float32
        lambda step: torch.tensor(0.1) * int(step),
    ],
)
def test_any_other_function_is_tabulated(function):
    made = from_function(function, 50)
    assert isinstance(made, Tabulated)
    for step in (0, 1, 49, 50):
        assert made(step) == pytest.approx(float(function(step)), rel=2**-50)
    assert made(51) == made(50)


def test_a_table_that_may_be_too_short_says_so():
    assert isinstance(from_function(lambda step: min(step / 10, 1.0)), Tabulated)  # settles
    with pytest.warns(UserWarning, match=f"first {DEFAULT_STEPS} steps were tabulated") as caught:
        made = from_function(lambda step: math.cos(step))
    assert caught[0].filename == __file__
    assert made(DEFAULT_STEPS - 1) == math.cos(DEFAULT_STEPS - 1)


def test_a_schedule_is_a_function_of_the_step_already():
    assert from_function(schedules.Linear(0, 1, 10)) == schedules.Linear(0, 1, 10)


# The back ends, by their own counters.

POLICIES = {
    "Multiply": (Multiply, {3: 0.5, 20: 0.1, 50: 3.0}),
    "Switch": (Switch, {0: 0.02, 30: 0.01, 31: 0.05}),
}


@pytest.mark.parametrize("runtime", ["eager", "compile", "xla", "lazy"], indirect=True)
@pytest.mark.parametrize("lowering", ["graph", "table"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_costs_what_a_constant_learning_rate_costs(runtime, name, lowering):
    torch._dynamo.reset()
    cls, mapping = POLICIES[name]
    warm_up, steps = 5, 60
    constant = Run(runtime, "SGD", None)
    constant.train(warm_up)
    scheduled = Run(runtime, "SGD", cls(mapping, 0.04, lowering=lowering))
    cell = scheduled.optimizer.param_groups[0]["lr"]
    scheduled.train(warm_up)
    cost = scheduled.train(steps)
    executions = steps if "executions" in runtime.counts else 0
    assert cost == constant.train(steps) == Counters(executions=executions)
    assert scheduled.optimizer.param_groups[0]["lr"] is cell
    curve, plain = [], Plain(name, [mapping], [0.04])
    for _ in range(warm_up + steps):
        curve.append(plain.rates[0])
        plain.step()
    assert scheduled.rates() == pytest.approx(plain.rates, rel=4 * 2**-53)
    want = eager_result("SGD", [lambda step: curve[step]], warm_up + steps, [{}])
    # 64 roundings a step, of numbers below the largest weight; momentum 0.5 doubles them.
    allowed = 2 * (warm_up + steps) * 64 * 2**-53 * max(1.0, want.abs().max().item())
    assert (scheduled.result() - want).abs().max() <= allowed


@pytest.mark.parametrize("cls", [Multiply, Switch])
def test_a_step_is_one_graph_that_is_never_compiled_again(cls):
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    opt = optimizer({}, {}, kind="graph")
    made = cls([{1: 0.1, 4: 0.3}, {}], 0.5)(opt)
    before = counters["stats"]["unique_graphs"]
    step = torch.compile(made.step, fullgraph=True, backend="aot_eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(20):
            step()
    assert counters["stats"]["unique_graphs"] == before + 1
    assert (made.last_epoch, rates(made)[1]) == (20, 0.5)
