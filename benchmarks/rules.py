"""Measure the rules of a runtime with the installed torch: `python benchmarks/rules.py lazy`.

The rules go to accelsched/_optimizers/rules.json, next to those of other torch versions. The rules
of "cuda" go to cuda.json and need no GPU: the script counts the reads in PyTorch's Python code.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch.torch_version import TorchVersion

from accelsched._costs import measuring, simulated_cuda
from accelsched._optimizers import on_cuda, rules
from accelsched._runtimes import NAMED

FILE = Path(rules.__file__).with_name("rules.json")
SMALL, LARGE = 2, 4


def rule(runtime, name, way):
    """Return the fixed costs and the costs per parameter, or None if PyTorch refuses."""
    costs = [measuring.of_class(runtime, name, way, parameters) for parameters in (SMALL, LARGE)]
    if None in costs:
        return None
    small, large = map(asdict, costs)
    # More parameters may send less, where a number was sent before.
    each = {n: max(0, (large[n] - small[n]) // (LARGE - SMALL)) for n in small}
    fixed = {n: small[n] - SMALL * each[n] for n in small}
    return [{count: part[count] for count in sorted(part) if part[count]} for part in (fixed, each)]


def rules_of(runtime, name):
    """Return the rules of the ways that PyTorch accepts."""
    ways = {way: rule(runtime, name, way) for way in rules.CONFIGURATIONS}
    return {way: found for way, found in ways.items() if found}


def merged(versions, version, rules):
    """Replace the rules of one version; drop versions that repeat the one before."""
    versions = versions | {version: rules}
    known = sorted(versions, key=TorchVersion)
    before = dict(zip(known[1:], known, strict=False))
    return {v: versions[v] for v in known if versions[v] != versions.get(before.get(v))}


def reads(name, key, way):
    """Return the fixed reads and the reads per parameter, or None if PyTorch refuses."""
    small, large = (simulated_cuda.reads(name, key, way, count) for count in (SMALL, LARGE))
    if small is None or large is None:
        return None
    each = (large - small) // (LARGE - SMALL)
    return [small - SMALL * each, each]


def main_of_cuda(version):
    file = FILE.with_name("cuda.json")
    table = json.loads(file.read_text()) if file.exists() else {}
    for name in measuring.CLASSES:
        for key in on_cuda.KEYS:
            found = {way: reads(name, key, way) for way in on_cuda.CONFIGURATIONS}
            found = {way: counts for way, counts in found.items() if counts is not None}
            known = table.setdefault(name, {})
            if found:
                known[key] = merged(known.get(key, {}), version, found)
    file.write_text(_as_text(dict(sorted(table.items()))))


def _as_text(table):
    """JSON with a line for each version."""
    lines = [
        f' "{name}": {{\n' + ",\n".join(f'  "{key}": {_of_key(rows)}' for key, rows in keys.items())
        for name, keys in table.items()
    ]
    return "{\n" + "\n },\n".join(lines) + "\n }\n}\n"


def _of_key(rows):
    lines = (f'   "{version}": {json.dumps(ways)}' for version, ways in rows.items())
    return "{\n" + ",\n".join(lines) + "\n  }"


def main():
    version = ".".join(torch.__version__.split(".")[:2])
    if sys.argv[1] == "cuda":
        return main_of_cuda(version)
    runtime = NAMED[sys.argv[1]]
    table = json.loads(FILE.read_text())
    known = table.setdefault(runtime.name, {})
    for name in measuring.CLASSES:
        known[name] = merged(known.get(name, {}), version, rules_of(runtime, name))
    table[runtime.name] = dict(sorted(known.items()))
    FILE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
