"""CSV tables as the packing scripts take and write them: every mistake named, written whole.

Cells are separated by commas, semicolons or tabs, whichever the first line has most of;
where it has as many semicolons as commas, by semicolons. In a table of semicolons, as a
spreadsheet writes it where numbers have a decimal comma, 25,0 is 25. A first line
`sep=;`, as Excel takes it, says the separator instead. The text is UTF-8.

This module needs the standard library only.
"""

from __future__ import annotations

import codecs
import collections
import csv
import dataclasses
import io
import os
import re
import reprlib
from collections.abc import Iterator, Sequence
from typing import Any

from mgjax import files
from mgjax.errors import InputError

SPLIT = "split_"  # what a column begins with that says which videos of a split train and which test
SEPARATORS = {";": "semicolons", ",": "commas", "\t": "tabs"}
LARGEST = 2**28  # bytes of a table
LONGEST = 1000  # characters of a name
_NUMBERS = {"fps", "width", "height", "start", "stop"}  # columns of numbers
_FRACTIONS = {"fps"}  # those of them whose numbers need not be whole
_SAID = re.compile(r'"?sep=(.)"?(\r\n|\r|\n|$)', re.IGNORECASE)
# Control characters, line breaks of all kinds, and halves of characters (no text at all).
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def shown(value: object) -> str:
    """Any value, for an error message: as Python writes it, cut off after a hundred characters."""
    # A text is cut before its quotes are put on, so that both are there.
    if isinstance(value, str):
        return repr(value if len(value) <= 100 else value[:97] + "...")
    return reprlib.repr(value)[:100]


def check_text(where: str, what: str, text: str) -> None:
    """Refuse a text that cannot be a name in a store or a table: of a class, subject, video, split.

    Raises:
        InputError: it has a control character, a line break or half a character in it, or
            is long.
    """
    found = _UNPRINTABLE.search(text)
    if found:
        raise InputError(
            f"{where}: {what} is {shown(text)}, expected a text without {found[0]!r} in it"
        )
    if len(text) > LONGEST:
        raise InputError(
            f"{where}: {what} is {shown(text)}, expected at most {LONGEST} characters, not "
            f"{len(text)}"
        )


def check_split(where: str, name: str) -> None:
    """Refuse what cannot be the name of a split.

    Raises:
        InputError: as `check_text`, or the name is empty, a dot, "all", or has a slash in
            it.
    """
    check_text(where, "the name of a split", name)
    if not name or "/" in name or name in (".", "all"):
        raise InputError(
            f"{where}: a split cannot be called {name!r}: it needs a name without a slash, and "
            '"all" is every store\'s own'
        )


def read_rows(path: str | os.PathLike) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """The separator of a CSV file, and the line number and cells of each row.

    The last row is that of the last character that is no blank.

    Raises:
        InputError: the file cannot be read, or is no CSV text; some only while the rows
            are read.
    """
    text = _read(path)
    said = _SAID.match(text)
    if said:
        separator, text = said[1], text[said.end() :]
    else:
        first = _first_line(text)
        # Of as many of two kinds the first in SEPARATORS.
        separator = max(SEPARATORS, key=first.count)
        separator = separator if separator in first else ","
    if separator not in SEPARATORS:
        raise InputError(
            f"{path}, line 1: the separator is {separator!r}, expected a comma, a semicolon or a "
            "tab"
        )
    # Tabs at the end may be a row of empty cells.
    text = text.rstrip("\r\n " if separator == "\t" else None)
    return separator, _rows(path, text, separator, int(bool(said)))


def _first_line(text: str) -> str:
    ends = [place for place in (text.find("\n"), text.find("\r")) if place >= 0]
    return text[: min(ends, default=len(text))]


def _read(path: str | os.PathLike) -> str:
    data = files.read_bytes(path, "a CSV table", LARGEST)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What Excel calls "Unicode text".
        utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        raise InputError(
            f"{path}: not UTF-8 text{' but UTF-16' if utf_16 else ''}; expected a CSV table: save "
            'it anew, in Excel as "CSV UTF-8"'
        ) from None
    # The csv module would name neither the byte nor the table.
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}, line {line}: has a NUL byte; expected a CSV table in UTF-8")
    return text


def _rows(
    path: str | os.PathLike, text: str, separator: str, before: int
) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in rows:
            yield rows.line_num + before, cells
    except csv.Error as error:
        where = f"{path}, line {rows.line_num + before}"
        raise InputError(f"{where}: {error}; expected a CSV table") from None


def read_table(
    path: str | os.PathLike,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    prefix: str | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a CSV table with a header: where it is, for error messages, and its values by column.

    Text is stripped; the columns of numbers are numbers, and left out of a row where they
    are empty and optional. Columns whose names begin with the prefix are optional too.

    Raises:
        InputError: the file is missing or not text, columns are missing or unknown, or a
            value is wrong.

    Example:
        >>> import pathlib, tempfile
        >>> from data_prep import csv_tables
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "clips.csv")
        ...     _ = path.write_text("video,start,stop\\nanna,0,25\\n")
        ...     ((where, row),) = csv_tables.read_table(
        ...         path, ("video", "start", "stop"), ("label",)
        ...     )
        >>> where.endswith("clips.csv, line 2"), row
        (True, {'video': 'anna', 'start': 0, 'stop': 25})
    """
    separator, rows = read_rows(path)
    taken = f"(its columns are separated by {SEPARATORS[separator]})"
    columns = [column.strip() for column in next(rows, (1, []))[1]]
    _check_columns(path, columns, required, optional, prefix, taken)
    for line, row in rows:
        where = f"{path}, line {line}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            raise InputError(f"{where}: {len(row)} values, expected {len(columns)} {taken}")
        values = {}
        for column, cell in zip(columns, row):
            values[column] = _value(where, column, cell.strip(), separator)
        for column in required:
            if values[column] in (None, ""):
                raise InputError(f"{where}: no {column}")
        yield where, {column: value for column, value in values.items() if value is not None}


def _check_columns(
    path: str | os.PathLike,
    columns: list[str],
    required: tuple[str, ...],
    optional: tuple[str, ...],
    prefix: str | None,
    taken: str,
) -> None:
    named = (*optional, f"{prefix}...") if prefix else optional
    expected = f"expected the columns {', '.join(required)} and perhaps {', '.join(named)} {taken}"
    for column in required:
        if column not in columns:
            raise InputError(f"{path}: no column {column!r} in its first line; {expected}")
    count = collections.Counter(columns)
    for column in columns:
        known = column in required + optional
        name = column.removeprefix(prefix) if prefix and column.startswith(prefix) else ""
        # A column that is misspelt would otherwise be left out without a word.
        if not (known or name) or count[column] > 1:
            problem = f"unknown or repeated column {shown(column)}"
            raise InputError(f"{path}: {problem}; {expected}")
        if not known:
            check_split(f"{path}: column {shown(column)}", name)


def _value(where: str, column: str, text: str, separator: str) -> str | float | None:
    """A cell's text, its number in a column of numbers, or None if that is empty."""
    if column not in _NUMBERS:
        check_text(where, column, text)
        return text
    if not text:
        return None
    whole = column not in _FRACTIONS
    # Spreadsheets write semicolons where numbers have a decimal comma.
    pointed = text.replace(",", ".") if separator == ";" else text
    try:
        number = int(text) if whole else float(pointed)
    except ValueError:
        number = -1
    if not 0 <= number < 2**31:  # NaN is neither
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{where}: {column} is {shown(text)}, expected {kind} of at least 0")
    return number


def pop_sides(where: str, row: dict[str, Any]) -> dict[str, str]:
    """Take the columns split_NAME out of a row of `read_table`.

    Returns:
        The row's side (train, test or "") by name of the split.

    Raises:
        InputError: a side is none of the three.
    """
    sides = {}
    for column in [column for column in row if column.startswith(SPLIT)]:
        side = row.pop(column)
        if side not in ("train", "test", ""):
            raise InputError(f"{where}: {column} is {shown(side)}, expected train, test or nothing")
        sides[column.removeprefix(SPLIT)] = side
    return sides


def check_report(report: str | os.PathLike | None, output: str | os.PathLike) -> None:
    """Refuse the path of a report that cannot be written, or that is the output's.

    Says on standard error if a file there will be replaced. No report (None) is none of
    these.
    """
    if report is None:
        return
    if os.path.realpath(report) == os.path.realpath(output):
        raise InputError(f"{report}: --report and --output are the same file")
    files.output(report)


def write_report(path: str | os.PathLike, videos: Sequence[Any]) -> None:
    """Write one row a video, the fields of its report (a dataclass); whole or not at all."""
    with files.whole(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        columns = [field.name for field in dataclasses.fields(videos[0])]
        rows = csv.DictWriter(file, columns)
        rows.writeheader()
        rows.writerows(dataclasses.asdict(video) for video in videos)
