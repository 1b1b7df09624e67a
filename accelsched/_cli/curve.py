"""`accelsched curve`: the curves of schedules, as a table, a CSV file or a picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelsched._binding.scheduler_list import SchedulerList
from accelsched._interop import spec
from accelsched.errors import ArgumentError
from accelsched.schedules import Schedule

#: Of the steps that are printed.
ROWS = 20
#: The steps of schedules that never settle, if nobody says how many.
STEPS = 1000

_FILES = (".json", ".yaml", ".yml")


def read(texts: Sequence[str]) -> dict[str, Schedule]:
    """Read the schedules of files and expressions, by label.

    Args:
        texts: names of JSON or YAML files, which hold a spec (see :func:`accelsched.from_spec`), a
            list of specs, or specs by label; and expressions.

    Raises:
        ArgumentError: a text is none of these.
    """
    curves: dict[str, Schedule] = {}
    for text in texts:
        file = Path(text)
        found = _labelled(_content(file)) if file.suffix in _FILES else {text: text}
        for label, given in found.items():
            made = spec.from_spec(given)
            items = made.schedulers if isinstance(made, SchedulerList) else [made]
            for i, item in enumerate(items):
                name = f"{label} {i + 1}" if len(items) > 1 else label
                if name in curves:
                    name = f"{text}: {name}"
                curves[name] = item if isinstance(item, Schedule) else spec.pure(item)
    return curves


def _content(file: Path) -> Any:
    """Parse a JSON or YAML file."""
    try:
        text = file.read_text()
    except OSError as error:
        raise ArgumentError("SPEC", str(file), f"it cannot be read: {error.strerror}") from None
    if file.suffix == ".json":
        return _parsed(json.loads, text, file)
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise ArgumentError("SPEC", str(file), "needs PyYAML: pip install pyyaml") from None
    return _parsed(yaml.safe_load, text, file)


def _parsed(parse: Any, text: str, file: Path) -> Any:
    try:
        return parse(text)
    except Exception as error:
        raise ArgumentError("SPEC", str(file), f"it cannot be read: {error}") from None


def _labelled(content: Any) -> dict[str, Any]:
    """Return the specs of a file, by label; a spec without a label gets its class's name."""
    if isinstance(content, list):
        names = [next(iter(item)) if isinstance(item, Mapping) and item else "" for item in content]
        alone = len(set(names)) == len(names)
        labels = [n if alone else f"{n} {i + 1}" for i, n in enumerate(names)]
        return dict(zip(labels, content, strict=True))
    if isinstance(content, Mapping) and not (len(content) == 1 and spec.is_spec(content)):
        return {str(label): item for label, item in content.items()}
    return {str(next(iter(content))) if isinstance(content, Mapping) else "": content}


def steps_of(curves: Mapping[str, Schedule]) -> int:
    """Return how many steps show all of the curves."""
    ends = [schedule.settles for schedule in curves.values()]
    known = [end for end in ends if end is not None]
    return max([end + max(1, end // 10) for end in known] + [STEPS] * (len(known) < len(ends)))


def write(curves: Mapping[str, Schedule], steps: int, output: Path | None) -> None:
    """Print some rows of the curves, or write all steps to a CSV file, or draw a PNG or an SVG."""
    if output is None:
        _print(curves, steps)
        return
    columns = [schedule.curve(0, steps + 1) for schedule in curves.values()]
    if output.suffix == ".csv":
        with output.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", *curves])
            writer.writerows([i, *row] for i, row in enumerate(zip(*columns, strict=True)))
        return
    from accelsched._cli.plot import plot_curves

    plot_curves(dict(zip(curves, columns, strict=True)), output)


def _print(curves: Mapping[str, Schedule], steps: int) -> None:
    """Print a table of the curves, at some steps."""
    for number, label in enumerate(curves, 1):
        print(f"{number}: {label}")
    width = max(len("step"), len(f"{steps:,}"))
    print(
        "\n"
        + "step".rjust(width)
        + "".join(f"{number:>14}" for number in range(1, len(curves) + 1))
    )
    rows = min(ROWS, steps)
    for step in sorted({round(steps * row / rows) for row in range(rows + 1)}):
        values = "".join(f"{schedule(step):14.6g}" for schedule in curves.values())
        print(f"{step:{width},}{values}")
