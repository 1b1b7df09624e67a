"""Which scheduler goes on from the state of which; the curve is that of :mod:`side_by_side`.

One that was written from scratch stands for none of torch's.
"""

import pytest
from side_by_side import converted, torchs, written

RESUMED = pytest.mark.parametrize(
    ("first", "second"),
    [(torchs, converted), (converted, torchs), (converted, converted), (written, written)],
)
