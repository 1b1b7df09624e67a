"""The kernel for CUDA in Triton's interpreter, on CPU tensors: `python interpreted_kernel.py`.

It has its own process, because Triton checks only at import whether to interpret. Each check
prints one line: its name, and the failure or nothing.
"""

import json
import os
import traceback
import warnings
from unittest import mock

os.environ["TRITON_INTERPRET"] = "1"

import torch
from drawing import compositions, numbers, whole
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ulps import float32_ulps

from accelsched import Scheduler, _runtimes, reference
from accelsched._lowering.fitting import NotFitted
from accelsched._lowering.segments import FAR, BatchedSegments
from accelsched._lowering.tables import BatchedTables
from accelsched._runtimes import one_kernel
from accelsched._runtimes.cuda import Cuda
from accelsched._runtimes.one_kernel import OneKernel
from accelsched._runtimes.packed_curves import pack
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineDecay,
    Cyclic,
    Exponential,
    Linear,
    MultiStep,
    OneCycle,
    PiecewiseConstant,
    Polynomial,
    Step,
)
from accelsched.schedules._vectorize import group_by_structure, per_group

STEPS = [0, 1, 50, 99, 100, 2000, 2001, 12345, 10**6, 2**40]
CURVES = [
    Constant(0.1),
    Linear(0.0, 0.1, 2000).then(CosineDecay(0.1, 0.0, 10**6), at=2000),
    OneCycle(0.01, 0.1, 10**5),
    Polynomial(0.1, 0.0, 10**6, 1.7),
    Exponential(0.1, total_iters=30, rate=0.7, staircase=True),
    MultiStep(initial=0.1, milestones=(100, 2000, 50000), gamma=0.1),
    Step(initial=0.1, step_size=30, gamma=0.1),
    CosineAnnealing(0.1, 1000),
    Cyclic(0.01, 0.1, 200),
    Cyclic(0.001, 0.1, 2000, None, "exp_range", 0.9999),
    Linear(0.0, 0.1, 50).then(Cyclic(0.01, 0.1, 200), at=50),
    PiecewiseConstant([0.1, 0.2, 0.1], [10**7, 10**7 + 1]),
]


def compare(schedules, steps=STEPS, least=None, batched=BatchedSegments):
    """Assert that the kernel and the recorded graph give the same bits, for any stride."""
    batches = group_by_structure(schedules, [torch.float32] * len(schedules), least)
    evaluation = batched(batches)
    recorded = per_group(batches, evaluation)
    values = [torch.full((), torch.nan) for _ in schedules]
    counter = torch.tensor(-1)
    kernel = OneKernel(pack(evaluation.curves()), values, counter)
    assert counter.item() == -1
    assert all(value.isnan() for value in values)
    before = -1
    for index, step in enumerate(steps):
        if step >= getattr(evaluation, "end", FAR):
            break
        kernel(step - before if index % 2 else torch.tensor([step - before]))
        before = step
        assert counter.item() == step
        expected = recorded(torch.tensor(step))
        assert torch.equal(torch.stack(values), torch.stack(expected)), (step, values, expected)


def check_curves_of_one_group():
    for curve in (CURVES[0], CURVES[1], CURVES[9]):
        compare([curve])


def check_groups_of_one_structure():
    for count in (3, 16, 100, 260):  # a block has 128
        compare([CosineDecay(0.1 + 1e-3 * i, 0.0, 100) for i in range(count)], STEPS[2:6])
        compare([CURVES[1]] * count, STEPS[4:7])
    compare([CosineDecay(0.1, 1e-4 * i, 100 + i) for i in range(20)], STEPS[2:7])
    compare([CosineAnnealing(0.1, 50 + i) for i in range(20)], STEPS[2:7])


def check_groups_of_all_structures():
    compare([*reversed(CURVES), *CURVES, CosineDecay(0.3, 0.0, 77)])


def check_least_values():
    least = [None if i % 3 else 10.0**-i for i in range(len(CURVES))]
    compare(CURVES, STEPS[1:4], least)
    compare([CosineDecay(0.1, 0.0, 100)] * 3, least=[1e-5] * 3)


def check_tables():
    settled = [CosineDecay(0.1, 0.01 * i, 10 + i) for i in range(5)]
    compare([*settled, Constant(0.2), *settled[:2]], batched=BatchedTables)
    compare(settled[:1], batched=BatchedTables, least=[1e-3])
    compare([settled[0]] * 130, batched=BatchedTables)


def check_a_step_before_the_first_is_in_the_first_row():
    """A stride on the device is not checked, but nothing outside the curves is read."""
    compare(CURVES[:7], [-5, -2, 0])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(schedules=st.lists(compositions(depth=2), min_size=1, max_size=3), step=whole, low=numbers)
def check_drawn_schedules(schedules, step, low):
    try:
        compare(schedules, sorted({0, 10, step, step + 1}), [low] * len(schedules))
    except NotFitted:
        assume(False)


def optimizer(count):
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))]} for _ in range(count)]
    return torch.optim.AdamW(groups, lr=0.1, capturable=True)


def agrees(scheduler):
    """Assert that the kernel wrote the value of each group; return the kernel."""
    kernel = scheduler.driver._lowered.kernel
    assert kernel is not None
    for group, schedule in zip(scheduler.optimizer.param_groups, scheduler.in_force, strict=True):
        want = reference.value(schedule, scheduler.last_epoch)
        assert float32_ulps(group["lr"].item(), max(want, 2.0**-114)) <= 1, scheduler.last_epoch
    return kernel


def check_a_whole_scheduler():
    """As on CUDA, but with CPU tensors."""
    opt = optimizer(5)
    curves = [Linear(0.0, 0.1, 5).then(CosineDecay(0.1, 0.001 * i, 20), at=5) for i in range(5)]
    scheduler = Scheduler(opt, curves, open_ended=True)
    tensors = [group["lr"] for group in opt.param_groups]
    assert scheduler.driver.lowering == "segments"
    first = agrees(scheduler)
    for move in (
        scheduler.step,
        lambda: scheduler.step(by=3),
        lambda: scheduler.step(by=torch.tensor(2)),
        lambda: scheduler.step(by=torch.tensor(2, dtype=torch.int32), found_inf=torch.tensor(0.0)),
        lambda: scheduler.step(found_inf=torch.tensor(1.0)),
        lambda: scheduler.step(found_inf=True),
        lambda: scheduler.step(4),
        lambda: setattr(scheduler, "last_epoch", 11),
    ):
        move()
        agrees(scheduler)
    saved = scheduler.state_dict()
    others = [Linear(0.0, 0.3, 7).then(CosineDecay(0.3, 0.02, 40 + i), at=7) for i in range(5)]
    for change in (
        lambda: scheduler.reschedule(others),
        lambda: scheduler.extend(90),
        lambda: scheduler.begin_decay(10, 0.001, "cosine"),
        scheduler.end_decay,
        lambda: scheduler.load_state_dict(saved),
    ):
        change()
        # A captured graph still launches the first kernel, on the same memory.
        first(1)
        scheduler.driver._known = None
        assert agrees(scheduler) is first
    assert all(g["lr"] is t for g, t in zip(opt.param_groups, tensors, strict=True))


def check_what_needs_more_room_is_another_kernel():
    scheduler = Scheduler(optimizer(2), Constant(0.1))
    before = agrees(scheduler)
    scheduler.reschedule([CosineDecay(0.1, 0.0, 10**6), CosineDecay(0.1, 0.01, 10**5)])
    scheduler.step()
    assert agrees(scheduler) is not before


def check_what_is_no_rows_of_numbers_keeps_its_operations():
    endless = Step(initial=0.1, step_size=1000, gamma=0.999)
    for schedule, options in ((endless, {}), (CURVES[1], {"lowering": "graph"})):
        scheduler = Scheduler(optimizer(2), schedule, **options)
        assert scheduler.driver.lowering == "graph"
        assert scheduler.driver._lowered.kernel is None
        scheduler.step()
    wide = optimizer(1)
    wide.param_groups[0]["lr"] = torch.tensor(0.1, dtype=torch.float64)
    assert Scheduler(wide, CURVES[1]).driver.lowering == "graph"
    for lowering in ("table", "segments"):
        scheduler = Scheduler(optimizer(2), CosineDecay(0.1, 0.0, 50), lowering=lowering)
        scheduler.step()
        agrees(scheduler)
    # Beyond the end of a fit, the formula takes over.
    scheduler = Scheduler(optimizer(1), Exponential(0.1, total_iters=10**15, rate=0.7))
    scheduler.last_epoch = FAR + 1
    scheduler.step()


def check_compiled_the_operations_are_used():
    opt = optimizer(2)
    scheduler = Scheduler(opt, CURVES[1])
    step = torch.compile(scheduler.step, backend="eager")
    with mock.patch.object(one_kernel, "launch", side_effect=AssertionError):
        for _ in range(3):
            step()
    agrees(scheduler)


def main():
    # The device type selects the runtime: here the CPU selects that of CUDA.
    _runtimes._BY_DEVICE["cpu"] = Cuda()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Guards may run slower")
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            try:
                check()
                failed = ""
            except Exception:
                failed = traceback.format_exc()
            print(json.dumps([name, failed]), flush=True)


if __name__ == "__main__":
    main()
