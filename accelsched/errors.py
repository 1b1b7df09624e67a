"""The error of a bad argument, which names the argument, the value and the remedy."""

from __future__ import annotations

import reprlib


class ArgumentError(ValueError):
    """A value that a schedule or a scheduler cannot take.

    Args:
        argument: the name of the argument, as the caller wrote it.
        value: what was given.
        remedy: what is expected, and what to do.
    """

    def __init__(self, argument: str, value: object, remedy: str) -> None:
        super().__init__(argument, value, remedy)
        self.argument = argument
        self.value = value
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.argument}={shown(self.value)}: {self.remedy}"

    def renamed(self, names: dict[str, str]) -> ArgumentError:
        """Return the same error for a caller who knows the argument under another name."""
        name, bracket, index = self.argument.partition("[")
        return ArgumentError(names.get(name, name) + bracket + index, self.value, self.remedy)

    def of(self, argument: str, value: object) -> ArgumentError:
        """Return the same remedy for an argument that this value was made of."""
        return ArgumentError(argument, value, self.remedy)


class Reason(str):
    """Text that an error shows whole, without quotes."""


class _Cut(reprlib.Repr):
    """A ``repr`` that ends, for values that are long, deep, circular or broken."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 6
        self.maxstring = self.maxlong = self.maxother = 120

    def repr_int(self, x: int, level: int) -> str:
        """Python itself refuses to write out more than 4,300 digits."""
        if x.bit_length() <= 400:
            return repr(x)
        return f"{'-' if x < 0 else ''}2**{abs(x).bit_length() - 1} and more"


_CUT = _Cut()


def shown(value: object) -> str:
    """A value as an error shows it: cut where it is long."""
    return str(value) if isinstance(value, Reason) else _CUT.repr(value)


def require(condition: bool, argument: str, value: object, remedy: str) -> None:
    """Raise :class:`ArgumentError` unless ``condition`` holds."""
    if not condition:
        raise ArgumentError(argument, value, remedy)


class SynchronizationWarning(UserWarning):
    """An optimizer will read a scheduled value on the host at every step."""
