"""A scheduler's step as one Triton kernel, which updates the counter and the values of all groups.

The kernel is the same for every schedule: it reads :mod:`.packed_curves` as data. So it compiles
once, and new numbers in the same tensors take effect at the next step or replay.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language import constexpr, int64

_NOT_SPECIALIZED = (
    *("counter", "plan", "integers", "numbers", "addresses", "further", "stride", "groups"),
)


# It runs as one warp, so no thread stores the counter before another has read it. Without
# specialization nothing compiles later, when a graph capture may be running.
@triton.jit(do_not_specialize=_NOT_SPECIALIZED)  # type: ignore[untyped-decorator]
def advance(  # type: ignore[no-untyped-def]
    counter,
    plan,
    integers,
    numbers,
    addresses,
    further,
    stride: int64,
    groups,
    TERMS: constexpr,
    HALVINGS: constexpr,
    BLOCK: constexpr,
):
    """Add ``stride`` and ``further[0]`` to the counter; write each group's value to its address."""
    step = tl.load(counter) + tl.load(further) + stride
    first = 0
    while first < groups:
        lane = first + tl.arange(0, BLOCK)
        real = lane < groups
        field = plan + lane
        starts = tl.load(field, mask=real, other=0)
        count = tl.load(field + groups, mask=real, other=0)
        origins = tl.load(field + 2 * groups, mask=real, other=0)
        rows = tl.load(field + 3 * groups, mask=real, other=0)
        apart = tl.load(field + 4 * groups, mask=real, other=0)
        terms = tl.load(field + 5 * groups, mask=real, other=0)
        last = tl.load(field + 6 * groups, mask=real, other=0)
        begin = tl.load(field + 7 * groups, mask=real, other=0)
        period = tl.load(field + 8 * groups, mask=real, other=1)
        least = tl.load(numbers + lane, mask=real, other=0.0)

        # The step of the first period with the same value.
        late = tl.maximum(step - begin, 0)
        within = step - late + late % period

        # The number of rows that have begun; for a table, the number of steps. A stride from a
        # tensor may have moved the counter below 0, where nothing may be read.
        row = tl.zeros_like(within)
        for halving in tl.static_range(HALVINGS):
            probe = row + (1 << (HALVINGS - 1 - halving))
            there = real & (probe <= count)
            start = tl.load(integers + starts + probe - 1, mask=there, other=0)
            row = tl.where(there & (within >= start), probe, row)
        row += tl.maximum(tl.minimum(within, last), 0)

        # As in BatchedSegments; missing leading terms are 0.
        curved = real & (terms > 0)
        cell = numbers + rows + row
        origin = tl.load(integers + origins + row, mask=curved, other=0)
        x = (within - origin).to(tl.float32)
        x = x * tl.load(cell + (terms + 1) * apart, mask=curved, other=0.0)
        value = tl.zeros_like(x)
        for down in tl.static_range(TERMS):
            term = TERMS - down
            value = value * x + tl.load(cell + term * apart, mask=real & (term <= terms), other=0.0)
        value = tl.load(cell, mask=real, other=0.0) + value
        address = tl.load(addresses + lane, mask=real, other=0).to(tl.pointer_type(tl.float32))
        tl.store(address, tl.maximum(value, least), mask=real)
        first += BLOCK
    tl.debug_barrier()
    tl.store(counter, step)
