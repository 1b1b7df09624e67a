"""States between torch's schedulers and ours, both ways: each continues exactly, or is refused."""

import copy

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from accelsched import ArgumentError, SchedulerList, from_torch
from accelsched import lr_scheduler as ours

STEPS = 23


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9)


#: One scheduler of every torch class that from_torch accepts.
OF_TORCH = {
    "ConstantLR": lambda o: theirs.ConstantLR(o, 0.5, 30),
    "LinearLR": lambda o: theirs.LinearLR(o, 0.2, 1.0, 40),
    "ExponentialLR": lambda o: theirs.ExponentialLR(o, 0.97),
    "StepLR": lambda o: theirs.StepLR(o, 7, 0.5),
    "MultiStepLR": lambda o: theirs.MultiStepLR(o, [5, 20, 31], 0.5),
    "CosineAnnealingLR": lambda o: theirs.CosineAnnealingLR(o, 50, 0.001),
    "CosineAnnealingWarmRestarts": lambda o: theirs.CosineAnnealingWarmRestarts(o, 5, 2),
    "PolynomialLR": lambda o: theirs.PolynomialLR(o, 60, 2.0),
    "LambdaLR": lambda o: theirs.LambdaLR(o, lambda step: 0.9**step),
    "MultiplicativeLR": lambda o: theirs.MultiplicativeLR(o, lambda step: 0.9),
    "CyclicLR": lambda o: theirs.CyclicLR(o, 0.01, 0.1, 7),
    "OneCycleLR": lambda o: theirs.OneCycleLR(o, 0.2, 80),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 0.05, 12),
    "SequentialLR": lambda o: theirs.SequentialLR(
        o, [theirs.ConstantLR(o, 0.5, 9), theirs.ExponentialLR(o, 0.9)], [9]
    ),
    "ChainedScheduler": lambda o: theirs.ChainedScheduler(
        [theirs.ConstantLR(o, 0.5, 9), theirs.ExponentialLR(o, 0.9)]
    ),
}
#: Classes whose load_state_dict reads a function or the states of parts, which our states lack.
RAISES = {"CyclicLR", "SequentialLR", "ChainedScheduler"}
ALL = pytest.mark.parametrize("name", OF_TORCH)


def stepped(scheduler, steps):
    """Return the learning rate after each step."""
    found = []
    for _ in range(steps):
        scheduler.step()
        found.append(float(optimizer_of(scheduler).param_groups[0]["lr"]))
    return found


def optimizer_of(scheduler):
    parts = getattr(scheduler, "_schedulers", None)
    return parts[0].optimizer if parts else scheduler.optimizer


@ALL
@pytest.mark.filterwarnings("ignore:Detected call of", "ignore:The epoch parameter")
def test_torch_continues_from_our_state_or_raises(name):
    whole = OF_TORCH[name](sgd())
    stepped(whole, STEPS)
    want = stepped(whole, 20)
    mine = from_torch(OF_TORCH[name](sgd()))
    stepped(mine, STEPS)
    saved, saved_optimizer = mine.state_dict(), mine.optimizer.state_dict()
    opt = sgd()
    resumed = OF_TORCH[name](opt)
    opt.load_state_dict(copy.deepcopy(saved_optimizer))
    if name in RAISES:
        with pytest.raises(KeyError):
            resumed.load_state_dict(copy.deepcopy(saved))
        return
    resumed.load_state_dict(copy.deepcopy(saved))
    assert resumed.last_epoch == STEPS
    # Our state replaces none of its methods.
    assert stepped(resumed, 20) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("cls", [theirs.LambdaLR, theirs.MultiplicativeLR])
def test_a_function_for_each_group_goes_on_from_our_state(cls):
    def built():
        groups = [{"params": [torch.nn.Parameter(torch.ones(2))]} for _ in range(3)]
        opt = torch.optim.SGD(groups, lr=0.1)
        return cls(opt, [lambda step, d=d: d / (step + 64) for d in (32, 16, 8)])

    mine, whole = from_torch(built()), built()
    stepped(mine, 9), stepped(whole, 9)
    resumed = built()
    resumed.optimizer.load_state_dict(mine.optimizer.state_dict())
    resumed.load_state_dict(mine.state_dict())
    assert resumed.get_last_lr() == whole.get_last_lr()
    stepped(resumed, 9), stepped(whole, 9), stepped(mine, 9)
    assert resumed.get_last_lr() == pytest.approx(whole.get_last_lr(), rel=1e-12)
    # Ours resumes from the same state.
    again = from_torch(built())
    again.load_state_dict(mine.state_dict())
    assert again.get_last_lr() == mine.get_last_lr()


@ALL
@pytest.mark.filterwarnings("ignore:Detected call of", "ignore:The epoch parameter")
def test_ours_continues_from_torchs_state(name):
    whole = OF_TORCH[name](sgd())
    stepped(whole, STEPS)
    mine = from_torch(OF_TORCH[name](sgd()))
    mine.load_state_dict(whole.state_dict())
    assert mine.last_epoch == STEPS
    assert stepped(mine, 20) == pytest.approx(stepped(whole, 20), rel=1e-12)


@ALL
@pytest.mark.filterwarnings("ignore:Detected call of", "ignore:The epoch parameter")
def test_a_state_of_another_class_is_refused(name):
    whole = OF_TORCH[name](sgd())
    stepped(whole, STEPS)
    saved = whole.state_dict()
    for other in OF_TORCH:
        alike = {"LambdaLR": "MultiplicativeLR", "MultiplicativeLR": "LambdaLR"}.get(name)
        if other in (name, alike) or {other, name} == {"SequentialLR", "ChainedScheduler"}:
            continue
        mine = from_torch(OF_TORCH[other](sgd()))
        before = str(mine.state_dict())
        with pytest.raises(ArgumentError, match="of another class than|different steps"):
            mine.load_state_dict(saved)
        assert str(mine.state_dict()) == before


def test_a_step_alone_is_taken_if_it_is_asked_for():
    mine = ours.LinearLR(sgd(), 0.0, 1.0, 10)
    with pytest.raises(ArgumentError, match="of another class than LinearLR: give step_only=True"):
        mine.load_state_dict({"last_epoch": 5})
    mine.load_state_dict({"last_epoch": 5}, step_only=True)
    assert mine.get_last_lr() == [0.5]


def test_a_list_takes_a_step_alone_too():
    both = SchedulerList([ours.LinearLR(sgd(), 0.0, 1.0, 10)])
    with pytest.raises(ArgumentError, match="give step_only=True"):
        both.load_state_dict({"last_epoch": 5})
    both.load_state_dict({"last_epoch": 5}, step_only=True)
    assert both.last_epoch == 5 and both.get_last_lr() == [0.5]


def test_a_list_is_one_scheduler_for_torch():
    mine = from_torch(OF_TORCH["OneCycleLR"](sgd()))
    assert isinstance(mine, SchedulerList)
    stepped(mine, STEPS)
    saved = mine.state_dict()
    assert (saved["last_epoch"], saved["_step_count"]) == (STEPS, STEPS + 1)
    assert not {name for name in saved if callable(getattr(theirs.LRScheduler, name, None))}


@pytest.mark.parametrize("name", sorted(ours._OF_TORCH))
def test_the_settings_of_each_class_of_torch_are_those_that_it_saves(name):
    if name == "ChainedLR":
        pytest.skip("the name that Cerebras gives to torch's ChainedScheduler, tried here too")
    from accelsched._binding.state import settings_of

    saved = OF_TORCH[name](sgd()).state_dict()
    assert settings_of(saved) - ours._MOMENTA == ours._OF_TORCH[name]
