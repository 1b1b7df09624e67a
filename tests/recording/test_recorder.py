"""A recording leaves nothing behind; its in-place writes and its errors are right."""

import gc
import linecache
import pickle

import pytest
import torch
from torch.fx.graph_module import _loader

from accelsched import Scheduler
from accelsched._recording import Untraceable, record
from accelsched._runtimes import NAMED
from accelsched._runtimes.device_graph import DeviceGraph
from accelsched.schedules import CosineDecay, Cyclic, Linear
from accelsched.schedules._from_function import from_function


def kept():
    gc.collect()
    return len(linecache.cache), len(_loader.eval_cache)


def evaluated(i):
    return Linear(0.0, 0.1 + i, 20)(i)


def on_the_device(i):
    schedule = Linear(0.0, 0.1 + i, 20)
    evaluate = NAMED["eager"].lower(lambda _: lambda t: [schedule.formula(t)], torch.device("cpu"))
    assert isinstance(evaluate, DeviceGraph)
    assert evaluate(torch.tensor(i))[0] == schedule(i)


def in_float32(i):
    runtime = type(NAMED["eager"])()
    runtime.has_float64 = False
    schedule = Linear(0.0, 0.1 + i, 20)
    runtime.lower(lambda _: lambda t: [schedule.formula(t)], torch.device("cpu"))


def bound(i):
    Scheduler(torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(0.1)), Linear(0.0, i, 20)).step()


@pytest.mark.parametrize("use", [evaluated, on_the_device, in_float32, bound])
def test_a_thousand_schedules_leave_no_source_behind(use):
    use(0)
    before = kept()
    for i in range(1000 if use is evaluated else 10):
        use(i)
    assert kept() == before


def test_a_recording_holds_the_constants_that_its_graph_reads():
    unused, used = torch.ones(3), torch.tensor(2.0)

    def function(step):
        _ = step * unused
        return [step * used]

    recording = record(function)
    assert [constant is used for constant in recording.buffers()] == [False]
    assert torch.equal(next(recording.buffers()), used)
    assert torch.fx.Interpreter(recording).run(torch.tensor(4)) == [8.0]


def test_a_graph_of_a_device_travels():
    schedule = Cyclic(0.1, 0.3, 7) + CosineDecay(1.0, 0.0, 20)
    graph = DeviceGraph(
        record(lambda t: [schedule.formula(t)]), torch.device("cpu"), NAMED["eager"].as_state
    )
    for copied in (graph, pickle.loads(pickle.dumps(graph))):
        assert copied(torch.tensor(5)) == [schedule.formula(torch.tensor(5))]


def test_an_error_names_the_line_whole_however_long_its_path_is():
    path = "/" + "a long way down/" * 40 + "module.py"
    function = eval(compile("lambda step: min(step, 5)", path, "eval"))
    with pytest.raises(Untraceable) as caught:
        record(lambda step: [function(step)])
    assert f"reads the step on the host, at {path}:1: use torch" in str(caught.value)


# In-place writes.


def at(function, step=7):
    """Return the value of a function at a step, computed by its recorded graph."""
    recording = record(lambda t: [function(t)])
    graph = DeviceGraph(recording, torch.device("cpu"), lambda tensor, _: tensor)
    return graph(torch.tensor(step))[0].item()


def twice_in_place(step):
    value = torch.div(step, 2).floor_()
    other = value.add_(1).mul_(step)
    assert other is value
    return value


@pytest.mark.parametrize(
    "function",
    [
        twice_in_place,
        lambda t: (t * 3).clamp_(max=10).sub_(t),
        lambda t: t.float().pow_(2).neg_(),
        lambda t: torch.where(t > 3, t * 1.0, t * 2.0).add_(t, alpha=2),
    ],
)
def test_what_is_written_into_a_fresh_tensor_is_recorded(function):
    assert at(function) == function(torch.tensor(7)).item()


def seen_through_a_view(step):
    value = step * 2.0
    view = value.reshape(1)
    value.add_(1)
    return view.sum()


@pytest.mark.parametrize(
    "function",
    [
        seen_through_a_view,
        lambda t: t.add_(1),
        lambda t: t[None].add_(1).sum(),
        lambda t: (t * 1.0)[None].add_(1).sum(),
        lambda t: torch.zeros(()).add_(t),
    ],
)
def test_what_somebody_else_would_see_is_not_written(function):
    with pytest.raises(Untraceable, match="changes a tensor in place"):
        at(function)


def test_an_operation_in_place_is_replaced_where_its_like_is():
    seen = []

    def floored(value):
        seen.append(value)
        return torch.ops.aten.sub.Tensor(value, 0.5)

    replaced = {torch.ops.aten.floor.default: floored}
    recording = record(lambda t: [torch.div(t, 2).floor_()], replaced)
    graph = DeviceGraph(recording, torch.device("cpu"), lambda tensor, _: tensor)
    assert graph(torch.tensor(7))[0].item() == 3.0
    assert len(seen) == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t * {3: 0.5}.get(t, 1.0),
        lambda t: t * 1.0 if t in {3, 7} else t * 2.0,
    ],
)
def test_a_step_is_not_looked_up_in_a_dict(function):
    """The keys are integers, so a recorded step would match none."""
    with pytest.raises(Untraceable, match="looked up in a dict or a set, at .*test_recorder.py:"):
        at(function)
    schedule = from_function(lambda step: function(step) / 100, 20)
    assert [schedule(t) for t in (3, 7)] == [function(3) / 100, function(7) / 100]
