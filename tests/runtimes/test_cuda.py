"""In a CUDA graph, each replay advances the step counter. These tests need a GPU."""

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
    # A replay runs no Python, so the result is a copy of the tensor.
    assert isinstance(scheduler.get_last_lr()[0], torch.Tensor)


def test_a_captured_step_by_tokens_and_one_that_is_left_out():
    optimizer = torch.optim.AdamW([torch.ones(4, device="cuda")], lr=0.1, capturable=True)
    scheduler = Scheduler(optimizer, CosineDecay(0.1, 0.0, 10**13))
    tokens = torch.tensor(1, device="cuda")
    found = torch.tensor(0.0, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        scheduler.step(by=tokens, found_inf=found)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        scheduler.step(by=tokens, found_inf=found)
    step = 1
    for count, flag in ((4_194_304, 0.0), (10**12, 0.0), (7, 1.0), (0, 0.0), (10**12, 0.0)):
        tokens.fill_(count)
        found.fill_(flag)
        graph.replay()
        step += 0 if flag else count
        assert scheduler.last_epoch == step
        want = reference.value(scheduler.schedule, step)
        assert optimizer.param_groups[0]["lr"].item() == pytest.approx(want, rel=2**-23)


@pytest.mark.parametrize("lowering", ["graph", "segments"])
def test_a_captured_graph_goes_on_with_other_numbers(lowering):
    optimizer = torch.optim.AdamW([torch.ones(4, device="cuda")], lr=0.1, capturable=True)
    schedule = Linear(0.0, 0.1, 5).then(CosineDecay(0.1, 0.01, 20), at=5)
    scheduler = Scheduler(optimizer, schedule, lowering=lowering, open_ended=True)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        scheduler.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        scheduler.step()
    saved = scheduler.state_dict()
    others = Linear(0.0, 0.3, 7).then(CosineDecay(0.3, 0.02, 40), at=7)
    for change in (
        lambda: scheduler.reschedule([others]),
        lambda: scheduler.extend(90),
        lambda: scheduler.begin_decay(10, 0.001, "cosine"),
        lambda: scheduler.load_state_dict(saved),
    ):
        change()
        for _ in range(3):
            graph.replay()
        (driven,) = scheduler.in_force
        want = reference.value(driven, scheduler.last_epoch)
        assert optimizer.param_groups[0]["lr"].item() == pytest.approx(want, rel=2**-23)


# PyTorch warns that the debug mode is a prototype.
@pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")
def test_nothing_in_a_step_waits_for_the_device():
    optimizer = torch.optim.AdamW([torch.ones(4, device="cuda")], lr=0.1, capturable=True)
    scheduler = Scheduler(optimizer, CosineDecay(0.1, 0.0, 20))
    tokens, found = torch.tensor(2, device="cuda"), torch.tensor(0.0, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for count in range(1, 6):
            scheduler.step()
            assert scheduler.last_epoch == count
            assert type(scheduler.get_last_lr()[0]) is float
        scheduler.step(by=3)
        scheduler.step(found_inf=True)
        assert scheduler.state_dict()["last_epoch"] == 8
        scheduler.step(by=tokens, found_inf=found)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert scheduler.last_epoch == 10


def trained(steps, device, captured, foreach, **options):
    """Return weights, two with gradients of 0, after steps through a learning rate of 0."""
    weight = torch.nn.Parameter(torch.ones(4, device=device))
    weight.grad = torch.tensor([1.0, 2.0, 0.0, 0.0], device=device)
    optimizer = torch.optim.AdamW([weight], lr=0.1, foreach=foreach, **options)
    scheduler = Scheduler(optimizer, Linear(0.0, 0.1, 5).then(Linear(0.1, 0.0, 5), at=5))

    def step():
        optimizer.step()
        scheduler.step()

    if not captured:
        for _ in range(steps):
            step()
        return weight.detach().cpu()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    for _ in range(steps - 1):
        graph.replay()
    return weight.detach().cpu()


@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("foreach", [False, True])
def test_a_learning_rate_of_0_makes_no_nan(captured, foreach):
    """PyTorch issues 126514 and 97004."""
    weights = trained(13, "cuda", captured, foreach, capturable=True)
    floats = trained(13, "cpu", False, False)
    # 13 steps with at most 8 roundings each, of weights near 1.
    assert (weights - floats).abs().max() <= 13 * 8 * 2.0**-24


def test_a_tensor_that_was_replaced_is_back_after_a_step():
    optimizer = torch.optim.AdamW([torch.ones(4, device="cuda")], lr=0.1, capturable=True)
    scheduler = Scheduler(optimizer, Linear(0.0, 1.0, 10))
    tensor = optimizer.param_groups[0]["lr"]
    optimizer.param_groups[0]["lr"] = 0.05
    with pytest.warns(UserWarning, match="the scheduled tensor is back"):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] is tensor
    assert tensor.item() == pytest.approx(0.1)


def test_a_model_that_moves_after_the_construction_is_followed():
    parameter = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, capturable=True)
    scheduler = Scheduler(optimizer, Linear(0.0, 1.0, 10))
    assert optimizer.param_groups[0]["lr"] == 0.0
    parameter.data = parameter.data.cuda()
    scheduler.step()
    rate = optimizer.param_groups[0]["lr"]
    assert rate.device.type == "cuda"
    assert rate.item() == pytest.approx(0.1)
