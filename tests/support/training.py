"""A small training run that every back end can do, and the same run in plain eager PyTorch.

Least squares in float64, with one weight vector per param group. Two back ends then differ only by
roundings of 2**-53; those of float32 could hide a wrong digit.
"""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from accelsched import on_device
from accelsched._runtimes import Counters, Runtime
from accelsched.errors import SynchronizationWarning

SIZE = 8
Make = Callable[[torch.optim.Optimizer], Any]


class TensorAdamW(torch.optim.Optimizer):
    """AdamW (arXiv:1711.05101) in tensor operations only, where PyTorch's reads the device."""

    def __init__(self, params: Any, lr: Any, weight_decay: float = 0.01) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        for group in self.param_groups:
            for p in group["params"]:
                zero = torch.zeros((), dtype=p.dtype, device=p.device)
                self.state[p] = {"t": zero, "m": torch.zeros_like(p), "v": torch.zeros_like(p)}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                t, m, v = (self.state[p][name] for name in "tmv")
                t.add_(1)
                m.mul_(0.9).add_(p.grad * 0.1)
                v.mul_(0.999).add_(p.grad * p.grad * 0.001)
                first = m / (1 - torch.exp(t * -0.10536051565782628))  # 0.9 ** t
                second = v / (1 - torch.exp(t * -0.0010005003335835335))  # 0.999 ** t
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(first / (second.sqrt() + 1e-8) * group["lr"] * -1)


def optimizer_for(name: str, runtime: Runtime, groups: list[dict[str, Any]], lr: Any) -> Any:
    if name == "TensorAdamW":
        return TensorAdamW(groups, lr)
    options = {"capturable": True} if name == "AdamW" and runtime.name == "xla" else {}
    if name == "SGD":
        options = {"momentum": 0.5}
    return getattr(torch.optim, name)(groups, lr=lr, **options)


class Run:
    """One model and optimizer on one back end.

    Args:
        runtime: the back end.
        optimizer: the name of the optimizer.
        make: makes the scheduler, or None for a constant learning rate.
        groups: the options of each param group.
        backend: the compiler of torch.compile.
    """

    def __init__(
        self,
        runtime: Runtime,
        optimizer: str,
        make: Make | None,
        groups: list[dict[str, Any]] | None = None,
        backend: str = "aot_eager",
    ) -> None:
        torch.manual_seed(0)
        self.runtime = runtime
        device = runtime.device()
        self.weights = [
            torch.randn(SIZE, dtype=torch.float64).to(device).requires_grad_()
            for _ in groups or [{}]
        ]
        self.inputs = (torch.randn(16, SIZE, dtype=torch.float64) / SIZE).to(device)
        self.targets = torch.randn(16, dtype=torch.float64).to(device)
        named = [
            {"params": [weight], **group}
            for weight, group in zip(self.weights, groups or [{}], strict=True)
        ]
        # On the CPU a tensor lr selects the graph path; elsewhere the device does.
        lr = torch.tensor(0.01, dtype=torch.float64) if make and device.type == "cpu" else 0.01
        self.optimizer = optimizer_for(optimizer, runtime, named, lr)
        # A custom step may read the lr; built in on_device(), a scheduler assumes it does not.
        reads_nothing = on_device() if optimizer == "TensorAdamW" else contextlib.nullcontext()
        with warnings.catch_warnings(), reads_nothing:
            warnings.simplefilter("error", SynchronizationWarning)
            self.schedulers = make(self.optimizer) if make else []
        if not isinstance(self.schedulers, list):
            self.schedulers = [self.schedulers]
        compiled = runtime.name == "compile"
        self.step = torch.compile(self._step, backend=backend) if compiled else self._step

    def _step(self) -> Tensor:
        self.optimizer.zero_grad()
        loss = sum((self.inputs @ w - self.targets).square().mean() for w in self.weights)
        loss.backward()
        self.optimizer.step()
        for scheduler in self.schedulers:
            scheduler.step()
        return loss.detach()

    def train(self, steps: int, steps_in_a_graph: int = 1) -> Counters:
        """Train, and return the counters of the back end."""
        before = self.runtime.counters()
        for _ in range(steps // steps_in_a_graph):
            for _ in range(steps_in_a_graph):
                self.step()
            self.runtime.finish_step()
        self.runtime.wait()
        return self.runtime.counters() - before

    def result(self) -> Tensor:
        return torch.stack([weight.detach().cpu() for weight in self.weights])

    def rates(self) -> list[float]:
        return [group["lr"].item() for group in self.optimizer.param_groups]


def eager_result(
    optimizer: str, curves: list[Callable[[int], float]], steps: int, groups: list[dict[str, Any]]
) -> Tensor:
    """Return the weights after eager PyTorch steps with Python floats for learning rates."""
    from accelsched._runtimes import NAMED

    run = Run(NAMED["eager"], optimizer, None, groups)
    for step in range(steps):
        for group, curve in zip(run.optimizer.param_groups, curves, strict=True):
            group["lr"] = curve(step)
        run.step()
    return run.result()


def rounding(weights: Tensor, steps: int) -> float:
    """Bound how far two float64 runs of SGD may drift apart.

    An SGD step on this problem does not amplify a difference: the learning rates are below 2 over
    the largest curvature, which is below 2. So the roundings add up: some 64 a step (two dot
    products of 16 and 8 terms, the momentum, the update), each 2**-53 of numbers below
    max(1, |weight|). With momentum 0.5 a rounding acts twice.
    """
    return 2 * steps * 64 * 2.0**-53 * max(1.0, weights.abs().max().item())
