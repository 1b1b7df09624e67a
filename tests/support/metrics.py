"""Random metrics, random settings of ReduceLROnPlateau, and the optimizers to compare on."""

import json
import math
import random
from pathlib import Path
from typing import Any

import torch

GREEDY = json.loads((Path(__file__).parents[1] / "golden" / "greedy_lr.json").read_text())
#: Unusual metrics, and metrics that tie in a comparison with a threshold.
_ODD = (math.nan, math.inf, -math.inf, 5e-324, 2.0**-1060, 0.0, -0.0, -1.0, 1e308)
_TIES = (0.5, 0.9999, 1.0, 0.25, 1.5, 0.75, 2.0)


def drawn_metrics(rnd: random.Random, count: int, odd: float = 0.2) -> list[float]:
    """Draw metrics that fall, rise and stay; some are ties, and some are not finite."""
    metrics, last = [], 1.0
    for _ in range(count):
        last *= rnd.choice((1.0, 1.0, 0.9, 1.05, 1 - 1e-4))
        metrics.append(rnd.choice(_ODD) if rnd.random() < odd else rnd.choice((*_TIES, last, last)))
    return metrics


def drawn_settings(rnd: random.Random) -> tuple[list[float], dict[str, Any]]:
    """Draw the rates of one to three param groups, and arguments of ReduceLROnPlateau."""
    rates = [rnd.choice((0.1, 1e-3, 5.0, 0.0, 1e-9)) for _ in range(rnd.choice((1, 2, 3)))]
    return rates, {
        "mode": rnd.choice(("min", "max")),
        "factor": rnd.choice((0.1, 0.5, 0.9, 0.0, -0.5, 0.3)),
        "patience": rnd.choice((0, 1, 2, 3)),
        "threshold": rnd.choice((1e-4, 0.0, 0.5, 1.0, 2.0, -0.1)),
        "threshold_mode": rnd.choice(("rel", "abs")),
        "cooldown": rnd.choice((0, 1, 3)),
        "min_lr": rnd.choice((0, 1e-3, [rnd.random() / 10 for _ in rates])),
        "eps": rnd.choice((1e-8, 0.0, 1e-3)),
    }


def optimizer_of(
    rates: list[float], dtype: torch.dtype | None = None, device: Any = "cpu", **options: Any
) -> torch.optim.Optimizer:
    """Return an optimizer with one param group per rate: a float, or a tensor of a dtype."""
    groups = [
        {
            "params": [torch.nn.Parameter(torch.zeros(2, device=device))],
            "lr": rate if dtype is None else torch.tensor(rate, dtype=dtype),
        }
        for rate in rates
    ]
    return torch.optim.SGD(groups, lr=0.1, **options)


def rates_of(optimizer: torch.optim.Optimizer) -> list[float]:
    held = [group["lr"] for group in optimizer.param_groups]
    return [rate.item() if isinstance(rate, torch.Tensor) else float(rate) for rate in held]


def assert_same_state(made: Any, plain: Any, **others: Any) -> None:
    """Assert that our state has every entry of torch's; ``others`` replaces some of them."""
    # torch 2.4 also saves `verbose`.
    wanted = {name: v for name, v in plain.state_dict().items() if name != "verbose"} | others
    saved = made.state_dict()
    assert {name: saved[name] for name in wanted} == wanted
