"""The command `accelsched`: `demo` shows the cost of scheduling, `curve` draws a schedule.

Each subcommand imports its own dependencies when it runs, so that --help works without them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
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
from accelsched.schedules._outline import shown_steps


class Obstacle(Exception):
    """The command cannot run here; the message is the reason."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments without the name of the command; None for those of the process.

    Returns:
        The exit status: 0, 1 if the command cannot run here, or 130 if the user interrupts it.
    """
    options = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A label may have letters that the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the pipe has closed it, as `head` does.
        _leave_stdout()
        return 0
    except (ArgumentError, Obstacle, OSError, RecursionError, MemoryError) as error:
        print(f"accelsched {options.command}: {_line(error)}", file=sys.stderr)
        _leave_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _leave_stdout() -> None:
    """Flush stdout, or redirect it to the null device, so that the flush at exit cannot fail."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(io.UnsupportedOperation):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(error: BaseException) -> str:
    """Return the message of an error, in one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, (RecursionError, MemoryError)):
        return "the schedules are too large, or nested too deeply: give smaller ones"
    return " ".join(str(error).split())


def _curve(options: argparse.Namespace) -> None:
    """Run ``accelsched curve``."""
    output, formats = options.output, (".csv", ".png", ".svg")
    if output is not None:
        if output.suffix not in formats:
            raise Obstacle(f"--output {output}: give a name that ends in {', '.join(formats)}")
        if output.suffix != ".csv" and find_spec("matplotlib") is None:
            raise Obstacle("needs matplotlib: pip install accelsched[plot]")
        _require_writable(output)
    curves = curve.read(options.spec)
    curve.write(curves, options.steps or shown_steps(curves.values()), output)


def _demo(options: argparse.Namespace) -> None:
    """Run ``accelsched demo``."""
    runtime = options.runtime or "xla"
    unavailable = NAMED[runtime].available()
    if unavailable and options.runtime is None:
        print(f"{unavailable}: running on torch.compile instead.")
        runtime, unavailable = "compile", None
    misplaced = options.decay_at is not None and options.schedule != "wsd"
    obstacle = "--decay-at: add --schedule wsd; only this curve takes one" if misplaced else None
    obstacle = obstacle or _missing() or unavailable
    if obstacle:
        raise Obstacle(obstacle)
    _require_writable(options.output)
    optimizer = options.optimizer or ("SGD" if runtime == "lazy" else "AdamW")
    named = NAMED[runtime]
    asked = options.schedule, optimizer, options.steps, options.output, options.decay_at
    demo.run(named, *asked)


def _missing() -> str | None:
    """Return which packages the demo lacks; None if none."""
    packages = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"}
    missing = [package for module, package in packages.items() if find_spec(module) is None]
    return f"needs {', '.join(missing)}: pip install accelsched[demo]" if missing else None


def _require_writable(output: Path) -> None:
    """Raise before the work unless its result can be written."""
    if not output.parent.is_dir():
        raise Obstacle(f"--output {output}: there is no such folder: create it")
    is_new = not output.exists()
    with output.open("ab"):
        pass
    if is_new:
        output.unlink()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="accelsched",
        description="Hyper-parameter schedules for PyTorch, computed on the device.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    add_command(commands)
    summary = "train a small model, and compare with torch.optim.lr_scheduler"
    details = """Train a small convolutional network on handwritten digits, once with each way to
        schedule the learning rate, side by side. Print a table of accuracy, speed, compiles,
        transfers and executions, and draw the learning rate that was read in training."""
    command = commands.add_parser("demo", help=summary, description=details)
    command.set_defaults(run=_demo)
    option = command.add_argument
    where = "the back end that trains (default: xla, or compile where torch-xla is not installed)"
    which = "the default is AdamW, or SGD on the lazy runtime"
    recipe = "the curve of the learning rate (default: %(default)s)"
    count = f"how long to train, at least {demo.MIN_STEPS} (default: %(default)s)"
    decay = "with --schedule wsd: the step of the decay, which accelsched learns only in mid-run"
    picture = "the picture to write (default: %(default)s)"
    option("--runtime", choices=NAMED, help=where)
    option("--schedule", choices=demo.SCHEDULES, default="warmup-cosine", help=recipe)
    option("--optimizer", choices=demo.OPTIMIZERS, help=which)
    option("--steps", type=_steps, default=600, help=count)
    option("--decay-at", type=_positive, metavar="STEP", help=decay)
    option("--output", type=Path, default=Path("accelsched-demo.png"), help=picture)
    summary = "print, write or draw the curves of schedules"
    details = """Print the values of schedules side by side, write the values of each step to a CSV
        file, or draw them."""
    command = commands.add_parser("curve", help=summary, description=details)
    command.set_defaults(run=_curve)
    option = command.add_argument
    what = "a JSON or YAML file (of schedules, or a configuration of Cerebras' Model Zoo), or an "
    what += "expression: 'Linear(0, 0.1, 100).then(Constant(1), at=100)'"
    option("spec", nargs="+", metavar="SPEC", help=what)
    option("--steps", type=_positive, help="the last step (default: shortly past the last change)")
    option("--output", type=Path, help="a file to write: .csv, .png or .svg")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a number of at least 1")
    return int(text)


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < demo.MIN_STEPS:
        raise argparse.ArgumentTypeError(f"{text}: give a number of at least {demo.MIN_STEPS}")
    return int(text)
