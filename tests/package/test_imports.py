"""No two files of the package import each other, directly or through others.

`make check` enforces the layers between rooms; these tests also look within a room. Imports inside
a function count; imports for types only do not.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The only exception. An operator of Schedule returns a Sum, a Product or a Sequential, which are
#: Schedules: base.py imports _operators.py at the first use of an operator.
OPERATORS = ("accelsched.schedules.base", "accelsched.schedules._operators")


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = () if parts[0] == "accelsched" else ("accelsched",)
    return ".".join(package + parts).removesuffix(".__init__")


FILES = {module_of(p): p for room in ("accelsched", "kernels") for p in (ROOT / room).rglob("*.py")}


def imported(node):
    """Return the modules of the package that a syntax tree imports."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return set()
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & FILES.keys()
    if isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute here"
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        # A name that is not a module is defined in the file of its package.
        return {name if name in FILES else node.module for name in names} & FILES.keys()
    return set().union(*map(imported, ast.iter_child_nodes(node)))


def test_no_two_files_import_each_other():
    imports = {name: imported(ast.parse(path.read_text())) for name, path in FILES.items()}
    importer, operators = OPERATORS
    imports[importer].remove(operators)
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_what_counts_as_an_import():
    source = """
if TYPE_CHECKING:
    from accelsched import policy
import accelsched.errors, torch
from accelsched import Scheduler, export

def function():
    from accelsched.schedules.base import Schedule
"""
    assert imported(ast.parse(source)) == {
        "accelsched",
        "accelsched.errors",
        "accelsched.export",
        "accelsched.schedules.base",
    }
