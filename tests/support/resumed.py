"""Pairs of schedulers of :mod:`side_by_side`: the second resumes from the state of the first.

A scheduler written from scratch corresponds to none of torch's.
"""

import pytest
from side_by_side import converted, torchs, written

RESUMED = pytest.mark.parametrize(
    ("first", "second"),
    [(torchs, converted), (converted, torchs), (converted, converted), (written, written)],
)
