"""The data of the interactive page: each schedule's formula, arguments and example."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from typing import Any

from accelsched.schedules import Linear, Schedule, _svg
from accelsched.schedules._outline import shown_steps
from generator import javascript
from generator.docstrings import CLASSES as ALL
from generator.docstrings import arguments, formula, made


def _takes_functions(cls: type[Schedule]) -> bool:
    return any("Callable" in str(field.type) for field in dataclasses.fields(cls))


#: All schedules except those that take a user's function, which a page cannot run.
CLASSES = [cls for cls in ALL if not _takes_functions(cls)]


def scripts() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the script."""
    formulas = ",\n".join(f'"{cls.__name__}": {_formula(cls)}' for cls in CLASSES)
    parts = {
        "FIELDS": {cls.__name__: list(_fields(cls)) for cls in CLASSES},
        "EXAMPLES": {cls.__name__: _example(cls) for cls in CLASSES},
        "FRAME": {
            "svg": _svg.svg([Linear(0.0, 1.0, 1)], "The curve of this schedule"),
            "size": [_svg.WIDTH, _svg.HEIGHT],
            "margins": _svg.MARGINS,
        },
    }
    data = "\n".join(f"const {name} = {json.dumps(part)};" for name, part in parts.items())
    yield "schedules.js", f"const FORMULAS = {{\n{formulas}\n}};\n{data}\n"


def _formula(cls: type[Schedule]) -> str:
    return javascript.function(formula(cls), list(arguments(cls)))


def _fields(cls: type[Schedule]) -> Iterator[dict[str, Any]]:
    """Yield a description of each argument: its name, its kind, its text."""
    hints, described, example = typing.get_type_hints(cls), arguments(cls), made(cls)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        value = getattr(example, field.name)
        text = described[field.name].replace("``", "")
        about = {"name": field.name, "kind": _kind(value), "text": text}
        if field.default is not dataclasses.MISSING:
            about["default"] = field.default
        choices = [arg for hint in _choices(hints[field.name]) for arg in typing.get_args(hint)]
        yield about | {"kind": "choice", "choices": choices} if choices else about


def _choices(hint: Any) -> list[Any]:
    """Return the `Literal` types in a type hint."""
    hints = [hint, *typing.get_args(hint)]
    return [h for h in hints if typing.get_origin(h) is typing.Literal]


def _kind(value: Any) -> str:
    if isinstance(value, Schedule):
        return "schedule"
    if isinstance(value, tuple):
        return f"{_kind(value[0])}s"
    return type(value).__name__


def _example(cls: type[Schedule]) -> dict[str, Any]:
    schedule = made(cls)
    return {"steps": shown_steps([schedule]), "schedule": as_data(schedule)}


def as_data(value: Any) -> Any:
    """Return a schedule as data for the page: the name of its class and its arguments."""
    if isinstance(value, Schedule):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        arguments = {name: as_data(getattr(value, name)) for name in fields}
        return {"name": type(value).__name__, "arguments": arguments}
    return [as_data(item) for item in value] if isinstance(value, tuple) else value
