"""Measures the rules of a runtime with the torch that runs: `python benchmarks/rules.py lazy`.

They go to accelsched/_optimizers/rules.json, beside those of other versions of torch.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch.torch_version import TorchVersion

from accelsched._costs import measuring
from accelsched._optimizers import rules
from accelsched._runtimes import NAMED

FILE = Path(rules.__file__).with_name("rules.json")
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
    return [{count: part[count] for count in sorted(part) if part[count]} for part in (fixed, each)]


def rules_of(runtime, name):
    """The rules of the ways that PyTorch does not refuse."""
    ways = {way: rule(runtime, name, way) for way in rules.CONFIGURATIONS}
    return {way: found for way, found in ways.items() if found}


def merged(versions, version, rules):
    """The rules of an optimizer by version, those of one replaced; no version repeats another's."""
    versions = versions | {version: rules}
    known = sorted(versions, key=TorchVersion)
    before = dict(zip(known[1:], known, strict=False))
    return {v: versions[v] for v in known if versions[v] != versions.get(before.get(v))}


def main():
    runtime, version = NAMED[sys.argv[1]], ".".join(torch.__version__.split(".")[:2])
    table = json.loads(FILE.read_text())
    known = table.setdefault(runtime.name, {})
    for name in measuring.CLASSES:
        known[name] = merged(known.get(name, {}), version, rules_of(runtime, name))
    table[runtime.name] = dict(sorted(known.items()))
    FILE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
