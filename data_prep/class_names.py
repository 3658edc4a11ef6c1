"""Names of classes in a file, one a line, in the order of their labels.

This module needs the standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from data_prep import csv_tables
from mgjax import files
from mgjax.errors import InputError


def read(path: str | os.PathLike) -> list[str]:
    """Class names, one a line, in label order.

    Raises:
        InputError: the file cannot be read, or a line is empty.
    """
    # A blank at either end is hardly meant, and nobody sees it.
    names = [line.strip() for line in files.read_text(path, "class names, one a line").splitlines()]
    if not names or "" in names:
        line = names.index("") + 1 if names else 1
        raise InputError(f"{path}: line {line} is empty, expected a class name")
    for line, name in enumerate(names, 1):
        csv_tables.check_text(f"{path}, line {line}", "the class name", name)
    return names


def read_or_number(
    path: str | os.PathLike | None, count: int, source: str | os.PathLike
) -> list[str]:
    """Names of so many classes: those in a file, or without one (None) their numbers.

    Raises:
        InputError: as `read`, or the file has fewer names than the source, a path, has
            classes.
    """
    if path is None:
        return [str(number) for number in range(count)]
    names = read(path)
    if len(names) < count:
        raise InputError(f"{path}: {len(names)} class names, but {source} has label {count - 1}")
    return names


def lines_of(labels: Iterable[str], path: str | os.PathLike) -> str:
    """Class names, one a line, as `read` reads them.

    Raises:
        InputError: a name cannot be told from others in such a file.
    """
    labels = list(labels)  # of which there may be one pass only
    for label in labels:
        # `read` splits at all that Python takes for the end of a line, not only at \n.
        if label.splitlines() != [label] or label != label.strip():
            raise InputError(
                f"class {label!r} cannot be a line of {path}: it is empty, of several lines, or "
                "begins or ends with a blank"
            )
    return "".join(f"{label}\n" for label in labels)
