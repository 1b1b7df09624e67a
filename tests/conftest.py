"""The installed package is tested, never the checkout: its root would make `kernels` importable."""

import os
import sys
from pathlib import Path

os.environ.setdefault("PJRT_DEVICE", "CPU")

_ROOT = Path(__file__).parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _ROOT]
