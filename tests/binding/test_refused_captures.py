"""A scheduled value that a CUDA graph would freeze is refused while it is captured."""

import pytest
import torch
from fake_cuda import FusedKernels, capture_under_way, fake_cuda, parameters  # noqa: F401

import accelsched
from accelsched import ArgumentError, Scheduler, lr_scheduler, on_device
from accelsched._runtimes.captures import is_for_a_graph, rehearsal
from accelsched.schedules import CosineDecay

pytestmark = pytest.mark.filterwarnings("ignore::accelsched.SynchronizationWarning")
CURVE = CosineDecay(0.1, 0.01, 20)


def sgd(**options):
    return torch.optim.SGD(parameters(), lr=0.1, **options)


def refused(function, *texts):
    with pytest.raises(ArgumentError) as caught:
        function()
    message = str(caught.value)
    assert all(text in message for text in texts), message
    return message


SCHEDULERS = {
    "of a schedule": lambda optimizer: Scheduler(optimizer, CURVE, lowering="host"),
    "of two groups": lambda optimizer: Scheduler(optimizer, [CURVE, CURVE], lowering="host"),
    "of a metric": lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, lowering="host"),
}


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_step_in_python_is_refused_while_a_graph_is_captured(capture_under_way, kind):
    optimizer = torch.optim.SGD([{"params": [p]} for p in parameters()], lr=0.1)
    if "two" not in kind:
        optimizer = sgd()
    scheduler = SCHEDULERS[kind](optimizer)
    metric = (1.0,) if "metric" in kind else ()
    scheduler.step(*metric)
    before = optimizer.param_groups[0]["lr"]
    capture_under_way(True)
    refused(
        lambda: scheduler.step(*metric),
        f"lr={before}: Python writes it, and no replay runs Python: give the scheduler",
        "lowering='graph', and build it with fused=True",
    )
    assert optimizer.param_groups[0]["lr"] == before and scheduler.last_epoch == 1
    capture_under_way(False)
    scheduler.step(*metric)
    assert scheduler.last_epoch == 2


@pytest.mark.parametrize("move", [{"by": 2}, {"found_inf": 0.0}, {"epoch": 7}])
def test_every_way_to_step_is_refused(capture_under_way, move):
    scheduler = Scheduler(sgd(), CURVE, lowering="host")
    capture_under_way(True)
    refused(lambda: scheduler.step(**move), "no replay runs Python")
    assert scheduler.last_epoch == 0


def test_the_step_of_the_optimizer_is_refused_where_the_scheduler_steps_outside(capture_under_way):
    optimizer = torch.optim.AdamW(parameters(), lr=0.1, weight_decay=0.2)
    scheduler = Scheduler(optimizer, CURVE, "weight_decay", lowering="host")
    optimizer.step()
    capture_under_way(True)
    message = refused(optimizer.step, "weight_decay=0.1: Python writes it", "within accelsched.on")
    assert "build AdamW with capturable=True, and give the scheduler lowering='graph'" in message
    del scheduler


def test_a_float_that_nothing_schedules_may_freeze(capture_under_way):
    optimizer = sgd(weight_decay=0.1)
    scheduler = Scheduler(optimizer, CURVE, lowering="graph")
    capture_under_way(True)
    with on_device():
        optimizer.step()
    scheduler.step()


def test_a_scheduler_that_is_gone_refuses_nothing(capture_under_way):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, CURVE, lowering="host")
    del scheduler
    capture_under_way(True)
    optimizer.step()


def test_a_tensor_that_the_optimizer_would_read_is_refused(capture_under_way):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, CURVE, lowering="graph")
    capture_under_way(True)
    refused(optimizer.step, "lr=tensor in param_groups[0]: SGD would read it", "fused=True")
    with on_device():
        optimizer.step()
    accelsched.update(optimizer, scheduler)()


FUSED = [
    ("SGD", "momentum", {"momentum": 0.9}),
    ("Adam", "betas[0]", {"capturable": True}),
    ("AdamW", "betas[1]", {"capturable": True}),
]


@pytest.mark.parametrize(("name", "key", "options"), FUSED)
def test_a_fused_kernel_takes_most_values_as_numbers(capture_under_way, name, key, options):
    optimizer = getattr(torch.optim, name)(parameters(), lr=0.1, fused=True, **options)
    scheduler = Scheduler(optimizer, CosineDecay(0.9, 0.5, 9), key, lowering="graph")
    capture_under_way(True)
    with on_device():
        text = f"{key}=tensor in param_groups[0]: {name} would read it, which a capture forbids: "
        refused(optimizer.step, text, "build it without fused=True")
    del scheduler


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_fused_kernel_is_given_the_rate_as_a_tensor_and_no_decay(capture_under_way, name):
    options = {} if name == "SGD" else {"capturable": True}
    optimizer = getattr(torch.optim, name)(parameters(), lr=0.1, fused=True, **options)
    rate = Scheduler(optimizer, CURVE, lowering="graph")
    decay = Scheduler(optimizer, CURVE, "weight_decay", lowering="graph")
    capture_under_way(True)
    refused(optimizer.step, "weight_decay=tensor in param_groups[0]", "on_device()")
    with on_device(), FusedKernels() as kernels:
        optimizer.step()
    (given,) = kernels.given
    assert isinstance(given["lr"], torch.Tensor) and given["weight_decay"] == 0.0
    del rate, decay


def test_only_parameters_on_cuda_are_watched(fake_cuda):
    assert len(sgd()._optimizer_step_pre_hooks) == 0
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1, device="cpu"))], lr=0.1)
    scheduler = Scheduler(optimizer, CURVE)
    assert not optimizer._optimizer_step_pre_hooks
    scheduler.step()
    assert not scheduler._needs_attention
    watched = sgd()
    first, second = Scheduler(watched, CURVE), Scheduler(watched, CURVE, "weight_decay")
    assert len(watched._optimizer_step_pre_hooks) == 1
    del first, second


def test_a_rehearsal_refuses_what_its_capture_would():
    assert not is_for_a_graph()
    with rehearsal(), rehearsal():
        assert is_for_a_graph()
    assert not is_for_a_graph()


def test_an_update_takes_the_guard_for_no_hook_and_others_for_hooks(capture_under_way):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, CURVE, lowering="graph")
    accelsched.update(optimizer, scheduler)
    optimizer.register_step_pre_hook(lambda *_: None)
    refused(lambda: accelsched.update(optimizer, scheduler), "its step hooks would not run")


def test_a_compiled_step_is_as_many_graphs_with_the_guard():
    from torch._dynamo.utils import counters

    from accelsched._binding.ownership import CaptureGuard, ownership_of

    def counted(is_guarded):
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.SGD([weight], lr=torch.tensor(0.1))
        if is_guarded:
            optimizer.register_step_pre_hook(CaptureGuard(ownership_of(optimizer)))
        torch._dynamo.reset()
        counters.clear()

        @torch.compile(backend="eager")
        def step():
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()

        for _ in range(3):
            step()
        return counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())

    (graphs, breaks), (before, breaks_before) = counted(True), counted(False)
    assert graphs == before and breaks <= breaks_before
