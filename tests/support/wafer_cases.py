"""Cases that the front-end tests run in the front end's process; see wafer.py."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import torch
from binding import EVERY
from own_schedulers import written_for
from wafer import Lowered, lower

from accelsched import Scheduler, from_spec
from accelsched.lr_scheduler import (
    CosineDecayLR,
    LinearLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
)
from accelsched.schedules import Constant, CosineDecay, Lambda, Linear, Multiplicative


def move(step: int, scheduler: Any) -> None:
    scheduler.last_epoch = step


TO_1000 = functools.partial(move, 1000)


def bound(name: str, lowering: str | None, start: int, optimizer: Any) -> Any:
    """Return a scheduler of a class, or bind its schedules again with a lowering."""
    scheduler = EVERY[name](optimizer)
    if lowering is not None:
        scheduler = Scheduler(optimizer, scheduler.schedules, lowering=lowering)
    scheduler.last_epoch = start
    return scheduler


def of_class(name: str, lowering: str | None) -> Lowered:
    """Lower a class at step 1 and at step 1000."""
    return lower(functools.partial(bound, name, lowering, 1), between=(TO_1000,))


def written(name: str) -> Lowered:
    """Lower a class that a user wrote, at step 1 and at step 1000."""
    module = written_for("cerebras.pytorch.optim")

    def make(optimizer: Any) -> Any:
        scheduler = module.EVERY[name](module, optimizer)
        scheduler.last_epoch = 1
        return scheduler

    return lower(make, between=(TO_1000,), groups=({"tags": ["a"]},))


def of_schedule(expression: str) -> Lowered:
    """Lower the schedule of an expression, as a formula in double-float arithmetic."""
    schedule = from_spec(expression)
    return lower(lambda o: Scheduler(o, schedule, lowering="graph"), between=(TO_1000,))


def renumbered(lowering: str, before: str, after: str) -> Lowered:
    """Lower one schedule, then another with the same structure."""
    first, second = from_spec(before), from_spec(after)

    def follow(scheduler: Any) -> None:
        scheduler.reschedule([second])
        move(1, scheduler)

    return lower(lambda o: Scheduler(o, first, lowering=lowering), between=(follow,))


def planned_anew(plan: str, shape: str) -> Lowered:
    """Lower a schedule before and after its end is planned anew, between two runs."""
    schedule = CosineDecay(0.1, 0.001, 300)

    def between(scheduler: Any) -> None:
        scheduler.last_epoch = 100
        if plan == "extend":
            scheduler.extend(700)
        else:
            scheduler.begin_decay(50, 0.002, shape)

    return lower(lambda o: Scheduler(o, schedule, open_ended=True), between=(between,))


def traced_often(name: str, steps: int) -> Lowered:
    return lower(functools.partial(bound, name, None, 0), steps=steps)


def with_optimizer(optimizer: str) -> Lowered:
    make = functools.partial(bound, "SequentialLR", None, 1)
    return lower(make, between=(TO_1000,), optimizer=optimizer)


def with_loss_scaling() -> Lowered:
    return lower(EVERY["SequentialLR"], loss_scaling=True)


def by_samples(given: str) -> Lowered:
    """Lower a step that advances by a number of samples, that a flag skips, or both."""
    stepping = {
        "int": lambda batch: {"by": len(batch)},
        "tensor": lambda batch: {"by": batch.sum().to(torch.int64)},
        "flag": lambda batch: {"found_inf": (batch.sum() > 100).to(torch.float32)},
        "both": lambda batch: {"by": len(batch), "found_inf": batch.sum() > 100},
    }
    return lower(EVERY["SequentialLR"], between=(TO_1000,), stepping=stepping[given])


def by_samples_for_ever() -> Lowered:
    """Lower a curve that never ends, though its segments do."""
    schedule = from_spec("InverseSquareRootDecay(initial=0.1, scale=1.0, warmup_steps=1000)")
    return lower(lambda o: Scheduler(o, schedule), stepping=lambda batch: {"by": len(batch)})


GROUPS = ({"tags": ["a"]}, {"tags": ["b"], "adjust_learning_rate": 0.5}, {})


def per_group(lowering: str) -> Lowered:
    """Lower schedules that differ in constants, some of which are raised to the step."""
    schedules = [Multiplicative(0.1, rate) for rate in (0.99999, 0.9, 0.5)]
    if lowering == "table":
        schedules = [Linear(0.0, rate, 50) for rate in (0.99999, 0.9, 0.5)]
    return lower(lambda o: Scheduler(o, schedules, lowering=lowering), groups=GROUPS)


def several() -> Lowered:
    """Lower two lr schedulers of tagged groups and one of another key; one group is untagged."""
    return lower(
        lambda o: [
            CosineDecayLR(o, 0.1, 0.0, 100, param_group_tags="a"),
            LinearLR(o, 0.0, 0.1, 50, param_group_tags="b"),
            Scheduler(o, Linear(0.5, 0.25, 10), key="weight_decay"),
        ],
        groups=GROUPS,
    )


def of_torch() -> Lowered:
    """Lower a scheduler of torch.optim: the tests must detect it."""
    return lower(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100))


def checkpointed() -> tuple[Lowered, dict[str, Any]]:
    """Save with cstorch; load into a scheduler with other constants, after its first run."""
    import cerebras.pytorch as cstorch

    file = Path(tempfile.mkdtemp()) / "checkpoint.mdl"

    def save(scheduler: Any) -> None:
        scheduler.last_epoch = 7
        cstorch.save({"scheduler": scheduler.state_dict()}, str(file))

    def load(scheduler: Any) -> None:
        scheduler.load_state_dict(cstorch.load(str(file))["scheduler"])

    lower(EVERY["PolynomialLR"], between=(save,))
    other = lower(lambda o: PolynomialLR(o, 0.9, 0.1, 60, power=3.0), between=(load,))
    return other, cstorch.load(str(file))["scheduler"]


def read_while_traced() -> Lowered:
    def make(optimizer: Any) -> Any:
        scheduler = EVERY["CosineDecayLR"](optimizer)
        step = scheduler.step

        def reading() -> None:
            step()
            print(scheduler.last_epoch)

        scheduler.step = reading
        return scheduler

    return lower(make)


def composed_while_traced() -> Lowered:
    def make(optimizer: Any) -> Any:
        scheduler = EVERY["CosineDecayLR"](optimizer)
        step = scheduler.step

        def changing() -> None:
            step()
            scheduler.total_iters = 5

        scheduler.step = changing
        return scheduler

    return lower(make)


def warm_up(step: Any) -> Any:
    return min(step / 10, 1.0)


def unlowered(case: str) -> Any:
    """Build a scheduler that is refused, or step one without a run: no step is lowered."""
    import cerebras.pytorch as cstorch

    model = torch.nn.Linear(2, 1)
    cstorch.compile(model, cstorch.backend())
    kind = torch.optim.SGD if case == "optimizer" else cstorch.optim.SGD
    optimizer = kind(model.parameters(), lr=0.1)
    if case == "metric":
        return ReduceLROnPlateau(optimizer)
    if case == "lowering":
        return Scheduler(optimizer, Constant(0.1), lowering="host")
    if case == "function":
        return Scheduler(optimizer, Lambda(0.1, (warm_up,)))
    scheduler = SequentialLR(optimizer, [LinearLR(optimizer, 0.0, 0.1, 10)], [])
    found = []
    for _ in range(12):
        group = optimizer.param_groups[0]["lr"]
        found.append((scheduler.last_epoch, group, scheduler.get()[0], scheduler.get_last_lr()[0]))
        scheduler.step()
    return found
