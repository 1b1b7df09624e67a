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
    """A scheduler that others are parts of: see :mod:`.composite`."""

    def recompose(self) -> None:
        """Follow the schedules of the parts as they are now."""


_UNBOUND = "this scheduler has no optimizer yet: bind it, scheduler(optimizer)"


class Scheduler(TorchLRScheduler):
    """Drives ``param_group[key]`` by a schedule of the step.

    The counter and the values exist, and are right, as soon as the scheduler is built. On a
    device both are tensors that keep their identity for ever and are updated in place: a step
    reads nothing on the host, compiles nothing and copies nothing. On the CPU, where the group
    held a float, it holds a float at each step. For a learning rate of 0 a tensor of Adam and AdamW
    holds 2**-114, since these turn weights into NaN by 0 (PyTorch issues 126514 and 97004).

    Args:
        optimizer: any ``torch.optim.Optimizer``; its ``step`` is left as it is. None to bind the
            scheduler later: ``scheduler(optimizer)``.
        schedule: one schedule for all driven groups, or a list with one for each of them.
        key: the hyper-parameter, any key of the param groups that holds one number, or one number
            of a tuple: ``"betas[0]"``. That of the class if not given: ``"lr"``.
        param_group_tags: which groups to drive: a tag, or a list of tags, of which the group's
            ``"tags"`` must hold one; None in the list stands for groups without tags. All groups
            if not given.
        last_epoch: start one step after this one.
        lowering: ``"graph"`` evaluates the formula on the device, ``"table"`` looks the value up in
            a table there, ``"host"`` sets Python floats. By default floats if the parameters are
            on the CPU and the group holds a float (give the optimizer ``lr=torch.tensor(...)`` for
            ``torch.compile`` there); else a table on the back ends that trace every step, for
            schedules that settle within ``tables.MAX_NUMBERS`` steps; else the formula.

    Raises:
        ArgumentError: a value that cannot be, named with the remedy.
        TypeError: ``optimizer`` is no optimizer.

    Warns:
        SynchronizationWarning: this optimizer, as it was built, will read the value on the host
            at every step; the warning names the option to set. Or it has a ``step`` of its own, of
            which nothing is known: build the scheduler within :class:`accelsched.on_device` if that
            one reads nothing, or is stepped within it.
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
            optimizer: the optimizer to drive; if there was another before, that one is let go.

        Returns:
            This scheduler.

        Raises:
            ArgumentError: the optimizer does not fit; nothing was changed.
        """
        parent = alive(self.parent)
        if parent is not None:
            raise RuntimeError(f"{self} was given to {parent}: bind that one")
        self._bind(optimizer)
        return self

    def _bind(self, optimizer: Optimizer) -> None:
        group_values = GroupValues(optimizer, self.key, self.param_group_tags)
        schedules = self._schedules_for(group_values)
        driver = self._driver_for(group_values, schedules, self._first_step)
        self._unbind()
        self.optimizer, self._group_values, self.schedules = optimizer, group_values, schedules
        self._driver, self.refusal = driver, None
        ownership_of(optimizer).claim(self)

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        schedules = self.schedules[0] if self._shared else self.schedules
        return _one_each(schedules, len(group_values.indices))

    def _driver_for(
        self, group_values: GroupValues, schedules: Sequence[Schedule], step: int
    ) -> Driver:
        return driver_for(group_values, schedules, step, self.lowering)

    def _unbind(self) -> None:
        if self._bound:
            ownership_of(self.optimizer).release(self)
        self.optimizer = None  # type: ignore[assignment]
        self.refusal = _UNBOUND

    @property
    def _bound(self) -> bool:
        return getattr(self, "optimizer", None) is not None

    @property
    def driver(self) -> Driver:
        """What holds the step and writes the values."""
        self._require_bound()
        return self._driver

    @property
    def group_values(self) -> GroupValues:
        """The values that are driven."""
        self._require_bound()
        return self._group_values

    def _require_bound(self) -> None:
        if not self._bound:
            raise RuntimeError(_UNBOUND)

    @property
    def indices(self) -> list[int]:
        """Which of the optimizer's param groups are driven; [0] as long as there is none."""
        return self._group_values.indices if self._bound else [0]

    # A step, and what it came to.

    def step(self, epoch: int | None = None) -> None:
        """Move to the next step, and set the values of it.

        Raises:
            RuntimeError: another scheduler drives these values.
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
        """The step; setting it moves there. Reading it waits for the device."""
        return self.driver.count

    @last_epoch.setter
    def last_epoch(self, step: int) -> None:
        self._require_driving()
        require(isinstance(step, int) and step >= 0, "last_epoch", step, "give a step, from 0 on")
        self._move(step)

    def _move(self, step: int) -> None:
        self.driver.set_step(step)

    def get_last_value(self) -> list[float | Tensor | None]:
        """A copy of the value of each of the optimizer's groups; None for one not driven."""
        return self._spread(self.driver.last())

    def get(self) -> list[float | Tensor | None]:
        """The value of each group at this step, computed anew; None for one not driven."""
        return self._spread(self.driver.current())

    def get_last_lr(self) -> list[float | Tensor | None]:  # type: ignore[override]
        """The same as :meth:`get_last_value`."""
        return self.get_last_value()

    def get_lr(self) -> list[float | Tensor | None]:  # type: ignore[override]
        """The same as :meth:`get`."""
        return self.get()

    def _spread(self, values: Sequence[float | Tensor]) -> list[float | Tensor | None]:
        spread: list[float | Tensor | None] = [None] * len(self.optimizer.param_groups)
        for index, value in zip(self.group_values.indices, values, strict=True):
            spread[index] = value
        return spread

    # The schedules, which may change between two steps.

    def reschedule(self, schedules: Sequence[Schedule]) -> None:
        """Follow other schedules from the next step on, one for each driven group.

        Args:
            schedules: they see the same step counter; what was compiled compiles once more.
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
        """The step and the numbers of the schedules, in plain values. Waits for the device."""
        return {
            **state.header(self.key, self.driver.count, self.group_values.indices),
            "schedules": [state.plain(schedule) for schedule in self.schedules],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state, of this or of any other device, bit for bit.

        Args:
            state_dict: from :meth:`state_dict` of a scheduler built alike. The numbers of its
                schedules are taken over; functions are not in it and stay. Or the state of a
                scheduler of torch or of Cerebras: its step is taken over, and the numbers that
                have the same names must be the same.

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
        """What a copy takes over as it is."""
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
    """The scheduler that another one is a part of, if it is still there."""
    return parent() if parent is not None else None


def _as_tuple(schedule: Schedule | Sequence[Schedule]) -> tuple[Schedule, ...]:
    schedules = (schedule,) if isinstance(schedule, Schedule) else tuple(schedule)
    for item in schedules:
        require(isinstance(item, Schedule), "schedule", item, "give a Schedule")
    return schedules


def _one_each(schedule: Schedule | Sequence[Schedule], count: int) -> tuple[Schedule, ...]:
    schedules = (schedule,) * count if isinstance(schedule, Schedule) else _as_tuple(schedule)
    require(
        len(schedules) == count,
        "schedule",
        schedule,
        f"{count} param groups are driven: give one schedule, or {count}, not {len(schedules)}",
    )
    return schedules
