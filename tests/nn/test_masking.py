"""The mask of valid frames, and means over the rows that count."""

import jax.numpy as jnp
import numpy as np

from mgjax.nn.masking import time_mask, weighted_mean


def test_a_frame_is_valid_before_its_sequence_ends():
    mask = np.asarray(time_mask(jnp.array([0, 3, 2, 5]), 4))
    assert mask.dtype == bool and mask.shape == (4, 4)
    for row, length in enumerate([0, 3, 2, 5]):
        for t in range(4):
            assert mask[row, t] == (t < length)


def test_rows_that_only_fill_up_do_not_count():
    values = jnp.array([1.0, 4.0, jnp.finfo(jnp.float32).max])
    assert weighted_mean(values, jnp.array([1.0, 1.0, 0.0])) == 2.5
    assert weighted_mean(values, jnp.zeros(3)) == 0
