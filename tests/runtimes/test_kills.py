"""A training script is killed at random times and resumes from its last checkpoint.

After every step, the weights, the optimizer's state, the scheduler's state and the rates must be
bit-for-bit those of an uninterrupted run.
"""

import importlib.util

import pytest
from kills import assert_survives

needs_xla = pytest.mark.skipif(
    importlib.util.find_spec("torch_xla") is None, reason="torch_xla is not installed"
)


@pytest.mark.parametrize(
    "mode",
    [
        "host schedule",
        "host plateau",
        "host decay",
        # Each restart of torch_xla's client, with its compile, takes a second.
        pytest.param("xla schedule", marks=needs_xla),
    ],
)
def test_thirty_kills(mode):
    assert_survives(mode, 30)
