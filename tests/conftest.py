"""Select the package to test, and the back ends."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("PJRT_DEVICE", "CPU")

# The installed package, never the checkout: its root would make `kernels` importable.
_ROOT = Path(__file__).parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _ROOT]

# The user's cache must not get machine code from tests.
os.environ.setdefault("ACCELSCHED_CACHE_DIR", str(_ROOT / ".pytest_cache" / "accelsched"))

# torch_xla and PyTorch's own lazy back end cannot share a process, so a run tests one of them.
_DEFAULT = "eager,compile," + ("xla" if importlib.util.find_spec("torch_xla") else "lazy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--back-ends", default=_DEFAULT, help=f"to test (default: {_DEFAULT})")


def pytest_configure(config: pytest.Config) -> None:
    # After a backward pass on the CPU, autograd has no queue for a device registered later.
    if "xla" in config.getoption("--back-ends").split(","):
        import torch_xla

        torch_xla.device()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of the back ends that this run does not test.

    A test that names no back end counts as eager PyTorch.
    """
    names = config.getoption("--back-ends").split(",")

    def wanted(item: pytest.Item) -> bool:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        return parameters.get("runtime", "eager") in names

    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = [item for item in items if wanted(item)]


@pytest.fixture
def runtime(request: pytest.FixtureRequest):
    """Return the back end that the test's parameter names."""
    from accelsched._runtimes import NAMED

    return NAMED[request.param]


@pytest.fixture(autouse=True)
def subnormal_numbers():
    """Keep subnormals in this thread: cerebras_pytorch and torch 2.4's compiled code flush them."""
    import torch

    torch.set_flush_denormal(False)
