"""A small model trained on handwritten digits, once with each way to schedule the learning rate.

`training_step` shows how accelsched is used; the rest takes turns, counts and prints the table.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_lr

from accelsched import Scheduler, reference
from accelsched._runtimes import Counters, Runtime, runtime_of
from accelsched.errors import ArgumentError
from accelsched.schedules import (
    Constant,
    CosineDecay,
    Linear,
    OneCycle,
    Schedule,
    Step,
    WarmupStableDecay,
)

SEED, BATCH, MIN_STEPS = 0, 64, 100
#: Steps in a turn, and the first turns, which are for compiling and not measured.
TURN, FIRST, LATER = 25, slice(2), slice(2, None)
COSTS = ["to_device", "from_device", "executions"]
ROW = "{:18}{:>9}{:>9}{:>10}{:>7}{:>11}{:>13}{:>12}{:>11}"
NOTES = f"""\
first: in the first {FIRST.stop * TURN} steps, which no other column counts; a graph that several
rows share counts for the uppermost. steps/s: the median of turns of {TURN} steps. error: the
largest of the learning rate after a turn, relative to accelsched.reference."""
Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """A curve: our schedule, PyTorch's scheduler of each phase, a word on each milestone.

    With ``decides`` our scheduler follows another schedule, which has no end, and is told in
    mid-run how to end: what to call, before which step.
    """

    title: str
    schedule: Schedule
    phases: list[Callable[[Optimizer], torch_lr.LRScheduler]]
    milestones: dict[int, str]
    undecided: Schedule | None = None
    decides: tuple[int, Callable[[Scheduler], None]] | None = None

    def scheduler(self, optimizer: Optimizer) -> Scheduler:
        """Build our scheduler for the curve."""
        return Scheduler(optimizer, self.undecided or self.schedule)

    def torch_scheduler(self, optimizer: Optimizer) -> torch_lr.LRScheduler:
        """Build PyTorch's scheduler for the curve."""
        first, *others = [phase(optimizer) for phase in self.phases]
        if not others:
            return first
        return torch_lr.SequentialLR(optimizer, [first, *others], list(self.milestones))


def warmup_cosine(peak: float, steps: int) -> Recipe:
    """Up from 1/100 of the peak in a tenth of the steps, then half a cosine wave down to it."""
    warmup, low = steps // 10, peak / 100
    schedule = Linear(low, peak, warmup).then(CosineDecay(peak, low, steps - warmup), at=warmup)
    up = partial(torch_lr.LinearLR, start_factor=1 / 100, total_iters=warmup)
    down = partial(torch_lr.CosineAnnealingLR, T_max=steps - warmup, eta_min=low)
    return Recipe("Warm-up, then cosine", schedule, [up, down], {warmup: "warm-up ends"})


def one_cycle(peak: float, steps: int) -> Recipe:
    """Up from 1/25 of the peak in three tenths of the steps, then down to 1/25,000."""
    total = steps + 1
    schedule = OneCycle(peak / 25, peak, total, pct_start=0.3, final_div_factor=1000)
    cycle = partial(
        torch_lr.OneCycleLR, max_lr=peak, total_steps=total, final_div_factor=1000,
        cycle_momentum=False,
    )  # fmt: skip
    return Recipe("One cycle", schedule, [cycle], {round(0.3 * total) - 1: "peak"})


def warmup_stable_decay(peak: float, steps: int, decay: int = 0) -> Recipe:
    """Up in a tenth of the steps, then constant, then a line down, by default in a fifth."""
    warmup, decay, low = steps // 10, decay or steps // 5, peak / 100
    schedule = Linear(low, peak, warmup).then(Constant(peak), at=warmup)
    schedule = schedule.then(Linear(peak, low, decay), at=steps - decay)
    up = partial(torch_lr.LinearLR, start_factor=1 / 100, total_iters=warmup)
    stable = partial(torch_lr.ConstantLR, factor=1.0)
    down = partial(torch_lr.LinearLR, start_factor=1.0, end_factor=1 / 100, total_iters=decay)
    milestones = {warmup: "warm-up ends", steps - decay: "decay begins"}
    return Recipe("Warm-up, stable, decay", schedule, [up, stable, down], milestones)


def decay_from(peak: float, steps: int, at: int) -> Recipe:
    """The same, but for us the end is not known before it begins; PyTorch's are told at first."""
    warmup, low = steps // 10, peak / 100
    if not warmup <= at < steps:
        raise ArgumentError("--decay-at", at, f"give a step from {warmup} to {steps - 1}")
    known = warmup_stable_decay(peak, steps, steps - at)
    undecided = WarmupStableDecay(peak, None, warmup, start=low)
    decision = at, partial(Scheduler.begin_decay, total_iters=steps - at, end=low)
    return replace(known, undecided=undecided, decides=decision)


def steps_down(peak: float, steps: int) -> Recipe:
    """Down to 3/10 after each three tenths of the steps."""
    size = 3 * steps // 10
    milestones = {step: "times 0.3" for step in range(size, steps, size)}
    down = partial(torch_lr.StepLR, step_size=size, gamma=0.3)
    return Recipe("Steps down", Step(peak, size, 0.3), [down], milestones)


SCHEDULES: dict[str, Callable[[float, int], Recipe]] = {
    "warmup-cosine": warmup_cosine,
    "onecycle": one_cycle,
    "wsd": warmup_stable_decay,
    "step": steps_down,
}
#: The optimizers, and the peak of the learning rate for each.
OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], float]] = {
    "AdamW": (torch.optim.AdamW, 0.01),
    "SGD": (partial(torch.optim.SGD, momentum=0.9), 0.1),
}


def training_step(
    runtime: Runtime,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: Scheduler | torch_lr.LRScheduler | None,
    batches: Batches,
) -> Callable[[], None]:
    """Return a step of training: the same for our scheduler, PyTorch's, and none."""
    forward = runtime.compiled(model)

    @runtime.compiled
    def update() -> None:
        optimizer.step()
        if scheduler is not None:
            scheduler.step()

    def step() -> None:
        images, labels = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        update()
        runtime.finish_step()

    return step


def run(
    runtime: Runtime,
    schedule: str,
    optimizer: str,
    steps: int,
    output: Path,
    decay_at: int | None = None,
) -> None:
    """Train with each way to schedule the learning rate, print the table, draw the curve.

    Args:
        runtime: the back end that trains.
        schedule: one of ``SCHEDULES``.
        optimizer: one of ``OPTIMIZERS``.
        steps: how many steps to train, at least ``MIN_STEPS``.
        output: the PNG to write.
        decay_at: for ``"wsd"``, the step at which our scheduler is told to decay.
    """
    from accelsched._cli.plot import plot

    recipe, contestants, test = race(runtime, schedule, optimizer, steps, decay_at)
    about = f"{steps} steps of {optimizer} on {runtime.name}"
    plot(recipe.schedule, contestants[1].lr, output, recipe.title, about, recipe.milestones)
    print(
        f"{recipe.title}: {about}",
        _table(runtime, contestants, test),
        NOTES,
        fill(_summary(runtime, contestants), 100),
        f"The learning rate of accelsched, as read in training: {output}",
        sep="\n\n",
    )


def race(
    runtime: Runtime, schedule: str, optimizer: str, steps: int, decay_at: int | None = None
) -> tuple[Recipe, list[Contestant], tuple[Tensor, Tensor]]:
    """Train with each way to schedule the learning rate: the arguments are those of :func:`run`.

    Returns:
        What was scheduled, what was measured of each way, and the images and labels for testing.
    """
    peak = OPTIMIZERS[optimizer][1]
    if decay_at is None:
        recipe = SCHEDULES[schedule](peak, steps)
    else:
        recipe = decay_from(peak, steps, decay_at)
    _prepare(runtime)
    train, test = _digits(runtime.device())
    contestants = _contestants(runtime, optimizer, recipe, train)
    _take_turns(runtime, contestants, steps)
    return recipe, contestants, test


@dataclass
class Contestant:
    """A model in training, and what was measured of it."""

    name: str
    schedule: Schedule
    model: nn.Module
    optimizer: Optimizer
    step: Callable[[], None]
    #: What to do before some steps.
    before: dict[int, Callable[[], None]] = field(default_factory=dict)
    #: Of each turn: its steps, its seconds, what the back end did in it.
    turns: list[tuple[int, float, Counters]] = field(default_factory=list)
    #: The learning rate after each turn, by step.
    lr: dict[int, float] = field(default_factory=dict)

    def take_turn(self, runtime: Runtime, turn: range) -> None:
        """Train some steps, and note their time and their counters."""
        before, start = runtime.counters(), time.perf_counter()
        for step in turn:
            if step in self.before:
                self.before[step]()
            self.step()
        runtime.wait()
        seconds = time.perf_counter() - start
        self.turns.append((len(turn), seconds, runtime.counters() - before))

    def read_lr(self, step: int) -> None:
        """Read the learning rate, which waits for the device: between two turns only."""
        lr = self.optimizer.param_groups[0]["lr"]
        self.lr[step] = lr.detach().item() if isinstance(lr, Tensor) else lr

    def speed(self) -> float:
        """Return the steps per second, the median of the later turns."""
        return median(steps / seconds for steps, seconds, _ in self.turns[LATER])

    def total(self, count: str, turns: slice) -> int:
        """Sum one counter of the back end over some of the turns."""
        return sum(getattr(counters, count) for _, _, counters in self.turns[turns])

    def per_step(self, count: str) -> float:
        """Return one counter per step, over the later turns."""
        return self.total(count, LATER) / sum(steps for steps, _, _ in self.turns[LATER])

    def error(self) -> float:
        """Return the largest relative error of the learning rate."""
        pairs = [(lr, reference.value(self.schedule, step)) for step, lr in self.lr.items()]
        return max(abs(lr - exact) / exact for lr, exact in pairs)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Return the share of the images that the model gets right."""
        with torch.no_grad():
            right = self.model(images).argmax(1) == labels
        return float(right.double().mean())


def _take_turns(runtime: Runtime, contestants: Sequence[Contestant], steps: int) -> None:
    """Train all models, a turn each at a time, so that noise hits all alike."""
    from tqdm import tqdm

    with tqdm(total=steps * len(contestants), unit=" steps", leave=False, disable=None) as bar:
        for start in range(0, steps, TURN):
            turn = range(start, min(start + TURN, steps))
            for contestant in contestants:
                bar.set_description(f"{contestant.name:17}")
                contestant.take_turn(runtime, turn)
                contestant.read_lr(turn.stop)
                bar.update(len(turn))


def _contestants(
    runtime: Runtime, optimizer: str, recipe: Recipe, train: tuple[Tensor, Tensor]
) -> list[Contestant]:
    """Build a model, an optimizer and a scheduler for each row of the table."""
    build, peak = OPTIMIZERS[optimizer]
    device = runtime.device()
    place = runtime_of(device)
    capturable = optimizer == "AdamW" and place.on_device and place.accepts_capturable
    options = {"capturable": True} if capturable else {}

    def contestant(
        name: str, schedule: Schedule, lr: Any, bind: Callable[[Optimizer], Any]
    ) -> Contestant:
        model = _model().to(device)
        bound = build(model.parameters(), lr=lr, **options)
        scheduler = bind(bound)
        step = training_step(runtime, model, bound, scheduler, _batches(*train))
        made = Contestant(name, schedule, model, bound, step)
        if recipe.decides is not None and isinstance(scheduler, Scheduler):
            at, decide = recipe.decides
            made.before[at] = partial(decide, scheduler)
        return made

    curve = recipe.schedule
    on_device = torch.tensor(peak, device=device)
    # On the CPU it is a tensor that asks accelsched for tensors, as torch.compile needs them.
    ours = torch.tensor(peak) if runtime.name == "compile" else peak
    # The constant is first, as what all have in common is compiled for it, and the float is last,
    # as its recompiles may make torch.compile give up.
    return [
        contestant("constant lr", Constant(peak), peak, lambda _: None),
        contestant("accelsched", curve, ours, recipe.scheduler),
        contestant("torch (tensor lr)", curve, on_device, recipe.torch_scheduler),
        contestant("torch (float lr)", curve, peak, recipe.torch_scheduler),
    ]


def _model() -> nn.Module:
    torch.manual_seed(SEED)
    convolutions = [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(512, 10))


def _digits(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Load the images and labels for training and for testing; send them to the device once."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    arrays = train_test_split(digits.images / 16, digits.target, test_size=0.2, random_state=SEED)
    images = [torch.tensor(array, dtype=torch.float32).unsqueeze(1) for array in arrays[:2]]
    labels = [torch.tensor(array) for array in arrays[2:]]
    return [(x.to(device), y.to(device)) for x, y in zip(images, labels, strict=True)]


def _batches(images: Tensor, labels: Tensor) -> Batches:
    """Yield batches for ever. They are cut on the device, so no step waits for data."""
    order = torch.arange(len(images)).to(images.device)
    while True:
        order = torch.cat([order[BATCH:], order[:BATCH]])
        yield images.index_select(0, order[:BATCH]), labels.index_select(0, order[:BATCH])


def _table(runtime: Runtime, contestants: Sequence[Contestant], test: tuple[Tensor, Tensor]) -> str:
    """Format the table of results."""
    rows = [
        ["", "test", "", "compiles", "", "to device", "from device", "executions", "error"],
        ["", "accuracy", "steps/s", "first", "later", *["per step"] * 3, "of the lr"],
    ]
    for c in contestants:
        counts = [("compiles", float(c.total("compiles", turns))) for turns in (FIRST, LATER)]
        counts += [(name, c.per_step(name)) for name in COSTS]
        cells = [f"{count:.3g}" if name in runtime.counts else "-" for name, count in counts]
        accuracy, speed, error = f"{c.accuracy(*test):.1%}", f"{c.speed():.0f}", f"{c.error():.2g}"
        rows.append([c.name, accuracy, speed, *cells, error])
    return "\n".join(ROW.format(*row) for row in rows)


def _summary(runtime: Runtime, contestants: Sequence[Contestant]) -> str:
    """Say in words what each scheduler costs beside a constant learning rate."""
    constant, *others = contestants

    def beside(c: Contestant) -> str:
        speed = f"{c.speed() / constant.speed():.0%} of the speed"
        if "executions" not in runtime.counts:
            return f"{c.name} has {speed}"
        to, back, executions = (c.per_step(name) - constant.per_step(name) for name in COSTS)
        more = f"{to + back:.2g} transfers and {executions:.2g} execution{'s' * (executions != 1)}"
        return f"{c.name} takes {more} a step more, at {speed}"

    off = [f"{c.name} is up to {c.error():.1%} off the curve." for c in others if c.error() > 1e-3]
    return " ".join([f"Beside a constant lr, {'; '.join(map(beside, others))}.", *off])


def _prepare(runtime: Runtime) -> None:
    """Silence remarks that would cut the progress bar, and give Dynamo room to recompile."""
    # Remarks on this machine and on recompiles, which would cut the progress bar.
    for name in ("torch._dynamo", "torch._logging", "torch.utils.cpp_extension"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger().addFilter(lambda record: "PJRT_DEVICE" not in record.getMessage())
    if runtime.name == "compile":
        # torch.compile gives a function up after so many graphs, whoever needed them. Three
        # contestants need two each of the optimizer's step, and the float is to have the limit.
        torch._dynamo.config.recompile_limit += 3 * 2
