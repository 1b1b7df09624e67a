"""The inputs of a client: a small task, torch's scheduler, and ours with the same floats.

The rates are eighths divided by powers of two, so every order of operations gives the same floats,
in float32 too. Only the client could make two runs differ: they must be equal bit for bit.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from accelsched import Scheduler, from_torch
from accelsched.schedules import Linear

Make = Callable[[torch.optim.Optimizer], Any]
RATE = 0.125


def shape(step: int) -> float:
    """The factor of the rate: up in 4 steps, then down to 0 in 32."""
    return max(0.0, min(0.5 + step / 8, 1 - (step - 4) / 32))


def torchs(optimizer: torch.optim.Optimizer) -> LambdaLR:
    return LambdaLR(optimizer, shape)


def converted(optimizer: torch.optim.Optimizer) -> Any:
    return from_torch(torchs(optimizer))


def written(optimizer: torch.optim.Optimizer) -> Scheduler:
    factor = Linear(0.5, 1.0, 4).then(Linear(1.0, 0.0, 32), at=4)
    return Scheduler(optimizer, factor, relative=True)


#: Our scheduler for :func:`torchs`, and whether the param groups hold floats or tensors.
OURS = pytest.mark.parametrize("ours", [converted, written])
KINDS = pytest.mark.parametrize("kind", ["float", "tensor"])


def rate(kind: str, value: float = RATE) -> Any:
    return torch.tensor(value) if kind == "tensor" else value


def network() -> nn.Module:
    """The model of every run, with the same weights each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def data(samples: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(samples, 4, generator=generator)
    return inputs, inputs.sum(1, keepdim=True).sin()


def adamw(model: nn.Module, kind: str) -> torch.optim.Optimizer:
    """Return AdamW with one param group per layer with weights, each with its own rate."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    groups = [
        {"params": layer.parameters(), "lr": rate(kind, RATE / 2**index)}
        for index, layer in enumerate(layers)
    ]
    return torch.optim.AdamW(groups)


def rates_of(optimizer: Any) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


@dataclasses.dataclass
class Record:
    """The rates at each step of the optimizer, what was logged, and the weights at the end."""

    rates: list[list[float]] = dataclasses.field(default_factory=list)
    logged: list[Any] = dataclasses.field(default_factory=list)
    weights: list[Tensor] = dataclasses.field(default_factory=list)

    def keep_weights(self, parameters: Iterable[Tensor]) -> None:
        self.weights = [parameter.detach().clone() for parameter in parameters]


def assert_same(ours: Record, theirs: Record, *, changes: bool = True) -> None:
    """Assert that records are equal bit for bit. The rates must change, or this shows nothing."""
    assert theirs.rates
    assert ours.rates == theirs.rates
    assert ours.logged == theirs.logged
    assert len({tuple(rates) for rates in theirs.rates}) > 1 or not changes
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        assert torch.equal(mine, other)
        assert mine.isfinite().all()
