"""The training script of tests/runtimes/test_kills.py, compiled, with the newest torch.

Batches have one size. With two sizes a resumed run differs from a whole one, with a constant rate
as well: what torch.compile has compiled for any size sums in another order than what it compiles
for the first size that it meets. ``dynamic=False`` ends that. docs/faults.md says so.
"""

from kills import assert_survives


def test_thirty_kills_of_a_compiled_run():
    # Each life traces and compiles: two seconds.
    assert_survives("compile schedule", 30)
