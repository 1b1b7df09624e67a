"""Schedulers that users write with ``get_lr``, as in thunder and torch.

A ``get_lr`` that reads only the step becomes schedules. One that also reads each group's own rate
becomes recurrences: see :mod:`.rates`. Any other is called on the host at each step.
"""

from __future__ import annotations

import types
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from accelsched._binding import state
from accelsched._binding.closed_form import view
from accelsched._binding.drivers import recurrent_driver_for, runs_on_host
from accelsched._binding.param_groups import GroupValues
from accelsched._binding.rates import NoFormula, found_rule, rates
from accelsched._binding.recurrent import RecurrentHostDriver
from accelsched._binding.scheduler import Scheduler
from accelsched._optimizers.remedies import level_of_the_caller
from accelsched._runtimes import runtime_of
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._closed_form import is_plain

#: The attributes that we set after `OwnRule.__new__`, which itself collects those set before.
_BOUND = {
    "_driver",
    "_advance",
    "_group_values",
    "_host_values",
    "_rule",
    "_kept",
    "_not_mine",
    "_warned",
    "_starts",
}


class CalledDriver(RecurrentHostDriver):
    """A driver that calls a user's ``get_lr`` on the host at each step.

    Args:
        group_values: the values to write.
        step: the first step.
        values: the values of the groups at that step.
        get_lr: the bound method. The driver holds no strong reference to its scheduler.
    """

    def __init__(
        self,
        group_values: GroupValues,
        step: int,
        values: Sequence[Any],
        get_lr: Callable[[], Sequence[Any]],
    ) -> None:
        self._get_lr = weakref.WeakMethod(get_lr)
        super().__init__(group_values, (), step, values)

    def set_state(self, step: int, values: Sequence[Any]) -> None:
        """Move to a step and write these values, to a tensor in place."""
        self.count = step
        for group, value in zip(self.group_values.groups(), values, strict=True):
            held = self.group_values.value(group)
            if isinstance(held, Tensor):
                with torch.no_grad():
                    held.copy_(torch.as_tensor(value))
            else:
                self.group_values.put(group, value)

    def move(self, step: int) -> None:
        """Move to a step without changing the values."""
        self.count = step

    def set_step(self, step: int) -> None:
        """Move to a step, and write what ``get_lr`` returns there."""
        self.count = step
        get_lr = self._get_lr()
        assert get_lr is not None
        # New groups keep their values until they are driven.
        self.set_state(step, list(get_lr())[: len(self.group_values.indices)])

    def step(self) -> bool:
        """Write the values of the next step; return whether the optimizer has other groups."""
        self.set_step(self.count + 1)
        return self.has_new_groups()


class OwnRule(Scheduler):
    """A scheduler whose class may define its own ``get_lr``."""

    #: Whether the class computes its own values, so that a subclass must not define `get_lr`.
    _has_values = False
    #: What `get_lr` was found to be: schedules, recurrences, or None for neither.
    _rule: Any = None
    #: Whether the user was warned that it is neither.
    _warned = False
    #: The values to continue from; None to start from the first values.
    _kept: Sequence[Any] | None = None
    #: The names of the attributes that are not the user's.
    _not_mine: frozenset[str]
    #: The schedulers of torch warn in `get_lr` unless this is set.
    _get_lr_called_within_step = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._writes_its_rule = cls.get_lr is not Scheduler.get_lr
        if cls._writes_its_rule and cls._has_values:
            remedy = f"{cls.__name__} overrides get_lr: derive it from Policy or MappingPolicy"
            raise TypeError(f"{remedy}, not from a policy that computes its own values")

    def __new__(cls, *args: Any, **options: Any) -> Any:
        made = super().__new__(cls)
        if cls._writes_its_rule:
            # As in thunder, a subclass need not call the constructor of Policy.
            Scheduler.__init__(made, None, [])
            made._not_mine = frozenset({*vars(made), *_BOUND})
        return made

    def _mine(self) -> dict[str, Any]:
        """Return the attributes that the user set."""
        return {name: value for name, value in vars(self).items() if name not in self._not_mine}

    def _first_rates(self, group_values: GroupValues) -> list[float]:
        """Return the rates that the groups have before the first step."""
        return [float(value) for value in group_values.values()]

    def _base_rates(self, group_values: GroupValues) -> list[float]:
        """Return the ``initial_lr`` of each group, or the current rate of a group without one."""
        return [float(group.get("initial_lr", group["lr"])) for group in group_values.groups()]

    # Binding.

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        if not self._writes_its_rule:
            return super()._schedules_for(group_values)
        self._rule = self._found(group_values, self._mine())
        return self._pure()

    def _pure(self) -> tuple[Schedule, ...]:
        """Return the schedules of the groups; () if the rule is recurrences or None."""
        found = self._rule or ()
        return tuple(found) if all(isinstance(each, Schedule) for each in found) else ()

    def _found(self, group_values: GroupValues, attributes: Mapping[str, Any]) -> Any:
        """Return ``get_lr`` as schedules or recurrences; if it is neither, warn and return None."""
        base = self._base_rates(group_values)
        groups = rates(group_values.groups(), base)
        seen = self._view(group_values, _copied(attributes), groups, base)
        try:
            found = found_rule(seen, len(groups), runs_on_host(self.lowering, group_values))
            if not _unchanged({name: vars(seen).get(name) for name in attributes}, attributes):
                raise NoFormula("it changes an attribute")
        except NoFormula as reason:
            self._warn(reason, group_values)
            return None
        return found

    def _warn(self, reason: Exception, group_values: GroupValues) -> None:
        """Warn once that ``get_lr`` is called on the host; raise if no Python runs at each step."""
        says = (
            f"({reason}). On the device get_lr may only read the step, and multiply its group's "
            "own lr or add to it"
        )
        runs = not runtime_of(group_values.device).traces_once
        require(runs, "get_lr", self.get_lr, f"this system runs no Python at a step {says}")
        if not self._warned:
            message = f"get_lr of {type(self).__name__} is called on the host at each step {says}"
            warnings.warn(message, UserWarning, stacklevel=level_of_the_caller())
        self._warned = True

    def _view(
        self, group_values: GroupValues, attributes: Mapping[str, Any], groups: Any, initial: Any
    ) -> Any:
        """Make an object of the user's class that has these attributes and param groups."""
        known = {
            "optimizer": types.SimpleNamespace(param_groups=groups),
            "_group_values": group_values,
            "base_lrs": list(initial),
        }
        return view(type(self), {**attributes, **known})

    def _driver_for(
        self, group_values: GroupValues, schedules: Sequence[Schedule], step: int
    ) -> Any:
        if not self._writes_its_rule or schedules:
            return super()._driver_for(group_values, schedules, step)
        kept = self._kept
        values = self._started(group_values, step) if kept is None else list(kept)
        values += [float(value) for value in group_values.values()[len(values) :]]
        # On the host `get_lr` itself runs, so the roundings are thunder's.
        if self._rule is None or runs_on_host(self.lowering, group_values):
            return CalledDriver(group_values, step, values, self.get_lr)
        values = [float(value) for value in values]
        return recurrent_driver_for(group_values, self._rule, step, values, self.lowering)

    def _started(self, group_values: GroupValues, step: int) -> list[Any]:
        """Return the first values of ``get_lr``, and keep the attributes that it sets."""
        first, base = self._first_rates(group_values), self._base_rates(group_values)
        for group, rate in zip(group_values.groups(), base, strict=True):
            group["initial_lr"] = rate
        pairs = zip(group_values.groups(), first, strict=True)
        groups = [{**group, "lr": rate} for group, rate in pairs]
        before = self._mine()
        seen = self._view(group_values, before, groups, base)
        vars(seen)["last_epoch"] = step
        names = set(vars(seen)) - set(before)
        values = list(seen.get_lr())
        count = len(groups)
        right = len(values) == count
        require(right, "get_lr", values, f"return {count} values, one for each param group")
        vars(self).update({n: v for n, v in vars(seen).items() if n not in names})
        return values

    def _drive(self, optimizer: Any, group_values: GroupValues, step: int) -> None:
        before = self._rule
        try:
            super()._drive(optimizer, group_values, step)
        except Exception:
            self._rule = before
            raise
        if self._rule is not None:  # otherwise get_lr itself may set attributes at each step
            self._form_names = frozenset(self._mine())

    def _drive_on(self, group_values: GroupValues) -> None:
        """Continue from the current values of the groups, with a new driver."""
        if self._writes_its_rule:
            self._kept = group_values.values()[: len(self.indices)]
        try:
            super()._drive_on(group_values)
        finally:
            self._kept = None

    def _set_of_form(self, name: str, value: Any) -> None:
        """Set an attribute that ``get_lr`` may read; on an error, leave it unchanged."""
        found = self._found(self._group_values, {**self._mine(), name: value})
        self._follow(found)
        vars(self)[name] = value

    def _follow(self, found: Any) -> None:
        """Follow another rule from the next step on."""
        before, self._rule = self._rule, found
        schedules = self._pure()
        if isinstance(self._driver, CalledDriver) and not schedules:
            return
        if found is None or bool(schedules) != bool(self._schedules):
            self._rule = before
            raise ArgumentError("get_lr", self, "it needs another driver now: build a new policy")
        self._driver.follow(self._driver.lower(found))
        self._schedules = self._given = schedules

    def _move(self, step: int) -> None:
        if not self._writes_its_rule or self._schedules:
            super()._move(step)
        elif isinstance(self._driver, CalledDriver):
            self._driver.move(step)
        else:
            driver: Any = self._driver
            driver.set_state(step, [float(value) for value in driver.values()])

    # State.

    def prepare_state_dict(self, *keys: str) -> dict[str, Any]:
        """Return the state without some entries, for your own ``state_dict``.

        Args:
            keys: the names of the entries to leave out. An attribute is saved under its own name.
        """
        ours = next(c for c in type(self).__mro__ if c.__module__.startswith("accelsched."))
        saved: dict[str, Any] = ours.state_dict(self)  # type: ignore[attr-defined]
        return {key: value for key, value in saved.items() if key not in keys}

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the schedules' numbers as plain Python data. May synchronize.

        For a class that defines ``get_lr``, return the step, the values of the groups, and the
        attributes that are numbers, text or lists of them.
        """
        if not self._writes_its_rule:
            return super().state_dict()
        values = [float(value) for value in self._group_values.values()]
        mine = {name: value for name, value in self._mine().items() if is_plain(value)}
        return {**mine, **state.header(self), "values": values}

    def _loader(self, state_dict: dict[str, Any], step_only: bool = False) -> Callable[[], None]:
        if not self._writes_its_rule:
            return super()._loader(state_dict, step_only)
        self._require_driving()
        if step_only or state.is_foreign(state_dict):
            step = state.foreign_step(state_dict)
            values = None if step_only else state_dict.get("_last_lr")
        else:
            step = state.fitting_header(state_dict, {"values"}, self)
            values = state_dict["values"]
            require(values is not None, "state_dict['values']", values, "give a list")
        count = len(self.indices)
        fits = values is None or (isinstance(values, (list, tuple)) and len(values) == count)
        require(fits, "state_dict['values']", values, f"give {count} numbers")
        saved = {} if step_only else state_dict
        mine = self._mine()
        changed = {name: saved[name] for name in mine if name in saved}
        found = self._found(self._group_values, {**mine, **changed}) if changed else self._rule

        def load() -> None:
            if changed:
                self._follow(found)
                vars(self).update(changed)
            if values is None or self._schedules:
                self._set_step(step)
            else:
                driver: Any = self._driver
                driver.set_state(step, [float(value) for value in values])

        return load

    # A copy analyzes `get_lr` again: its schedules would hold the attributes of the original.

    def _attributes(self) -> dict[str, Any]:
        attributes = super()._attributes()
        if self._writes_its_rule:
            attributes = {n: v for n, v in attributes.items() if n not in ("_rule", "_schedules")}
            attributes["_given"] = ()
        return attributes

    def __getstate__(self) -> dict[str, Any]:
        saved = super().__getstate__()
        if self._writes_its_rule and self._drives:
            saved["values"] = [float(value) for value in self._group_values.values()]
        return saved

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._kept = saved.get("values")
        super().__setstate__(saved)
        self._kept = None

    def _restore(self, attributes: dict[str, Any]) -> None:
        super()._restore(attributes)
        if self._writes_its_rule:
            self._schedules = self._schedules_for(self._group_values) if self._bound else ()


def _copied(value: Any) -> Any:
    """Copy nested lists and dicts, but not the other objects in them."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if type(value) is list else value


def _unchanged(now: Any, before: Any) -> bool:
    """Return whether copied attributes are unchanged."""
    if isinstance(before, dict) and isinstance(now, dict):
        return now.keys() == before.keys() and all(_unchanged(now[k], before[k]) for k in before)
    if type(before) is list and type(now) is list:
        return len(now) == len(before) and all(map(_unchanged, now, before))
    return now is before or (isinstance(now, (int, float, str)) and now == before)
