"""The models, by the name that the command line uses.

A model is an `nnx.Module`, made by `Model(config, layout, channels, classes, rngs=rngs)`, whose
options are a frozen dataclass of its own, `Model.Config`; one without has no options. What it must
have follows from what is asked of it:

- training: `loss(batch, rng) -> (loss, parts)`; `parts` holds named scalars to report
- a self-supervised model's judges: `encode(batch) -> [B, D]`
- a classifier's judges: `logits(batch) -> [B, classes]`

Adding a model here is one file and one line. A model of one's own is made known by `register`, or
named by where it is: "package.module:Class".
"""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

from flax import nnx

from mgjax import options
from mgjax.errors import InputError, short
from mgjax.models.usvae import USVAE
from mgjax.options import did_you_mean

MODELS: dict[str, type[nnx.Module]] = {
    "usvae": USVAE,
}
# What a model gives, in the words of the sentence that misses it.
GIVES = {
    "loss": "loss(batch, rng) -> (loss, parts)",
    "encode": "encode(batch) -> [B, D], as a self-supervised model has it",
    "logits": "logits(batch) -> [B, classes], as a classifier has it",
}
# Flags of a run begin with these; a model's begin with its own name.
_TAKEN = ("prepare", "augment", "train")

M = TypeVar("M", bound=type[nnx.Module])


@options.group("model")
class NoOptions:
    """The options of a model without a `Config`: none."""


def register(name: str, model: M | None = None) -> Any:
    """Make a model of one's own known by a name, to everything that takes a model's name.

    Also a decorator: `@register("velocity")`. It holds for this process; whoever loads a run of
    the model in another one registers it there first.

    Args:
        name: its name; a Python identifier.
        model: the class.

    Returns:
        the class.

    Raises:
        InputError: the name is none or is taken, or the class is no model.

    >>> @register("velocity")
    ... class VelocityModel(nnx.Module):
    ...     def __init__(self, config, layout, channels, classes, *, rngs): ...
    ...     def loss(self, batch, rng): ...
    >>> get("velocity") is VelocityModel
    True
    """
    # As a decorator, which gets its class only afterwards.
    if model is None:
        return lambda given: register(name, given)
    if not isinstance(name, str) or not name.isidentifier() or name in _TAKEN:
        raise InputError(
            f"a model cannot be called {short(name)}; expected a Python identifier other than "
            f"{', '.join(_TAKEN)}"
        )
    known = MODELS.get(name)
    # A notebook's cell that is run again makes the same class anew.
    if known is not None and _place(known) != _place(model):
        raise InputError(f"a model {name!r} is known already, {_place(known)}; choose another name")
    _check_model(model, name)
    MODELS[name] = model
    return model


def get(name: str) -> type[nnx.Module]:
    """A model class by its name, or by where it is ("package.module:Class").

    Raises:
        InputError: there is no such model.
    """
    # No registered name has a colon, which no identifier has.
    if ":" in name:
        return _imported(name)
    if name not in MODELS:
        hint = did_you_mean(name, MODELS) or f"; known are {', '.join(sorted(MODELS))}"
        raise InputError(
            f"unknown model {short(name)}{hint}; a model of one's own is named "
            f"package.module:Class, or made known by mgjax.models.register({short(name)}, ...) "
            "before"
        )
    return MODELS[name]


def group_of(name: str) -> str:
    """What the flags of a model begin with: its name, or the name of its class.

    >>> group_of("usvae"), group_of("package.module:Class")
    ('usvae', 'Class')
    """
    return name.rpartition(":")[2]


def config_of(model: type) -> type:
    """The dataclass of a model's options; `NoOptions` for a model without a `Config`."""
    return getattr(model, "Config", NoOptions)


def need(model: object, method: str, task: str) -> None:
    """Raise InputError where a model does not have what a task needs.

    Args:
        model: a model or its class.
        method: what is needed: "loss", "encode" or "logits".
        task: what for, in words that begin a sentence, as in "training".

    >>> need(USVAE, "logits", "judging classes")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    mgjax.errors.InputError: judging classes needs logits(batch) -> [B, classes], as a ...
    """
    # An attribute of that name that cannot be called would fail only within a compiled step.
    if not callable(getattr(model, method, None)):
        kind = model if isinstance(model, type) else type(model)
        raise InputError(f"{task} needs {GIVES.get(method, method)}; {kind.__name__} has none")


def _imported(name: str) -> type[nnx.Module]:
    """The class that "package.module:Class" names."""
    module_name, _, class_name = name.partition(":")
    wrong = f"model {short(name)}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:  # of itself, or of what it imports
        raise InputError(
            f"{wrong}: there is no module {short(error.name)}; its folder must be in PYTHONPATH"
        ) from None
    except (ImportError, ValueError, TypeError) as error:
        raise InputError(f"{wrong}: its module cannot be imported ({error})") from None
    model = getattr(module, class_name, None)
    if model is None:
        hint = did_you_mean(class_name, vars(module))
        raise InputError(f"{wrong}: module {module_name} has no {short(class_name)}{hint}")
    _check_model(model, name)
    return model


def _check_model(model: object, name: str) -> None:
    """Raise InputError where a thing is no class that can be a model."""
    if not isinstance(model, type) or not issubclass(model, nnx.Module):
        raise InputError(f"model {short(name)} is {short(model)}, expected a class of nnx.Module")
    config: Any = config_of(model)
    # Whatever is compiled for a run is kept by its options, which must not change meanwhile.
    params = getattr(config, "__dataclass_params__", None)
    if params is None or not params.frozen:
        raise InputError(f"model {short(name)}: its Config is not a frozen dataclass")
    # A flag needs a default, and so does a run without flags.
    lacking = [each.name for each in options.describe(config) if each.default is options.REQUIRED]
    if lacking:
        raise InputError(f"model {short(name)}: its option {lacking[0]} has no default")


def _place(model: type) -> str:
    return f"{model.__module__}.{model.__qualname__}"
