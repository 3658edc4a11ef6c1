"""Options: a dataclass's field with its default and its sentence, and what values it may have."""

from __future__ import annotations

import dataclasses

from mgjax.errors import InputError, short

# Beyond it a whole number is none on a device, nor a float a finite one.
MOST = {int: 2**31 - 1, float: 3.4e38}
_EXPECTED = {
    bool: "true or false",
    int: f"a whole number within ±{MOST[int]}",
    float: "a finite number",
    str: "text",
}


def option(default, text: str):
    """A dataclass field with a default and the sentence that explains it on the command line."""
    return dataclasses.field(default=default, metadata={"help": text})


def check(options, group: str):
    """Check that every option has the type of its default, and that its numbers are finite 32-bit
    ones.

    Args:
        options: a dataclass of options.
        group: names them in error messages, as in "training".

    Raises:
        InputError: one does not.
    """
    for field in dataclasses.fields(options):
        _check(field, getattr(options, field.name), group)


def read(kind: type, values, group: str):
    """A dataclass of options out of what a JSON file holds; those left out have their defaults.

    Raises:
        InputError: the values are not options of this kind.
    """
    if not isinstance(values, dict):
        raise InputError(f"{group} is {short(values)}, expected an object of options")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name, value in values.items():
        if name not in fields:
            raise InputError(
                f"{group}: {short(name)} is unknown, expected options among {', '.join(fields)}"
            )
        _check(fields[name], value, group)
    return kind(**values)


def _check(field: dataclasses.Field, value, group: str):
    kind = type(field.default)
    if kind not in _EXPECTED:  # of someone's own model
        return
    right = isinstance(value, (int, float) if kind is float else kind)
    if kind is not bool:
        right = right and not isinstance(value, bool)
    if right and kind in MOST:
        right = abs(value) <= MOST[kind]  # never true of NaN
    if not right:
        raise InputError(f"{group}: {field.name} is {short(value)}, expected {_EXPECTED[kind]}")
