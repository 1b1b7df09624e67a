"""Run contestants in turns, so that machine noise affects all alike."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def turns(
    contestants: dict[str, Callable[[], object]],
    rounds: int,
    measure: Callable[[Callable[[], object]], Any],
):
    """Return, for each contestant, its measurement in each round."""
    figures: dict[str, list[Any]] = {name: [] for name in contestants}
    for function in contestants.values():
        function()
    for _ in range(rounds):
        for name, function in contestants.items():
            figures[name].append(measure(function))
    return figures


def seconds(contestants: dict[str, Callable[[], object]], rounds: int, calls: int = 1):
    """Return, for each contestant, the seconds that a call took in each round."""

    def timed(function: Callable[[], object]) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls

    return turns(contestants, rounds, timed)


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """Return slow / fast for each round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def spread(figures: list[float], unit: float = 1e-6) -> str:
    """Format the median, with the least and the most in brackets."""
    low, middle, high = (
        _shown(figure / unit) for figure in (min(figures), statistics.median(figures), max(figures))
    )
    return f"{middle} ({low} to {high})"


def _shown(figure: float) -> str:
    return f"{figure:.3g}" if abs(figure) < 999.5 else f"{figure:,.0f}"
