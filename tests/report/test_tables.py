"""Tables as text and as Markdown: aligned, whole, and the same whatever the terminal."""

import io
import re
import subprocess
import sys

import pytest

from mgjax.report.tables import Table, show

LONG = " ".join(3 * ["a name that is much longer than the terminal is wide"])


@pytest.fixture
def table():
    return Table(["", "n", "words"], [["short", 7, "[red]x[/red] :smile:"], [LONG, "1,020", None]])


def test_numbers_are_flush_right_and_words_flush_left(table):
    head, short, long = table.text().splitlines()
    end = len(LONG) + len("  1,020")
    assert head[:end].endswith("     n") and short[:end].endswith("     7")
    assert long[:end].endswith("  1,020")
    assert short.endswith("  [red]x[/red] :smile:") and long.endswith("  –")


@pytest.mark.parametrize("columns", ["20", "300"])
def test_nothing_is_cut_and_the_width_of_a_terminal_does_not_matter(table, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    lines = table.text().splitlines()
    assert len(lines) == 3 and LONG in lines[2]


def test_words_are_folded_to_a_width_that_is_asked_for(table):
    text = table.text(width=60, indent=2)
    assert all(line.startswith("  ") and len(line) <= 60 for line in text.splitlines())
    assert all(text.count(word) >= LONG.count(word) for word in LONG.split())


def test_markdown(table):
    table.add("a|b", "–", "two\nlines")
    lines = table.markdown().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [set(part) for part in lines[1][2:-2].split(" | ")] == [{"-"}, {"-", ":"}, {"-"}]
    assert lines[1].split(" | ")[1].endswith("-:")
    assert lines[-1].split() == ["|", "a\\|b", "|", "–", "|", "two", "lines", "|"]


def test_a_table_without_rows_is_its_headings():
    assert Table(["a", "b"]).text() == "a  b"
    assert Table(["a", "b"]).markdown().splitlines()[0].split() == ["|", "a", "|", "b", "|"]


@pytest.mark.parametrize(
    "cells", [["86.0", "–"], ["< 0.1 %", "31 MB"], ["3 / 4", ""], ["-0.5", "40.0 (30.9 – 49.8)"]]
)
def test_what_counts_as_a_number(cells):
    head, *_ = Table(["", "h"], [["x", cell] for cell in cells]).text().splitlines()
    assert len(head) == 3 + max(map(len, cells))


@pytest.mark.parametrize("cell", ["7 words, and more", "seed 3", "[[2, 0], [0, 2]]"])
def test_what_does_not(cell):
    assert Table(["", "h"], [["x", 1], ["x", cell]]).text().startswith("   h\n")


def test_rows_must_fit_the_headings(table):
    with pytest.raises(ValueError, match="2 cells for 3 columns"):
        table.add("a", "b")


def test_show_is_plain_where_there_is_no_terminal(table, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    file = io.StringIO()
    show("above", table, file=file)
    assert file.getvalue() == f"above\n\n{table.text()}\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_show_fits_a_terminal_and_cuts_nothing(table, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    file = Terminal()
    show(table, file=file)
    assert "\x1b[1mwords" in file.getvalue()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()).splitlines()
    assert len(lines) > 3 and all(len(line) <= 50 for line in lines)
    text = " ".join(lines)
    assert all(text.count(word) >= LONG.count(word) for word in LONG.split())


def test_no_jax_is_imported():
    code = "import sys, mgjax.report.tables, mgjax.report.accuracy; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
