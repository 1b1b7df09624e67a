"""Classes that warn unless the arguments past the first are given by keyword."""

import copy
import warnings

import pytest
import torch

from accelsched import (
    from_spec,
    lr_scheduler,
    to_spec,
)
from accelsched.schedules import (
    Exponential,
    InverseExponentialTimeDecay,
    InverseSquareRootDecay,
    MultiStep,
)

# Positional arguments that invite mistakes.

CALLS = [
    (Exponential, (1e-7, 10, 100), "Exponential(initial=1e-07, total_iters=10, rate=100)"),
    (MultiStep, (0.1, 0.5, [3, 5]), "MultiStep(initial=0.1, gamma=0.5, milestones=[3, 5])"),
    (InverseSquareRootDecay, (1.0, 4000), "InverseSquareRootDecay(initial=1.0, scale=4000)"),
    (
        InverseExponentialTimeDecay,
        (0.1, 1.0, 100, 0.5),
        "InverseExponentialTimeDecay(initial=0.1, step_exponent=1.0, total_iters=100, rate=0.5)",
    ),
]


@pytest.mark.parametrize(("cls", "given", "call"), CALLS, ids=[call[0].__name__ for call in CALLS])
def test_positions_past_the_first_argument_warn(cls, given, call):
    with pytest.warns(FutureWarning) as caught:
        made = cls(*given)
    assert str(caught[0].message).endswith(f"write {call}")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made == eval(call) == copy.copy(made) == from_spec(to_spec(made))
    text = f"{cls.__name__}({', '.join(map(repr, given))})"
    with pytest.warns(FutureWarning, match="write"):
        assert from_spec(text) == made


def test_the_classes_of_cerebras_keep_their_order_and_do_not_warn():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    made = lr_scheduler.ExponentialLR(optimizer, 0.1, 10, 0.5)
    made.decay_rate = 0.25
    assert made.schedules == (Exponential(0.1, total_iters=10, rate=0.25),)
    lr_scheduler.MultiStepLR(None, 0.1, 0.5, [3])(optimizer)
    lr_scheduler.InverseSquareRootDecayLR(None, 0.1, 1.0, 10)(optimizer)
    lr_scheduler.InverseExponentialTimeDecayLR(None, 0.1, 1.0, 10, 0.5)(optimizer)
