"""Third-party optimizers get the same rates and weights with our scheduler as with torch's.

Every optimizer of each package trains a few steps from the same seed, once with torch's scheduler
and once with ours. Exceptions are listed with a reason, and fail once they no longer apply.
"""

import itertools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from accelsched import Scheduler
from accelsched.schedules import PiecewiseConstant

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import bitsandbytes.optim
    import lion_pytorch
    import optimi
    import prodigyopt
    import pytorch_optimizer
    import schedulefree
    import torchao.optim

# Ignore the warnings of the optimizers.
pytestmark = pytest.mark.filterwarnings("ignore")

#: A power of two, so that torch's float32 product of the initial rate and a factor is exact.
RATE = 2.0**-4
#: More than ten, because some optimizers move no weight in their first ten steps.
FACTORS = [0.0, 0.25, 0.5, 0.75, 1.0, 0.875, 0.625, 0.5, 0.375, 0.25, 0.125, 0.5, 0.75, 0.25]
#: Factors for optimizers that divide by the rate.
ABOVE_ZERO = [0.5, *FACTORS[1:]]
#: The rate of torch's Adam and AdamW in place of a tensor 0; see docs/traps.md.
LEAST = 2.0**-114


def optimizers_of(module: Any) -> dict[str, type[torch.optim.Optimizer]]:
    """Return the optimizers that a module exports, by module and class name."""
    return {
        f"{module.__name__}.{name}": value
        for name, value in sorted(vars(module).items())
        if isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and value.__module__.startswith(module.__name__.split(".")[0])
        and not name.startswith("_")
        and "Wrapper" not in name
    }


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    f"pytorch_optimizer.{name}": pytorch_optimizer.load_optimizer(name)
    for name in pytorch_optimizer.get_supported_optimizers()
}
for each in (
    optimi, lion_pytorch, schedulefree, prodigyopt, torchao.optim, bitsandbytes.optim,
):  # fmt: skip
    OPTIMIZERS |= optimizers_of(each)
OPTIMIZERS["torch.optim.Muon"] = torch.optim.Muon

#: Arguments that an optimizer needs besides parameters and a rate.
OPTIONS: dict[str, dict[str, Any]] = {
    "pytorch_optimizer.lbfgs": {"max_iter": 2},
    "pytorch_optimizer.ranger21": {"num_iterations": 20},
    # SaRA trains only the weights below the threshold.
    "pytorch_optimizer.sara": {"threshold": 0.5},
    **{
        f"bitsandbytes.optim.{name}{bits}": {"momentum": 0.9}
        for name in ("SGD", "LARS")
        for bits in ("", "8bit", "32bit")
    },
    "bitsandbytes.optim.PytorchLARS": {"momentum": 0.9},
}
#: Optimizers that need a flag in their groups.
MUONS = {
    f"pytorch_optimizer.{name}"
    for name in ("adago", "adamuon", "distributedmuon", "muon", "muonclip", "normuon")
}
#: Optimizers that need a closure, besides those whose name says so.
CLOSURES = {"pytorch_optimizer.lbfgs"}
#: Optimizers that need the second derivative.
HESSIANS = {"pytorch_optimizer.adahessian", "pytorch_optimizer.sophiah"}


class Refusal(NamedTuple):
    error: type[Exception]
    reason: str


_NO_RATE = Refusal(KeyError, "its groups have no learning rate")
_MODEL = Refusal(AttributeError, "takes a model for the parameters")
_GROUP = Refusal(ValueError, "needs a process group")
_SHAPE = Refusal(RuntimeError, "broken on the CPU: its state has another shape")
#: Optimizers that fail in this setup with any scheduler, torch's included.
REFUSED = {
    "pytorch_optimizer.a2grad": _NO_RATE,
    "pytorch_optimizer.alig": _NO_RATE,
    "pytorch_optimizer.adalomo": _MODEL,
    "pytorch_optimizer.adammini": _MODEL,
    "pytorch_optimizer.lomo": _MODEL,
    "pytorch_optimizer.demo": _GROUP,
    "pytorch_optimizer.distributedmuon": _GROUP,
    "pytorch_optimizer.bsam": Refusal(TypeError, "asks for the size of the data"),
    "optimi.StableAdamW": Refusal(RuntimeError, "has a kernel for GPUs only"),
    "bitsandbytes.optim.AdEMAMix32bit": _SHAPE,
    "bitsandbytes.optim.PagedAdEMAMix32bit": _SHAPE,
    "torchao.optim.CPUOffloadOptimizer": Refusal(AssertionError, "moves from a GPU"),
}
#: Optimizers that divide by the rate. With any scheduler, a rate of 0 raises or makes weights NaN.
DIVIDES = {
    ("pytorch_optimizer.asgd", "float"),
    ("pytorch_optimizer.asgd", "tensor"),
    ("pytorch_optimizer.gravity", "float"),
    ("pytorch_optimizer.gravity", "tensor"),
    ("pytorch_optimizer.ftrl", "float"),
    ("pytorch_optimizer.ftrl", "tensor"),
    # They catch the exception that a float rate raises.
    *((name, "tensor") for name in optimizers_of(schedulefree)),
}
#: Optimizers that set a rate of 0 themselves in their first four steps.
DIVIDE_ALWAYS = {(name, kind) for name, kind in DIVIDES if ".RAdam" in name}
#: Optimizers that are torch's Adam or AdamW, or a subclass.
ADAMS = {"pytorch_optimizer.adam", "pytorch_optimizer.adamw", "pytorch_optimizer.magma"}
#: This optimizer also keeps its lr tensor outside its groups, and reads the initial rate from it.
#: Torch's scheduler overwrites that tensor. Ours does not, so the result is that of floats.
KEEPS_THE_TENSOR = {"pytorch_optimizer.apollodqn"}

TRAINED = {*itertools.product(OPTIMIZERS.keys() - REFUSED.keys(), ("float", "tensor"))}
KINDS = pytest.mark.parametrize("kind", ["float", "tensor"])


class Training(NamedTuple):
    rates: list[list[float]]
    start: Tensor
    end: Tensor


def torchs(optimizer: torch.optim.Optimizer, factors: list[float]) -> Any:
    return LambdaLR(optimizer, factors.__getitem__)


def ours(optimizer: torch.optim.Optimizer, factors: list[float]) -> Any:
    # The optimizer may have changed the rate that it was given.
    rates = [float(optimizer.param_groups[0]["lr"]) * factor for factor in factors]
    return Scheduler(optimizer, PiecewiseConstant(rates, list(range(1, len(factors)))))


def weights_of(model: torch.nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def train(name: str, kind: str, make: Callable[..., Any], factors: list[float]) -> Training:
    """Train for one step less than there are factors."""
    # One optimizer draws random numbers with NumPy.
    np.random.seed(0)
    torch.manual_seed(0)
    # Muon accepts only matrices.
    layers = (torch.nn.Linear(*sizes, bias=False) for sizes in ((4, 6), (6, 3)))
    model = torch.nn.Sequential(*layers)
    start = weights_of(model)
    optimizer = optimizer_for(name, kind, model)
    scheduler = make(optimizer, factors)
    rates = []
    for _ in factors[1:]:
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
        step(name, optimizer, model)
        scheduler.step()
    return Training(rates, start, weights_of(model))


def optimizer_for(name: str, kind: str, model: torch.nn.Module) -> torch.optim.Optimizer:
    lr = torch.tensor(RATE) if kind == "tensor" else RATE
    parameters: Any = list(model.parameters())
    if name in MUONS:
        parameters = [{"params": parameters, "use_muon": True}]
    optimizer = OPTIMIZERS[name](parameters, lr=lr, **OPTIONS.get(name, {}))
    if hasattr(optimizer, "train"):
        optimizer.train()
    return optimizer


def step(name: str, optimizer: torch.optim.Optimizer, model: torch.nn.Module) -> None:
    batch = torch.randn(8, 4)

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = model(batch).sub(1).square().mean()
        found.backward(create_graph=name in HESSIANS)
        return found

    if name.endswith("Closure") or name in CLOSURES:
        optimizer.step(loss)
    else:
        loss()
        optimizer.step()


@pytest.mark.parametrize(("name", "kind"), sorted(TRAINED - DIVIDE_ALWAYS))
def test_the_rates_and_weights_are_those_of_torchs_scheduler(name, kind):
    factors = ABOVE_ZERO if (name, kind) in DIVIDES else FACTORS
    theirs, mine = (train(name, kind, make, factors) for make in (torchs, ours))
    assert theirs.end.isfinite().all() and not torch.equal(theirs.end, theirs.start)
    least = LEAST if name in ADAMS and kind == "tensor" else 0.0
    assert mine.rates == [[rate or least for rate in rates] for rates in theirs.rates]
    if name in KEEPS_THE_TENSOR and kind == "tensor":
        assert not torch.equal(mine.end, theirs.end)
        floats = train(name, "float", torchs, factors)
        torch.testing.assert_close(mine.end, floats.end)
    else:
        assert torch.equal(mine.end, theirs.end)


@pytest.mark.parametrize(("name", "kind"), sorted(DIVIDES))
def test_those_that_divide_by_the_rate(name, kind):
    factors = ABOVE_ZERO if (name, kind) in DIVIDE_ALWAYS else FACTORS
    for make in (torchs, ours):
        try:
            assert train(name, kind, make, factors).end.isnan().any()
        except ZeroDivisionError:
            assert kind == "float"


@KINDS
@pytest.mark.parametrize("name", REFUSED)
def test_those_that_train_with_no_scheduler(name, kind):
    with pytest.raises(REFUSED[name].error):
        train(name, kind, torchs, FACTORS)
