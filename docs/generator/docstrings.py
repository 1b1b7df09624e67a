"""The parts of a class's docstring: its formula, its example, its arguments, its other names."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import io
import re
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from accelsched import schedules
from accelsched.schedules import Schedule

#: All public schedules.
CLASSES: list[type[Schedule]] = [
    cls
    for _, cls in inspect.getmembers(schedules, inspect.isclass)
    if issubclass(cls, Schedule) and cls is not Schedule
]


def summary(item: Any) -> str:
    """Return the first line of a docstring."""
    return _doc(item).partition("\n")[0]


def formula(item: Any) -> str:
    """Return the block of lines below "The value at step ``t``::"."""
    pattern = r"^The [\w ]+ at step ``t``[^:]*::\n\n((?:    .+\n)+)"
    (lines,) = re.findall(pattern, _doc(item), re.MULTILINE)
    return dedent(lines)


def arguments(item: Any) -> dict[str, str]:
    """Return the description of each argument in a docstring."""
    (section,) = re.findall(r"^Args:\n((?: .+\n)+)", _doc(item) + "\n", re.MULTILINE)
    found = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def ran(item: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run each line of a docstring's examples; yield the line with the names defined so far."""
    names = dict(vars(importlib.import_module(item.__module__)))
    for example in doctest.DocTestParser().get_examples(_doc(item)):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(example.source, item.__name__, "single"), names)
        yield example.source, names


def made(cls: type[Schedule]) -> Schedule:
    """Return the first schedule that the docstring of its class makes."""
    return _first(cls)[1]


def call(cls: type[Schedule]) -> str:
    """Return the call that makes that schedule, as the docstring has it."""
    return " ".join(_first(cls)[0].split()).removeprefix("schedule = ")


def _first(cls: type[Schedule]) -> tuple[str, Schedule]:
    for source, names in ran(cls):
        if isinstance(names.get("schedule"), cls):
            return source, names["schedule"]
    raise LookupError(f"the docstring of {cls.__name__} has no example that sets `schedule` to one")


def steps(cls: type[Schedule]) -> tuple[int, ...]:
    """Return the steps whose values the docstring shows: the first, the last, one past the end."""
    source = next(source for source, _ in ran(cls) if " for t in (" in source)
    shown: tuple[int, ...] = eval(re.search(r" for t in (\(.*?\))", source)[1])  # type: ignore[index]
    return shown


def _doc(item: Any) -> str:
    return inspect.getdoc(item) or ""
