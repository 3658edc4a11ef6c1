"""What counts: the one place of the valid-frame mask, and of means over the rows of a batch."""

import jax
import jax.numpy as jnp


def time_mask(length: jax.Array, steps: int) -> jax.Array:
    """True where a frame of a padded sequence is valid.

    Args:
        length: valid frames of each sequence, int `[batch]`.
        steps: padded time steps.

    Returns:
        bool `[batch, steps]`: frame t is valid when t < length.

    >>> import jax.numpy as jnp
    >>> from mgjax.nn import time_mask
    >>> time_mask(jnp.array([2, 0, 3]), 3).astype(int)
    Array([[1, 1, 0],
           [0, 0, 0],
           [1, 1, 1]], dtype=int32)
    """
    return jnp.arange(steps) < length[:, None]


def weighted_mean(values: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean over the rows of a batch that count; 0 when none does.

    Args:
        values: of every row, `[batch]`.
        weight: 1 for a clip, 0 for a row that only fills up a batch, float32 `[batch]`.

    >>> from mgjax.nn import weighted_mean
    >>> float(weighted_mean(jnp.array([1.0, 3.0, 50.0]), jnp.array([1.0, 1.0, 0.0])))
    2.0
    """
    # The weights' own sum, not the number of rows: filling rows would make the mean smaller.
    total = (values * weight).sum()
    return total / jnp.maximum(weight.sum(), 1)
