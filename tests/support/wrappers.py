"""Optimizers that wrap another, as trainers have them."""

import torch


class Sharing(torch.optim.Optimizer):
    """A wrapper that shares the attributes of the optimizer inside, as Lightning Fabric's."""

    def __init__(self, inner):
        self.__dict__.update(inner.__dict__)
        self._optimizer = inner

    def load_state_dict(self, state_dict):
        self._optimizer.load_state_dict(state_dict)
        self.__dict__.update(self._optimizer.__dict__)


class Wrapping(torch.optim.Optimizer):
    """A wrapper that has only the groups of the optimizer inside, as accelerate's."""

    def __init__(self, inner):
        self.optimizer = inner

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, groups):
        self.optimizer.param_groups = groups

    def load_state_dict(self, state_dict):
        self.optimizer.load_state_dict(state_dict)

    def state_dict(self):
        return self.optimizer.state_dict()
