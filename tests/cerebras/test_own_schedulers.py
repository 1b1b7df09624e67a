"""User-written schedulers on ours and on the real cerebras_pytorch: one source, two imports."""

import pytest
import torch
from float32 import tolerance
from own_schedulers import EXPECTED, written_for

cstorch = pytest.importorskip(
    "cerebras.pytorch", reason="cerebras-pytorch is installed by `make test-cerebras` only"
)
from cerebras.pytorch.optim import lr_scheduler as their_lr  # noqa: E402

from accelsched import lr_scheduler as our_lr  # noqa: E402
from accelsched.errors import ArgumentError  # noqa: E402

CEREBRAS = "cerebras.pytorch.optim"
MODULES = [written_for(CEREBRAS, imported) for imported in ("accelsched", CEREBRAS)]
FAMILIES = list(zip(MODULES, (our_lr, their_lr), strict=True))
NAMES = pytest.mark.parametrize("name", EXPECTED)
GROUPS = ({"tags": ["a"]}, {"tags": ["b"], "adjust_learning_rate": 0.25}, {})


pytestmark = pytest.mark.usefixtures("cpu_backend")


def optimizer():
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in GROUPS]
    groups = [{"params": [p], **group} for p, group in zip(parameters, GROUPS, strict=True)]
    return cstorch.optim.SGD(groups, lr=0.5, momentum=0.5, weight_decay=0.5)


def values(scheduler):
    return [float(group[scheduler.param_group_key]) for group in scheduler.optimizer.param_groups]


def assert_alike(mine, theirs, curve, t, peak=1.0):
    """Allow for float32: theirs compute in it throughout, ours where the user's code does."""
    allowed = tolerance(curve, t, peak, power=True)
    assert values(mine) == pytest.approx(values(theirs), abs=allowed), t


@NAMES
def test_values_step_by_step(name):
    mine, theirs = (module.EVERY[name](module, optimizer()) for module in MODULES)
    assert mine.param_group_key == theirs.param_group_key
    for t in range(120):
        assert_alike(mine, theirs, EXPECTED[name], t)
        mine.step()
        theirs.step()


@NAMES
def test_a_state_of_theirs_is_continued_from(name):
    mine, theirs = (module.EVERY[name](module, optimizer()) for module in MODULES)
    for _ in range(13):
        theirs.step()
    mine.load_state_dict(theirs.state_dict())
    assert mine.last_epoch == 13
    for t in range(13, 30):
        assert_alike(mine, theirs, EXPECTED[name], t)
        mine.step()
        theirs.step()


def test_a_state_of_theirs_with_other_numbers_is_refused():
    ours, theirs = MODULES
    saved = theirs.Wave(optimizer(), 0.1, 0.3, 37).state_dict()
    with pytest.raises(ArgumentError, match="high=0.3: this scheduler has 0.2: build it"):
        ours.Wave(optimizer(), 0.1, 0.2, 37).load_state_dict(saved)


def sequence(module, family):
    opt = optimizer()
    parts = [module.Trapezoid(opt, 0.2, 11, 30, 70), module.Stairs(opt, 0.4, 0.8, 7, [20])]
    return family.SequentialLR(opt, [*parts, family.ConstantLR(opt, 0.1)], [30, 60])


def chain(module, family):
    opt = optimizer()
    parts = [family.CosineDecayLR(opt, 0.2, 0.1, 50), module.Stairs(opt, 0.4, 0.8, 7, [20])]
    return family.ChainedLR(parts)


def scaled(module, family):
    opt = optimizer()
    return family.ScalePerParamLR(opt, module.Trapezoid(opt, 0.2, 11, 30, 70))


@pytest.mark.parametrize("make", [sequence, chain, scaled], ids=lambda make: make.__name__)
def test_in_schedulers_of_schedulers(make):
    mine, theirs = (make(*family) for family in FAMILIES)
    for t in range(90):
        assert_alike(mine, theirs, mine.schedules[0], t)
        mine.step()
        theirs.step()


def test_an_attribute_that_changes_counts_from_the_next_step():
    mine, theirs = (module.EVERY["Trapezoid"](module, optimizer()) for module in MODULES)
    changes = {4: ("initial_val", 0.3), 20: ("_decay", 25), 50: ("total_iters", 90)}
    for t in range(100):
        if t in changes:
            setattr(mine, *changes[t])
            setattr(theirs, *changes[t])
        mine.step()
        theirs.step()
        assert_alike(mine, theirs, mine.schedule, t + 1)
