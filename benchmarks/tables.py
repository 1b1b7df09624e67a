"""The tables that a benchmark prints: as text or, with ``--json``, as the report reads them."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field


@dataclass
class Table:
    """A table of texts; the first cell of a row names the row.

    Attributes:
        notes: what a reader must know to read it, and what was not measured.
        lines: points by name, to draw on logarithmic axes.
        bars: lengths by name, to draw as bars.
        axis: what the lines, or the bars, measure.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: str = ""
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    bars: dict[str, float] = field(default_factory=dict)
    axis: str = ""


def show(tables: Iterable[Table]) -> None:
    """Print tables as they are made."""
    if "--json" in sys.argv:
        print(json.dumps([asdict(table) for table in tables]))
        return
    for table in tables:
        print(text(table), flush=True)


def text(table: Table) -> str:
    """Format a table in columns, with numbers aligned right."""
    rows = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    lines = [f"\n{table.title}"]
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, *([table.notes] if table.notes else [])])


def markdown(table: Table) -> str:
    """Format a table as Markdown."""
    lines = [
        "| " + " | ".join(table.columns) + " |",
        "| --- |" + " ---: |" * (len(table.columns) - 1),
        *("| " + " | ".join(row) + " |" for row in table.rows),
    ]
    return "\n".join([*lines, *(["", table.notes] if table.notes else [])])
