"""Specs and expressions that are nearly right: valid ones, broken in one to three places."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from binding import EVERY

from accelsched import policy, schedules, to_spec, weight_decay_scheduler

_SCHEDULES = [
    schedules.Linear(0.0, 0.1, 10).then(schedules.Step(0.1, 30, 0.5), at=10),
    schedules.Constant(0.1) + schedules.OneCycle(0.01, 0.1, 100),
    schedules.PiecewiseConstant([0.1, 0.2, 0.3], [5, 9]) * 2.0,
    schedules.Cyclic(0.01, 0.1, 5, 7, mode="exp_range", gamma=0.9),
    schedules.Tabulated(schedules.CosineDecay(0.1, 0.0, 20), 9, past_end="cycle"),
    schedules.Chained([schedules.Constant(0.1), schedules.Polynomial(1.0, 0.1, 9, 2.0)]),
]
_SCHEDULERS = [
    policy.Multiply({1: 0.5, 4: 0.1}, 0.1),
    policy.Switch([{0: 0.5}, {3: 0.1}], [0.1, 0.2]),
    weight_decay_scheduler.CosineDecayWD(None, 0.1, 0.0, 9),
]
VALID: list[Any] = [to_spec(item) for item in (*_SCHEDULES, *_SCHEDULERS)]
VALID += [to_spec(make(None)) for make in EVERY.values()]

TEXTS = [
    "Linear(0, 0.1, 100)",
    "2 * Linear(0.0, 0.1, 100).then(Step(0.1, 30, gamma=0.5), at=100)",
    "PiecewiseConstant([1/3, -0.5], (10,)) + 0.25 + Linear(0, 1e-3 * 2, 100)",
    "Tabulated(Linear(0, 1, 10), 5, past_end='cycle')",
    "SequentialLR([LinearLR(0, 0.1, 5), ConstantLR(0.1)], milestones=[5])",
    "Multiply({2: 0.5, 0: 2.0}, 0.1)",
]


class _Odd:
    """An object that is no data."""


def _deep(depth: int) -> Any:
    node: Any = 1
    for _ in range(depth):
        node = {"Scaled": {"schedule": node, "factor": 1.0}} if depth % 2 else [node]
    return node


def _circular() -> list[Any]:
    node: list[Any] = []
    node.append(node)
    return node


_JUNK: list[Callable[[], Any]] = [
    lambda: None, lambda: True, lambda: "", lambda: "x" * 500, lambda: "Linear(0, 1, 2)",
    lambda: b"lr", lambda: 0, lambda: -1, lambda: 10**400, lambda: -(10**5000), lambda: 2**63,
    lambda: 0.5, lambda: 1e308, lambda: float("nan"), lambda: float("-inf"), lambda: "1e400",
    lambda: 1j, lambda: [], lambda: {}, lambda: [[1]], lambda: {"a": {}}, lambda: {1: 2},
    lambda: {"Linear": {}}, lambda: {"Linear": None}, lambda: {"Constant": {"value": 0.1}},
    lambda: {"ConstantLR": {"learning_rate": 0.1}}, lambda: {None: 1}, lambda: {(1, 2): 3},
    lambda: {"9" * 5000: 0.1}, lambda: {10**5000: {}}, lambda: {1, 2}, lambda: (1, 2), _Odd,
    lambda: _Odd, lambda: len, lambda: "\ud800", lambda: _deep(150), lambda: _deep(151),
    lambda: _deep(3000), _circular, lambda: [0.1] * 300, lambda: schedules.Constant(1.0),
]  # fmt: skip

_TOKENS = [
    "Linear", "(", ")", "[", "]", "{", "}", ",", ".", "then", "at=", "=", "*", "**", "+", "-", "/",
    "0", "1e400", "9" * 400, "9" * 5000, "None", "True", "'a'", "b'a'", "1j", "...", "lambda: 1",
    "x", "(" * 300, "-" * 5000, "\0", "\\", "\n", " ", "#", "f'{x}'", "'\\d'", "\ud800", "if", ":",
    ".then(Constant(1), at=3)" * 3000, "+ 1" * 200, "end=1", "*[1]", "**{}", "__import__('os')",
]  # fmt: skip

_OPERANDS = [
    "3", "0", "-2", "1.5", "1e-300", "1e308", "1e400", "9" * 400, "2 / 0", "1 / 3", "-(-1)",
    "Constant(0.5)", "Linear(0, 1, 2)", "LinearLR(0, 1, 2)", "[1, 2]", "True", "'cos'", "None",
    "(1 + 2)", "{1: 2}", "4611686018427387904", "9223372036854775807", "1e18",
]  # fmt: skip


def broken_specs(count: int, seed: int, valid: Sequence[Any] = VALID) -> Iterator[Any]:
    """Specs, or other data, with one to three mistakes each."""
    rng = random.Random(seed)
    for _ in range(count):
        holder = [copy.deepcopy(rng.choice(valid))]
        for _ in range(rng.randint(1, 3)):
            _break(holder, rng)
        yield holder[0]


def _break(holder: list[Any], rng: random.Random) -> None:
    places = [(node, key) for node in _nodes(holder) for key in _keys(node)]
    node, key = rng.choice(places)
    junk = rng.choice(_JUNK)()
    kind = rng.randrange(5) if isinstance(node, dict) else rng.choice([0, 0, 3])
    if kind == 0:
        node[key] = junk
    elif kind == 1:
        del node[key]
    elif kind == 2:
        node[rng.choice(["initial", "optimizer", "nonsense", 7, None, b"end", "self"])] = junk
    elif kind == 3:
        node[key] = [node[key]] if rng.random() < 0.5 else {"Linear": node[key]}
    else:
        node[rng.choice(["Linear", "ChainedLR", "Scheduler", 1])] = node.pop(key)


def _nodes(holder: Any, depth: int = 0) -> Iterator[Any]:
    if isinstance(holder, (dict, list)) and depth < 12:
        yield holder
        for below in holder.values() if isinstance(holder, dict) else holder:
            yield from _nodes(below, depth + 1)


def _keys(node: Any) -> list[Any]:
    return list(node) if isinstance(node, dict) else list(range(len(node)))


def broken_texts(count: int, seed: int) -> Iterator[str]:
    """Expressions with one to three mistakes each."""
    rng = random.Random(seed)
    for _ in range(count):
        tokens = re.findall(r"\w+|\s+|.", rng.choice(TEXTS))
        for _ in range(rng.randint(1, 3)):
            numbers = [i for i, token in enumerate(tokens) if token.isdigit()]
            if numbers and rng.random() < 0.7:
                tokens[rng.choice(numbers)] = rng.choice(_OPERANDS)
            else:
                at = rng.randrange(len(tokens))
                tokens[at : at + rng.randrange(3)] = [rng.choice(_TOKENS)]
        yield "".join(tokens)
