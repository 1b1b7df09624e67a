"""The learning rate policies of thunder.policy, by the same names, computed on the device.

A policy is built without an optimizer and bound later: ``policy(optimizer)`` returns the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accelsched import schedules
from accelsched._binding import state
from accelsched._binding.drivers import RecurrentDriver, recurrent_driver_for
from accelsched._binding.given import converted, each_group
from accelsched._binding.own_rule import OwnRule
from accelsched._binding.param_groups import GroupValues
from accelsched._binding.recurrent import Recurrence
from accelsched.errors import ArgumentError, require
from accelsched.lr_scheduler import LRScheduler
from accelsched.schedules import Constant, PiecewiseConstant
from accelsched.schedules._fields import integer, real
from accelsched.schedules._from_function import from_function

__all__ = ["MappingPolicy", "Multiply", "Policy", "Schedule", "Switch"]


class Policy(OwnRule, LRScheduler):
    """A policy that follows any schedule, built without an optimizer; the base of your own.

    A subclass may define ``get_lr()``, as in thunder. It returns the learning rate of each param
    group at step ``self.last_epoch``. A ``get_lr`` that reads only the step becomes a formula on
    the device. One that also multiplies the group's current learning rate, or adds to it, becomes
    an update on the device. Any other ``get_lr`` is called on the host at each step. An attribute
    that is set later takes effect at the next step. A subclass may override and call
    :meth:`set_optimizer`, :meth:`prepare_state_dict` and ``load_state_dict``, as in thunder.

    Args:
        schedule: one schedule for all param groups, or a list with one for each. A subclass that
            defines ``get_lr`` leaves it out.
        lowering: as for :class:`accelsched.Scheduler`. Default None.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> policy = Policy(schedules.Linear(initial=0.1, end=0.0, total_iters=4))(optimizer)
        >>> policy.get_last_lr()
        [0.1]
        >>> policy.last_epoch = 2
        >>> policy.get_last_lr()
        [0.05]
        >>> policy.last_epoch = 10
        >>> policy.get_last_lr()
        [0.0]

        Your own policy:

        >>> class Decay(Policy):
        ...     def __init__(self, factor):
        ...         self.factor = factor
        ...
        ...     def get_lr(self):
        ...         return [group["lr"] * self.factor for group in self.optimizer.param_groups]
        >>> policy = Decay(0.5)(torch.optim.SGD([torch.zeros(1)], lr=1.0))
        >>> policy.step()
        >>> policy.get_last_lr()
        [0.25]

    Raises:
        ArgumentError: an argument is invalid; or, on binding, the number of schedules is wrong.

    Warns:
        UserWarning: ``get_lr`` will be called on the host at each step; the warning says why.

    Elsewhere: thunder's ``Policy``, the base of its policies. ``Multiply``, ``Schedule`` and
    ``Switch`` load the states of thunder's classes, and thunder's classes load theirs.
    """

    def __init__(
        self,
        schedule: schedules.Schedule | Sequence[schedules.Schedule] | None = None,
        *,
        lowering: str | None = None,
    ) -> None:
        if self._writes_its_rule:
            remedy = f"{type(self).__name__} defines get_lr: leave out the schedule"
            require(schedule is None, "schedule", schedule, remedy)
            self.lowering = lowering
        else:
            super().__init__(None, schedule, lowering=lowering)


class MappingPolicy(Policy):
    """The base of the policies below: an initial learning rate, and a mapping from steps.

    A subclass may define ``get_lr()``, as for :class:`Policy`, and read the mapping of each param
    group from :attr:`current_mapping`.

    Args:
        mapping: one mapping for all param groups, or a list with one for each.
        lr_init: the learning rate to which the mapping is applied at step 0: a number for all param
            groups, or a list with one for each. Default: each group keeps its own.
        lowering: as for :class:`accelsched.Scheduler`. Default None.

    Raises:
        ArgumentError: a mapping or a number is invalid; or, on binding, a list has the wrong
            length.
    """

    def __init__(
        self,
        mapping: Any,
        lr_init: float | Sequence[float] | None = None,
        *,
        lowering: str | None = None,
    ) -> None:
        self.mapping = mapping
        self.lr_init = lr_init
        self._starts = None if lr_init is None else converted(_rate, "lr_init", lr_init)
        if not self._writes_its_rule:
            self._rules = converted(self._rule_of, "mapping", mapping)
        super().__init__(self._as_schedules(), lowering=lowering)

    def _rule_of(self, name: str, mapping: Any) -> Any:
        """Convert one mapping to a schedule, or to numbers by step."""
        raise NotImplementedError

    def _as_schedules(self) -> Any:
        """Return the schedules to give to the base class, if there are any."""
        return None if self._writes_its_rule else self._rules

    def _schedules_for(self, group_values: GroupValues) -> tuple[schedules.Schedule, ...]:
        count = len(group_values.indices)
        each_group("lr_init", self._starts, count)
        if self._writes_its_rule:
            each_group("mapping", self.mapping, count)
            return super()._schedules_for(group_values)
        return tuple(each_group("mapping", self._rules, count))

    def _first_rates(self, group_values: GroupValues) -> list[float]:
        return self._started_from(super()._first_rates(group_values))

    def _base_rates(self, group_values: GroupValues) -> list[float]:
        return self._started_from(super()._base_rates(group_values))

    def _started_from(self, own: list[float]) -> list[float]:
        return own if self._starts is None else each_group("lr_init", self._starts, len(own))

    @property
    def current_mapping(self) -> list[Any] | None:
        """The mapping of each param group; None before binding."""
        return each_group("mapping", self.mapping, len(self.indices)) if self._bound else None

    @property
    def current_lr_init(self) -> list[float] | None:
        """The ``lr_init`` of each param group; None before binding."""
        return each_group("lr_init", self.lr_init, len(self.indices)) if self._bound else None

    def __repr__(self) -> str:
        mapping = self.current_mapping if self._bound else self.mapping
        lr_init = self.current_lr_init if self._bound else self.lr_init
        return f"{type(self).__name__}({mapping=}, {lr_init=})"


class Schedule(MappingPolicy):
    """A learning rate that is a function of the step.

    The learning rate at step ``t``::

        value = mapping(t)

    Args:
        mapping: a function from the step to the learning rate, or a schedule; or a list with one
            for each param group. A function that cannot be traced is tabulated: see
            :class:`accelsched.schedules.Tabulated`.
        lr_init: accepted for compatibility and ignored: the mapping gives the value at step 0.
        total_iters: the last step to tabulate, if a table is needed. Default: ``2**20``.
        lowering: as for :class:`accelsched.Scheduler`. Default None.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> policy = Schedule(lambda step: 0.1 / (1 + step / 100))(optimizer)
        >>> policy.get_last_lr()
        [0.1]
        >>> policy.step()
        >>> [round(value, 6) for value in policy.get_last_lr()]
        [0.09901]
        >>> policy.last_epoch = 300
        >>> policy.get_last_lr()
        [0.025]

    Raises:
        ArgumentError: the mapping is not a function, or a value is not finite; or, on binding, the
            number of mappings is wrong.

    Elsewhere: thunder's ``Schedule``; torch's ``LambdaLR``, which multiplies the group's own
    learning rate.
    """

    def __init__(
        self,
        mapping: Callable[[int], Any] | Sequence[Callable[[int], Any]],
        lr_init: float | Sequence[float] | None = None,
        *,
        total_iters: int | None = None,
        lowering: str | None = None,
    ) -> None:
        self._total_iters = total_iters
        super().__init__(mapping, lr_init, lowering=lowering)

    _has_values = True
    # thunder does not save the functions either.
    _settings_of_torch = frozenset({"lr_init", "current_lr_init"})

    def _rule_of(self, name: str, mapping: Any) -> schedules.Schedule:
        if isinstance(mapping, Mapping):
            raise ArgumentError(name, mapping, "give a function; for a dict use Switch or Multiply")
        return from_function(mapping, self._total_iters, name)


class _Recurrent(MappingPolicy):
    """The base of policies whose next value depends on the group's current value."""

    _has_values = True
    _driver: RecurrentDriver  # type: ignore[assignment]
    #: The values of the groups at binding, which stand in for an `lr_init` that was not given.
    _own: Sequence[float] = ()

    def _rule_of(self, name: str, mapping: Any) -> dict[int, float]:
        if not isinstance(mapping, Mapping):
            raise ArgumentError(name, mapping, "give a dict that maps steps to numbers")
        at = {integer(name, step): _rate(f"{name}[{step}]", mapping[step]) for step in mapping}
        require(all(step >= 0 for step in at), name, mapping, "give no negative step")
        return dict(sorted(at.items()))

    def _recurrence(self, at: dict[int, float]) -> Recurrence:
        """Return the recurrence that applies these numbers at their steps."""
        raise NotImplementedError

    def _as_schedules(self) -> Any:
        return []

    def _schedules_for(self, group_values: GroupValues) -> tuple[schedules.Schedule, ...]:
        super()._schedules_for(group_values)
        return ()

    def _driver_for(self, group_values: GroupValues, schedules: Any, count: int) -> Any:
        rules = self._recurrences(len(group_values.indices))
        if self._starts is None:
            self._own = [float(value) for value in group_values.values()]
        values = self._values_at(count, len(rules))
        return recurrent_driver_for(group_values, rules, count, values, self.lowering)

    def _drive_on(self, group_values: GroupValues) -> None:
        held = [float(value) for value in group_values.values()]
        own = self._own
        super()._drive_on(group_values)
        self._own = [*own, *self._own[len(own) :]]
        self._driver.set_state(self.last_epoch, held)

    def _recurrences(self, count: int) -> list[Recurrence]:
        return [self._recurrence(at) for at in each_group("mapping", self._rules, count)]

    def _values_at(self, step: int, count: int) -> list[float]:
        """Return the values at a step, unless other code changes them."""
        starts = self._own if self._starts is None else self._starts
        values = list(each_group("lr_init", starts, count))
        for i, at in enumerate(each_group("mapping", self._rules, count)):
            recurrence = self._recurrence(at)
            for reached in at:
                if reached <= step:
                    values[i] = recurrence(values[i], reached)
        return values

    def undisturbed(self) -> schedules.Schedule:
        """Return the curve that the first param group follows unless other code changes it."""
        rules = self._rules if isinstance(self._rules, list) else [self._rules]
        given = (self._rules, self._starts)
        count = max(len(each) if isinstance(each, list) else 1 for each in given)
        milestones = [step for step in rules[0] if step > 0]
        values = [self._values_at(step, count)[0] for step in (0, *milestones)]
        return PiecewiseConstant(values, milestones)

    def _set_step(self, step: int) -> None:
        self._driver.set_state(step, self._values_at(step, len(self.indices)))

    _move = _set_step

    def reschedule(self, schedules: Any) -> None:
        """Raise ArgumentError: the values come from a mapping, not from schedules."""
        raise ArgumentError(
            "schedules", schedules, "this policy follows its mapping: build a new policy"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the step, the values and the mappings as plain Python data. Synchronizes."""
        rules = each_group("mapping", self._rules, len(self.indices))
        return {
            **state.header(self),
            "values": [float(value) for value in self._driver.values()],
            "mappings": [[[step, number] for step, number in at.items()] for at in rules],
        }

    def _loader(self, state_dict: dict[str, Any], step_only: bool = False) -> Callable[[], None]:
        """Check a state; return a function that loads its step, mappings and values."""
        self._require_driving()
        if step_only:
            step = state.foreign_step(state_dict)
            return lambda: self._set_step(step)
        if state.is_foreign(state_dict) and {"current_mapping", "_last_lr"} <= set(state_dict):
            state_dict = self._of_thunder(state_dict)
        step = state.fitting_header(state_dict, {"values", "mappings"}, self)
        count = len(self.indices)
        given = [
            _as_mapping(f"mappings[{i}]", pairs) for i, pairs in _items(state_dict, "mappings")
        ]
        rules = each_group("mappings", converted(self._rule_of, "mappings", given), count)
        held = [_rate(f"values[{i}]", value) for i, value in _items(state_dict, "values")]
        values = each_group("values", held, count)
        lowered = self._driver.lower([self._recurrence(at) for at in rules])

        def load() -> None:
            self._driver.follow(lowered)
            self._rules = rules
            self.mapping = [dict(at) for at in rules]
            self._driver.set_state(step, values)

        return load

    def _of_thunder(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the state of a policy of thunder to ours."""
        mappings = [
            list(at.items()) if isinstance(at, Mapping) else at
            for _, at in _items(saved, "current_mapping")
        ]
        header = {"version": state.VERSION, "key": self.key, "groups": self.indices}
        values = {"values": saved["_last_lr"], "mappings": mappings}
        return {**header, "last_epoch": saved["last_epoch"], **values}

    def __getstate__(self) -> dict[str, Any]:
        values = [float(value) for value in self._driver.values()] if self._drives else []
        return {**super().__getstate__(), "values": values}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        super().__setstate__(saved)
        if self._drives:
            self._driver.set_state(saved["step"], saved["values"])


class Multiply(_Recurrent):
    """A learning rate that is multiplied by a factor at each step of a mapping.

    The learning rate at step ``t``, unless other code changes it::

        value = lr_init * prod(factor for step, factor in mapping.items() if step <= t)

    Each step multiplies the group's current value, so a change by other code persists.

    Args:
        mapping: a dict from steps to factors, or a list with one dict for each param group.
        lr_init: the learning rate to which the mapping is applied at step 0, or a list with one for
            each param group. Default: each group keeps its own.
        lowering: as for :class:`accelsched.Scheduler`. Default None.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> policy = Multiply({1: 0.5, 4: 0.5}, lr_init=0.1)(optimizer)
        >>> policy.get_last_lr()
        [0.1]
        >>> policy.step()
        >>> policy.get_last_lr()
        [0.05]
        >>> policy.last_epoch = 10
        >>> policy.get_last_lr()
        [0.025]

    Raises:
        ArgumentError: a step or a factor is negative, or a factor is not finite; or, on binding,
            the number of mappings is wrong.

    Elsewhere: thunder's ``Multiply``; ``optax.piecewise_constant_schedule``; torch's
    ``MultiStepLR``, with one factor for all milestones.
    """

    def _recurrence(self, at: dict[int, float]) -> Recurrence:
        return Recurrence(_only_at(at, otherwise=1.0), Constant(0.0))


class Switch(_Recurrent):
    """A learning rate that is set to a new value at each step of a mapping.

    The learning rate at step ``t``, unless other code changes it::

        reached = [step for step in sorted(mapping) if step <= t]
        value = mapping[reached[-1]] if reached else lr_init

    Between these steps the group keeps its value, so a change by other code lasts until the next
    step of the mapping.

    Args:
        mapping: a dict from steps to learning rates, or a list with one dict for each param group.
        lr_init: the learning rate to which the mapping is applied at step 0, or a list with one for
            each param group. Default: each group keeps its own.
        lowering: as for :class:`accelsched.Scheduler`. Default None.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> policy = Switch({1: 0.01, 4: 0.001}, lr_init=0.1)(optimizer)
        >>> policy.get_last_lr()
        [0.1]
        >>> policy.step()
        >>> policy.get_last_lr()
        [0.01]
        >>> policy.last_epoch = 10
        >>> policy.get_last_lr()
        [0.001]

    Raises:
        ArgumentError: a step or a learning rate is negative, or a learning rate is not finite; or,
            on binding, the number of mappings is wrong.

    Elsewhere: thunder's ``Switch``; :class:`accelsched.schedules.PiecewiseConstant`, which
    overwrites changes by other code at each step.
    """

    def _recurrence(self, at: dict[int, float]) -> Recurrence:
        cleared = _only_at(dict.fromkeys(at, 0.0), otherwise=1.0)
        return Recurrence(cleared, _only_at(at, otherwise=0.0))


def _only_at(at: dict[int, float], otherwise: float) -> schedules.Schedule:
    """Make a schedule of the given numbers at their steps, and of ``otherwise`` elsewhere."""
    values, milestones = [otherwise], []
    for step, number in at.items():
        values += [number, otherwise]
        milestones += [step, step + 1]
    return PiecewiseConstant(values, milestones)


def _rate(name: str, value: Any) -> float:
    """Convert a learning rate, or a factor of one; raise ArgumentError if it is negative."""
    rate = real(name, value)
    require(rate >= 0, name, value, "give a number of 0 or more")
    return rate


def _items(saved: Mapping[str, Any], name: str) -> list[tuple[int, Any]]:
    """Return the entries of a list in a state, with their positions."""
    items = saved[name]
    require(isinstance(items, (list, tuple)), f"state_dict[{name!r}]", items, "give a list")
    return list(enumerate(items))


def _as_mapping(name: str, pairs: Any) -> dict[Any, Any]:
    """Convert the pairs of a step and a number in a state to a dict."""
    fits = isinstance(pairs, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs
    )
    require(fits, name, pairs, "give pairs of a step and a number")
    return {real(f"{name} step", step): number for step, number in pairs}
