"""Options of the library's dataclasses as absl flags: --usvae.units=256, --prepare.velocity=5,
--train.epochs=60.
"""

import dataclasses

from absl import flags

from mgjax import models
from mgjax.errors import InputError
from mgjax.training import Run, TrainOptions
from mgjax.transforms import Augmentation, Preparation

GROUPS = {"prepare": Preparation, "augment": Augmentation, "train": TrainOptions}
_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def define_options(options, prefix=""):
    """Define a flag for every option of a dataclass."""
    for field in dataclasses.fields(options):
        _DEFINE[type(field.default)](prefix + field.name, field.default, field.metadata["help"])


def read_options(options, prefix=""):
    """The dataclass of options that the flags of `define_options` describe."""
    return options(
        **{
            field.name: flags.FLAGS[prefix + field.name].value
            for field in dataclasses.fields(options)
        }
    )


def define_run_flags():
    """Define a flag for every option of preparation, augmentation, training and every model."""
    for group, options in (
        GROUPS | {name: model.Config for name, model in models.MODELS.items()}
    ).items():
        define_options(options, f"{group}.")


def run_from_flags(model, store, split) -> Run:
    """The run that the flags describe; flags of a model that is not trained are an error."""
    config = models.get(model).Config
    for other, kind in models.MODELS.items():
        for field in dataclasses.fields(kind.Config):
            if other != model and flags.FLAGS[f"{other}.{field.name}"].present:
                raise InputError(f"--{other}.{field.name} is given, but the model is {model}")
    return Run(
        model,
        read_options(config, f"{model}."),
        *(read_options(options, f"{group}.") for group, options in GROUPS.items()),
        store.layout,
        split,
        store.labels,
    )
