"""The one backend that cerebras_pytorch can have in a process."""

import warnings

import pytest


@pytest.fixture(scope="session")
def cpu_backend():
    """cerebras_pytorch on the CPU."""
    import cerebras.pytorch as cstorch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cstorch.backend("CPU")
