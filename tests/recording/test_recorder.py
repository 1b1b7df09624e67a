"""What a recording leaves behind: nothing that lives longer than itself."""

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
    assert f"reads a number of the step on the host, at {path}:1: write it" in str(caught.value)
