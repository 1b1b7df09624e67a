"""`make soak`: a thousand kills a mode, ten million steps, twenty thousand schedulers."""

import gc
import importlib.util
import math
import resource
import weakref
from functools import partial

import pytest
import torch
from binding import optimizer
from kills import assert_survives
from ulps import float32_ulps

from accelsched import Scheduler, reference, update
from accelsched.schedules import CosineDecay, Linear

FOLLOWED = ("schedule", "plateau", "decay")
MODES = [f"{road} {follows}" for road in ("host", "tensor", "compile") for follows in FOLLOWED]
MODES += ["whole schedule", "whole constant"]
if importlib.util.find_spec("torch_xla"):
    MODES += [f"xla {follows}" for follows in FOLLOWED]
STEPS, WARM_UP, SCHEDULERS = 10**7, 10**6, 20_000
CURVE = Linear(0.0, 0.1, WARM_UP).then(CosineDecay(0.1, 0.001, STEPS), at=WARM_UP)
PARTS = [
    partial(reference.linear, initial=0.0, end=0.1, total_iters=WARM_UP),
    partial(reference.cosine_decay, initial=0.1, end=0.001, total_iters=STEPS),
]


@pytest.mark.parametrize("mode", MODES)
def test_a_thousand_kills(mode):
    assert_survives(mode, 1000)


@pytest.mark.parametrize("road", ["host", "graph", "compile"])
def test_ten_million_steps_do_not_drift(road):
    """After every million steps, the count is exact and the value is the reference's."""
    opt = optimizer(kind="host" if road == "host" else "graph")
    scheduler = Scheduler(opt, CURVE)
    step = scheduler.step
    if road == "compile":
        step = torch.compile(update(opt, scheduler), fullgraph=True)
    for done in range(0, STEPS, WARM_UP):
        for _ in range(WARM_UP):
            step()
        assert scheduler.last_epoch == done + WARM_UP
        want = reference.sequential(scheduler.last_epoch, PARTS, [WARM_UP])
        rate = float(opt.param_groups[0]["lr"])
        # A float has a cosine and four roundings; a tensor also has a rounding to float32.
        assert math.isclose(rate, want, rel_tol=2.0**-50) or road != "host"
        assert float32_ulps(rate, want) <= 1


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("shared", [True, False], ids=["one optimizer", "an optimizer each"])
def test_schedulers_that_are_dropped_leave_nothing(kind, shared):
    """Each leaves under 0.01 objects and under 1 KB; a scheduler in use has several of both.

    The first schedulers fill what all share: machine code, operations, the allocator's pools.
    """
    opt = optimizer(kind=kind)
    built = weakref.WeakSet()

    def build(count):
        for number in range(count):
            scheduler = Scheduler(opt if shared else optimizer(kind=kind), CURVE, open_ended=True)
            built.add(scheduler)
            scheduler.step()
            if number % 10 == 0:
                scheduler.begin_decay(10, 0.0)
                scheduler.step()
            del scheduler
        gc.collect()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return len(gc.get_objects()), peak

    objects, kilobytes = build(SCHEDULERS // 20)
    objects_after, kilobytes_after = build(SCHEDULERS)
    assert len(built) == 0
    assert objects_after - objects < SCHEDULERS / 100
    assert kilobytes_after - kilobytes < SCHEDULERS
