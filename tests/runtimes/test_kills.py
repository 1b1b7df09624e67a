"""A training script that is killed at random times, and goes on from its last checkpoint.

All that it computes in any of its lives is compared with a run that nobody kills: every bit of the
weights, the optimizer's state, the scheduler's state and the rates, after every step.
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
        # Each life starts torch_xla's client and compiles: a second.
        pytest.param("xla schedule", marks=needs_xla),
    ],
)
def test_thirty_kills(mode):
    assert_survives(mode, 30)
