"""Optimizers of cerebras_pytorch, and schedulers written alike for it and for accelsched."""

import cerebras.pytorch as cstorch
import torch
from binding import BY_STEP

STEPS = 150
CLASSES = [name for name in BY_STEP if name != "LRScheduler"]
KEYS = ("lr", "weight_decay", "momentum")
GROUPS = ({"tags": ["a"]}, {"tags": ["b"], "adjust_learning_rate": 0.25}, {})


def optimizer(groups=GROUPS, kind=None):
    """Return an optimizer of cstorch, or of `kind`; each group has its own learning rate."""
    named = [
        {
            "params": [torch.nn.Parameter(torch.ones(2))],
            **dict.fromkeys(KEYS, 0.001 * (i + 1)),
            **group,
        }
        for i, group in enumerate(groups)
    ]
    return (kind or cstorch.optim.SGD)(named, lr=0.001)


def rates(opt, key="lr"):
    return [float(group[key]) for group in opt.param_groups]


def sequence(module, opt, **more):
    children = [
        module.LinearLR(opt, 0.001, 0.08, 12, **more),
        module.ConstantLR(opt, 0.08, **more),
        module.CosineDecayLR(opt, 0.08, 0.002, 70, **more),
    ]
    return module.SequentialLR(opt, children, [12, 40], **more)


# Where cerebras_pytorch matches its docs: (make, whether a float32 base is raised to the step).
ALIKE = {
    "ConstantLR": (lambda m, o: m.ConstantLR(o, 0.07), False),
    "ConstantLR tags": (lambda m, o: m.ConstantLR(o, 0.07, param_group_tags="a"), False),
    "ConstantLR untagged": (lambda m, o: m.ConstantLR(o, 0.07, param_group_tags=[None]), False),
    "PolynomialLR": (lambda m, o: m.PolynomialLR(o, 0.2, 0.03, 77, power=2.5), False),
    "PolynomialLR rising": (lambda m, o: m.PolynomialLR(o, 0.0, 0.3, 33, power=0.7), False),
    "LinearLR": (lambda m, o: m.LinearLR(o, 0.3, 0.05, 90), False),
    "LinearLR warm-up": (lambda m, o: m.LinearLR(o, 0.0, 0.06, 60, param_group_tags=["b"]), False),
    "ExponentialLR": (lambda m, o: m.ExponentialLR(o, 0.2, 13, 0.8), True),
    "ExponentialLR stairs": (lambda m, o: m.ExponentialLR(o, 0.2, 13, 0.8, staircase=True), True),
    "InverseExponentialTimeDecayLR": (
        lambda m, o: m.InverseExponentialTimeDecayLR(o, 0.2, 1, 21, 0.4),
        False,
    ),
    "InverseExponentialTimeDecayLR squared": (
        lambda m, o: m.InverseExponentialTimeDecayLR(o, 0.2, 2, 640, 0.4, staircase=True),
        False,
    ),
    "InverseSquareRootDecayLR": (lambda m, o: m.InverseSquareRootDecayLR(o, 0.3, 1.7, 25), False),
    "CosineDecayLR": (lambda m, o: m.CosineDecayLR(o, 0.11, 0.007, 123), False),
    "SequentialLR": (sequence, False),
    "SequentialLR tags": (lambda m, o: sequence(m, o, param_group_tags=["a", None]), False),
    "SequentialLR of a chain": (
        lambda m, o: m.SequentialLR(
            o,
            [
                m.ConstantLR(o, 0.02),
                m.ChainedLR([m.ExponentialLR(o, 0.1, 5, 0.9), m.StepLR(o, 0.1, 20, 0.5)]),
            ],
            [30],
        ),
        True,
    ),
    "PiecewiseConstantLR": (
        lambda m, o: m.PiecewiseConstantLR(o, [0.3, 0.2, 0.25], [31, 32]),
        False,
    ),
    "MultiStepLR": (lambda m, o: m.MultiStepLR(o, 0.4, 0.7, [9, 29, 99]), True),
    "StepLR": (lambda m, o: m.StepLR(o, 0.4, 17, 0.6), True),
    "CosineAnnealingLR": (lambda m, o: m.CosineAnnealingLR(o, 0.2, 37, 0.01), False),
    "CosineAnnealingWarmRestarts in its first period": (
        lambda m, o: m.CosineAnnealingWarmRestarts(o, 0.2, STEPS + 10, eta_min=0.01),
        False,
    ),
    "MultiplicativeLR": (lambda m, o: m.MultiplicativeLR(o, 0.3, 0.985), True),
    "ChainedLR": (
        lambda m, o: m.ChainedLR(
            [
                m.ConstantLR(o, 0.2),
                m.ExponentialLR(o, 0.5, 9, 0.9),
                m.CosineDecayLR(o, 0.3, 0.1, 80),
            ]
        ),
        True,
    ),
    "ChainedScheduler": (
        lambda m, o: m.ChainedScheduler(
            [m.MultiStepLR(o, 0.2, 0.5, [40]), m.StepLR(o, 1.0, 50, 0.3)]
        ),
        True,
    ),
    "CyclicLR": (lambda m, o: m.CyclicLR(o, 0.01, 0.2, 11, 19), True),
    "CyclicLR triangular2": (lambda m, o: m.CyclicLR(o, 0.01, 0.2, 16, mode="triangular2"), True),
    "CyclicLR exp_range": (
        lambda m, o: m.CyclicLR(o, 0.01, 0.2, 16, mode="exp_range", gamma=0.99),
        True,
    ),
    "OneCycleLR": (lambda m, o: m.OneCycleLR(o, 0.01, 0.2, STEPS + 1, 0.4, 50.0), False),
    "OneCycleLR in three lines": (
        lambda m, o: m.OneCycleLR(
            o, 0.01, 0.2, STEPS + 1, three_phase=True, anneal_strategy="linear"
        ),
        False,
    ),
    "ScalePerParamLR": (lambda m, o: m.ScalePerParamLR(o, sequence(m, o)), False),
    "ScalePerParamLR of a chain": (
        lambda m, o: m.ScalePerParamLR(
            o, m.ChainedLR([m.CosineDecayLR(o, 0.2, 0.1, 80), m.StepLR(o, 0.2, 30, 0.5)])
        ),
        True,
    ),
}  # fmt: skip
