"""The code of each page runs in order; each command prints the output that the page shows."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from textwrap import dedent

import pytest
from command import run_command
from pages import DOCS, PAGES, README, code_of

COMMAND = re.compile(r"```console\n\$ (accelsched [^\n]*)\n(.*?)```", re.DOTALL)
COMMANDS = sorted({pair for page in (README, *PAGES) for pair in COMMAND.findall(page.read_text())})
#: The files that the commands read.
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
#: Tested in test_cuda_page.py, on a GPU or on emulated graphs.
CUDA = DOCS / "back_ends" / "cuda.md"
CODES = {page.relative_to(DOCS).as_posix(): code_of(page) for page in PAGES if page != CUDA}


def in_a_process_of_its_own(code):
    """Return whether a page registers a device (at most one per process) or counts compiles."""
    return any(name in code for name in ("torch_xla", "torch._lazy", "torch._dynamo"))


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
