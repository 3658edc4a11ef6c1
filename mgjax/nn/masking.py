"""The one place of the valid-frame mask."""

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
