"""The training script of tests/runtimes/test_kills.py, compiled, with the newest torch.

Batches have one size. With two sizes, a resumed run differs from a whole one even with a constant
rate: the graph that torch.compile makes for any size sums in another order than its graph for the
first size. ``dynamic=False`` avoids this; see docs/faults.md.
"""

from kills import assert_survives


def test_thirty_kills_of_a_compiled_run():
    # After each kill, the next run traces and compiles for two seconds.
    assert_survives("compile schedule", 30)
