"""Schedulers whose arguments are attributes, and docstrings in the words of a family of schedulers.

The generic family (:mod:`accelsched.scheduler`) drives no key. Every other family has a key and its
own words: a noun for the value, an ending for class names, and names for some arguments. Its
docstrings are those of the generic family, translated into these words.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from accelsched._binding import state
from accelsched._binding.closed_form import with_fields, written
from accelsched._binding.scheduler import Scheduler
from accelsched.errors import ArgumentError
from accelsched.schedules import Schedule


class Argument:
    """A constructor argument as an attribute that reads and sets a field of the schedule."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __get__(self, scheduler: Scheduler | None, owner: type) -> Any:
        if scheduler is None:
            return self
        value = getattr(written(scheduler.schedules[0]), self.field)
        return list(value) if isinstance(value, tuple) else value

    def __set__(self, scheduler: Scheduler, value: object) -> None:
        change: dict[str, Any] = {self.field: value}
        try:
            changed = [with_fields(s, change) for s in scheduler.schedules]
        except ArgumentError as error:
            raise error.renamed(argument_names(type(scheduler))) from None
        scheduler.reschedule(changed)


def argument_names(cls: Any) -> dict[str, str]:
    """Map each field of a class's schedule to the argument that it comes from."""
    members = [item for base in reversed(cls.__mro__) for item in vars(base).items()]
    names = {value.field: name for name, value in members if isinstance(value, Argument)}
    return {"schedules": "schedulers", **names}


class WithArguments(Scheduler):
    """The base of schedulers whose arguments are the fields of one schedule."""

    #: No default: a subclass sets ``param_group_key``.
    default_key: str | None = None
    #: Words for docstrings: the value, the method that returns it, the ending of class names.
    noun, getter, ending = "value", "get_last_value", "Scheduler"
    #: The end of each docstring, for classes that have none of their own.
    elsewhere = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        family, generic = cls.__bases__[0], cls.__bases__[-1]
        both = issubclass(family, WithArguments) and issubclass(generic, WithArguments)
        if both and family is not generic and cls.__module__.startswith("accelsched."):
            cls.__doc__ = _documented(cls, generic)

    @classmethod
    def _schedule(cls, schedule: type[Schedule], **fields: Any) -> Schedule:
        """Build a schedule; errors name the argument that a field comes from."""
        try:
            return schedule(**fields)
        except ArgumentError as error:
            raise error.renamed(argument_names(cls)) from None

    def _as_cerebras(self, step: int) -> dict[str, Any]:
        common = super()._as_cerebras(step)
        fields = set(argument_names(type(self))) - {"schedules"}
        # reschedule() may have set a schedule of another class, which Cerebras' class cannot save.
        own = all(hasattr(written(self.schedules[0]), field) for field in fields)
        return {**common, **self._settings_of_cerebras(step)} if own else common

    def _settings_of_cerebras(self, step: int) -> dict[str, Any]:
        """Return the settings that Cerebras' scheduler of this class saves."""
        names = argument_names(type(self))
        return {name: getattr(self, name) for field, name in names.items() if field != "schedules"}

    def _stands_for(self, saved: dict[str, Any]) -> bool:
        if state.is_of_cerebras(saved):
            return state.stands_for(saved, self._as_cerebras(0))
        return super()._stands_for(saved)


# Docstrings.


def _documented(cls: type[WithArguments], generic: Any) -> str | None:
    """Return a class's docstring: the generic one in the words of its family, then its own end."""
    if not cls.__doc__ or not generic.__doc__:
        return cls.__doc__  # python -OO removes docstrings
    # Python 3.13 and newer already remove the indentation; cleandoc makes all versions alike.
    own = inspect.cleandoc(cls.__doc__).partition("\n\n")[2] or inspect.cleandoc(cls.elsewhere)
    mine = argument_names(cls)
    names = {name: mine[field] for field, name in argument_names(generic).items()}
    known = inspect.signature(cls.__init__).parameters
    given = inspect.signature(generic.__init__).parameters
    missing = [name for name in given if names.get(name, name) not in known]
    text = _without_arguments(inspect.cleandoc(generic.__doc__), missing)
    return f"{_in_words(text, cls, generic, names)}\n{own}\n"


def _without_arguments(text: str, missing: Sequence[str]) -> str:
    """Remove arguments from the argument list and the example of a docstring."""
    for name in missing:
        text = re.sub(rf"^( +){name}: .*\n(?:\1 +.*\n)*", "", text, flags=re.MULTILINE)
        text = re.sub(rf"^ +\.\.\. +{name}=.*,\n", "", text, flags=re.MULTILINE)
    return text


def _in_words(text: str, cls: type[WithArguments], generic: type, names: Mapping[str, str]) -> str:
    """Translate a docstring of the generic family into the words of another family."""
    words = {**names, generic.__name__: cls.__name__}
    lines = []
    for line in text.split("\n"):
        # Examples of the generic family derive classes with a key; other families have theirs.
        derived = _DERIVED.match(line)
        if derived:
            name, base = derived.groups()
            words[name] = words.get(base) or base.removesuffix("Scheduler") + cls.ending
        elif "param_group_key" not in line:
            lines.append(_line_in_words(line, words, cls))
    return "\n".join(lines)


_DERIVED = re.compile(r"\s+>>> class (\w+)\((\w+)\): param_group_key")


def _line_in_words(line: str, words: Mapping[str, str], cls: type[WithArguments]) -> str:
    for theirs, mine in words.items():
        line = re.sub(rf"(?<![.\w]){theirs}\b", mine, line)
    if ">>>" not in line and "..." not in line:
        line = re.sub(r"\bvalue(s?)\b(?! = )", rf"{cls.noun}\1", line)
    return line.replace("get_last_value", cls.getter).replace(", momentum=0.5)", ")")
