"""A step of a scheduler as one Triton kernel: the counter, and the values of all groups.

It is the same for every schedule. What it reads, :mod:`.packed_curves`, is data, so it is compiled
once, and other numbers in the same place act in the next step or replay.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language import constexpr, int64

_NOT_SPECIALIZED = (
    *("counter", "plan", "integers", "numbers", "addresses", "further", "stride", "groups"),
)


# One warp: no thread stores the counter before another has read it. With one form for all
# arguments nothing is compiled later, where a graph may be being captured.
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

        # The step of the first period that has the same value.
        late = tl.maximum(step - begin, 0)
        within = step - late + late % period

        # How many rows have begun; of a table, as many as there were steps. A tensor may have had
        # the counter go below 0, where nothing is to be read.
        row = tl.zeros_like(within)
        for halving in tl.static_range(HALVINGS):
            probe = row + (1 << (HALVINGS - 1 - halving))
            there = real & (probe <= count)
            start = tl.load(integers + starts + probe - 1, mask=there, other=0)
            row = tl.where(there & (within >= start), probe, row)
        row += tl.maximum(tl.minimum(within, last), 0)

        # As BatchedSegments does, with terms of 0 in front.
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
