"""Several schedulers of one optimizer as one: a training loop steps it, a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler

from accelsched._binding import state
from accelsched._binding.scheduler import Scheduler
from accelsched.errors import ArgumentError, require


class SchedulerList(TorchLRScheduler):
    """Steps several schedulers together: of different keys, or of different param groups.

    Args:
        schedulers: at least one. They count the same steps, and have the same optimizer, or none
            yet: ``scheduler_list(optimizer)`` binds them all.

    Example:
        >>> import torch
        >>> from accelsched.schedules import Linear
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.5)
        >>> schedulers = SchedulerList(
        ...     [
        ...         Scheduler(optimizer, Linear(initial=0.1, end=0.0, total_iters=2)),
        ...         Scheduler(optimizer, Linear(0.5, 0.9, total_iters=2), key="momentum"),
        ...     ]
        ... )
        >>> schedulers.step()
        >>> optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]
        (0.05, 0.7)

    Raises:
        ArgumentError: they do not fit together.
    """

    def __init__(self, schedulers: Sequence[Scheduler]) -> None:
        # Not super().__init__: it patches optimizer.step and steps the scheduler.
        require(len(schedulers) > 0, "schedulers", schedulers, "give at least one")
        for position, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, Scheduler):
                raise ArgumentError(
                    f"schedulers[{position}]", scheduler, "give a scheduler of accelsched"
                )
            same = scheduler.optimizer is schedulers[0].optimizer
            require(same, f"schedulers[{position}]", scheduler, "it has another optimizer")
        self.schedulers = list(schedulers)

    @property
    def optimizer(self) -> Optimizer:  # type: ignore[override]
        """The optimizer of all of them."""
        return self.schedulers[0].optimizer

    def __call__(self, optimizer: Optimizer) -> SchedulerList:
        """The same as :meth:`set_optimizer`."""
        return self.set_optimizer(optimizer)

    def set_optimizer(self, optimizer: Optimizer) -> SchedulerList:
        """Bind all schedulers, and return this list."""
        for scheduler in self.schedulers:
            scheduler.set_optimizer(optimizer)
        return self

    def step(self, epoch: int | None = None) -> None:
        """Step all schedulers."""
        for scheduler in self.schedulers:
            scheduler.step(epoch)

    @property
    def last_epoch(self) -> int:
        """The step; set it to move all schedulers there."""
        return self.schedulers[0].last_epoch

    @last_epoch.setter
    def last_epoch(self, step: int) -> None:
        for scheduler in self.schedulers:
            scheduler.last_epoch = step

    def get_last_lr(self) -> list[float | Tensor | None]:  # type: ignore[override]
        """Return the learning rate of each param group; None for a group that is not driven."""
        rates: list[float | Tensor | None] = [None] * len(self.optimizer.param_groups)
        for scheduler in self.schedulers:
            if scheduler.key == "lr":
                pairs = zip(rates, scheduler.get_last_lr(), strict=True)
                rates = [mine if other is None else other for mine, other in pairs]
        return rates

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all schedulers, in order."""
        return {"schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state of a list, or of one scheduler of torch for all of them.

        Raises:
            ArgumentError: it does not fit; nothing was changed.
        """
        foreign = state.is_foreign(state_dict)
        states = [state_dict] * len(self.schedulers) if foreign else state_dict.get("schedulers")
        fits = isinstance(states, list) and len(states) == len(self.schedulers)
        require(fits, "state_dict", state_dict, f"give the states of {len(self.schedulers)}")
        before = self.state_dict()["schedulers"]
        try:
            self._load(states)
        except ArgumentError:
            self._load(before)
            raise

    def _load(self, states: Any) -> None:
        for scheduler, saved in zip(self.schedulers, states, strict=True):
            scheduler.load_state_dict(saved)

    def __repr__(self) -> str:
        return f"SchedulerList({self.schedulers})"
