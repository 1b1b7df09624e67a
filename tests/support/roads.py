"""The ways from a schedule to its values that run on the CPU, and what they are made of."""

from collections.abc import Iterator, Sequence

import torch
from parity import agrees, leaves_of
from ulps import float32_ulps

from accelsched import reference
from accelsched._recording import Recording, record
from accelsched._recording.double_float import in_float32
from accelsched.schedules import Schedule
from accelsched.schedules._vectorize import BatchedFormulas, group_by_structure


def graph(schedule: Schedule) -> Recording:
    """Its formula, as it is recorded for a device."""
    return record(lambda step: [schedule.formula(step)])


def operations(schedule: Schedule) -> int:
    """How many operations on the device one step of a schedule is."""
    return sum(node.op == "call_function" for node in graph(schedule).graph.nodes)


def by_formula_and_kernel(schedule: Schedule, step: int) -> tuple[float, float]:
    """Its values in float64."""
    return float(schedule(torch.tensor(step))), schedule(step)


def in_pairs(schedule: Schedule, step: int) -> float:
    """Its value by a graph in float32 numbers alone."""
    (value,) = in_float32(graph(schedule))(torch.tensor(step))
    return float(value)


def by_every_road(schedule: Schedule, step: int) -> Iterator[float]:
    """Its values in float64; the one in float32 numbers is compared with these."""
    yield from by_formula_and_kernel(schedule, step)
    assert float32_ulps(in_pairs(schedule, step), schedule(step)) <= 1


def assert_one_vector(schedules: Sequence[Schedule], steps: Sequence[int]) -> None:
    """Those of several param groups are evaluated at once, and are the reference."""
    (batch,) = group_by_structure(schedules, [torch.float64] * len(schedules))
    evaluate = BatchedFormulas([batch], torch.device("cpu"))
    for step in steps:
        (values,) = evaluate(torch.tensor(step))
        for value, schedule in zip(values.tolist(), schedules, strict=True):
            assert agrees(value, reference.value(schedule, step), leaves_of(schedule)), step
