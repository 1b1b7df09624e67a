"""Schedulers that a metric drives: each step depends on the metrics so far.

The arithmetic is in the rules of :mod:`.metric_rules`. Here, the settings and registers of a rule
are attributes, and are saved as the original class of torch or transformers saves them.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from accelsched._binding import state
from accelsched._binding.drivers import metric_driver_for
from accelsched._binding.given import as_schedules, converted, each_group, one_each, step_to_move_to
from accelsched._binding.limits import require_possible
from accelsched._binding.metric_rules import Rule
from accelsched._binding.param_groups import GroupValues, Tags
from accelsched._binding.scheduler import Scheduler
from accelsched._binding.stride import require_one
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._fields import integer


def any_real(name: str, value: Any) -> float:
    """Return a number as a float. Like a metric, it may be infinite or nan."""
    known = isinstance(value, numbers.Real) and not isinstance(value, bool)
    require(known, name, value, "give a number")
    return float(value)


class _Attribute:
    """A number of the rule, as an attribute of its scheduler.

    Args:
        convert: checks and converts a new value, given a name for errors and the value.
    """

    def __init__(self, convert: Callable[[str, Any], Any]) -> None:
        self.convert = convert

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name


def named(cls: type, kind: type[_Attribute]) -> dict[str, Any]:
    """Return the attributes of one kind of a scheduler class, by name."""
    members = [item for base in reversed(cls.__mro__) for item in vars(base).items()]
    return {name: value for name, value in members if isinstance(value, kind)}


class Word:
    """A word of the rule. Another word is another graph, so compiled steps recompile once."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, scheduler: MetricScheduler | None, owner: type) -> Any:
        return self if scheduler is None else getattr(scheduler._rule, self.name)

    def __set__(self, scheduler: MetricScheduler, value: Any) -> None:
        word: dict[str, Any] = {self.name: value}
        scheduler._follow_rule(dataclasses.replace(scheduler._rule, **word))


class Setting(_Attribute):
    """A number that the user gives. A change is written to the device in place: no recompile.

    Args:
        convert: checks and converts a new value, given a name for errors and the value.
        argument: the name of the constructor's argument. Default: the name of the attribute.
    """

    def __init__(self, convert: Callable[[str, Any], Any], argument: str | None = None) -> None:
        super().__init__(convert)
        self._argument = argument

    @property
    def argument(self) -> str:
        """The name of the constructor's argument."""
        return self._argument or self.name

    def __get__(self, scheduler: MetricScheduler | None, owner: type) -> Any:
        if scheduler is None:
            return self
        return self.number(scheduler._settings[self.name], len(scheduler.indices))

    def __set__(self, scheduler: MetricScheduler, value: Any) -> None:
        given = self.convert(self.name, value)
        number = self.number(given, len(scheduler.indices))
        scheduler._set_setting(self.name, given, number)

    def given(self, value: Any) -> Any:
        """Check and convert the constructor's argument."""
        return self.convert(self.argument, value)

    def number(self, value: Any, count: int) -> Any:
        """Return the setting as a driver of ``count`` param groups takes it."""
        return value


class SettingOfGroups(Setting):
    """A number for all param groups, or a list with one per group. It reads as a list."""

    def __init__(self, convert: Callable[[str, Any], Any], argument: str | None = None) -> None:
        super().__init__(functools.partial(converted, convert), argument)

    def number(self, value: Any, count: int) -> list[Any]:
        return each_group(self.argument, value, count)


class Register(_Attribute):
    """A number that a step changes. Reading it waits for the device."""

    def __get__(self, scheduler: MetricScheduler | None, owner: type) -> Any:
        return self if scheduler is None else scheduler._registers()[self.name]

    def __set__(self, scheduler: MetricScheduler, value: Any) -> None:
        scheduler._require_driving()
        scheduler._driver.set_register(self.name, self.convert(self.name, value))


class MetricScheduler(Scheduler):
    """The base class of schedulers that a metric drives.

    Args:
        optimizer: the optimizer to drive. None to bind it later.
        rule: how a metric changes the values.
        settings: the numbers of the rule, by the names of their attributes.
        schedule: one schedule, or a list with one per group, that the values of the rule multiply.
            Default: the values of the rule are the values of the groups.
        param_group_tags: as for :class:`Scheduler`.
        lowering: as for :class:`Scheduler`.
    """

    _driver: Any
    _advance: Callable[..., bool]
    #: The registers from which a new driver continues; None to start anew.
    _kept: Mapping[str, Any] | None = None
    #: Whether the original class keeps the values in its state, and not in the groups.
    _state_has_values = False

    mode, threshold_mode = Word(), Word()
    best = Register(any_real)
    num_bad_epochs, cooldown_counter = Register(integer), Register(integer)

    def __init__(
        self,
        optimizer: Optimizer | None,
        rule: Rule,
        settings: Mapping[str, Any],
        schedule: Any = None,
        param_group_tags: Tags = None,
        lowering: str | None = None,
    ) -> None:
        self._rule = rule
        known = named(type(self), Setting)
        self._settings = {name: known[name].given(value) for name, value in settings.items()}
        self._factors = () if schedule is None else as_schedules(schedule)
        self._shares_factor = not isinstance(schedule, (list, tuple))
        self._steps_alone = bool(self._factors)
        super().__init__(optimizer, [], param_group_tags=param_group_tags, lowering=lowering)

    @property
    def mode_worse(self) -> float:
        """The worst possible metric, with which ``best`` starts."""
        return self._rule.mode_worse

    @property
    def schedule(self) -> Any:
        """The schedule that the rule's values multiply; None, one, or a list with one per group."""
        if not self._factors:
            return None
        return self._factors[0] if self._shares_factor else list(self._factors)

    @schedule.setter
    def schedule(self, schedule: Any) -> None:
        self.reschedule(schedule)

    def argument(self, name: str) -> Any:
        """Return the present value of a constructor's argument, by its name there."""
        settings = named(type(self), Setting).values()
        as_given = {setting.argument: self._settings[setting.name] for setting in settings}
        return as_given[name] if name in as_given else getattr(self, name)

    # Binding.

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        # The values follow metrics, so no schedule is their curve.
        return ()

    def _driver_for(
        self, group_values: GroupValues, schedules: Sequence[Schedule], step: int
    ) -> Any:
        count = len(group_values.indices)
        factors = self._factors_of(count)
        require_possible(group_values, factors)
        settings = {
            "mode_worse": self._rule.mode_worse,
            **self._numbers(self._settings, count),
        }
        begun = self._rule.begin(settings, self._first_values(group_values))
        registers = begun if self._kept is None else _extended(self._kept, begun)
        return metric_driver_for(
            group_values, self._rule, factors, settings, step, registers, self.lowering
        )

    def _factors_of(self, count: int) -> tuple[Schedule, ...]:
        return one_each(self._factors, count, self._shares_factor) if self._factors else ()

    def _first_values(self, group_values: GroupValues) -> list[float]:
        """Return the rule's values before the first metric: each group's value, or the factor 1."""
        if self._factors:
            return [1.0] * len(group_values.indices)
        return [float(value) for value in group_values.values()]

    def _numbers(self, settings: Mapping[str, Any], count: int) -> dict[str, Any]:
        """Return settings as a driver of ``count`` param groups takes them."""
        kinds = named(type(self), Setting)
        return {name: kinds[name].number(value, count) for name, value in settings.items()}

    def _drive_on(self, group_values: GroupValues) -> None:
        self._kept = self._driver.registers()
        try:
            super()._drive_on(group_values)
        finally:
            self._kept = None

    # Settings, and registers.

    def _set_setting(self, name: str, value: Any, number: Any) -> None:
        if self._drives:
            self._driver.set_setting(name, number)
        self._settings = {**self._settings, name: value}

    def _follow_rule(self, rule: Rule) -> None:
        """Follow another rule from the next metric on."""
        self._rule = rule
        if self._drives:
            self._driver.rule = rule
            self._driver.set_setting("mode_worse", rule.mode_worse)

    def _registers(self) -> dict[str, Any]:
        registers: dict[str, Any]
        if self._drives:
            registers = self._driver.registers()
        else:
            registers = self._rule.begin(self._settings, ())
        return registers

    def reschedule(self, schedules: Any) -> None:
        """Raise ArgumentError: the values follow a metric."""
        raise ArgumentError(
            "schedules", schedules, "the values follow a metric: build another scheduler"
        )

    # A step.

    def step(  # type: ignore[override]
        self, metrics: Any = None, epoch: int | None = None, *, by: int | None = None
    ) -> None:
        """Take in a metric, and set the values of the next step.

        Args:
            metrics: the metric: a number, or a tensor with one, which is not read on a device.
                Without a metric, the scheduler moves on in its ``schedule``, if it has one.
            epoch: the step to move to, as in torch. Default: the next step.
            by: 1, as each metric is one step.

        Raises:
            ArgumentError: there is neither a metric nor a schedule; ``by`` is not 1.
            RuntimeError: there is no optimizer yet, or another scheduler drives these values.
        """
        if self._needs_attention:
            self._attend()
        require_one(by, self)
        remedy = "the values follow a metric: write scheduler.step(loss), with a number or a tensor"
        require(metrics is not None or self._steps_alone, "metrics", metrics, remedy)
        one = not isinstance(metrics, Tensor) or metrics.numel() == 1
        require(
            one, "metrics", metrics if one else tuple(metrics.shape), "give one number: loss.mean()"
        )
        step = None if epoch is None else step_to_move_to("epoch", epoch)
        # As in torch, the next metric changes the values of new groups too.
        if self._driver.has_new_groups():
            self._take_in_new_groups()
        advance = self._advance
        advance(metrics)
        if step is not None:
            self._set_step(step)

    # State.

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and registers by the original class's names. Waits for the device.

        The original class of torch or transformers can load the state, too.
        """
        self._require_driving()
        # Copy the lists: the driver changes its own.
        registers = copy.deepcopy(self._registers())
        values = registers.pop("values")
        header = state.header(self)
        if self.key == "lr" and not self._factors:
            # The exact values, not rounded to the dtype of a tensor.
            for index, value in zip(self.indices, values, strict=True):
                header["_last_lr"][index] = value
        schedules = [state.plain(schedule) for schedule in self._factors_of(len(values))]
        return {
            **self._saved_settings(),
            **self._rule.as_saved(registers),
            **header,
            "values": values,
            **({"schedules": schedules} if schedules else {}),
        }

    def _saved_settings(self) -> dict[str, Any]:
        """Return the settings by the original class's names."""
        return {name: getattr(self, name) for name in self._settings}

    def _loader(self, state_dict: dict[str, Any], step_only: bool = False) -> Callable[[], None]:
        """Check a state, and return a function that loads it, or only its step if ``step_only``."""
        self._require_driving()
        if step_only:
            at = state.foreign_step(state_dict)
            return lambda: self._set_step(at)
        step, factors, saved = self._fitting(state_dict)
        words = {name: saved[name] for name in ("mode", "threshold_mode")}
        rule = dataclasses.replace(self._rule, **words)
        settings = self._settings_from(saved)
        given = self._numbers(settings, len(self.indices))
        registers = {**self._driver.registers(), **self._registers_from(saved)}
        lowered = self._driver.lower(factors)

        def load() -> None:
            self._follow_rule(rule)
            for name, number in given.items():
                self._driver.set_setting(name, number)
            self._settings = settings
            if factors:
                self._driver.follow(lowered)
                self._factors, self._shares_factor = factors, False
            self._driver.set_state(step, registers)

        return load

    def _fitting(self, saved: Any) -> tuple[int, tuple[Schedule, ...], Mapping[str, Any]]:
        """Return a state's step, its schedules, and its entries with one item per driven group."""
        names = {*self._settings, "mode", "threshold_mode", *named(type(self), Register)}
        mine = self._factors_of(len(self.indices))
        if not state.is_foreign(saved):
            step = state.fitting_header(saved, {*names, "values"}, self)
            theirs = state.fitting(saved, self, mine)[1] if mine else ()
            return step, tuple(theirs), saved
        remedy = f"it is of another class than {type(self).__name__}: give step_only=True"
        require(names <= set(saved), "state_dict", sorted(saved), remedy)
        return state.foreign_step(saved), mine, self._of_my_groups(saved)

    def _of_my_groups(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state of the original class, with its lists cut down to the driven groups."""
        mine = dict(saved)
        if self._state_has_values:
            mine["values"] = saved["_last_lr"]
        for name in {*named(type(self), SettingOfGroups), "values", "_init_lrs"} & set(mine):
            items = each_group(f"state_dict[{name!r}]", mine[name], self._group_values.group_count)
            mine[name] = [items[index] for index in self.indices]
        return mine

    def _settings_from(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        kinds = named(type(self), Setting)
        return {
            name: kinds[name].convert(f"state_dict[{name!r}]", saved[name])
            for name in self._settings
        }

    def _registers_from(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        known = {
            name: register.convert(f"state_dict[{name!r}]", saved[name])
            for name, register in named(type(self), Register).items()
        }
        for name in {"values", "_init_lrs"} & set(saved):
            where = f"state_dict[{name!r}]"
            items = each_group(where, saved[name], len(self.indices))
            known[name] = converted(any_real, where, items)
        return {**known, **self._rule.from_saved(saved)}

    def __getstate__(self) -> dict[str, Any]:
        registers = self._driver.registers() if self._drives else None
        return {**super().__getstate__(), "registers": registers}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._kept = saved["registers"]
        super().__setstate__(saved)
        self._kept = None

    def __repr__(self) -> str:
        optimizer = type(self.optimizer).__name__ if self._bound else None
        settings = {"mode": self.mode, **self._settings}
        given = "".join(f", {name}={value!r}" for name, value in settings.items())
        lowering = f", {self._driver.lowering}" if self._drives else ""
        groups = f", groups={self.indices}" if self._bound else ""
        return f"{type(self).__name__}({optimizer}{given}, key={self.key!r}{groups}{lowering})"


def _extended(kept: Mapping[str, Any], begun: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kept registers, with those of new groups appended."""
    return {
        name: [*kept[name], *first[len(kept[name]) :]] if isinstance(first, list) else kept[name]
        for name, first in begun.items()
    }
