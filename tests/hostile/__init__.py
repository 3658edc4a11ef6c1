"""Hostile inputs for everything that reads a file or a flag; `tests/campaign.py` runs them.

A target is a function of (chance, folder, good) that writes one hostile input into `folder`, gives
it to the reader under test, and returns when it was accepted and what came out is sound. `chance`
is a `random.Random` and decides everything, so that a case is a function of (target, seed, number).
`good` is a folder of sound material that `prepare` makes once.

A module of this package adds targets of its own with `@target`; list it in MODULES.
"""

from __future__ import annotations

import importlib
import os
import pathlib
from collections.abc import Callable
from typing import NamedTuple

MODULES = (
    "hostile.recordings",
    "hostile.benchmarks",
    "hostile.stores",
    "hostile.runs",
    "hostile.options",
)


class Nonsense(Exception):
    """What was accepted is not sound, or a refusal left something behind."""


class Target(NamedTuple):
    """A reader under test.

    Attributes:
        run: the function described above; InputError means refused, anything else is a finding.
        share: of a campaign's cases, in parts of all shares' sum; 0 only where it is asked for.
        prepare: makes its sound material in a folder, unless it is there.
        names_file: a refusal must name a path in the case's folder.
    """

    run: Callable
    share: int
    prepare: Callable | None
    names_file: bool


TARGETS: dict[str, Target] = {}


def target(name: str, share: int, prepare: Callable | None = None, names_file: bool = True):
    """Add a function to the targets."""

    def add(run):
        TARGETS[name] = Target(run, share, prepare, names_file)
        return run

    return add


def load(modules=MODULES) -> dict[str, Target]:
    """The targets of some modules."""
    for module in modules:
        importlib.import_module(module)
    return {name: one for name, one in TARGETS.items() if one.run.__module__ in modules}


def made(path: pathlib.Path, write: Callable[[pathlib.Path], object]) -> pathlib.Path:
    """A file or folder that is written once, whole or not at all."""
    if not path.exists():
        partial = path.with_name(f"making-{os.getpid()}-{path.name}")
        write(partial)
        partial.rename(path)
    return path
