"""Policies as users write them for thunder: see own_schedulers.py."""

import math

from thunder.policy import MappingPolicy, Policy

# Functions of the step.


class Decay(Policy):
    def __init__(self, peak, factor):
        self.peak = peak
        self.factor = factor

    def get_lr(self):
        return [self.peak * self.factor**self.last_epoch for _ in self.optimizer.param_groups]


class Triangle(Policy):
    """Computes in Python numbers, which cannot be traced, from the groups' base rates."""

    def __init__(self, length):
        super().__init__()
        self.length = length

    def get_lr(self):
        since = self.last_epoch % self.length
        part = min(since, self.length - since) / self.length
        return [base * (0.5 + part) for base in self.base_lrs]


class Functions(MappingPolicy):
    """Like thunder's own Schedule."""

    def get_lr(self):
        return [function(self.last_epoch) for function in self.current_mapping]

    def state_dict(self):
        return self.prepare_state_dict("mapping", "current_mapping")

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)


# Recurrences of the group's rate.


class Shrink(Policy):
    """Moves toward a rate by a part of the remaining difference."""

    def __init__(self, part, end):
        self.part, self.end = part, end

    def get_lr(self):
        groups = self.optimizer.param_groups
        return [group["lr"] * (1 - self.part) + self.part * self.end for group in groups]


class Warmed(Policy):
    def __init__(self, length):
        self.length = length

    def get_lr(self):
        factor = (self.last_epoch + 1) / (self.last_epoch + self.length)
        return [factor * group["lr"] for group in self.optimizer.param_groups]


class At(MappingPolicy):
    """Multiplies at some steps, and sets the rate at others; looked up in a dict."""

    def get_lr(self):
        values = []
        for group, mapping in zip(self.optimizer.param_groups, self.current_mapping, strict=True):
            kind, number = mapping.get(self.last_epoch, ("by", 1))
            values.append(group["lr"] * number if kind == "by" else number)
        return values


# Neither.


class Floored(Policy):
    def get_lr(self):
        return [max(group["lr"] * 0.7, 0.01) for group in self.optimizer.param_groups]


class Patient(Policy):
    """Counts in an attribute of its own, which its state_dict has."""

    def __init__(self, patience):
        self.patience = patience
        self.waited = 0

    def get_lr(self):
        self.waited = (self.waited + 1) % self.patience
        factor = 1 if self.waited else 0.5
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class Crossed(Policy):
    """All groups follow the first one; the number of groups is known when it is bound."""

    def set_optimizer(self, optimizer):
        self.count = len(optimizer.param_groups)
        super().set_optimizer(optimizer)

    def get_lr(self):
        rate = self.optimizer.param_groups[0]["lr"] * 0.9
        return [rate / (i + 1) for i in range(self.count)]


def wave(step):
    return 0.1 * (1 + math.cos(step))


#: Makes one of each, given the module; and whether it runs entirely on the device.
EVERY = {
    "Decay": (lambda m: m.Decay(0.2, 0.95), True),
    "Triangle": (lambda m: m.Triangle(7), True),
    "Functions": (lambda m: m.Functions([wave, lambda step: 0.1 / (1 + step)], 0.5), True),
    "Functions that are one": (lambda m: m.Functions(lambda step: 0.1 / (1 + step), 0.5), True),
    "Shrink": (lambda m: m.Shrink(0.25, 0.01), True),
    "Warmed": (lambda m: m.Warmed(4), True),
    "At": (lambda m: m.At({0: ("by", 0.5), 3: ("to", 0.2), 12: ("by", 0.1)}, 0.1), True),
    "At of each group": (lambda m: m.At([{2: ("by", 2)}, {4: ("to", 0.3)}], [0.1, 0.2]), True),
    "Floored": (lambda m: m.Floored(), False),
    "Patient": (lambda m: m.Patient(3), False),
    "Crossed": (lambda m: m.Crossed(), False),
}
