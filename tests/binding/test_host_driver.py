"""The host path: machine code writes floats to the groups, compared with the graph path."""

import gc
import math
import sys

import pytest
import torch
from binding import EVERY, optimizer
from ulps import float32_ulps

from accelsched import Scheduler
from accelsched.kernels import Kernel, jit
from accelsched.kernels.interpreted import Interpreted
from accelsched.lr_scheduler import CosineDecayLR, LambdaLR
from accelsched.schedules import Constant, CosineDecay, Linear, Step

STEPS = 120


def bound(name, lowering):
    """A scheduler of every public class, its values float64 in either lowering."""
    lr = torch.tensor(0.1, dtype=torch.float64) if lowering == "graph" else 0.1
    parameters = [torch.zeros(1, dtype=torch.float64)]
    return EVERY[name](torch.optim.SGD(parameters, lr=lr))


def rate(scheduler):
    return float(scheduler.optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("name", EVERY)
def test_a_run_may_change_between_floats_and_tensors(name):
    """It continues bit for bit: each lowering gives the values that it would have given alone."""
    alone = {}
    for lowering in ("host", "graph"):
        scheduler = bound(name, lowering)
        alone[lowering] = []
        for _ in range(STEPS):
            alone[lowering].append(rate(scheduler))
            scheduler.step()
    scheduler = bound(name, "host")
    for step in range(STEPS):
        if step % 30 == 29:
            state = scheduler.state_dict()
            scheduler = bound(name, "graph" if scheduler.driver.lowering == "host" else "host")
            scheduler.load_state_dict(state)
            assert scheduler.state_dict()["schedules"] == state["schedules"]
            assert scheduler.last_epoch == state["last_epoch"]
        assert rate(scheduler) == alone[scheduler.driver.lowering][step]
        scheduler.step()
    # The C library and PyTorch may round sines and powers differently: 1 ulp of float32.
    for host, graph in zip(alone["host"], alone["graph"], strict=True):
        assert float32_ulps(host, graph) <= 1


def test_all_groups_are_one_call():
    count = 1000
    opt = optimizer(*[{}] * count)
    curves = [CosineDecay(0.1 * (i + 1), 0.001 * i, 50 + i) for i in range(count)]
    scheduler = Scheduler(opt, curves)
    assert isinstance(scheduler.driver._function, Kernel)
    for step in range(3):
        assert [group["lr"] for group in opt.param_groups] == [curve(step) for curve in curves]
        scheduler.step()
    # Two groups use the same code: the number of groups is data.
    few = Scheduler(optimizer({}, {}), curves[:2])
    assert few.driver._function._code is scheduler.driver._function._code


def test_groups_of_several_kinds_are_one_call():
    kinds = [
        CosineDecay(0.1, 0.0, 9),
        Constant(0.3),
        Step(0.1, 3, 0.5),
        Constant(0.2),
        Constant(0.3),
    ]
    opt = optimizer(*[{}] * len(kinds))
    scheduler = Scheduler(opt, kinds)
    for step in range(12):
        assert [group["lr"] for group in opt.param_groups] == [kind(step) for kind in kinds]
        scheduler.step()


def test_only_the_groups_that_are_driven_are_written():
    opt = optimizer({"tags": "a"}, {}, {"tags": "a"}, {"lr": 0.7})
    scheduler = Scheduler(opt, [Linear(0.0, 1.0, 10), Linear(0.0, 2.0, 10)], param_group_tags="a")
    scheduler.step()
    assert [group["lr"] for group in opt.param_groups] == [0.1, 0.001, 0.2, 0.7]
    one = optimizer({}, {"tags": "b"})
    Scheduler(one, Linear(0.0, 1.0, 10), param_group_tags=["b"]).step()
    assert [group["lr"] for group in one.param_groups] == [0.001, 0.1]


def test_a_group_that_is_added_later_is_driven():
    opt = optimizer({}, {})
    scheduler = Scheduler(opt, Linear(0.0, 1.0, 10))
    opt.add_param_group({"params": [torch.zeros(1)], "lr": 0.5})
    scheduler.step()
    assert [group["lr"] for group in opt.param_groups] == [0.1, 0.1, 0.1]


def test_groups_that_a_loaded_state_replaced_are_written():
    opt = optimizer({}, {}, {})
    scheduler = Scheduler(opt, Linear(0.0, 1.0, 10))
    before = opt.param_groups
    opt.load_state_dict(opt.state_dict())
    assert opt.param_groups is not before
    scheduler.step()
    assert [group["lr"] for group in opt.param_groups] == [0.1] * 3
    opt.param_groups[1] = dict(opt.param_groups[1])
    scheduler.step()
    assert [group["lr"] for group in opt.param_groups] == [0.2] * 3


def test_a_group_of_another_class_is_asked_itself():
    class Logged(dict):
        seen = ()

        def __setitem__(self, key, value):
            self.seen += ((key, value),)
            super().__setitem__(key, value)

    opt = optimizer({}, {})
    scheduler = Scheduler(opt, Linear(0.0, 1.0, 10))
    opt.param_groups[1] = Logged(opt.param_groups[1])
    scheduler.step()
    assert opt.param_groups[1].seen == (("lr", 0.1),)


def test_a_group_that_is_gone_is_an_error_and_none_is_written_behind_it():
    opt = optimizer({}, {}, {})
    scheduler = Scheduler(opt, Linear(0.0, 1.0, 10))
    del opt.param_groups[1]
    with pytest.raises(IndexError):
        scheduler.step()

    class Full(dict):
        def __setitem__(self, key, value):
            raise RuntimeError("full")

    opt = optimizer({}, {})
    scheduler = Scheduler(opt, Linear(0.0, 1.0, 10))
    opt.param_groups[1] = Full(opt.param_groups[1])
    with pytest.raises(RuntimeError, match="full"):
        scheduler.step()


def test_steps_leave_nothing_behind():
    """Neither floats, nor references to the groups, the key or None."""
    opt = optimizer(*[{}] * 50)
    scheduler = Scheduler(opt, [Linear(0.0, i + 1.0, 100) for i in range(50)])
    for _ in range(5):
        scheduler.step()
    gc.collect()
    watched = [opt.param_groups, opt.param_groups[7], scheduler.group_values.key, None]
    references = [sys.getrefcount(item) for item in watched]
    blocks = sys.getallocatedblocks()
    for _ in range(500):
        scheduler.step()
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 100  # 25,000 floats were made; less may be in use
    for item, count in zip(watched, references, strict=True):
        assert abs(sys.getrefcount(item) - count) < 100
    assert all(sys.getrefcount(group["lr"]) <= 3 for group in opt.param_groups)


def test_another_number_needs_no_other_code():
    opt = optimizer()
    scheduler = CosineDecayLR(opt, 0.1, 0.0, 100)
    compiled = len(jit.CODES)
    scheduler.total_iters = 50
    scheduler.step()
    assert opt.param_groups[0]["lr"] == CosineDecay(0.1, 0.0, 50)(1)
    assert len(jit.CODES) == compiled


class Branching(LambdaLR):
    def set_value_lambda(self):
        return lambda step: min(step / 10, 1.0) if step < 50 else math.cos(step / 100)


def factor(step):
    return min(step / 10, 1.0) if step < 50 else math.cos(step / 100)


def test_a_function_that_leaves_the_graph_runs_step_by_step():
    opt = optimizer()
    scheduler = Branching(opt, 0.5)
    assert isinstance(scheduler.driver._function, Interpreted)
    for step in range(60):
        assert opt.param_groups[0]["lr"] == pytest.approx(0.5 * factor(step), rel=2**-52)
        assert scheduler.get_last_lr() == scheduler.get_lr() == [opt.param_groups[0]["lr"]]
        scheduler.step()
    scheduler.last_epoch = 7
    assert opt.param_groups[0]["lr"] == pytest.approx(0.35, rel=2**-52)


@pytest.mark.parametrize("kind", ["host", "graph"])
def test_a_function_that_leaves_the_graph_runs_anywhere_as_a_table(kind):
    opt = optimizer(kind=kind)
    scheduler = Branching(opt, 0.5, total_iters=70)
    if kind == "host":
        assert isinstance(scheduler.driver._function, Kernel)
    for step in range(80):
        want = 0.5 * factor(min(step, 70))
        assert float(opt.param_groups[0]["lr"]) == pytest.approx(want, rel=2**-23)
        scheduler.step()
