"""Run model_zoo_script.py, a script for cerebras_pytorch, with one import line changed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from float32 import UNIT

pytest.importorskip(
    "cerebras.pytorch", reason="cerebras-pytorch is installed by `make test-cerebras` only"
)

from cirh import Step

SCRIPT = Path(__file__).with_name("model_zoo_script.py").read_text()
THEIRS = "from cerebras.pytorch.optim import lr_scheduler\n"
OURS = "from accelsched import lr_scheduler\n"
#: Run a script in a process whose backend finds no cluster and needs none.
RUN = """
import runpy, sys, wafer
wafer.replace_cluster()
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def run(folder, text, *options):
    """Run a script, and return each line that it logs: step, loss, and the rate of each group."""
    (folder / "train.py").write_text(text)
    finished = subprocess.run(
        [sys.executable, "-c", RUN, "train.py", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "support")},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    lines = [line.split() for line in finished.stdout.splitlines() if line.startswith("step ")]
    return [tuple(map(float, line[1:])) for line in lines]


def ours():
    assert SCRIPT.count(THEIRS) == 1
    return SCRIPT.replace(THEIRS, OURS)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return run(tmp_path_factory.mktemp("ours"), ours())


def test_the_same_training_on_the_cpu(tmp_path, mine):
    theirs = run(tmp_path, SCRIPT)
    assert len(theirs) == len(mine) == 12
    for (_, their_loss, *their_rates), (_, loss, *rates) in zip(theirs, mine, strict=True):
        # Their float32 cosine cancels, so it is off by some 16 roundings of the peak, 0.1.
        assert rates == pytest.approx(their_rates, abs=16 * UNIT * 0.1)
        # A step of AdamW moves no weight by more than its rate, so a dozen of them are off by
        # 12 * 16 roundings of 0.1 at most; the loss is quadratic, of slope below 4 there.
        assert loss == pytest.approx(their_loss, abs=12 * 16 * UNIT)


def test_a_run_that_is_killed_and_resumed(tmp_path, mine):
    saving = ("--steps", "5", "--checkpoint", "c.mdl", "--checkpoint_steps", "5")
    first = run(tmp_path, ours(), *saving)
    rest = run(tmp_path, ours(), "--steps", "7", "--load", "c.mdl")
    assert first + rest == mine


def test_the_wafer_scale_front_end_lowers_it(tmp_path):
    run(tmp_path, ours(), "--backend", "CSX", "--compile_only")
    (file,) = tmp_path.glob("**/executors/000001/cirh.mlir")
    step = Step(file.read_text())
    (counter,) = [name for name in step.carried if re.search(r"schedulers.*\.0$", name)]
    assert counter in step.depends("state.model.weight") & step.depends("state.model.bias")
    assert step.depends(counter) == {counter}
