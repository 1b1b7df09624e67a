"""Ten million steps of warm-up and cosine as one curve, beside NumPy, torch and optax.

python benchmarks/curve.py
"""

import math

import jax
import numpy as np
import optax
import torch
from rounds import ratio, seconds, spread

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


def main():
    schedule = Linear(0.0, PEAK, WARM_UP).then(CosineDecay(PEAK, 0.0, REST), at=WARM_UP)
    contestants = {
        "accelsched": lambda: schedule.curve(0, STEPS),
        "the bytes alone": lambda: np.full(STEPS, 1.0),
        "NumPy": with_numpy,
        "torch": with_torch,
        "torch, our formula": lambda: schedule(torch.arange(STEPS)),
        "optax, jax.jit": with_optax,
    }
    np.testing.assert_allclose(schedule.curve(0, STEPS), with_numpy(), rtol=1e-6, atol=1e-9)
    times = seconds(contestants, ROUNDS)
    versions = f"numpy {np.__version__}, torch {torch.__version__}, optax {optax.__version__}"
    print(f"{versions}: {STEPS:,} steps in float64")
    print(f"{'':20}{'ms, median (least to most)':>30}{'times as long as accelsched':>30}")
    for name, taken in times.items():
        print(f"{name:20}{spread(taken, 1e-3):>30}{ratio(taken, times['accelsched']):>30.1f}")


if __name__ == "__main__":
    main()
