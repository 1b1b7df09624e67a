"""Two processes of torchrun on gloo: wrapped models, optimizers and checkpoints.

Each run has the rates, weights and communication of a run with torch's own scheduler.
"""

import fcntl
import json
import os
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from side_by_side import KINDS, RATE, shape, written
from torchrun import torchrun
from torchrun_programs import MAKERS, SAVED, STEPS, WAYS, Training

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear

NAMES = pytest.mark.parametrize("name", MAKERS)
RATES = [RATE * shape(step) for step in range(STEPS)]


def one_process(action, state, folder):
    with pytest.warns(UserWarning, match="in a single process"):
        action(state, checkpoint_id=folder)


def launch(folder):
    """Train in one process, and then in two."""
    alone = Training(None, "tensor", written)
    alone.train(SAVED)
    one_process(dcp.save, {"app": alone}, folder / "one")
    (folder / "weights of one.json").write_text(json.dumps(alone.weights()))
    torchrun(Path(__file__).parents[1] / "support" / "torchrun_programs.py", folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder with the results of one launch, which all pytest workers share."""
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    done = shared / "torchrun"
    with Path(shared / "torchrun.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            begun = tmp_path_factory.mktemp("torchrun")
            launch(begun)
            begun.rename(done)
    return done


@pytest.fixture(scope="module", params=[0, 1], ids=["rank 0", "rank 1"])
def found(folder, request):
    return json.loads((folder / f"{request.param}.json").read_text())


def agrees(run, like, steps=range(STEPS)):
    """Assert equality bit for bit: both runs set the same rates and do the same operations."""
    assert run["rates"] == like["rates"] == [RATES[step] for step in steps]
    assert run["weights"] == like["weights"]


@NAMES
@KINDS
@pytest.mark.parametrize("way", WAYS)
def test_each_rank_trains_as_with_torchs_scheduler_and_says_no_more_to_others(
    found, way, kind, name
):
    runs = found["trained"][way][kind]
    agrees(runs[name], runs["torchs"])
    assert runs[name]["collectives"] == runs["torchs"]["collectives"] != {}
    assert runs[name]["held"] == (kind == "tensor")


@NAMES
@KINDS
def test_the_gathered_state_of_zero_redundancy_goes_on(found, kind, name):
    whole, resumed = found["zero"][kind][name]
    agrees(whole, found["zero"][kind]["torchs"][0], range(SAVED, STEPS))
    agrees(resumed, whole, range(SAVED, STEPS))
    if kind == "tensor" and name != "torchs":
        assert resumed["held"]


def test_a_checkpoint_of_two_processes_goes_on_in_two(found):
    whole, resumed, _ = found["checkpointed"]["runs"]
    agrees(resumed, whole, range(SAVED, STEPS))
    assert resumed["held"]


def test_a_checkpoint_of_two_processes_goes_on_in_one(found, folder):
    run = Training(None, "tensor", written)
    one_process(dcp.load, {"app": run}, folder / "two")
    assert run.weights() == found["checkpointed"]["loaded"]["two"]
    assert run.train(STEPS - SAVED) == RATES[SAVED:]
    assert run.holds_its_rate()


def test_a_checkpoint_of_one_process_goes_on_in_two(found, folder):
    *_, run = found["checkpointed"]["runs"]
    loaded = json.loads((folder / "weights of one.json").read_text())
    assert found["checkpointed"]["loaded"]["one"] == loaded
    assert run["rates"] == RATES[SAVED:]
    assert run["held"]


def test_a_checkpoint_of_torchs_scheduler_goes_on_as_ours(found):
    whole, converted_after, converted_before = found["from torch"]
    agrees(converted_after, whole, range(SAVED, STEPS))
    agrees(converted_before, whole, range(SAVED, STEPS))


@NAMES
@KINDS
def test_schedulers_in_the_container_of_torchtitan(found, kind, name):
    """Three optimizers, each with half the rate of the one before, and their ``get_last_lr``."""
    want = [[rate, rate / 2, rate / 4] * 2 for rate in RATES[SAVED + 1 :]]
    assert found["contained"][kind][name][: len(want)] == want


def test_our_example(folder):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)
    scheduler = Scheduler(optimizer, schedule)
    one_process(dcp.load, {"scheduler": scheduler}, folder / "example")
    assert (scheduler.last_epoch, optimizer.param_groups[0]["lr"]) == (100, 0.0)


def test_the_rates_are_numbers_of_float32():
    assert [torch.tensor(rate).item() for rate in RATES] == RATES
