"""`accelsched curve`: the curves of schedules, as a table, a CSV file or a picture."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accelsched._binding.scheduler_list import SchedulerList
from accelsched._interop import modelzoo, spec
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._outline import value_range

#: The number of printed steps after step 0.
ROWS = 20
#: The steps of a CSV file that are computed at once.
CHUNK = 2**16
#: A curve in a line of text: its length in characters, and the characters by height.
COLUMNS, HEIGHTS = 60, "▁▂▃▄▅▆▇█"

_FILES = (".json", ".yaml", ".yml")


def read(texts: Sequence[str]) -> dict[str, Schedule]:
    """Read the schedules of files and expressions, by label.

    Args:
        texts: expressions, and names of JSON or YAML files. A file holds a spec (see
            :func:`accelsched.from_spec`), a list of specs, specs by label, or a configuration of
            the Model Zoo.

    Raises:
        ArgumentError: a text is none of these.
    """
    curves: dict[str, Schedule] = {}
    for text in texts:
        file = Path(text)
        found = _labelled(_content(file)) if file.suffix in _FILES else {text: text}
        require(
            bool(found),
            "SPEC",
            text,
            'the file holds no spec: write one, such as {"Constant": {"value": 1}}',
        )
        for label, given in found.items():
            for name, schedule in _schedules(_printable(label), given):
                curves[name if name not in curves else f"{_printable(text)}: {name}"] = schedule
    return curves


def _schedules(label: str, given: Any) -> Iterator[tuple[str, Schedule]]:
    """Yield the schedule of a spec, by label; those of a list of schedulers are numbered."""
    made = spec.from_spec(given)
    items = made.schedulers if isinstance(made, SchedulerList) else [made]
    for number, item in enumerate(items, 1):
        name = f"{label} {number}" if len(items) > 1 else label
        yield name, item if isinstance(item, Schedule) else spec.pure(item)


def _printable(label: str) -> str:
    """Return a label on one line, in characters that any file can hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in label)


def _content(file: Path) -> Any:
    """Parse a JSON or YAML file."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ArgumentError("SPEC", str(file), f"it cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ArgumentError("SPEC", str(file), f"it cannot be read: {error}") from None
    require(
        bool(text.strip()),
        "SPEC",
        str(file),
        'the file is empty: write a spec, such as {"Constant": {"value": 1}}',
    )
    if file.suffix == ".json":
        return _parsed(json.loads, text, file)
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise ArgumentError("SPEC", str(file), "needs PyYAML: pip install pyyaml") from None
    return _parsed(yaml.safe_load, text, file)


def _parsed(parse: Callable[[str], Any], text: str, file: Path) -> Any:
    try:
        return parse(text)
    except Exception as error:
        why = str(error) or type(error).__name__
        raise ArgumentError("SPEC", str(file), f"it cannot be read: {why}") from None


def _labelled(content: Any) -> dict[str, Any]:
    """Return the specs of a file, by label; a spec without a label gets its class's name."""
    if modelzoo.is_config(content):
        content = modelzoo.as_specs(content)
        names = [_class_of(item) for item in content]
        alone = len(set(names)) == len(names)
        labels = [n if alone else f"{n} {i + 1}" for i, n in enumerate(names)]
        return dict(zip(labels, content, strict=True))
    if isinstance(content, Mapping) and not (len(content) == 1 and spec.is_spec(content)):
        return {spec.text_of(label): item for label, item in content.items()}
    return {_class_of(content): content}


def _class_of(content: Any) -> str:
    return spec.text_of(next(iter(content))) if isinstance(content, Mapping) and content else ""


def write(curves: Mapping[str, Schedule], steps: int, output: Path | None) -> None:
    """Print some rows of the curves, or write all steps to a CSV file, or draw a PNG or an SVG."""
    if output is None:
        _print(curves, steps)
    elif output.suffix == ".csv":
        _write_csv(curves, steps, output)
    else:
        from accelsched._cli.plot import plot_curves

        plot_curves(curves, steps, output)


def _write_csv(curves: Mapping[str, Schedule], steps: int, output: Path) -> None:
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *curves])
        for start in range(0, steps + 1, CHUNK):
            stop = min(start + CHUNK, steps + 1)
            columns = [schedule.curve(start, stop).tolist() for schedule in curves.values()]
            writer.writerows(zip(range(start, stop), *columns, strict=True))


def _print(curves: Mapping[str, Schedule], steps: int) -> None:
    """Print a table of the curves, at some steps."""
    for number, (label, schedule) in enumerate(curves.items(), 1):
        print(f"{number}: {label}")
        if _draws():
            print(f"{' ' * len(str(number))}  {sparkline(schedule, steps)}")
    width = max(len("step"), len(f"{steps:,}"))
    print(
        "\n"
        + "step".rjust(width)
        + "".join(f"{number:>14}" for number in range(1, len(curves) + 1))
    )
    rows = min(ROWS, steps)
    for step in sorted({(2 * steps * row + rows) // (2 * rows) for row in range(rows + 1)}):
        values = "".join(f"{schedule(step):14.6g}" for schedule in curves.values())
        print(f"{step:{width},}{values}")


def _draws() -> bool:
    """Return whether stdout is a terminal, and its encoding has the characters."""
    if not isinstance(sys.stdout, io.TextIOWrapper) or not sys.stdout.isatty():
        return False
    try:
        HEIGHTS.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def sparkline(schedule: Schedule, steps: int) -> str:
    """Draw a curve in a line of text."""
    count = min(COLUMNS, steps + 1)
    at = [steps * column // max(count - 1, 1) for column in range(count)]
    values = np.array([schedule(step) for step in at])
    low, high = value_range(values)
    height = np.nan_to_num((values - low) / (high - low)) * len(HEIGHTS)
    return "".join(HEIGHTS[int(h)] for h in height.clip(0, len(HEIGHTS) - 1))
