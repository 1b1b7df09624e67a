"""Cerebras' generic family: a class that sets ``param_group_key`` schedules any key."""

import copy
import inspect
import pickle

import binding
import pytest
import torch
from binding import BY_STEP, EVERY, of_any_key, of_momentum, optimizer

import accelsched
from accelsched import ArgumentError, lr_scheduler, scheduler, weight_decay_scheduler
from accelsched.schedules import Linear

NAMES = sorted(set(scheduler.__all__) - {"Scheduler"})


class Beta(scheduler.LinearScheduler):
    """A class attribute sets the key, one number of a tuple."""

    param_group_key = "betas[0]"


class Eps(scheduler.CosineDecayScheduler):
    """A property sets the key, as in Cerebras."""

    @property
    def param_group_key(self):
        return "eps"


def test_the_names_are_those_of_cerebras():
    assert len(NAMES) == 19
    assert scheduler.Scheduler is accelsched.Scheduler
    assert accelsched.scheduler is scheduler


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("name", EVERY)
def test_it_is_the_learning_rate_s_class_with_another_key(name, kind, monkeypatch):
    groups = ({"adjust_learning_rate": 0.5}, {})
    rate = EVERY[name](optimizer(*groups, kind=kind))
    value = torch.tensor(0.5) if kind == "graph" else 0.5
    opt = optimizer(*groups, kind=kind, momentum=value)
    with monkeypatch.context() as patched:
        patched.setattr(binding, "ours", of_momentum(scheduler))
        other = EVERY[name](opt)
    for _ in range(40):
        rate.step()
        other.step()
    got = [float(group["momentum"]) for group in opt.param_groups]
    assert got == [float(value) for value in rate.get_last_lr()]
    assert other.param_group_key == other.key == "momentum"


@pytest.mark.parametrize("name", NAMES)
def test_without_a_key_it_is_abstract(name):
    cls, opt = getattr(scheduler, name), optimizer(momentum=0.5)
    child = of_momentum(scheduler).ConstantLR(opt, 0.1)
    given = {
        "SequentialScheduler": (opt, [child], []),
        "ChainedScheduler": ([child],),
        "ScalePerParamScheduler": (opt, child),
        "PiecewiseConstantScheduler": (opt, None, [0.1], []),
        "MultiStepScheduler": (opt, 0.1, 0.5, [3]),
    }
    needed = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty][1:]
    with pytest.raises(TypeError, match=f"{name} drives no key: set param_group_key"):
        cls(*given.get(name, (opt, *[1] * len(needed))))
    assert opt.param_groups[0]["momentum"] == 0.1


@pytest.mark.parametrize("key", ["betas[0]", "eps"])
def test_any_key(key):
    opt = optimizer({"tags": "a"}, {}, cls=torch.optim.Adam)
    if key == "eps":
        made = Eps(opt, initial_val=0.5, end_val=0.1, total_iters=10, param_group_tags="a")
    else:
        made = Beta(opt, 0.5, 0.1, 10, param_group_tags="a")
    twins = made, copy.deepcopy(made), pickle.loads(pickle.dumps(made))
    for twin in twins:
        twin.step(5)
        assert twin.get_last_value()[0] == pytest.approx(0.3)
        assert twin.get_last_value()[1] in (0.9, 1e-8)
        twin.end_val = 0.3
        twin.step(10)
        assert twin.get_last_value()[0] == pytest.approx(0.3)
    loaded = type(made)(optimizer({"tags": "a"}, {}, cls=torch.optim.Adam), 0.1, 0.1, 3,
                        param_group_tags="a")  # fmt: skip
    loaded.load_state_dict(made.state_dict())
    assert (loaded.initial_val, loaded.end_val, loaded.last_epoch) == (0.5, 0.3, 10)


def test_the_families_are_made_of_it():
    generic = of_any_key(scheduler)
    for name in set(BY_STEP) - {"LRScheduler"}:
        assert issubclass(getattr(lr_scheduler, name), generic[name])
    for name, cls in vars(binding.of_weight_decay(weight_decay_scheduler)).items():
        assert issubclass(cls, generic[name])
        assert not issubclass(cls, lr_scheduler.LRScheduler)


def test_errors_name_the_argument_as_each_family_has_it():
    for cls, name in (
        (Beta, "end_val"),
        (lr_scheduler.LinearLR, "end_learning_rate"),
        (weight_decay_scheduler.LinearWD, "end_val"),
    ):
        with pytest.raises(ArgumentError, match=f"^{name}='x'"):
            cls(None, 0.1, "x", 10)
    # Only for a learning rate does a value above 1 look like a number of steps.
    assert Beta(None, 1, 2, 10).end_val == 2
    with pytest.warns(UserWarning, match="end_learning_rate=2"):
        lr_scheduler.LinearLR(None, 1, 2, 10)


def test_children_must_have_the_key():
    opt = optimizer(cls=torch.optim.Adam)
    with pytest.raises(ArgumentError, match="it does not drive 'momentum'"):
        of_momentum(scheduler).SequentialLR(opt, [Beta(opt, 0.5, 0.1, 10)], [])


def test_a_key_that_is_given_counts():
    class Mine(scheduler.Scheduler):
        param_group_key = "momentum"

    opt = optimizer(momentum=0.5)
    assert Mine(opt, Linear(0.0, 0.1, 10)).key == "momentum"
    assert Mine(None, Linear(0.0, 0.1, 10), "weight_decay").key == "weight_decay"
    assert scheduler.Scheduler(None, Linear(0.0, 0.1, 10)).param_group_key == "lr"
