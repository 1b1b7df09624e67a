"""Operations of ATen on pairs of float32, against PyTorch's in float64.

A pair holds 46 bits. A function adds a correction to a table entry. The last terms of the
correction are in float32: at most 2**-7 of the result (in expm1 near -0.02; elsewhere less), with
about four roundings of 2**-25 each. The tests allow 2**-30; a float32 ulp is 2**-23. The error is
relative to the result, or to the terms whose difference is the result.
"""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accelsched._recording import record
from accelsched._recording.double_float import in_float32
from accelsched._recording.double_float.aten import TABLE

ERROR = 2.0**-30
aten = torch.ops.aten


def _is_not_tiny(number):
    return abs(number) >= 2.0**-60


positive = st.one_of(
    st.floats(2.0**-40, 2.0**20), st.sampled_from([0.5, 1.0, 2.0, 3.0, 1e-9, 1 - 1e-9, 1 + 1e-9])
)
signed = st.one_of(positive, positive.map(lambda x: -x))
fractions = st.floats(-0.999, 0.999).filter(_is_not_tiny)
exponents = st.floats(-80.0, 80.0).filter(_is_not_tiny)
angles = st.floats(-50.0, 50.0).filter(_is_not_tiny)
quotients = st.tuples(st.integers(-(2**20), 2**20), st.integers(1, 2**10)).map(
    lambda q: q[0] / q[1]
)

# For each operation, its operands and the size that its error is relative to (None: its result).
SMOOTH = {
    aten.add: ((signed, signed), lambda x, y: abs(x) + abs(y)),
    aten.sub: ((signed, signed), lambda x, y: abs(x) + abs(y)),
    aten.rsub: ((signed, signed), lambda x, y: abs(x) + abs(y)),
    aten.mul: ((signed, signed), None),
    aten.div: ((signed, signed), None),
    aten.abs: ((signed,), None),
    aten.neg: ((signed,), None),
    aten.reciprocal: ((signed,), None),
    aten.sqrt: ((positive,), None),
    aten.rsqrt: ((positive,), None),
    # The exponent multiplies the error of a logarithm.
    aten.pow: ((st.floats(0.5, 2.0), exponents), lambda x, y: x**y * max(1.0, abs(y))),
    aten.exp: ((exponents,), None),
    aten.exp2: ((exponents,), None),
    aten.expm1: ((st.one_of(exponents, fractions),), None),
    aten.log: ((positive,), lambda x: 1.0),
    aten.log2: ((positive,), lambda x: 1.0),
    aten.log10: ((positive,), lambda x: 1.0),
    aten.log1p: ((st.one_of(positive, fractions),), None),
    aten.sin: ((st.one_of(angles, fractions),), lambda x: min(abs(x), 1.0)),
    aten.cos: ((angles,), lambda x: 1.0),
    aten.tan: ((fractions,), None),
    aten.tanh: ((st.floats(-20.0, 20.0).filter(_is_not_tiny),), None),
    aten.sigmoid: ((exponents,), None),
    aten.maximum: ((signed, signed), None),
    aten.minimum: ((signed, signed), None),
    aten.clamp: ((signed, signed, signed), None),
    aten.clamp_min: ((signed, signed), None),
    aten.clamp_max: ((signed, signed), None),
    aten.lerp: ((signed, signed, fractions), lambda x, y, w: abs(x) + abs(y)),
    aten.addcmul: ((signed, signed, signed), lambda x, y, z: abs(x) + abs(y * z)),
    aten.addcdiv: ((signed, signed, signed), lambda x, y, z: abs(x) + abs(y / z)),
}
ROUNDING = {aten.floor: 1, aten.ceil: 1, aten.trunc: 1, aten.floor_divide: 2, aten.remainder: 2}
REDUCTIONS = {
    aten.sum: lambda x: x.abs().sum(),
    aten.prod: lambda x: x.abs().prod(),
    aten.amin: lambda x: x.min().abs(),
    aten.amax: lambda x: x.max().abs(),
}
COMPARISONS = (aten.ge, aten.gt, aten.le, aten.lt, aten.eq, aten.ne)


def in_pairs(function, *numbers):
    """Evaluate a float64 function on pairs that depend on the step; return a float64 sum."""

    def of_step(step):
        result = function(*(step.to(torch.float64) * number for number in numbers))
        if result.dtype != torch.float64:
            return [result, torch.zeros_like(result)]
        return [result, result - result.to(torch.float32)]

    high, low = in_float32(record(of_step))(torch.tensor(1))
    assert torch.float64 not in (high.dtype, low.dtype)
    return high.double() + low.double()


def in_float64(function, *numbers):
    return function(*(torch.tensor(number, dtype=torch.float64) for number in numbers)).double()


@pytest.mark.parametrize("operation", SMOOTH, ids=str)
def test_a_function_of_real_numbers(operation):
    operands, size = SMOOTH[operation]
    function = getattr(torch, str(operation).removeprefix("aten."))

    @settings(max_examples=150, deadline=None)
    @given(st.tuples(*operands))
    def holds(numbers):
        want = in_float64(function, *numbers)
        relative_to = abs(want) if size is None else size(*numbers)
        assert abs(in_pairs(function, *numbers) - want) <= ERROR * relative_to

    holds()


@pytest.mark.parametrize("operation", ROUNDING, ids=str)
def test_what_rounds_to_whole_numbers(operation):
    """Whole numbers stay exact, though a quotient in pairs may be slightly below one."""

    @settings(max_examples=150, deadline=None)
    @given(quotients, st.integers(1, 1000))
    @example(3.0, 1)
    @example(-3.0, 1)
    def holds(number, divisor):
        numbers = (number, float(divisor))[: ROUNDING[operation]]
        assert abs(in_pairs(operation, *numbers) - in_float64(operation, *numbers)) <= (
            ERROR * abs(number)
        )

    holds()
    # 0.1 * 10 is 1 in float64; in pairs, 0.1 is a little less than a tenth.
    assert in_pairs(lambda x: torch.floor(x * 0.1), 10.0) == 1
    assert in_pairs(lambda x: (x * 0.1).to(torch.int64), 10.0) == 1


@pytest.mark.parametrize("operation", REDUCTIONS, ids=str)
def test_a_row_is_reduced(operation):
    """A row of 7 numbers takes 6 operations, each with the allowed error."""
    reduce = getattr(torch, str(operation).removeprefix("aten."))
    row = st.lists(st.one_of(st.floats(0.5, 2.0), st.floats(-2.0, -0.5)), min_size=7, max_size=7)

    @settings(max_examples=100, deadline=None)
    @given(row)
    def holds(numbers):
        def function(*tensors):
            return reduce(torch.stack(tensors), 0)

        size = REDUCTIONS[operation](torch.tensor(numbers, dtype=torch.float64))
        error = abs(in_pairs(function, *numbers) - in_float64(function, *numbers))
        assert error <= 6 * ERROR * size

    holds()


@pytest.mark.parametrize("operation", COMPARISONS, ids=str)
@pytest.mark.parametrize("other", [1.0, 1.0 + 2.0**-40, 1.0 - 2.0**-40])
def test_a_comparison_sees_what_float32_does_not(operation, other):
    assert in_pairs(operation, 1.0, other) == in_float64(operation, 1.0, other)


@pytest.mark.parametrize("number", [0.5, -0.5, 0.0, 1.0, 2.0, 3.0, -2.0, 64.0, 1.7])
def test_powers_of_every_kind(number):
    for function, value in ((lambda x: x**number, 1.3), (lambda x: 1.3**x, number)):
        want = in_float64(function, value)
        # As many roundings as there are factors.
        assert abs(in_pairs(function, value) - want) <= 2 * ERROR * want
    assert in_pairs(lambda x: 0.0**x, 3.0) == 0
    assert in_pairs(lambda x: 0.0**x, 0.0) == 1
    assert in_pairs(lambda x: (-2.0) ** x, 3.0) == -8


def test_what_is_no_number_stays_so():
    for function in (torch.log, torch.log1p, torch.sqrt):
        assert in_pairs(function, -2.0).isnan()


ROW = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
NOT_OF_NUMBERS = {
    aten.stack: lambda x: torch.stack([x, x * 0.1])[1],
    aten.cat: lambda x: torch.cat([x.reshape(1), ROW, x.reshape(1) * 0.1])[-1],
    aten.where: lambda x: torch.where(x > 1, x * 0.1, 0.3),
    aten.zeros_like: lambda x: torch.zeros_like(x) + 0.1,
    aten.ones_like: lambda x: torch.ones_like(x) * 0.1,
    aten.full_like: lambda x: torch.full_like(x, 0.1),
    aten._to_copy: lambda x: (x > 1).to(torch.int32).to(torch.float64) * 0.1,
    aten.index_select: lambda x: ROW.index_select(0, (x > 1).to(torch.int64).reshape(1)).squeeze(0),
    aten.gather: lambda x: (ROW * x).gather(0, torch.tensor([2])).reshape(()),
    aten.index: lambda x: (ROW * x)[torch.tensor([2])].view(()),
    aten.select: lambda x: (ROW * x).unsqueeze(0).expand(2, 3)[1, 2],
    aten.flip: lambda x: (ROW * x).flip(0).roll(1).repeat(2)[4:].permute(0).clone()[0],
    aten.transpose: lambda x: (ROW * x).unsqueeze(0).transpose(0, 1)[2].t().squeeze(0).detach(),
}


@pytest.mark.parametrize("operation", NOT_OF_NUMBERS, ids=str)
def test_what_moves_numbers_moves_all_their_digits(operation):
    for number in (1.3, 0.7):
        want = in_float64(NOT_OF_NUMBERS[operation], number)
        got = in_pairs(NOT_OF_NUMBERS[operation], number)
        assert abs(got - want) <= ERROR * abs(want)


def test_an_operation_without_a_rule_is_done_in_float32():
    assert aten.erf not in TABLE
    assert in_pairs(torch.erf, 0.5) == float(torch.erf(torch.tensor(0.5)))


def test_no_rule_is_left_out():
    assert set(TABLE) - {*SMOOTH, *ROUNDING, *REDUCTIONS, *COMPARISONS, *NOT_OF_NUMBERS} == set()
