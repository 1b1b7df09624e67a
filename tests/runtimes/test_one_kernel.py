"""A scheduler step as one CUDA kernel: its values, its code and its number of launches.

Most tests need no GPU: Triton interprets the kernel, or compiles it for an absent GPU.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ulps import float32_ulps

from accelsched import Scheduler, reference
from accelsched._costs.simulated_cuda import simulated_cuda
from accelsched._runtimes import one_kernel
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineDecay,
    Linear,
    PiecewiseConstant,
    Step,
)

pytest.importorskip("triton", reason="Triton is not installed: a step is its recorded operations")
TESTS = Path(__file__).parents[1]
SUPPORT = TESTS / "support"


@pytest.fixture(scope="module")
def interpreted():
    """Return the failures of the interpreted kernel's checks, run in a subprocess (20 s)."""
    paths = [str(SUPPORT), str(TESTS.parent / "docs"), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, SUPPORT / "interpreted_kernel.py"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(line) for line in result.stdout.splitlines())


CHECKS = [
    "curves_of_one_group",
    "groups_of_one_structure",
    "groups_of_all_structures",
    "least_values",
    "tables",
    "a_step_before_the_first_is_in_the_first_row",
    "drawn_schedules",
    "a_whole_scheduler",
    "what_needs_more_room_is_another_kernel",
    "what_is_no_rows_of_numbers_keeps_its_operations",
    "compiled_the_operations_are_used",
]


@pytest.mark.parametrize("name", CHECKS)
def test_interpreted(interpreted, name):
    assert set(interpreted) == {f"check_{each}" for each in CHECKS}
    assert not interpreted[f"check_{name}"], interpreted[f"check_{name}"]


def compiled(architecture):
    """Compile the kernel for a GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from accelsched._runtimes.triton_kernel import advance

    constants = one_kernel.CONSTANTS
    kinds = ["*i64", "*i64", "*i64", "*fp32", "*i64", "*i64", "i64", "i32"]
    types = dict(zip(advance.arg_names, kinds, strict=False))
    try:
        every = types | dict.fromkeys(constants, "constexpr")
        source = ASTSource(advance, signature=every, constexprs=constants)
    except TypeError:  # Triton 3.0
        at = {name: index for index, name in enumerate(advance.arg_names)}
        by_index = {at[name]: value for name, value in constants.items()}
        types = {at[name]: kind for name, kind in types.items()}
        source = ASTSource(advance, signature=types, constants=by_index)
    target = GPUTarget("cuda", architecture, 32)
    return triton.compile(source, target=target, options={"num_warps": 1})


@pytest.mark.parametrize("architecture", [80, 90])
def test_it_compiles_for_a_gpu(architecture, tmp_path, monkeypatch):
    """The code keeps subnormal numbers and rounds a step's offset once, from 64 bits."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = compiled(architecture)
    code = kernel.asm["ptx"]
    assert kernel.asm["cubin"]
    assert ".ftz" not in code
    assert "cvt.rn.f32.s64" in code
    # One warp. All threads read the counter; after a barrier, it is stored.
    assert kernel.metadata.num_warps == 1
    stores = [line for line in code.splitlines() if "st.global" in line]
    assert stores[-1].split()[-1].startswith("%rd") or ".b64" in stores[-1]
    assert code.rindex("bar.") < code.rindex("st.global")


SCHEDULES = {
    "a warm-up and a cosine": Linear(0.0, 0.1, 2000).then(CosineDecay(0.1, 0.0, 10**6), at=2000),
    "a wave": CosineAnnealing(0.1, 100),
    "a number": Constant(0.1),
    "ten thousand phases": PiecewiseConstant(
        [0.1 + 1e-4 * (i % 7) for i in range(10001)], range(1, 10001)
    ),
}


def launches(calls, action):
    calls.launches.clear()
    calls.reads = 0
    action()
    assert calls.reads == 0
    return list(calls.launches)


def adam(count, **options):
    groups = [{"params": [torch.ones(2, device="cuda")]} for _ in range(count)]
    return torch.optim.AdamW(groups, lr=0.1, capturable=True, **options)


@pytest.mark.parametrize("count", [1, 16, 100])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_is_one_launch(name, count):
    with simulated_cuda() as calls:
        scheduler = Scheduler(adam(count), SCHEDULES[name])
        by, found = torch.ones((), dtype=torch.int64, device="cuda"), torch.ones(1, device="cuda")
        one = ["one kernel"]
        assert launches(calls, scheduler.step) == one
        assert launches(calls, lambda: scheduler.step(by=5)) == one
        assert launches(calls, lambda: scheduler.step(by=by)) == one
        # `eq` compares the flag with 0; `mul` multiplies by the stride.
        skipped = launches(calls, lambda: scheduler.step(by=by, found_inf=found))
        assert skipped == ["eq", "mul", *one]


def test_other_groups_are_other_curves_in_the_same_launch():
    with simulated_cuda() as calls:
        every = [*SCHEDULES.values(), *(CosineDecay(0.1, 0.0, 100 + i) for i in range(4))]
        scheduler = Scheduler(adam(len(every)), every[:3] + every[4:] + every[:1])
        assert launches(calls, scheduler.step) == ["one kernel"]


def test_what_is_neither_says_so_and_writes_all_groups_at_once():
    with simulated_cuda() as calls:
        scheduler = Scheduler(adam(100), Step(initial=0.1, step_size=1000, gamma=0.999))
        assert scheduler.driver.lowering == "graph"
        assert scheduler.driver.reason == "the curve needs more than 1024 segments"
        taken = launches(calls, scheduler.step)
        assert taken.count("_foreach_copy_") == 2  # the counter, and the values
        assert len(taken) <= 12


def test_without_triton_the_formula_is_recorded(monkeypatch):
    monkeypatch.setattr(one_kernel, "is_installed", lambda: False)
    with simulated_cuda():
        scheduler = Scheduler(adam(2), SCHEDULES["a wave"])
        assert scheduler.driver.lowering == "graph"
        assert scheduler.driver.reason is None


def test_where_triton_cannot_launch_the_recorded_operations_serve(monkeypatch):
    def launch(*arguments):
        raise RuntimeError("Failed to find C compiler")

    with simulated_cuda() as calls:
        monkeypatch.setattr(one_kernel, "launch", launch)
        scheduler = Scheduler(adam(2), SCHEDULES["a wave"])
        assert scheduler.driver.lowering == "segments"
        assert "index_select" in launches(calls, scheduler.step)


def test_values_in_another_dtype_or_on_another_device_keep_their_operations():
    with simulated_cuda():
        half = adam(2)
        for group in half.param_groups:
            group["lr"] = torch.ones((), dtype=torch.bfloat16, device="cuda")
        assert Scheduler(half, SCHEDULES["a wave"]).driver._lowered.kernel is None
        two = adam(2)
        two.param_groups[1]["params"] = [torch.ones(2, device="cuda:1")]
        assert Scheduler(two, SCHEDULES["a wave"]).driver._lowered.kernel is None


ON_A_GPU = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU here: `make test-cuda` runs it where there is one"
)


def adam_there(count):
    groups = [{"params": [torch.ones(2, device="cuda")]} for _ in range(count)]
    return torch.optim.AdamW(groups, lr=0.1, capturable=True)


def assert_near(scheduler):
    for group, schedule in zip(scheduler.optimizer.param_groups, scheduler.in_force, strict=True):
        want = reference.value(schedule, scheduler.last_epoch)
        assert float32_ulps(group["lr"].item(), max(want, 2.0**-114)) <= 1


@ON_A_GPU
def test_its_values_on_a_gpu():
    """Values are within 1 ulp with fused multiply-adds, which the interpreter lacks."""
    first, wave, number, phases = SCHEDULES.values()
    cosines = [CosineDecay(0.1, 1e-4 * i, 100 + i) for i in range(130)]
    for schedules, options in (
        ([first, wave, number, *cosines], {}),
        ([phases], {}),
        (cosines, {"lowering": "table"}),
    ):
        scheduler = Scheduler(adam_there(len(schedules)), schedules, **options)
        assert scheduler.driver._lowered.kernel is not None
        for step in (0, 1, 57, 99, 100, 101, 1999, 2000, 2001, 12345, 10**6, 2**40):
            scheduler.last_epoch = step
            assert_near(scheduler)
            scheduler.step()
            assert_near(scheduler)
            scheduler.step(by=torch.tensor(2, device="cuda"))
            assert_near(scheduler)


@ON_A_GPU
def test_a_captured_step_is_one_node_that_goes_on_with_other_numbers():
    scheduler = Scheduler(adam_there(16), SCHEDULES["a warm-up and a cosine"])
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        scheduler.step()
        scheduler.step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        graph.replay()
        torch.cuda.synchronize()
    assert [event.name for event in profile.events()].count("advance") == 2
    assert scheduler.last_epoch == 2
    assert_near(scheduler)
    scheduler.reschedule([Linear(0.0, 0.3, 7).then(CosineDecay(0.3, 0.02, 4000), at=7)] * 16)
    for _ in range(5):
        graph.replay()
        assert_near(scheduler)


def test_nothing_imports_triton_before_it_is_used():
    code = "import sys, torch, accelsched; assert 'triton' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
