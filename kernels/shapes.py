"""Operations that move elements, by mapping the index, or combine elements, by loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from accelsched.kernels.lowering import Call, Index, Lowering, Rule, View
from accelsched.kernels.scalars import Scalar


def reshape(lowering: Lowering, call: Call) -> View:
    """Add or drop dimensions of size 1; no other change of shape can be compiled."""
    source = lowering.view(call.args[0])
    shape = call.shape
    if [n for n in shape if n != 1] != [n for n in source.shape if n != 1]:
        raise call.unsupported(f"it changes the shape {source.shape} to {shape}")

    def at(index: Index) -> Scalar:
        longer = iter([i for i, n in zip(index, shape, strict=True) if n != 1])
        return source.at(tuple(lowering.zero if n == 1 else next(longer) for n in source.shape))

    return call.view(at)


def expand(lowering: Lowering, call: Call) -> View:
    source = lowering.view(call.args[0])
    return call.view(lambda index: source.at(lowering.broadcast(index, source.shape)))


def permute(lowering: Lowering, call: Call) -> View:
    source = lowering.view(call.args[0])
    rank = len(source.shape)
    order = list(range(rank))
    if "permute" in call.name:
        order = [d % rank for d in call.args[1]]
    elif rank > 1:
        a, b = (d % rank for d in (call.args[1:] or (0, 1)))
        order[a], order[b] = order[b], order[a]
    return call.view(lambda index: source.at(tuple(index[order.index(d)] for d in range(rank))))


def _taken_along(
    lowering: Lowering, call: Call, dim: int, position: Callable[[Index], Scalar], keeps: bool
) -> View:
    """Take, at each index, the first argument's entry at ``position(index)`` along ``dim``."""
    source = lowering.view(call.args[0])
    dim %= max(len(source.shape), 1)

    def at(index: Index) -> Scalar:
        return source.at((*index[:dim], position(index), *index[dim + keeps :]))

    return call.view(at)


def select(lowering: Lowering, call: Call) -> View:
    _, dim, place = call.args
    extent = lowering.view(call.args[0]).shape[dim]
    number = lowering.size(place % extent)
    return _taken_along(lowering, call, dim, lambda _: number, keeps=False)


def slice_(lowering: Lowering, call: Call) -> View:
    given: list[Any] = [*call.args, *[0, None, None, 1][len(call.args) - 1 :]]
    _, dim, start, stop, step = given
    extent = lowering.view(call.args[0]).shape[dim]
    places = range(extent)[start:stop:step]
    numbers = lowering.size(places.start), lowering.size(places.step)

    def position(index: Index) -> Scalar:
        along = index[dim]
        return lowering.program.value("{1} + {0} * {2}", torch.int64, along, *numbers)

    return _taken_along(lowering, call, dim, position, keeps=True)


def index_select(lowering: Lowering, call: Call) -> View:
    _, dim, places = call.args
    source, chosen = lowering.view(call.args[0]), lowering.view(places)
    extent = lowering.size(source.shape[dim])
    keeps = len(call.shape) == len(source.shape)

    def position(index: Index) -> Scalar:
        here = (index[dim],) if keeps else ()
        return lowering.in_range(chosen.at(lowering.broadcast(here, chosen.shape)), extent)

    return _taken_along(lowering, call, dim, position, keeps)


def gather(lowering: Lowering, call: Call) -> View:
    _, dim, places = call.args[:3]
    chosen = lowering.view(places)
    shape = lowering.view(call.args[0]).shape
    extent = lowering.size(shape[dim] if shape else 1)
    return _taken_along(
        lowering, call, dim, lambda index: lowering.in_range(chosen.at(index), extent), keeps=True
    )  # fmt: skip


def indexed(lowering: Lowering, call: Call) -> View:
    """Index a row by an integer tensor: ``table[index]`` and ``torch.take``."""
    source, places = lowering.view(call.args[0]), call.args[1]
    # Indexing has a list with one index for each dimension; take has a single tensor.
    if isinstance(places, (list, tuple)) and len(places) > 1:
        raise call.unsupported("only a 1-D tensor can be indexed")
    chosen = lowering.view(places[0] if isinstance(places, (list, tuple)) else places)
    if len(source.shape) != 1 or chosen.dtype == torch.bool:
        raise call.unsupported("only a 1-D tensor can be indexed, and only by integers")
    extent = lowering.size(source.shape[0])

    def at(index: Index) -> Scalar:
        return source.at((lowering.in_range(chosen.at(index), extent, from_end=True),))

    return call.view(at)


def stack(lowering: Lowering, call: Call) -> View:
    parts = [lowering.operand(part, call.dtype) for part in call.args[0]]
    dim = (call.args[1] if len(call.args) > 1 else 0) % len(call.shape)
    program = lowering.program

    def at(index: Index) -> Scalar:
        inner = (*index[:dim], *index[dim + 1 :])
        value = parts[-1].at(inner)
        for place, part in reversed(list(enumerate(parts[:-1]))):
            here = program.value(f"{{0}} == {place}", torch.bool, index[dim])
            value = program.choice(here, part.at(inner), value)
        return value

    return call.view(at)


def unbind(lowering: Lowering, call: Call) -> list[View]:
    source = lowering.view(call.args[0])
    dim = (call.args[1] if len(call.args) > 1 else 0) % len(source.shape)
    shape = (*source.shape[:dim], *source.shape[dim + 1 :])

    def part(place: int) -> View:
        number = lowering.size(place)
        return View(
            shape, source.dtype, lambda index: source.at((*index[:dim], number, *index[dim:]))
        )

    return [part(place) for place in range(source.shape[dim])]


# Operations that combine elements.


def reduction(
    text: str, first: str | None, dtype: torch.dtype | None = None, mean: bool = False
) -> Rule:
    """Make the rule that combines all elements along some dimensions by a template.

    Args:
        text: the template that combines two elements.
        first: the initial value; None for the first element.
        dtype: the dtype to convert the elements to; None for that of the result.
        mean: whether to divide by the number of elements.
    """

    def rule(lowering: Lowering, call: Call) -> View:
        program = lowering.program
        source = lowering.operand(call.args[0], dtype or call.dtype)
        rank = len(source.shape)
        given: Any = call.args[1] if len(call.args) > 1 else None
        dims = [given] if isinstance(given, int) else given or range(rank)
        along = sorted({d % rank for d in dims}) if rank else []
        extents = {d: lowering.size(source.shape[d]) for d in along}
        count = program.number(math.prod(source.shape[d] for d in along), call.dtype)
        kept = len(call.shape) == rank

        def at(index: Index) -> Scalar:
            rest = iter([i for d, i in enumerate(index) if not (kept and d in along)])
            full = [lowering.zero if d in along else next(rest) for d in range(rank)]
            total = combined(along, full)
            return program.value("{0} / {1}", call.dtype, total, count) if mean else total

        def combined(left: list[int], full: list[Scalar]) -> Scalar:
            if not left:
                return source.at(tuple(full))
            if first is None:
                begin = combined(left[1:], full)
            else:
                begin = program.value(first, source.dtype)
            variable = program.loop(extents[left[0]])
            full = [variable if d == left[0] else i for d, i in enumerate(full)]
            return program.fold(text, begin, variable, combined(left[1:], full))

        return call.view(at)

    return rule
