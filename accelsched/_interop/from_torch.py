"""Conversion of torch.optim.lr_scheduler's schedulers to ours, with the same values from now on."""

from __future__ import annotations

import functools
import itertools
import math
import types
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler
from torch.optim.swa_utils import SWALR

from accelsched._binding.drivers import runs_on_host
from accelsched._binding.param_groups import GroupValues
from accelsched._binding.scheduler import Scheduler
from accelsched._binding.scheduler_list import SchedulerList
from accelsched._binding.state import settings_of
from accelsched._interop import found_rates, transformers_functions
from accelsched._interop.called import Accumulated, hashable
from accelsched._interop.found_rates import NoFormula
from accelsched.errors import ArgumentError, require
from accelsched.lr_scheduler import GreedyLR, LRScheduler, ReduceLROnPlateau
from accelsched.schedules import (
    Constant,
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    CosineDecay,
    Cyclic,
    Linear,
    Multiplicative,
    MultiStep,
    OneCycle,
    Polynomial,
    Product,
    Schedule,
    Sequential,
    Step,
    Sum,
    Tabulated,
)
from accelsched.schedules._called import Called
from accelsched.schedules._from_function import (
    from_function,
    is_traceable,
    never_reads_the_step,
)
from accelsched.schedules.custom import MAX_TABLE_STEPS


def from_torch(
    scheduler: TorchLRScheduler, *, total_iters: int | None = None, lowering: str | None = None
) -> Scheduler | SchedulerList:
    """Convert a torch scheduler, in mid-run too, to one of accelsched with the same values.

    Every class of ``torch.optim.lr_scheduler`` can be converted, compositions included, and SWALR.
    The schedules of transformers become formulas. Any other function of a LambdaLR is traced if
    possible. If not, it is called at each step where the group holds a float on the CPU, and
    tabulated elsewhere. Some values depend on the previous learning rate: in a chain with a
    LambdaLR, or in a subclass of your own. With ``total_iters`` a copy is run to tabulate them.
    ReduceLROnPlateau and the GreedyLR of transformers become the classes of these names in
    ``accelsched.lr_scheduler``, whose ``step`` takes the metric.

    Use the result in place of torch's scheduler, and do not step that one any more. Its wrapper
    around ``optimizer.step`` is removed. Where torch computes the next learning rate from the
    current one, the result continues from a learning rate that was changed from outside. Past its
    end OneCycleLR stays at its minimum.

    ``load_state_dict`` of the result takes a state that torch's scheduler saved. To load one with
    ``torch.distributed.checkpoint``, which fills an existing state::

        state = scheduler.state_dict()  # of torch's scheduler, before it is converted
        ours = from_torch(scheduler)
        dcp.load({"scheduler": state}, checkpoint_id=path)
        ours.load_state_dict(state)

    Args:
        scheduler: a torch scheduler with its optimizer.
        total_iters: the last step to tabulate, where a table is needed. Default: ``2**20`` for a
            function, but for a schedule of transformers at least twice its training steps.
        lowering: as for :class:`accelsched.Scheduler`.

    Returns:
        A scheduler of the learning rate. If torch's also cycles momentum or betas, a list of both.

    Raises:
        ArgumentError: the scheduler cannot be converted; the message says why and what to do.
            Nothing was changed.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> scheduler = from_torch(torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100))
        >>> scheduler.schedules
        (CosineAnnealing(initial=0.1, T_max=100),)
        >>> scheduler.get_last_lr()
        [0.1]
        >>> scheduler.last_epoch = 100
        >>> scheduler.get_last_lr()
        [0.0]
    """
    if isinstance(scheduler, (Scheduler, SchedulerList)):
        raise ArgumentError("scheduler", scheduler, "it is one of accelsched already: use it as is")
    if isinstance(scheduler, torch_schedulers.ReduceLROnPlateau):
        return _plateau(scheduler, lowering)
    if transformers_functions.is_greedy(scheduler):
        return _greedy(scheduler, lowering)
    if not isinstance(scheduler, TorchLRScheduler):
        raise ArgumentError("scheduler", scheduler, "give a torch.optim.lr_scheduler.LRScheduler")
    optimizer, now = scheduler.optimizer, _count(scheduler)
    indices = range(len(optimizer.param_groups))
    key = _cycled_key(scheduler)
    double = _double(scheduler)
    double.optimizer.on_host = total_iters is None and _runs_on_host(optimizer, lowering)
    try:
        bases = [_base(double, i) for i in indices]
        schedules = {"lr": [_formula(double, i, bases[i], now, total_iters) for i in indices]}
        if key is not None:
            schedules[key] = [_cycled(double, i) for i in indices]
    except NoFormula as why:
        if total_iters is None:
            remedy = f"{why}: give total_iters, the last step to tabulate from a copy"
            raise ArgumentError("scheduler", scheduler, remedy) from None
        schedules = _simulated(double, ["lr", key] if key else ["lr"], now, total_iters)
    options: dict[str, Any] = {"last_epoch": now - 1, "lowering": lowering}
    made: Scheduler = LRScheduler(optimizer, schedules["lr"], **options)
    if hasattr(vars(optimizer).get("step"), "_wrapped_by_lr_sched"):
        del optimizer.step
    settings = settings_of(scheduler.state_dict())
    made._settings_of_torch = settings
    if key is None:
        return made
    # torch.compile would recompile for each new float.
    options["lowering"] = lowering or ("host" if made.driver.lowering == "host" else "graph")
    beside = Scheduler(optimizer, schedules[key], key, **options)
    beside._settings_of_torch = settings
    return SchedulerList([made, beside])


def _plateau(scheduler: Any, lowering: str | None) -> Scheduler:
    """Convert ReduceLROnPlateau, which follows a metric instead of the step."""
    known = vars(torch_schedulers.ReduceLROnPlateau)
    # torch 2.4 has is_better.
    decide = {"step", "_reduce_lr", "_is_better", "is_better", "in_cooldown"} & set(known)
    own = sorted(name for name in decide if getattr(type(scheduler), name) is not known[name])
    remedy = f"its class overrides {', '.join(own)}: keep it, or rewrite it for accelsched"
    require(not own, "scheduler", scheduler, remedy)
    default, least = getattr(scheduler, "default_min_lr", None), scheduler.min_lrs
    if default is not None and set(least) == {default}:
        least = default  # applies to groups that are added later, too
    made = ReduceLROnPlateau(
        None,
        scheduler.mode,
        scheduler.factor,
        scheduler.patience,
        scheduler.threshold,
        scheduler.threshold_mode,
        scheduler.cooldown,
        least,
        scheduler.eps,
        lowering=lowering,
    )
    made.set_optimizer(scheduler.optimizer)
    made.load_state_dict(scheduler.state_dict())
    return made


def _greedy(scheduler: Any, lowering: str | None) -> Scheduler:
    """Convert GreedyLR, whose state holds all but the settings of its mean of metrics."""
    size = scheduler.window_size
    made = GreedyLR(None, smooth=scheduler.smooth, window_size=size, lowering=lowering)
    made.set_optimizer(scheduler.optimizer)
    saved = scheduler.state_dict()
    # The state has the values of the groups, which may be tensors.
    rates = {name: [float(rate) for rate in saved[name]] for name in ("_last_lr", "_init_lrs")}
    made.load_state_dict({**saved, **rates})
    return made


def _runs_on_host(optimizer: Any, lowering: str | None) -> bool:
    """Return whether Python writes a float at each step, and so may call a function for it."""
    return runs_on_host(lowering, GroupValues(optimizer, "lr", None))


def _count(scheduler: Any) -> int:
    """Return the step that a scheduler has reached."""
    counts = {_count(child) for child in getattr(scheduler, "_schedulers", [])}
    if isinstance(scheduler, torch_schedulers.ChainedScheduler):
        if len(counts) > 1:
            remedy = f"its schedulers are at steps {sorted(counts)}: give all the same last_epoch"
            raise ArgumentError("scheduler", scheduler, remedy)
        return counts.pop()
    return int(scheduler.last_epoch)


def _formula(
    scheduler: Any, index: int, base: float, now: int | None, total: int | None
) -> Schedule:
    """Return the closed form of a scheduler for one param group.

    Args:
        scheduler: a scheduler of torch.
        index: the index of the param group.
        base: the initial learning rate, in torch's sense.
        now: the step that the scheduler has reached; None if it has not begun, or is over.
        total: the last step to tabulate.
    """
    cls = _known(scheduler)
    if cls is torch_schedulers.SequentialLR:
        return _sequential(scheduler, index, now, total)
    if cls is torch_schedulers.ChainedScheduler:
        return _chained(scheduler, index, base, now, total)
    if cls in _FUNCTIONS:
        schedule = base * _of_function(scheduler, cls, scheduler.lr_lambdas[index], total)
    else:
        schedule = _FORMULAS[cls](scheduler, index, base)
    return schedule if now is None else _from_found(scheduler, index, schedule, now)


def _of_function(scheduler: Any, cls: Any, function: Any, total: int | None) -> Schedule:
    # Param groups mostly share one function, so its table is made once.
    made = getattr(scheduler.optimizer, "made", {})
    if (cls, id(function), total) not in made:
        on_host = getattr(scheduler.optimizer, "on_host", False)
        made[cls, id(function), total] = _FUNCTIONS[cls](hashable(function), total, on_host)
    schedule: Schedule = made[cls, id(function), total]
    return schedule


def _from_found(scheduler: Any, index: int, schedule: Schedule, now: int) -> Schedule:
    """Return the schedule that continues from the group's lr, where the formula gives another."""
    found = _found(scheduler, index, found_rates.value_at(schedule, now))
    if found is None:
        return schedule
    cls = _known(scheduler)
    if cls in _MULTIPLY:
        return found_rates.multiplied(schedule, found, now)
    if isinstance(schedule, CosineAnnealing):
        return found_rates.cosine(schedule, found, now)
    if index in scheduler.optimizer.shared:
        # Groups of different learning rates share one tensor, where torch left another group's.
        return schedule
    return found_rates.until_next_step(schedule, found, now)


def _found(scheduler: Any, index: int, expected: float) -> float | None:
    """Return the group's learning rate if it differs from the formula by more than rounding."""
    found = float(scheduler.optimizer.param_groups[index]["lr"])
    return None if math.isclose(found, expected, rel_tol=scheduler.optimizer.drift) else found


def _known(scheduler: Any) -> Any:
    """Return the torch class whose formula a scheduler follows."""
    for cls in type(scheduler).__mro__:
        if cls in _FORMULAS or cls in _FUNCTIONS or cls in _COMPOSED:
            return cls
        if {"get_lr", "step", "_update_lr"} & set(vars(cls)):
            break
    raise NoFormula(f"{type(scheduler).__name__} has no known formula")


def _base(scheduler: Any, index: int) -> float:
    """Return the initial learning rate of a param group, in torch's sense."""
    while not hasattr(scheduler, "base_lrs"):
        scheduler = scheduler._schedulers[0]
    return float(scheduler.base_lrs[index])


# One function per class. It takes a scheduler, the index of a param group and its initial lr.


def _constant(s: Any, _: int, base: float) -> Schedule:
    held = Constant(base * s.factor)
    # In torch a phase without steps never ends.
    return held if s.total_iters <= 0 else held.then(Constant(base), at=s.total_iters)


def _linear(s: Any, _: int, base: float) -> Schedule:
    if s.total_iters <= 0:
        return Constant(base * s.start_factor)
    return Linear(base * s.start_factor, base * s.end_factor, s.total_iters)


def _polynomial(s: Any, _: int, base: float) -> Schedule:
    return Constant(base) if s.total_iters <= 0 else Polynomial(base, 0.0, s.total_iters, s.power)


def _multi_step(s: Any, _: int, base: float) -> Schedule:
    return MultiStep(base, gamma=s.gamma, milestones=tuple(sorted(s.milestones.elements())))


def _warm_restarts(s: Any, _: int, base: float) -> Schedule:
    """Convert CosineAnnealingWarmRestarts, unless it was stepped by fractions."""
    schedule = CosineAnnealingWarmRestarts(base, s.T_0, s.T_mult, float(s.eta_min))
    step = int(s.last_epoch)
    period = bisect_right(schedule.starts, step) - 1
    if s.last_epoch >= 0 and s.T_cur != (step - schedule.starts[period]) % schedule.lengths[period]:
        raise NoFormula("stepped by fractions of an epoch")
    return schedule


def _cyclic(s: Any, index: int, _: float) -> Schedule:
    return _triangles(s, float(s.base_lrs[index]), float(s.max_lrs[index]))


def _triangles(s: Any, foot: float, top: float) -> Schedule:
    """Convert CyclicLR between two values; a custom scale function becomes a factor."""
    up = s.total_size * s.step_ratio
    if not math.isclose(up, round(up), rel_tol=1e-9) or s.total_size != int(s.total_size):
        raise NoFormula("its steps up or down are not whole")
    sizes = {"step_size_up": round(up), "step_size_down": int(s.total_size) - round(up)}
    if s._scale_fn_custom is None:
        return Cyclic(foot, top, **sizes, mode=s.mode, gamma=s.gamma)
    period = int(s.total_size) if s.scale_mode == "cycle" else None
    scale = from_function(functools.partial(_scale, s._scale_fn_custom, period))
    return Sum((Constant(foot), Product((Cyclic(0.0, top - foot, **sizes), scale))))


def _scale(function: Callable[[Any], Any], period: int | None, step: Any) -> Any:
    return function(step if period is None else 1 + step // period)


def _one_cycle(s: Any, index: int, _: float) -> Schedule:
    group = s.optimizer.param_groups[index]
    first, top, last = (float(group[name]) for name in ("initial_lr", "max_lr", "min_lr"))
    return _one_cycle_of(s, first, top, first / last)


def _one_cycle_of(s: Any, first: float, top: float, final_div_factor: float) -> Schedule:
    """Convert OneCycleLR between two values, from torch's phases to our arguments."""
    phases = s._schedule_phases
    rise = phases[0]["end_step"] + 1
    if not 1 < rise < s.total_steps:
        raise NoFormula("pct_start leaves a phase no steps")
    return OneCycle(
        first,
        top,
        s.total_steps,
        rise / s.total_steps,
        final_div_factor,
        three_phase=len(phases) == 3,
        anneal_strategy=s._anneal_func_type,
    )


def _averaging(s: Any, index: int, _: float) -> Schedule:
    """Convert SWALR, which blends from the current learning rate."""
    group, step = s.optimizer.param_groups[index], s._step_count - 1
    ahead = s.last_epoch - step
    if ahead < 0:
        raise NoFormula("last_epoch is behind its step count")
    lr, end = float(group["lr"]), float(group["swa_lr"])
    weight = s.anneal_func(min(1.0, step / max(1, s.anneal_epochs)))
    if s.anneal_epochs == 0 or weight == 1:
        return Constant(end)
    cls = CosineDecay if s.anneal_func == s._cosine_anneal else Linear
    first = (lr - weight * end) / (1 - weight)
    annealed = cls(first, end, s.anneal_epochs)
    # Built with a last_epoch, SWALR anneals from that step on.
    return Constant(first).then(annealed, at=ahead) if ahead else annealed


_FORMULAS: dict[Any, Callable[[Any, int, float], Schedule]] = {
    torch_schedulers.StepLR: lambda s, _, base: Step(base, s.step_size, s.gamma),
    torch_schedulers.MultiStepLR: _multi_step,
    torch_schedulers.ConstantLR: _constant,
    torch_schedulers.LinearLR: _linear,
    torch_schedulers.ExponentialLR: lambda s, _, base: Multiplicative(base, s.gamma),
    torch_schedulers.PolynomialLR: _polynomial,
    torch_schedulers.CosineAnnealingLR: lambda s, _, base: CosineAnnealing(
        base, s.T_max, float(s.eta_min)
    ),
    torch_schedulers.CosineAnnealingWarmRestarts: _warm_restarts,
    torch_schedulers.CyclicLR: _cyclic,
    torch_schedulers.OneCycleLR: _one_cycle,
    SWALR: _averaging,
}


# The user's functions.


def _lambda(function: Callable[[int], Any], total: int | None, on_host: bool) -> Schedule:
    """Convert the function of LambdaLR: to a known formula, traced, called or tabulated."""
    known = transformers_functions.schedule_of(function)
    if known is not None:
        return known
    if total is None and isinstance(function, functools.partial):
        # Built like those of transformers, with its number of steps as a keyword.
        planned = function.keywords.get("num_training_steps")
        if isinstance(planned, int) and planned <= MAX_TABLE_STEPS:
            total = min(max(2 * planned, 2**16), MAX_TABLE_STEPS)
    return _called(function, total, on_host)


def _multiplicative(function: Callable[[int], Any], total: int | None, on_host: bool) -> Schedule:
    """Convert the function of MultiplicativeLR: its running product."""
    if never_reads_the_step(function):
        return Multiplicative(1.0, float(function(1)))
    return _called(Accumulated(function), total, on_host)


def _called(function: Callable[[int], Any], total: int | None, on_host: bool) -> Schedule:
    if on_host and (total is None or total > MAX_TABLE_STEPS) and not is_traceable(function):
        return Called(function)
    return from_function(function, total, "lr_lambda")


_FUNCTIONS: dict[Any, Callable[[Any, int | None, bool], Schedule]] = {
    torch_schedulers.LambdaLR: _lambda,
    torch_schedulers.MultiplicativeLR: _multiplicative,
}


# Compositions.

_COMPOSED = (torch_schedulers.SequentialLR, torch_schedulers.ChainedScheduler)
_MULTIPLY = (
    torch_schedulers.StepLR,
    torch_schedulers.MultiStepLR,
    torch_schedulers.ConstantLR,
    torch_schedulers.LinearLR,
    torch_schedulers.ExponentialLR,
    torch_schedulers.PolynomialLR,
    torch_schedulers.MultiplicativeLR,
)


def _only_multiplies(scheduler: Any) -> bool:
    """Return whether each step multiplies the current learning rate."""
    if isinstance(scheduler, torch_schedulers.ChainedScheduler):
        return all(map(_only_multiplies, scheduler._schedulers))
    return _known(scheduler) in _MULTIPLY


def _sequential(s: Any, index: int, now: int | None, total: int | None) -> Schedule:
    """Convert SequentialLR from the step that its active member has really reached."""
    # torch counts one step too many for a SequentialLR that is the first member of another.
    ahead = 0 if now is None else s.last_epoch - now
    starts = [0, *(max(0, milestone - ahead) for milestone in s._milestones)]
    active = None if now is None else bisect_right(s._milestones, s.last_epoch)
    parts: list[Schedule] = []
    for position, child in enumerate(s._schedulers):
        since = None
        if now is not None and position == active:
            since = _count(child)
            if position > 0:
                starts[position] = now - since
            elif since != now:
                raise NoFormula("its first scheduler is out of step")
        steps = _last_step_of_phase(starts, position, total)
        base = _base(child, index)
        if position > 0 and _known(child) is torch_schedulers.MultiplicativeLR:
            # MultiplicativeLR has no closed form in torch, so it continues from the current lr.
            last = max(0, starts[position] - starts[position - 1] - 1)
            found = found_rates.value_at(parts[-1], last)
            base = found * _first_factor(child, index)
        parts.append(_formula(child, index, base, since, steps))
    return Sequential(tuple(parts), tuple(starts[1:]))


def _last_step_of_phase(starts: Sequence[int], position: int, total: int | None) -> int | None:
    """Return the last step that is needed of a phase; the last phase has no end."""
    if position + 1 == len(starts):
        return total
    steps = max(1, starts[position + 1] - starts[position] - 1)
    return steps if steps <= MAX_TABLE_STEPS else total


def _first_factor(s: Any, index: int) -> float:
    """Return the factor that torch applies at the start of a later phase: 1 before torch 2.9."""
    return float(s.lr_lambdas[index](0)) if hasattr(s, "_is_initial") else 1.0


def _chained(s: Any, index: int, base: float, now: int | None, total: int | None) -> Schedule:
    """Convert ChainedScheduler, if each member only multiplies."""
    children = list(_links(s))
    for child in children:
        cosine = _known(child) is torch_schedulers.CosineAnnealingLR and child.eta_min == 0
        if not cosine and not _only_multiplies(child):
            name = type(child).__name__
            raise NoFormula(f"its {name} does not multiply the lr")
    factors = [_formula(child, index, 1.0, None, total) for child in children]
    half_waves = {i: f.T_max for i, f in enumerate(factors) if isinstance(f, CosineAnnealing)}
    if not half_waves:
        product = base * Product(tuple(factors))
        found = None if now is None else _found(s, index, found_rates.value_at(product, now))
        return product if found is None else found_rates.multiplied(product, found, now or 0)
    chain = found_rates.Chain(factors, half_waves, base, now or 0)
    return chain.schedule(None if now is None else _found(s, index, chain.expected()))


def _links(scheduler: Any) -> Iterator[Any]:
    """Yield the schedulers of a chain, and of chains in it, in the order in which they step."""
    for child in scheduler._schedulers:
        if _known(child) is torch_schedulers.ChainedScheduler:
            yield from _links(child)
        else:
            yield child


# Momentum or betas that are cycled with the learning rate.


def _cycled_key(scheduler: Any) -> str | None:
    """Return the key that is cycled with the learning rate, if any."""
    children = [_cycled_key(child) for child in getattr(scheduler, "_schedulers", [])]
    keys = [key for key in children if key is not None]
    if keys:
        return keys[0]
    if not getattr(scheduler, "cycle_momentum", False):
        return None
    return "betas[0]" if scheduler.use_beta1 else "momentum"


def _cycled(scheduler: Any, index: int) -> Schedule:
    """Convert the momentum or beta1 that OneCycleLR or CyclicLR cycles with the learning rate."""
    group = scheduler.optimizer.param_groups[index]
    cls = _known(scheduler)
    if cls is torch_schedulers.CyclicLR:
        return _triangles(
            scheduler, float(scheduler.max_momentums[index]), float(scheduler.base_momentums[index])
        )
    if cls is torch_schedulers.OneCycleLR:
        top, foot = float(group["max_momentum"]), float(group["base_momentum"])
        return _one_cycle_of(scheduler, top, foot, 1.0)
    raise NoFormula("a scheduler in it cycles momentum")


# A copy of torch's scheduler, run step by step.


def _simulated(
    scheduler: Any, keys: Sequence[str], now: int, total: int
) -> dict[str, list[Schedule]]:
    """Tabulate the values of a copy from now on; earlier steps hold the present value."""
    groups = scheduler.optimizer.param_groups
    values: dict[str, list[list[float]]] = {key: [[] for _ in groups] for key in keys}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(now, total + 1):
            if step > now:
                _step(scheduler, step)
            for key, columns in values.items():
                for column, group in zip(columns, groups, strict=True):
                    value = group["betas"][0] if key == "betas[0]" else group[key]
                    column.extend([float(value)] * (1 if step > now else now + 1))
    return {
        key: [Tabulated(column.__getitem__, len(column) - 1) for column in columns]
        for key, columns in values.items()
    }


def _step(scheduler: Any, step: int) -> None:
    try:
        scheduler.step()
    except Exception as error:
        remedy = f"fails at step {step}, reduce total_iters: {type(error).__name__}: {error}"
        raise ArgumentError("scheduler", scheduler, remedy) from error


def _double(scheduler: Any) -> Any:
    """Copy a scheduler onto param groups of its own, which hold floats."""
    optimizer = scheduler.optimizer
    groups = [{**group, "params": [], "lr": float(group["lr"])} for group in optimizer.param_groups]
    tensors = any(isinstance(group["lr"], Tensor) for group in optimizer.param_groups)
    held = [id(group["lr"]) for group in optimizer.param_groups]
    stand_in = types.SimpleNamespace(
        param_groups=groups,
        defaults=optimizer.defaults,
        step=None,
        made={},
        shared={i for i, identity in enumerate(held) if tensors and held.count(identity) > 1},
        # How far torch's values may have drifted by rounding alone, in float32 or float64.
        drift=1e-4 if tensors else 1e-9,
    )
    bases = [_initial(scheduler, index) for index in range(len(groups))]
    return _copied(scheduler, stand_in, bases)


def _copied(scheduler: Any, optimizer: Any, bases: list[float | None]) -> Any:
    """Copy a scheduler and its members, bound to another optimizer."""
    double = object.__new__(type(scheduler))
    vars(double).update(vars(scheduler))
    double.optimizer = optimizer
    if hasattr(scheduler, "base_lrs"):
        groups = scheduler.optimizer.param_groups
        double.base_lrs = [
            base if base is not None and lr is group["lr"] else float(lr)
            for base, lr, group in zip(bases, scheduler.base_lrs, groups, strict=True)
        ]
    if hasattr(scheduler, "_schedulers"):
        double._schedulers = [_copied(c, optimizer, bases) for c in scheduler._schedulers]
    return double


def _initial(scheduler: Any, index: int) -> float | None:
    """Recover the initial learning rate where torch has lost it; None where it has not.

    Before torch 2.13, SequentialLR shares one tensor between a learning rate and its initial value.
    """
    held = scheduler.optimizer.param_groups[index]["lr"]
    if not isinstance(held, Tensor) or all(lr is not held for lr in _bases(scheduler, index)):
        return None
    first, *later = getattr(scheduler, "_schedulers", [scheduler])
    intact = not any(hasattr(child, "_milestones") for child in [first, *later])
    over = bisect_right(getattr(scheduler, "_milestones", [0]), _count(scheduler)) > 0
    if intact and not over and _only_multiplies(first):
        factor = _formula(first, index, 1.0, None, None)(_count(first))
        if factor > 0:
            return float(held) / factor
    remedy = (
        "torch overwrote its initial lr: use a float lr, or convert it before its first milestone. "
        "In this torch, SequentialLR shares one tensor between lr and initial_lr"
    )
    raise ArgumentError("scheduler", scheduler, remedy)


def _bases(scheduler: Any, index: int) -> list[Any]:
    """Collect a param group's initial learning rates, of a scheduler and its members."""
    own = [scheduler.base_lrs[index]] if hasattr(scheduler, "base_lrs") else []
    below = [_bases(child, index) for child in getattr(scheduler, "_schedulers", [])]
    return [*own, *itertools.chain.from_iterable(below)]
