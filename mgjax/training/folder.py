"""A run's working folder: what a run leaves in it, and a trained model out of it.

run.json         the options, enough to build the model again
metrics.jsonl    one JSON object an epoch
checkpoints/     Orbax checkpoints by step
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx

from mgjax import __version__, files, options
from mgjax.errors import InputError, short
from mgjax.training import checkpoints
from mgjax.training.run import Run, build_model

# How often to save does not change what is computed, so a resumed run may change it.
_FREE = {"training.checkpoint_seconds"}
# How long to train may change while nothing that was done is undone.
_LENGTH = {"training.epochs", "training.steps"}


class RunFolder:
    """A run's working folder."""

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path).absolute()
        self._described = self.path / "run.json"

    def claim(self, run: Run, store: dict | None = None, any_length: bool = False) -> Run:
        """Write the run's options into the folder, or check that they are the ones already there.

        Args:
            run: the run.
            store: what it is trained on, as of `Store.described`; None leaves that unchecked.
            any_length: whether epochs and steps may be others than there.

        Returns:
            the run as it is written there.

        Raises:
            InputError: the folder holds something else, or a run with other options or of another
                store.
        """
        if self._described.exists():
            values, found = self._read()
            flat, wanted = _flat(found.to_dict()), _flat(run.to_dict())
            for name in wanted:
                if flat.get(name) != wanted[name] and name not in (
                    _FREE | _LENGTH if any_length else _FREE
                ):
                    raise InputError(
                        f"{self._described}: this folder holds a run with "
                        f"{name}={flat.get(name)}, not {wanted[name]}; "
                        "resume with the same options or choose another folder"
                    )
            if store is not None:
                self._check_store(values.get("store"), store)
                if "store" not in values:
                    self.write(found, store)
            return found
        self.make()
        if any(p.suffix != ".partial" for p in self.path.iterdir()):
            raise InputError(f"{self.path}: is not empty and holds no run; choose a new folder")
        self.write(run, store)
        return run

    def make(self):
        """Make the folder where there is none.

        Raises:
            InputError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be made a folder for the run ({error.strerror})"
            ) from None

    def _check_store(self, noted: dict | None, store: dict):
        """Raise InputError where the store is not the one that the run was begun on."""
        if noted is None:
            if (self.path / "checkpoints").exists():
                print(
                    f"note: {self._described} does not say which store the run was begun on; "
                    "from now on it is this "
                    "one",
                    file=sys.stderr,
                    flush=True,
                )
            return
        if noted.get("fingerprint") == store["fingerprint"]:
            return
        differing = [
            f"{noted.get(name)} {name} there, {store[name]} here"
            if name != "layout"
            else f"layout {noted.get(name)!r} there, {store[name]!r} here"
            for name in store
            if name != "fingerprint" and noted.get(name) != store[name]
        ]
        raise InputError(
            f"{self.path}: the run there was begun on another store ("
            f"{'; '.join(differing) or 'the same numbers, other contents'}); choose another "
            "folder, or delete this one "
            "to begin anew"
        )

    def write(self, run: Run, store: dict | None):
        """Write run.json."""
        files.write_json(
            self._described,
            {"mgjax": __version__, **run.to_dict()} | ({"store": store} if store else {}),
        )

    def load(self) -> Run:
        """The run whose folder this is.

        Raises:
            InputError: there is none, or run.json is damaged.
        """
        if not self._described.is_file():
            raise InputError(
                f"{self.path}: holds no run (no run.json); give the folder that training wrote"
            )
        return self._read()[1]

    def _read(self) -> tuple[dict, Run]:
        """run.json: its values, and the run that they describe."""
        values = files.read_json(self._described, "what training wrote; it is damaged")
        try:
            run = Run.from_dict(values)
            noted = values.get("store", {"fingerprint": ""})
            if not isinstance(noted, dict) or not isinstance(noted.get("fingerprint"), str):
                raise InputError(
                    f"store is {short(noted)}, expected an object with its fingerprint"
                )
        except InputError as error:
            raise InputError(
                f"{self._described}: damaged, or from another version of mgjax: {error}"
            ) from None
        except RecursionError:
            raise InputError(f"{self._described}: damaged: nested too deeply") from None
        return values, run

    def checkpoints(self, writing: bool = False) -> ocp.CheckpointManager:
        """The folder's checkpoints, to read or, by the one process that trains, to write; the
        two newest are kept.
        """
        if not writing and not (self.path / "checkpoints").is_dir():
            raise InputError(f"{self.path}: the run there has no checkpoint yet")
        return checkpoints.manager_of(self.path / "checkpoints", writing)

    def metrics(self) -> list[dict]:
        """Records of metrics.jsonl, one a step; a last line that a kill cut short is left out.

        Raises:
            InputError: another line is no record.
        """
        return _records(self._metrics_lines(), self.path)

    def _metrics_lines(self) -> list[tuple[dict, str]]:
        path = self.path / "metrics.jsonl"
        lines = (
            files.read_bytes(path, "records of training, one a line").splitlines()
            if path.exists()
            else []
        )
        return [_parsed(line) for line in lines]

    def keep_metrics(self, step: int, ended: bool = True) -> list[dict]:
        """Drop records past a step, which the run is about to repeat; returns the ones kept.

        Args:
            ended: whether an epoch or the run ended with that step; else a record of it is
                dropped too, being of an epoch that the run, given more steps, goes on with.

        Raises:
            InputError: a line before the last one kept is no record.
        """
        lines = self._metrics_lines()
        keep = [not problem and record["step"] < step + ended for record, problem in lines]
        lines = lines[: max(np.flatnonzero(keep), default=-1) + 1]
        kept = [record for record in _records(lines, self.path) if record["step"] < step + ended]
        files.write_text(
            self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in kept)
        )
        return kept

    def add_metrics(self, record: dict):
        """Append a record to metrics.jsonl.

        Raises:
            InputError: it cannot be written.
        """
        path = self.path / "metrics.jsonl"
        try:
            with open(path, "a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror}); the run goes on from "
                "its last "
                "checkpoint"
            ) from None


def _records(lines: list[tuple[dict, str]], folder: pathlib.Path) -> list[dict]:
    """Records of training out of lines as `_parsed` gives them, the last one of every step; a
    last line that is none is left out."""
    records = {}
    for number, (record, problem) in enumerate(lines, 1):
        if not problem:
            records[record["step"]] = record
        elif number < len(lines):
            raise InputError(
                f"{folder / 'metrics.jsonl'}: line {number} {problem}; expected a "
                "record of an epoch, "
                "finite numbers with epoch, step and loss among them; delete that "
                "line"
            )
    return [records[step] for step in sorted(records)]


def _parsed(line: bytes) -> tuple[dict, str]:
    """The record that a line of metrics.jsonl holds, and "", or what keeps it from being one, in
    words.
    """
    try:
        record = json.loads(line)
    except RecursionError:
        return {}, "is nested too deeply"
    except ValueError:  # not UTF-8 either
        return {}, "is not JSON"
    return record, _problem(record)


def _problem(record) -> str:
    """What keeps a value from being a record of training, in words; "" where it is one."""
    if not isinstance(record, dict):
        return f"is {short(record)}"
    for name in ("epoch", "step", "loss", *record):
        value = record.get(name)
        if type(value) not in (int, float) or not abs(value) <= options.LARGEST[float]:
            return f"has {name} {short(value)}" if name in record else f"has no {name}"
    for name in ("epoch", "step"):
        if type(record[name]) is not int or record[name] < 0:
            return f"has {name} {record[name]}"
    return ""


def _flat(values: dict, prefix: str = "") -> dict:
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def load_model(folder: str | os.PathLike, step: int | None = None) -> tuple[nnx.Module, Run, int]:
    """A trained model out of a run's folder.

    Args:
        folder: the run's working folder.
        step: which checkpoint; None takes the newest that is not damaged.

    Returns:
        the model, its run, and the step of its checkpoint.

    Raises:
        InputError: the folder holds no run or no such checkpoint, or the checkpoint is damaged.
    """
    folder = RunFolder(folder)
    run = folder.load()
    model = build_model(run)
    graph, state = nnx.split(model)
    trees = {"model": jax.tree.map(np.asarray, nnx.to_pure_dict(state))}
    with folder.checkpoints() as manager:
        if step is not None and step in manager.all_steps():
            read = checkpoints.restore(manager, step, **trees)
        elif step is None and (found := checkpoints.newest(manager, **trees)):
            step, read, _ = found
        else:
            have = ", ".join(map(str, manager.all_steps())) or "none"
            raise InputError(f"{folder.path}: no checkpoint of step {step}; there are: {have}")
    nnx.replace_by_pure_dict(state, read["model"])
    return nnx.merge(graph, state), run, step
