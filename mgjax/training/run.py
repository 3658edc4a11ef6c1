"""What a run is: a model, how clips are prepared and changed for it, and how it is trained."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from flax import nnx

from mgjax import models, options, recipes
from mgjax.errors import InputError, short
from mgjax.preparation import Augmentation, Preparation
from mgjax.skeleton import Layout
from mgjax.store import Store
from mgjax.training.groups import by_group, kinds_of, parsed
from mgjax.training.train_options import TrainOptions


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
        # Whoever builds a run by hand, or a damaged run.json, may hand over anything.
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
        # What is wrong in the recipe is said with its path; what is wrong in `changes` without.
        try:
            chosen = model or read.model or "usvae"
            given = parsed(chosen, read.options)
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
        kinds = kinds_of(model)
        values = {group: dict(given.get(group, {})) for group in kinds}
        for group, changed in by_group(model, changes).items():
            values[group] |= changed
        # Last, for a seed that is asked for by name is meant.
        if seed is not None:
            values["train"]["seed"] = seed
        read: dict[str, Any] = {}
        for group, kind in kinds.items():
            read[group] = options.read(kind, values[group], group)
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
        # By way of JSON, so that tuples are lists, as they are once read again.
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
        # Each group says itself what is wrong in it, under its name.
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
    # The only randomness of the first weights.
    rngs = nnx.Rngs(run.training.seed)
    return model(run.options, run.layout, channels, len(run.classes), rngs=rngs)
