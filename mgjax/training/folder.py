"""A run's working folder: what a run leaves in it, and a trained model out of it.

run.json         the options, enough to build the model again
metrics.jsonl    one JSON object an epoch
checkpoints/     Orbax checkpoints by step
"""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx

from mgjax import __version__, files, models
from mgjax.errors import InputError, short
from mgjax.training import checkpoints
from mgjax.training.records import Records
from mgjax.training.run import Run, build_model

# How often to save does not change what is computed, so a resumed run may change it.
_FREE = {"training.checkpoint_seconds"}
# How long to train may change while nothing that was done is undone.
_LENGTH = {"training.epochs", "training.steps"}


class RunFolder:
    """A run's working folder.

    Args:
        path: the folder, which need not be there yet.
    """

    def __init__(self, path: str | os.PathLike):
        # Whoever changes the working directory later still has this folder.
        self.path = pathlib.Path(path).absolute()
        self._described = self.path / "run.json"
        self._records = Records(self.path)

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
            self._check_options(found, run, _FREE | _LENGTH if any_length else _FREE)
            # Options first: who mistook the folder has other options too.
            if store is not None:
                self._check_store(values.get("store"), store)
                if "store" not in values:
                    self.write(found, store)
            return found
        self.make()
        # What a killed process was about to write is nobody's.
        if any(path.suffix != ".partial" for path in self.path.iterdir()):
            raise InputError(f"{self.path}: is not empty and holds no run; choose a new folder")
        self.write(run, store)
        return run

    def make(self) -> None:
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

    def _check_options(self, found: Run, run: Run, free: set[str]) -> None:
        """Raise InputError where options differ that are not free to."""
        there, wanted = _flat(found.to_dict()), _flat(run.to_dict())
        for name, value in wanted.items():
            if there.get(name) != value and name not in free:
                raise InputError(
                    f"{self._described}: this folder holds a run with {name}={there.get(name)}, "
                    f"not {value}; resume with the same options or choose another folder"
                )

    def _check_store(self, noted: dict | None, store: dict) -> None:
        """Raise InputError where the store is not the one that the run was begun on."""
        if noted is None:
            if (self.path / "checkpoints").exists():
                print(
                    f"note: {self._described} does not say which store the run was begun on; "
                    "from now on it is this one",
                    file=sys.stderr,
                    flush=True,
                )
            return
        if noted.get("fingerprint") == store["fingerprint"]:
            return
        differing = [
            _difference(name, noted.get(name), here)
            for name, here in store.items()
            if name != "fingerprint" and noted.get(name) != here
        ]
        raise InputError(
            f"{self.path}: the run there was begun on another store "
            f"({'; '.join(differing) or 'the same numbers, other contents'}); choose another "
            "folder, or delete this one to begin anew"
        )

    def write(self, run: Run, store: dict | None) -> None:
        """Write run.json."""
        values = {"mgjax": __version__, **run.to_dict()}
        if store:
            values["store"] = store
        files.write_json(self._described, values)

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
        values: Any = files.read_json(self._described, "what training wrote; it is damaged")
        model = values.get("model") if isinstance(values, dict) else None
        if isinstance(model, str):
            # A model of one's own that is not known here is no damage.
            try:
                models.get(model)
            except InputError as error:
                raise InputError(f"{self._described}: {error}") from None
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

        Raises:
            InputError: there are none to read.
        """
        if not writing and not (self.path / "checkpoints").is_dir():
            raise InputError(f"{self.path}: the run there has no checkpoint yet")
        return checkpoints.manager_of(self.path / "checkpoints", writing)

    def metrics(self) -> list[dict]:
        """Records of metrics.jsonl, one a step; a last line that a kill cut short is left out.

        Raises:
            InputError: another line is no record.
        """
        return self._records.read()

    def keep_metrics(self, step: int, ended: bool = True) -> list[dict]:
        """Drop records past a step, which the run is about to repeat; as of `Records.keep`."""
        return self._records.keep(step, ended)

    def add_metrics(self, record: dict) -> None:
        """Append a record to metrics.jsonl.

        Raises:
            InputError: it cannot be written.
        """
        self._records.add(record)


def _difference(name: str, there: Any, here: Any) -> str:
    """How two stores differ in one thing, in words."""
    if name == "layout":
        return f"layout {there!r} there, {here!r} here"
    return f"{there} {name} there, {here} here"


def _flat(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def load_model(folder: str | os.PathLike, step: int | None = None) -> tuple[nnx.Module, Run, int]:
    """A trained model out of a run's folder.

        model, run, step = load_model("runs/nucla")

    Args:
        folder: the run's working folder.
        step: which checkpoint; None takes the newest that is not damaged.

    Returns:
        the model, its run, and the step of its checkpoint.

    Raises:
        InputError: the folder holds no run or no such checkpoint, or the checkpoint is damaged.
    """
    place = RunFolder(folder)
    run = place.load()
    graph, state = nnx.split(build_model(run))
    # The untrained weights say which shapes and dtypes to expect.
    trees = {"model": jax.tree.map(np.asarray, nnx.to_pure_dict(state))}
    with place.checkpoints() as manager:
        if step is not None and step in manager.all_steps():
            read = checkpoints.restore(manager, step, **trees)
        elif step is None and (found := checkpoints.newest(manager, **trees)):
            step, read, _ = found
        else:
            # Asked for by number, or none was ever saved.
            have = ", ".join(map(str, manager.all_steps())) or "none"
            raise InputError(f"{place.path}: no checkpoint of step {step}; there are: {have}")
    nnx.replace_by_pure_dict(state, read["model"])
    return nnx.merge(graph, state), run, step
