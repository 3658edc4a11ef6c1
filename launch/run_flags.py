"""Options of the library's dataclasses as absl flags: --usvae.units=256, --prepare.velocity=5,
--train.epochs=60.
"""

from absl import flags

from mgjax import models, options
from mgjax.errors import InputError
from mgjax.training import Run, TrainOptions
from mgjax.transforms import Augmentation, Preparation

GROUPS = {"prepare": Preparation, "augment": Augmentation, "train": TrainOptions}


class _Renamed(flags.ArgumentParser):
    """The value of a flag that has another name now: always an error that says which."""

    def __init__(self, new):
        super().__init__()
        self._new = new

    def parse(self, argument):
        raise ValueError(f"it is now --{self._new}")


def define_options(kind, prefix=""):
    """Define a flag for every option of a dataclass."""
    for each in options.describe(kind):
        name, bounds = prefix + each.name, {"lower_bound": each.least, "upper_bound": each.most}
        if each.kind is bool:
            flags.DEFINE_bool(name, each.default, each.text)
        elif each.choices:
            known = [*each.choices, *each.values_formerly]
            flags.DEFINE_enum(name, each.default, known, each.text)
        elif each.kind is int:
            flags.DEFINE_integer(name, each.default, each.text, **bounds)
        elif each.kind is float:
            flags.DEFINE_float(name, each.default, each.text, **bounds)
        elif each.kind is str:
            flags.DEFINE_string(name, each.default, each.text)
        if each.formerly:
            _define_renamed(prefix + each.formerly, name, each.kind is bool)


def _define_renamed(old, new, boolean):
    flag = flags.Flag(_Renamed(new), None, old, None, f"now --{new}", boolean=boolean)
    flags.FLAGS[old] = flag  # of no module, so that --help leaves it out


def read_options(kind, prefix=""):
    """The dataclass of options that the flags of `define_options` describe."""
    names = [each.name for each in options.describe(kind)]
    given = {
        name: flags.FLAGS[prefix + name].value for name in names if prefix + name in flags.FLAGS
    }
    return kind(**given)


def define_run_flags():
    """Define a flag for every option of preparation, augmentation, training and every model."""
    for group, kind in (
        GROUPS | {name: model.Config for name, model in models.MODELS.items()}
    ).items():
        define_options(kind, f"{group}.")


def run_from_flags(model, store, split) -> Run:
    """The run that the flags describe; flags of a model that is not trained are an error."""
    config = models.get(model).Config
    for other, kind in models.MODELS.items():
        for each in options.describe(kind.Config):
            if other != model and flags.FLAGS[f"{other}.{each.name}"].present:
                raise InputError(f"--{other}.{each.name} is given, but the model is {model}")
    return Run(
        model,
        read_options(config, f"{model}."),
        *(read_options(kind, f"{group}.") for group, kind in GROUPS.items()),
        store.layout,
        split,
        store.labels,
    )
