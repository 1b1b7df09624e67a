"""Writes the generated pages before Sphinx reads any.

This Sphinx extension generates pages from the classes. A new class appears in the gallery, in the
reference and on the interactive page without an edit here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from generator import gallery, interactive, reference


def setup(app: Any) -> dict[str, Any]:
    """Connect this extension to the events of Sphinx."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    app.connect("env-check-consistency", reference.require_all_documented)
    app.connect("missing-reference", reference.resolve_inherited)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


#: The folders that each build rewrites, with the functions that yield their files.
FOLDERS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "gallery": gallery.pages,
    "reference": reference.pages,
    "_static/generated": interactive.scripts,
}


def write(docs: Path) -> None:
    """Rewrite the generated folders in `docs`; files from earlier builds are deleted."""
    for name, files in FOLDERS.items():
        folder = docs / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file, text in files():
            (folder / file).write_text(text, encoding="utf-8")
