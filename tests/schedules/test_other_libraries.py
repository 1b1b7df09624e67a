"""Schedules of other libraries, each written as a user of them would write it here.

Each is compared with the library's own computation: a few lines of plain Python here, or the
library itself where it is installed. Steps are training steps, counted from 0. A comment says
where a library counts differently.
"""

import math
from bisect import bisect_right

import pytest
import torch

from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    CosineDecay,
    Cyclic,
    Exponential,
    InverseExponentialTimeDecay,
    InverseSquareRootDecay,
    Lambda,
    Linear,
    Logarithmic,
    MultiStep,
    PiecewiseConstant,
    Polynomial,
    Sequential,
    Step,
    WarmupCosine,
    WarmupStableDecay,
    maximum,
    minimum,
)

# A run of N training steps: W of warm-up, then S at the peak, then D of decay.
LR, LOW = 0.1, 0.01
W, S, D = 10, 60, 30
N = W + S + D


def half_wave(x):
    return (1 + math.cos(math.pi * x)) / 2


def between(low, high, x):
    return low + (high - low) * x


SHAPES = {
    "linear": lambda x: 1 - x,
    "cosine": half_wave,
    "1-sqrt": lambda x: 1 - math.sqrt(x),
    "exponential": lambda x: 2 * 0.5**x - 1,
}


def trapezoid(shape, low=LOW):
    return WarmupStableDecay(LR, N, W, D, end=low, decay_shape=shape)


# torchtitan: build_lr_schedulers.


def torchtitan(shape, low):
    """Return the curve, whose warm-up and decay are both a step ahead."""

    def at(t):
        if t < W:
            return LR * (t + 1) / W
        if t < W + S:
            return LR
        return between(low, LR, SHAPES[shape](min(t + 1 - W - S, D) / D))

    return at


def torchtitan_until_2025(t):
    if t < W:
        return LR * (t + 1) / (W + 1)
    return LR if t < W + S else LR * (1 - min(t + 1 - W - S, D + 1) / (D + 1))


TORCHTITAN = {
    "linear": (trapezoid("linear", 0.0).shifted(1), torchtitan("linear", 0.0)),
    "cosine": (trapezoid("cosine").shifted(1), torchtitan("cosine", LOW)),
    "sqrt": (trapezoid("1-sqrt").shifted(1), torchtitan("1-sqrt", LOW)),
    "linear, until 2025": (
        WarmupStableDecay(LR, N + 1, W + 1, D + 1).shifted(1),
        torchtitan_until_2025,
    ),
}

# Megatron-LM: OptimizerParamScheduler.


def megatron(decayed):
    def at(t):
        if t <= W:
            return LR * t / W
        return LOW if t > N else decayed(t)

    return at


def megatron_wsd(shape):
    return megatron(lambda t: between(LOW, LR, SHAPES[shape](max(t - W - S, 0) / D)))


WARMUP = Linear(0.0, LR, W)
ROOT = InverseSquareRootDecay(LR, scale=W**0.5)
HALVED = Exponential(2.0, total_iters=D, rate=0.5) - 1
MEGATRON = {
    "constant": (WARMUP, lambda t: LR * min(t / W, 1)),
    "linear": (
        WARMUP.then(Linear(LR, LOW, N - W), at=W),
        megatron(lambda t: between(LOW, LR, 1 - (t - W) / (N - W))),
    ),
    "cosine": (
        WarmupCosine(LR, N, W, end=LOW),
        megatron(lambda t: between(LOW, LR, half_wave((t - W) / (N - W)))),
    ),
    "inverse-square-root": (
        WARMUP.then(maximum(ROOT, LOW), at=W, restart=False).then(Constant(LOW), at=N + 1),
        megatron(lambda t: max(LR * math.sqrt(W / t), LOW)),
    ),
    "WSD linear": (trapezoid("linear"), megatron_wsd("linear")),
    "WSD cosine": (trapezoid("cosine"), megatron_wsd("cosine")),
    "WSD minus_sqrt": (trapezoid("1-sqrt"), megatron_wsd("1-sqrt")),
    "WSD exponential": (
        WARMUP.then(Constant(LR), at=W)
        .then(LOW + (LR - LOW) * HALVED, at=W + S)
        .then(Constant(LOW), at=N),
        megatron_wsd("exponential"),
    ),
    "weight decay, linear": (Linear(LOW, LR, N), lambda t: between(LOW, LR, min(t / N, 1))),
    "weight decay, cosine": (
        CosineDecay(LOW, LR, N),
        lambda t: between(LOW, LR, half_wave(1 - min(t / N, 1))),
    ),
}

# DeepSpeed: deepspeed.runtime.lr_schedules. Its count is -1 in the first training step.


def logarithm(count):
    return math.log(count + 1) / math.log(W)


def deepspeed(rise, decayed):
    def at(t):
        count = max(t - 1, 0)
        return between(LOW, LR, rise(count) if count < W else decayed(count))

    return at


def deepspeed_cosine(t):
    count = t - 1
    if count < W:
        return LR * max(count, 0) / W
    return LR * between(0.2, 1.0, half_wave(min((count - W + 1) / (N - W), 1)))


def deepspeed_cycle(t):
    if t <= 50:
        return between(LOW, LR, t / 20 if t <= 20 else (50 - t) / 30)
    return LOW / (1 + 0.5 * (t - 50) / 7)


DEEPSPEED = {
    "WarmupLR, log": (
        Logarithmic(LOW, LR, W - 1).shifted(-1),
        deepspeed(logarithm, lambda count: 1),
    ),
    "WarmupLR, linear": (
        Linear(LOW, LR, W).shifted(-1),
        deepspeed(lambda count: count / W, lambda count: 1),
    ),
    "WarmupDecayLR, log": (
        Logarithmic(LOW, LR, W - 1).then(Linear(LR, LOW, N - W), at=W).shifted(-1),
        deepspeed(logarithm, lambda count: max((N - count) / (N - W), 0)),
    ),
    "WarmupCosineLR, linear": (
        # Its cosine is a step ahead of its warm-up.
        WARMUP.then(CosineDecay(LR, 0.2 * LR, N - W).shifted(1), at=W).shifted(-1),
        deepspeed_cosine,
    ),
    "LRRangeTest": (Linear(LOW, LOW * (1 + 5 * 40), 7 * 40), lambda t: LOW * (1 + 5 * t / 7)),
    "OneCycle": (
        Cyclic(LOW, LR, 20, 30).then(
            InverseExponentialTimeDecay(LOW, step_exponent=1, total_iters=7, rate=0.5), at=50
        ),
        deepspeed_cycle,
    ),
}

# timm: timm.scheduler. Its cycles grow by a factor, as in fairseq and Keras.


def cycle_of(t, length, factor):
    """Return the number of the cycle at step t, and the elapsed fraction of that cycle."""
    count = t // length
    if factor != 1:
        count = math.floor(math.log(1 - t / length * (1 - factor), factor))
        t -= length * (1 - factor**count) / (1 - factor)
    else:
        t -= length * count
    return count, t / (length * factor**count)


def timm(decayed, *, prefix=True):
    """Return the curve; without ``warmup_prefix`` the decay counts the warm-up's steps too."""
    return lambda t: between(LOW, LR, t / W) if t < W else decayed(t - W if prefix else t)


def timm_cosine(limit, factor=1.0, shrink=1.0, length=20):
    def decayed(t):
        count, elapsed = cycle_of(t, length, factor)
        return between(LOW, LR * shrink**count, half_wave(elapsed)) if count < limit else LOW

    return decayed


FROM_LOW = Linear(LOW, LR, W)
WAVES = CosineAnnealingWarmRestarts(1.0, 20)
TIMM = {
    "CosineLRScheduler": (
        FROM_LOW.then(CosineDecay(LR, LOW, N), at=W, restart=False),
        timm(timm_cosine(1, length=N), prefix=False),
    ),
    "CosineLRScheduler, warmup_prefix": (
        FROM_LOW.then(CosineDecay(LR, LOW, N), at=W),
        timm(timm_cosine(1, length=N)),
    ),
    "CosineLRScheduler, cycle_mul=1.5": (
        FROM_LOW.then(CosineAnnealingWarmRestarts(LR, 20, 1.5, LOW), at=W),
        timm(timm_cosine(99, 1.5)),
    ),
    "CosineLRScheduler, cycle_decay=0.5, cycle_limit=4": (
        FROM_LOW.then(WAVES * (LR * Step(1.0, 20, 0.5) - LOW) + LOW, at=W).then(
            Constant(LOW), at=W + 4 * 20
        ),
        timm(timm_cosine(4, 1.0, 0.5)),
    ),
    "CosineLRScheduler, k_decay=2": (
        Lambda(LR / 2, [lambda t: 1 + torch.cos(math.pi * (t.clamp(max=N) / N) ** 2)]),
        lambda t: LR * half_wave(min(t / N, 1) ** 2),
    ),
    "TanhLRScheduler": (
        Lambda(LR / 2, [lambda t: 1 - torch.tanh(-7 + 10 * t / 200)]),
        lambda t: LR / 2 * (1 - math.tanh(-7 * (1 - t / 200) + 3 * t / 200)),
    ),
    "PolyLRScheduler": (
        FROM_LOW.then(Polynomial(LR, LOW, N, 0.5), at=W),
        timm(lambda t: between(LOW, LR, (1 - min(t / N, 1)) ** 0.5)),
    ),
    "StepLRScheduler": (
        FROM_LOW.then(Step(LR, 20, 0.5), at=W),
        timm(lambda t: LR * 0.5 ** (t // 20)),
    ),
    "MultiStepLRScheduler": (
        FROM_LOW.then(MultiStep(LR, gamma=0.5, milestones=[20, 50]), at=W),
        timm(lambda t: LR * 0.5 ** bisect_right([20, 50], t)),
    ),
}

# fairseq: fairseq.optim.lr_scheduler.


def fairseq(decayed, first=0.0):
    return lambda t: between(first, LR, t / W) if t < W else decayed(t)


def fairseq_cosine(factor, shrink):
    def decayed(t):
        count, elapsed = cycle_of(t - W, 20, factor)
        return shrink**count * between(LOW, LR, half_wave(elapsed))

    return fairseq(decayed, LOW)


def fairseq_triangle(t):
    count, elapsed = divmod(t, 40)
    return between(LOW, LR * 0.5**count, 1 - abs(elapsed / 20 - 1))


def tri_stage(t):
    if t >= W + S + D:
        return LOW
    return LR if t < W + S else LR * math.exp(math.log(LOW / LR) / D * (t - W - S))


TRIANGLES = Cyclic(0.0, 1.0, 20)
FAIRSEQ = {
    "cosine": (
        FROM_LOW.then(CosineAnnealingWarmRestarts(LR, 20, 1, LOW) * Step(1.0, 20, 0.1), at=W),
        fairseq_cosine(1, 0.1),
    ),
    "cosine, t_mult=1.5": (
        FROM_LOW.then(CosineAnnealingWarmRestarts(LR, 20, 1.5, LOW), at=W),
        fairseq_cosine(1.5, 1),
    ),
    "inverse_sqrt": (
        WARMUP.then(ROOT, at=W, restart=False),
        fairseq(lambda t: LR * math.sqrt(W) * t**-0.5),
    ),
    "polynomial_decay": (
        WARMUP.then(Polynomial(LR, LOW, N - W, 2.0), at=W),
        fairseq(lambda t: between(LOW, LR, (1 - min((t - W) / (N - W), 1)) ** 2)),
    ),
    "tri_stage": (
        FROM_LOW.then(Constant(LR), at=W)
        .then(Exponential(LR, total_iters=D, rate=LOW / LR), at=W + S)
        .then(Constant(LOW), at=N),
        fairseq(tri_stage, LOW),
    ),
    "triangular": (
        LOW + TRIANGLES * (LR * Step(1.0, 40, 0.5) - LOW),
        fairseq_triangle,
    ),
    "fixed": (Linear(0.0, LR, W).shifted(1), lambda t: LR * min((t + 1) / W, 1)),
}

# Keras: keras.optimizers.schedules.


def keras_restarts(factor, lowered):
    def at(t):
        count, elapsed = cycle_of(t, 10, factor)
        return LR * between(0.1, 1.0, lowered**count * half_wave(elapsed))

    return at


def keras_cycling(t):
    length = 30 * max(1, math.ceil(t / 30))
    return between(LOW, LR, (1 - t / length) ** 2)


KERAS = {
    "ExponentialDecay": (
        Exponential(LR, total_iters=20, rate=0.9),
        lambda t: LR * 0.9 ** (t / 20),
    ),
    "ExponentialDecay, staircase": (
        Exponential(LR, total_iters=20, rate=0.9, staircase=True),
        lambda t: LR * 0.9 ** (t // 20),
    ),
    "PiecewiseConstantDecay": (
        # At a boundary the old value still applies.
        PiecewiseConstant([LR, 0.05, LOW], [20, 50]).shifted(-1),
        lambda t: LR if t <= 20 else 0.05 if t <= 50 else LOW,
    ),
    "PolynomialDecay": (
        Polynomial(LR, LOW, N, 3.0),
        lambda t: between(LOW, LR, (1 - min(t, N) / N) ** 3),
    ),
    "PolynomialDecay, cycle": (Polynomial(LR, LOW, 30, 2.0, cycle=True), keras_cycling),
    "InverseTimeDecay": (
        InverseExponentialTimeDecay(LR, step_exponent=1, total_iters=20, rate=0.5),
        lambda t: LR / (1 + 0.5 * t / 20),
    ),
    "InverseTimeDecay, staircase": (
        InverseExponentialTimeDecay(LR, step_exponent=1, total_iters=20, rate=0.5, staircase=True),
        lambda t: LR / (1 + 0.5 * (t // 20)),
    ),
    "CosineDecay, warmup_target": (
        Linear(LOW, LR, W).then(CosineDecay(LR, 0.2 * LR, D), at=W),
        lambda t: (
            between(LOW, LR, t / W)
            if t < W
            else LR * between(0.2, 1, half_wave(min((t - W) / D, 1)))
        ),
    ),
    "CosineDecayRestarts, t_mul=1.5": (
        CosineAnnealingWarmRestarts(LR, 10, 1.5, 0.1 * LR),
        keras_restarts(1.5, 1.0),
    ),
    "CosineDecayRestarts, m_mul=0.8": (
        CosineAnnealingWarmRestarts(0.9 * LR, 10) * Step(1.0, 10, 0.8) + 0.1 * LR,
        keras_restarts(1, 0.8),
    ),
}

# MaxText and Levanter combine optax's schedules.


def warmed_up(decayed):
    return lambda t: LR * t / W if t < W else decayed(t)


def levanter_root(t):
    # Levanter counts from 0 again after the warm-up, and adds the warm-up's steps.
    return max(LR * min(1.0, 1 / math.sqrt(max(t, 1) / 40)), LOW)


MAXTEXT = {
    "cosine": (
        WarmupCosine(LR, N, W, end=LOW).then(Constant(0.0), at=N),
        warmed_up(lambda t: between(LOW, LR, half_wave((t - W) / (N - W))) if t < N else 0.0),
    ),
    "wsd": (
        trapezoid("linear").then(Constant(0.0), at=N),
        warmed_up(lambda t: between(LOW, LR, 1 - max(t - W - S, 0) / D) if t < N else 0.0),
    ),
}
LEVANTER = {
    "cosine": (
        WarmupCosine(LR, N, W, end=LOW),
        warmed_up(lambda t: between(LOW, LR, half_wave(min((t - W) / (N - W), 1)))),
    ),
    "linear, stable": (
        trapezoid("linear"),
        warmed_up(lambda t: between(LOW, LR, 1 - min(max(t - W - S, 0) / D, 1))),
    ),
    "constant, cooldown": (
        trapezoid("linear"),
        warmed_up(lambda t: between(LR, LOW, min(max(t - (N - D), 0) / D, 1))),
    ),
    "inv_sqrt": (
        WARMUP.then(
            maximum(InverseSquareRootDecay(LR, scale=40**0.5, warmup_steps=40), LOW),
            at=W,
            restart=False,
        ),
        warmed_up(levanter_root),
    ),
}

# NeMo: nemo.core.optim.lr_scheduler. Its warm-ups begin at 1 / (W + 1).


def nemo(decayed, low=LOW):
    def at(t):
        if t <= W:
            return LR * (t + 1) / (W + 1)
        return low if t > N else decayed(t)

    return at


def noam(t):
    t = max(t, 1)
    return 512**-0.5 * min(t**-0.5, t * W**-1.5)


def nemo_hold(t):
    return LR if t < W + S else max(LR * (W / max(1, t - S)) ** 0.5, LOW)


ONE_AHEAD = Linear(0.0, LR, W + 1).shifted(1)
NEMO = {
    "WarmupPolicy": (ONE_AHEAD.then(Constant(LOW), at=N + 1), nemo(lambda t: LR)),
    "WarmupHoldPolicy and PolynomialHoldDecayAnnealing": (
        ONE_AHEAD.then(Polynomial(LR, LOW, D, 2.0), at=W + S),
        nemo(lambda t: between(LOW, LR, (1 - max(t - W - S, 0) / D) ** 2)),
    ),
    "SquareAnnealing": (
        ONE_AHEAD.then(maximum(Polynomial(LR, 0.0, N - W, 2.0), LOW), at=W),
        nemo(lambda t: max(LR * ((N - t) / (N - W)) ** 2, LOW)),
    ),
    "SquareRootAnnealing": (
        # Its decay counts the warm-up's steps too.
        ONE_AHEAD.then(maximum(Polynomial(LR, 0.0, N, 0.5), LOW), at=W + 1, restart=False),
        nemo(lambda t: max(LR * ((N - t) / N) ** 0.5, LOW)),
    ),
    "CosineAnnealing": (
        ONE_AHEAD.then(CosineDecay(LR, LOW, N - W), at=W),
        nemo(lambda t: between(LOW, LR, half_wave((t - W) / (N - W)))),
    ),
    "CosineAnnealing, constant_steps": (
        WarmupCosine(LR, W + S, W, end=LOW),
        lambda t: LR * t / W if t <= W else between(LOW, LR, half_wave(min((t - W) / S, 1))),
    ),
    "NoamAnnealing": (
        # Its first step counts as the second.
        (512**-0.5 * Linear(0.0, 1.0, W) * InverseSquareRootDecay(1.0, warmup_steps=W))
        .shifted(1)
        .shifted(-1),
        noam,
    ),
    "NoamHoldAnnealing": (
        ONE_AHEAD.then(maximum(ROOT.shifted(W), LOW), at=W + S).then(Constant(LOW), at=N + 1),
        nemo(nemo_hold),
    ),
    "WarmupAnnealing": (
        ONE_AHEAD.then(Linear(LR, LOW, N - W), at=W),
        nemo(lambda t: between(LOW, LR, 1 - (t - W) / (N - W))),
    ),
    "InverseSquareRootAnnealing": (
        minimum(Linear(0.0, LR, W + 1), InverseSquareRootDecay(LR, scale=(W + 1) ** 0.5))
        .shifted(1)
        .then(Constant(LOW), at=N + 1),
        nemo(lambda t: LR / ((t + 1) / (W + 1)) ** 0.5),
    ),
    "T5InverseSquareRootAnnealing": (
        InverseSquareRootDecay(1.0, warmup_steps=W),
        lambda t: 1 / math.sqrt(max(t, W)),
    ),
    "PolynomialDecayAnnealing": (
        ONE_AHEAD.then(Polynomial(LR, LOW, N - W, 0.5), at=W),
        nemo(lambda t: between(LOW, LR, (1 - (t - W) / (N - W)) ** 0.5)),
    ),
}

LIBRARIES = {
    "torchtitan": TORCHTITAN,
    "Megatron": MEGATRON,
    "DeepSpeed": DEEPSPEED,
    "timm": TIMM,
    "fairseq": FAIRSEQ,
    "Keras": KERAS,
    "MaxText": MAXTEXT,
    "Levanter": LEVANTER,
    "NeMo": NEMO,
}
CASES = {
    f"{library}: {name}": case
    for library, cases in LIBRARIES.items()
    for name, case in cases.items()
}


def compare(ours, theirs, stop=N + 20):
    values = ours(torch.arange(stop)).tolist()
    for t, value in enumerate(values):
        # Near 0 their values are differences, off by a rounding of the peak.
        assert value == pytest.approx(theirs(t), rel=1e-12, abs=2**-52 * max(values)), t


@pytest.mark.parametrize(("ours", "theirs"), CASES.values(), ids=CASES)
def test_a_schedule_of_another_library(ours, theirs):
    compare(ours, theirs)


def test_how_many_are_here():
    assert len(CASES) >= 60


# transformers: the library itself, transformers.optimization.


def transformers_cases():
    warmed = {"num_warmup_steps": W, "num_training_steps": N}
    return {
        "constant": ({}, Constant(LR)),
        "constant_with_warmup": ({"num_warmup_steps": W}, WARMUP),
        "linear": (warmed, WARMUP.then(Linear(LR, 0.0, N - W), at=W)),
        # Past its end it rises again.
        "cosine": (warmed, WARMUP.then(CosineAnnealing(LR, N - W), at=W)),
        "cosine_with_restarts": (
            {**warmed, "scheduler_specific_kwargs": {"num_cycles": 3}},
            WARMUP.then(CosineAnnealingWarmRestarts(LR, 30), at=W).then(Constant(0.0), at=N),
        ),
        "polynomial": (
            {**warmed, "scheduler_specific_kwargs": {"power": 2.0, "lr_end": LOW}},
            WARMUP.then(Polynomial(LR, LOW, N - W, 2.0), at=W),
        ),
        "inverse_sqrt": ({"num_warmup_steps": W}, WARMUP.then(ROOT, at=W, restart=False)),
        "cosine_with_min_lr": (
            {**warmed, "scheduler_specific_kwargs": {"min_lr_rate": 0.1}},
            WARMUP.then(CosineAnnealing(LR, N - W, 0.1 * LR), at=W),
        ),
        "cosine_warmup_with_min_lr": (
            # Both of its phases are a step ahead.
            {**warmed, "scheduler_specific_kwargs": {"min_lr_rate": 0.1}},
            WARMUP.then(CosineAnnealing(LR, N - W, 0.1 * LR), at=W).shifted(1),
        ),
        "warmup_stable_decay": (
            {**warmed, "scheduler_specific_kwargs": {"num_decay_steps": D, "decay_type": "1-sqrt"}},
            trapezoid("1-sqrt", 0.0),
        ),
    }


def test_transformers():
    reason = "transformers is installed by `make test` only"
    transformers = pytest.importorskip("transformers", reason=reason)
    for name, (arguments, ours) in transformers_cases().items():
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
        scheduler = transformers.get_scheduler(name, optimizer, **arguments)
        (factor,) = scheduler.lr_lambdas
        compare(ours, lambda t, factor=factor: LR * factor(t))


# optax: the library itself, every function of optax.schedules.


def optax_cases(optax):
    twice = WarmupCosine(LR, 40, W, end=LOW)
    wave = CosineDecay(1.0, 0.0, N)
    down = {20: 0.5, 50: 0.1}
    return {
        "constant_schedule": (optax.constant_schedule(LR), Constant(LR)),
        "linear_schedule": (
            optax.linear_schedule(LOW, LR, D, transition_begin=W),
            Linear(LOW, LR, D).shifted(-W),
        ),
        "polynomial_schedule": (
            optax.polynomial_schedule(LR, LOW, 2.5, N),
            Polynomial(LR, LOW, N, 2.5),
        ),
        "piecewise_constant_schedule": (
            optax.piecewise_constant_schedule(LR, down),
            PiecewiseConstant([LR, 0.5 * LR, 0.05 * LR], [20, 50]),
        ),
        "exponential_decay": (
            optax.exponential_decay(LR, D, 0.5, transition_begin=W, end_value=LOW),
            maximum(Exponential(LR, total_iters=D, rate=0.5), LOW).shifted(-W),
        ),
        "exponential_decay, staircase": (
            optax.exponential_decay(LR, D, 0.5, staircase=True),
            Exponential(LR, total_iters=D, rate=0.5, staircase=True),
        ),
        "cosine_decay_schedule": (
            optax.cosine_decay_schedule(LR, N, alpha=0.1),
            CosineDecay(LR, 0.1 * LR, N),
        ),
        "cosine_decay_schedule, exponent=2": (
            optax.cosine_decay_schedule(LR, N, alpha=0.1, exponent=2),
            LR * (0.1 + 0.9 * wave * wave),
        ),
        "piecewise_interpolate_schedule, linear": (
            optax.piecewise_interpolate_schedule("linear", LR, down),
            Linear(LR, 0.5 * LR, 20).then(Linear(0.5 * LR, 0.05 * LR, 30), at=20),
        ),
        "piecewise_interpolate_schedule, cosine": (
            optax.piecewise_interpolate_schedule("cosine", LR, down),
            CosineDecay(LR, 0.5 * LR, 20).then(CosineDecay(0.5 * LR, 0.05 * LR, 30), at=20),
        ),
        "linear_onecycle_schedule": (
            optax.linear_onecycle_schedule(N, LR, 0.3, 0.8, 25, 100),
            Sequential(
                [Linear(LR / 25, LR, 30), Linear(LR, LR / 25, 50), Linear(LR / 25, LR / 2500, 20)],
                [30, 80],
            ),
        ),
        "cosine_onecycle_schedule": (
            optax.cosine_onecycle_schedule(N, LR, 0.3, 25, 100),
            CosineDecay(LR / 25, LR, 30).then(CosineDecay(LR, LR / 2500, 70), at=30),
        ),
        "warmup_constant_schedule": (optax.warmup_constant_schedule(0.0, LR, W), WARMUP),
        "warmup_cosine_decay_schedule": (
            optax.warmup_cosine_decay_schedule(0.0, LR, W, N, LOW),
            WarmupCosine(LR, N, W, end=LOW),
        ),
        "warmup_exponential_decay_schedule": (
            optax.warmup_exponential_decay_schedule(0.0, LR, W, D, 0.5, end_value=LOW),
            WARMUP.then(maximum(Exponential(LR, total_iters=D, rate=0.5), LOW), at=W),
        ),
        "sgdr_schedule": (
            optax.sgdr_schedule(
                [
                    {
                        "init_value": 0.0,
                        "peak_value": peak,
                        "warmup_steps": W,
                        "decay_steps": 40,
                        "end_value": 0.1 * peak,
                    }
                    for peak in (LR, 0.5 * LR)
                ]
            ),
            twice.then(0.5 * twice, at=40),
        ),
        "join_schedules": (
            optax.join_schedules([optax.linear_schedule(0.0, LR, W), lambda t: LOW], [W]),
            WARMUP.then(Constant(LOW), at=W),
        ),
    }


def test_optax():
    optax = pytest.importorskip("optax", reason="optax is installed by `make test` only")
    import jax

    jax.config.update("jax_enable_x64", True)
    for theirs, ours in optax_cases(optax).values():
        compare(ours, lambda t, theirs=theirs: float(theirs(t)))
