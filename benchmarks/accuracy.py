"""Compare float32 values, and those of the peers, with the rounded float64 reference.

python benchmarks/accuracy.py (five minutes; cerebras_pytorch needs `make .venv-cerebras/installed`)
"""

import copy
import json
import multiprocessing
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import torch
from tables import Table, show
from torch.optim import lr_scheduler as theirs

from accelsched import ArgumentError, _lowering, reference
from accelsched._runtimes import NAMED
from accelsched.schedules import (
    CosineDecay,
    InverseSquareRootDecay,
    Linear,
    Multiplicative,
    OneCycle,
    Polynomial,
    Schedule,
    Step,
)
from accelsched.schedules._vectorize import group_by_structure

HORIZONS = (10**3, 10**6, 2 * 10**7)
# torch updates a tensor lr with some twenty operations: an hour for the last horizon.
MOST_TENSOR_STEPS = 10**6
LOW, PEAK, DIV = 0.001, 0.1, 1e4
CEREBRAS = Path(__file__).parents[1] / ".venv-cerebras/bin/python"


@dataclass
class Case:
    """One schedule and its equivalents in the peers: None where a peer has none."""

    schedule: Schedule
    optax: Any = None
    torch: Any = None


def rate(horizon: int) -> float:
    """Return the factor per step that leaves a hundredth at the horizon."""
    return 0.01 ** (1 / horizon)


def cases(horizon: int) -> dict[str, Case]:
    warm_up, rest, factor = horizon // 100, horizon - horizon // 100, rate(horizon)
    return {
        "Linear": Case(
            Linear(PEAK, LOW, horizon),
            optax.linear_schedule(PEAK, LOW, horizon),
            lambda o: theirs.LinearLR(o, 1.0, LOW / PEAK, horizon),
        ),
        "Polynomial, power 2": Case(
            Polynomial(PEAK, 0.0, horizon, 2.0),
            optax.polynomial_schedule(PEAK, 0.0, 2, horizon),
            lambda o: theirs.PolynomialLR(o, horizon, 2.0),
        ),
        "CosineDecay": Case(
            CosineDecay(PEAK, 0.0, horizon),
            optax.cosine_decay_schedule(PEAK, horizon),
            lambda o: theirs.CosineAnnealingLR(o, horizon),
        ),
        "Multiplicative": Case(
            Multiplicative(PEAK, factor),
            optax.exponential_decay(PEAK, 1, factor),
            lambda o: theirs.ExponentialLR(o, factor),
        ),
        "Step": Case(
            Step(PEAK, warm_up, 0.9),
            optax.exponential_decay(PEAK, warm_up, 0.9, staircase=True),
            lambda o: theirs.StepLR(o, warm_up, 0.9),
        ),
        "InverseSquareRootDecay": Case(
            InverseSquareRootDecay(PEAK, scale=1.0, warmup_steps=warm_up)
        ),
        "warm-up, cosine": Case(
            Linear(LOW, PEAK, warm_up).then(CosineDecay(PEAK, 0.0, rest), at=warm_up),
            optax.warmup_cosine_decay_schedule(LOW, PEAK, warm_up, horizon),
            lambda o: theirs.SequentialLR(
                o,
                [
                    theirs.LinearLR(o, LOW / PEAK, 1.0, warm_up),
                    theirs.CosineAnnealingLR(o, rest),
                ],
                [warm_up],
            ),
        ),
        "OneCycle": Case(
            OneCycle(PEAK / 25, PEAK, horizon, final_div_factor=DIV),
            None,  # its phases end at other steps
            lambda o: theirs.OneCycleLR(
                o, PEAK, total_steps=horizon, cycle_momentum=False, final_div_factor=DIV
            ),
        ),
    }


def steps(horizon: int) -> list[int]:
    """Return the steps near the start, the end of the warm-up, the middle and the horizon."""
    places = {0, horizon // 100, horizon // 2, horizon}
    near = {place + d for place in places for d in range(-100, 101)}
    return sorted(step for step in near if 0 <= step < horizon)


def on_device(
    case: Case, at: list[int], lowering: str, has_float64: bool = True
) -> list[float] | None:
    runtime = copy.copy(NAMED["eager"])
    runtime.has_float64 = has_float64
    batches = group_by_structure([case.schedule], [torch.float32])
    try:
        evaluation = _lowering._choose(lowering, batches, runtime).evaluation
    except ArgumentError:
        return None
    evaluate = runtime.lower(evaluation, torch.device("cpu"))
    return [float(evaluate(torch.tensor(step))[0]) for step in at]


def by_optax(case: Case, at: list[int]) -> list[float] | None:
    if case.optax is None:
        return None
    schedule = jax.jit(case.optax)
    return [float(schedule(jax.numpy.asarray(step, jax.numpy.int32))) for step in at]


def by_torch(case: Case, at: list[int], rate: float | torch.Tensor) -> list[float] | None:
    """Step from 0, as torch has no other way to reach a step."""
    if case.torch is None:
        return None
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    scheduler, values, done = case.torch(optimizer), [], 0
    for step in at:
        for _ in range(step - done):
            scheduler.step()
        done = step
        values.append(float(optimizer.param_groups[0]["lr"]))
    return values


def by_cerebras() -> dict[str, list[float]]:
    """Return the values of all cases and horizons; none if the environment is not installed."""
    if not CEREBRAS.exists():
        return {}
    at = {f"{name} @{h}": (h, steps(h)) for h in HORIZONS for name in cases(h)}
    numbers: dict[str, Any] = {
        str(h): {"low": LOW, "peak": PEAK, "rate": rate(h), "warm_up": h // 100, "div": DIV}
        for h in HORIZONS
    }
    result = subprocess.run(
        [CEREBRAS, Path(__file__).with_name("accuracy_cerebras.py")],
        input=json.dumps({"cases": at, "numbers": {**numbers, "peak": PEAK}}),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    values: dict[str, list[float]] = json.loads(result.stdout.splitlines()[-1])
    return values


def worst(got: list[float] | None, want: list[float]) -> str:
    """Return the largest error in float32 ulps, where the exact value is not 0."""
    if got is None:
        return "-"
    distances = []
    for value, exact in zip(np.float32(got), np.float32(want), strict=True):
        if exact != 0:
            distances.append(abs(float(value) - float(exact)) / float(np.spacing(abs(exact))))
    largest = max(distances)
    return f"{largest:.0f}" if largest < 10**4 else f"{largest:.0e}".replace("e+0", "e")


def row(place: tuple[int, str]) -> list[str]:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    horizon, name = place
    case, at = cases(horizon)[name], steps(horizon)
    want = [reference.value(case.schedule, step) for step in at]
    is_long = horizon > MOST_TENSOR_STEPS
    return [
        worst(on_device(case, at, "graph"), want),
        worst(on_device(case, at, "graph", has_float64=False), want),
        worst(on_device(case, at, "segments"), want),
        worst(by_optax(case, at), want),
        worst(by_torch(case, at, PEAK), want),
        "not run" if is_long and case.torch else
        worst(by_torch(case, at, torch.tensor(PEAK)), want),
    ]  # fmt: skip


def tables():
    places = [(h, name) for h in HORIZONS for name in cases(h)]
    with multiprocessing.get_context("spawn").Pool() as pool:
        rows = dict(zip(places, pool.map(row, places, chunksize=1), strict=True))
    cerebras = by_cerebras()
    for horizon in HORIZONS:
        at = steps(horizon)
        made = []
        for name, case in cases(horizon).items():
            want = [reference.value(case.schedule, step) for step in at]
            formula, pairs, segments, *others = rows[horizon, name]
            theirs = worst(cerebras.get(f"{name} @{horizon}"), want)
            made.append([name, formula, pairs, segments, theirs, *others])
        columns = ["accelsched, formula", "formula without float64", "segments", "cerebras_pytorch",
                   "optax, jit", "torch, float lr", "torch, tensor lr"]  # fmt: skip
        yield Table(
            f"Worst error in float32 ulps, over {horizon:.0e} steps".replace("e+0", "e"),
            ["", *columns],
            made,
            f"At {len(at)} steps: the first, those about the end of the warm-up and the middle, "
            "and the last, by the hundred. Ulps are of the reference rounded to float32. "
            f"cerebras_pytorch 2.10.0 on its CPU backend, optax {optax.__version__} with jax "
            f"{jax.__version__}, torch {torch.__version__}, which starts at 0 and steps.",
        )  # fmt: skip


if __name__ == "__main__":
    show(tables())
