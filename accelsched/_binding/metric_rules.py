"""How a metric changes a value: the rules of torch's ReduceLROnPlateau and of GreedyLR.

A rule is written once, in expressions that select and never branch. :class:`OnHost` evaluates them
on Python numbers, with the rounding of the original classes. :class:`OnDevice` evaluates them on
tensors, with the same rounding and without a read.

A rule takes registers, which a step changes, and settings, which a user changes. Both are numbers
by name. Numbers with one item per param group are a column: a list on the host, a vector on a
device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from accelsched._runtimes import Runtime
from accelsched.errors import require

#: Numbers by name: registers, or settings.
Numbers = Mapping[str, Any]


class Arithmetic(Protocol):
    """The operations by which a rule computes."""

    def where(self, condition: Any, value: Any, other: Any) -> Any:
        """Return ``value`` where ``condition`` holds, and ``other`` elsewhere."""

    def changed(
        self, column: Any, condition: Any, function: Callable[..., Any], *others: Any
    ) -> Any:
        """Return ``function(column, *others)`` where ``condition`` holds, else the column."""

    def any_above(self, column: Any, bounds: Any) -> Any:
        """Return whether any item of a column is above its bound."""

    def pushed(self, column: Any, item: Any) -> tuple[Any, Any]:
        """Return a column's first item, and the column without it, with ``item`` at its end."""


class OnHost:
    """Arithmetic on Python numbers, and lists of them."""

    def where(self, condition: bool, value: Any, other: Any) -> Any:
        return value if condition else other

    def changed(
        self,
        column: list[Any],
        condition: bool,
        function: Callable[..., Any],
        *others: Sequence[Any],
    ) -> list[Any]:
        if not condition:
            return column
        return [function(*items) for items in zip(column, *others, strict=True)]

    def any_above(self, column: list[Any], bounds: Sequence[Any]) -> bool:
        return any(item > bound for item, bound in zip(column, bounds, strict=True))

    def pushed(self, column: list[Any], item: Any) -> tuple[Any, list[Any]]:
        first, *others = column
        return first, [*others, item]


class OnDevice:
    """Arithmetic on vectors; a number has shape [1].

    Args:
        runtime: the runtime of the tensors, which may replace ``where``.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.where: Callable[..., Tensor]
        self.where = runtime.replacements().get(torch.ops.aten.where.self, torch.where)

    def changed(
        self, column: Tensor, condition: Tensor, function: Callable[..., Tensor], *others: Tensor
    ) -> Tensor:
        return self.where(condition, function(column, *others), column)

    def any_above(self, column: Tensor, bounds: Tensor) -> Tensor:
        return (column > bounds).to(torch.int64).sum(0, keepdim=True) > 0

    def pushed(self, column: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        return column[:1], torch.cat([column[1:], item])


@dataclass(frozen=True)
class Rule:
    """The base class of the rules.

    Attributes:
        mode: "min" if a lower metric is better, "max" if a higher one is.
        threshold_mode: "rel" if the threshold is a fraction of the best metric, "abs" if it is a
            difference.
    """

    mode: str
    threshold_mode: str

    def __post_init__(self) -> None:
        for name, words in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
            word = getattr(self, name)
            require(word in words, name, word, f"give {words[0]!r} or {words[1]!r}")

    @property
    def mode_worse(self) -> float:
        """The worst possible metric."""
        return math.inf if self.mode == "min" else -math.inf

    def begin(self, settings: Numbers, values: Sequence[float]) -> dict[str, Any]:
        """Return the registers before the first metric.

        Args:
            settings: the numbers that the user gave.
            values: the values of the param groups.
        """
        counts = {"num_bad_epochs": 0, "cooldown_counter": 0}
        return {"best": self.mode_worse, **counts, "values": list(values)}

    def as_saved(self, registers: Numbers) -> dict[str, Any]:
        """Return the mode and the registers as the original class saves them."""
        return {**registers, "mode": self.mode, "threshold_mode": self.threshold_mode}

    def from_saved(self, saved: Numbers) -> dict[str, Any]:
        """Return the registers that the original class saves by other names."""
        return {}

    def is_better(self, metric: Any, best: Any, threshold: Any) -> Any:
        """Return whether a metric is better than the best one by more than the threshold."""
        relative = self.threshold_mode == "rel"
        if self.mode == "min":
            return metric < (best * (1.0 - threshold) if relative else best - threshold)
        return metric > (best * (1.0 + threshold) if relative else best + threshold)

    def _lowered(self, settings: Numbers, on: Arithmetic) -> Callable[[Any, Any], Any]:
        """Return a function that lowers a value by the factor, unless by ``eps`` or less."""

        def lowered(value: Any, least: Any) -> Any:
            lower = value * settings["factor"]
            lower = on.where(least > lower, least, lower)
            return on.where(value - lower > settings["eps"], lower, value)

        return lowered

    def step(self, now: Numbers, settings: Numbers, metric: Any, on: Arithmetic) -> Numbers:
        """Return the registers after a metric.

        Args:
            now: the registers, with the ``"values"`` of the param groups.
            settings: the numbers that the user gave.
            metric: the metric.
            on: the arithmetic.
        """
        raise NotImplementedError


class Plateau(Rule):
    """The rule of ``torch.optim.lr_scheduler.ReduceLROnPlateau``."""

    def as_saved(self, registers: Numbers) -> dict[str, Any]:
        return {**super().as_saved(registers), "mode_worse": self.mode_worse}

    def step(self, now: Numbers, settings: Numbers, metric: Any, on: Arithmetic) -> Numbers:
        where, best = on.where, now["best"]
        bad, cooldown = now["num_bad_epochs"], now["cooldown_counter"]
        none = bad * 0
        better = self.is_better(metric, best, settings["threshold"])
        cools = cooldown > 0
        bad = where(cools, none, where(better, none, bad + 1))
        reduces = bad > settings["patience"]

        return {
            "best": where(better, metric, best),
            "num_bad_epochs": where(reduces, none, bad),
            "cooldown_counter": where(
                reduces, settings["cooldown"], where(cools, cooldown - 1, cooldown)
            ),
            "values": on.changed(
                now["values"], reduces, self._lowered(settings, on), settings["min_lrs"]
            ),
        }


@dataclass(frozen=True)
class Greedy(Rule):
    """The rule of ``transformers.GreedyLR``.

    Attributes:
        window_size: how many metrics are averaged; None if none are.
    """

    window_size: int | None

    def begin(self, settings: Numbers, values: Sequence[float]) -> dict[str, Any]:
        counts = {"num_good_epochs": 0, "warmup_counter": 0}
        starts = {"reset_start": settings["reset_start_original"], "_init_lrs": list(values)}
        return {**super().begin(settings, values), **counts, **starts, **self._window(())}

    def _window(self, metrics: Sequence[float], total: float = 0.0) -> dict[str, Any]:
        """Return the registers of the mean of metrics."""
        if self.window_size is None:
            return {}
        # A window fills from its end, so the first items that leave it are 0.
        empty = [0.0] * (self.window_size - len(metrics))
        return {"window": [*empty, *metrics], "sum": total, "averaged": len(metrics)}

    def as_saved(self, registers: Numbers) -> dict[str, Any]:
        saved = super().as_saved(registers)
        window = [saved.pop(name) for name in self._window(())]
        if window:
            metrics, total, count = window
            last = metrics[len(metrics) - count :]
            size = self.window_size
            saved["_streaming_avg"] = {"window_size": size, "values": last, "sum": total}
        return saved

    def from_saved(self, saved: Numbers) -> dict[str, Any]:
        mean = saved.get("_streaming_avg")
        size = mean["window_size"] if mean else None
        remedy = f"this scheduler has {self.window_size}: give the saved smooth and window_size"
        require(size == self.window_size, "state_dict: window_size", size, remedy)
        return self._window(mean["values"], mean["sum"]) if mean else {}

    def step(self, now: Numbers, settings: Numbers, metric: Any, on: Arithmetic) -> Numbers:
        where = on.where
        metric, window = self._averaged(now, metric, on)
        after, rises, falls = self._counted(now, settings, metric, where)

        least, most = settings["min_lrs"], settings["max_lrs"]
        values = on.changed(now["values"], falls, self._lowered(settings, on), least)
        values = on.changed(values, rises, self._raised(settings, on), most)
        above = on.any_above(values, least)
        left = now["reset_start"]
        left = where(falls, where(above, left, left - 1), left)
        none = left * 0
        one = none + 1
        resets = where(falls, where(above, one, left), one) <= 0
        original = settings["reset_start_original"]
        starts = now["_init_lrs"]
        values = on.changed(values, resets, lambda value, start: start, starts)
        return {
            **after,
            **self._emptied(window, resets, settings["factor"] * 0.0, on),
            "best": where(resets, settings["mode_worse"], after["best"]),
            "warmup_counter": where(resets, none, after["warmup_counter"]),
            "reset_start": where(rises, original, where(resets, original, left)),
            "values": values,
            "_init_lrs": starts,
        }

    def _raised(self, settings: Numbers, on: Arithmetic) -> Callable[[Any, Any], Any]:
        """Return a function that raises a value by the factor, unless by ``eps`` or less."""

        def raised(value: Any, most: Any) -> Any:
            higher = value / settings["factor"]
            higher = on.where(most < higher, most, higher)
            return on.where(higher - value > settings["eps"], higher, value)

        return raised

    def _counted(self, now: Numbers, settings: Numbers, metric: Any, where: Any) -> Any:
        """Return the counting registers, and whether the values rise and whether they fall."""
        best, cooldown, warmup = now["best"], now["cooldown_counter"], now["warmup_counter"]
        none = cooldown * 0
        cools = cooldown > 0
        rests = where(cools, cooldown, warmup) > 0
        better = self.is_better(metric, best, settings["threshold"])
        good = where(rests, none, where(better, now["num_good_epochs"] + 1, none))
        bad = where(rests, none, where(better, none, now["num_bad_epochs"] + 1))
        rises, falls = good > settings["patience"], bad > settings["patience"]
        left = where(cools, warmup, where(rests, warmup - 1, warmup))
        counted = {
            "best": where(rests, best, where(better, metric, best)),
            "num_bad_epochs": where(falls, none, bad),
            "num_good_epochs": where(rises, none, good),
            "cooldown_counter": where(
                falls, settings["cooldown"], where(cools, cooldown - 1, cooldown)
            ),
            "warmup_counter": where(rises, settings["warmup"], left),
        }
        return counted, rises, falls

    def _averaged(self, now: Numbers, metric: Any, on: Arithmetic) -> tuple[Any, dict[str, Any]]:
        """Return the mean of the last metrics, and the registers of the mean."""
        if self.window_size is None:
            return metric, {}
        first, window = on.pushed(now["window"], metric)
        count = now["averaged"]
        count = on.where(count < self.window_size, count + 1, count)
        total = now["sum"] + metric - first
        return total / count, {"window": window, "sum": total, "averaged": count}

    def _emptied(
        self, window: dict[str, Any], resets: Any, zero: Any, on: Arithmetic
    ) -> dict[str, Any]:
        """Return the registers of the mean, emptied where the rule resets."""
        if not window:
            return {}
        none = window["averaged"] * 0
        return {
            "window": on.changed(window["window"], resets, lambda item: zero),
            "sum": on.where(resets, zero, window["sum"]),
            "averaged": on.where(resets, none, window["averaged"]),
        }
