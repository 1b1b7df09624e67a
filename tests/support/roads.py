"""The ways to evaluate a schedule that run on the CPU, and their operations."""

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
    """Record the formula of a schedule as for a device."""
    return record(lambda step: [schedule.formula(step)])


def operations(schedule: Schedule) -> int:
    """Return how many device operations one step of a schedule takes."""
    return sum(node.op == "call_function" for node in graph(schedule).graph.nodes)


def by_formula_and_kernel(schedule: Schedule, step: int) -> tuple[float, float]:
    """Return the values of a schedule in float64."""
    return float(schedule(torch.tensor(step))), schedule(step)


def in_pairs(schedule: Schedule, step: int) -> float:
    """Return the value of a schedule by a graph in double-float arithmetic."""
    (value,) = in_float32(graph(schedule))(torch.tensor(step))
    return float(value)


def by_every_road(schedule: Schedule, step: int) -> Iterator[float]:
    """Yield the float64 values; assert that the double-float value is within 1 ulp."""
    yield from by_formula_and_kernel(schedule, step)
    assert float32_ulps(in_pairs(schedule, step), schedule(step)) <= 1


def assert_one_vector(schedules: Sequence[Schedule], steps: Sequence[int]) -> None:
    """Assert that the schedules are evaluated as one vector and agree with the reference."""
    (batch,) = group_by_structure(schedules, [torch.float64] * len(schedules))
    evaluate = BatchedFormulas([batch], torch.device("cpu"))
    for step in steps:
        (values,) = evaluate(torch.tensor(step))
        for value, schedule in zip(values.tolist(), schedules, strict=True):
            assert agrees(value, reference.value(schedule, step), leaves_of(schedule)), step
