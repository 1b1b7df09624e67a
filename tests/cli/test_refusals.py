"""The command reports every failure in one line on stderr, with exit status 1."""

import csv
import io
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml
from command import run_command
from spec_fuzz import broken_specs, broken_texts

from accelsched._cli import curve
from accelsched._cli.command import main
from accelsched.schedules import Constant, Cyclic, Linear
from accelsched.schedules._outline import outline


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, *arguments):
    """Run a command that must fail, and return its one line on stderr."""
    assert main(arguments) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(f"accelsched {arguments[0]}: ")
    return line


def laughs(depth):
    """Return a YAML "billion laughs" text: lists of nine aliases, nested ``depth`` deep."""
    if depth == 0:
        return "1"
    return f"[&x{depth} {laughs(depth - 1)}{f', *x{depth}' * 8}]"


FILES = {
    "empty.yaml": (b"", "the file is empty"),
    "empty.json": (b"\n", "the file is empty"),
    "comment.yaml": (b"# nothing\n", "spec=None"),
    "no-curves.yaml": (b"{}", "the file holds no spec"),
    "no-curves.json": (b"[]", "the file holds no spec"),
    "latin.yaml": ("warm: «ü»".encode("latin-1"), "it cannot be read: 'utf-8' codec"),
    "utf-16.json": ('{"Constant": {"value": 1}}'.encode("utf-16"), "it cannot be read"),
    "zeros.yaml": (bytes(100), "it cannot be read"),
    "laughs.yaml": (f"Linear: {laughs(9)}".encode(), "more than 250,000 nodes"),
    "deep.yaml": (b"[" * 5000, "it cannot be read"),
    "deep.json": (b"[" * 50_000 + b"]" * 50_000, "it cannot be read|nested"),
    "within.yaml": (b"&a {Scaled: {schedule: *a, factor: 2}}", "nested deeper"),
    "nan.json": (b'{"Constant": {"value": NaN}}', "value=nan: give a finite number"),
    "digits.json": (b'{"Constant": {"value": 1' + b"0" * 5000 + b"}}", "it cannot be read|finite"),
    "digits.yaml": (b"{Constant: {value: 1" + b"0" * 400 + b"}}", "finite"),
    "keys.yaml": (b"{1: {2: 3}, null: []}", "give a dict"),
    "complex.yaml": (b"? [1, 2]\n: 3\n", "it cannot be read"),
    "mixed.json": (b"[1, {}, [], null]", "spec"),
    "no-group.yaml": (b"{Scheduler: {schedule: []}}", "schedule="),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_files(name, tmp_path, capsys):
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    line = refused(capsys, "curve", name)
    assert any(part in line for part in message.split("|")), line


def test_files_that_are_not_there(tmp_path, capsys):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "link.json").symlink_to("nowhere")
    (tmp_path / "loop.json").symlink_to("loop.json")
    for name in ("none.yaml", "folder.yaml", "link.json", "loop.json", "n" * 300 + ".json"):
        assert "it cannot be read" in refused(capsys, "curve", name)
    assert "it cannot be read" in refused(capsys, "curve", "a\0b.json")


def test_outputs_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "full.csv").symlink_to("/dev/full")
    (tmp_path / "full.svg").symlink_to("/dev/full")
    (tmp_path / "link.csv").symlink_to("nowhere/x")
    long = "n" * 300 + ".csv"
    for name in ("folder.csv", "full.csv", "full.svg", "link.csv", "/proc/x.png", long):
        refused(capsys, "curve", "Linear(0, 1, 2)", "--output", name)
    assert "no such folder" in refused(capsys, "demo", "--output", "none/x.png")
    for name in ("folder.csv", "/proc/x.png"):
        refused(capsys, "demo", "--runtime", "eager", "--output", name)
    assert not (tmp_path / "demo.png").exists()


def test_a_refused_spec_leaves_no_file(tmp_path, capsys):
    refused(capsys, "curve", "Linear(0, 1)", "--output", "new.csv")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.csv").write_text("kept")
    refused(capsys, "curve", "Linear(0, 1)", "--output", "old.csv")
    assert (tmp_path / "old.csv").read_text() == "kept"


@pytest.mark.parametrize("seed", range(2))
def test_broken_specs_and_expressions(seed, tmp_path, capsys):
    """Each of 200 broken inputs per seed is drawn, or refused in one line."""
    source, drawn = tmp_path / "spec.yaml", 0
    for spec in broken_specs(150, seed):
        try:
            source.write_text(yaml.safe_dump(spec))
        except Exception:  # YAML cannot represent it, so no file can hold it
            continue
        drawn += _is_drawn_or_refused(capsys, str(source))
    for text in broken_texts(50, seed):
        drawn += _is_drawn_or_refused(capsys, f" {text}")
    assert drawn > 5


def _is_drawn_or_refused(capsys, text):
    status = main(["curve", text, "--steps", "3"])
    assert len(capsys.readouterr().err.splitlines()) == status
    return status == 0


# Labels.

LABELS = ["$x_$ $\\alpha$", "_hidden", "a\nb", "\x1b[31m", "\U0001f600", "l" * 5000, "", "\ud800"]


def test_labels_are_shown_as_they_are(tmp_path, capsys):
    source = tmp_path / "labels.json"
    source.write_text(json.dumps({label: {"Constant": {"value": 1}} for label in LABELS}))
    for suffix in ("png", "svg", "csv"):
        assert main(["curve", str(source), "--output", f"x.{suffix}"]) == 0
    svg = (tmp_path / "x.svg").read_text()
    assert "$x_$" in svg and "_hidden" in svg  # matplotlib keeps each text in a comment
    assert main(["curve", str(source)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "1: $x_$ $\\alpha$"
    assert printed[2:4] == ["3: a\\nb", "4: \\x1b[31m"]
    assert printed[len(LABELS)] == ""
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        assert len(next(csv.reader(file))) == 1 + len(LABELS)


def test_a_terminal_without_the_letters(tmp_path):
    (tmp_path / "ü.json").write_text('{"ü": {"Constant": {"value": 1}}}', encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run_command("curve", "ü.json", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "1: \\xfc"


# Long curves.


def test_steps_without_end(capsys):
    for steps in (10**12, 2**62 - 1):
        assert main(["curve", "Linear(0, 1, 10)", "--steps", str(steps)]) == 0
        assert capsys.readouterr().out.splitlines()[-1].split() == [f"{steps:,}", "1"]
    assert main(["curve", "Linear(0, 1, 4611686018427387903)"]) == 0
    assert "2**62" in refused(capsys, "curve", "Constant(1)", "--steps", str(2**62))


def test_a_long_curve_is_drawn_in_little_memory(tmp_path):
    tracemalloc.start()
    assert main(["curve", "Linear(0, 1, 10)", "--steps", str(10**12), "--output", "x.svg"]) == 0
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()
    assert (tmp_path / "x.svg").stat().st_size < 2**20


def test_an_outline_has_each_peak():
    """The outline keeps every peak, one step in a thousand, and both ends."""
    schedule = Cyclic(0.0, 1.0, 500) + Linear(0.0, 1e-9, 10**6)
    at, values = outline(schedule, 10**6)
    assert len(at) < 5000 and (at[0], at[-1]) == (0, 10**6)
    assert values == pytest.approx(schedule.curve(0, 10**6 + 1)[at], rel=0)
    assert np.isin(np.arange(500, 10**6, 1000), at).all()
    few, same = outline(schedule, 3)
    assert list(few) == [0, 1, 2, 3] and list(same) == list(schedule.curve(0, 4))


def test_a_terminal_shows_each_curve_in_a_line(capsys, monkeypatch):
    rise = curve.sparkline(Linear(0.0, 1.0, 10), 10)
    assert len(rise) == 11 and (rise[0], rise[-1]) == ("▁", "█") and list(rise) == sorted(rise)
    assert curve.sparkline(Constant(0.3), 0) == "▅"
    assert len(curve.sparkline(Cyclic(0.0, 1.0, 5), 10**12)) == curve.COLUMNS
    assert main(["curve", "Linear(0, 1, 10)"]) == 0
    assert "▁" not in capsys.readouterr().out
    monkeypatch.setattr(curve, "_draws", lambda: True)
    assert main(["curve", "Linear(0, 1, 10)", "Constant(1)"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["1: Linear(0, 1, 10)", f"   {curve.sparkline(Linear(0.0, 1.0, 10), 11)}"]
    assert lines[2] == "2: Constant(1)" and lines[3].startswith("   ▅")


@pytest.mark.parametrize(("encoding", "draws"), [("utf-8", True), ("ascii", False)])
def test_only_a_terminal_with_the_letters_is_drawn_on(monkeypatch, encoding, draws):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr("sys.stdout", terminal)
    assert not curve._draws()
    terminal.isatty = lambda: True
    assert curve._draws() is draws


def test_a_csv_file_is_written_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(curve, "CHUNK", 7)
    assert main(["curve", "Linear(0, 1, 20)", "--steps", "21", "--output", "x.csv"]) == 0
    with (tmp_path / "x.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    want = Linear(0.0, 1.0, 20).curve(0, 22)
    assert [(int(step), float(value)) for step, value in rows] == list(enumerate(want))


def test_a_full_disk_under_stdout():
    with Path("/dev/full").open("w") as full:
        done = run_command("curve", "Linear(0, 1, 10)", stdout=full)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


# `check` imports a user's module.

MODULES = {
    "raises": ("raise RuntimeError('two\\nlines')", "raises:x", "RuntimeError: two lines"),
    "exits": ("import sys; sys.exit(3)", "exits:x", "SystemExit: 3"),
    "syntax": ("def", "syntax:x", "SyntaxError"),
    "maker": ("def x(): raise KeyError('lr')", "maker:x", "KeyError"),
    "needs": ("def x(model): pass", "needs:x", "missing 1 required positional argument"),
    "number": ("x = 5", "number:x", "not callable"),
    "nothing": ("def x(): pass", "nothing:x", "not a NoneType"),
    "missing": ("", "missing:x", "has no attribute"),
}


@pytest.mark.parametrize("name", MODULES)
def test_check_of_what_cannot_be_imported(name, tmp_path, capsys):
    code, path, message = MODULES[name]
    (tmp_path / f"h_{name}.py").write_text(code)
    assert message in refused(capsys, "check", f"h_{path}")


@pytest.mark.parametrize("path", ["", ":", "x", ".x:y", "no_such_module:y", "os:path", "a b:c"])
def test_check_of_no_path(path, capsys):
    assert "give package.module:name" in refused(capsys, "check", path)


def test_check_of_no_key(tmp_path, capsys):
    code = "import torch\ndef x(): return torch.optim.SGD([torch.zeros(1)], lr=0.1)"
    (tmp_path / "h_right.py").write_text(code)
    for options in (["--key", "nonsense"], ["--runtime", "abacus"], ["--key", "betas[9]"]):
        refused(capsys, "check", "h_right:x", *options)
    assert main(["check", "h_right:x"]) == 0
