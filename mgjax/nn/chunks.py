"""A recurrence to be computed, and its steps cut into chunks."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mgjax.nn import cells
from mgjax.nn.cells import Residuals, State, Weights

# Of 8 to 32 steps a chunk, 8 is the fastest on a CPU, by a few per cent: its gates stay
# in the cache.
CHUNK = 8


class Recurrence(NamedTuple):
    """A recurrence over time, in whose step t a row moves when start <= t < stop.

    In the other steps it idles: its state stays as it is.

    Attributes:
        x: inputs `[T, B, D]`; None where every input is zero.
        steps: how many steps to make, int32 and usually traced.
        start: int32 `[B]`.
        stop: int32 `[B]`.
        weights: of an LSTM or a GRU.
        initial: the state before the first step.
    """

    x: jax.Array | None
    steps: jax.Array
    start: jax.Array
    stop: jax.Array
    weights: Weights
    initial: State


class Chunks:
    """A recurrence of at most `total` steps, cut into chunks.

    Attributes:
        size: steps of a chunk.
        padded: `total` filled up to whole chunks: the steps that arrays have.
        count: how many chunks are computed, traced.
        x: inputs `[padded, B, D]`, or None.
    """

    def __init__(self, total: int, recurrence: Recurrence):
        self.recurrence = recurrence
        # At least one step and one chunk, so that no array is empty.
        self.size = max(min(CHUNK, total), 1)
        self.padded = max(math.ceil(total / self.size), 1) * self.size
        self.count = (recurrence.steps + self.size - 1) // self.size
        self.x = recurrence.x
        if self.x is not None:
            # A slice that ends beyond its array would be moved, so the last chunk needs
            # padding; once here, not chunk by chunk.
            missing = self.padded - len(self.x)
            self.x = jnp.pad(self.x, ((0, missing), (0, 0), (0, 0)))

    def steps(self, chunk: jax.Array) -> jax.Array:
        """How many steps a chunk has: `size`, but fewer for the last."""
        left = self.recurrence.steps - chunk * self.size
        return jnp.minimum(left, self.size)

    def part(self, array: jax.Array, chunk: jax.Array) -> jax.Array:
        """A chunk's part of an array over all steps."""
        return jax.lax.dynamic_slice_in_dim(array, chunk * self.size, self.size)

    def projected(self, chunk: jax.Array) -> jax.Array:
        """x W + b of a chunk `[size, B, gates · H]`; b alone where every input is zero."""
        weights = self.recurrence.weights
        bias = weights.bias.astype(jnp.float32)
        if self.x is None:
            return bias
        return cells.product(self.part(self.x, chunk), weights.input) + bias

    def valid(self, t: jax.Array) -> jax.Array:
        """Which rows move in step t, bool `[B, 1]`."""
        started = self.recurrence.start <= t
        return (started & (t < self.recurrence.stop))[:, None]

    def step(self, t: jax.Array, state: State, projected: jax.Array) -> tuple[State, Residuals]:
        """Step t forward, as `cells.step`."""
        return cells.step(state, projected, self.valid(t), self.recurrence.weights)

    def step_back(
        self, t: jax.Array, d_state: State, residuals: Residuals
    ) -> tuple[State, jax.Array, jax.Array | None]:
        """Step t back, as `cells.step_back`."""
        return cells.step_back(d_state, residuals, self.valid(t), self.recurrence.weights)

    def empty_residuals(self, steps: int) -> Residuals:
        """Zeros in the place of what so many steps leave."""
        # Any input does: only shapes and dtypes are asked for, and nothing is computed.
        bias = self.recurrence.weights.bias.astype(jnp.float32)

        def residuals_of(state):
            return self.step(0, state, bias)[1]

        return empty(steps, jax.eval_shape(residuals_of, self.recurrence.initial))


def empty(count: int, like: Any) -> Any:
    """Zeros for so many values of a tree, along a new first axis."""
    return jax.tree.map(lambda a: jnp.zeros((count, *a.shape), a.dtype), like)


def write(arrays: Any, values: Any, index: jax.Array | int) -> Any:
    """Arrays with a value, or a tree of them, in the place `index` of the first axis."""

    def write_one(array, value):
        return jax.lax.dynamic_update_index_in_dim(array, value, index, 0)

    return jax.tree.map(write_one, arrays, values)


def read(arrays: Any, index: jax.Array) -> Any:
    """What lies in the place `index` of the first axis."""
    return jax.tree.map(lambda array: array[index], arrays)
