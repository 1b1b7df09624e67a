"""Schedulers whose formula is a method of the user's class, ``_get_closed_form``, as in Cerebras.

The method reads the step as ``self.last_epoch``, and other attributes. It is called on a
:class:`View`, an object of the user's class with the attributes that the scheduler has now. So the
method is recorded like any formula, and holds neither the scheduler nor an optimizer.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from accelsched._binding.given import as_schedules
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._closed_form import ClosedForm, frozen, is_plain, like

_recorded = threading.local()


def recorded_step() -> Any:
    """Return the step for which a user's method is being called; None outside such a call.

    Other schedulers that the method reads return this step too. Their own step would be recorded as
    a constant.
    """
    return getattr(_recorded, "step", None)


class View:
    """A mixin that turns the properties of a user's scheduler class into plain attributes."""

    last_epoch: Any = None
    base_lrs: Any = None
    device: Any = None
    __setattr__ = object.__setattr__
    __repr__ = object.__repr__


def view(cls: type, attributes: Mapping[str, Any]) -> Any:
    """Return an object of a class with these attributes and no others."""
    seen: Any = object.__new__(types.new_class(cls.__name__, (View, cls)))
    vars(seen).update(attributes)
    return seen


class _Method:
    """A user's method, with the attributes that it may read, including those that no state holds.

    Args:
        cls: the user's class.
        attributes: all of these attributes. The numbers of a :class:`ClosedForm` replace those of
            the same name.
    """

    def __init__(self, cls: type, attributes: Mapping[str, Any]) -> None:
        self.cls, self.attributes = cls, attributes

    def __repr__(self) -> str:
        return f"{self.cls.__name__}._get_closed_form"

    def __call__(self, step: Tensor, numbers: Any, inner: Schedule | None) -> Any:
        known = {"last_epoch": step, "device": step.device, "_schedules": (inner,)}
        seen = view(self.cls, {**self.attributes, **self.thawed(numbers), **known})
        before, _recorded.step = recorded_step(), step
        try:
            return seen._get_closed_form()
        finally:
            _recorded.step = before

    def thawed(self, numbers: Any) -> dict[str, Any]:
        """Return the numbers by name, with lists where the user had lists."""
        names = sorted(name for name, value in self.attributes.items() if is_plain(value))
        given = [pair[0] for pair in numbers if isinstance(pair, tuple) and len(pair) == 2]
        require(sorted(map(str, given)) == names, "numbers", given, f"give the attributes {names}")
        return {name: like(self.attributes[name], value) for name, value in numbers}


def closed_forms(
    cls: type, attributes: Mapping[str, Any], inner: Sequence[Schedule | None]
) -> tuple[ClosedForm, ...]:
    """Return a schedule of a user's method for each ``inner`` schedule, that of the base class.

    Raises:
        Untraceable: the method cannot be recorded.
    """
    plain = {name: value for name, value in attributes.items() if is_plain(value)}
    method, numbers = _Method(cls, attributes), frozen(list(plain.items()))
    made = {id(schedule): ClosedForm(method, numbers, schedule) for schedule in inner}
    return tuple(made[id(schedule)] for schedule in inner)


def given_forms(scheduler: Any, schedule: Any) -> tuple[ClosedForm, ...]:
    """Return the schedules of a scheduler with its own method, around the given schedule."""
    attributes = {name: vars(scheduler)[name] for name in sorted(scheduler._form_names)}
    inner = (None,) if schedule is None else as_schedules(schedule)
    return closed_forms(type(scheduler), attributes, inner)


def with_attributes(
    schedules: Sequence[Schedule], cls: type, attributes: Mapping[str, Any]
) -> Sequence[Schedule]:
    """Return the schedules with other attributes; schedules that users set instead stay."""
    forms = [schedule for schedule in schedules if isinstance(schedule, ClosedForm)]
    made = iter(closed_forms(cls, attributes, [form.inner for form in forms]))
    return [next(made) if isinstance(schedule, ClosedForm) else schedule for schedule in schedules]


def written(schedule: Schedule) -> Any:
    """Return the schedule whose fields are the arguments of a scheduler's class."""
    return schedule.inner if isinstance(schedule, ClosedForm) else schedule


def with_fields(schedule: Schedule, changes: Mapping[str, Any]) -> Schedule:
    """Return the same schedule with some arguments changed."""
    changed: Schedule = dataclasses.replace(written(schedule), **changes)
    if isinstance(schedule, ClosedForm):
        return dataclasses.replace(schedule, inner=changed)
    return changed


def numbers_of(schedule: Any) -> dict[str, Any]:
    """Return the plain attributes of a user's method by name; none for another schedule."""
    if not isinstance(schedule, ClosedForm):
        return {}
    numbers: dict[str, Any] = schedule.method.thawed(schedule.numbers)  # type: ignore[attr-defined]
    return numbers


def takes_total_iters(init: Callable[..., None]) -> Callable[..., None]:
    """Make a constructor accept Cerebras' arguments too, for classes with their own method.

    Such a class calls ``super().__init__(optimizer, total_iters, last_epoch, param_group_tags)``.
    Its method may read every attribute that is set before this call.
    """

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        if not self._writes_its_form:
            return init(self, *args, **options)
        if not any(isinstance(given, Schedule) for given in (*args[1:], *options.values())):
            args, options = (), _as_ours(self, *args, **options)
        self._form_names = frozenset(vars(self)) - {"optimizer"}
        return init(self, *args, **options)

    return __init__


def _as_ours(
    scheduler: Any,
    optimizer: Any,
    total_iters: int | None,
    last_epoch: int = -1,
    param_group_tags: Any = None,
    **ours: Any,
) -> dict[str, Any]:
    """Translate Cerebras' arguments for :class:`accelsched.Scheduler`; store ``total_iters``."""
    scheduler.total_iters = total_iters
    options = {"param_group_tags": param_group_tags, "last_epoch": last_epoch, **ours}
    return {"optimizer": optimizer, "schedule": None, **options}


def refused(cls: type) -> ArgumentError:
    """Return the error for a composed class, which cannot have a method of its own."""
    remedy = "derive from accelsched.Scheduler: a composed scheduler has the values of its parts"
    return ArgumentError("_get_closed_form", cls, remedy)
