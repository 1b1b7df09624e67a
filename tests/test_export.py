"""Exported programs, run and read."""

import importlib.util
import re

import pytest
import torch
from binding import EVERY, optimizer
from parity import agrees, leaves_of

from accelsched import export, reference
from accelsched.errors import ArgumentError
from accelsched.schedules import CosineDecay, Linear

SCHEDULE = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.001, 80), at=20)


# torch 2.4 warns of what its own export does with a constant.
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
@pytest.mark.filterwarnings("ignore:Node lifted_tensor")
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


@pytest.mark.parametrize("runtime", ["xla"])
def test_the_value_is_computed_from_the_counter_in_stablehlo(runtime):
    if importlib.util.find_spec("torch_xla") is None:
        pytest.skip("torch_xla, which writes StableHLO, is not installed")
    text = export.stablehlo(SCHEDULE)
    assert re.search(r"@main\(%arg0: tensor<i64>.*\) -> \(tensor<i64>.*tensor<f64>", text)
    defined = dict(re.findall(r"(%\w+) = (.*)", text))
    pending = re.findall(r"%\w+", re.search(r"return (.*) :", text)[1])
    assert len(pending) == 2
    for output in pending:
        seen, todo = set(), [output]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += re.findall(r"%\w+", defined.get(name, ""))
        assert "%arg0" in seen
