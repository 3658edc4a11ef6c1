"""mgjax: skeleton-only analysis of micro-gestures and the emotion behind them, on JAX.

Submodules are imported when first used, so that `import mgjax` (and packing, which needs
`mgjax.store` and `mgjax.skeleton` only) does not import JAX.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors, which do not call __getattr__
    from mgjax import (
        batching,
        errors,
        evaluation,
        files,
        models,
        nn,
        options,
        preparation,
        progress,
        protocols,
        recipes,
        report,
        skeleton,
        store,
        training,
        transforms,
    )

__version__ = "0.1.0"
# fmt: off
__all__ = [
    "batching", "errors", "evaluation", "files", "models", "nn", "options", "preparation",
    "progress", "protocols", "recipes", "report", "skeleton", "store", "training", "transforms",
]
# fmt: on


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"mgjax.{name}")
    raise AttributeError(f"module 'mgjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
