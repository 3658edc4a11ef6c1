"""metrics.jsonl: one record an epoch, a JSON object a line."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mgjax import files
from mgjax.errors import InputError, short
from mgjax.options import LARGEST


class Line(NamedTuple):
    """A line of the file.

    Attributes:
        record: the record that it holds, empty where it holds none.
        problem: what keeps it from holding one, in words; "" where it does.
    """

    record: dict[str, Any]
    problem: str


class Records:
    """The records of a run.

    A line that a kill cut short is the last one, and is left out. Of several records of a step,
    which a repeated epoch leaves, the last one counts.

    Args:
        folder: the run's working folder.
    """

    def __init__(self, folder: pathlib.Path):
        self.path = folder / "metrics.jsonl"

    def read(self) -> list[dict]:
        """The records, one a step, by their step.

        Raises:
            InputError: a line other than the last is no record.
        """
        return self._of(self._lines())

    def keep(self, step: int, ended: bool = True) -> list[dict]:
        """Drop records past a step, which the run is about to repeat; returns the ones kept.

        Args:
            step: the step that the run goes on from.
            ended: whether an epoch or the run ended with that step; else a record of it is
                dropped too, being of an epoch that the run, given more steps, goes on with.

        Raises:
            InputError: a line before the last one kept is no record.
        """
        lines = self._lines()
        wanted = [not line.problem and line.record["step"] < step + ended for line in lines]
        # What is no record does no harm after the last one that is kept.
        end = max(np.flatnonzero(wanted), default=-1) + 1
        kept = [record for record in self._of(lines[:end]) if record["step"] < step + ended]
        files.write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        return kept

    def add(self, record: dict) -> None:
        """Append a record.

        Raises:
            InputError: it cannot be written.
        """
        try:
            # Opened for every record, so that each is in the file once its epoch has ended.
            with open(self.path, "a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); the run goes on from its last "
                "checkpoint"
            ) from None

    def _lines(self) -> list[Line]:
        if not self.path.exists():
            return []
        data = files.read_bytes(self.path, "records of training, one a line")
        return [_parsed(line) for line in data.splitlines()]

    def _of(self, lines: Sequence[Line]) -> list[dict]:
        records = {}
        for number, (record, problem) in enumerate(lines, 1):
            if not problem:
                records[record["step"]] = record
            elif number < len(lines):
                raise InputError(
                    f"{self.path}: line {number} {problem}; expected a record of an epoch, finite "
                    "numbers with epoch, step and loss among them; delete that line"
                )
        return [records[step] for step in sorted(records)]


def _parsed(line: bytes) -> Line:
    try:
        record = json.loads(line)
    except RecursionError:
        return Line({}, "is nested too deeply")  # of brackets, which JSON allows
    except ValueError:  # not UTF-8 either
        return Line({}, "is not JSON")
    return Line(record, _problem(record))


def _problem(record: Any) -> str:
    """What keeps a value from being a record of training, in words; "" where it is one."""
    if not isinstance(record, dict):
        return f"is {short(record)}"
    # Pictures and patience read any of them as a number.
    for name in ("epoch", "step", "loss", *record):
        value: Any = record.get(name)
        if type(value) not in (int, float) or not abs(value) <= LARGEST[float]:
            return f"has {name} {short(value)}" if name in record else f"has no {name}"
    for name in ("epoch", "step"):
        if type(record[name]) is not int or record[name] < 0:
            return f"has {name} {record[name]}"
    return ""
