"""On the host, a user's function reads its variables anew at each step, as in torch."""

import functools
import math
import types

import pytest
import torch

from accelsched import Scheduler
from accelsched._recording.variables import variables_of
from accelsched.kernels import Interpreted, Kernel, Watching, host_function
from accelsched.schedules import Lambda, Linear, Sequential

GLOBAL = 2.0


def reads_a_global(step):
    return GLOBAL * step


def calls_another(step):
    return reads_a_global(step) + 1


def counted(functions):
    reads = variables_of(functions)
    return None if reads is None else len(reads)


def within():
    base, factors, holder = 0.5, [0.5], types.SimpleNamespace(base=0.5)
    frozen = Linear(0.0, 1.0, 10)
    return {
        "no variable": (lambda t: 0.95**t, 0),
        "modules": (lambda t: torch.cos(t * math.pi), 2),
        "a number": (lambda t: base**t, 1),
        "a default": (lambda t, base=base: base**t, 0),
        "a global": (reads_a_global, 1),
        "of a function": (calls_another, 2),
        "in a comprehension": (lambda t: sum([GLOBAL * t for _ in range(2)]), 1),
        "a partial function": (functools.partial(lambda factor, t: factor * t, 3.0), 0),
        "a schedule": (lambda t: frozen(int(t)), 1),
        "a list": (lambda t: factors[0] ** t, None),
        "a default list": (lambda t, factors=factors: factors[0] ** t, None),
        "an attribute": (lambda t: holder.base**t, None),
        "a partial list": (functools.partial(lambda factors, t: factors[0] * t, factors), None),
        "a method": (types.MethodType(lambda self, t: self.base**t, holder), None),
        "a method of a list": ([0.5, 0.25].__getitem__, None),
        "an operation": (torch.cos, 0),
        "a cache": (functools.lru_cache(lambda t: base**t), None),
        "an object": (type("Own", (), {"__call__": lambda self, t: t})(), None),
    }


@pytest.mark.parametrize("name", within())
def test_what_a_function_reads_is_found(name):
    function, count = within()[name]
    assert counted([function]) == count


def test_a_function_that_calls_itself_is_looked_at_once():
    def power(t, n=3):
        return t * power(t, n - 1) if n else 1.0

    assert counted([power]) == 1


def test_numbers_are_watched_and_the_rest_is_called():
    base, factors = 0.5, [0.5]
    kinds = {
        Kernel: lambda t: 0.5**t,
        Watching: lambda t: base**t,
        Interpreted: lambda t: factors[0],
    }
    for kind, function in kinds.items():
        made = host_function(lambda step, function=function: Lambda(1.0, (function,))._values(step))
        assert type(made) is kind


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("holder", ["a number", "a list"])
def test_a_scheduler_follows_a_variable_as_torchs_does(holder, groups):
    scale, scales = 1.0, [1.0]

    def change(value):
        nonlocal scale
        scale = scales[0] = value

    function = (lambda t: scale * 0.9**t) if holder == "a number" else lambda t: scales[0] * 0.9**t

    def build(cls, *args):
        parts = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(groups)]
        optimizer = torch.optim.SGD(parts, lr=0.1)
        return optimizer, cls(optimizer, *args)

    ours, scheduler = build(Scheduler, Lambda(0.1, (function,)))
    torchs, peer = build(torch.optim.lr_scheduler.LambdaLR, function)
    for step in range(12):
        if step % 4 == 3:
            change(float(step))
        torchs.step()
        scheduler.step()
        peer.step()
        rates = [group["lr"] for group in ours.param_groups]
        assert rates == pytest.approx([group["lr"] for group in torchs.param_groups], rel=1e-15)
        assert scheduler.get() == rates
        assert scheduler.schedule(step + 1) == rates[0]


def test_a_variable_that_makes_a_function_untraceable_is_followed_too():
    limit = torch.tensor(100.0).item()

    def function(t):
        return t * limit if isinstance(limit, float) else float(t) * float(limit)

    schedule = Lambda(1.0, (function,))
    assert schedule(2) == 200.0
    limit = "3"
    assert schedule(2) == 6.0


def test_in_a_composition_too():
    scale = 1.0
    schedule = Sequential([Linear(0.0, 1.0, 4), Lambda(1.0, (lambda t: scale * 0.5**t,))], [4])
    assert schedule.curve(0, 7).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    scale = 4.0
    assert schedule.curve(0, 7).tolist() == [0.0, 0.25, 0.5, 0.75, 4.0, 2.0, 1.0]
