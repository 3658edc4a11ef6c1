"""Tables, for a terminal and as Markdown, by rich. Imports no JAX.

Every table that a script prints or writes is a `Table`: headings and rows of cells.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Sequence
from typing import IO

import rich.box
import rich.table
from rich.console import Console
from rich.text import Text

# Wider than any table: where nobody says a width, nothing is folded.
_ENDLESS = 100_000
# A cell of a column of numbers: "86.0 (82.5 – 88.9)", "1,020", "< 0.1 %", "31 MB", "–", "".
_NUMBER = re.compile(r"([0-9 .,()%/<>≤≥±×+−–-]+[a-zA-Z/%]{0,7})?")


class Table:
    """Rows under headings, aligned.

    The first column names the rows and is flush left, and so is a column of words; one that holds
    numbers alone is flush right. No cell is ever cut, whatever it holds.

        >>> table = Table(["", "top-1, %", "of"], [["trained", 86.0, "Z_T"]])
        >>> table.add("majority class", None, "no encoder")
        >>> print(table)
                        top-1, %  of
        trained             86.0  Z_T
        majority class         –  no encoder
        >>> print(table.markdown())
        |                | top-1, % | of         |
        | -------------- | -------: | ---------- |
        | trained        |     86.0 | Z_T        |
        | majority class |        – | no encoder |

    Args:
        headings: of the columns.
        rows: of as many cells each. A cell is whatever `str` makes a text of, numbers already
            rounded; None is an unknown one, "–".
    """

    def __init__(self, headings: Sequence[str], rows: Iterable[Sequence[object]] = ()):
        self.headings = [_plain(heading) for heading in headings]
        self.rows: list[list[str]] = []
        for row in rows:
            self.add(*row)

    def add(self, *cells: object):
        """Add a row.

        Raises:
            ValueError: it has more or fewer cells than there are headings.
        """
        if len(cells) != len(self.headings):
            raise ValueError(f"{len(cells)} cells for {len(self.headings)} columns: {cells}")
        self.rows.append(["–" if cell is None else _plain(str(cell)) for cell in cells])

    def text(self, width: int | None = None, indent: int = 0) -> str:
        """The table as plain text, two spaces between columns.

        Args:
            width: of the lines at most: columns of words are folded where they do not fit. None
                makes every line as long as it needs; the terminal's width is never asked for.
            indent: spaces before every line.
        """
        lines = _lines(self.__rich__(), (width or _ENDLESS) - indent)
        return "\n".join((" " * indent + line).rstrip() for line in lines)

    def markdown(self) -> str:
        """The table in Markdown that can be read as it is."""
        table = self._columns(box=rich.box.MARKDOWN, pad_edge=True)
        # rich leaves an empty line for the border that Markdown does not have.
        head, rule, *rest = (line for line in _lines(table, _ENDLESS) if line.strip())
        marks = []
        for dashes, number in zip(rule.strip("|").split("|"), self._numbers()):
            # rich's own rule does not say which columns are flush right.
            marks.append(dashes[3:] + ":" if number else dashes[2:])
        return "\n".join([head, f"| {' | '.join(marks)} |", *rest])

    def __str__(self) -> str:
        return self.text()

    def __rich__(self) -> rich.table.Table:
        # A hook of rich: how a console shows this object.
        return self._columns(box=None, pad_edge=False)

    def _numbers(self) -> list[bool]:
        """Of every column, whether it is one of numbers."""
        columns = list(zip(*self.rows)) or [()] * len(self.headings)
        return [
            place > 0 and all(_NUMBER.fullmatch(cell) for cell in column)
            for place, column in enumerate(columns)
        ]

    def _columns(self, box, pad_edge: bool) -> rich.table.Table:
        table = rich.table.Table(
            box=box, pad_edge=pad_edge, padding=(0, 1), header_style="bold" if box is None else ""
        )
        for heading, number in zip(self.headings, self._numbers()):
            table.add_column(
                _cell(heading, box),
                justify="right" if number else "left",
                no_wrap=number,
                overflow="fold",
                min_width=None if box is None else 3,
            )
        for row in self.rows:
            table.add_row(*(_cell(cell, box) for cell in row))
        return table


def show(*parts: object, file: IO[str] | None = None):
    """Print tables and lines, an empty line between each two.

    On a terminal tables fit its width, by folding, and their headings are bold; everywhere else
    they are the plain text of `Table.text`, the same on every machine.

    Args:
        parts: tables, and anything that `print` takes.
        file: where to; None is the standard output.
    """
    file = file or sys.stdout
    console = Console(file=file, highlight=False)
    for place, part in enumerate(parts):
        if place:
            print(file=file)
        if isinstance(part, Table) and console.is_terminal:
            console.print(part)
        else:
            print(part, file=file)


def _plain(text: str) -> str:
    """A cell's text on one line."""
    return " ".join(text.splitlines()) if text else ""


def _cell(text: str, box) -> Text:
    # A Text, for rich reads "[...]" in a str as its own markup.
    return Text(text.replace("|", "\\|") if box is rich.box.MARKDOWN else text)


def _lines(table: rich.table.Table, width: int) -> list[str]:
    """A table's lines, drawn without colours on a console of this width."""
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, force_terminal=False)
    console.print(table)
    return file.getvalue().splitlines()
