"""The same source of schedulers as a module of ours and one of cerebras_pytorch's."""

import math
import sys
import types
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("written_for_cerebras.py")


def written_for(package: str) -> Any:
    """The module, importing from ``accelsched`` or from ``cerebras.pytorch.optim``."""
    name = f"written_for_{package.replace('.', '_')}"
    if name not in sys.modules:
        module = types.ModuleType(name)
        source = _FILE.read_text().replace("from cerebras.pytorch.optim.", f"from {package}.")
        sys.modules[name] = module
        exec(compile(source, str(_FILE), "exec"), vars(module))
    return sys.modules[name]


def _trapezoid(t: int) -> float:
    return 0.2 * (t / 11 if t < 11 else min(max((70 - t) / 30, 0), 1))


def _stairs(t: int) -> float:
    return 0.4 * 0.8 ** (t // 7) * 0.5 ** ((t >= 20) + (t >= 41))


#: What each of EVERY there says, in plain Python.
EXPECTED = {
    "Trapezoid": _trapezoid,
    "Trapezoid of a tag": _trapezoid,
    "Stairs": _stairs,
    "Stairs that are smooth": lambda t: 0.4 * 0.8 ** (t / 7),
    "Wave": lambda t: 0.01 + 0.19 * (1 - math.cos(math.tau * (t % 37) / 37)) / 2,
    "MomentumRamp": lambda t: 0.85 + 0.1 * min(t, 50) / 50,
    "Dimmed": lambda t: 0.25 * (0.1 - 0.08 * min(t, 60) / 60),
}
