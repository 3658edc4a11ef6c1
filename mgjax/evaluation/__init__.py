"""Judging embeddings: judges are functions of arrays, tasks run them on a run and a store.

Judges: `knn`, `metrics`, `folds`, `logistic`. Tasks: `embedding`, `knn_probe`, `video_emotion`,
`label_free`, `study`. What is used most is here by its own name:

- `embed(folder, store)`: vectors of a store's clips by a trained run
- `nearest(vectors, clip, k)`: the clips most like a clip
- `classification(truth, ranking, classes)`: accuracies and the confusion of ranked predictions

Everything is imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgjax.evaluation.embedding import embed
    from mgjax.evaluation.knn import nearest
    from mgjax.evaluation.metrics import classification

__all__ = ["classification", "embed", "nearest"]

_PLACES = {"classification": "metrics", "embed": "embedding", "nearest": "knn"}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"mgjax.evaluation.{_PLACES[name]}"), name)
    try:
        return importlib.import_module(f"mgjax.evaluation.{name}")
    except ModuleNotFoundError as error:
        # Another module that is missing is said as what it is.
        if error.name != f"mgjax.evaluation.{name}":
            raise
    raise AttributeError(f"module 'mgjax.evaluation' has no attribute {name!r}")
