"""The README's code runs, and does what it says."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_every_block_runs_after_the_ones_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    assert len(BLOCKS) == 8
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert names["schedule"](50) == pytest.approx(0.1)
    added, reference = names["InverseTime"], names["inverse_time"]
    assert added(0.1, 50)(50) == reference(50, 0.1, 50) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="half_life"):
        added(0.1, 2.5)


def test_every_schedule_is_named():
    from drawing import CLASSES

    assert all(f"`{cls.__name__}`" in README for cls in CLASSES)


def test_every_target_of_the_makefile_is_named():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    targets = re.findall(r"^(demo|bench|test[\w-]*):", makefile, re.MULTILINE)
    assert set(targets) == {"demo", "bench", "test", "test-latest", "test-cerebras"}
    assert all(f"`make {t}`" in README or f"$ make {t}" in README for t in targets)
