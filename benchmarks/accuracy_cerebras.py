"""Print values of cerebras_pytorch; accuracy.py runs this in the environment that has it."""

import json
import sys
import warnings

warnings.simplefilter("ignore")

import torch  # noqa: E402
from cerebras import pytorch as cstorch  # noqa: E402
from cerebras.pytorch.optim import lr_scheduler as theirs  # noqa: E402


def made(name, optimizer, horizon, numbers):
    low, peak, rate, warm_up, div = (numbers[n] for n in ("low", "peak", "rate", "warm_up", "div"))
    decay = (optimizer, peak, 0.0)
    makers = {
        "Linear": lambda: theirs.LinearLR(optimizer, peak, low, horizon),
        "Polynomial, power 2": lambda: theirs.PolynomialLR(*decay, horizon, power=2.0),
        "CosineDecay": lambda: theirs.CosineDecayLR(*decay, horizon),
        "Multiplicative": lambda: theirs.MultiplicativeLR(optimizer, peak, rate),
        "Step": lambda: theirs.StepLR(optimizer, peak, warm_up, 0.9),
        "InverseSquareRootDecay": lambda: theirs.InverseSquareRootDecayLR(
            optimizer, peak, 1.0, warm_up
        ),
        "warm-up, cosine": lambda: theirs.SequentialLR(
            optimizer,
            [
                theirs.LinearLR(optimizer, low, peak, warm_up),
                theirs.CosineDecayLR(*decay, horizon - warm_up),
            ],
            [warm_up],
        ),
        "OneCycle": lambda: theirs.OneCycleLR(
            optimizer, peak / 25, peak, horizon, final_div_factor=div
        ),
    }
    return makers[name]()


def at(scheduler, step):
    """Return the value of a scheduler with its counters set to a step."""
    scheduler.last_epoch.fill_(step)
    if isinstance(scheduler, theirs.SequentialLR):
        for child, start in zip(scheduler._schedulers, [0, *scheduler._milestones], strict=True):
            child.last_epoch.fill_(max(0, step - start))
    return float(scheduler._get_closed_form())


def main():
    asked = json.load(sys.stdin)
    cstorch.backend("CPU")
    values = {}
    for name, (horizon, steps) in asked["cases"].items():
        weights = [torch.nn.Parameter(torch.zeros(1))]
        optimizer = cstorch.optim.SGD(weights, lr=asked["numbers"]["peak"])
        scheduler = made(
            name.rsplit(" @", 1)[0], optimizer, horizon, asked["numbers"][str(horizon)]
        )
        values[name] = [at(scheduler, step) for step in steps]
    # The import of cerebras_pytorch prints as well.
    print("\n" + json.dumps(values))


if __name__ == "__main__":
    main()
