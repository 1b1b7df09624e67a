"""States in and out of torch.distributed.checkpoint, which saves each entry by its name."""

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.optim import lr_scheduler as peers

from accelsched import Scheduler, SchedulerList, from_torch
from accelsched.schedules import CosineDecay, Linear, Sequential

# torch warns that a single process saves; these tests use only one.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch", "ignore::FutureWarning:torch")


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)


def warm_up_and_cosine(optimizer):
    parts = [peers.LinearLR(optimizer, 0.1, 1.0, 5), peers.CosineAnnealingLR(optimizer, 20)]
    return peers.SequentialLR(optimizer, parts, [5])


TORCHS = {
    "LinearLR": lambda optimizer: peers.LinearLR(optimizer, 0.1, 1.0, 30),
    "StepLR": lambda optimizer: peers.StepLR(optimizer, 4),
    "CosineAnnealingLR": lambda optimizer: peers.CosineAnnealingLR(optimizer, 20),
    "OneCycleLR": lambda optimizer: peers.OneCycleLR(optimizer, 0.2, 40),
    "SequentialLR": warm_up_and_cosine,
}


def values(optimizer):
    (group,) = optimizer.param_groups
    return group["lr"], group["momentum"]


def both(optimizer):
    warm_up = Linear(0.0, 0.1, 5).then(CosineDecay(0.1, 0.0, 20), at=5)
    momentum = Scheduler(optimizer, Linear(0.9, 0.5, 10), key="momentum")
    return SchedulerList([Scheduler(optimizer, warm_up), momentum])


def ours(name):
    return (
        both if name == "SchedulerList" else lambda optimizer: from_torch(TORCHS[name](optimizer))
    )


@pytest.mark.parametrize("name", [*TORCHS, "SchedulerList"])
def test_ours_is_stateful_and_goes_on_from_its_checkpoint(name, tmp_path):
    build, before, after = ours(name), sgd(), sgd()
    first, second = build(before), build(after)
    for _ in range(7):
        first.step()
    dcp.save({"scheduler": first}, checkpoint_id=tmp_path)
    dcp.load({"scheduler": second}, checkpoint_id=tmp_path)
    for _ in range(20):
        assert values(after) == values(before)
        first.step()
        second.step()


@pytest.mark.parametrize("name", TORCHS)
def test_a_checkpoint_of_torchs_scheduler_goes_into_ours(name, tmp_path):
    """The recipe in the docstring of from_torch works."""
    before, after = sgd(), sgd()
    first = TORCHS[name](before)
    for _ in range(7):
        before.step()
        first.step()
    dcp.save({"scheduler": first}, checkpoint_id=tmp_path)

    torchs = TORCHS[name](after)
    state = torchs.state_dict()
    scheduler = from_torch(torchs)
    dcp.load({"scheduler": state}, checkpoint_id=tmp_path)
    scheduler.load_state_dict(state)
    for _ in range(20):
        assert values(after) == pytest.approx(values(before), rel=1e-14, abs=1e-16)
        before.step()
        first.step()
        scheduler.step()


def test_the_state_of_another_schedule_is_not_in_a_checkpoint(tmp_path):
    dcp.save({"scheduler": Scheduler(sgd(), Linear(0.0, 0.1, 5))}, checkpoint_id=tmp_path)
    others = [Linear(0.0, 0.1, 2), CosineDecay(0.1, 0.0, 20)]
    scheduler = Scheduler(sgd(), Sequential(others, [2]))
    with pytest.raises(dcp.api.CheckpointException, match="Missing key in checkpoint"):
        dcp.load({"scheduler": scheduler}, checkpoint_id=tmp_path)
    assert scheduler.last_epoch == 0
