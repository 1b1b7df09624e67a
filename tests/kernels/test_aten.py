"""Each operation that can be compiled, against PyTorch, in each dtype that it accepts."""

import math

import numpy as np
import pytest
import torch

from accelsched._recording import record
from accelsched.kernels import Kernel
from accelsched.kernels.aten import TABLE

aten = torch.ops.aten
STEPS = range(0, 60)
# Numbers around 0, with halves for the rounding operations, and large ones.
X = [-7.5, -3.0, -2.5, -1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 3.7, 1e3, 1e-9, 1e300]
X += [math.inf, -math.inf, math.nan]
N = [-(2**63), -(2**40) - 1, -17, -3, -2, -1, 0, 1, 2, 3, 5, 16, 2**31, 2**53 + 1, 2**63 - 1]


def reals(t, dtype=torch.float64, shift=0):
    """Return a number of X that depends on the step."""
    return (
        torch.tensor(X, dtype=dtype).index_select(0, ((t + shift) % len(X)).reshape(1)).reshape(())
    )


def wholes(t, dtype=torch.int64, shift=0):
    return torch.tensor(N).index_select(0, ((t + shift) % len(N)).reshape(1)).reshape(()).to(dtype)


def small(t, dtype=torch.int64):
    return (t % 7 - 3).to(dtype)


def unit(t, dtype=torch.float64):
    """Return a number from -1 to 1 that depends on the step."""
    return ((t % 21).to(dtype) - 10) / 10


def row(t):
    return torch.arange(5) * 2 + t


FLOATS = (torch.float64, torch.float32)
INTS = (torch.int64, torch.int32, torch.uint8)

UNARY = "neg abs sign sgn floor ceil trunc round frac sqrt rsqrt reciprocal isnan isfinite isinf"
SMOOTH = "sin cos tan sinh cosh tanh asinh exp expm1 exp2 sigmoid erf erfc atan"
LOGS = "log log1p log2 log10 lgamma"
BOUNDED = "asin acos atanh"
BINARY = "add sub rsub mul"
EXTREMES = "minimum maximum"
DIVISIONS = "remainder fmod floor_divide"
COMPARISONS = "eq ne lt le gt ge"


def cases():
    """Yield pairs of a name and a function of the step."""
    for dtype in FLOATS:
        for name in UNARY.split():
            yield f"{name}", lambda t, f=getattr(torch, name), d=dtype: f(reals(t, d))
        for name in f"{SMOOTH} {BOUNDED} {LOGS}".split():
            yield name, lambda t, f=getattr(torch, name), d=dtype: f(unit(t, d))
        yield "acosh", lambda t, d=dtype: torch.acosh(unit(t, d) + 2)
        yield "atan2", lambda t, d=dtype: torch.atan2(unit(t, d), unit(t + 5, d))
        for name in EXTREMES.split():
            yield name, lambda t, f=getattr(torch, name), d=dtype: f(reals(t, d), reals(t // 19, d))
        for name in f"{BINARY} {DIVISIONS} {COMPARISONS} div".split():
            function = getattr(torch, name)
            yield name, lambda t, f=function, d=dtype: f(reals(t, d), reals(t // 19, d))
            yield name, lambda t, f=function, d=dtype: f(reals(t, d), -2.5)
            yield name, lambda t, f=function, d=dtype: f(reals(t, d), 3)
        for mode in ("floor", "trunc", None):
            yield "div", lambda t, m=mode, d=dtype: torch.div(reals(t, d), -2.5, rounding_mode=m)
        for exponent in (-2, -1, -0.5, 0, 0.5, 1, 2, 3, 4, 0.3, -7):
            yield "pow", lambda t, e=exponent, d=dtype: unit(t, d) ** e
        for base in (0.95, 2, 1.0):
            yield "pow", lambda t, b=base, d=dtype: b ** (unit(t, d) * 9)
        yield "pow", lambda t, d=dtype: torch.pow(unit(t, d), small(t, d))
        yield "clamp", lambda t, d=dtype: reals(t, d).clamp(-1.5, 2)
        yield "clamp", lambda t, d=dtype: reals(t, d).clamp(max=2).clamp(min=0.5)
        yield "clamp", lambda t, d=dtype: torch.clamp(reals(t, d), unit(t, d), unit(t, d) + 1)
        yield "clamp_min", lambda t, d=dtype: torch.clamp_min(reals(t, d), 1)
        yield "clamp_max", lambda t, d=dtype: torch.clamp_max(reals(t, d), 1)
        yield "clamp_min", lambda t, d=dtype: torch.clamp_min(reals(t, d), unit(t, d))
        yield "clamp_max", lambda t, d=dtype: torch.clamp_max(reals(t, d), unit(t, d))
        yield "fused", lambda t, d=dtype: torch.lerp(unit(t, d), unit(t + 3, d), 0.3)
        yield "fused", lambda t, d=dtype: torch.lerp(unit(t, d), unit(t + 3, d), unit(t + 9, d))
        yield "fused", lambda t, d=dtype: torch.addcmul(unit(t, d), unit(t + 1, d), small(t, d))
        yield (
            "fused",
            lambda t, d=dtype: torch.addcdiv(unit(t, d), unit(t + 1, d), unit(t, d) + 2, value=0.3),
        )
        yield "fused", lambda t, d=dtype: torch.add(unit(t, d), unit(t + 1, d), alpha=0.3)
        yield "fused", lambda t, d=dtype: torch.sub(unit(t, d), 2, alpha=3)
        yield "fused", lambda t, d=dtype: torch.rsub(unit(t, d), 2, alpha=3)
        yield "where", lambda t, d=dtype: torch.where(t % 2 == 0, unit(t, d), 0.5)
        for other in (*FLOATS, torch.bool):
            yield "cast", lambda t, d=dtype, o=other: reals(t, d).to(o)
        yield "cast", lambda t, d=dtype: (unit(t, d) * 100).to(torch.int64)
        yield "full_like", lambda t, d=dtype: torch.full_like(unit(t, d), 0.3)
        yield "ones_like", lambda t, d=dtype: torch.ones_like(unit(t, d)) + torch.zeros_like(t)
        yield "clone", lambda t, d=dtype: unit(t, d).clone().detach()
    for dtype in INTS:
        for name in ["neg", "abs", "sign", "sgn", "floor", "ceil", "trunc", "round", "bitwise_not"]:
            yield name, lambda t, f=getattr(torch, name), d=dtype: f(wholes(t, d))
        for name in EXTREMES.split():
            yield (
                name,
                lambda t, f=getattr(torch, name), d=dtype: f(wholes(t, d), wholes(t // 15, d)),
            )
        for name in f"{BINARY} {COMPARISONS} bitwise_and bitwise_or bitwise_xor".split():
            function = getattr(torch, name)
            yield name, lambda t, f=function, d=dtype: f(wholes(t, d), wholes(t // 15, d))
            yield name, lambda t, f=function, d=dtype: f(wholes(t, d), 3)
        yield "and", lambda t, d=dtype: (wholes(t, d) & 5) | 2 ^ (wholes(t, d) ^ 9)
        for name in DIVISIONS.split():
            function = getattr(torch, name)
            yield name, lambda t, f=function, d=dtype: f(wholes(t, d), 3)
            if dtype != torch.uint8:
                yield name, lambda t, f=function, d=dtype: f(wholes(t, d), -7)
                yield (
                    name,
                    lambda t, f=function, d=dtype: f(wholes(t, d), small(t * 2 + 1, d) * 2 + 1),
                )
        yield "remainder", lambda t, d=dtype: torch.remainder(100, small(t, d) * 2 + 7)
        yield "div", lambda t, d=dtype: wholes(t, d) / 3
        yield "div", lambda t, d=dtype: torch.div(wholes(t, d), 3, rounding_mode="trunc")
        yield "pow", lambda t, d=dtype: wholes(t, d) ** 2
        yield "pow", lambda t, d=dtype: small(t).abs().to(d) ** small(t + 1).abs().to(d)
        yield "pow", lambda t, d=dtype: 3 ** small(t).abs().to(d)
        yield "clamp", lambda t, d=dtype: wholes(t, d).clamp(1, 100)
        yield (
            "addcmul",
            lambda t, d=dtype: torch.addcmul(wholes(t, d), wholes(t + 1, d), small(t, d)),
        )
        for other in (*INTS, torch.int16, torch.int8, *FLOATS, torch.bool):
            yield "cast", lambda t, d=dtype, o=other: wholes(t, d).to(o)
        yield "mixed", lambda t, d=dtype: wholes(t, d) * 0.5
        yield "sin", lambda t, d=dtype: torch.sin(small(t, d))
        yield "isnan", lambda t, d=dtype: torch.isnan(wholes(t, d)) | torch.isinf(wholes(t, d))
    yield "pow", lambda t: torch.pow(small(t), small(t + 3))
    for name in ["logical_and", "logical_or", "logical_xor"]:
        yield name, lambda t, f=getattr(torch, name): f(t % 2 == 0, small(t))
    yield "logical_not", lambda t: torch.logical_not(small(t))
    yield "bool", lambda t: ~(t % 2 == 0) & (t % 3 == 0) | ((t > 5) ^ (t > 9))
    yield "truths", lambda t: (t > 5) < (t > 9)
    # Shapes.
    yield "take", lambda t: torch.tensor(X).take(t % 5)
    yield (
        "index",
        lambda t: (
            torch.tensor(X)[(t % 5).reshape(1)].reshape(())
            + torch.tensor(X)[(-(t % 5) - 1).unsqueeze(0)].squeeze(0)
        ),
    )
    yield "gather", lambda t: torch.tensor(X).gather(0, (t % 5).unsqueeze(0)).squeeze()
    yield "select", lambda t: row(t)[2] - row(t)[-1]
    yield "slice", lambda t: row(t)[1:4:2].sum() * row(t)[1:][0]
    yield "unbind", lambda t: row(t).unbind()[3] - row(t).unbind()[0]
    yield "squeeze", lambda t: (t.reshape(1, 1, 1) * 2).squeeze((0, 1)).squeeze(0)
    yield "stack", lambda t: torch.stack([t * 3, 9 - t, t * t]).amax(0)
    yield "expand", lambda t: (t.expand(4) + torch.arange(4)).sum()
    yield "transpose", lambda t: (row(t).unsqueeze(1) * torch.arange(3)).t()[1].sum()
    yield "transpose", lambda t: (row(t).unsqueeze(1) * torch.arange(3)).transpose(0, 1)[2, 4]
    yield "permute", lambda t: (row(t).view(5, 1) * torch.arange(3)).permute(1, 0)[2].prod()
    yield "matrix", lambda t: (torch.arange(12).reshape(3, 4) * t)[1].sum()
    # Reductions.
    for name in ["sum", "prod", "amax", "amin", "any", "all"]:
        yield name, lambda t, f=getattr(torch, name): f(row(t) % 3)
        yield name, lambda t, f=getattr(torch, name): f(row(t).view(5, 1) % 3, 0).squeeze()
    yield "max", lambda t: (row(t) % 3).max() + (row(t) % 3).min()
    yield "mean", lambda t: row(t).double().mean() + row(t).double().mean(0, keepdim=True)[0]
    yield "sum", lambda t: (row(t).unsqueeze(1) * torch.arange(3)).sum((0, 1))
    yield "sum", lambda t: (row(t).unsqueeze(1) > torch.arange(3)).sum(0)[1]
    yield "any", lambda t: (row(t).unsqueeze(1) > 9 + torch.arange(3)).any((0, 1))
    yield "all", lambda t: (row(t).unsqueeze(1) > 9 + torch.arange(3)).all((0, 1))


CASES = list(cases())
#: PyTorch's vector functions and the C library may each be off by one ulp in these.
INEXACT = {*f"{SMOOTH} {LOGS} {BOUNDED} acosh atan2 pow rsqrt".split()}


def allowed(name, want):
    """Return the allowed difference from PyTorch's value."""
    if not want.is_floating_point() or not math.isfinite(want):
        return 0.0
    kind = np.float32 if want.dtype == torch.float32 else np.float64
    # PyTorch fuses some sums of products, which saves the rounding of a product (below 3 here).
    size = max(abs(float(want)), 3.0 if name == "fused" else 0.0)
    return 2 * float(np.spacing(kind(size))) if name == "fused" or name in INEXACT else 0.0


CHUNKS = 12


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_an_operation_is_that_of_pytorch(chunk):
    """A kernel holds several cases: one kernel each, or one for all, would compile longer."""
    part = CASES[chunk::CHUNKS]
    kernel = Kernel(lambda t: [f(t) for _, f in part], [[i] for i in range(len(part))])
    for t, row in zip(STEPS, kernel.rows(STEPS).tolist(), strict=True):
        for (name, function), got in zip(part, row, strict=True):
            want = function(torch.tensor(t))
            same = got == float(want) or (math.isnan(got) and math.isnan(want))
            assert same or abs(got - float(want)) <= allowed(name, want), (name, t, got, want)


def test_every_operation_of_the_table_is_tested():
    graph = record(lambda t: [f(t) for _, f in CASES])
    covered = {str(node.target) for node in graph.graph.nodes}
    missing = {name for name in TABLE if name not in covered and _exists(name)}
    assert missing == set()


def _exists(name):
    _, packet, overload = name.split(".")
    return hasattr(getattr(aten, packet, None), overload)
