"""Schedulers as users write them for cerebras_pytorch: see own_schedulers.py."""

import math

import torch
from cerebras.pytorch.optim.lr_scheduler import LinearLR, LRScheduler
from cerebras.pytorch.optim.scheduler import Scheduler
from cerebras.pytorch.optim.weight_decay_scheduler import WeightDecayScheduler


class Trapezoid(LRScheduler):
    """A warm-up, a plateau, and a decay to 0; in torch functions, with a method of its own."""

    def __init__(self, optimizer, initial_val, warmup, decay, total_iters, param_group_tags=None):
        self.initial_val = initial_val
        self.warmup = warmup
        self._decay = decay
        super().__init__(optimizer, total_iters, -1, param_group_tags)

    def _line(self, steps, length):
        return torch.div(steps, length).clamp(0, 1).mul(self.initial_val)

    def _get_closed_form(self):
        return torch.where(
            self.last_epoch < self.warmup,
            self._line(self.last_epoch, self.warmup),
            self._line(self.total_iters - self.last_epoch, self._decay),
        )


class Stairs(LRScheduler):
    """Decays by milestones and every few steps; in float32, in place, with lists and branches."""

    def __init__(self, optimizer, initial_val, rate, every, milestones, smooth=False, **options):
        self.initial_val = float(initial_val)
        self.rate = rate
        self.every = every
        self.milestones = milestones
        self.smooth = smooth
        super().__init__(optimizer, total_iters=None, **options)

    def _get_closed_form(self):
        power = torch.div(self.last_epoch, self.every)
        if not self.smooth:
            power.floor_()
        rate = torch.tensor(self.rate, dtype=torch.float32, device=self.device)
        value = torch.pow(rate, power).mul(self.initial_val)
        for milestone in self.milestones:
            value = torch.where(self.last_epoch < milestone, value, value * 0.5)
        return value


class Wave(WeightDecayScheduler):
    def __init__(self, optimizer, low, high, total_iters, param_group_tags=None):
        self.low, self.high = low, high
        super().__init__(
            optimizer,
            total_iters=total_iters,
            last_epoch=-1,
            param_group_tags=param_group_tags,
        )

    def _get_closed_form(self):
        turn = (self.last_epoch % self.total_iters).float() * (math.tau / self.total_iters)
        return (1 - turn.cos()) * ((self.high - self.low) / 2) + self.low


class MomentumRamp(Scheduler):
    """Schedules another key."""

    def __init__(self, optimizer, start, end, total_iters):
        self.start, self.end = start, end
        super().__init__(optimizer, total_iters)

    @property
    def param_group_key(self):
        return "momentum"

    def _get_closed_form(self):
        done = torch.clamp(self.last_epoch, max=self.total_iters).div(self.total_iters)
        return self.start + (self.end - self.start) * done


class Dimmed(LinearLR):
    """Scales the values of a class of the package."""

    def __init__(self, optimizer, factor, *args, **options):
        self.factor = factor
        super().__init__(optimizer, *args, **options)

    def _get_closed_form(self):
        return super()._get_closed_form() * self.factor


#: Makes one of each, given the module and the optimizer.
EVERY = {
    "Trapezoid": lambda m, o: m.Trapezoid(o, 0.2, 11, 30, 70),
    "Trapezoid of a tag": lambda m, o: m.Trapezoid(o, 0.2, 11, 30, 70, param_group_tags="a"),
    "Stairs": lambda m, o: m.Stairs(o, 0.4, 0.8, 7, [20, 41]),
    "Stairs that are smooth": lambda m, o: m.Stairs(o, 0.4, 0.8, 7, [], smooth=True),
    "Wave": lambda m, o: m.Wave(o, 0.01, 0.2, 37),
    "MomentumRamp": lambda m, o: m.MomentumRamp(o, 0.85, 0.95, 50),
    "Dimmed": lambda m, o: m.Dimmed(o, 0.25, 0.1, 0.02, 60),
}
