"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator

from rich import progress
from rich.console import Console


class _Lenient:
    """A stream that may be closed or full: what cannot be written is dropped, for the work
    matters more.
    """

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def isatty(self):
        """Whether it is a terminal; closed, or not there at all, it is none."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return self._stream.isatty()
        return False

    def write(self, text):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.write(text)
        return len(text)

    def flush(self):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.flush()


@contextlib.contextmanager
def counter(total: int, description: str, done: int = 0, every: float = 30.0):
    """Show how much of `total` is done, on standard error; yields `advance(note="", items=1)`, to
    call when so many more are done.

    On a terminal it is a bar with the time left and the latest note; elsewhere (a log file, CI) a
    line at most every `every` seconds. Where standard error is closed or full there is none, and
    the work goes on.
    """
    stream = _Lenient(sys.stderr)
    if stream.isatty():
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}"),
        )
        with progress.Progress(*columns, console=Console(file=stream)) as bar:
            task = bar.add_task(description, total=total, completed=done, note="")
            yield lambda note="", items=1: bar.update(
                task, advance=items, **({"note": note} if note else {})
            )
        return
    last = time.monotonic()

    def advance(note="", items=1):
        nonlocal done, last
        done += items
        if time.monotonic() - last > every:
            last = time.monotonic()
            print(f"{description}: {done} of {total} {note}".rstrip(), file=stream, flush=True)

    yield advance


def track(items: Iterable, total: int, description: str) -> Iterator:
    """Yield the items while showing how many of `total` are done."""
    with counter(total, description) as advance:
        for item in items:
            yield item
            advance()
