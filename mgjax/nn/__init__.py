"""Layers that know arrays, not datasets."""

from mgjax.nn.cells import GRUWeights, LSTMWeights, State, plain_cell
from mgjax.nn.layers import GRU, LSTM
from mgjax.nn.masking import time_mask
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
]
