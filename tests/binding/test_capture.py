"""`capture`: its arguments, its outputs, its refusals, and what it leaves unchanged."""

import gc
import weakref

import pytest
import torch
from emulated_graphs import EmulatedGraph, capturable_on_the_cpu, emulated_graphs  # noqa: F401

from accelsched import ArgumentError, Captured, Scheduler, capture
from accelsched._binding.ownership import ownership_of
from accelsched.schedules import CosineDecay


@pytest.fixture
def total(emulated_graphs):
    """What `add` adds to."""
    return torch.zeros(3)


def adder(total):
    def add(x, y=None):
        total.add_(x if y is None else x * y)
        return {"now": total.clone(), "calls": 1}

    return add


def test_a_step_without_inputs(total):
    def count():
        total.add_(1)

    captured = capture(count)
    assert isinstance(captured, Captured) and captured.steps is None and captured.inputs == []
    assert total.tolist() == [3.0] * 3
    assert captured.replay() is None
    assert total.tolist() == [4.0] * 3
    captured = capture(count, steps=4, warmup=0)
    assert captured.replay() == [None] * 4
    assert total.tolist() == [8.0] * 3


def test_one_step_and_one_in_a_list(total):
    one = capture(adder(total), torch.ones(3), warmup=0)
    assert one.replay(torch.full((3,), 2.0))["now"].tolist() == [2.0] * 3
    assert one.outputs["calls"] == 1
    stacked = capture(adder(total), torch.ones(1, 3), steps=1, warmup=0)
    (output,) = stacked.replay(torch.full((1, 3), 5.0))
    assert output["now"].tolist() == [7.0] * 3


def test_each_step_has_its_slice_of_each_input(total):
    captured = capture(adder(total), torch.ones(4, 3), torch.ones(4), steps=4, warmup=0)
    x, y = torch.arange(12.0).reshape(4, 3), torch.tensor([1.0, 10.0, 100.0, 1000.0])
    outputs = captured.replay(x, y)
    sums = (x * y[:, None]).cumsum(0)
    assert [output["now"].tolist() for output in outputs] == sums.tolist()


def test_the_warm_up_takes_the_slices_by_turns(total):
    capture(adder(total), torch.tensor([[1.0] * 3, [10.0] * 3]), steps=2, warmup=5)
    assert total.tolist() == [23.0] * 3


def test_the_examples_are_left_alone(total):
    example = torch.ones(3)
    captured = capture(adder(total), example, warmup=0)
    captured.replay(torch.full((3,), 2.0))
    assert example.tolist() == [1.0] * 3


def test_outputs_hold_on_to_no_autograd_graph(total):
    weight = torch.ones(3, requires_grad=True)
    captured = capture(lambda x: [(weight * x).sum()], torch.ones(3), steps=None)
    (loss,) = captured.replay(torch.full((3,), 2.0))
    assert loss.item() == 6.0 and not loss.requires_grad


BAD_INPUTS = [
    ((torch.ones(2, 3),), r"inputs=1: give 2 tensors, or none"),
    ((torch.ones(2, 4), torch.ones(2)), r"inputs\[0\]=float32\[2, 4\] on cpu: the graph reads"),
    ((torch.ones(2, 3), 1.0), r"inputs\[1\]=1.0: the graph reads float32\[2\] on cpu"),
    ((torch.ones(2, 3), torch.ones(2).long()), r"inputs\[1\]=int64\[2\] on cpu: .* float32\[2\]"),
]


@pytest.mark.parametrize(("inputs", "message"), BAD_INPUTS)
def test_inputs_that_do_not_fit_are_refused_before_anything_changes(total, inputs, message):
    captured = capture(adder(total), torch.ones(2, 3), torch.ones(2), steps=2, warmup=0)
    before = [held.clone() for held in captured.inputs]
    with pytest.raises(ArgumentError, match=message):
        captured.replay(*inputs)
    assert all(map(torch.equal, captured.inputs, before)) and total.tolist() == [0.0] * 3


BAD_ARGUMENTS = [
    ((torch.ones(3),), {"steps": 0}, "steps=0: give 1 or more"),
    ((torch.ones(3),), {"steps": 2.0}, "steps=2.0: give 1 or more"),
    ((torch.ones(3),), {"warmup": -1}, "warmup=-1: give 0 or more"),
    ((torch.ones(3),), {"steps": 2}, r"examples\[0\]=float32\[3\] on cpu: give the inputs of 2"),
    ((1.0,), {}, r"examples\[0\]=1.0: give a tensor on the current CUDA device"),
]


@pytest.mark.parametrize(("examples", "options", "message"), BAD_ARGUMENTS)
def test_arguments_that_cannot_be_are_refused_before_a_step(total, examples, options, message):
    with pytest.raises(ArgumentError, match=message):
        capture(adder(total), *examples, **options)
    assert total.tolist() == [0.0] * 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so():
    with pytest.raises(ArgumentError, match="no CUDA device to capture it on: call step itself"):
        capture(lambda: None)


def test_an_example_on_the_cpu_is_refused(total, monkeypatch):
    from accelsched._binding import capture as module

    monkeypatch.setattr(module, "_is_on_cuda", lambda tensor: tensor.is_cuda)
    with pytest.raises(ArgumentError, match=r"examples\[0\]=float32\[3\] on cpu: give a tensor on"):
        capture(adder(total), torch.ones(3))


@pytest.mark.parametrize("was_enabled", [True, False])
def test_garbage_is_collected_before_a_capture_and_not_within(total, was_enabled):
    seen = []

    def step():
        seen.append((EmulatedGraph.recording is not None, gc.isenabled()))
        if seen[-1][0]:
            raise RuntimeError("the step failed")

    if not was_enabled:
        gc.disable()
    try:
        with pytest.raises(RuntimeError, match="the step failed"):
            capture(step, warmup=1)
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
    assert seen == [(False, was_enabled), (True, False)]


def test_the_graph_keeps_alive_what_it_works_on(total):
    """A graph stores only addresses."""
    weight = torch.nn.Linear(3, 1)
    kept = weakref.ref(weight)
    captured = capture(lambda x, weight=weight: weight(x), torch.ones(3))
    captured.graph.calls.clear()  # which a real graph does not have
    del weight
    gc.collect()
    assert kept() is not None
    del captured
    gc.collect()
    assert kept() is None


def test_a_float_is_refused_in_the_first_step_before_a_weight_has_changed(emulated_graphs):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = Scheduler(optimizer, CosineDecay(0.1, 0.01, 20), lowering="host")
    # As it is done for parameters on CUDA.
    ownership_of(optimizer)._guard_captures(optimizer)

    def step():
        weight.grad = torch.ones(3)
        optimizer.step()
        scheduler.step()

    with pytest.raises(ArgumentError, match="lr=0.1: Python writes it, and no replay runs Python"):
        capture(step)
    assert weight.tolist() == [1.0] * 3 and scheduler.last_epoch == 0
    step()
    assert scheduler.last_epoch == 1


def test_a_read_is_an_error(total):
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        capture(lambda: total.sum().item())


def test_a_number_of_python_is_frozen(total):
    """PyTorch's own behavior, which the emulated graphs must match."""
    factor = [1.0]
    captured = capture(lambda: total.add_(factor[0]), warmup=0)
    factor[0] = 100.0
    captured.replay()
    assert total.tolist() == [1.0] * 3
