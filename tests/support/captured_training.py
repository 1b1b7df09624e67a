"""Training steps (eager, captured, ten per graph), and eager steps with Python floats.

On the device "cpu" graphs are emulated (:mod:`emulated_graphs`), on "cuda" they are real.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any

import torch

import accelsched
from accelsched import Scheduler, on_device, reference
from accelsched.schedules import CosineDecay, Linear, Schedule

BATCH, WIDTH = 8, 16
STEPS = 23  # three of a warm-up, and two graphs of ten
#: The learning rate begins at 0, and some optimizers divide by it.
CURVES: dict[str, Schedule] = {
    "lr": Linear(0.0, 0.02, 6).then(CosineDecay(0.02, 0.002, 20), at=6),
    "weight_decay": CosineDecay(0.2, 0.05, 30),
    "momentum": Linear(0.5, 0.9, 20),
    "betas[0]": Linear(0.8, 0.95, 20),
}


@dataclass
class Case:
    """An optimizer and its scheduled keys.

    Attributes:
        floats: the options of the eager float run: without capturable, fused and foreach.
    """

    optimizer: str
    options: dict[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ("lr",)

    @property
    def floats(self) -> dict[str, Any]:
        ways = ("capturable", "fused", "foreach")
        return {name: value for name, value in self.options.items() if name not in ways}

    def __str__(self) -> str:
        ways = [
            name if value is True else f"{name}={value}" for name, value in self.options.items()
        ]
        return " ".join([self.optimizer, *ways, *self.keys])


class Training:
    """A perceptron, an optimizer and its schedulers, or Python floats in their place.

    One more weight enters the loss times 0, so its gradient is always zero.
    """

    def __init__(
        self, case: Case, device: str, floats: bool = False, open_ended: bool = False
    ) -> None:
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
            return (torch.randn(*shape, generator=generator) * scale).to(device)

        self.case, self.device, self.floats, self.count = case, device, floats, 0
        self.open_ended = open_ended
        self.first, self.last = normal(WIDTH, WIDTH, scale=0.25), normal(WIDTH, 1, scale=0.25)
        self.idle = normal(WIDTH)
        self.weights = [w.requires_grad_() for w in (self.first, self.last, self.idle)]
        # Steps first, then the samples of each: the layout that a replay accepts.
        self.batches = normal(STEPS, BATCH, WIDTH)
        lr = 0.01 if floats else torch.tensor(0.01, device=device)
        options = case.floats if floats else case.options
        self.optimizer = getattr(torch.optim, case.optimizer)(self.weights, lr=lr, **options)
        self.schedulers = [] if floats else [self._scheduler(key) for key in case.keys]

    def _scheduler(self, key: str) -> Scheduler:
        options = {"lowering": "graph", "open_ended": self.open_ended}
        return Scheduler(self.optimizer, CURVES[key], key, **options)

    @property
    def rate(self) -> Scheduler:
        return self.schedulers[0]

    def step(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Train one step; return the loss and the learning rate of the next step."""
        self.optimizer.zero_grad()
        loss = (torch.tanh(batch @ self.first) @ self.last).square().mean() + 0 * self.idle.sum()
        loss.backward()
        if self.floats:
            self._set_floats()
        with contextlib.nullcontext() if self.floats else on_device():
            self.optimizer.step()
        for scheduler in self.schedulers:
            scheduler.step()
        self.count += 1
        (group,) = self.optimizer.param_groups
        return loss.detach(), torch.as_tensor(group["lr"]).clone()

    def _set_floats(self) -> None:
        (group,) = self.optimizer.param_groups
        for key in self.case.keys:
            value = reference.value(CURVES[key], self.count)
            group.update({"betas": (value, group["betas"][1])} if "[" in key else {key: value})

    def eager(self, batches: torch.Tensor) -> None:
        for batch in batches:
            self.step(batch)

    def captured(self, steps: int | None = None) -> accelsched.Captured:
        """Capture a step, or several, after a warm-up by the first three batches."""
        examples = self.batches[0] if steps is None else self.batches[:steps]
        return accelsched.capture(self.step, examples, steps=steps)

    def train(self, mode: str) -> None:
        """Train all steps in the mode "eager", "captured" or "ten a graph"."""
        if mode == "eager":
            self.eager(self.batches)
        elif mode == "captured":
            self.eager(self.batches[:2])
            graph = accelsched.capture(self.step, self.batches[2], warmup=1)
            for batch in self.batches[3:]:
                graph.replay(batch)
        else:
            graph = self.captured(10)
            for i in range(3, STEPS, 10):
                graph.replay(self.batches[i : i + 10])

    def result(self) -> torch.Tensor:
        return torch.cat([weight.detach().cpu().flatten() for weight in self.weights])


def floats_of(case: Case, device: str) -> torch.Tensor:
    """Return the weights after eager steps with Python floats, on the same device."""
    run = str(case), device
    if run not in _known:
        training = Training(case, device, floats=True)
        training.eager(training.batches)
        _known[run] = training.result()
    return _known[run]


_known: dict[tuple[str, str], torch.Tensor] = {}


def rounding(case: Case, weights: torch.Tensor) -> float:
    """Bound how far two float32 runs may drift apart.

    A step does some 64 roundings of numbers up to the largest weight. Adam, AdamW, Adagrad and
    RMSprop divide by about the size of a gradient, so a relative error of the gradient becomes one
    of the update, whose size is about the lr. A gradient has 128 roundings (8 samples of 16
    numbers) and the lr is below 1/32: that is 4 more. Earlier errors of the weights change the
    gradients by less than themselves, so they add up.
    """
    return STEPS * (64 + 4) * 2.0**-24 * max(1.0, weights.abs().max().item())
