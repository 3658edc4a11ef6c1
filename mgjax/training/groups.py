"""The groups of a run's options, as flags and recipes name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mgjax import models, options
from mgjax.errors import InputError, short
from mgjax.preparation import Augmentation, Preparation
from mgjax.training.train_options import TrainOptions

# By the name that their flags begin with; a model's begin with the model's name.
GROUPS: dict[str, type] = {
    "prepare": Preparation,
    "augment": Augmentation,
    "train": TrainOptions,
}


def kinds_of(model: str) -> dict[str, type]:
    """The classes of a run's options, by group."""
    return GROUPS | {models.group_of(model): models.config_of(models.get(model))}


def parsed(model: str, texts: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """The values of options that a recipe gives as text."""
    kinds = kinds_of(model)
    values = {}
    for group, given in texts.items():
        _check_group(group, group, model, kinds)
        known = options.named(kinds[group], given, group)
        _check_text(group, [known[name] for name in given])
        # Checked here, one by one, for rules between options are the whole run's.
        values[group] = {name: known[name].parse(text) for name, text in given.items()}
        for name, value in values[group].items():
            known[name].check(value, group)
    return values


def by_group(model: str, changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Changes of options, which are given by group or one by one, all by group."""
    kinds = kinds_of(model)
    values: dict[str, dict[str, Any]] = {}
    for name, change in changes.items():
        group, dot, option = name.partition(".")
        _check_group(group, name, model, kinds)
        if not dot and not isinstance(change, Mapping):
            raise InputError(f"{name} is {short(change)}, expected a dict of its options")
        values.setdefault(group, {}).update({option: change} if dot else change)
    return values


def _check_text(group: str, given: Iterable[options.Option]) -> None:
    """Raise InputError where an option, of someone's own model, has values that are no text."""
    for each in given:
        if each.kind not in (bool, int, float, str):
            raise InputError(
                f"{group}: {each.name} cannot be given as text; a recipe sets switches, numbers "
                "and text alone"
            )


def _check_group(group: str, name: str, model: str, known: Iterable[str]) -> None:
    """Raise InputError where there is no group of a name."""
    if group in known:
        return
    # A recipe or a flag of another model is a likelier mistake than a misspelt group.
    if group in models.MODELS:
        raise InputError(f"{name} is given, but the model is {model}")
    hint = options.did_you_mean(group, known) or f", expected one of {', '.join(known)}"
    raise InputError(f"{name}: there are no options {short(group)}{hint}")
