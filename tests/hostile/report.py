"""What a campaign prints: a row a target, and a line for every kind of finding."""

from __future__ import annotations

import collections

from rich.table import Table


def table(results: list):
    """A row a target."""
    rows = Table(
        "target",
        "cases",
        "accepted",
        "refused",
        "escapes",
        "hangs",
        "slowest, s",
        "mean, s",
        "memory, MB",
    )
    by_target = collections.defaultdict(list)
    for result in results:
        by_target[result.target].append(result)
    for name, some in [*sorted(by_target.items()), ("all", results)]:
        count = collections.Counter(result.outcome for result in some)
        slowest = max((result.seconds for result in some), default=0)
        mean = sum(result.seconds for result in some) / max(len(some), 1)
        grown = max((result.grown for result in some), default=0) / 2**20
        rows.add_row(
            name,
            *map(
                str,
                (len(some), count["accepted"], count["refused"], count["escape"], count["hang"]),
            ),
            f"{slowest:.2f}",
            f"{mean:.3f}",
            f"{grown:.0f}",
        )
    return rows


def findings(results: list) -> list[str]:
    """A line for every kind of finding: how often, what, where, and the first case."""
    kinds = collections.defaultdict(list)
    for result in results:
        if result.found:
            kind = result.detail.split(":")[0] if result.place else result.detail
            kinds[
                result.target,
                result.outcome,
                kind if result.outcome == "escape" else "",
                result.place,
            ].append(result)
    lines = []
    for (name, outcome, _, place), some in sorted(kinds.items()):
        first = min(some, key=lambda result: result.case)
        where = f" at {place}" if place else ""
        lines.append(f"{name} {outcome} x{len(some)}, case {first.case}: {first.detail}{where}")
    return lines
