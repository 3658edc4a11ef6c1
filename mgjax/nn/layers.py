"""Stacks of recurrent layers, of one or both directions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike, DTypeLike

from mgjax.nn import cudnn
from mgjax.nn.cells import GRUWeights, LSTMWeights, State, Weights
from mgjax.nn.unroll import unroll, unroll_both

Direction = Literal["forward", "backward"]


class _Parameters(nnx.Module):
    """Those of one direction of one layer; a GRU's also has a `candidate_bias`."""

    def __init__(self, draw: Callable[..., jax.Array], features: int, units: int, gates: int):
        self.input = nnx.Param(draw(features, gates * units))
        self.recurrent = nnx.Param(draw(units, gates * units))
        self.bias = nnx.Param(draw(gates * units))


class _Stack(nnx.Module):
    """Layers of one or both directions."""

    def __init__(
        self,
        features: int,
        units: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.features = features
        self.units = units
        self.layers = layers
        self.bidirectional = bidirectional
        self.dtype = dtype
        # As PyTorch draws them: sums over H units then vary alike, whatever H is.
        bound = 1 / math.sqrt(units)
        draw = functools.partial(_uniform, rngs, bound)
        for layer in range(layers):
            # A layer reads both directions of the one below.
            inputs = features if layer == 0 else units * len(self.directions)
            for direction in self.directions:
                setattr(self, f"{direction}{layer}", self._parameters(draw, inputs))

    def _parameters(self, draw: Callable[..., jax.Array], inputs: int) -> _Parameters:
        raise NotImplementedError

    def direction_weights(self, layer: int, direction: Direction = "forward") -> Weights:
        """The weights of one direction of one layer, in `dtype`."""
        raise NotImplementedError

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Names of the directions, in the order of the outputs."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    def __call__(
        self,
        x: jax.Array,
        length: ArrayLike,
        initial: Sequence[Sequence[State | None]] | None = None,
    ) -> tuple[jax.Array, list[tuple[State, ...]]]:
        """Run the stack.

        Args:
            x: `[batch, time, D]`.
            length: valid frames, int `[batch]`, as in `unroll`.
            initial: every layer's states before the first frame, one a direction; zeros
                when None.

        Returns:
            outputs of the last layer `[batch, time, directions · units]` in `dtype`,
            zero past each end, and every layer's final states, one a direction, as
            `initial` takes them.

        Raises:
            InputError: as `unroll`.
        """
        finals: list[tuple[State, ...]] = []
        for layer in range(self.layers):
            before = initial[layer] if initial else (None, None)
            # The outputs of a layer are the next one's inputs.
            forward = self.direction_weights(layer)
            if self.bidirectional:
                backward = self.direction_weights(layer, "backward")
                x, states = unroll_both(x, length, forward, backward, (before[0], before[1]))
                finals.append(states)
            else:
                x, state = unroll(x, length, forward, before[0])
                finals.append((state,))
        return x, finals


def _uniform(rngs: nnx.Rngs, bound: float, *shape: int) -> jax.Array:
    return jax.random.uniform(rngs.params(), shape, jnp.float32, -bound, bound)


class LSTM(_Stack):
    """A stack of LSTM layers over padded sequences, of one or both directions.

    Weights and biases start uniform in ±1/√units. In a stack each layer reads the
    outputs of all directions of the layer below. Called with `x [batch, time,
    features]` and `length [batch]`, it returns

    - outputs of the last layer `[batch, time, directions · units]`, in `dtype` and zero
      past each end, the forward direction first;
    - every layer's final states, one `State(hidden, cell)` a direction, each float32
      `[batch, units]`. Of the backward direction, the final one is the state after a
      sequence's first frame.

    Args:
        features: inputs D of the first layer.
        units: H of every direction.
        layers: how many layers; 1 by default.
        bidirectional: whether every layer also reads its sequence backwards; by default
            not.
        forget_bias: what the forget gates' biases start higher by, so that a fresh
            layer remembers for longer; 0 by default.
        dtype: of the matrix products and the outputs, float32 (the default) or bfloat16;
            weights and states are float32.
        kernel: what computes it: "xla" (the default), the loop of `chunked_loop`;
            "cudnn", NVIDIA's own, on its GPUs and in float32 alone, which has so far
            been checked against a CPU reference only and never run on a GPU
            (`mgjax.nn.cudnn` says more); or "auto": cudnn on a machine of one NVIDIA
            GPU in float32, else xla, so that a model of one machine runs on another.
        rngs: what the parameters are drawn with.

    Raises:
        InputError: when called, for another kernel, or "cudnn" without an NVIDIA GPU or
            with another dtype; or for shapes and lengths that do not fit, as `unroll`.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from mgjax.nn import LSTM
    >>> lstm = LSTM(features=34, units=16, bidirectional=True, rngs=nnx.Rngs(0))
    >>> x = jnp.ones((2, 50, 34))  # two clips of at most 50 frames
    >>> outputs, finals = lstm(x, jnp.array([50, 20]))
    >>> outputs.shape, bool(outputs[1, 20:].any())
    ((2, 50, 32), False)
    >>> forward, backward = finals[-1]  # of the last layer
    >>> bool((outputs[1, 19, :16] == forward.hidden[1]).all())
    True
    """

    def __init__(
        self,
        features: int,
        units: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        forget_bias: float = 0.0,
        dtype: DTypeLike = jnp.float32,
        kernel: cudnn.Kernel = "xla",
        rngs: nnx.Rngs,
    ):
        self.forget_bias = forget_bias
        self.kernel = kernel
        super().__init__(
            features, units, layers=layers, bidirectional=bidirectional, dtype=dtype, rngs=rngs
        )

    def _parameters(self, draw, inputs):
        parameters = _Parameters(draw, inputs, self.units, gates=4)
        # Gates lie in the order input, forget, cell, output.
        forget = slice(self.units, 2 * self.units)
        bias = parameters.bias[...].at[forget].add(self.forget_bias)
        parameters.bias = nnx.Param(bias)
        return parameters

    def __call__(
        self,
        x: jax.Array,
        length: ArrayLike,
        initial: Sequence[Sequence[State | None]] | None = None,
    ) -> tuple[jax.Array, list[tuple[State, ...]]]:
        """Run the stack.

        Args:
            x: `[batch, time, features]`.
            length: valid frames, int `[batch]`, as in `unroll`.
            initial: every layer's states before the first frame, one a direction; zeros
                when None.

        Returns:
            outputs of the last layer `[batch, time, directions · units]` in `dtype`,
            zero past each end, and every layer's final states, one a direction, as
            `initial` takes them.

        Raises:
            InputError: as `unroll`, and for a kernel that cannot compute this here.
        """
        # Asked first, so that a kernel that is not here is refused even without a step;
        # cuDNN itself knows no sequences without one.
        if not cudnn.taken(self.kernel, self.dtype) or x.shape[1] == 0:
            return super().__call__(x, length, initial)
        layers = range(self.layers)
        weights = [
            [self.direction_weights(layer, direction) for direction in self.directions]
            for layer in layers
        ]
        zeros = [[None] * len(self.directions) for _ in layers]
        return cudnn.lstm(x, length, weights, initial or zeros)

    def direction_weights(self, layer: int, direction: Direction = "forward") -> LSTMWeights:
        """The weights of one direction of one layer, in `dtype`."""
        own = getattr(self, f"{direction}{layer}")
        # Cast here, at every call: the parameters and their gradients stay float32.
        parameters = own.input, own.recurrent, own.bias
        return LSTMWeights(*(parameter[...].astype(self.dtype) for parameter in parameters))


class GRU(_Stack):
    """A stack of GRU layers over padded sequences, of one or both directions.

    Weights and biases start uniform in ±1/√units. In a stack each layer reads the
    outputs of all directions of the layer below. Called as an `LSTM` and with the same
    results, but for the states: those of a GRU are `State(hidden)`, without a cell
    state.

    Args:
        features: inputs D of the first layer.
        units: H of every direction.
        layers: how many layers; 1 by default.
        bidirectional: whether every layer also reads its sequence backwards; by default
            not.
        dtype: of the matrix products and the outputs, float32 (the default) or bfloat16;
            weights and states are float32.
        rngs: what the parameters are drawn with.

    Raises:
        InputError: when called, for shapes and lengths that do not fit, as `unroll`.

    >>> from mgjax.nn import GRU
    >>> gru = GRU(features=34, units=16, layers=2, rngs=nnx.Rngs(0))
    >>> outputs, finals = gru(jnp.ones((2, 50, 34)), jnp.array([50, 20]))
    >>> outputs.shape, len(finals), finals[-1][0].hidden.shape
    ((2, 50, 16), 2, (2, 16))
    """

    def _parameters(self, draw, inputs):
        parameters = _Parameters(draw, inputs, self.units, gates=3)
        parameters.candidate_bias = nnx.Param(draw(self.units))
        return parameters

    def direction_weights(self, layer: int, direction: Direction = "forward") -> GRUWeights:
        """The weights of one direction of one layer, in `dtype`."""
        own = getattr(self, f"{direction}{layer}")
        parameters = own.input, own.recurrent, own.bias, own.candidate_bias
        return GRUWeights(*(parameter[...].astype(self.dtype) for parameter in parameters))
