"""A schedule bound to one hyper-parameter of an optimizer's param groups."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler

from accelsched._binding import state
from accelsched._binding.drivers import Driver, driver_for
from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, Tags
from accelsched._lowering import LOWERINGS
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule

Self = TypeVar("Self", bound="Scheduler")


class Parent(Protocol):
    """A scheduler that is made of others: see :mod:`.composite`."""

    def recompose(self) -> None:
        """Follow the schedules of the parts as they are now."""


_UNBOUND = "this scheduler has no optimizer yet: bind it, scheduler(optimizer)"


class Scheduler(TorchLRScheduler):
    """Drives one hyper-parameter of an optimizer's param groups by a schedule of the step.

    The values of the first step are set as soon as the scheduler is built. Each :meth:`step` sets
    the values of the next one. On a device, the step counter and ``param_groups[i][key]`` become
    tensors that are updated in place: a step reads nothing on the host, compiles nothing and copies
    nothing. On the CPU, a float stays a float.

    Args:
        optimizer: any ``torch.optim.Optimizer``; its ``step`` is left as it is. None to bind the
            scheduler later: ``scheduler(optimizer)``.
        schedule: one schedule for all driven groups, or a list with one for each of them.
        key: the hyper-parameter: a key of the param groups that holds one number, or one number of
            a tuple, as ``"betas[0]"`` does. Default: that of the class, ``"lr"``.
        param_group_tags: which param groups to drive: a tag, or a list of tags, of which the
            group's ``"tags"`` must hold one. None in the list stands for groups without tags.
            Default: all groups.
        last_epoch: start one step after this one. Default -1: start at step 0.
        lowering: how the values are computed. ``"graph"`` evaluates the formula on the device,
            ``"table"`` looks the value up in a table there, ``"host"`` sets Python floats. By
            default floats if the parameters are on the CPU and the group holds a float (build the
            optimizer with ``lr=torch.tensor(...)`` for ``torch.compile`` there); else a table on
            back ends that trace every step, for schedules that settle within ``tables.MAX_NUMBERS``
            steps; else the formula.

    Example:
        >>> import torch
        >>> from accelsched.schedules import CosineDecay
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = Scheduler(optimizer, CosineDecay(initial=0.1, end=0.001, total_iters=100))
        >>> optimizer.param_groups[0]["lr"]
        0.1
        >>> for _ in range(100):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> optimizer.param_groups[0]["lr"]
        0.001
        >>> scheduler.step()
        >>> scheduler.last_epoch, scheduler.get_last_lr()
        (101, [0.001])

        Another key, built now and bound later:

        >>> scheduler = Scheduler(None, CosineDecay(0.1, 0.0, 100), key="weight_decay")
        >>> scheduler(optimizer).get_last_value()
        [0.1]

    Raises:
        ArgumentError: a value that cannot be; the message names it and the remedy.
        TypeError: ``optimizer`` is no optimizer.

    Warns:
        SynchronizationWarning: this optimizer, as it was built, will read the value on the host at
            every step; the warning names the option to set.

    Elsewhere: torch's ``LRScheduler`` and Cerebras' ``Scheduler``, whose interface this class has.
    In optax a schedule is an argument of the optimizer, or of ``optax.inject_hyperparams``.
    """

    #: What is driven if no key is given; a subclass may name another.
    default_key = "lr"

    #: Why this scheduler must not step, if it must not.
    refusal: str | None
    # There are none as long as there is no optimizer; see `driver` and `group_values`.
    _driver: Driver
    _group_values: GroupValues

    def __init__(
        self,
        optimizer: Optimizer | None,
        schedule: Schedule | Sequence[Schedule],
        key: str | None = None,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        lowering: str | None = None,
    ) -> None:
        # Not super().__init__: it patches optimizer.step and steps the scheduler.
        require(lowering in LOWERINGS, "lowering", lowering, f"give one of {LOWERINGS}")
        require(
            isinstance(last_epoch, int) and last_epoch >= -1,
            "last_epoch", last_epoch, "give a step, or -1 to start at step 0",
        )  # fmt: skip
        self.key = self.default_key if key is None else key
        self.param_group_tags = param_group_tags
        self.lowering = lowering
        self._first_step = last_epoch + 1
        self._shared = isinstance(schedule, Schedule)
        self.schedules = _as_tuple(schedule)
        #: The scheduler that this one is a part of, which drives its values.
        self.parent: weakref.ref[Parent] | None = None
        self._unbind()
        if optimizer is not None:
            self._bind(optimizer)

    # Binding.

    def __call__(self: Self, optimizer: Optimizer) -> Self:
        """The same as :meth:`set_optimizer`."""
        return self.set_optimizer(optimizer)

    def set_optimizer(self: Self, optimizer: Optimizer) -> Self:
        """Bind this scheduler to an optimizer, and set the values of its first step.

        Args:
            optimizer: the optimizer to drive. One that was bound before is let go.

        Returns:
            This scheduler.

        Raises:
            ArgumentError: the optimizer does not fit; nothing was changed.
            RuntimeError: this scheduler is a part of another one: bind that one.
        """
        parent = alive(self.parent)
        if parent is not None:
            raise RuntimeError(f"{self} was given to {parent}: bind that one")
        self._bind(optimizer)
        return self

    def _bind(self, optimizer: Optimizer) -> None:
        """Bind to an optimizer; an error leaves everything as it was."""
        group_values = GroupValues(optimizer, self.key, self.param_group_tags)
        schedules = self._schedules_for(group_values)
        driver = self._driver_for(group_values, schedules, self._first_step)
        self._unbind()
        self.optimizer, self._group_values, self.schedules = optimizer, group_values, schedules
        self._driver, self.refusal = driver, None
        ownership_of(optimizer).claim(self)

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        """Return one schedule for each driven group."""
        schedules = self.schedules[0] if self._shared else self.schedules
        return _one_each(schedules, len(group_values.indices))

    def _driver_for(
        self, group_values: GroupValues, schedules: Sequence[Schedule], step: int
    ) -> Driver:
        return driver_for(group_values, schedules, step, self.lowering)

    def _unbind(self) -> None:
        """Let go of the optimizer, if there is one."""
        if self._bound:
            ownership_of(self.optimizer).release(self)
        self.optimizer = None  # type: ignore[assignment]
        self.refusal = _UNBOUND

    @property
    def _bound(self) -> bool:
        return getattr(self, "optimizer", None) is not None

    @property
    def driver(self) -> Driver:
        """The driver, which holds the step and writes the values."""
        self._require_bound()
        return self._driver

    @property
    def group_values(self) -> GroupValues:
        """The values of the param groups that this scheduler drives."""
        self._require_bound()
        return self._group_values

    def _require_bound(self) -> None:
        if not self._bound:
            raise RuntimeError(_UNBOUND)

    @property
    def indices(self) -> list[int]:
        """The indices of the driven param groups; [0] while there is no optimizer."""
        return self._group_values.indices if self._bound else [0]

    # A step, and what it came to.

    def step(self, epoch: int | None = None) -> None:
        """Move to the next step, and set its values.

        Args:
            epoch: not taken; torch's signature has it. Set :attr:`last_epoch` to move to a given
                step.

        Raises:
            RuntimeError: there is no optimizer yet, or another scheduler drives these values.
        """
        if self.refusal is not None:
            raise RuntimeError(self.refusal)
        if epoch is not None:
            raise ArgumentError("epoch", epoch, "set last_epoch to move to a given step")
        self._driver.step()

    def _require_driving(self) -> None:
        if self.refusal is not None:
            raise RuntimeError(self.refusal)

    @property
    def last_epoch(self) -> int:
        """The step. Set it to move to any step. Reading it waits for the device."""
        return self.driver.count

    @last_epoch.setter
    def last_epoch(self, step: int) -> None:
        self._require_driving()
        require(isinstance(step, int) and step >= 0, "last_epoch", step, "give a step, from 0 on")
        self._move(step)

    def _move(self, step: int) -> None:
        self.driver.set_step(step)

    def get_last_value(self) -> list[float | Tensor | None]:
        """Copy the value of each param group; None for a group that is not driven."""
        return self._spread(self.driver.last())

    def get(self) -> list[float | Tensor | None]:
        """Compute the value of each param group anew; None for a group that is not driven."""
        return self._spread(self.driver.current())

    def get_last_lr(self) -> list[float | Tensor | None]:  # type: ignore[override]
        """The same as :meth:`get_last_value`."""
        return self.get_last_value()

    def get_lr(self) -> list[float | Tensor | None]:  # type: ignore[override]
        """The same as :meth:`get`."""
        return self.get()

    def _spread(self, values: Sequence[float | Tensor]) -> list[float | Tensor | None]:
        """Place the values of the driven groups among all groups of the optimizer."""
        spread: list[float | Tensor | None] = [None] * len(self.optimizer.param_groups)
        for index, value in zip(self.group_values.indices, values, strict=True):
            spread[index] = value
        return spread

    # The schedules, which may change between two steps.

    def reschedule(self, schedules: Sequence[Schedule]) -> None:
        """Follow other schedules from the next step on.

        Args:
            schedules: one for each driven group. They see the same step counter; compiled graphs
                compile once more.

        Raises:
            ArgumentError: there is a wrong number of them, or the lowering cannot take them;
                nothing was changed.
        """
        before = self.schedules
        self.schedules = _one_each(schedules, len(before))
        parent = alive(self.parent)
        try:
            if parent is not None:
                parent.recompose()
            elif self._bound:
                self.driver.set_schedules(self.schedules)
        except ArgumentError:
            self.schedules = before
            raise
        self._shared = len(set(self.schedules)) == 1

    # State.

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the schedules' numbers, as plain values. Waits for the device."""
        return {
            **state.header(self.key, self.driver.count, self.group_values.indices),
            "schedules": [state.plain(schedule) for schedule in self.schedules],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state.

        Args:
            state_dict: what :meth:`state_dict` of a scheduler of the same structure returned: its
                step and its numbers are taken over. Functions are not in it and stay. Or the state
                of a scheduler of torch or Cerebras: its step is taken over, and numbers of the same
                name must be the same.

        Raises:
            ArgumentError: the state does not fit; nothing was changed.
        """
        self._require_driving()
        if state.is_foreign(state_dict):
            step = state.foreign_step(state_dict)
            self._require_alike(state_dict)
            self._move(step)
            return
        step, schedules = state.fitting(
            state_dict, self.key, self.group_values.indices, self.schedules
        )
        self.driver.set_schedules(schedules)
        self._take_over(schedules)
        self._move(step)

    def _take_over(self, schedules: Sequence[Schedule]) -> None:
        """Follow schedules from a state."""
        self.schedules = tuple(schedules)

    def _require_alike(self, saved: dict[str, Any]) -> None:
        """Refuse a state of torch or Cerebras whose numbers are not those of this scheduler."""

    def __getstate__(self) -> dict[str, Any]:
        step = self.driver.count if self._bound else None
        return {"attributes": self._attributes(), "step": step}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._restore(saved["attributes"])
        self.parent = self.refusal = None
        if saved["step"] is None:
            self._unbind()
            return
        # New tensors: a copy of an optimizer must not share the values of the original.
        self._driver = self._driver_for(self._group_values, self.schedules, saved["step"])
        ownership_of(self.optimizer).claim(self)

    def _attributes(self) -> dict[str, Any]:
        """Return the attributes that a copy takes over unchanged."""
        rebuilt = {"_driver", "parent", "refusal", *([] if self._bound else ["_group_values"])}
        return {name: value for name, value in vars(self).items() if name not in rebuilt}

    def _restore(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)

    def __repr__(self) -> str:
        alike = len(set(self.schedules)) == 1
        schedule = self.schedules[0] if alike else list(self.schedules)
        if not self._bound:
            return f"{type(self).__name__}(None, {schedule}, key={self.key!r})"
        return (
            f"{type(self).__name__}({type(self.optimizer).__name__}, {schedule}, "
            f"key={self.key!r}, groups={self.group_values.indices}, {self.driver.lowering})"
        )


def alive(parent: weakref.ref[Parent] | None) -> Parent | None:
    """Return the scheduler that another one is a part of, if it still exists."""
    return parent() if parent is not None else None


def _as_tuple(schedule: Schedule | Sequence[Schedule]) -> tuple[Schedule, ...]:
    """Return schedules as a tuple; refuse what is none."""
    schedules = (schedule,) if isinstance(schedule, Schedule) else tuple(schedule)
    for item in schedules:
        require(isinstance(item, Schedule), "schedule", item, "give a Schedule")
    return schedules


def _one_each(schedule: Schedule | Sequence[Schedule], count: int) -> tuple[Schedule, ...]:
    """Return a schedule for each group: the same one, or the given ones."""
    schedules = (schedule,) * count if isinstance(schedule, Schedule) else _as_tuple(schedule)
    require(
        len(schedules) == count,
        "schedule",
        schedule,
        f"{count} param groups are driven: give one schedule, or {count}, not {len(schedules)}",
    )
    return schedules
