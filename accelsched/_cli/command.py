"""The command `accelsched`: `demo` shows what scheduling costs, `curve` what a schedule does.

What only they need is imported when they run, so that --help works without it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from accelsched import __version__
from accelsched._cli import curve, demo
from accelsched._costs.checking import add_command
from accelsched._runtimes import NAMED
from accelsched.errors import ArgumentError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the name of the command; those of the process if None.

    Returns:
        The exit status: 0, or 1 if what was asked for cannot run here.
    """
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` has; what is left must go somewhere at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _curve(options: argparse.Namespace) -> int:
    output, formats = options.output, (".csv", ".png", ".svg")
    obstacle = None if output is None else _unwritable(output)
    if output is not None and output.suffix not in formats:
        obstacle = f"--output {output}: give a name that ends in {', '.join(formats)}"
    elif output is not None and output.suffix != ".csv" and find_spec("matplotlib") is None:
        obstacle = "needs matplotlib: pip install accelsched[plot]"
    if obstacle is None:
        try:
            curves = curve.read(options.spec)
            curve.write(curves, options.steps or curve.steps_of(curves), output)
        except ArgumentError as error:
            obstacle = str(error)
    if obstacle:
        print(f"accelsched curve: {obstacle}", file=sys.stderr)
    return 1 if obstacle else 0


def _demo(options: argparse.Namespace) -> int:
    runtime = options.runtime or "xla"
    unavailable = NAMED[runtime].available()
    if unavailable and options.runtime is None:
        print(f"{unavailable}: running on torch.compile instead.")
        runtime, unavailable = "compile", None
    obstacle = _missing() or unavailable or _unwritable(options.output)
    if obstacle:
        print(f"accelsched demo: {obstacle}", file=sys.stderr)
        return 1
    optimizer = options.optimizer or ("SGD" if runtime == "lazy" else "AdamW")
    named = NAMED[runtime]
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
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands)
    summary = "train a small model, and compare with torch.optim.lr_scheduler"
    details = """Train a small convolutional network on handwritten digits, once with each way to
        schedule the learning rate, side by side. Print a table of accuracy, speed, compiles,
        transfers and executions, and draw the learning rate that was read in training."""
    command = commands.add_parser("demo", help=summary, description=details)
    command.set_defaults(run=_demo)
    option = command.add_argument
    where = "what runs the training (default: xla, or compile where torch-xla is not installed)"
    which = "the default is AdamW, or SGD on the lazy runtime"
    recipe = "the curve of the learning rate (default: %(default)s)"
    count = f"how long to train, at least {demo.MIN_STEPS} (default: %(default)s)"
    picture = "the picture to write (default: %(default)s)"
    option("--runtime", choices=NAMED, help=where)
    option("--schedule", choices=demo.SCHEDULES, default="warmup-cosine", help=recipe)
    option("--optimizer", choices=demo.OPTIMIZERS, help=which)
    option("--steps", type=_steps, default=600, help=count)
    option("--output", type=Path, default=Path("accelsched-demo.png"), help=picture)
    summary = "print, write or draw the curves of schedules"
    details = """Print the values of one or several schedules side by side, or write those of each
        step to a CSV file, or draw them."""
    command = commands.add_parser("curve", help=summary, description=details)
    command.set_defaults(run=_curve)
    option = command.add_argument
    what = "a JSON or YAML file, or an expression: 'Linear(0, 0.1, 100).then(Constant(1), at=100)'"
    option("spec", nargs="+", metavar="SPEC", help=what)
    option("--steps", type=_positive, help="the last step (default: shortly past the last change)")
    option("--output", type=Path, help="a file to write: .csv, .png or .svg")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a number from 1 on")
    return int(text)


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < demo.MIN_STEPS:
        raise argparse.ArgumentTypeError(f"{text}: give a number from {demo.MIN_STEPS} on")
    return int(text)
