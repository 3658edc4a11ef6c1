"""Signals that ask a run to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def collected() -> Iterator[list[int]]:
    """Collect SIGTERM, SIGHUP and SIGINT in a list instead of dying of them; a second one acts
    as usual.

    Outside of the main thread, where Python handles no signals, the list stays empty.
    """
    stopped: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def note(number, _):
        stopped.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    numbers = [signal.SIGTERM, signal.SIGINT]
    # Under nohup it is ignored, and stays so.
    if getattr(signal, "SIGHUP", None) and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
