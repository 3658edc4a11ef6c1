"""What is called after every epoch of training, and what it may give back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from flax import nnx

from mgjax.errors import InputError, short
from mgjax.options import LARGEST


class EndedEpoch:
    """An epoch that has ended, as `on_epoch` gets it.

    Attributes:
        epoch: its number, from 0.
        step: optimiser steps done so far.
        record: what metrics.jsonl gets of it: means of the loss and its parts, learning rate,
            seconds.
    """

    def __init__(self, epoch: int, step: int, record: dict, make_model: Callable[[], nnx.Module]):
        self.epoch, self.step, self.record = epoch, step, dict(record)
        self._make_model: Callable[[], nnx.Module] | None = make_model
        self._model: nnx.Module | None = None

    @property
    def model(self) -> nnx.Module:
        """The model as it is after the epoch, a copy, made when it is first asked for.

        Raises:
            InputError: it is asked for after `on_epoch` has returned, when training has gone on.
        """
        if self._model is None:
            if self._make_model is None:
                raise InputError("an epoch's model is to be asked for while on_epoch is called")
            self._model = self._make_model()
        return self._model

    def close(self) -> None:
        """Let go of what the model is made of."""
        self._make_model = None


# Gets an epoch that has ended; gives finite numbers for its record, by name, or None.
OnEpoch = Callable[[EndedEpoch], Mapping[str, float] | None]


def checked(said: Any, record: Mapping[str, float]) -> dict[str, float]:
    """What `on_epoch` gave, once it is clear that it can join the epoch's record.

    Raises:
        InputError: it is no dict of finite numbers, or a name in it is taken.
    """
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise InputError(f"on_epoch gave {short(said)}, expected a dict of numbers, or None")
    found = {}
    for name, value in said.items():
        if not isinstance(name, str) or name in record:
            raise InputError(f"on_epoch gave {short(name)}, expected a name that is not taken")
        try:
            found[name] = float(value)  # a scalar of NumPy or JAX too
        except (TypeError, ValueError):
            found[name] = math.nan
        if not abs(found[name]) <= LARGEST[float]:  # never true of NaN
            raise InputError(f"on_epoch: {name} is {short(value)}, expected a finite number")
    return found
