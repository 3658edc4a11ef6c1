"""Rows of an .xlsx workbook's first sheet, read in bounded memory by python-calamine.

A workbook is a zip file of XML, and what is small on the disk can be endless in memory:
parts that unpack to gigabytes, and a single cell far out, for which the library makes the
rectangle of all. So the parts that hold cells are unpacked here, measured and looked
through first.

This module never imports JAX. It needs python-calamine, the extra `xlsx`.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator

from mgjax.errors import InputError
from mgjax.files import read_bytes

LARGEST_SHEET, LARGEST_BOOK = 2**27, 2**30  # bytes of an .xlsx file, as it is and unpacked
# Parts of a workbook that hold cells, and those that say where they are.
_PART = re.compile(r"(xl/|xl/worksheets/|xl/_rels/|_rels/|)[^/]*\.(xml|rels)", re.IGNORECASE)
# An attribute r, a cell's place or a row's number, of column 703 (AAA) or row 100000 and
# more.
_FAR = re.compile(rb"""r(?<![:\w]r)\s*=\s*["'](?:[A-Za-z]{3,}[0-9]|[A-Za-z]{0,2}[0-9]{6})""")


def read_rows(path: str | os.PathLike) -> Iterator[tuple[int, list]]:
    """Number, from 1, and cells of each row, up to the last value in both directions.

    A cell is a text or a number; an empty one, or an error such as #N/A, is "".

    Raises:
        InputError: python-calamine is missing, or the file cannot be read, is no
            workbook, or is too large.
    """
    try:
        import python_calamine  # here, for it is an extra
    except ImportError:
        raise InputError(
            f"{path}: reading a sheet takes python-calamine: pip install 'mgjax[xlsx]'"
        ) from None
    book = _unpacked(path)
    try:
        first = python_calamine.load_workbook(book).get_sheet_by_index(0)
        rows = first.to_python(skip_empty_area=False)
    except (OSError, python_calamine.CalamineError) as error:
        raise _no_sheet(path, error) from None
    # The rectangle of all cells is filled up with "".
    for cells in rows:
        while cells and cells[-1] == "":
            cells.pop()
    while rows and not rows[-1]:
        rows.pop()
    return enumerate(rows, 1)


def _unpacked(path: str | os.PathLike) -> io.BytesIO:
    """A workbook as a zip file that is not packed, of the parts that hold cells alone.

    What is in there has then its true size, and no cell lies so far out that the
    rectangle of all would fill the memory: the library that reads it asks neither.

    Raises:
        InputError: it cannot be read, is no workbook, or is too large.
    """
    data = io.BytesIO(read_bytes(path, "a sheet (.xlsx)", LARGEST_SHEET))
    unpacked = io.BytesIO()
    try:
        with zipfile.ZipFile(data) as book, zipfile.ZipFile(unpacked, "w") as copy:
            parts = [part for part in book.infolist() if _PART.fullmatch(part.filename)]
            size = sum(part.file_size for part in parts)
            if size > LARGEST_BOOK:
                raise InputError(
                    f"{path}: its sheets have {size} bytes when unpacked, expected at most "
                    f"{LARGEST_BOOK}"
                )
            for part in parts:
                # No more is unpacked than it says; where that is wrong its checksum is
                # too.
                content = book.read(part)
                if _FAR.search(content):
                    raise InputError(f"{path}: a cell lies beyond row 99999 or column 702 (ZZ)")
                copy.writestr(part.filename, content)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged zip file can make its reader raise anything
        raise _no_sheet(path, error) from None
    unpacked.seek(0)
    return unpacked


def _no_sheet(path: str | os.PathLike, error: Exception) -> InputError:
    return InputError(f"{path}: not a whole sheet, damaged or cut short ({str(error)[:200]})")
