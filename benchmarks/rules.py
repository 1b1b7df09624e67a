"""Measures what accelsched/rules.json holds, for one runtime: `python benchmarks/rules.py xla`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import accelsched
from accelsched._costs import measuring
from accelsched._optimizers.rules import CONFIGURATIONS
from accelsched._runtimes import NAMED

FILE = Path(accelsched.__file__).with_name("rules.json")
SMALL, LARGE = 2, 4


def rule(runtime, name, way):
    """The fixed costs and those of each parameter, or None if PyTorch refuses."""
    costs = [measuring.of_class(runtime, name, way, parameters) for parameters in (SMALL, LARGE)]
    if None in costs:
        return None
    small, large = map(asdict, costs)
    # More parameters may send less, where a number was sent before.
    each = {n: max(0, (large[n] - small[n]) // (LARGE - SMALL)) for n in small}
    fixed = {n: small[n] - SMALL * each[n] for n in small}
    return [{count: n for count, n in part.items() if n} for part in (fixed, each)]


def main():
    runtime = NAMED[sys.argv[1]]
    rules = {}
    for name in measuring.CLASSES:
        ways = {way: rule(runtime, name, way) for way in CONFIGURATIONS}
        rules[name] = {way: found for way, found in ways.items() if found}
    table = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps(table | {runtime.name: rules}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
