"""Random sequences of user and trainer actions, compared with a plain model of the groups."""

import copy
import pickle
import warnings
from fractions import Fraction

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ulps import float32_ulps
from wrappers import Sharing, Wrapping

from accelsched import ArgumentError, Scheduler, on_device, reference
from accelsched._runtimes import NAMED
from accelsched.lr_scheduler import ConstantLR, LinearLR, SequentialLR
from accelsched.schedules import Constant, CosineDecay, Linear, Step
from accelsched.schedules._planned import END, SHAPES, Planned

NUMBERS = st.floats(0.0, 1.0, width=32)
STEPS = st.integers(0, 40)
SCHEDULES = st.one_of(
    st.builds(Linear, NUMBERS, NUMBERS, st.integers(1, 30)),
    st.builds(CosineDecay, NUMBERS, NUMBERS, st.integers(1, 30)),
    st.builds(Step, NUMBERS, st.integers(1, 9), st.floats(0.0, 1.0, width=32)),
    st.builds(Constant, NUMBERS),
)
KEYS = st.sampled_from(["lr", "weight_decay"])


def number_of(value):
    return value.item() if isinstance(value, torch.Tensor) else value


class Model:
    """The expected state of a scheduler: step, schedule, and the value of each group."""

    def __init__(self, key, schedule, driven, groups):
        self.key, self.schedule = key, schedule
        self.driven = driven  # whether a group of these tags is driven
        self.step = 0
        self.theirs = {}  # by group: a value that someone else set since the last step
        self.held = {}  # by group: the scheduled value there
        self.plan = {}  # the numbers of a decay that has begun, and of a stretched curve
        self.write(groups)

    def value(self):
        return reference.value(Planned(self.schedule, **self.plan), self.step)

    def position(self):
        """Return the schedule's step."""
        plan = self.plan
        if self.step <= plan.get("since", END):
            return Fraction(self.step)
        rest = max(plan["until"] - self.step, 0) * plan["pace"]
        return Fraction(plan["target"] - rest, plan["slow"])

    def write(self, groups):
        """The values of this step, in all driven groups."""
        value = self.value()
        self.held = {i: value for i, group in enumerate(groups) if self.driven(group)}
        self.theirs = {}

    def move(self, step):
        self.step = step
        self.held = dict.fromkeys(self.held, self.value())

    def follow(self, schedule):
        self.schedule, self.plan = schedule, {}


class Machine(RuleBasedStateMachine):
    kind = "host"

    @initialize(
        rate=SCHEDULES, decay=SCHEDULES, tagged=st.booleans(), composed=st.booleans(), peak=NUMBERS
    )
    def build(self, rate, decay, tagged, composed, peak):
        torch._dynamo.reset()
        tensor = torch.tensor(0.5)
        is_tensor = self.kind in ("graph", "compile")
        options = {"lr": tensor if is_tensor else 0.5}
        options["weight_decay"] = torch.tensor(0.25) if is_tensor else 0.25
        groups = [{"params": [self.parameter()], "tags": tag} for tag in ("a", "b", "a")]
        self.optimizer = torch.optim.SGD(groups, **options)
        tags = "a" if tagged else None
        if composed:
            rate = Linear(0.0, peak, 5).then(Constant(peak), at=5)
            children = [LinearLR(None, 0.0, peak, 5), ConstantLR(None, peak)]
        with on_device():
            made = (
                SequentialLR(self.optimizer, children, [5], param_group_tags=tags)
                if composed
                else Scheduler(self.optimizer, rate, param_group_tags=tags)
            )
            beside = Scheduler(self.optimizer, decay, key="weight_decay")
        self.schedulers = {"lr": made, "weight_decay": beside}
        self.composed = composed
        groups = self.optimizer.param_groups
        self.models = {
            "lr": Model("lr", rate, lambda group: not tagged or group.get("tags") == "a", groups),
            "weight_decay": Model("weight_decay", decay, lambda group: True, groups),
        }
        self.others = {
            (key, i): number
            for key, number in (("lr", 0.5), ("weight_decay", 0.25))
            for i in range(3)
            if i not in self.models[key].held
        }
        self.states, self.optimizer_states = [], []
        self.remember_tensors()

    def parameter(self):
        device = NAMED["xla"].device() if self.kind == "xla" else "cpu"
        return torch.nn.Parameter(torch.ones(2, device=device))

    def remember_tensors(self):
        """The tensors that must stay, where values are tensors."""
        groups = self.optimizer.param_groups
        self.tensors = {
            (key, i): groups[i][key]
            for key, model in self.models.items()
            for i in model.held
            if self.schedulers[key].driver.lowering != "host" and i not in model.theirs
        } | {
            place: t for place, t in getattr(self, "tensors", {}).items() if self.has_theirs(place)
        }

    def has_theirs(self, place):
        key, i = place
        return i in self.models[key].theirs

    # What is done to the schedulers.

    @rule(key=KEYS)
    def step(self, key):
        self.step_on(key, 1)

    @rule(key=KEYS, by=STEPS, as_tensor=st.booleans())
    def step_by(self, key, by, as_tensor):
        self.step_on(key, by, by=self.tensor(by) if self.kind == "compile" or as_tensor else by)

    @rule(
        key=KEYS,
        by=st.none() | STEPS,
        flag=st.sampled_from([False, True, 0.0, 1.0, float("inf"), float("nan")]),
        as_tensor=st.booleans(),
    )
    def step_unless(self, key, by, flag, as_tensor):
        found = self.tensor(flag) if self.kind == "compile" or as_tensor else flag
        given = {} if by is None else {"by": self.tensor(by)}
        self.step_on(key, 0 if flag else by or int(by is None), found_inf=found, **given)

    def tensor(self, number):
        return torch.tensor(number, device=self.parameter().device)

    def step_on(self, key, count, **given):
        scheduler, model = self.schedulers[key], self.models[key]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self.stepper(scheduler)(**given)
        model.step += count
        known = set(model.held)
        model.write(self.optimizer.param_groups)
        for i in set(model.held) - known:
            self.others.pop((key, i), None)
        self.remember_tensors()

    def stepper(self, scheduler):
        added = len(self.optimizer.param_groups) > len(self.models["weight_decay"].held)
        if self.kind != "compile" or added:
            return scheduler.step
        return torch.compile(scheduler.step, backend="eager")

    @rule(key=KEYS, step=STEPS)
    def step_to(self, key, step):
        self.schedulers[key].step(step)
        model = self.models[key]
        model.step = step
        held = model.held
        model.write(self.optimizer.param_groups)
        model.held = {i: value for i, value in model.held.items() if i in held}

    @rule(key=KEYS, step=STEPS)
    def set_last_epoch(self, key, step):
        self.schedulers[key].last_epoch = step
        self.models[key].move(step)

    @precondition(lambda self: not self.composed)
    @rule(key=KEYS, schedule=SCHEDULES)
    def reschedule(self, key, schedule):
        self.schedulers[key].schedule = schedule
        self.models[key].follow(schedule)

    @precondition(lambda self: self.composed)
    @rule(peak=NUMBERS)
    def set_an_attribute_of_a_child(self, peak):
        self.schedulers["lr"].schedulers[1].learning_rate = peak
        ramp = self.schedulers["lr"].schedulers[0].end_learning_rate
        self.models["lr"].follow(Linear(0.0, ramp, 5).then(Constant(peak), at=5))

    @rule(key=KEYS, length=st.integers(1, 9), end=NUMBERS, shape=st.sampled_from(SHAPES))
    def begin_decay(self, key, length, end, shape):
        model = self.models[key]
        initial = model.value()
        if shape == "exponential" and not initial * end > 1e-30:
            return
        self.schedulers[key].begin_decay(length, end, shape)
        model.plan |= {
            "start": model.step,
            "last": END,
            "total_iters": length,
            "initial": initial,
            "end": end,
            "shape": SHAPES.index(shape),
        }

    @rule(key=KEYS, more=st.integers(1, 30))
    def extend(self, key, more):
        model = self.models[key]
        end, decays = model.schedule.settles, model.plan.get("last", -1) > model.step
        position = model.position()
        until = model.step + more
        if end is None or decays or position >= end:
            with pytest.raises(ArgumentError):
                self.schedulers[key].extend(until)
            return
        self.schedulers[key].extend(until)
        ratio = Fraction(more) / (end - position)
        model.plan |= {
            "since": model.step,
            "until": until,
            "slow": ratio.numerator,
            "pace": ratio.denominator,
            "target": end * ratio.numerator,
        }
        model.move(model.step)

    @rule(key=KEYS)
    def end_decay(self, key):
        self.schedulers[key].end_decay()
        plan = self.models[key].plan
        if "last" in plan:
            plan["last"] = min(plan["last"], self.models[key].step)

    @rule(key=KEYS)
    def bind_again(self, key):
        with on_device():
            self.schedulers[key](self.optimizer)
        model = self.models[key]
        model.step, model.plan = 0, {}
        model.write(self.optimizer.param_groups)
        for i in model.held:
            self.others.pop((key, i), None)
        self.remember_tensors()

    # What is done to the groups.

    @rule(key=KEYS, group=st.integers(0, 2), number=NUMBERS, as_tensor=st.booleans())
    def assign(self, key, group, number, as_tensor):
        value = torch.tensor(number) if as_tensor else number
        self.optimizer.param_groups[group][key] = value
        self.put(key, group, number, isinstance(value, float))

    @rule(key=KEYS, group=st.integers(0, 2))
    def scale_in_place(self, key, group):
        groups = self.optimizer.param_groups
        number = number_of(groups[group][key])
        is_float = isinstance(groups[group][key], float)
        with torch.no_grad():
            groups[group][key] *= 0.5
        model = self.models[key]
        mine = groups[group][key] is self.tensors.get((key, group))
        if mine and group in model.held:
            model.held[group] = number * 0.5
        else:
            self.put(key, group, number * 0.5, is_float)

    def put(self, key, group, number, is_float):
        model = self.models[key]
        on_host = self.schedulers[key].driver.lowering == "host"
        if on_host and is_float and model.held.get(group) == number:
            model.theirs.pop(group, None)  # an equal float passes for the written one
        elif group in model.held:
            model.theirs[group] = number
        else:
            self.others[key, group] = number

    @rule(rate=NUMBERS, tag=st.sampled_from(["a", "b"]))
    @precondition(lambda self: len(self.optimizer.param_groups) < 5)
    def add_a_group(self, rate, tag):
        inner = self.optimizer
        while not isinstance(inner, torch.optim.SGD):
            inner = vars(inner).get("_optimizer") or inner.optimizer
        group = {"params": [self.parameter()], "tags": tag, "lr": rate, "weight_decay": rate}
        inner.add_param_group(group)
        index = len(self.optimizer.param_groups) - 1
        self.others |= {("lr", index): rate, ("weight_decay", index): rate}
        self.optimizer_states = []

    # What is done to both.

    @rule(wrapper=st.sampled_from([Sharing, Wrapping]))
    @precondition(lambda self: isinstance(self.optimizer, torch.optim.SGD))
    def wrap_the_optimizer(self, wrapper):
        self.optimizer = wrapper(self.optimizer)

    @rule()
    def save_the_optimizer(self):
        groups = self.optimizer.param_groups
        held = {(key, i): number_of(g[key]) for i, g in enumerate(groups) for key in self.models}
        self.optimizer_states.append((copy.deepcopy(self.optimizer.state_dict()), held))

    @precondition(lambda self: self.optimizer_states)
    @rule(data=st.data())
    def load_the_optimizer(self, data):
        state, held = data.draw(st.sampled_from(self.optimizer_states), label="state")
        self.optimizer.load_state_dict(copy.deepcopy(state))
        for (key, i), number in held.items():
            model = self.models[key]
            if i not in model.held:
                self.others[key, i] = number
            else:
                # What is scheduled is put back, as it was.
                model.theirs.pop(i, None)

    @rule(key=KEYS)
    def save_a_scheduler(self, key):
        model = self.models[key]
        saved = pickle.loads(pickle.dumps(self.schedulers[key].state_dict()))
        known = model.step, model.schedule, dict(model.plan)
        self.states.append((key, saved, *known, set(model.held)))

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def load_a_scheduler(self, data):
        state = data.draw(st.sampled_from(self.states), label="state")
        key, saved, step, schedule, plan, driven = state
        model = self.models[key]
        alike = driven == set(model.held) and type(schedule) is type(model.schedule)
        if not alike:
            return
        self.schedulers[key].load_state_dict(saved)
        model.step, model.schedule, model.plan = step, schedule, dict(plan)
        held = set(model.held)
        model.write(self.optimizer.param_groups)
        model.held = {i: value for i, value in model.held.items() if i in held}

    @precondition(lambda self: isinstance(self.optimizer, torch.optim.SGD))
    @rule(pickled=st.booleans())
    def copy_both(self, pickled):
        both = self.optimizer, self.schedulers
        with on_device():
            copied = pickle.loads(pickle.dumps(both)) if pickled else copy.deepcopy(both)
        self.optimizer, self.schedulers = copied
        for model in self.models.values():
            held = set(model.held)
            model.write(self.optimizer.param_groups)
            model.held = {i: value for i, value in model.held.items() if i in held}
        self.remember_tensors()

    # What must hold after each of these.

    @invariant()
    def the_groups_hold_what_the_model_says(self):
        if not hasattr(self, "models"):
            return
        groups = self.optimizer.param_groups
        for key, model in self.models.items():
            for i, group in enumerate(groups):
                if i in model.held:
                    want = model.theirs.get(i, model.held[i])
                    tensor = self.tensors.get((key, i))
                    if tensor is not None and i not in model.theirs:
                        assert group[key] is tensor
                else:
                    want = self.others[key, i]
                # A tensor rounds it to float32 once more.
                assert number_of(group[key]) == pytest.approx(want, rel=2**-22, abs=1e-30), (key, i)

    @invariant()
    def the_schedulers_say_what_the_groups_hold(self):
        if not hasattr(self, "models"):
            return
        groups = self.optimizer.param_groups
        rates = [number_of(group["lr"]) for group in groups]
        for key, scheduler in self.schedulers.items():
            assert scheduler.last_epoch == self.models[key].step
            assert self.are_told(scheduler.get_last_lr(), rates)
            values = [number_of(group[key]) for group in groups]
            assert self.are_told(scheduler.get_last_value(), values)

    def are_told(self, told, held):
        """Return whether they are equal, or on XLA within an ulp."""
        most = 1 if self.kind == "xla" else 0
        pairs = zip(told, held, strict=True)
        return all(a == b or float32_ulps(a, b) <= most for a, b in pairs)


def machine(name):
    return type(name, (Machine,), {"kind": name})


EXAMPLES = {"host": (25, 25), "graph": (20, 20), "compile": (3, 8), "xla": (4, 12)}


@pytest.mark.parametrize("runtime", ["eager", "compile", "xla"], indirect=True)
@pytest.mark.parametrize("tensors", [False, True], ids=["floats", "tensors"])
def test_any_order_of_uses(runtime, tensors):
    if (runtime.name == "eager") is False and not tensors:
        pytest.skip("only eager PyTorch has floats")
    name = {"eager": "graph" if tensors else "host"}.get(runtime.name, runtime.name)
    examples, steps = EXAMPLES[name]
    run_state_machine_as_test(
        machine(name),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
