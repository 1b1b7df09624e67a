"""The code on the pages runs, in the order of the page, and what its asserts say is so."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def code_of(page):
    """The blocks of a page as one program whose lines are those of the page."""
    lines = [""] * (page.read_text().count("\n") + 1)
    for block in BLOCK.finditer(page.read_text()):
        first = page.read_text()[: block.start(1)].count("\n")
        body = block[1].splitlines()
        lines[first : first + len(body)] = body
    return "\n".join(lines)


#: Has a test of its own, on a GPU or on emulated graphs.
CUDA = DOCS / "back_ends" / "cuda.md"
CODES = {page.relative_to(DOCS).as_posix(): code_of(page) for page in PAGES if page != CUDA}


def in_a_process_of_its_own(code):
    """Whether a page registers a device of its own, as each process has one at most."""
    return "torch_xla" in code or "_lazy" in code


@pytest.mark.parametrize("name", [name for name, code in CODES.items() if code.strip()])
def test_the_blocks_of_a_page_run(name, tmp_path, monkeypatch):
    code = CODES[name]
    if "import torch_xla" in code and find_spec("torch_xla") is None:
        pytest.skip("this page is of torch_xla: `make test` runs it")
    monkeypatch.chdir(tmp_path)
    if in_a_process_of_its_own(code):
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
    else:
        exec(compile(code, DOCS / name, "exec"), {"__name__": "__main__"})
