"""The gallery: a page of all curves, and one for each schedule."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from html import escape
from types import ModuleType

from accelsched import lr_scheduler, scheduler, weight_decay_scheduler
from accelsched.schedules import Schedule
from accelsched.schedules._ends import end_of, without_end
from accelsched.schedules._svg import svg
from generator import interactive, names
from generator.docstrings import CLASSES, call, made, steps

#: For each hyper-parameter, the module of its schedulers.
FAMILIES = {
    "the learning rate": lr_scheduler,
    "the weight decay": weight_decay_scheduler,
    "any key": scheduler,
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    yield "index.md", _all_curves()
    for cls in CLASSES:
        yield f"{cls.__name__}.md", _page(cls)


def _all_curves() -> str:
    figures = "\n".join(
        f'<a href="{cls.__name__}.html">{svg([made(cls)], f"A curve of {cls.__name__}")}'
        f"<span>{cls.__name__}</span></a>"
        for cls in CLASSES
    )
    contents = "\n".join(cls.__name__ for cls in CLASSES)
    return f"""# Gallery

All {len(CLASSES)} schedules. Each picture is the curve of the example on the page behind it.
[Change their numbers](../interactive.md) to see what becomes of a curve.

```{{raw}} html
<div class="thumbnails">
{figures}
</div>
```

## Nearest names in other libraries

The page of a schedule says what differs. Megatron's names are values of `--lr-decay-style`.

{names.index(CLASSES)}

```{{toctree}}
:hidden:

{contents}
```
"""


def _page(cls: type[Schedule]) -> str:
    name, schedule = cls.__name__, made(cls)
    is_tried = cls in interactive.CLASSES
    link = f'<a href="../interactive.html#{name}">Change the numbers</a>' if is_tried else ""
    # The repr of a function is an address.
    caption = repr(schedule) if is_tried else call(cls)
    return f"""# {name}

```{{raw}} html
<figure class="curve">
{svg([schedule], f"The curve of {name}")}
<figcaption><code>{escape(caption)}</code> {link}</figcaption>
</figure>
```

{_values(schedule, steps(cls))}

```{{eval-rst}}
.. autoclass:: accelsched.schedules.{name}
```

{names.table(cls)}
{_schedulers(cls)}"""


def _values(schedule: Schedule, at: tuple[int, ...]) -> str:
    """Return a table of the values at the steps that the docstring shows."""
    rows = "\n".join(
        f"| {step:,} | {schedule(step):.6g} | {_place(step, schedule.settles)} |" for step in at
    )
    table = f"| step | value | |\n| ---: | ---: | --- |\n{rows}"
    end = end_of(schedule)
    ends = without_end(schedule) if end is None else f"ends at step {end:,}"
    return f"{table}\n\nThe example {ends}."


def _place(step: int, end: int | None) -> str:
    if step == 0:
        return "the first"
    if end is None or step < end:
        return ""
    return "the last" if step == end else "past the end"


def _schedulers(cls: type[Schedule]) -> str:
    """Return a list of the scheduler classes that use this schedule class."""
    lines = []
    for key, module in FAMILIES.items():
        found = [name for name in module.__all__ if _schedule_of(module, name) == cls.__name__]
        if found:
            links = ", ".join(f"{{py:class}}`{module.__name__}.{name}`" for name in found)
            lines.append(f"- {key}: {links}")
    return "\n## As a scheduler\n\n" + "\n".join(lines) + "\n" if lines else ""


def _schedule_of(module: ModuleType, name: str) -> str | None:
    """Return the schedule that a scheduler's docstring names, if any."""
    named = re.search(r"accelsched\.schedules\.(\w+)", inspect.getdoc(getattr(module, name)) or "")
    return named[1] if named else None
