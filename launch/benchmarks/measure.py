"""How every suite measures: contestants take turns in one process, and medians are compared."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Measurement:
    """One figure and, where there is one, its peer's; bench.json is a list of these.

    Attributes:
        suite: name of the suite.
        case: what was measured.
        value: our figure.
        unit: its unit, and the peer's.
        peer: what we are compared with; None where there is nothing to compare with or it is not
            installed.
        peer_value: the peer's figure.
        ratio: how many times better we are; above 1 we are better, whichever way the unit points.
        runs: how many times each contestant was timed; 1 for what is counted rather than timed.
        device: where it ran.
    """

    suite: str
    case: str
    value: float
    unit: str
    peer: str | None
    peer_value: float | None
    ratio: float | None
    runs: int
    device: str


def alternate(contestants: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Time contestants in turn, so that whatever else the machine does falls on all of them alike.

    Each runs once unmeasured; then, `runs` times, every one of them once. A contestant must
    return only when its work is done, which for JAX means `block_until_ready`.

    Returns:
        seconds of every contestant, one a round.
    """
    for contestant in contestants.values():
        contestant()
    seconds = {name: [] for name in contestants}
    for _ in range(runs):
        for name, contestant in contestants.items():
            began = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def row(
    suite: str,
    case: str,
    unit: str,
    ours: list[float],
    peer: str | None = None,
    theirs: list[float] | None = None,
    amount: float | None = None,
    peer_amount: float | None = None,
) -> Measurement:
    """The medians of two contestants as a row; prints them with their spread.

    Args:
        suite, case, unit: as in `Measurement`.
        ours: our seconds, one a run.
        peer: the peer's name.
        theirs: its seconds; without them the row has no peer.
        amount: how much (frames, queries) one run works through: the value is then amount /
            median seconds, and higher is better. Without it the value is the median in
            milliseconds, and lower is better.
        peer_amount: how much one run of the peer works through, where it is not the same.
    """
    value, spread = _rate(ours, amount)
    if peer is None or theirs is None:
        return _said(
            Measurement(suite, case, value, unit, None, None, None, len(ours), device_name()),
            spread,
        )
    peer_value, peer_spread = _rate(theirs, amount if peer_amount is None else peer_amount)
    ratio = peer_value / value if amount is None else value / peer_value
    return _said(
        Measurement(suite, case, value, unit, peer, peer_value, ratio, len(ours), device_name()),
        spread,
        peer_spread,
    )


def figure(
    suite: str,
    case: str,
    unit: str,
    value: float,
    peer: str | None = None,
    peer_value: float | None = None,
    higher_is_better: bool = False,
) -> Measurement:
    """A row of what is counted rather than timed (a share, bytes); prints it."""
    ratio = None
    if peer_value is not None:
        ratio = value / peer_value if higher_is_better else peer_value / value
    peer = None if ratio is None else peer
    return _said(Measurement(suite, case, value, unit, peer, peer_value, ratio, 1, device_name()))


@functools.cache
def optional(module: str, package: str):
    """A peer's module, or None where it is not installed, which is said once."""
    try:
        return importlib.import_module(module)
    except ImportError:
        print(f"{package} is not here to compare with: pip install {package} adds it", flush=True)
        return None


def _rate(seconds: list[float], amount: float | None) -> tuple[float, tuple[float, float]]:
    """The median as the row states it, and the least and greatest run likewise."""
    state = (lambda s: 1000 * s) if amount is None else (lambda s: amount / s)
    ends = sorted((state(min(seconds)), state(max(seconds))))
    return state(statistics.median(seconds)), (ends[0], ends[1])


def _said(row: Measurement, spread=None, peer_spread=None) -> Measurement:
    text = f"{row.suite}: {row.case}: {number(row.value)} {row.unit}{_between(spread)}"
    if row.ratio is not None:
        text += f"; {row.peer} {number(row.peer_value)}{_between(peer_spread)}; {row.ratio:.2f}x"
    print(text, flush=True)
    return row


def _between(spread):
    return f" ({number(spread[0])}–{number(spread[1])})" if spread else ""


def number(value: float) -> str:
    """A figure as text: three digits, or the whole number where it is longer."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@functools.cache
def device_name() -> str:
    """What JAX computes on, in words: the accelerator's kind, or the processor's name and how
    many cores it lends.
    """
    import jax

    devices = jax.devices()
    if devices[0].platform == "cpu":
        name, count = (
            _processor(),
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        )
        return f"{name}, {count} cores"
    return (
        devices[0].device_kind
        if len(devices) == 1
        else f"{len(devices)} x {devices[0].device_kind}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
