"""Compare ten million steps of warm-up and cosine, as one curve, with NumPy, torch and optax.

python benchmarks/curve.py
"""

import math
import statistics

import jax
import numpy as np
import optax
import torch
from rounds import ratios, seconds, spread
from tables import Table, show

from accelsched.schedules import CosineDecay, Linear

jax.config.update("jax_enable_x64", True)
STEPS, WARM_UP, PEAK, ROUNDS = 10**7, 1000, 0.1, 9
REST = STEPS - WARM_UP


def with_numpy():
    t = np.arange(STEPS)
    cosine = 0.5 * PEAK * (1 + np.cos(math.pi * (t - WARM_UP) / REST))
    return np.where(t < WARM_UP, PEAK * t / WARM_UP, cosine)


def with_torch():
    t = torch.arange(STEPS)
    cosine = 0.5 * PEAK * (1 + torch.cos(math.pi * (t - WARM_UP) / REST))
    return torch.where(t < WARM_UP, PEAK * t / WARM_UP, cosine.double())


@jax.jit
def _optax(t):
    return optax.warmup_cosine_decay_schedule(0.0, PEAK, WARM_UP, STEPS)(t)


def with_optax():
    return _optax(jax.numpy.arange(STEPS)).block_until_ready()


def tables():
    schedule = Linear(0.0, PEAK, WARM_UP).then(CosineDecay(PEAK, 0.0, REST), at=WARM_UP)
    angles = np.linspace(0.0, math.pi, STEPS)
    contestants = {
        "accelsched": lambda: schedule.curve(0, STEPS),
        "the bytes alone": lambda: np.full(STEPS, 1.0),
        "the cosines alone, by NumPy": lambda: np.cos(angles),
        "NumPy": with_numpy,
        "torch": with_torch,
        "torch, our formula": lambda: schedule(torch.arange(STEPS)),
        "optax, jax.jit": with_optax,
    }
    np.testing.assert_allclose(schedule.curve(0, STEPS), with_numpy(), rtol=1e-6, atol=1e-9)
    times = seconds(contestants, ROUNDS)
    longer = {name: ratios(taken, times["accelsched"]) for name, taken in times.items()}
    yield Table(
        f"A curve of {STEPS:,} steps of warm-up and cosine, in float64",
        ["", "ms (least to most)", "times as long as accelsched"],
        [[n, spread(taken, 1e-3), spread(longer[n], 1)] for n, taken in times.items()],
        f"{ROUNDS} rounds by turns; numpy {np.__version__}, torch {torch.__version__}, optax "
        f"{optax.__version__}.",
        bars={name: statistics.median(each) for name, each in longer.items()},
        axis="times as long as accelsched",
    )


if __name__ == "__main__":
    show(tables())
