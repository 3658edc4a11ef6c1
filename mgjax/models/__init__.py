"""The models, by the name that the command line uses.

A model is an `nnx.Module` with a frozen dataclass of plain options, `Config`, made by
`Model(config, layout, channels, classes, rngs)`. A self-supervised model has `encode(batch) ->
[B, D]`, `loss(batch, rng) -> (loss, parts)`; a classifier has `logits(batch) -> [B, classes]` as
well. `parts` holds named scalars to report. The training loop and the probes ask for nothing
else. Adding a model is one file and one line here.
"""

from mgjax.errors import InputError
from mgjax.models.usvae import USVAE

MODELS = {"usvae": USVAE}


def get(name: str):
    """A model class by name.

    Raises:
        InputError: there is no such model.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known are {', '.join(sorted(MODELS))}")
    return MODELS[name]
