"""Ignore the warnings that torch issues when its own schedulers step."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def torch_warns_of_itself():
    with warnings.catch_warnings():
        for message in ("The epoch parameter", "Detected call of", "To get the last"):
            warnings.filterwarnings("ignore", message)
        yield
