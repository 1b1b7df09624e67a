"""Piecewise polynomials for a curve, which float32 arithmetic evaluates to within an ulp.

A segment is a polynomial of degree 4 in ``x = float32(step - origin) * scale``. The difference is
one of integers, so a step is rounded only once it is small. The scale, a power of 2, brings ``x``
into [-1, 1]. The constant term is stored as a float32 and the remainder that float32 leaves, so
only the rounding of the last sum counts. A segment that ends in a zero is expanded about that zero,
and keeps its digits to the last step.

The search halves: a segment that does not fit is cut in two. Then neighbors that fit as one are
joined. All segments of a round are fitted at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Reals = NDArray[np.float64]
Floats = NDArray[np.float32]
#: Maps steps to the values of a curve, in float64.
Curve = Callable[[Steps], Reals]

DEGREE = 4
#: The largest error at any step, in ulps of the exact value.
MOST_ULPS = 0.95
# The largest error at the probed steps of a polynomial that serves all multiples of its curve: each
# multiple is rounded differently.
_MOST_OF_MANY = 0.7
#: With two int64 and seven float32 for each, these take 44 KiB.
MOST_SEGMENTS = 2**10
# The ulp of an exact 0: any error divided by it is huge, without overflow.
_BESIDE_ZERO = 2.0**-600
#: A smaller term may have lost digits: all of them on a device that flushes such numbers to 0.
_LEAST_TERM = 2.0**-120
_LEAST = np.float32(2.0**-120)
# The exponent bits of a float32, and of a float64.
_EXPONENT = np.int32(0x7F800000)
_EXPONENT_OF_FLOAT64 = np.int64(0x7FF0000000000000)
# This many steps stay in the processor's cache between operations.
_BLOCK = 2**14
# Chebyshev points with both ends, from 0 to 1.
_NODES = {n: (1 - np.cos(np.pi * np.arange(n) / max(n - 1, 1))) / 2 for n in range(1, DEGREE + 2)}
#: Where a segment is probed, from 0 to 1: between its nodes, and at its ends.
_LOOKS = np.linspace(0.0, 1.0, 25)


class NotFitted(Exception):
    """A curve cannot be fitted with few segments; the message is the reason."""


@dataclass(frozen=True)
class Segments:
    """Polynomials, each valid from its first step to its last.

    Attributes:
        first: int64, shape [S].
        last: int64, shape [S].
        origin: int64, shape [S].
        scale: float64, shape [S]: powers of 2.
        coefficients: float64, shape [S, DEGREE + 1], from the constant term on.
    """

    first: Steps
    last: Steps
    origin: Steps
    scale: Reals
    coefficients: Reals

    def __len__(self) -> int:
        return len(self.first)

    def columns(self) -> list[NDArray[Any]]:
        """Return all arrays, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Segments:
        """Return the selected segments."""
        return Segments(*(column[which] for column in self.columns()))

    @functools.cached_property
    def rows(self) -> Floats:
        """The numbers that a device evaluates: float32, shape [S, DEGREE + 3].

        The columns are the constant term rounded to float32, its remainder, the other terms, and
        the scale. All scales are 1 if float32 can hold the unscaled terms of all segments.
        """
        constant = self.coefficients[:, :1]
        high = constant.astype(np.float32).astype(np.float64)
        terms, scale = self.coefficients[:, 1:], self.scale[:, None]
        unscaled = terms * scale ** np.arange(1, DEGREE + 1)
        if (np.abs(unscaled[terms != 0.0]) > _LEAST_TERM).all():
            terms, scale = unscaled, np.ones_like(scale)
        columns = [high, constant - high, terms, scale]
        return np.concatenate(columns, axis=1).astype(np.float32)

    def at(self, steps: Steps, segment: int | NDArray[np.intp], fused: bool = False) -> Floats:
        """Return the values at steps as a device computes them, each with a given segment.

        Args:
            steps: int64, of any shape.
            segment: the position of the segment; broadcast with the steps.
            fused: whether a multiply-add is rounded only once, as some compilers do.
        """
        columns = np.moveaxis(self.rows[segment], -1, 0)
        x = (steps - self.origin[segment]).astype(np.float32)
        x *= columns[-1]
        # float64 holds the product of two float32 exactly.
        x = x.astype(np.float64) if fused else x
        value = columns[-2].astype(x.dtype)
        for column in columns[-3:0:-1]:
            value = value * x
            value += column
            value = value.astype(np.float32).astype(x.dtype, copy=False)
        sums: Floats = value.astype(np.float32, copy=False)
        sums += columns[0]
        return sums

    def off(self, steps: Steps, segment: int | NDArray[np.intp], exact: Reals) -> Reals:
        """Return the errors of the values at steps, in ulps: the larger with and without fusing.

        Below 2**-120 the ulp is that of 2**-120, as each operation rounds to a multiple of
        2**-149. A wrong sign counts as infinitely far off, and any value but 0 as far from 0.
        """
        size = np.maximum(np.abs(exact).astype(np.float32), _LEAST)
        # Round each size down to a power of 2, and take the ulp of that.
        unit = (size.view(np.int32) & _EXPONENT).view(np.float32).astype(np.float64)
        unit *= 2.0**-23
        unit[exact == 0.0] = _BESIDE_ZERO
        is_small = size == _LEAST  # a larger value with a wrong sign is many ulps off anyway
        off: Reals = np.zeros(exact.shape)
        for fused in (False, True):
            values = self.at(steps, segment, fused)
            distance = values - exact
            np.maximum(off, np.abs(distance, out=distance), out=off)
            if is_small.any():
                off[is_small & (values * exact < 0.0)] = np.inf
        off /= unit
        return off


def joined(parts: Iterable[Segments]) -> Segments:
    """Return the segments of all parts, in the order of their steps."""
    whole = _concatenated(parts)
    return whole.take(np.argsort(whole.first))


def _concatenated(parts: Iterable[Segments]) -> Segments:
    columns = zip(*(part.columns() for part in parts), strict=True)
    return Segments(*(np.concatenate(column) for column in columns))


def fit(curve: Curve, end: int, proof: Steps, knots: Iterable[int] = ()) -> Segments:
    """Fit segments to a curve at all steps before an end.

    Args:
        curve: maps steps to values.
        end: at most ``MAX_STEP``.
        proof: increasing steps at which the result is compared with the curve.
        knots: steps at which the curve may have a jump or a bend.

    Raises:
        NotFitted: the curve needs more than :data:`MOST_SEGMENTS` segments, or has a value that
            float32 cannot hold.
    """
    exact, fitter = curve(proof), _Fitter(curve, MOST_ULPS)
    _require_float32(exact)
    done, cut = [], fitter.joined(fitter.cut(*_intervals(knots, end)))
    while True:
        wrong = _worst_of_all(cut, proof, exact, np.ones(len(cut))) > MOST_ULPS
        wrong &= cut.first < cut.last
        done.append(cut.take(~wrong))
        if not wrong.any():
            _require_few(sum(map(len, done)))
            return joined(done)
        cut = fitter.cut(*_halves(cut.first[wrong], cut.last[wrong]))


def _require_float32(exact: Reals) -> None:
    if not (np.abs(exact) <= np.finfo(np.float32).max).all():
        raise NotFitted("the curve has a value that float32 cannot hold")


class Multiples:
    """A curve that is fitted once for all of its multiples.

    The distance between polynomial and curve is measured once, at all compared steps, and scales
    with the factor. The float32 rounding differs for each factor: :func:`_most` bounds it. Where
    the bound is too weak, a short segment is compared at all its steps, and a longer one is halved.

    Args:
        curve: maps steps to values.
        end: at most ``MAX_STEP``.
        proof: increasing steps at which the result is compared with the curve.
        knots: steps at which the curve may have a jump or a bend.

    Raises:
        NotFitted: the curve needs more than :data:`MOST_SEGMENTS` segments, or has a value that
            float32 cannot hold.
    """

    def __init__(self, curve: Curve, end: int, proof: Steps, knots: Iterable[int] = ()) -> None:
        self._curve, self._proof, self._exact = curve, proof, curve(proof)
        self._fitter = _Fitter(curve, _MOST_OF_MANY)
        self._segments = self._fitter.joined(self._fitter.cut(*_intervals(knots, end)))
        self._measured = _measured(self._segments, curve, proof, self._exact)

    @property
    def looks(self) -> Steps:
        """Some steps of each segment: two curves of one formula that agree there are equal."""
        return _steps(self._segments.first, self._segments.last, _LOOKS[::3]).ravel()

    def times(self, factors: Reals) -> list[Segments]:
        """Return the segments of the curve times each factor, all computed at once.

        Args:
            factors: shape [G].

        Raises:
            NotFitted: a multiple needs more than :data:`MOST_SEGMENTS` segments, or has a value
                that float32 cannot hold.
        """
        _require_float32(np.abs(self._exact).max() * factors)
        segments, measured, done = self._segments, self._measured, []
        of = np.repeat(np.arange(len(factors)), len(segments))
        which = np.tile(np.arange(len(segments)), len(factors))
        while True:
            by = factors[of]
            made = _times(segments.take(which), by)
            wrong = _most(made, *(column[which] * np.abs(by) for column in measured)) > MOST_ULPS
            wrong &= made.first < made.last
            wrong[wrong] = self._compared(made.take(wrong), by[wrong]) > MOST_ULPS
            done.append((of[~wrong], made.take(~wrong)))
            if not wrong.any():
                return _of_each(len(factors), done)
            _require_few(np.bincount(of[wrong]).max())
            cut, place = np.unique(which[wrong], return_inverse=True)
            segments = self._fitter.fitted(*_halves(segments.first[cut], segments.last[cut]))[0]
            measured = _measured(segments, self._curve, self._proof, self._exact)
            of, which = np.tile(of[wrong], 2), np.concatenate([place, place + len(cut)])

    def _compared(self, made: Segments, by: Reals) -> Reals:
        """Return the error of each segment that is compared step by step; infinity for others."""
        off = np.full(len(made), np.inf)
        short = made.last - made.first < len(_LOOKS)
        looks = between(made.first[short], made.last[short])
        off[short] = _worst(made.take(short), looks, self._curve(looks) * by[short, None])
        # No bound settles the sign of a value near 0, not even after halving the segment.
        near_0 = ~short & (np.abs(made.coefficients[:, 0]) < _LEAST_TERM)
        off[near_0] = _worst_of_all(made.take(near_0), self._proof, self._exact, by[near_0])
        return off


def _times(segments: Segments, by: Reals) -> Segments:
    """Return the segments, each multiplied by a number."""
    return replace(segments, coefficients=segments.coefficients * by[:, None])


def _measured(segments: Segments, curve: Curve, steps: Steps, exact: Reals) -> Reals:
    """Return the unrounded error of each polynomial, and the curve's least and largest magnitude.

    They are measured at the given increasing steps, and where segments are probed, as a segment may
    contain none of these steps. The shape is [3, S].
    """
    looks = between(segments.first, segments.last)
    measured = _extent(segments, np.arange(len(segments))[:, None], looks, curve(looks))
    for i, part in _blocks(segments, steps):
        apart, low, high = _extent(segments, i, steps[part], exact[part])
        measured[:, i] = (
            max(measured[0, i], apart),
            min(measured[1, i], low),
            max(measured[2, i], high),
        )
    return measured


def _extent(
    segments: Segments, segment: int | NDArray[np.intp], steps: Steps, exact: Reals
) -> Reals:
    """Return the error at steps, and the least and largest magnitude there: shape [3, ...]."""
    x = (steps - segments.origin[segment]) * segments.scale[segment]
    value = np.zeros(x.shape)
    for coefficients in segments.coefficients.T[::-1]:
        value *= x
        value += coefficients[segment]
    value -= exact
    low, high = exact.min(-1), exact.max(-1)
    size = np.minimum(np.abs(low), np.abs(high)) * (np.sign(low) * np.sign(high) > 0.0)
    return np.stack([np.maximum(-value.min(-1), value.max(-1)), size, np.maximum(-low, high)])


def _most(made: Segments, apart: Reals, low: Reals, high: Reals) -> Reals:
    """Bound the error of segments at any step, in ulps; infinite where there is no bound.

    Let ``X`` be the largest ``|x|``, ``d`` the rounding error of a coefficient, and ``h(z)`` half
    an ulp of ``z``, the most that an operation rounds off a result of that size. A stage of
    :meth:`Segments.at`, ``q = q * x + c``, turns a ``q`` with error ``e`` into one with error::

        e X + h(|q| X + e X) + d + h(|q| X + |c| + e)

    and ``2**-24 |q| X`` more where float32 has rounded the step. A product or a sum with 0 rounds
    nothing, nor does a product that is fused with a sum. The last sum, with the constant, rounds
    off half an ulp of the value; if ``e`` takes that sum across a power of 2, it rounds to this
    power, which is nearer. So the error of the value is half an ulp, plus ``e``, plus the distance
    between the polynomial and the curve. All are divided by the ulp of the least value.

    Args:
        made: the segments.
        apart: the distance of each polynomial from its curve.
        low: the least magnitude of a value in each segment; 0 if both signs occur.
        high: the largest magnitude.
    """
    reach = np.maximum(made.origin - made.first, made.last - made.origin)
    x, of_step = reach * made.scale, (reach > 2**24) * 2.0**-24
    held = made.coefficients.astype(np.float32).astype(np.float64)
    left = made.coefficients - held
    # The remainder of the constant term is the last term of the stages.
    constant, held[:, 0] = np.abs(held[:, 0]), left[:, 0].astype(np.float32)
    left[:, 0] -= held[:, 0]
    terms, lost = np.abs(held.T), np.abs(left.T)
    size, off = terms[-1], lost[-1]
    for term, more in zip(terms[-2::-1], lost[-2::-1], strict=True):
        size, off = size * x, off * x
        off = off + size * of_step + _half_ulp(size + off) * (size > 0.0)
        summed = _half_ulp(size + term + off) * ((size > 0.0) & (term > 0.0))
        size, off = size + term, off + more + summed
    # The float64 roundings, including those of the formula and of the product with the factor.
    off = off + apart + 2.0**-46 * (constant + size)
    ulps: Reals = 0.5 + off / (2 * _half_ulp(low))
    ulps[low < _LEAST_TERM] = np.inf
    ulps[(high == 0.0) & (constant + size == 0.0)] = 0.0  # 0 is 0
    return ulps


def _half_ulp(size: Reals) -> Reals:
    """Return half a float32 ulp of numbers, and at least half the smallest float32."""
    powers: Reals = (size.view(np.int64) & _EXPONENT_OF_FLOAT64).view(np.float64)
    return np.maximum(powers * 2.0**-24, 2.0**-150)


def _of_each(count: int, parts: Iterable[tuple[NDArray[np.intp], Segments]]) -> list[Segments]:
    """Return the segments of each curve, from parts that hold the curve's index per segment."""
    owners, segments = zip(*parts, strict=True)
    of, whole = np.concatenate(owners), _concatenated(segments)
    order = np.lexsort([whole.first, of])
    ends = np.cumsum(np.bincount(of, minlength=count))
    each = [whole.take(which) for which in np.split(order, ends[:-1])]
    _require_few(max(map(len, each)))
    return each


def _require_few(count: int) -> None:
    if count > MOST_SEGMENTS:
        raise NotFitted(f"the curve needs more than {MOST_SEGMENTS} segments")


def _intervals(knots: Iterable[int], end: int) -> tuple[Steps, Steps]:
    """Return the first and last steps of the initial segments, cut at knots and powers of 2."""
    cuts = {*knots, *(2**power for power in range(62))}
    first = np.array([0, *sorted(cut for cut in cuts if 0 < cut < end)], dtype=np.int64)
    return first, np.append(first[1:], end) - 1


def _halves(first: Steps, last: Steps) -> tuple[Steps, Steps]:
    middle = first + (last - first) // 2
    return np.concatenate([first, middle + 1]), np.concatenate([middle, last])


class _Fitter:
    """Fits many intervals of a curve at a time, each with an error below ``most`` ulps."""

    def __init__(self, curve: Curve, most: float) -> None:
        self._curve = curve
        # The last rounding takes half an ulp. The rest may be almost twice as large between the
        # probed steps.
        self._tolerance = 0.5 + (most - 0.5) * 0.55

    def cut(self, first: Steps, last: Steps) -> Segments:
        """Return segments that fit, as large as halving yields."""
        done: list[Segments] = []
        while len(first):
            segments, fits = self.fitted(first, last)
            done.append(segments.take(fits))
            first, last = _halves(first[~fits], last[~fits])
            # Pairs of neighbors may be joined later.
            _require_few((sum(map(len, done)) + len(first)) // 2)
        return joined(done)

    def joined(self, segments: Segments) -> Segments:
        """Join neighbors that fit as one, until there are none."""
        parity, without = 0, 0
        while without < 2 and len(segments) > 1:
            left = np.arange(parity, len(segments) - 1, 2)
            both, fits = self.fitted(segments.first[left], segments.last[left + 1])
            rest = np.ones(len(segments), dtype=bool)
            rest[left[fits]] = rest[left[fits] + 1] = False
            without = 0 if fits.any() else without + 1
            segments, parity = joined([segments.take(rest), both.take(fits)]), 1 - parity
        _require_few(len(segments))
        return segments

    def fitted(self, first: Steps, last: Steps) -> tuple[Segments, NDArray[np.bool_]]:
        """Return one polynomial for each interval, and whether it fits."""
        looks = between(first, last)
        exact = self._curve(looks)
        _require_float32(exact)
        best = self._interpolated(first, last, first + (last - first) // 2)
        error = _worst(best, looks, exact)
        for end, zero in ((first, exact[:, 0] == 0), (last, exact[:, -1] == 0)):
            for order in (1, 2):
                which = np.flatnonzero(zero & (error > self._tolerance) & (last - first > order))
                if len(which):
                    start = first[which] + (end is first)
                    stop = last[which] - (end is last)
                    other = self._interpolated(start, stop, end[which], order)
                    other = replace(other, first=first[which], last=last[which])
                    error[which] = _worst(other, looks[which], exact[which])
                    best = _replaced(best, which, other)
        # A single step fits in any case: a user's float32 function may return another value for it
        # when other steps are in the batch.
        return best, (error <= self._tolerance) | (first == last)

    def _interpolated(self, first: Steps, last: Steps, origin: Steps, order: int = 0) -> Segments:
        """Interpolate each interval at some steps, without terms below an order."""
        reach = np.maximum(np.maximum(origin - first, last - origin), 1)
        scale = np.exp2(-np.ceil(np.log2(reach.astype(np.float64))))
        coefficients = np.zeros((len(first), DEGREE + 1))
        # A short interval has fewer steps than the polynomial has terms.
        count = np.minimum(last - first + 1, DEGREE + 1 - order)
        for nodes in np.unique(count):
            which = np.flatnonzero(count == nodes)
            steps = _steps(first[which], last[which], _NODES[int(nodes)])
            values = self._curve(steps)
            x = (steps - origin[which, None]) * scale[which, None]
            powers = x[..., None] ** np.arange(order, order + nodes)
            terms = np.linalg.solve(powers, values[..., None])[..., 0]
            # Drop rounding residue of terms that the curve does not have.
            terms[np.abs(terms) < 2.0**-40 * np.abs(values).max(axis=1, keepdims=True)] = 0.0
            if order == 0:
                same = (values == values[:, :1]).all(axis=1)
                terms[same] = 0.0
                terms[same, 0] = values[same, 0]
            coefficients[which, order : order + int(nodes)] = terms
        return Segments(first.copy(), last.copy(), origin.copy(), scale, coefficients)


def _worst_of_all(segments: Segments, steps: Steps, exact: Reals, by: Reals) -> Reals:
    """Return the largest error of each segment at those of the increasing steps that it contains.

    ``exact`` has the curve's values there; segment ``i`` is to be ``by[i]`` times the curve.
    """
    worst = np.zeros(len(segments))
    for i, part in _blocks(segments, steps):
        off = segments.off(steps[part], i, exact[part] * by[i])
        worst[i] = max(worst[i], off.max())
    return worst


def _blocks(segments: Segments, steps: Steps) -> Iterator[tuple[int, slice]]:
    """Yield each segment's index with a slice of the increasing steps in it, block by block."""
    begins = np.searchsorted(steps, segments.first)
    ends = np.searchsorted(steps, segments.last, side="right")
    for i, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        for at in range(begin, end, _BLOCK):
            yield i, slice(at, min(at + _BLOCK, end))


def _worst(segments: Segments, looks: Steps, exact: Reals) -> Reals:
    segment = np.arange(len(segments))[:, None]
    worst: Reals = segments.off(looks, segment, exact).max(axis=1, initial=0.0)
    return worst


def _replaced(segments: Segments, which: NDArray[np.intp], by: Segments) -> Segments:
    columns = [column.copy() for column in segments.columns()]
    for column, new in zip(columns, by.columns(), strict=True):
        column[which] = new
    return Segments(*columns)


def between(first: Steps, last: Steps) -> Steps:
    """Return the steps at which intervals are probed: shape [S, looks]."""
    return _steps(first, last, _LOOKS)


def _steps(first: Steps, last: Steps, places: Reals) -> Steps:
    """Return steps at places from 0 to 1 of each interval: shape [S, places]."""
    length = (last - first)[:, None]
    # The ends are exact even where float64 cannot hold all steps between them.
    steps = first[:, None] + np.minimum((length * places).round().astype(np.int64), length)
    return np.where(places == 1.0, last[:, None], steps)
