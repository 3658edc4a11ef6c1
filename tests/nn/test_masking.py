"""The mask of valid frames."""

import jax.numpy as jnp
import numpy as np

from mgjax.nn.masking import time_mask


def test_a_frame_is_valid_before_its_sequence_ends():
    mask = np.asarray(time_mask(jnp.array([0, 3, 2, 5]), 4))
    assert mask.dtype == bool and mask.shape == (4, 4)
    for row, length in enumerate([0, 3, 2, 5]):
        for t in range(4):
            assert mask[row, t] == (t < length)
