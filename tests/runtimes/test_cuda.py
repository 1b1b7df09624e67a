"""CUDA graphs: the counter advances inside of the graph. Not run where there is no GPU."""

import pytest
import torch

from accelsched import Scheduler, reference
from accelsched.schedules import CosineDecay, Linear

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU here: CUDA graphs were not captured or replayed"
)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_capture_and_replay(name):
    schedule = Linear(0.0, 0.1, 5).then(CosineDecay(0.1, 0.01, 20), at=5)
    weights = [torch.nn.Parameter(torch.ones(4, device="cuda")) for _ in range(2)]
    options = {"capturable": True} if name == "AdamW" else {"fused": True}
    optimizer = getattr(torch.optim, name)(weights, lr=torch.tensor(0.1, device="cuda"), **options)
    scheduler = Scheduler(optimizer, schedule)
    for weight in weights:
        weight.grad = torch.ones_like(weight)

    def step():
        optimizer.step()
        scheduler.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    # Capturing runs nothing: the graph holds the step after the warm-up.
    for count in range(3, 30):
        assert scheduler.last_epoch == count
        rate = optimizer.param_groups[0]["lr"].item()
        assert rate == pytest.approx(reference.value(schedule, count), rel=2**-23)
        graph.replay()
    scheduler.last_epoch = 2
    graph.replay()
    assert scheduler.last_epoch == 3


def test_nothing_in_a_step_waits_for_the_device():
    optimizer = torch.optim.AdamW([torch.ones(4, device="cuda")], lr=0.1, capturable=True)
    scheduler = Scheduler(optimizer, CosineDecay(0.1, 0.0, 20))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            scheduler.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
