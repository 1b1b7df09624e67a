"""The README's code runs, and does what it says."""

import os
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest
from command import run_command

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"```console\n\$ (accelsched [^\n]*)\n(.*?)```", README, re.DOTALL)
#: What the commands read.
FILES = {
    "zoo.yaml": """
        - LinearLR: {initial_learning_rate: 0.0, end_learning_rate: 0.1, total_iters: 100}
        - CosineDecayLR: {initial_learning_rate: 0.1, end_learning_rate: 0.0, total_iters: 900}
    """,
    "training.py": """
        import torch, torch_xla
        from accelsched import Scheduler
        from accelsched.schedules import Step

        def make_optimizer():
            model = torch.nn.Linear(8, 1).to(torch_xla.device())
            optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
            Scheduler(optimizer, Step(1.0, 30, 0.5))
            return optimizer
    """,
}


def test_every_block_runs_after_the_ones_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    assert len(BLOCKS) == 13
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert names["schedule"](50) == pytest.approx(0.1)
    added, reference = names["InverseTime"], names["inverse_time"]
    assert added(0.1, 50)(50) == reference(50, 0.1, 50) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="half_life"):
        added(0.1, 2.5)


@pytest.mark.parametrize(("command", "printed"), COMMANDS)
def test_every_command_prints_what_is_there(command, printed, tmp_path):
    if " check " in command and find_spec("torch_xla") is None:
        pytest.skip("it measures on torch_xla: `make test` runs it")
    for name, content in FILES.items():
        (tmp_path / name).write_text(dedent(content))
    environment = {**os.environ, "PJRT_DEVICE": "CPU"}
    result = run_command(*shlex.split(command)[1:], cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout == printed
    if "--output" in command:
        assert (tmp_path / command.split()[-1]).stat().st_size > 1000


def test_every_schedule_is_named():
    from drawing import CLASSES

    assert all(f"`{cls.__name__}`" in README for cls in CLASSES)


def test_every_target_of_the_makefile_is_named():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    targets = re.findall(r"^(demo|bench[\w-]*|test[\w-]*):", makefile, re.MULTILINE)
    tests = {"test", "test-latest", "test-cerebras", "test-clients", "test-cuda"}
    assert set(targets) == {"demo", "bench", "bench-cuda", *tests}
    assert all(f"`make {t}`" in README or f"$ make {t}" in README for t in targets)
