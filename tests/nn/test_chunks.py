"""How steps are cut into chunks."""

import jax.numpy as jnp
import numpy as np
import pytest
from recurrences import FEATURES, normal, random_state, random_weights

from mgjax.nn import LSTMWeights
from mgjax.nn.chunks import CHUNK, Chunks, Recurrence


@pytest.mark.parametrize(
    "total, steps", [(0, 0), (1, 0), (1, 1), (5, 3), (8, 8), (9, 9), (19, 0), (19, 8), (19, 17)]
)
def test_chunks_cover_every_step_once(total, steps):
    x, weights = normal(0, total, 2, FEATURES), random_weights(LSTMWeights, 1)
    start, stop = jnp.array([0, steps // 2]), jnp.array([steps, steps])
    initial = random_state(LSTMWeights, 2, 2)
    chunks = Chunks(total, Recurrence(x, jnp.array(steps), start, stop, weights, initial))
    covered = []
    for chunk in range(int(chunks.count)):
        first = chunk * chunks.size
        covered += range(first, first + int(chunks.steps(chunk)))
    assert covered == list(range(steps))
    assert chunks.size <= CHUNK and chunks.padded % chunks.size == 0
    assert len(chunks.x) == chunks.padded >= total
    np.testing.assert_array_equal(chunks.x[:total], x)
    assert not chunks.x[total:].any()
    for t in covered:
        assert chunks.valid(t)[:, 0].tolist() == [True, t >= steps // 2]
