"""The command `accelsched` in a process of its own, as a user starts it."""

import subprocess
import sys

CODE = "import sys; from accelsched._cli.command import main; sys.exit(main(sys.argv[1:]))"


def run_command(*arguments, **options):
    """Run the command and return its result; the options are those of subprocess.run."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.run([sys.executable, "-c", CODE, *arguments], **options)
