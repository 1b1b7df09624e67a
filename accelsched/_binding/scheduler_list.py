"""Several schedulers of one optimizer as one object, for training loops and checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler

from accelsched._binding import state
from accelsched._binding.given import as_list, not_a_scheduler, step_to_move_to
from accelsched._binding.param_groups import unchanged_on_error
from accelsched._binding.reporting import Report
from accelsched._binding.scheduler import Scheduler
from accelsched.errors import require


class SchedulerList(TorchLRScheduler):
    """Several schedulers that step together, for different keys or different param groups.

    Args:
        schedulers: at least one. They count the same steps, and are bound to the same optimizer or
            to none yet: ``scheduler_list(optimizer)`` binds all of them.

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
        ArgumentError: an item is not a scheduler, or is bound to another optimizer.
    """

    def __init__(self, schedulers: Sequence[Scheduler]) -> None:
        # Not super().__init__: it patches optimizer.step and steps the scheduler.
        self.schedulers: list[Scheduler] = as_list("schedulers", schedulers)
        for position, scheduler in enumerate(self.schedulers):
            if not isinstance(scheduler, Scheduler):
                raise not_a_scheduler(f"schedulers[{position}]", scheduler)
            same = scheduler.optimizer is schedulers[0].optimizer
            require(
                same,
                f"schedulers[{position}]",
                scheduler,
                "it is bound to another optimizer: build all with the same one",
            )

    @property
    def optimizer(self) -> Optimizer:  # type: ignore[override]
        """The optimizer of all schedulers."""
        return self.schedulers[0].optimizer

    def __iter__(self) -> Iterator[Scheduler]:
        return iter(self.schedulers)

    def __len__(self) -> int:
        return len(self.schedulers)

    def __getitem__(self, position: int) -> Scheduler:
        return self.schedulers[position]

    @property
    def param_group_key(self) -> str:
        """The keys that the schedulers drive, each once, separated by commas."""
        return ", ".join(dict.fromkeys(scheduler.key for scheduler in self.schedulers))

    @property
    def param_group_tags(self) -> set[str | None] | None:
        """The tags of all schedulers; None if any scheduler drives all param groups."""
        tags = [scheduler.param_group_tags for scheduler in self.schedulers]
        return None if None in tags else set().union(*filter(None, tags))

    def __call__(self, optimizer: Optimizer) -> SchedulerList:
        """The same as :meth:`set_optimizer`."""
        return self.set_optimizer(optimizer)

    def set_optimizer(self, optimizer: Optimizer) -> SchedulerList:
        """Bind all schedulers, and return this list.

        Raises:
            ArgumentError: the optimizer does not fit one of them; nothing was changed.
        """
        undo = [scheduler._undo() for scheduler in self.schedulers]
        try:
            with unchanged_on_error([optimizer]):
                for scheduler in self.schedulers:
                    scheduler.set_optimizer(optimizer)
        except Exception:
            for undone in undo:
                undone()
            raise
        return self

    def step(
        self,
        epoch: int | None = None,
        by: int | Tensor | None = None,
        found_inf: float | Tensor | None = None,
    ) -> None:
        """Step all schedulers, with the arguments of :meth:`Scheduler.step`."""
        if by is None and found_inf is None:
            for scheduler in self.schedulers:
                scheduler.step(epoch)
            return
        # Check all, then change.
        for scheduler in self.schedulers:
            scheduler._stride(by, found_inf)
        for scheduler in self.schedulers:
            scheduler.step(epoch, by=by, found_inf=found_inf)

    @property
    def last_epoch(self) -> int:
        """The current step; setting it moves all schedulers."""
        return self.schedulers[0].last_epoch

    @last_epoch.setter
    def last_epoch(self, step: int) -> None:
        step = step_to_move_to("last_epoch", step)
        for scheduler in self.schedulers:
            scheduler.last_epoch = step

    def get_last_lr(self) -> list[Any]:
        """Return the learning rate of each param group: see :meth:`Scheduler.get_last_lr`."""
        return self.schedulers[0].get_last_lr()

    def get_lr(self) -> list[Any]:
        """Return the learning rate of each group at this step, recomputed where it is driven."""
        rates = self.get_last_lr()
        for scheduler in self.schedulers:
            if scheduler.key == "lr":
                computed = scheduler.get_lr()
                for index in scheduler.indices:
                    rates[index] = computed[index]
        return rates

    def report(self) -> list[Report]:
        """Return a report to print for each scheduler: see :meth:`Scheduler.report`.

        This reads the step of each scheduler, which may synchronize.
        """
        return [scheduler.report() for scheduler in self.schedulers]

    @property
    def base_lrs(self) -> list[float | Tensor]:  # type: ignore[override]
        """The ``initial_lr`` of each group, which is its learning rate before any scheduler."""
        return self.schedulers[0].base_lrs

    @property
    def _last_lr(self) -> list[Any]:
        return self.get_last_lr()

    @_last_lr.setter
    def _last_lr(self, rates: Sequence[Any]) -> None:
        """Ignore the rates, as :class:`Scheduler` does."""

    @property
    def _step_count(self) -> int:
        return self.schedulers[0]._step_count

    @_step_count.setter
    def _step_count(self, count: int) -> None:
        self.schedulers[0]._step_count = count

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all schedulers, in order, with what a torch scheduler would save."""
        first = self.schedulers[0]
        states = [scheduler.state_dict() for scheduler in self.schedulers]
        return {**state.of_torch(first), "version": state.VERSION, "schedulers": states}

    def load_state_dict(self, state_dict: dict[str, Any], *, step_only: bool = False) -> None:
        """Continue from the state of a list, or of one torch scheduler for all schedulers.

        Args:
            state_dict: the :meth:`state_dict` of a list of as many schedulers, or a state that
                each of them takes.
            step_only: load only the steps, from the states of any schedulers. Default False.

        Raises:
            ArgumentError: the state does not fit; nothing was changed.
        """
        count = len(self.schedulers)
        states = state.states_of_list(state_dict, count)
        pairs = zip(self.schedulers, states, strict=True)
        # Check all, then change.
        for load in [scheduler._loader(saved, step_only) for scheduler, saved in pairs]:
            load()

    def __repr__(self) -> str:
        return f"SchedulerList({self.schedulers})"
