"""`accelsched curve`: the curves of schedules, as a table, a CSV file or a picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsched._binding.scheduler_list import SchedulerList
from accelsched._interop import modelzoo, spec
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule

#: Of the steps that are printed.
ROWS = 20
#: The steps of schedules that never settle, if nobody says how many.
STEPS = 1000
#: The last step that there is.
LAST_STEP = 2**62 - 1
#: Steps of a CSV file that are computed at once.
CHUNK = 2**16
#: Steps of a curve that are computed for a picture, and the spans that it is drawn in.
SAMPLES, SPANS = 2**20, 2000

_FILES = (".json", ".yaml", ".yml")


def read(texts: Sequence[str]) -> dict[str, Schedule]:
    """Read the schedules of files and expressions, by label.

    Args:
        texts: names of JSON or YAML files, which hold a spec (see :func:`accelsched.from_spec`), a
            list of specs, specs by label, or a configuration of the Model Zoo; and expressions.

    Raises:
        ArgumentError: a text is none of these.
    """
    curves: dict[str, Schedule] = {}
    for text in texts:
        file = Path(text)
        found = _labelled(_content(file)) if file.suffix in _FILES else {text: text}
        require(bool(found), "SPEC", text, "there is no spec in it")
        for label, given in found.items():
            for name, schedule in _schedules(_printable(label), given):
                curves[name if name not in curves else f"{_printable(text)}: {name}"] = schedule
    return curves


def _schedules(label: str, given: Any) -> Iterator[tuple[str, Schedule]]:
    """The schedule of a spec; those of a list of schedulers are numbered."""
    made = spec.from_spec(given)
    items = made.schedulers if isinstance(made, SchedulerList) else [made]
    for number, item in enumerate(items, 1):
        name = f"{label} {number}" if len(items) > 1 else label
        yield name, item if isinstance(item, Schedule) else spec.pure(item)


def _printable(label: str) -> str:
    """A label on one line, in letters that can be written to any file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in label)


def _content(file: Path) -> Any:
    """Parse a JSON or YAML file."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ArgumentError("SPEC", str(file), f"it cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ArgumentError("SPEC", str(file), f"it cannot be read: {error}") from None
    require(bool(text.strip()), "SPEC", str(file), "it is empty")
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


def steps_of(curves: Mapping[str, Schedule]) -> int:
    """Return how many steps show all of the curves."""
    ends = [schedule.settles for schedule in curves.values()]
    known = [end for end in ends if end is not None]
    steps = max([end + max(1, end // 10) for end in known] + [STEPS] * (len(known) < len(ends)))
    return min(steps, LAST_STEP)


def write(curves: Mapping[str, Schedule], steps: int, output: Path | None) -> None:
    """Print some rows of the curves, or write all steps to a CSV file, or draw a PNG or an SVG."""
    if output is None:
        _print(curves, steps)
    elif output.suffix == ".csv":
        _write_csv(curves, steps, output)
    else:
        from accelsched._cli.plot import plot_curves

        plot_curves({label: outline(s, steps) for label, s in curves.items()}, output)


def _write_csv(curves: Mapping[str, Schedule], steps: int, output: Path) -> None:
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *curves])
        for start in range(0, steps + 1, CHUNK):
            stop = min(start + CHUNK, steps + 1)
            columns = [schedule.curve(start, stop).tolist() for schedule in curves.values()]
            writer.writerows(zip(range(start, stop), *columns, strict=True))


def outline(schedule: Schedule, steps: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What a picture can show of a curve: of each of some thousand spans its highest and lowest.

    Returns:
        steps, in increasing order, and the values there.
    """
    stride = -(-(steps + 1) // SAMPLES)
    at = np.append(np.arange(0, steps, stride), steps)
    values = np.append(schedule.curve(0, steps, stride), schedule(steps))
    if len(values) <= 2 * SPANS:
        return at, values
    size = -(-len(values) // SPANS)
    spans = np.pad(values, (0, -len(values) % size), mode="edge").reshape(-1, size)
    first = np.arange(len(spans)) * size
    ends = [0, len(values) - 1]
    kept = np.concatenate([first + spans.argmin(1), first + spans.argmax(1), ends])
    kept = np.unique(kept.clip(max=len(values) - 1))
    return at[kept], values[kept]


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
    for step in sorted({(2 * steps * row + rows) // (2 * rows) for row in range(rows + 1)}):
        values = "".join(f"{schedule(step):14.6g}" for schedule in curves.values())
        print(f"{step:{width},}{values}")
