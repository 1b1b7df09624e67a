"""What CONTRIBUTING.md names exists; its example runs."""

import re
import tomllib
from pathlib import Path

import pytest
from pages import blocks_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.*?) \|", TEXT, re.MULTILINE)


def test_every_room_is_named_in_its_layer():
    (contract,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    rooms = {}
    for layer, names in ROWS:
        rooms.setdefault(int(layer), set()).update(re.findall(r"`(\w+)", names))
    layers = [set(re.findall(r"\w+", layer)) for layer in contract["layers"]]
    assert rooms == dict(enumerate(layers, 1))


def test_every_path_and_target_exists():
    for name in re.findall(r"`([\w./-]+(?:/|/run|\.(?:py|md|toml|json)))`", TEXT):
        places = [ROOT, ROOT / "accelsched"]
        assert any((place / name).exists() for place in places), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([\w-]+)`", TEXT):
        assert re.search(f"^{target}:", makefile, re.MULTILINE), target


def test_the_whole_example_of_a_schedule_is_one():
    ((block, _),) = blocks_of(ROOT / "CONTRIBUTING.md")
    names = {}
    exec(compile(block, "CONTRIBUTING.md", "exec"), names)
    added, reference = names["InverseTime"], names["inverse_time"]
    assert added(0.1, 50)(50) == reference(50, 0.1, 50) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="half_life"):
        added(0.1, 2.5)
