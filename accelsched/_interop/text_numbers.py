"""Numbers that YAML takes for text."""

from __future__ import annotations

import re
from typing import Any

# YAML 1.1, as PyYAML reads it, wants a point in a number with an exponent.
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def number(value: Any) -> Any:
    """Return a number that YAML took for text, such as 1e-3; return anything else as it is."""
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
