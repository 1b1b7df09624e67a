"""The README is short, its code blocks run, its links exist, and it names each make target."""

import re
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).parents[2]
README = pages.README.read_text()
BLOCKS = [block for block, _ in pages.blocks_of(pages.README)]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_runs_alone(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_it_fits_a_few_screens():
    assert BLOCKS and README.count("\n") <= 150


def test_every_file_that_it_links_to_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) > 20
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_target_of_the_makefile_is_named():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^(demo|bench[\w-]*|test[\w-]*|docs[\w-]*|soak):", makefile, re.MULTILINE)
    assert len(targets) == 11
    assert all(f"`make {target}`" in README for target in targets)
