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
    """Any schedule of the learning rate, built without an optimizer; or a base of one's own.

    A subclass may define ``get_lr()``, as in thunder: it returns the rate of each param group at
    ``self.last_epoch``. If it reads only the step, it is a formula, and is evaluated on the device.
    If it also multiplies the rate that the group has, or adds to it, each step does so on the
    device. Any other ``get_lr`` is called on the host at each step. Attributes that are set later
    count from the next step. :meth:`set_optimizer`, :meth:`prepare_state_dict` and
    ``load_state_dict`` may be overridden and called, as in thunder.

    Args:
        schedule: one schedule for all param groups, or a list with one for each. Left out by a
            subclass with a ``get_lr`` of its own.
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

        A class of one's own:

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
        ArgumentError: a value that cannot be, or, when it is bound, a wrong number of schedules.

    Warns:
        UserWarning: a ``get_lr`` will be called on the host at each step; the warning says why.

    Elsewhere: thunder's ``Policy``, the base of its policies. ``Multiply``, ``Schedule`` and
    ``Switch`` go on from the states of thunder's, and thunder's from theirs.
    """

    def __init__(
        self,
        schedule: schedules.Schedule | Sequence[schedules.Schedule] | None = None,
        *,
        lowering: str | None = None,
    ) -> None:
        if self._writes_its_rule:
            remedy = f"{type(self).__name__} has a get_lr of its own: leave it out"
            require(schedule is None, "schedule", schedule, remedy)
            self.lowering = lowering
        else:
            super().__init__(None, schedule, lowering=lowering)


class MappingPolicy(Policy):
    """The base of the policies below: a mapping from the step, and the value that it starts from.

    A subclass may define ``get_lr()``, as :class:`Policy` says; :attr:`current_mapping` has the
    mapping of each param group.

    Args:
        mapping: one mapping for all param groups, or a list with one for each.
        lr_init: the learning rate before the mapping acts at step 0: a number for all param groups,
            or a list with one for each. Default: each group keeps its own.
        lowering: as for :class:`accelsched.Scheduler`. Default None.

    Raises:
        ArgumentError: a mapping or a number cannot be used, or, when it is bound, there is a wrong
            number of them.
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
        """Convert one mapping to what the policy follows."""
        raise NotImplementedError

    def _as_schedules(self) -> Any:
        """Return the rules, where they are pure functions of the step."""
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
        """The mapping of each param group; None while there is no optimizer."""
        return each_group("mapping", self.mapping, len(self.indices)) if self._bound else None

    @property
    def current_lr_init(self) -> list[float] | None:
        """The first value of each param group; None while there is no optimizer."""
        return each_group("lr_init", self.lr_init, len(self.indices)) if self._bound else None

    def __repr__(self) -> str:
        mapping = self.current_mapping if self._bound else self.mapping
        lr_init = self.current_lr_init if self._bound else self.lr_init
        return f"{type(self).__name__}({mapping=}, {lr_init=})"


class Schedule(MappingPolicy):
    """The values of a function of the step.

    The learning rate at step ``t``::

        value = mapping(t)

    Args:
        mapping: a function from the step to the learning rate, or a schedule; or a list with one
            for each param group. A function that cannot be traced is tabulated: see
            :class:`accelsched.schedules.Tabulated`.
        lr_init: taken for compatibility and not used: the function gives the value at step 0 too.
        total_iters: the last step to tabulate, where a table is needed. Default: ``2**20`` steps.
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
        ArgumentError: the mapping is no function, a value is not finite, or, when it is bound,
            there is a wrong number of them.

    Elsewhere: thunder's ``Schedule``; torch's ``LambdaLR``, which multiplies the group's rate.
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
    # thunder's leaves its functions out of its state.
    _settings_of_torch = frozenset({"lr_init", "current_lr_init"})

    def _rule_of(self, name: str, mapping: Any) -> schedules.Schedule:
        if isinstance(mapping, Mapping):
            raise ArgumentError(name, mapping, "give a function, or give this to Switch")
        return from_function(mapping, self._total_iters, name)


class _Recurrent(MappingPolicy):
    """The base of policies whose next value depends on the value that the group has."""

    _has_values = True
    _driver: RecurrentDriver  # type: ignore[assignment]
    #: What the groups held when they were bound, if nobody said what to start from.
    _own: Sequence[float] = ()

    def _rule_of(self, name: str, mapping: Any) -> dict[int, float]:
        if not isinstance(mapping, Mapping):
            raise ArgumentError(name, mapping, "give a dict from steps to numbers")
        at = {integer(name, step): _rate(f"{name}[{step}]", mapping[step]) for step in mapping}
        require(all(step >= 0 for step in at), name, mapping, "steps are counted from 0")
        return dict(sorted(at.items()))

    def _recurrence(self, at: dict[int, float]) -> Recurrence:
        """Return what each step does, for numbers by step."""
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
        """Return the values at a step, if nobody changes them from outside."""
        starts = self._own if self._starts is None else self._starts
        values = list(each_group("lr_init", starts, count))
        for i, at in enumerate(each_group("mapping", self._rules, count)):
            recurrence = self._recurrence(at)
            for reached in at:
                if reached <= step:
                    values[i] = recurrence(values[i], reached)
        return values

    def undisturbed(self) -> schedules.Schedule:
        """Return the curve of the first param group, if nobody changes it from outside."""
        rules = self._rules if isinstance(self._rules, list) else [self._rules]
        given = (self._rules, self._starts)
        count = max(len(each) if isinstance(each, list) else 1 for each in given)
        milestones = [step for step in rules[0] if step > 0]
        values = [self._values_at(step, count)[0] for step in (0, *milestones)]
        return PiecewiseConstant(values, milestones)  # type: ignore[arg-type]

    def _set_step(self, step: int) -> None:
        self._driver.set_state(step, self._values_at(step, len(self.indices)))

    _move = _set_step

    def reschedule(self, schedules: Any) -> None:
        """Refuse: the values follow from a mapping, not from schedules."""
        raise ArgumentError("schedules", schedules, "it follows its mapping: build another one")

    def state_dict(self) -> dict[str, Any]:
        """Return the step, the values and the mappings, as plain values. Waits for the device."""
        rules = each_group("mapping", self._rules, len(self.indices))
        return {
            **state.header(self),
            "values": [float(value) for value in self._driver.values()],
            "mappings": [[[step, number] for step, number in at.items()] for at in rules],
        }

    def _loader(self, state_dict: dict[str, Any], step_only: bool = False) -> Callable[[], None]:
        """Take over a step, the mappings, and the values that the groups had."""
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
        """The state that ours would be, of one that thunder's policy saved."""
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
    """Multiply the learning rate by a factor at each of some steps.

    The learning rate at step ``t``, if nobody changes it from outside::

        value = lr_init * prod(factor for step, factor in mapping.items() if step <= t)

    Each step multiplies what the group has, so a change from outside survives.

    Args:
        mapping: a dict from steps to factors, or a list with one dict for each param group.
        lr_init: the learning rate before the mapping acts at step 0; or a list with one for each
            param group. Default: each group keeps its own.
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
        ArgumentError: a step is negative, a factor is not finite, or, when it is bound, there is a
            wrong number of mappings.

    Elsewhere: thunder's ``Multiply``; ``optax.piecewise_constant_schedule``; torch's
    ``MultiStepLR``, with one factor for all milestones.
    """

    def _recurrence(self, at: dict[int, float]) -> Recurrence:
        return Recurrence(_only_at(at, otherwise=1.0), Constant(0.0))


class Switch(_Recurrent):
    """Set the learning rate at each of some steps.

    The learning rate at step ``t``, if nobody changes it from outside::

        reached = [step for step in sorted(mapping) if step <= t]
        value = mapping[reached[-1]] if reached else lr_init

    In between it holds what the group has, so a change from outside lasts until the next step of
    the mapping.

    Args:
        mapping: a dict from steps to learning rates, or a list with one dict for each param group.
        lr_init: the learning rate before the mapping acts at step 0; or a list with one for each
            param group. Default: each group keeps its own.
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
        ArgumentError: a step is negative, a rate is not finite, or, when it is bound, there is a
            wrong number of mappings.

    Elsewhere: thunder's ``Switch``; :class:`accelsched.schedules.PiecewiseConstant`, which
    overwrites a change from outside.
    """

    def _recurrence(self, at: dict[int, float]) -> Recurrence:
        cleared = _only_at(dict.fromkeys(at, 0.0), otherwise=1.0)
        return Recurrence(cleared, _only_at(at, otherwise=0.0))


def _only_at(at: dict[int, float], otherwise: float) -> schedules.Schedule:
    """Make a schedule of the given numbers at their steps, and of one number elsewhere."""
    values, milestones = [otherwise], []
    for step, number in at.items():
        values += [number, otherwise]
        milestones += [step, step + 1]
    return PiecewiseConstant(values, milestones)  # type: ignore[arg-type]


def _rate(name: str, value: Any) -> float:
    """The value of an argument that is a learning rate."""
    rate = real(name, value)
    require(rate >= 0, name, value, "a learning rate is 0 or more")
    return rate


def _items(saved: Mapping[str, Any], name: str) -> list[tuple[int, Any]]:
    """The entries of a list in a state, with their positions."""
    items = saved[name]
    require(isinstance(items, (list, tuple)), f"state_dict[{name!r}]", items, "give a list")
    return list(enumerate(items))


def _as_mapping(name: str, pairs: Any) -> dict[Any, Any]:
    """A mapping of its pairs, as a state has them."""
    fits = isinstance(pairs, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs
    )
    require(fits, name, pairs, "give pairs of a step and a number")
    return {real(f"{name} step", step): number for step, number in pairs}
