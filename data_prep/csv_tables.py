"""CSV tables as the packing scripts take and write them: read with every mistake named, and one row a video written.

This module needs the standard library only.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
import pathlib
from collections.abc import Iterator, Sequence

from mgjax.errors import InputError

SPLIT = "split_"  # what a column begins with that says which videos of a split train and which test
_NUMBERS = {"fps": float, "width": int, "height": int, "start": int, "stop": int}


def read_rows(path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row of a CSV file, whose end is its last character that is no blank.

    Raises:
        InputError: the file cannot be read, or is no CSV text.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8-sig").rstrip()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a CSV table") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; expected a CSV table") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in rows:
            yield rows.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: {error}; expected a CSV table") from None


def read_table(path, required: tuple[str, ...], optional: tuple[str, ...],
               prefix: str | None = None) -> Iterator[tuple[str, dict]]:
    """Rows of a CSV table with a header: where it is, for error messages, and its values by column.

    Text is stripped; the columns of numbers are numbers, and left out of a row where they are empty and optional.
    Columns whose names begin with the prefix are optional too.

    Raises:
        InputError: the file is missing or not text, columns are missing or unknown, or a value is wrong.
    """
    named = optional + ((f"{prefix}...",) if prefix else ())
    expected = f"expected the columns {', '.join(required)} and perhaps {', '.join(named)}"
    rows = [(f"{path}, line {line}", cells) for line, cells in read_rows(path)]
    columns = [column.strip() for column in rows[0][1]] if rows else []
    for column in required:
        if column not in columns:
            raise InputError(f"{path}: no column {column!r} in its first line; {expected}, separated by commas")
    for column in columns:
        known = column in required + optional or (prefix and column.startswith(prefix) and column != prefix)
        if not known or columns.count(column) > 1:
            raise InputError(f"{path}: unknown or repeated column {column!r}; {expected}")
    for where, row in rows[1:]:
        if not any(value.strip() for value in row):
            continue
        if len(row) != len(columns):
            raise InputError(f"{where}: {len(row)} values, expected {len(columns)}")
        values = {column: _value(where, column, text.strip()) for column, text in zip(columns, row)}
        for column in required:
            if values[column] in (None, ""):
                raise InputError(f"{where}: no {column}")
        yield where, {column: value for column, value in values.items() if value is not None}


def _value(where: str, column: str, text: str):
    if column not in _NUMBERS:
        return text
    if not text:
        return None
    kind = _NUMBERS[column]
    try:
        number = kind(text)
    except ValueError:
        number = -1
    if not (math.isfinite(number) and 0 <= number < 2**31):
        raise InputError(f"{where}: {column} is {text!r}, expected "
                         + ("a whole number" if kind is int else "a number") + " of at least 0")
    return number


def pop_sides(where: str, row: dict) -> dict[str, str]:
    """Take the columns split_NAME out of a row of `read_table`: its side (train, test or "") by name of the split.

    Raises:
        InputError: a side is none of the three.
    """
    sides = {}
    for column in [column for column in row if column.startswith(SPLIT)]:
        side = sides[column.removeprefix(SPLIT)] = row.pop(column)
        if side not in ("train", "test", ""):
            raise InputError(f"{where}: {column} is {side!r}, expected train, test or nothing")
    return sides


def check_report(report, output):
    """Refuse the path of a report that cannot be written, or that is the output's; no report (None) is none of both."""
    if report is None:
        return
    if not pathlib.Path(report).absolute().parent.is_dir():
        raise InputError(f"{report}: no such folder to write the report into")
    if os.path.abspath(report) == os.path.abspath(output):
        raise InputError(f"{report}: --report and --output are the same file")


def write_report(path, videos: Sequence):
    """Write one row a video, the fields of its report (a dataclass)."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in dataclasses.fields(videos[0])])
        rows.writeheader()
        rows.writerows(dataclasses.asdict(video) for video in videos)
