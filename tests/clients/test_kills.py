"""The training script of tests/runtimes/test_kills.py, compiled, with the newest torch."""

from kills import assert_survives


def test_thirty_kills_of_a_compiled_run():
    # Each life traces and compiles: two seconds.
    assert_survives("compile schedule", 30)
