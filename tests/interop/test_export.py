"""Exported programs, run and read."""

import re

import numpy as np
import pytest
import torch
from binding import EVERY, optimizer
from parity import agrees, leaves_of

from accelsched import Scheduler, export, reference
from accelsched.errors import ArgumentError
from accelsched.schedules import CosineDecay, Linear

SCHEDULE = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.001, 80), at=20)


# torch 2.4 warns about how its own export handles constants.
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
@pytest.mark.filterwarnings("ignore:Node l(ifted_tensor|__self__)")
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_an_exported_program_counts_and_has_the_values_of_the_reference(make):
    scheduler = make(optimizer({"adjust_learning_rate": 0.5}, {}))
    step = export.program(scheduler).module()
    counter = torch.tensor(0)
    for count in range(120):
        after, *values = step(counter)
        assert (after.dtype, after.item(), counter.item()) == (torch.int64, count + 1, count)
        for value, schedule in zip(values, scheduler.schedules, strict=True):
            want = reference.value(schedule, count)
            assert agrees(value.item(), want, leaves_of(schedule)), count
        counter = after


def test_what_cannot_be_exported_is_refused():
    with pytest.raises(ArgumentError, match="source"):
        export.program(0.1)


def in_jax(text):
    """Return a function of the counter that runs a StableHLO text in JAX."""
    import jax
    from jax._src.lib import xla_client

    client = jax.devices("cpu")[0].client
    devices = xla_client.DeviceList(tuple(client.local_devices()[:1]))
    program = client.compile_and_load(text, devices, xla_client.CompileOptions())

    def run(counter):
        with jax.enable_x64(True):
            outputs = program.execute_sharded([jax.device_put(np.int64(counter))])
            parts = outputs.disassemble_into_single_device_arrays()
            return [np.asarray(part[0]).item() for part in parts]

    return run


@pytest.mark.parametrize("runtime", ["xla"])
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_the_text_in_stablehlo_is_all_that_jax_needs(runtime, make):
    pytest.importorskip("torch_xla", reason="torch_xla, which writes it, is not installed")
    scheduler = make(optimizer({"adjust_learning_rate": 0.5}, {}))
    step = in_jax(export.stablehlo(scheduler))
    for count in (0, 1, 19, 20, 21, 50, 99, 1000):
        after, *values = step(count)
        assert after == count + 1
        for value, schedule in zip(values, scheduler.schedules, strict=True):
            # Agreement to this many digits shows that it is in float64.
            assert agrees(value, reference.value(schedule, count), leaves_of(schedule)), count


@pytest.mark.parametrize("runtime", ["xla"])
def test_groups_that_differ_in_numbers_are_one_evaluation(runtime):
    pytest.importorskip("torch_xla", reason="torch_xla, which writes it, is not installed")

    def operations(groups):
        scheduler = Scheduler(
            optimizer(*({} for _ in range(groups))), [SCHEDULE * (i + 1) for i in range(groups)]
        )
        text = export.stablehlo(scheduler)
        return len(re.findall(r" = \"?stablehlo\.(?!constant)", text))

    # Each group adds one slice and one reshape, which extract its value.
    assert operations(20) - operations(10) == 20
