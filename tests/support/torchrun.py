"""Two processes of torchrun on gloo."""

import os
import subprocess
import sys

COMMAND = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
#: Timeout in seconds: a process hangs when it waits for one that has ended.
LONGEST = 240


def torchrun(program, folder, **environment):
    """Run a program in two processes, which write their results into a folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    # The program imports the shared test modules from its own folder.
    environment.pop("PYTHONSAFEPATH", None)
    launched = subprocess.Popen(
        [*COMMAND, program, folder], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = launched.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        launched.terminate()  # and with it the processes that it has started
        launched.wait()
        raise
    assert launched.returncode == 0, errors
