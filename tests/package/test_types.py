"""The types that the package promises its users (`py.typed`) fit the code on its pages."""

import re
import subprocess
import sys

import pytest
from pages import DOCS, PAGES, README, blocks_of, code_of

ROOT = README.parent
#: Codes for calls that the types forbid. Others are ignored: pages reuse names with other types.
CODES = ("arg-type", "call-arg", "call-overload", "attr-defined", "index", "operator", "misc")
#: mypy infers `object` for dicts and modules in one list; no other package accepts that either.
JOINED = re.compile(r"\"AdamW\" has incompatible|\"object\" has no attribute")


def test_a_type_checker_accepts_what_the_pages_write(tmp_path):
    pytest.importorskip("mypy", reason="mypy is in .venv only: `make test` runs this")
    programs = {f"readme_{i}": block for i, (block, _) in enumerate(blocks_of(README))}
    for page in PAGES:
        code = code_of(page)
        if code.strip():
            programs["_".join(page.relative_to(DOCS).with_suffix("").parts)] = code
    for name, code in programs.items():
        (tmp_path / f"{name}.py").write_text(code)
    # Link the package as if installed: mypy does not look into an editable install.
    package = tmp_path / "installed" / "accelsched"
    package.mkdir(parents=True)
    for path in [*(ROOT / "accelsched").iterdir(), ROOT / "kernels"]:
        (package / path.name).symlink_to(path)
    command = [sys.executable, "-m", "mypy", "--config-file=", "--check-untyped-defs"]
    command += ["--ignore-missing-imports", "--cache-dir", ROOT / ".mypy_cache" / "pages"]
    ran = subprocess.run(
        [*command, *sorted(tmp_path.glob("*.py"))],
        cwd=tmp_path, env={"MYPYPATH": str(package.parent)}, capture_output=True, text=True,
    )  # fmt: skip
    assert not ran.stderr
    pattern = rf"^\w+\.py:\d+: error: .*\[(?:{'|'.join(CODES)})\]$"
    found = re.findall(pattern, ran.stdout, re.MULTILINE)
    assert not [line for line in found if not JOINED.search(line)], ran.stdout
