"""The recorded curves of cerebras_pytorch, rebuilt with our classes."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from accelsched import lr_scheduler

CASES = json.loads((Path(__file__).parents[1] / "golden" / "cerebras.json").read_text())


def build(case: dict[str, Any]) -> lr_scheduler.LRScheduler:
    groups = [{"params": [torch.zeros(1)], **group} for group in case["groups"]]
    optimizer = torch.optim.SGD(groups, lr=case.get("default_lr", 1e-3))
    return _scheduler(optimizer, case["scheduler"], case["kwargs"])


def _scheduler(optimizer: Any, name: str, given: dict[str, Any]) -> lr_scheduler.LRScheduler:
    kwargs = dict(given)
    if name == "LambdaLR" and "lambdas" in kwargs:
        cls = _lambda_class([_function(text) for text in kwargs.pop("lambdas")])
    else:
        cls = getattr(lr_scheduler, name)
    for key, value in kwargs.items():
        if key == "schedulers":
            kwargs[key] = [_scheduler(optimizer, v["scheduler"], v["kwargs"]) for v in value]
        if key == "scheduler":
            kwargs[key] = _scheduler(optimizer, value["scheduler"], value["kwargs"])
    return cls(**kwargs) if name.startswith("Chained") else cls(optimizer, **kwargs)


def _function(text: str) -> Callable[[Any], Any]:
    return eval(f"lambda step: {text}", {"min": min})


def _lambda_class(functions: list[Callable[[Any], Any]]) -> type[lr_scheduler.LambdaLR]:
    class Given(lr_scheduler.LambdaLR):
        def set_value_lambda(self) -> list[Callable[[Any], Any]]:
            return functions

    return Given


def number(value: float | str | None) -> float:
    return float(value) if value is not None else math.nan


def recorded(case: dict[str, Any]) -> list[tuple[int, list[float]]]:
    """Return each step with the value recorded in each group."""
    rows = [v if isinstance(v, list) else [v] for v in case["values"]]
    return [(s, [number(v) for v in row]) for s, row in zip(case["steps"], rows, strict=True)]


def uses_a_power(case: Any) -> bool:
    """Return whether a float32 base is raised to the step somewhere in the case."""
    powers: tuple[str, ...] = (
        "ExponentialLR",
        "StepLR",
        "MultiStepLR",
        "MultiplicativeLR",
        "LambdaLR",
        "CyclicLR",
    )
    if isinstance(case, dict):
        return any(map(uses_a_power, case.values()))
    return any(map(uses_a_power, case)) if isinstance(case, list) else case in powers
