"""The numba lowering: refusals, generated source, disk cache, threads and processes."""

import copy
import hashlib
import math
import os
import random
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from drawing import CLASSES, one
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsched._recording import Untraceable, record
from accelsched.kernels import Kernel, helpers, jit
from accelsched.kernels.aten import TABLE
from accelsched.kernels.lowering import Lowering
from accelsched.schedules import CosineDecay, Lambda, Linear, Schedule, Step, Tabulated

WARM_UP_COSINE = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)


def source_of(function):
    lowering = Lowering(record(function), TABLE)
    for place in range(len(lowering.outputs)):
        lowering.program.store(lowering.size(place), lowering.output(place, ()))
    return lowering.program.source()


# Refusals.


def test_an_operation_that_is_not_compiled_is_named_with_its_line():
    def strange(step):
        return torch.special.bessel_j0(step)  # the line that the error names

    line = strange.__code__.co_firstlineno + 1
    with pytest.raises(Untraceable, match="Tabulated") as caught:
        Kernel(lambda step: [Lambda(1.0, (strange,)).formula(step)])
    assert "aten.special_bessel_j0.default: it is not in the table" in str(caught.value)
    assert f"{__file__}:{line}" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda t: min(t, 5), "reads the step on the host"),
        (lambda t: t.item() * 2, "reads the step on the host"),
        (lambda t: math.cos(t), "reads the step on the host"),
        (lambda t: np.cos(t), "numpy"),
        (lambda t: t + torch.rand_like(t), "is random"),
        (lambda t: (t * 1.0)[None].add_(1), "changes a tensor in place"),
        (lambda t: torch.arange(9)[torch.arange(9) > t].sum(), "a shape that depends on the step"),
        (lambda t: t.to(torch.float16) * 2, "float16 is not compiled"),
        (lambda t: (t.reshape(1, 1) * torch.ones(2, 3)).reshape(6).sum(), "it changes the shape"),
        (lambda t: torch.nonexistent(t), "no attribute"),
    ],
)
def test_a_function_that_leaves_the_graph_is_refused_with_the_reason(function, reason):
    with pytest.raises(Untraceable, match=reason) as caught:
        Kernel(lambda step: [function(terms_real(step))])
    assert "Tabulated(function, total_iters)" in str(caught.value)
    assert __file__ in str(caught.value)


def terms_real(step):
    return step.to(torch.float64)


def test_what_is_refused_still_runs_step_by_step():
    schedule = Lambda(0.1, (lambda t: min(t / 10, 1.0), lambda t: math.cos(t / 100)))
    want = [0.1 * min(t / 10, 1.0) * math.cos(t / 100) for t in range(30)]
    assert [schedule(t) for t in range(30)] == pytest.approx(want, rel=1e-15)
    assert schedule.curve(0, 30).tolist() == pytest.approx(want, rel=1e-15)
    assert schedule.curve(5, 5).tolist() == []


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda t: 100 // (t - 7) * 1.0, ZeroDivisionError),
        (lambda t: 100 % (t - 7) * 1.0, ZeroDivisionError),
        (lambda t: torch.arange(7.0).index_select(0, t.reshape(1)).reshape(()), IndexError),
        (lambda t: torch.arange(7.0)[t.reshape(1)].reshape(()), IndexError),
        (lambda t: torch.arange(7.0).gather(0, t.reshape(1)).reshape(()), IndexError),
    ],
)
def test_a_step_that_fails_in_pytorch_fails(function, error):
    with pytest.raises((error, RuntimeError, IndexError)):
        function(torch.tensor(7))
    kernel = Kernel(lambda step: [function(step)])
    kernel.step = 6
    assert kernel.run() == 0
    assert kernel.out.tolist() == [float(function(torch.tensor(6)))]
    for _ in range(2):  # the kernel stays at step 7
        with pytest.raises(error, match="step 7"):
            raise kernel.error(kernel.run())
    with pytest.raises(error):
        kernel.rows(range(0, 10))


# The generated source.


WORDS = """def kernel wholes frame status reals out start stride rows width for in range min
first last far False row again int64 float64 boolean if else or abs select NEAR near sine return
512"""


def test_the_numbers_are_no_part_of_the_source():
    sources = {source_of(lambda t, s=s: [s.formula(t)]) for s in (
        WARM_UP_COSINE,
        Linear(3.0, -7e300, 5).then(CosineDecay(1e-30, 1 / 3, 2**40), at=2**41),
    )}  # fmt: skip
    assert len(sources) == 1
    words = set("".join(c if c.isalnum() else " " for c in sources.pop()).split())
    known = set(WORDS.split())
    assert {w for w in words if not w.removeprefix("v").isdecimal()} <= known


def test_no_name_of_a_user_is_in_the_source():
    def injected(step):
        return step * EVIL

    injected.__name__ = injected.__qualname__ = 'x"); import os; os.abort() #'
    EVIL = torch.tensor(2.0)
    assert "abort" not in source_of(lambda t: [Lambda(1.0, (injected,)).formula(t)])


def test_tables_of_any_length_share_the_code():
    kernels = [Kernel(lambda t, n=n: [Tabulated(math.sqrt, n).formula(t)]) for n in (3, 500)]
    assert kernels[0]._code is kernels[1]._code
    assert kernels[1].at(400) == [20.0]


def test_a_condition_computes_the_side_that_is_taken():
    body = source_of(lambda t: [WARM_UP_COSINE.formula(t)])
    taken, other = body.split("else:")[:2]
    assert "near_sine" in taken
    assert "near_sine" not in other.split("out[row")[0]


def test_names_are_set_once_but_in_both_sides_of_a_condition():
    # numba passes over all lines for each name set twice, which takes too long in a deep nest.
    names = re.findall(r"^ *(v\w+) = ", source_of(lambda t: [WARM_UP_COSINE.formula(t)]), re.M)
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    assert len(twice) == 2  # the value, from either phase
    assert twice == [twice[0], f"{twice[0]}_again"]


def test_shared_parts_are_computed_once_however_often_they_are_used():
    def chain(step):
        value = step.to(torch.float64)
        for n in range(200):  # each value is used twice: 2**200 uses if written out
            value = torch.where(step > n, value * 0.5, value + 1.0)
        return [value]

    lines = len(source_of(chain).splitlines())
    assert lines < 200 * 11  # three numbers, three operations, four lines of a condition
    assert source_of(chain) == source_of(chain)


@pytest.mark.parametrize("depth", [3, 45, 300])
def test_conditions_nest_to_any_depth(depth):
    schedule = Linear(0.0, 1.0, 3)
    for at in range(1, depth):
        schedule = schedule.then(Step(1.0 / at, 2, 0.5), at=3 * at)
    source = source_of(lambda t: [schedule.formula(t)])
    compile(source, "source", "exec")
    if depth < 100:
        steps = torch.arange(3 * depth + 5)
        np.testing.assert_array_equal(schedule.curve(0, len(steps)), schedule(steps).numpy())


# Numbers.


def test_the_near_sine_is_right_to_an_ulp():
    random.seed(0)
    xs = [
        random.random() * helpers.NEAR * 10 ** -random.choice((0, 0, 0, 1, 3, 8))
        for _ in range(20000)
    ]
    with mpmath.workprec(120):
        for x in [*xs, helpers.NEAR, 0.0, 5e-324]:
            want = mpmath.sin(mpmath.mpf(x))
            assert abs(helpers.near_sine(x) - want) <= np.spacing(float(want)), x


def test_sines_far_from_zero_are_the_c_librarys_and_blocks_do_not_matter():
    kernel = Kernel(lambda t: [torch.sin(t.to(torch.float64) * 1e-3)])
    steps = range(0, 5000)
    whole = kernel.rows(steps)[:, 0]
    np.testing.assert_array_equal(whole, [kernel.at(t)[0] for t in steps])
    far = [t for t in steps if t * 1e-3 > helpers.NEAR]
    assert [whole[t] for t in far] == [math.sin(t * 1e-3) for t in far]


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    schedule=st.sampled_from(CLASSES).flatmap(one),
    start=st.integers(0, 2**40),
    count=st.integers(0, 40),
    stride=st.integers(1, 2**30),
)
def test_a_curve_is_its_single_values(schedule, start, count, stride):
    curve = schedule.curve(start, start + count * stride, stride)
    assert curve.dtype == np.float64
    np.testing.assert_array_equal(curve, [schedule(start + i * stride) for i in range(count)])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((-1, 5), "start"), ((0, 1.5), "stop"), ((0, 5, 0), "step"), ((0, 5, -1), "step")],
)
def test_bad_ranges_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        WARM_UP_COSINE.curve(*arguments)


def test_a_curve_is_the_same_on_any_number_of_cores(monkeypatch):
    one_thread = WARM_UP_COSINE.curve(0, 2**18)
    for cores in (2, 3, 7):
        monkeypatch.setattr("accelsched.kernels._cores", lambda n=cores: n)
        np.testing.assert_array_equal(WARM_UP_COSINE.curve(0, 2**18), one_thread)


def test_many_threads_may_ask_one_schedule():
    want = [WARM_UP_COSINE(t) for t in range(100)]
    wrong = []

    def ask(seed):
        for _ in range(300):
            step = (seed * 31 + _ * 17) % 100
            if WARM_UP_COSINE(step) != want[step]:
                wrong.append(step)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# On disk.

PROGRAM = """
import math, sys, torch
from accelsched.schedules import CosineDecay, Linear
schedule = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)
print(schedule(50), "numba" in sys.modules)
"""


def start(folder, program=PROGRAM):
    environment = {**os.environ, "ACCELSCHED_CACHE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    value, numba = out.split()
    return float(value), numba == "True"


VALUE = WARM_UP_COSINE(50)


def test_a_second_process_needs_no_compiler(tmp_path):
    assert finished(start(tmp_path / "new")) == (VALUE, True)
    assert finished(start(tmp_path / "new")) == (VALUE, False)


def test_every_function_of_c_is_found_without_the_compiler(tmp_path):
    """LLVM calls address 0 for an unknown function; importing numba registers numba's own."""
    program = """
import sys, torch
sys.path.insert(0, {tests!r})
from test_aten import BOUNDED, LOGS, SMOOTH, unit
from accelsched.kernels import Kernel
names = f"{{SMOOTH}} {{LOGS}} {{BOUNDED}}".split()
dtypes = (torch.float64, torch.float32)
functions = [(getattr(torch, name), dtype) for name in names for dtype in dtypes]
def values(t):
    powers = [0.3 ** unit(t), torch.fmod(unit(t), 0.3), torch.atan2(unit(t), unit(t + 1))]
    return [*(f(unit(t, dtype)) for f, dtype in functions), *powers, 0.3 ** unit(t, dtypes[1])]
kernel = Kernel(values, [[i] for i in range(len(functions) + 4)])
print(sum(v == v for v in kernel.at(13)), "numba" in sys.modules)
"""
    program = program.format(tests=str(Path(__file__).parent))
    cold = finished(start(tmp_path, program))
    assert cold == (cold[0], True)
    assert finished(start(tmp_path, program)) == (cold[0], False)


def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path):
    assert {finished(p) for p in [start(tmp_path) for _ in range(3)]} == {(VALUE, True)}
    assert [path.suffix for path in tmp_path.iterdir()] == [".o"]
    assert finished(start(tmp_path)) == (VALUE, False)


def test_a_damaged_file_is_made_anew(tmp_path):
    finished(start(tmp_path / "whole"))
    (path,) = (tmp_path / "whole").iterdir()
    whole = path.read_bytes()
    damages = [whole[:-1], b"", whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]]
    files = [tmp_path / str(i) / path.name for i in range(len(damages))]
    for file, damaged in zip(files, damages, strict=True):
        file.parent.mkdir(mode=0o700)
        file.write_bytes(damaged)
    for process in [start(file.parent) for file in files]:
        assert finished(process) == (VALUE, True)
    assert {file.read_bytes() for file in files} == {whole}


def test_a_folder_that_cannot_be_used_costs_time_only(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert finished(start(file / "folder")) == (VALUE, True)


def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path):
    finished(start(tmp_path))
    tmp_path.chmod(0o777)
    assert finished(start(tmp_path)) == (VALUE, True)


def test_what_is_compiled_is_keyed_by_all_that_matters(monkeypatch):
    key = jit._key("source")
    assert key == jit._key("source") != jit._key("another")
    assert len(key) == len(hashlib.sha256().hexdigest())
    monkeypatch.setattr(jit, "version", lambda package: "0.0")
    assert jit._key("source") != key


def test_a_value_that_was_compiled_does_not_travel_with_the_schedule():
    import pickle

    assert "_on_host" in vars(WARM_UP_COSINE)
    for copied in (copy.copy(WARM_UP_COSINE), pickle.loads(pickle.dumps(WARM_UP_COSINE))):
        assert "_on_host" not in vars(copied)
        assert copied == WARM_UP_COSINE
        assert copied(50) == VALUE
    assert isinstance(WARM_UP_COSINE, Schedule)


# Threads and forks.


def test_what_is_compiled_or_on_disk_does_not_wait_for_a_compilation(monkeypatch, tmp_path):
    # Use an empty folder: an earlier run left the code of `new` in the tests' folder.
    monkeypatch.setenv("ACCELSCHED_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(jit, "CODES", {})
    other = Step(0.5, 7, 0.5) + Linear(0.0, 1.0, 3)
    other(3)  # now on disk
    begun, go_on, compile_it = threading.Event(), threading.Event(), jit._translated

    def slow(source):
        begun.set()
        assert go_on.wait(60)
        return compile_it(source)

    monkeypatch.setattr(jit, "_translated", slow)
    jit.CODES.pop(source_of(lambda t: [other.formula(t)]))
    values = []
    new = Lambda(1.0, (lambda t: t * 3.0 + torch.sin(t * 0.7) * 0.123,))
    compiling = threading.Thread(target=lambda: new(1))
    evaluating = threading.Thread(
        target=lambda: values.extend([WARM_UP_COSINE(50), copy.copy(other)(3)])
    )
    compiling.start()
    assert begun.wait(60)
    evaluating.start()
    evaluating.join(60)
    waits = evaluating.is_alive()
    go_on.set()
    compiling.join()
    evaluating.join()
    assert not waits
    assert values == [VALUE, 1.5]


FORK = """
import os, signal, sys, threading
from accelsched.kernels import jit
from accelsched.schedules import CosineDecay, Linear

begun, compile_it = threading.Event(), jit._translated
def signalled(source):
    begun.set()
    return compile_it(source)
jit._translated = signalled

thread = threading.Thread(target=lambda: Linear(0.0, 0.1, 20)(5))
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(100)
    good = CosineDecay(0.1, 0.0, 80)(80) == 0.0 and Linear(0.0, 0.1, 20)(10) == 0.05
    os._exit(0 if good else 1)
thread.join()
print(Linear(0.0, 0.1, 20)(10), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0)
"""


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="the platform has no fork")
def test_a_child_that_is_forked_while_a_thread_compiles_can_compile(tmp_path):
    assert finished(start(tmp_path, FORK)) == (0.05, True)
