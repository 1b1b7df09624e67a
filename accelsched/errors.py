"""The error of a bad argument: it names the argument, the value and the remedy."""

from __future__ import annotations

import reprlib


class ArgumentError(ValueError):
    """A value that a schedule or a scheduler cannot take.

    It is raised before anything was changed, and prints as ``argument=value: remedy``. A long value
    is cut, so that the remedy is near the beginning.

    Args:
        argument: the name of the argument, as the caller wrote it.
        value: the value that the caller gave.
        remedy: why the value is refused, and what to write instead.
    """

    def __init__(self, argument: str, value: object, remedy: str) -> None:
        super().__init__(argument, value, remedy)
        self.argument = argument
        self.value = value
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.argument}={shown(self.value)}: {self.remedy}"

    def renamed(self, names: dict[str, str]) -> ArgumentError:
        """Return the same error under the name by which the caller knows the argument."""
        name, bracket, index = self.argument.partition("[")
        return ArgumentError(names.get(name, name) + bracket + index, self.value, self.remedy)

    def of(self, argument: str, value: object) -> ArgumentError:
        """Return the same remedy for the argument that this value was computed from."""
        return ArgumentError(argument, value, self.remedy)


class Reason(str):
    """A value that an error shows in full and without quotes."""


#: The letters of a value that an error shows: with them the remedy begins before the 60th.
WIDTH = 36


class _Cut(reprlib.Repr):
    """A ``repr`` that ends, for values that are long, deep, circular or broken."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 6
        self.maxstring = self.maxlong = self.maxother = WIDTH

    def repr_int(self, x: int, level: int) -> str:
        """Write a huge number as a power: Python refuses to print more than 4,300 digits."""
        if x.bit_length() <= 400:
            return repr(x)
        return f"{'-' if x < 0 else ''}2**{abs(x).bit_length() - 1} and more"


_CUT = _Cut()


def shown(value: object) -> str:
    """Return a value as an error shows it: cut in the middle if it is long."""
    if isinstance(value, Reason):
        return str(value)
    text = _CUT.repr(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 12]}...{text[-9:]}"


def require(condition: bool, argument: str, value: object, remedy: str) -> None:
    """Raise :class:`ArgumentError` unless ``condition`` holds."""
    if not condition:
        raise ArgumentError(argument, value, remedy)


class SynchronizationWarning(UserWarning):
    """An optimizer will read a scheduled value on the host at every step."""
