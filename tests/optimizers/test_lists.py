"""Within on_device, foreach and fused steps with tensors do the same as with floats."""

import pytest
import torch
from emulated_graphs import capturable_on_the_cpu  # noqa: F401

from accelsched import Scheduler, on_device, reference
from accelsched.schedules import CosineDecay, Linear

STEPS = 8
#: The schedule of each key.
CURVES = {
    "lr": Linear(0.1, 0.02, 6),
    "weight_decay": CosineDecay(0.3, 0.1, 6),
    "momentum": Linear(0.5, 0.9, 6),
    "betas[0]": Linear(0.8, 0.95, 6),
    "betas[1]": Linear(0.9, 0.99, 6),
}
FOREACH = {"foreach": True}
CAPTURABLE = {"foreach": True, "capturable": True}
FUSED = {"fused": True}
CASES = [
    ("SGD", FOREACH, ("lr", "weight_decay", "momentum")),
    ("SGD", {**FOREACH, "nesterov": True}, ("lr", "weight_decay", "momentum")),
    ("SGD", {**FOREACH, "maximize": True}, ("lr", "weight_decay")),
    ("SGD", FUSED, ("lr", "weight_decay")),
    ("SGD", {**FUSED, "maximize": True}, ("lr", "weight_decay")),
    ("Adam", CAPTURABLE, ("lr", "weight_decay", "betas[0]", "betas[1]")),
    ("Adam", {**CAPTURABLE, "maximize": True, "amsgrad": True}, ("lr", "weight_decay")),
    ("Adam", FUSED, ("lr", "weight_decay")),
    ("Adam", {**FUSED, "maximize": True}, ("lr", "weight_decay")),
    ("AdamW", CAPTURABLE, ("lr", "weight_decay", "betas[0]", "betas[1]")),
    ("AdamW", FUSED, ("lr", "weight_decay")),
    ("AdamW", {**FUSED, "maximize": True}, ("lr", "weight_decay")),
    ("Adagrad", FOREACH, ("lr", "weight_decay")),
    ("Adagrad", FUSED, ("lr", "weight_decay")),
    ("RMSprop", CAPTURABLE, ("lr", "weight_decay")),
    ("RMSprop", {**CAPTURABLE, "momentum": 0.5, "centered": True}, ("lr", "momentum")),
]
#: Before PyTorch 2.6, betas cannot be tensors.
OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6)


class Training:
    """Random weights and gradients, trained with schedulers' tensors or with floats."""

    def __init__(self, name, options, keys, floats):
        generator = torch.Generator().manual_seed(0)
        shapes = [(5,), (3, 4)]
        self.weights = [torch.randn(s, generator=generator).requires_grad_() for s in shapes]
        self.grads = [[torch.randn(s, generator=generator) for s in shapes] for _ in range(STEPS)]
        self.keys, self.floats = keys, floats
        options = {**options, "momentum": 0.5} if name == "SGD" else dict(options)
        if floats:
            options.pop("capturable", None)
        lr = 0.1 if floats else torch.tensor(0.1)
        self.optimizer = getattr(torch.optim, name)(self.weights, lr=lr, **options)
        if not floats:
            self.schedulers = [
                Scheduler(self.optimizer, CURVES[key], key, lowering="graph") for key in keys
            ]

    def step(self, count, scale=1.0):
        for weight, grad in zip(self.weights, self.grads[count], strict=True):
            weight.grad = grad * scale
        if not self.floats:
            with on_device():
                self.optimizer.step()
            for scheduler in self.schedulers:
                scheduler.step()
            return
        (group,) = self.optimizer.param_groups
        for key in self.keys:
            value = reference.value(CURVES[key], count)
            if key.startswith("betas"):
                betas = list(group["betas"])
                betas[int(key[-2])] = value
                group["betas"] = tuple(betas)
            else:
                group[key] = value
        self.optimizer.step()

    def result(self):
        return torch.cat([weight.detach().flatten() for weight in self.weights])


def assert_alike(one, other):
    """Check equality up to 64 roundings a step, of numbers as large as the weights."""
    largest = other.result().abs().max().item()
    assert largest < 8
    assert (one.result() - other.result()).abs().max() <= STEPS * 64 * largest * 2.0**-24


@pytest.mark.usefixtures("capturable_on_the_cpu")
@pytest.mark.parametrize(("name", "options", "keys"), CASES)
def test_a_step_with_tensors_is_one_with_floats(name, options, keys):
    if OLD and any(key.startswith("betas") for key in keys):
        pytest.skip("PyTorch takes betas as tensors from 2.6 on")
    with_tensors = Training(name, options, keys, floats=False)
    with_floats = Training(name, options, keys, floats=True)
    for count in range(STEPS):
        with_tensors.step(count)
        with_floats.step(count)
    assert_alike(with_tensors, with_floats)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_fused_step_knows_the_gradient_scaler(name, maximize):
    """As with GradScaler, gradients are scaled by 1024 and one step is skipped."""
    options, keys = {"fused": True, "maximize": maximize}, ("lr", "weight_decay")
    scaled = Training(name, options, keys, floats=False)
    plain = Training(name, options, keys, floats=True)
    scaled.optimizer.grad_scale = torch.tensor(1024.0)
    for count in range(STEPS):
        left_out = count == 3
        scaled.optimizer.found_inf = torch.tensor(float(left_out))
        before = scaled.result()
        scaled.step(count, 1024.0)
        if left_out:
            assert torch.equal(scaled.result(), before)
        else:
            plain.step(count)
    assert_alike(scaled, plain)


def test_a_tensor_that_is_no_scalar_stays_one_of_each():
    """As in PyTorch, a vector gives each parameter its own number."""
    one, other = ([torch.ones(3), torch.ones(2)] for _ in range(2))
    with on_device():
        torch._foreach_addcmul_(one, other, other, torch.tensor([1.0, 2.0]))
    assert [tensor[0].item() for tensor in one] == [2.0, 3.0]
