"""What is installed, and what importing it costs."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from command import run_command

import accelsched

ROOT = Path(__file__).parents[2]


def in_a_new_process(program):
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path.home()
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_kernels_is_a_part_of_accelsched_and_nothing_else():
    """The top-level name `kernels` belongs to another package, which transformers looks for."""
    program = """
import importlib.util
print(importlib.util.find_spec("kernels"), importlib.import_module("accelsched.kernels").__name__)
"""
    assert in_a_new_process(program) == "None accelsched.kernels"


def test_every_package_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in ROOT.glob("accelsched/**/__init__.py")
    }
    assert set(listed) == folders | {"accelsched.kernels"}


def test_a_wheel_holds_every_module(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in ROOT.glob("accelsched/**/*.py")}
    kernels = {f"accelsched/{path.relative_to(ROOT)}" for path in ROOT.glob("kernels/**/*.py")}
    assert modules | kernels | {"accelsched/py.typed"} <= names
    assert not any(name.startswith(("kernels/", "tests/", "benchmarks/")) for name in names)


def test_importing_loads_no_framework_but_torch():
    program = """
import sys, torch
before = set(sys.modules)
import accelsched, accelsched.kernels, accelsched._cli.command
heavy = {"numba", "torch_xla", "sklearn", "matplotlib", "tqdm", "jax", "cerebras", "torch._dynamo"}
print(sorted({name.split(".")[0] for name in set(sys.modules) - before} & heavy))
"""
    assert in_a_new_process(program) == "[]"


def test_a_step_in_tensors_loads_no_compiler():
    """A step in floats loads numba unless its machine code is on disk: see test_kernels.py."""
    program = """
import sys, torch
optimizer = torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(0.1))
before = set(sys.modules)
from accelsched.lr_scheduler import CosineDecayLR
CosineDecayLR(optimizer, 0.1, 0.0, 10).step()
print(sorted({"numba", "sympy", "torch_xla"} & (set(sys.modules) - before)))
"""
    assert in_a_new_process(program) == "[]"


def test_the_reference_knows_neither_torch_nor_the_schedules():
    program = """
import sys
sys.modules["torch"] = None
import importlib.util
path = importlib.util.find_spec("accelsched").submodule_search_locations[0] + "/reference.py"
spec = importlib.util.spec_from_file_location("reference", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.cosine_decay(50, 1.0, 0.0, 100))
"""
    assert float(in_a_new_process(program)) == pytest.approx(0.5)


def test_every_schedule_has_a_reference_of_its_name():
    from drawing import CLASSES, one

    from accelsched import reference

    for cls in CLASSES:
        assert callable(reference.function_of(cls)), cls
        fields = [name for name in inspect.signature(reference.function_of(cls)).parameters][1:]
        assert fields == [field.name for field in dataclasses.fields(cls) if field.init]
        one(cls)  # and can be drawn


def test_the_version_has_one_source():
    """The metadata has the version at the time of installation."""
    version = accelsched.__version__
    assert metadata.version("accelsched") == version
    assert run_command("--version").stdout == f"accelsched {version}\n"
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## \[(\d.*?)\]", changes, re.MULTILINE)[0] == version


@pytest.mark.skipif(find_spec("cerebras") is None, reason="`make test-cerebras` runs it")
def test_the_lower_bounds_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">={}.{}".format(*sys.version_info)
    assert f"torch>={metadata.version('torch')}".startswith(project["dependencies"][0])


@pytest.mark.parametrize("arguments", [[], ["3.11"], ["3.99"]])
def test_the_python_that_an_environment_is_made_with_starts(arguments):
    found = subprocess.run([ROOT / ".ci" / "python", *arguments], capture_output=True, text=True)
    command = [found.stdout.strip(), "-c", "import sys; print(sys.version_info[:2])"]
    assert subprocess.run(command, capture_output=True, text=True).stdout.startswith("(3, ")


def test_every_module_and_public_name_is_documented():
    for info in pkgutil.walk_packages(accelsched.__path__, "accelsched."):
        module = importlib.import_module(info.name)
        assert module.__doc__, info.name
        for name in getattr(module, "__all__", []):
            item = getattr(module, name)
            if inspect.isclass(item) or inspect.isfunction(item):
                assert inspect.getdoc(item), f"{info.name}.{name}"
