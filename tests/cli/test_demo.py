"""The demo trains, prints its table, and draws its picture."""

import struct

import pytest

from accelsched._cli import command as cli

pytest.importorskip("sklearn", reason="the demo's data comes with scikit-learn (extra `demo`)")


def rows(text):
    """Return the cells of each table row, by the name of its scheduler."""
    names = ("constant lr", "accelsched", "torch (tensor lr)", "torch (float lr)")
    table = text.split("first: ")[0].splitlines()
    lines = {name: line for line in table for name in names if line.startswith(name)}
    return {name: line.removeprefix(name).split() for name, line in lines.items()}


# In torch 2.4, SequentialLR triggers a deprecation warning of torch's own.
@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("runtime", ["eager", "xla", "lazy"], indirect=True)
@pytest.mark.parametrize("schedule", ["warmup-cosine", "step"])
def test_the_table_and_the_picture(runtime, schedule, capsys, tmp_path):
    picture = tmp_path / "curve.png"
    arguments = ["--runtime", runtime.name, "--schedule", schedule, "--optimizer", "SGD"]
    status = cli.main(["demo", *arguments, "--steps", "150", "--output", str(picture)])
    table = rows(capsys.readouterr().out)
    assert status == 0
    assert len(table) == 4
    for accuracy, speed, *_ in table.values():
        assert float(accuracy.rstrip("%")) > 80  # every run learns the data
        assert float(speed) > 0
    *_, error = table["accelsched"]
    # Half a float32 ulp; on the host, the value is the float64 reference itself.
    assert float(error) <= 2**-24
    if runtime.name in ("xla", "lazy"):
        _, _, _, later, to_device, from_device, executions, _ = table["accelsched"]
        assert (later, to_device, from_device, executions) == ("0", "0", "0", "1")
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:24]) == (2000, 1120)


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("runtime", ["xla", "lazy"], indirect=True)
def test_a_decay_that_begins_in_mid_run_compiles_nothing(runtime, capsys, tmp_path):
    arguments = ["--runtime", runtime.name, "--schedule", "wsd", "--decay-at", "80"]
    arguments += ["--optimizer", "SGD", "--steps", "100", "--output", str(tmp_path / "curve.png")]
    assert cli.main(["demo", *arguments]) == 0
    _, _, _, later, *_, error = rows(capsys.readouterr().out)["accelsched"]
    assert later == "0" and float(error) <= 2**-24


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--decay-at", "80"], "add --schedule wsd"),
        (["--schedule", "wsd", "--decay-at", "3"], "give a step from 10 to 99"),
        (["--schedule", "wsd", "--decay-at", "100"], "give a step from 10 to 99"),
    ],
)
def test_a_decay_where_there_is_none_is_refused(wrong, says, capsys, tmp_path):
    arguments = ["--runtime", "eager", "--steps", "100", "--output", str(tmp_path / "curve.png")]
    assert cli.main(["demo", *arguments, *wrong]) == 1
    assert says in capsys.readouterr().err


def test_what_cannot_run_is_said(capsys, tmp_path, monkeypatch):
    missing = tmp_path / "nowhere" / "curve.png"
    assert cli.main(["demo", "--runtime", "eager", "--output", str(missing)]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert cli.main(["demo", "--runtime", "eager"]) == 1
    assert "pip install accelsched[demo]" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [["--steps", "5"], ["--runtime", "tpu"], ["--schedule", "cos"]])
def test_bad_options_are_refused(bad, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["demo", *bad])
    assert bad[1] in capsys.readouterr().err
