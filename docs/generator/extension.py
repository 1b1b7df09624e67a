"""Writes the generated pages before Sphinx reads any.

A Sphinx extension: before pages are read, it writes those that follow from the classes. A class
that is added is in the gallery, in the reference and on the interactive page without an edit here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from generator import gallery, interactive, reference


def setup(app: Any) -> dict[str, Any]:
    """Have Sphinx call this extension."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    app.connect("env-check-consistency", reference.require_all_documented)
    app.connect("missing-reference", reference.resolve_inherited)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


#: The folders that are written anew for each build, by what writes their files.
FOLDERS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "gallery": gallery.pages,
    "reference": reference.pages,
    "_static/generated": interactive.scripts,
}


def write(docs: Path) -> None:
    """Write the generated files below a folder, and nothing else in their folders."""
    for name, files in FOLDERS.items():
        folder = docs / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file, text in files():
            (folder / file).write_text(text, encoding="utf-8")
