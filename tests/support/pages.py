"""The Python on the pages of the documentation."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"
#: The pages that are written by hand, and those that the last build of the site wrote.
PAGES = sorted(DOCS.rglob("*.md"))
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks_of(page):
    """The blocks of a page, each with the number of lines before it."""
    text = page.read_text()
    return [(block[1], text[: block.start(1)].count("\n")) for block in _BLOCK.finditer(text)]


def code_of(page):
    """Return the blocks of a page as one program, with the line numbers of the page."""
    lines = [""] * (page.read_text().count("\n") + 1)
    for block, first in blocks_of(page):
        body = block.splitlines()
        lines[first : first + len(body)] = body
    return "\n".join(lines)
