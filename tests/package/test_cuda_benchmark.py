"""benchmarks/cuda.py runs to its end, tiny and without a GPU; its figures mean nothing here."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from emulated_graphs import capturable_on_the_cpu, emulated_graphs  # noqa: F401

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def cuda(emulated_graphs, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("cuda_benchmark", FOLDER / "cuda.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cuda_benchmark", module)  # dataclasses look up their module
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    spec.loader.exec_module(module)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    # Dynamo would look for the emulated device.
    monkeypatch.setattr(module, "WAYS", [way for way in module.WAYS if not way.compiled])
    sizes = replace(module.SMALL, parameters=2, groups=(2,), rounds=1)
    yield module, sizes
    for name in ("rounds", "tables"):
        sys.modules.pop(name, None)


@pytest.mark.filterwarnings("ignore:This instance was constructed with capturable:UserWarning")
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_it_writes_every_row(cuda, tmp_path):
    module, sizes = cuda
    module.main(tmp_path, sizes)
    (figures,) = tmp_path.glob("cuda-no-gpu-*.json")
    made = json.loads(figures.read_text())
    assert {"device", "torch", "command", "seconds"} <= made.keys()
    assert [table["way"]["title"] for table in made["tables"]] == [w.title for w in module.WAYS]
    for way, table in zip(module.WAYS, made["tables"], strict=True):
        assert [row["name"] for row in table["rows"]] == list(way.kinds)
        for row in table["rows"]:
            assert row["error"] is None, (way.title, row)
            assert len(row["host_us"]) == sizes.rounds
    page = figures.with_suffix(".md").read_text()
    assert page.count("\n## ") == len(module.WAYS)
    assert page.count("| constant, tensor | ") == 4


def test_an_error_in_a_row_ends_no_other(cuda, monkeypatch):
    module, sizes = cuda
    make = module.stepper

    def stepper(kind, *others):
        if kind == "host":
            raise RuntimeError("CUDA error: a | b\nand more")
        return make(kind, *others)

    monkeypatch.setattr(module, "stepper", stepper)
    way = module.WAYS[0]
    rows = module.measured(way, 1, sizes, deadline=float("inf"))
    errors = {row.name: row.error for row in rows}
    assert errors == dict.fromkeys(way.kinds) | {"host": "RuntimeError: CUDA error: a | b"}
    assert all(bool(row.host_us) == (row.error is None) for row in rows)
    table = module.table_of(way, 1, rows)
    assert "host: RuntimeError" in table.notes and ["host", *["-"] * 7] in table.rows


def test_what_would_begin_late_is_left_out(cuda, monkeypatch):
    module, sizes = cuda
    monkeypatch.setattr(module, "BUDGET", -1.0)
    for figures, _ in module.tables(sizes):
        assert {row["error"] for row in figures["rows"]} == {"left out: time was up"}
