"""Load one source of schedulers on top of accelsched or of the package it was written for."""

import math
import sys
import types
from pathlib import Path
from typing import Any

#: Source files by the package that they import from, which is replaced.
_SOURCES = {
    "cerebras.pytorch.optim": "written_for_cerebras.py",
    "thunder": "written_for_thunder.py",
}


def written_for(package: str, imported: str = "accelsched") -> Any:
    """Return the source written for a package as a module that imports from another one.

    Args:
        package: ``"cerebras.pytorch.optim"`` or ``"thunder"``.
        imported: what it imports from; the package itself for the original.
    """
    file = Path(__file__).with_name(_SOURCES[package])
    name = f"{file.stem}_from_{imported.replace('.', '_')}"
    if name not in sys.modules:
        sys.modules[name] = module = types.ModuleType(name)
        source = file.read_text().replace(f"from {package}.", f"from {imported}.")
        exec(compile(source, str(file), "exec"), vars(module))
    return sys.modules[name]


def _trapezoid(t: int) -> float:
    return 0.2 * (t / 11 if t < 11 else min(max((70 - t) / 30, 0), 1))


def _stairs(t: int) -> float:
    return 0.4 * 0.8 ** (t // 7) * 0.5 ** ((t >= 20) + (t >= 41))


#: The curve of each entry of EVERY in written_for_cerebras.py, in plain Python.
EXPECTED = {
    "Trapezoid": _trapezoid,
    "Trapezoid of a tag": _trapezoid,
    "Stairs": _stairs,
    "Stairs that are smooth": lambda t: 0.4 * 0.8 ** (t / 7),
    "Wave": lambda t: 0.01 + 0.19 * (1 - math.cos(math.tau * (t % 37) / 37)) / 2,
    "MomentumRamp": lambda t: 0.85 + 0.1 * min(t, 50) / 50,
    "Dimmed": lambda t: 0.25 * (0.1 - 0.08 * min(t, 60) / 60),
}
