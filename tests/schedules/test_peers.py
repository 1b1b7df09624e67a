"""Our curves beside torch's, step by step. Other libraries: test_other_libraries.py."""

import math

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from accelsched.schedules import (
    Chained,
    Constant,
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    Cyclic,
    Exponential,
    InverseSquareRootDecay,
    Lambda,
    Linear,
    Multiplicative,
    MultiStep,
    OneCycle,
    Polynomial,
    Step,
)

# torch steps recursively: each step rounds a few times, and 200 steps add up.
STEPS = 200
RECURSIVE = 4 * STEPS * 2.0**-53
# The relative difference allowed between two closed formulas.
CLOSED = 64 * 2.0**-53

TORCH = {
    "StepLR": (lambda o: theirs.StepLR(o, 30, 0.5), Step(0.1, 30, 0.5)),
    "MultiStepLR": (
        lambda o: theirs.MultiStepLR(o, [5, 5, 80], 0.3),
        MultiStep(0.1, gamma=0.3, milestones=(5, 5, 80)),
    ),
    "ExponentialLR": (
        lambda o: theirs.ExponentialLR(o, 0.97),
        Exponential(0.1, total_iters=1, rate=0.97),
    ),
    "MultiplicativeLR": (
        lambda o: theirs.MultiplicativeLR(o, lambda _: 0.97),
        Multiplicative(0.1, 0.97),
    ),
    "LambdaLR": (
        lambda o: theirs.LambdaLR(o, lambda t: 1 / (1 + t)),
        Lambda(0.1, (lambda t: 1 / (1 + t),)),
    ),
    "LinearLR": (lambda o: theirs.LinearLR(o, 0.25, 1.0, 40), Linear(0.025, 0.1, 40)),
    "ConstantLR": (
        lambda o: theirs.ConstantLR(o, 0.5, 40),
        Constant(0.05).then(Constant(0.1), at=40),
    ),
    "PolynomialLR": (lambda o: theirs.PolynomialLR(o, 150, 2.0), Polynomial(0.1, 0, 150, 2.0)),
    "CosineAnnealingLR": (
        lambda o: theirs.CosineAnnealingLR(o, 30, 0.01),
        CosineAnnealing(0.1, 30, 0.01),
    ),
    "CosineAnnealingWarmRestarts": (
        lambda o: theirs.CosineAnnealingWarmRestarts(o, 7, 2, 0.001),
        CosineAnnealingWarmRestarts(0.1, 7, 2, 0.001),
    ),
    "CyclicLR": (lambda o: theirs.CyclicLR(o, 0.01, 0.1, 9, 14), Cyclic(0.01, 0.1, 9, 14)),
    "CyclicLR triangular2": (
        lambda o: theirs.CyclicLR(o, 0.01, 0.1, 9, mode="triangular2"),
        Cyclic(0.01, 0.1, 9, mode="triangular2"),
    ),
    "CyclicLR exp_range": (
        lambda o: theirs.CyclicLR(o, 0.01, 0.1, 9, mode="exp_range", gamma=0.99),
        Cyclic(0.01, 0.1, 9, mode="exp_range", gamma=0.99),
    ),
    "OneCycleLR": (
        lambda o: theirs.OneCycleLR(o, 0.1, STEPS, 0.3, div_factor=25, final_div_factor=100),
        OneCycle(0.004, 0.1, STEPS, 0.3, 100),
    ),
    "OneCycleLR linear in three phases": (
        lambda o: theirs.OneCycleLR(
            o, 0.1, STEPS, 0.3, div_factor=25, anneal_strategy="linear", three_phase=True
        ),
        OneCycle(0.004, 0.1, STEPS, 0.3, three_phase=True, anneal_strategy="linear"),
    ),
    "SequentialLR": (
        lambda o: theirs.SequentialLR(
            o, [theirs.LinearLR(o, 0.1, 1.0, 20), theirs.CosineAnnealingLR(o, 150)], [20]
        ),
        Linear(0.01, 0.1, 20).then(CosineAnnealing(0.1, 150), at=20),
    ),
    "ChainedScheduler": (
        lambda o: theirs.ChainedScheduler(
            [theirs.LinearLR(o, 0.1, 1.0, 20), theirs.ExponentialLR(o, 0.98)]
        ),
        Chained((Linear(0.01, 0.1, 20), Exponential(1.0, total_iters=1, rate=0.98))),
    ),
}


# In torch 2.4, SequentialLR itself causes this warning.
@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize(("make", "schedule"), TORCH.values(), ids=TORCH)
def test_torch(make, schedule):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)  # float: torch 2.9 errs with tensors
    scheduler = make(optimizer)
    for step in range(STEPS):
        want = optimizer.param_groups[0]["lr"]
        # Near 0 a value may be a difference, whose error is relative to the peak of 0.1.
        assert schedule(step) == pytest.approx(want, rel=RECURSIVE, abs=RECURSIVE * 0.1), step
        optimizer.step()
        if step < STEPS - 1:
            scheduler.step()


def test_the_inverse_root_of_the_transformer():
    """Vaswani et al., arXiv:1706.03762, section 5.3: d ** -0.5 * min(t ** -0.5, t * w ** -1.5)."""
    width, warm_up = 512, 40
    ours = Linear(0.0, (width * warm_up) ** -0.5, warm_up)
    decay = InverseSquareRootDecay(1.0, scale=width**-0.5, warmup_steps=warm_up)
    for step in range(1, 400):
        want = width**-0.5 * min(step**-0.5, step * warm_up**-1.5)
        got = ours(step) if step < warm_up else decay(step)
        assert got == pytest.approx(want, rel=CLOSED)


def test_what_torch_computes_in_float32_ours_computes_in_float64():
    """With a tensor lr, torch loses digits at each step; ours rounds the float64 value once."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(1.0))
    scheduler = theirs.ExponentialLR(optimizer, 0.9999)
    for _ in range(2000):
        optimizer.step()
        scheduler.step()
    want = math.exp(2000 * math.log(0.9999))
    assert optimizer.param_groups[0]["lr"].item() != pytest.approx(want, rel=1e-6)
    ours = torch.tensor(Exponential(1.0, total_iters=1, rate=0.9999)(2000), dtype=torch.float32)
    assert ours.item() == pytest.approx(want, rel=2**-24)
