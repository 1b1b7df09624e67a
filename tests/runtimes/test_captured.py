"""Whole training steps in CUDA graphs: on a GPU where there is one, and emulated everywhere.

`make test-cuda` runs it on a GPU.
"""

import contextlib

import pytest
import torch
from captured_training import CURVES, STEPS, Case, Training, floats_of, rounding
from emulated_graphs import capturable_on_the_cpu, emulated_graphs  # noqa: F401

import accelsched
from accelsched import reference
from accelsched.schedules import CosineDecay, Linear

FOREACH = {"foreach": True}
CAPTURABLE = {"foreach": True, "capturable": True}
SINGLE = {"foreach": False, "capturable": True}
FUSED = {"fused": True, "capturable": True}
MOMENTUM = {"momentum": 0.5}
CASES = [
    Case("SGD", FOREACH),
    Case("SGD", {"foreach": False, **MOMENTUM}, ("lr", "weight_decay", "momentum")),
    Case("SGD", {**FOREACH, **MOMENTUM}, ("lr", "weight_decay", "momentum")),
    Case("SGD", {"fused": True, **MOMENTUM}, ("lr", "weight_decay")),
    Case("Adam", SINGLE),
    Case("Adam", CAPTURABLE, ("lr", "weight_decay", "betas[0]")),
    Case("Adam", FUSED, ("lr", "weight_decay")),
    Case("AdamW", SINGLE, ("lr", "weight_decay")),
    Case("AdamW", CAPTURABLE, ("lr", "weight_decay", "betas[0]")),
    Case("AdamW", FUSED, ("lr", "weight_decay")),
    Case("Adagrad", FOREACH),
    Case("RMSprop", CAPTURABLE, ("lr", "weight_decay")),
]
RATE_ALONE = Case("AdamW", CAPTURABLE)
#: Before PyTorch 2.6, betas cannot be tensors.
OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6)


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cpu" and "is_captured" not in request.fixturenames:
        request.getfixturevalue("emulated_graphs")
    elif request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here: CUDA graphs were emulated only")
    return request.param


@contextlib.contextmanager
def no_synchronization(device):
    """Make a read of the device raise an error."""
    if device == "cpu":  # the emulated capture refuses reads
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


# PyTorch warns that the debug mode is a prototype and that the profiler keeps one cycle.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Profiler clears events:UserWarning"),
]


def rate_at(step, curve=CURVES["lr"]):
    return pytest.approx(reference.value(curve, step), rel=2**-23, abs=2**-113)


# The same weights as with floats.


@pytest.mark.parametrize("mode", ["eager", "captured", "ten a graph"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_are_those_of_eager_steps_with_floats(device, case, mode):
    if OLD and "betas[0]" in case.keys:
        pytest.skip("PyTorch takes betas as tensors from 2.6 on")
    if device == "cpu" and case.optimizer == "Adagrad" and mode != "eager":
        pytest.skip("it keeps its step on the CPU and reads it there, which only CUDA lets it do")
    training = Training(case, device)
    training.train(mode)
    assert training.rate.last_epoch == STEPS
    expected = floats_of(case, device)
    assert (training.result() - expected).abs().max() <= rounding(case, expected)


def test_a_wrong_rate_would_be_noticed(device):
    case = Case("SGD", FOREACH)
    training = Training(case, device)
    training.rate.schedule = training.rate.schedule * 1.1
    training.train("ten a graph")
    expected = floats_of(case, device)
    assert (training.result() - expected).abs().max() > 4 * rounding(case, expected)


@pytest.mark.parametrize("mode", ["eager", "captured", "ten a graph"])
def test_a_weight_without_a_gradient_stays_at_a_rate_of_0(device, mode):
    """PyTorch issues 126514 and 97004: 0 / 0."""
    training = Training(Case("AdamW", {**SINGLE, "weight_decay": 0.0}), device)
    before = training.idle.detach().clone()
    training.train(mode)
    assert torch.equal(training.idle, before)


@pytest.mark.parametrize("case", [RATE_ALONE, CASES[3], CASES[9]], ids=str)
def test_nothing_in_a_step_waits_for_the_device(device, case):
    training = Training(case, device)
    training.eager(training.batches[:3])
    with no_synchronization(device):
        training.eager(training.batches[3:6])
    graph = accelsched.capture(training.step, training.batches[:10], steps=10, warmup=0)
    with no_synchronization(device):
        graph.replay(training.batches[6:16])
    assert training.rate.last_epoch == 16


# The contents of a graph.


def test_ten_steps_in_a_graph_have_ten_rates(device):
    training = Training(RATE_ALONE, device)
    graph = training.captured(10)
    for first in (3, 13):
        outputs = graph.replay(training.batches[first : first + 10])
        assert len(outputs) == graph.steps == 10
        rates = [rate.item() for _, rate in outputs]
        assert len(set(rates)) == 10
        for step, rate in enumerate(rates, first + 1):
            assert rate == rate_at(step)
        losses = [loss.item() for loss, _ in outputs]
        assert len(set(losses)) == 10


def nodes_of(graph, device):
    """Return the number of operations (CPU) or kernels (GPU) in a replay."""
    if device == "cpu":
        return len(graph.graph.calls)
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        graph.graph.replay()
        torch.cuda.synchronize()
    return sum(event.count for event in profiled.key_averages() if "CUDA" in str(event.device_type))


def test_a_graph_of_ten_steps_has_ten_times_the_nodes_of_one(device):
    one = nodes_of(Training(RATE_ALONE, device).captured(), device)
    ten = nodes_of(Training(RATE_ALONE, device).captured(10), device)
    # A graph of one step reads the whole input without a copy.
    assert 9 * one <= ten <= 10 * (one + 4)


def test_the_schedule_adds_few_nodes_to_a_graph(device):
    training = Training(RATE_ALONE, device)
    step = accelsched.capture(training.rate.step)
    # The formula of a warm-up and a cosine takes 35 kernels on an H100.
    assert nodes_of(step, device) <= 40


def test_outputs_of_a_replay_are_overwritten_by_the_next(device):
    training = Training(RATE_ALONE, device)
    graph = training.captured()
    loss, rate = graph.replay(training.batches[3])
    kept = loss.clone(), rate.clone()
    again = graph.replay(training.batches[4])
    assert again[0] is loss and again[1] is rate
    assert loss.item() != kept[0].item() and rate.item() != kept[1].item()
    assert not loss.requires_grad


def test_a_replay_without_inputs_takes_those_before(device):
    training = Training(RATE_ALONE, device)
    graph = training.captured()
    graph.replay(training.batches[3])
    assert torch.equal(graph.inputs[0], training.batches[3])
    graph.replay()
    assert training.rate.last_epoch == 5
    graph.inputs[0].copy_(training.batches[7])
    graph.replay()
    assert torch.equal(graph.inputs[0], training.batches[7])


def test_inputs_come_from_the_host_too(device):
    one, other = Training(RATE_ALONE, device), Training(RATE_ALONE, device)
    one.captured().replay(one.batches[3])
    other.captured().replay(other.batches[3].cpu())
    assert torch.equal(one.result(), other.result())


# What changes between two replays.


def replayed(training, graph, count=3):
    for _ in range(count):
        graph.replay()
    return training.optimizer.param_groups[0]["lr"].item()


def test_numbers_that_change_count_in_the_next_replay(device):
    training = Training(RATE_ALONE, device, open_ended=True)
    graph, rate = training.captured(), training.rate
    saved = rate.state_dict()
    others = Linear(0.0, 0.3, 7).then(CosineDecay(0.3, 0.02, 40), at=7)
    for change in (
        lambda: rate.begin_decay(10, 0.001, "cosine"),
        lambda: rate.end_decay(),
        lambda: rate.extend(90),
        lambda: rate.reschedule([others]),
        lambda: setattr(rate, "last_epoch", 20),
        lambda: rate.load_state_dict(saved),
    ):
        change()
        held = replayed(training, graph)
        assert held == rate_at(rate.last_epoch, rate.in_force[0])
    assert rate.last_epoch == 6


def test_a_decay_begins_in_the_middle_of_ten_steps_a_graph(device):
    training = Training(RATE_ALONE, device, open_ended=True)
    graph = training.captured(10)
    graph.replay()
    begins_at = training.rate.value_at(13)[0]
    training.rate.begin_decay(total_iters=5, end=0.001)
    rates = [rate.item() for _, rate in graph.replay()]
    line = [begins_at + (0.001 - begins_at) * min(i, 5) / 5 for i in range(1, 11)]
    assert rates == pytest.approx(line, rel=2**-22)


def test_a_step_that_a_scaler_leaves_out_does_not_count(device):
    training = Training(RATE_ALONE, device)
    found, tokens = torch.zeros((), device=device), torch.ones((), device=device, dtype=torch.int64)
    graph = accelsched.capture(lambda: training.rate.step(by=tokens, found_inf=found))
    step = 3
    for flag, count in ((0.0, 1), (1.0, 1), (0.0, 4), (1.0, 5), (0.0, 0), (0.0, 2)):
        found.fill_(flag)
        tokens.fill_(count)
        graph.replay()
        step += 0 if flag else count
        assert training.rate.last_epoch == step
        assert training.optimizer.param_groups[0]["lr"].item() == rate_at(step)


@pytest.mark.parametrize("steps", [None, 10])
def test_a_run_that_resumes_from_a_checkpoint_goes_on_as_it_was(device, steps):
    """The states are loaded first; three steps run eagerly or as warm-up before the capture."""
    case = Case("AdamW", CAPTURABLE, ("lr", "weight_decay"))
    whole = Training(case, device)
    whole.train("eager")
    first = Training(case, device)
    first.eager(first.batches[:10])
    weights = [weight.detach().clone() for weight in first.weights]
    states = [first.optimizer.state_dict(), *(s.state_dict() for s in first.schedulers)]
    again = Training(case, device)
    with torch.no_grad():
        for weight, saved in zip(again.weights, weights, strict=True):
            weight.copy_(saved)
    again.optimizer.load_state_dict(states[0])
    for scheduler, state in zip(again.schedulers, states[1:], strict=True):
        scheduler.load_state_dict(state)
    batches = again.batches[10:]
    if steps is None:
        again.eager(batches[:2])
        graph = accelsched.capture(again.step, batches[2], warmup=1)
        for batch in batches[3:]:
            graph.replay(batch)
    else:
        accelsched.capture(again.step, batches[:10], steps=10).replay(batches[3:])
    assert again.rate.last_epoch == STEPS
    expected = whole.result()
    assert (again.result() - expected).abs().max() <= rounding(case, expected)


# Compiled.


def compiled(training, backend):
    """Compile the optimizer's and the schedulers' steps as one graph."""
    step = accelsched.update(training.optimizer, *training.schedulers)
    return torch.compile(step, fullgraph=True, backend=backend)


@pytest.mark.usefixtures("capturable_on_the_cpu")
@pytest.mark.parametrize("case", [RATE_ALONE, CASES[0]], ids=str)
@pytest.mark.parametrize("is_captured", [False, True], ids=["compiled", "compiled and captured"])
def test_a_compiled_update(device, case, is_captured):
    if is_captured and device == "cpu":
        pytest.skip("its kernels are no ATen operations: only a GPU captures them")
    training = Training(case, device)
    update = compiled(training, "inductor" if device == "cuda" else "eager")

    def step(batch):
        training.optimizer.zero_grad()
        out = torch.tanh(batch @ training.first) @ training.last
        (out.square().mean() + 0 * training.idle.sum()).backward()
        update()

    if is_captured:
        graph = accelsched.capture(step, training.batches[:10], steps=10)
        for i in range(3, STEPS, 10):
            graph.replay(training.batches[i : i + 10])
    else:
        for batch in training.batches:
            step(batch)
    expected = floats_of(case, device)
    assert (training.result() - expected).abs().max() <= rounding(case, expected)


# A gradient scaler.


def test_a_fused_step_under_a_gradient_scaler(device):
    case = Case("AdamW", FUSED, ("lr", "weight_decay"))
    training = Training(case, device)
    scaler = torch.amp.GradScaler(device, init_scale=1024.0, growth_interval=10**6)

    def step(batch):
        training.optimizer.zero_grad()
        out = torch.tanh(batch @ training.first) @ training.last
        loss = out.square().mean() + 0 * training.idle.sum()
        scaler.scale(loss).backward()
        with accelsched.on_device():
            scaler.step(training.optimizer)
        (found,) = scaler._found_inf_per_device(training.optimizer).values()
        scaler.update()
        for scheduler in training.schedulers:
            scheduler.step(found_inf=found)

    graph = accelsched.capture(step, training.batches[:10], steps=10)
    graph.replay(training.batches[3:13])
    infinite = training.batches[13:23].clone()
    infinite[4] = float("inf")
    graph.replay(infinite)
    assert training.rate.last_epoch == 22
    assert torch.isfinite(training.result()).all()
    assert scaler.get_scale() == 512.0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: fake tensors stand for one")
def test_a_float_is_refused_before_a_weight_has_changed():
    training = Training(RATE_ALONE, "cuda")
    training.rate.lowering = "host"
    before = training.result()
    with pytest.raises(accelsched.ArgumentError, match="lr=.*no replay runs Python"):
        training.captured(10)
    assert torch.equal(training.result(), before)
    training.rate.lowering = "graph"
    training.captured(10).replay(training.batches[3:13])
