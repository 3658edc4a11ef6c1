"""Options of the library's dataclasses as absl flags: --usvae.units=256, --prepare.velocity=5,
--train.epochs=60.
"""

import sys

from absl import flags

from mgjax import models, options, recipes
from mgjax.errors import InputError
from mgjax.training import Run
from mgjax.training.groups import GROUPS

FLAGS = flags.FLAGS


class _Renamed(flags.ArgumentParser):
    """The value of a flag that has another name now: always an error that says which."""

    def __init__(self, new):
        super().__init__()
        self._new = new

    def parse(self, argument):
        raise ValueError(f"it is now --{self._new}")


class _Choice(flags.EnumParser):
    """The value of an option that has choices; one that has another name now is told it."""

    def __init__(self, option):
        super().__init__(list(option.choices))
        self._formerly = option.values_formerly

    def parse(self, argument):
        if argument in self._formerly:
            raise ValueError(f"{argument} is now {self._formerly[argument]}")
        return super().parse(argument)


def define_options(kind, prefix=""):
    """Define a flag for every option of a dataclass."""
    for each in options.describe(kind):
        name, bounds = prefix + each.name, {"lower_bound": each.least, "upper_bound": each.most}
        if each.kind is bool:
            flags.DEFINE_bool(name, each.default, each.text)
        elif each.choices:
            flag = flags.EnumFlag(name, each.default, each.text, list(each.choices))
            flag.parser = _Choice(each)
            flags.DEFINE_flag(flag)
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
    FLAGS[old] = flag  # of no module, so that --help leaves it out


def read_options(kind, prefix=""):
    """The dataclass of options that the flags of `define_options` describe."""
    names = [each.name for each in options.describe(kind) if prefix + each.name in FLAGS]
    return kind(**{name: FLAGS[prefix + name].value for name in names})


def define_run_flags():
    """Define a flag for every option of preparation, augmentation, training and every model."""
    # Of every model, so that --help lists them all.
    groups = GROUPS | {name: models.config_of(model) for name, model in models.MODELS.items()}
    if "model" in FLAGS:
        groups |= _own_model()
    for group, kind in groups.items():
        define_options(kind, f"{group}.")


def _own_model():
    """The options of a model that the command line names as package.module:Class.

    Which flags there are depends on it, so it is looked for before flags are read.
    """
    early = flags.FlagValues()
    flags.DEFINE_string("model", None, "", flag_values=early)
    flags.DEFINE_string("recipe", None, "", flag_values=early)
    # Values that stand apart from their flags are no end of the flags.
    early.set_gnu_getopt()
    try:
        early(sys.argv, known_only=True)
        name = early.model
        if name is None and early.recipe is not None:
            name = recipes.read(early.recipe).model
        if name is None or name in models.MODELS:
            return {}
        return {models.group_of(name): models.config_of(models.get(name))}
    except (flags.Error, OSError, UnicodeDecodeError):
        return {}  # what is wrong is said when flags are read
    except InputError as error:
        sys.exit(f"error: {error}")


def given_options():
    """The options of a run that the command line gives, by the names of their flags."""
    return {name: FLAGS[name].value for name in FLAGS if "." in name and FLAGS[name].present}


def run_from_flags(store, split) -> Run:
    """The run that --recipe, --model and the flags of options describe; the flags win."""
    given = given_options()
    if FLAGS.recipe is None:
        return Run.from_options(FLAGS.model, store, split=split, **given)
    model = FLAGS.model if FLAGS["model"].present else None
    return Run.from_recipe(FLAGS.recipe, store, split=split, model=model, **given)
