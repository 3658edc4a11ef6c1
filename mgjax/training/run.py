"""What a run is: a model, how clips are prepared and changed for it, and how it is trained."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from flax import nnx

from mgjax import models, options, recipes
from mgjax.errors import InputError, short
from mgjax.options import option
from mgjax.skeleton import Layout
from mgjax.store import Store
from mgjax.transforms import Augmentation, Preparation


@options.group("training")
class TrainOptions:
    """How a model is trained."""

    epochs: int = option(100, "passes over the training clips", least=0)
    steps: int = option(
        0, "optimiser steps, whatever the number of clips; 0 trains for `epochs`", least=0
    )
    batch_size: int = option(64, "clips of a step", least=1)
    learning_rate: float = option(2e-4, "Adam's step size, at its highest", above=0)
    schedule: Literal["constant", "cosine", "staircase"] = option(
        "staircase",
        "learning rate over time: 'constant', 'cosine' to zero, or 'staircase': times "
        "decay_factor every decay_epochs",
        values_formerly={"steps": "staircase"},
    )
    decay_factor: float = option(0.999, "factor of the 'staircase' schedule")
    decay_epochs: int = option(5, "epochs between two steps of the 'staircase' schedule", least=1)
    warmup_epochs: float = option(
        0.0, "epochs over which the learning rate rises linearly from zero", least=0
    )
    warmup_steps: int = option(0, "the same in optimiser steps; 0 takes `warmup_epochs`", least=0)
    weight_decay: float = option(0.0, "decoupled weight decay (AdamW)", least=0)
    gradient_clip_norm: float = option(
        0.0,
        "scale gradients down to at most this global norm; 0 leaves them",
        least=0,
        formerly="clip_norm",
    )
    patience_epochs: int = option(
        0,
        "stop early once the training loss has not fallen by 0.1 % in this many epochs; "
        "0 never stops",
        least=0,
        formerly="plateau",
    )
    patience_steps: int = option(
        0,
        "with patience_epochs: and in no fewer optimiser steps, of which few clips have few an "
        "epoch",
        least=0,
        formerly="plateau_steps",
    )
    length_buckets: int = option(
        6, "padded lengths at most; each is compiled once", least=1, formerly="buckets"
    )
    microbatch_frames: int = option(
        512,
        "a batch of longer clips is computed in parts, whose gradients are added, so that "
        "it needs no more memory than one of this padded length",
        least=1,
        formerly="longest_whole",
    )
    steps_per_call: int = option(
        8,
        "optimiser steps of one padded length that are computed in one call",
        least=1,
        formerly="together",
    )
    seed: int = option(0, "seed of the weights, the order and all randomness", least=0)
    checkpoint_seconds: float = option(
        60.0, "least time between two checkpoints; the last step is always saved", least=0
    )

    def validate(self) -> None:
        """Check what options say together; raises InputError where two contradict."""
        if not self.steps and not self.epochs:
            raise InputError(
                "training: epochs is 0 and steps is 0; one of them must say how long to train"
            )
        if self.steps and self.epochs not in (0, type(self).epochs):
            raise InputError(
                f"training: steps={self.steps} and epochs={self.epochs} both say how long to "
                "train; leave one of them out, or give epochs=0 with steps"
            )
        if self.warmup_steps and self.warmup_epochs:
            raise InputError(
                f"training: warmup_steps={self.warmup_steps} and "
                f"warmup_epochs={self.warmup_epochs} both say how long the learning rate rises; "
                "give one of them"
            )

    def length(self, steps_per_epoch: int) -> int:
        """Optimiser steps of the whole run."""
        return self.steps or self.epochs * steps_per_epoch

    def warmup(self, steps_per_epoch: int) -> int:
        """Optimiser steps over which the learning rate rises."""
        return self.warmup_steps or round(self.warmup_epochs * steps_per_epoch)


# By the name that their flags begin with; a model's begin with the model's name.
GROUPS: dict[str, type] = {
    "prepare": Preparation,
    "augment": Augmentation,
    "train": TrainOptions,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides what a run computes, store apart.

    Attributes:
        model: the model's name, as `mgjax.models.get` takes it.
        options: the model's own `Config`.
        preparation, augmentation, training: the other options.
        layout: the skeleton of the store.
        split: the store's split whose training clips are used.
        classes: class names of the store.
    """

    model: str
    options: Any
    preparation: Preparation = dataclasses.field(default_factory=Preparation)
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    training: TrainOptions = dataclasses.field(default_factory=TrainOptions)
    layout: Layout
    split: str
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for text, name in (
            (self.model, "model"),
            (self.split, "split"),
            *((each, "classes") for each in self.classes),
        ):
            if not isinstance(text, str):
                raise InputError(f"run: {name} is {short(text)}, expected text")
        for group, name in (
            (self.options, self.model),
            (self.preparation, "preparation"),
            (self.augmentation, "augmentation"),
            (self.training, "training"),
        ):
            if not dataclasses.is_dataclass(group) or isinstance(group, type):
                raise InputError(f"{name} is {short(group)}, expected a dataclass of options")
            options.check(group, name)

    @classmethod
    def from_recipe(
        cls,
        recipe: str | os.PathLike,
        store: Store,
        *,
        split: str,
        seed: int | None = None,
        model: str | None = None,
        **changes: Any,
    ) -> Run:
        """The run that a recipe describes.

        Args:
            recipe: its name (`mgjax.recipes.names()`), or the path of a file of one's own.
            store: the opened store to train on.
            split: the store's split whose training clips are used.
            seed: the run's seed; None leaves the recipe's.
            model: another model than the recipe's.
            changes: other options than the recipe's: by group, as in `train={"epochs": 20}`, or
                one by one, as in `**{"train.epochs": 20}`. The groups are prepare, augment,
                train and the model's name, as on the command line.

        Raises:
            InputError: there is no such recipe, model, group or option, or a value is not
                allowed.

        >>> import tempfile
        >>> from data_prep import simulation
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     people = simulation.simulate(0, videos=2, subjects=2, clips_per_video=2)
        ...     _ = simulation.write_store(people, f"{folder}/store.h5")
        ...     with Store(f"{folder}/store.h5") as store:
        ...         run = Run.from_recipe("quickstart", store, split="all", train={"steps": 9})
        >>> run.model, run.training.steps, run.training.schedule
        ('usvae', 9, 'cosine')
        """
        read = recipes.read(recipe)
        try:
            chosen = model or read.model or "usvae"
            given = _parsed(chosen, read.options)
        except InputError as error:
            raise InputError(f"{read.path}: {error}") from None
        return cls._made(chosen, store, split, seed, given, changes)

    @classmethod
    def from_options(
        cls, model: str, store: Store, *, split: str, seed: int | None = None, **changes: Any
    ) -> Run:
        """The run of a model with the default options, but for some.

        Args:
            model: the model's name, as `mgjax.models.get` takes it.
            store: the opened store to train on.
            split: the store's split whose training clips are used.
            seed: the run's seed; None leaves the default.
            changes: other options than the defaults, as of `from_recipe`.

        Raises:
            InputError: there is no such model, group or option, or a value is not allowed.
        """
        return cls._made(model, store, split, seed, {}, changes)

    @classmethod
    def _made(
        cls,
        model: str,
        store: Store,
        split: str,
        seed: int | None,
        given: dict[str, dict[str, Any]],
        changes: Mapping[str, Any],
    ) -> Run:
        kinds = _kinds(model)
        values = {group: dict(given.get(group, {})) for group in kinds}
        for group, changed in _by_group(model, changes).items():
            values[group] |= changed
        if seed is not None:
            values["train"]["seed"] = seed
        read = {group: options.read(kind, values[group], group) for group, kind in kinds.items()}
        return cls(
            model=model,
            options=read[models.group_of(model)],
            preparation=read["prepare"],
            augmentation=read["augment"],
            training=read["train"],
            layout=store.layout,
            split=split,
            classes=store.labels,
        )

    def check_store(self, store: Store) -> None:
        """Raise InputError where a store's layout is not the run's."""
        if store.layout == self.layout:
            return
        expected = repr(self.layout.name)
        if store.layout.name == self.layout.name:
            expected = "another version of it: pack the store again, or train anew"
        raise InputError(
            f"{store.path}: layout {store.layout.name!r}, but the run is for {expected}"
        )

    def to_dict(self) -> dict:
        """The run as plain values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: object) -> Run:
        """The run that `to_dict` wrote.

        Raises:
            InputError: it did not write that.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        found = values if isinstance(values, dict) else {}
        missing = [name for name in names if name not in found]
        if missing:
            raise InputError(
                f"{', '.join(missing)} missing; expected an object with {', '.join(names)}"
            )
        model, classes = found["model"], found["classes"]
        if not isinstance(model, str):
            raise InputError(f"model is {short(model)}, expected text")
        if not isinstance(classes, list):
            raise InputError(f"classes is {short(classes)}, expected a list of names")
        config = models.config_of(models.get(model))
        return cls(
            model=model,
            options=options.read(config, found["options"], model),
            preparation=options.read(Preparation, found["preparation"], "preparation"),
            augmentation=options.read(Augmentation, found["augmentation"], "augmentation"),
            training=options.read(TrainOptions, found["training"], "training"),
            layout=Layout.from_json(json.dumps(found["layout"]), "layout"),
            split=found["split"],
            classes=tuple(classes),
        )


def _kinds(model: str) -> dict[str, type]:
    """The classes of a run's options, by group."""
    return GROUPS | {models.group_of(model): models.config_of(models.get(model))}


def _parsed(model: str, texts: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """The values of options that a recipe gives as text."""
    kinds = _kinds(model)
    values = {}
    for group, given in texts.items():
        _check_group(group, group, model, kinds)
        known = options.named(kinds[group], given, group)
        values[group] = {name: known[name].parse(text) for name, text in given.items()}
        for name, value in values[group].items():
            known[name].check(value, group)
    return values


def _by_group(model: str, changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Changes of options, which are given by group or one by one, all by group."""
    kinds = _kinds(model)
    values: dict[str, dict[str, Any]] = {}
    for name, change in changes.items():
        group, dot, option = name.partition(".")
        _check_group(group, name, model, kinds)
        if not dot and not isinstance(change, Mapping):
            raise InputError(f"{name} is {short(change)}, expected a dict of its options")
        values.setdefault(group, {}).update({option: change} if dot else change)
    return values


def _check_group(group: str, name: str, model: str, known: Iterable[str]) -> None:
    """Raise InputError where there is no group of a name."""
    if group in known:
        return
    if group in models.MODELS:
        raise InputError(f"{name} is given, but the model is {model}")
    hint = options.did_you_mean(group, known) or f", expected one of {', '.join(known)}"
    raise InputError(f"{name}: there are no options {short(group)}{hint}")


def build_model(run: Run) -> nnx.Module:
    """A model with its first, untrained weights, a pure function of the run's options and seed.

    Raises:
        InputError: run, layout and model do not fit together.
    """
    run.preparation.check(run.layout)
    if run.augmentation.mirror:
        run.layout.check_mirror("augmentation: mirror")
    if run.augmentation.tilt and run.layout.dimensions != 3:
        raise InputError(
            f"augmentation: tilt needs 3D keypoints, layout {run.layout.name!r} has 2D ones"
        )
    model: Any = models.get(run.model)
    channels = run.preparation.channels(run.layout)
    rngs = nnx.Rngs(run.training.seed)
    return model(run.options, run.layout, channels, len(run.classes), rngs=rngs)
