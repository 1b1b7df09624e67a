"""The backend of the tests that need none of a wafer-scale system."""

import warnings

import pytest


@pytest.fixture(scope="session")
def cpu_backend():
    """cerebras_pytorch on the CPU."""
    import cerebras.pytorch as cstorch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cstorch.backend("CPU")
