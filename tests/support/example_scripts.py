"""The scripts that show how a client adopts accelsched."""

import runpy
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples"


def run_example(client: str) -> dict[str, Any]:
    """Run the script of a client, and return its variables."""
    return runpy.run_path(str(FOLDER / f"with_{client}.py"))
