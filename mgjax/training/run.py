"""What a run is: its options, its folder, its checkpoints.

    run.json         the options, enough to build the model again
    metrics.jsonl    one JSON object an epoch
    checkpoints/     Orbax checkpoints by step
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx

from mgjax import __version__, files, models
from mgjax.errors import InputError
from mgjax.skeleton import Layout
from mgjax.store import Store
from mgjax.transforms import Augmentation, Preparation, option


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """How a model is trained."""

    epochs: int = option(100, "passes over the training clips")
    steps: int = option(0, "optimiser steps, whatever the number of clips; 0 trains for `epochs`")
    batch_size: int = option(64, "clips of a step")
    learning_rate: float = option(2e-4, "Adam's step size, at its highest")
    schedule: str = option("steps", "learning rate over time: 'constant', 'cosine' to zero, or 'steps': times "
                                    "decay_factor every decay_epochs")
    decay_factor: float = option(0.999, "factor of the 'steps' schedule")
    decay_epochs: int = option(5, "epochs between two steps of the 'steps' schedule")
    warmup_epochs: float = option(0.0, "epochs over which the learning rate rises linearly from zero")
    warmup_steps: int = option(0, "the same in optimiser steps; 0 takes `warmup_epochs`")
    weight_decay: float = option(0.0, "decoupled weight decay (AdamW)")
    clip_norm: float = option(0.0, "scale gradients down to at most this global norm; 0 leaves them")
    plateau: int = option(0, "stop early once the training loss has not fallen by 0.1 % in this many epochs; "
                              "0 never stops")
    buckets: int = option(6, "padded lengths at most; each is compiled once")
    longest_whole: int = option(512, "a batch of longer clips is computed in parts, whose gradients are added, so that "
                                     "it needs no more memory than one of this padded length")
    together: int = option(8, "optimiser steps of one padded length that are computed in one call")
    seed: int = option(0, "seed of the weights, the order and all randomness")
    checkpoint_seconds: float = option(60.0, "least time between two checkpoints; the last step is always saved")

    def __post_init__(self):
        if self.schedule not in ("constant", "cosine", "steps"):
            raise InputError(f"training: schedule is {self.schedule!r}, expected constant, cosine or steps")
        for field, least in (("epochs", 0), ("steps", 0), ("warmup_steps", 0), ("batch_size", 1), ("decay_epochs", 1), ("buckets", 1), ("seed", 0),
                             ("longest_whole", 1), ("together", 1), ("plateau", 0), ("warmup_epochs", 0),
                             ("weight_decay", 0), ("clip_norm", 0)):
            if getattr(self, field) < least:
                raise InputError(f"training: {field} is {getattr(self, field)}, expected at least {least}")
        if self.learning_rate <= 0:
            raise InputError(f"training: learning_rate is {self.learning_rate}, expected more than 0")
        if not self.steps and not self.epochs:
            raise InputError("training: epochs is 0 and steps is 0; one of them must say how long to train")
        if self.steps and self.epochs not in (0, type(self).epochs):
            raise InputError(f"training: steps={self.steps} and epochs={self.epochs} both say how long to train; "
                             "leave one of them out, or give epochs=0 with steps")
        if self.warmup_steps and self.warmup_epochs:
            raise InputError(f"training: warmup_steps={self.warmup_steps} and warmup_epochs={self.warmup_epochs} both "
                             "say how long the learning rate rises; give one of them")

    def length(self, steps_per_epoch: int) -> int:
        """Optimiser steps of the whole run."""
        return self.steps or self.epochs * steps_per_epoch

    def warmup(self, steps_per_epoch: int) -> int:
        """Optimiser steps over which the learning rate rises."""
        return self.warmup_steps or round(self.warmup_epochs * steps_per_epoch)


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that decides what a run computes, store apart.

    Attributes:
        model: the model's name in `mgjax.models.MODELS`.
        options: the model's own `Config`.
        preparation, augmentation, training: the other options.
        layout: the skeleton of the store.
        split: the store's split whose training clips are used.
        classes: class names of the store.
    """

    model: str
    options: object
    preparation: Preparation
    augmentation: Augmentation
    training: TrainOptions
    layout: Layout
    split: str
    classes: tuple[str, ...]

    def check_store(self, store: Store):
        """Raise InputError where a store's layout is not the run's."""
        if store.layout != self.layout:
            raise InputError(f"{store.path}: layout {store.layout.name!r}, but the run is for {self.layout.name!r}")

    def to_dict(self) -> dict:
        """The run as plain values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: dict) -> Run:
        """The run that `to_dict` wrote."""
        config = models.get(values["model"]).Config
        return cls(
            values["model"], config(**values["options"]), Preparation(**values["preparation"]),
            Augmentation(**values["augmentation"]), TrainOptions(**values["training"]), Layout(**values["layout"]),
            values["split"], tuple(values["classes"]),
        )


# How often to save does not change what is computed, so a resumed run may change it.
_FREE = {"checkpoint_seconds"}


class RunFolder:
    """A run's working folder."""

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path).absolute()

    def claim(self, run: Run):
        """Write the run's options into the folder, or check that they are the ones already there.

        Raises:
            InputError: the folder holds something else, or a run with other options.
        """
        described = self.path / "run.json"
        if described.exists():
            found, wanted = _flat(self.load().to_dict()), _flat(run.to_dict())
            for name in wanted:
                if found.get(name) != wanted[name] and name.split(".")[-1] not in _FREE:
                    raise InputError(
                        f"{described}: this folder holds a run with {name}={found.get(name)}, not {wanted[name]}; "
                        "resume with the same options or choose another folder"
                    )
            return
        if self.path.is_file():
            raise InputError(f"{self.path}: is a file, expected a folder for the run")
        if self.path.exists() and any(p.suffix != ".partial" for p in self.path.iterdir()):
            raise InputError(f"{self.path}: is not empty and holds no run; choose a new folder")
        self.path.mkdir(parents=True, exist_ok=True)
        files.write_json(described, {"mgjax": __version__, **run.to_dict()})

    def load(self) -> Run:
        """The run whose folder this is."""
        described = self.path / "run.json"
        if not described.is_file():
            raise InputError(f"{self.path}: holds no run (no run.json); give the folder that training wrote")
        try:
            return Run.from_dict(json.loads(described.read_text()))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{described}: damaged or from another version of mgjax ({error!r})") from None

    def checkpoints(self, writing: bool = False) -> ocp.CheckpointManager:
        """The folder's checkpoints, to read or, by the one process that trains, to write; the two newest are kept."""
        if not writing and not (self.path / "checkpoints").is_dir():
            raise InputError(f"{self.path}: the run there has no checkpoint yet")
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2, create=writing, cleanup_tmp_directories=writing, enable_async_checkpointing=False
        )
        return ocp.CheckpointManager(self.path / "checkpoints", options=options)

    def metrics(self) -> list[dict]:
        """Records of metrics.jsonl; a last line that a kill cut short is left out."""
        records, path = [], self.path / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                if number < len(lines):
                    raise InputError(f"{path}: line {number} is not JSON") from None
        return records

    def keep_metrics(self, step: int, ended: bool = True) -> list[dict]:
        """Drop records past a step, which the run is about to repeat; returns the ones kept.

        Args:
            ended: whether an epoch or the run ended with that step; else a record of it is dropped too, being of an
                epoch that the run, given more steps, goes on with.
        """
        kept = [record for record in self.metrics() if record["step"] < step + ended]
        files.write_text(self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in kept))
        return kept

    def add_metrics(self, record: dict):
        """Append a record to metrics.jsonl."""
        with open(self.path / "metrics.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")


def restore(manager: ocp.CheckpointManager, step: int, items: ocp.args.Composite):
    """Read items of a checkpoint.

    Raises:
        InputError: it is damaged, or does not hold what is asked for.
    """
    # The threads of a read that fails find its event loop closed and write a traceback each to standard error, some a
    # moment later. What a good read writes there is passed on.
    with contextlib.redirect_stderr(io.StringIO()) as written:
        try:
            restored = manager.restore(step, args=items)
        except (ValueError, OSError, KeyError):
            time.sleep(0.5)
            raise InputError(f"{manager.directory / str(step)}: cannot be read: damaged, or from another version of "
                             "mgjax; without this folder the checkpoint before it is used") from None
    sys.stderr.write(written.getvalue())
    return restored


def _flat(values: dict, prefix: str = "") -> dict:
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def build_model(run: Run) -> nnx.Module:
    """A model with its first, untrained weights, a pure function of the run's options and seed."""
    run.preparation.check(run.layout)
    if run.augmentation.mirror:
        run.layout.check_mirror("augmentation: mirror")
    if run.augmentation.tilt and run.layout.dimensions != 3:
        raise InputError(f"augmentation: tilt needs 3D keypoints, layout {run.layout.name!r} has 2D ones")
    model = models.get(run.model)
    channels = run.preparation.channels(run.layout)
    return model(run.options, run.layout, channels, len(run.classes), rngs=nnx.Rngs(run.training.seed))


def load_model(folder: str | os.PathLike, step: int | None = None) -> tuple[nnx.Module, Run, int]:
    """A trained model out of a run's folder.

    Args:
        folder: the run's working folder.
        step: which checkpoint; None takes the newest.

    Returns:
        the model, its run, and the step of its checkpoint.

    Raises:
        InputError: the folder holds no run or no such checkpoint, or the checkpoint is damaged.
    """
    folder = RunFolder(folder)
    run = folder.load()
    model = build_model(run)
    graph, state = nnx.split(model)
    with folder.checkpoints() as manager:
        step = manager.latest_step() if step is None else step
        if step is None or step not in manager.all_steps():
            have = ", ".join(map(str, manager.all_steps())) or "none"
            raise InputError(f"{folder.path}: no checkpoint of step {step}; there are: {have}")
        template = ocp.args.StandardRestore(jax.tree.map(np.asarray, nnx.to_pure_dict(state)))
        restored = restore(manager, step, ocp.args.Composite(model=template))
    nnx.replace_by_pure_dict(state, restored.model)
    return nnx.merge(graph, state), run, step
