"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator

from rich import progress


def track(items: Iterable, total: int, description: str, every: float = 30.0) -> Iterator:
    """Yield the items while showing how many of `total` are done, on standard error.

    On a terminal it is a bar with the time left; elsewhere (a log file, CI) a line every `every` seconds.
    """
    if sys.stderr.isatty():
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(), progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(stderr=True)) as bar:
            yield from bar.track(items, total=total, description=description)
        return
    last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last > every:
            last = time.monotonic()
            print(f"{description}: {done} of {total}", file=sys.stderr, flush=True)
