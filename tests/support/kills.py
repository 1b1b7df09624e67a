"""Kill a training script at random times and compare every step with a run without kills.

``python kills.py MODE KILLS SEED`` prints the results as JSON. Each life of the script is a fork
of this process, which has imported PyTorch but started no part of it.
"""

import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from itertools import pairwise
from pathlib import Path

from killed_script import COMPILED, Record, read_record, run, torch_xla

#: A life is killed within so many steps.
_STEPS = 24
#: What the script does after each kind of record.
_DOING = {b"t": "training", b"d": "between", b"s": "saving"}


class Took(dict[int, float]):
    """The seconds of a step, by the number of steps that its life trained before."""


def assert_survives(mode: str, kills: int) -> None:
    """Kill the script in its own process; compare every step with a run without kills."""
    command = [sys.executable, __file__, mode, str(kills), str(kills)]
    found_where = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=os.environ | found_where, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    found = json.loads(done.stdout)
    print(mode, found)
    assert found["differing"] == []
    assert found["compared"] > found["steps"] > kills
    # The script never ends by itself, so each kill hit it while it trained, reported or saved.
    assert sum(found["hit"].values()) == kills
    assert found["hit"]["training"] > kills / 4
    assert found["steps hit"] > kills / 2


def main(mode: str, kills: int, seed: int) -> None:
    rnd, took = random.Random(seed), Took()
    with tempfile.TemporaryDirectory() as name:
        _import(mode, name)
        killed, whole, warm = (Path(name, each) for each in ("killed", "whole", "warm"))
        # This life leaves machine code on disk, so that no later one has to compile.
        _whole_life(mode, warm, 2)
        lives = [_life_until_killed(mode, killed, rnd, took) for _ in range(kills)]
        last = max(record.step for records in lives for record in records)
        print(json.dumps(_compare(lives, _whole_life(mode, whole, last))))


def _import(mode: str, cache: str) -> None:
    """Import what a life would import, and start nothing of it."""
    import torch._dynamo

    if mode.startswith("xla"):
        torch_xla()
    if mode.startswith(COMPILED):
        os.environ |= {"TORCHINDUCTOR_CACHE_DIR": cache, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        import torch._inductor.compile_fx
        import torch._inductor.cudagraph_trees
        import torch.utils.cpp_extension  # noqa: F401


def _life_until_killed(mode: str, folder: Path, rnd: random.Random, took: Took) -> list[Record]:
    """Have the script go on from its last checkpoint, and kill it while it runs."""
    pid, pipe = _fork(mode, folder, None)
    records, begun = [], []
    last = rnd.randrange(_STEPS)
    while len(begun) <= last:
        record = read_record(pipe)
        if record is None:
            raise SystemExit(f"the script ended by itself: {os.waitpid(pid, 0)}")
        records.append(record)
        if record.kind == b"t":
            begun.append(time.monotonic())
    for index, (before, after) in enumerate(pairwise(begun)):
        # The shortest: a first compile takes ten times as long as one that finds its code on disk.
        took[index] = min(after - before, took.get(index, math.inf))
    # Kill anywhere in this step, which another life has timed, or in the work after it.
    time.sleep(rnd.random() * took.get(last, 0.0))
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    return records + _rest(pipe)


def _whole_life(mode: str, folder: Path, stop: int) -> list[Record]:
    """Have the script train to a step undisturbed."""
    pid, pipe = _fork(mode, folder, stop)
    records = _rest(pipe)
    assert os.waitpid(pid, 0)[1] == 0
    return records


def _fork(mode: str, folder: Path, stop: int | None) -> tuple[int, int]:
    """Begin a life, and return its id and the pipe that it writes its records to."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    failed = 1
    try:
        run(mode, folder, writer, stop)
        failed = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(failed)


def _rest(pipe: int) -> list[Record]:
    records = list(iter(lambda: read_record(pipe), None))
    os.close(pipe)
    return records


def _compare(lives: list[list[Record]], whole: list[Record]) -> dict[str, object]:
    """Return what the kills hit, and the first steps where a life and the whole run differ."""
    digests = {record.step: record.digest for record in whole if record.kind == b"d"}
    trained = [record for records in lives for record in records if record.kind == b"d"]
    hit = Counter(_DOING[records[-1].kind] for records in lives)
    return {
        "kills": len(lives),
        "hit": hit,
        "steps hit": len({records[-1].step for records in lives}),
        "steps": max(digests, default=0),
        "compared": len(trained),
        "differing": sorted({r.step for r in trained if digests[r.step] != r.digest})[:10],
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
