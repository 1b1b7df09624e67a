"""Accelerate, with torch's scheduler and with ours."""

import accelerate_runs
import pytest
import torch
from accelerate_runs import BATCHES, Loop, forget_the_accelerator
from example_scripts import run_example
from resumed import RESUMED
from side_by_side import KINDS, OURS, assert_same, torchs
from torchrun import torchrun


@pytest.fixture(autouse=True)
def one_accelerator_after_the_other():
    yield
    forget_the_accelerator()


@OURS
@KINDS
@pytest.mark.parametrize("late", [False, True], ids=["then prepared", "prepared before"])
def test_a_scheduler_that_is_built_before_or_after(ours, kind, late):
    assert_same(*(Loop(make, kind, late).train() for make in (ours, torchs)))


@OURS
@KINDS
@pytest.mark.parametrize("adjust", [False, True])
def test_accumulated_gradients(ours, kind, adjust):
    records = [Loop(make, kind, accumulated=4, adjust=adjust).train() for make in (ours, torchs)]
    assert_same(*records)


@KINDS
@RESUMED
@pytest.mark.parametrize("late", [False, True], ids=["then prepared", "prepared before"])
def test_a_saved_state_is_loaded(first, second, kind, late, tmp_path):
    begun = Loop(first, kind, late)
    begun.train(1)
    begun.accelerator.save_state(tmp_path)
    resumed = Loop(second, kind, late)
    resumed.accelerator.load_state(tmp_path)
    whole = Loop(torchs, kind, late).train()
    whole.rates, whole.logged = whole.rates[BATCHES:], whole.logged[BATCHES:]
    assert_same(resumed.train(2), whole)


def test_two_processes(tmp_path):
    """Each process has torch's rates. With unsplit batches, a step counts once per process.

    The launcher and its processes import torch, which takes some 10 s.
    """
    torchrun(accelerate_runs.__file__, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    torchs_own = first["torchs"]
    for of_one_process in (first, second):
        for name in ("converted", "written"):
            for case, theirs in torchs_own.items():
                assert_same(of_one_process[name][case], theirs)
    whole, split = torchs_own["float whole"].rates, torchs_own["float split"].rates
    assert (len(whole), len(split)) == (BATCHES / 2, BATCHES)
    assert whole == split[::2]


def test_our_example():
    example = run_example("accelerate")
    assert example["scheduler"].scheduler.last_epoch == example["steps"] == 20
    assert example["optimizer"].param_groups[0]["lr"] == 0.0
