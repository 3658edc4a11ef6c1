"""The one exception that means "the input is wrong", and how a wrong value is shown."""

from __future__ import annotations

LONGEST = 1000  # characters of a message


class InputError(ValueError):
    """Something the user gave is wrong; the message is one clear sentence that names it.

    A message that quotes something endless loses its middle.
    """

    def __init__(self, message: str = "") -> None:
        half = LONGEST // 2
        if len(message) > LONGEST:
            message = f"{message[:half]} … {message[-half:]}"
        super().__init__(message)


def short(value) -> str:
    """A value for an error message, cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; a number of too many digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
