"""The command `accelsched`; its `demo` trains a small model and shows what scheduling costs.

What only the demo needs is imported when it runs, so that --help works without it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from accelsched import demo, runtimes


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the name of the command; those of the process if None.

    Returns:
        The exit status: 0, or 1 if what was asked for cannot run here.
    """
    options = _parser().parse_args(argv)
    runtime = options.runtime or "xla"
    unavailable = runtimes.NAMED[runtime].available()
    if unavailable and options.runtime is None:
        print(f"{unavailable}: running on torch.compile instead.")
        runtime, unavailable = "compile", None
    obstacle = _missing() or unavailable or _unwritable(options.output)
    if obstacle:
        print(f"accelsched demo: {obstacle}", file=sys.stderr)
        return 1
    optimizer = options.optimizer or ("SGD" if runtime == "lazy" else "AdamW")
    named = runtimes.NAMED[runtime]
    demo.run(named, options.schedule, optimizer, options.steps, options.output)
    return 0


def _missing() -> str | None:
    packages = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"}
    missing = [package for module, package in packages.items() if find_spec(module) is None]
    return f"needs {', '.join(missing)}: pip install accelsched[demo]" if missing else None


def _unwritable(output: Path) -> str | None:
    return None if output.parent.is_dir() else f"--output {output}: there is no such folder"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="accelsched",
        description="Hyper-parameter schedules for PyTorch, computed on the device.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    summary = "train a small model, and compare with torch.optim.lr_scheduler"
    details = """Train a small convolutional network on handwritten digits, once with each way to
        schedule the learning rate, side by side. Print a table of accuracy, speed, compiles,
        transfers and executions, and draw the learning rate that was read in training."""
    option = commands.add_parser("demo", help=summary, description=details).add_argument
    where = "what runs the training (default: xla, or compile where torch-xla is not installed)"
    which = "the default is AdamW, or SGD on the lazy runtime"
    curve = "the curve of the learning rate (default: %(default)s)"
    count = f"how long to train, at least {demo.MIN_STEPS} (default: %(default)s)"
    picture = "the picture to write (default: %(default)s)"
    option("--runtime", choices=runtimes.NAMED, help=where)
    option("--schedule", choices=demo.SCHEDULES, default="warmup-cosine", help=curve)
    option("--optimizer", choices=demo.OPTIMIZERS, help=which)
    option("--steps", type=_steps, default=600, help=count)
    option("--output", type=Path, default=Path("accelsched-demo.png"), help=picture)
    return parser


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < demo.MIN_STEPS:
        raise argparse.ArgumentTypeError(f"{text}: give a number from {demo.MIN_STEPS} on")
    return int(text)
