"""The error of a bad argument, which names the argument, the value and the remedy."""

from __future__ import annotations


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
        return f"{self.argument}={self.value!r}: {self.remedy}"

    def renamed(self, names: dict[str, str]) -> ArgumentError:
        """Return the same error for a caller who knows the argument under another name."""
        name, bracket, index = self.argument.partition("[")
        return ArgumentError(names.get(name, name) + bracket + index, self.value, self.remedy)


def require(condition: bool, argument: str, value: object, remedy: str) -> None:
    """Raise :class:`ArgumentError` unless ``condition`` holds."""
    if not condition:
        raise ArgumentError(argument, value, remedy)


class SynchronizationWarning(UserWarning):
    """An optimizer will read a scheduled value on the host at every step."""
