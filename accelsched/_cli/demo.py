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
#: The steps in a turn; the first turns, for compiling; the later turns, which are measured.
TURN, FIRST, LATER = 25, slice(2), slice(2, None)
COSTS = ["to_device", "from_device", "executions"]
ROW = "{:18}{:>9}{:>9}{:>10}{:>7}{:>11}{:>13}{:>12}{:>11}"
NOTES = f"""\
first: compiles in steps 1 to {FIRST.stop * TURN}; the other columns skip those steps. A graph that
several rows share is charged to the top row. steps/s: the median of turns of {TURN} steps. error:
the largest relative error of the learning rate after a turn, against accelsched.reference."""
Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """A curve: our schedule, PyTorch's scheduler for each phase, and a label for each milestone.

    With ``decides``, our scheduler follows the open-ended schedule ``undecided``. ``decides`` is a
    step, and a function to call before that step, which sets the end of the schedule.
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
    """Rise from peak / 100 in a tenth of the steps, then fall back on half a cosine wave."""
    warmup, low = steps // 10, peak / 100
    schedule = Linear(low, peak, warmup).then(CosineDecay(peak, low, steps - warmup), at=warmup)
    up = partial(torch_lr.LinearLR, start_factor=1 / 100, total_iters=warmup)
    down = partial(torch_lr.CosineAnnealingLR, T_max=steps - warmup, eta_min=low)
    return Recipe("Warm-up, then cosine", schedule, [up, down], {warmup: "warm-up ends"})


def one_cycle(peak: float, steps: int) -> Recipe:
    """Rise from peak / 25 in three tenths of the steps, then fall to peak / 25,000."""
    total = steps + 1
    schedule = OneCycle(peak / 25, peak, total, pct_start=0.3, final_div_factor=1000)
    cycle = partial(
        torch_lr.OneCycleLR, max_lr=peak, total_steps=total, final_div_factor=1000,
        cycle_momentum=False,
    )  # fmt: skip
    return Recipe("One cycle", schedule, [cycle], {round(0.3 * total) - 1: "peak"})


def warmup_stable_decay(peak: float, steps: int, decay: int = 0) -> Recipe:
    """Rise in a tenth of the steps, stay, then fall on a line, by default in a fifth."""
    warmup, decay, low = steps // 10, decay or steps // 5, peak / 100
    schedule = Linear(low, peak, warmup).then(Constant(peak), at=warmup)
    schedule = schedule.then(Linear(peak, low, decay), at=steps - decay)
    up = partial(torch_lr.LinearLR, start_factor=1 / 100, total_iters=warmup)
    stable = partial(torch_lr.ConstantLR, factor=1.0)
    down = partial(torch_lr.LinearLR, start_factor=1.0, end_factor=1 / 100, total_iters=decay)
    milestones = {warmup: "warm-up ends", steps - decay: "decay begins"}
    return Recipe("Warm-up, stable, decay", schedule, [up, stable, down], milestones)


def decay_from(peak: float, steps: int, at: int) -> Recipe:
    """Return the same curve, but tell our scheduler of the decay only when it begins.

    PyTorch's schedulers are told at the start.
    """
    warmup, low = steps // 10, peak / 100
    if not warmup <= at < steps:
        raise ArgumentError("--decay-at", at, f"give a step from {warmup} to {steps - 1}")
    known = warmup_stable_decay(peak, steps, steps - at)
    undecided = WarmupStableDecay(peak, None, warmup, start=low)
    decision = at, partial(Scheduler.begin_decay, total_iters=steps - at, end=low)
    return replace(known, undecided=undecided, decides=decision)


def steps_down(peak: float, steps: int) -> Recipe:
    """Multiply by 0.3 after each three tenths of the steps."""
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
    """Return a training step, the same for our scheduler, for PyTorch's, and for none."""
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
    """Train with each way to schedule the learning rate. The arguments are those of :func:`run`.

    Returns:
        The recipe, each way with its measurements, and the images and labels for testing.
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
    """A model in training, and its measurements."""

    name: str
    schedule: Schedule
    model: nn.Module
    optimizer: Optimizer
    step: Callable[[], None]
    #: The functions to call before some steps.
    before: dict[int, Callable[[], None]] = field(default_factory=dict)
    #: For each turn: its steps, its seconds, and the counts of the back end.
    turns: list[tuple[int, float, Counters]] = field(default_factory=list)
    #: The learning rate after each turn, by step.
    lr: dict[int, float] = field(default_factory=dict)

    def take_turn(self, runtime: Runtime, turn: range) -> None:
        """Train some steps, and note their time and counts."""
        before, start = runtime.counters(), time.perf_counter()
        for step in turn:
            if step in self.before:
                self.before[step]()
            self.step()
        runtime.wait()
        seconds = time.perf_counter() - start
        self.turns.append((len(turn), seconds, runtime.counters() - before))

    def read_lr(self, step: int) -> None:
        """Read the learning rate. This waits for the device, so call it between two turns only."""
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
    """Train all models by turns, so that noise affects all alike."""
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
    # On the CPU, a tensor lr makes accelsched write tensors, as torch.compile needs them.
    ours = torch.tensor(peak) if runtime.name == "compile" else peak
    # The constant comes first: the graphs that all share are compiled for it. The float comes last:
    # its recompiles may make torch.compile give up.
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
    """Yield batches forever. They are cut on the device, so no step waits for data."""
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
    """Return, in words, what each scheduler costs compared with a constant learning rate."""
    constant, *others = contestants

    def beside(c: Contestant) -> str:
        speed = f"{c.speed() / constant.speed():.0%} of the speed"
        if "executions" not in runtime.counts:
            return f"{c.name} runs at {speed}"
        to, back, executions = (c.per_step(name) - constant.per_step(name) for name in COSTS)
        more = f"{to + back:.2g} transfers and {executions:.2g} execution{'s' * (executions != 1)}"
        return f"{c.name} adds {more} per step, at {speed}"

    off = [f"{c.name} is up to {c.error():.1%} off the curve." for c in others if c.error() > 1e-3]
    return " ".join([f"Compared with a constant lr, {'; '.join(map(beside, others))}.", *off])


def _prepare(runtime: Runtime) -> None:
    """Silence messages that would cut the progress bar, and raise Dynamo's recompile limit."""
    # The messages are about this machine and about recompiles.
    for name in ("torch._dynamo", "torch._logging", "torch.utils.cpp_extension"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger().addFilter(lambda record: "PJRT_DEVICE" not in record.getMessage())
    if runtime.name == "compile":
        # torch.compile gives a function up after this many graphs, and all contestants share them.
        # Three need two graphs each of the optimizer's step; the float gets the usual limit.
        torch._dynamo.config.recompile_limit += 3 * 2
