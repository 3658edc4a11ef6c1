"""The recurrence: a whole training step of U-S-VAE's shape, and a bidirectional layer alone.

The step has no help from length buckets: every clip fills its 50 frames. Beside PyTorch's
`nn.LSTM` stands the time that the step's matrix products alone take (`Products`), which no
implementation of these products can beat.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks import nnx_models
from benchmarks.clips import LAYOUT
from benchmarks.measure import Measurement, alternate, optional, row
from mgjax.models.usvae import USVAE
from mgjax.nn import LSTM
from mgjax.preparation import Batch
from mgjax.training import TrainOptions

SUITE = "recurrent"
INPUTS = LAYOUT.dimensions * len(LAYOUT)


class Shape(NamedTuple):
    """Sizes of a training step: clips, frames of each, units of the encoder's directions and of
    the decoder.
    """

    batch: int
    frames: int
    units: int
    decoder: int


def run(runs: int, small: bool) -> Iterator[Measurement]:
    """The suite's rows, as they are measured."""
    yield from training_step(Shape(8, 6, 8, 16) if small else Shape(64, 50, 256, 512), runs)
    for batch in (8,) if small else (64, 256):
        for gradients in (False, True):
            yield from layer_alone(batch, *((6, 8) if small else (50, 256)), gradients, runs)


def _repeats() -> int:
    """How often a timed run repeats a step: a few milliseconds on an accelerator are too short
    to time once.
    """
    return 3 if jax.default_backend() == "cpu" else 50


def torch_peers():
    """The peers' module and PyTorch's device, or None twice."""
    if optional("torch", "torch") is None:
        return None, None
    from benchmarks import torch_models

    device = torch_models.device()
    return (torch_models, device) if device is not None else (None, None)


def _rows(
    case: str, ours: str, seconds: dict[str, list[float]], repeats: int
) -> Iterator[Measurement]:
    """One row a peer, or one without a peer where there are none."""
    seconds = {name: [s / repeats for s in times] for name, times in seconds.items()}
    for peer in [name for name in seconds if name != ours] or [None]:
        yield row(SUITE, case, "ms", seconds[ours], peer, seconds.get(peer))


def _nn_lstm(packed: bool) -> str:
    return f"PyTorch nn.LSTM, {'packed' if packed else 'padded'}"


# A training step


def training_step(shape: Shape, runs: int) -> Iterator[Measurement]:
    """Forward, backward and Adam of a plain auto-encoder of U-S-VAE's shape, all clips equally
    long.

    Ours takes its steps as `mgjax.training.fit` does, several in one call.
    """
    repeats = max(_repeats(), TrainOptions().steps_per_call)
    x = (
        np.random.default_rng(0)
        .standard_normal((shape.batch, shape.frames, INPUTS))
        .astype(np.float32)
    )
    length = np.full(shape.batch, shape.frames)
    products = Products(shape)
    contestants = {"mgjax": _our_step(shape, x, length, repeats)}
    peers, device = torch_peers()
    for packed in (False, True) if peers else ():
        train = peers.trainer(
            peers.AutoEncoder(INPUTS, shape.units, shape.decoder, 0, packed), device
        )
        contestants[_nn_lstm(packed)] = functools.partial(
            train, *peers.place(x, length, device), repeats
        )
    contestants["GEMM floor"] = products.timed(repeats)
    seconds = alternate(contestants, runs)
    case = (
        f"training step, {shape.batch} clips of {shape.frames} frames, BLSTM {shape.units}, "
        f"decoder LSTM {shape.decoder}"
    )
    yield from _rows(case, "mgjax", seconds, repeats)
    yield row(
        SUITE,
        "matrix products at the step's shapes",
        "GFLOP/s",
        seconds["GEMM floor"],
        amount=repeats * products.operations / 1e9,
    )


def our_model(shape: Shape, kl: float = 0.0) -> USVAE:
    """U-S-VAE of a shape, for `LAYOUT`."""
    config = USVAE.Config(units=shape.units, decoder_units=shape.decoder, kl_weight=kl)
    return USVAE(config, LAYOUT, LAYOUT.dimensions, 0, rngs=nnx.Rngs(0))


def our_batch(x, length) -> Batch:
    """A model's batch out of prepared frames `[B, T, 60]`."""
    x, length = jnp.asarray(x), jnp.asarray(length, jnp.int32)
    frames = x.reshape(*x.shape[:2], len(LAYOUT), LAYOUT.dimensions)
    return Batch(frames, frames, length, jnp.full(len(x), -1, jnp.int32), jnp.ones(len(x)))


def _our_step(shape, x, length, repeats):
    graph, weights = nnx.split(our_model(shape))
    adam = optax.adam(2e-4)

    def step(_, carry, batch):
        weights, state = carry
        gradients = jax.grad(
            lambda weights: nnx.merge(graph, weights).loss(batch, jax.random.key(0))[0]
        )(weights)
        updates, state = adam.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state

    def steps(weights, state, batch):
        return jax.lax.fori_loop(0, repeats, functools.partial(step, batch=batch), (weights, state))

    train, batch = jax.jit(steps, donate_argnums=(0, 1)), our_batch(x, length)
    held = [(weights, adam.init(weights))]

    def contestant():
        held[0] = jax.block_until_ready(train(*held[0], batch))

    return contestant


class Products:
    """The matrix products of one training step and nothing else, by jitted `jnp.dot`, float32.

    Counted, for B clips of T frames, D inputs, H units of each encoder direction and K of the
    decoder:

    - the encoder's input projections `[B·T, D] [D, 4H]` and their weight gradients `[D, B·T]
      [B·T, 4H]`;
    - its recurrent products `[B, H] [H, 4H]`, one a time step and direction, T - 1 of each since
      the first state is zero; back through time as many `[B, 4H] [4H, H]`; their weight gradients
      `[H, B·(T-1)] [B·(T-1), 4H]`;
    - the decoder's first input `[B, 2H] [2H, 4K]`, that product's two gradients, and its
      recurrent products like the encoder's;
    - the readout `[B·T, K] [K, D]` and its two gradients.

    The products of one recurrence run in a `lax.scan` in which each one's operand is made of the
    result before it, as in the real step, so that none can be left out, merged with another or
    run beside it; both directions of the encoder are in one scan and may run beside each other.
    What lies between two products is one addition over the gates. The other products are outputs
    of the same compiled function.
    """

    def __init__(self, shape: Shape):
        batch, frames, units, decoder = shape
        rows, later, code = batch * frames, batch * (frames - 1), 2 * units
        self.steps = frames - 1
        self.hoisted = (
            *[(rows, INPUTS, 4 * units), (INPUTS, rows, 4 * units), (units, later, 4 * units)] * 2,
            (code, batch, 4 * decoder),
            (batch, 4 * decoder, code),
            (decoder, later, 4 * decoder),
            (rows, decoder, INPUTS),
            (rows, INPUTS, decoder),
            (decoder, rows, INPUTS),
        )
        one_way = 2 * units * 4 * units + decoder * 4 * decoder
        self.operations = 2 * (
            sum(m * k * n for m, k, n in self.hoisted)
            + batch * code * 4 * decoder
            + 2 * self.steps * batch * one_way
        )
        rng = np.random.default_rng(0)

        def draw(*size):
            return jnp.asarray(rng.standard_normal(size) / np.sqrt(size[0]), jnp.float32)

        self.operands = {
            "hoisted": [(draw(m, k), draw(k, n)) for m, k, n in self.hoisted],
            "encoder": [draw(units, 4 * units) for _ in range(2)],
            "decoder": draw(decoder, 4 * decoder),
            "encoder back": [draw(4 * units, units) for _ in range(2)],
            "decoder back": draw(4 * decoder, decoder),
            "first": draw(code, 4 * decoder),
            "state": [draw(batch, units) for _ in range(2)],
        }

    def __call__(self, operands: dict):
        """All products; jittable."""
        codes = self._recur(operands["state"], operands["encoder"], _fold)
        first = _fold(jnp.concatenate(codes, -1) @ operands["first"])
        (last,) = self._recur([first], [operands["decoder"]], _fold)
        (back,) = self._recur([_spread(last)], [operands["decoder back"]], _spread)
        ends = [_spread(code + back.mean()) for code in codes]
        ends = self._recur(ends, operands["encoder back"], _spread)
        return ends, [a @ b for a, b in operands["hoisted"]]

    def _recur(self, states, weights, following):
        def step(states, _):
            return [following(state @ matrix) for state, matrix in zip(states, weights)], None

        return jax.lax.scan(step, states, length=self.steps)[0]

    def timed(self, repeats: int) -> Callable:
        """A contestant that computes them so many times."""
        compute = jax.jit(self)
        return lambda: [jax.block_until_ready(compute(self.operands)) for _ in range(repeats)]


def _fold(gates):
    """The next state out of a product's four gates: their sum, halved, so that it neither grows
    nor vanishes.
    """
    return gates.reshape(len(gates), 4, -1).sum(1) / 2


def _spread(state):
    """The next gates out of a product's state."""
    return jnp.concatenate([state, -state, state, -state], -1)


# A layer alone


def layer_alone(
    batch: int, frames: int, units: int, gradients: bool, runs: int
) -> Iterator[Measurement]:
    """A bidirectional LSTM layer over clips of 1 to `frames` frames, forward or with its
    weights' gradients.
    """
    rng, repeats = np.random.default_rng(0), _repeats()
    length = rng.integers(1, frames + 1, batch)
    length[0] = frames
    valid = (np.arange(frames) < length[:, None])[..., None]
    x = (rng.standard_normal((batch, frames, INPUTS)) * valid).astype(np.float32)
    seed = (rng.standard_normal((batch, frames, 2 * units)) * valid).astype(np.float32)
    inputs = [jnp.asarray(array) for array in (x, length.astype(np.int32), seed)]
    ours = LSTM(INPUTS, units, bidirectional=True, rngs=nnx.Rngs(0))
    contestants = {
        "mgjax": _jax_layer(
            ours, lambda layer, x, length: layer(x, length)[0], inputs, gradients, repeats
        ),
        "flax nnx.RNN": _jax_layer(
            nnx_models.bidirectional(INPUTS, units, nnx.Rngs(0)),
            lambda layer, x, length: layer(x, seq_lengths=length),
            inputs,
            gradients,
            repeats,
        ),
    }
    peers, device = torch_peers()
    for packed in (False, True) if peers else ():
        ends = length if packed else None
        contestants[_nn_lstm(packed)] = peers.layer(
            INPUTS, units, x, ends, seed, gradients, repeats, device
        )
    ways = "forward and backward" if gradients else "forward"
    case = f"BLSTM {units}, {batch} clips of 1–{frames} frames, {ways}"
    yield from _rows(case, "mgjax", alternate(contestants, runs), repeats)


def _jax_layer(layer, call, inputs, gradients, repeats):
    """A contestant: the layer's outputs, or the gradients of its weights when the outputs' are
    `seed`.
    """
    graph, weights, rest = nnx.split(layer, nnx.Param, ...)

    def outputs(weights, x, length):
        return call(nnx_models.merged(graph, weights, rest), x, length)

    def derivative(weights, x, length, seed):
        return jax.grad(lambda weights: (outputs(weights, x, length) * seed).sum())(weights)

    compute, inputs = (jax.jit(derivative), inputs) if gradients else (jax.jit(outputs), inputs[:2])
    return lambda: jax.block_until_ready([compute(weights, *inputs) for _ in range(repeats)])
