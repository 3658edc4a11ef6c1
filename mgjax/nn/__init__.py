"""Layers that know arrays, not datasets.

The recurrence, from what a model calls to what computes it:

- `layers`: `LSTM` and `GRU`, stacks of one or both directions;
- `unroll`: one layer over padded sequences; first its specification, `plain_unroll`;
- `chunked_loop`: the loop over steps and its derivative, with a picture; `chunks` has how
  steps are cut;
- `cells`: the equations, a step forward and a step back;
- `cudnn`: NVIDIA's own LSTM in place of the loop;
- `arguments` and `masking`: what is checked at the door, and which frames are valid.
"""

from mgjax.nn.cells import GRUWeights, LSTMWeights, State, plain_cell
from mgjax.nn.layers import GRU, LSTM
from mgjax.nn.masking import time_mask, weighted_mean
from mgjax.nn.unroll import plain_unroll, unroll, unroll_both, unroll_first_input

__all__ = [
    "GRU",
    "LSTM",
    "GRUWeights",
    "LSTMWeights",
    "State",
    "plain_cell",
    "plain_unroll",
    "time_mask",
    "unroll",
    "unroll_both",
    "unroll_first_input",
    "weighted_mean",
]
