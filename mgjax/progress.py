"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TypeVar, cast

from rich import progress
from rich.console import Console

Item = TypeVar("Item")


class _Lenient:
    """A stream that may be closed or full: what cannot be written is dropped, for the work
    matters more.
    """

    # What a full disk, a closed stream and one that is None raise.
    _FAILURES = (OSError, ValueError, AttributeError)

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream: Any = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether it is a terminal; closed, or not there at all, it is none."""
        with contextlib.suppress(*self._FAILURES):
            return self._stream.isatty()
        return False

    def write(self, text: str) -> int:
        with contextlib.suppress(*self._FAILURES):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(*self._FAILURES):
            self._stream.flush()


@contextlib.contextmanager
def counter(
    total: int, description: str, done: int = 0, every: float = 30.0
) -> Iterator[Callable[..., None]]:
    """Show how much of `total` is done, on standard error; yields `advance(note="", items=1)`, to
    call when so many more are done.

    On a terminal it is a bar with the time left and the latest note; elsewhere (a log file, CI) a
    line at most every `every` seconds. Where standard error is closed or full there is none, and
    the work goes on.

    Args:
        total: how much there is to do.
        description: of the work, in a word or two.
        done: how much of it was done before.
        every: seconds.
    """
    stream = _Lenient(sys.stderr)
    shown = _bar if stream.isatty() else _lines
    with shown(stream, total, description, done, every) as advance:
        yield advance


@contextlib.contextmanager
def _bar(
    stream: _Lenient, total: int, description: str, done: int, _: float
) -> Iterator[Callable[..., None]]:
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}"),
    )
    console = Console(file=cast(IO[str], stream))
    with progress.Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total, completed=done, note="")

        def advance(note: str = "", items: int = 1) -> None:
            # Without a new note the last one stays.
            fields: dict[str, Any] = {"note": note} if note else {}
            bar.update(task, advance=items, **fields)

        yield advance


@contextlib.contextmanager
def _lines(
    stream: _Lenient, total: int, description: str, done: int, every: float
) -> Iterator[Callable[..., None]]:
    last = time.monotonic()

    def advance(note: str = "", items: int = 1) -> None:
        nonlocal done, last
        done += items
        if time.monotonic() - last <= every:
            return
        last = time.monotonic()
        line = f"{description}: {done} of {total} {note}".rstrip()
        print(line, file=cast(IO[str], stream), flush=True)

    # Nothing is written at the end: who counts says what came of it.
    yield advance


def track(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Yield the items while showing how many of `total` are done."""
    with counter(total, description) as advance:
        for item in items:
            yield item
            advance()
