"""cuDNN's LSTM without a GPU: JAX's reference of the same weight layout stands in for the two
calls into cuDNN.

Everything around those calls is as it would be on a GPU: packing, masking, and JAX's own rule of
differentiation.
"""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import rnn

from mgjax.errors import InputError
from mgjax.nn import LSTM, GRUWeights, LSTMWeights, State, cudnn, unroll, unroll_first_input

UNITS, FEATURES, STEPS = 5, 3, 11
LENGTHS = np.arange(STEPS + 1)  # every length from an empty sequence to all frames


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def reference(
    x,
    hidden,
    cell,
    packed,
    length,
    *,
    cudnn_allow_tf32,
    input_size,
    hidden_size,
    num_layers,
    dropout,
    bidirectional,
):
    """JAX's reference, as unkind to empty sequences as cuDNN: whatever depends on one is NaN."""
    assert not cudnn_allow_tf32
    sizes = input_size, hidden_size, num_layers, bidirectional
    assert packed.shape == (rnn.get_num_params_in_lstm(*sizes),)
    weights = rnn.unpack_lstm_weights(packed, *sizes)
    results = rnn.lstm_ref(
        x,
        hidden,
        cell,
        *weights,
        length,
        input_size,
        hidden_size,
        num_layers,
        dropout,
        bidirectional,
    )
    return jax.tree.map(lambda a: jnp.where((length > 0).all(), a, jnp.nan), results)


def reference_back(
    d_outputs, d_hidden, d_cell, x, hidden, cell, packed, outputs, reserve, length, **how
):
    """Its gradients; those of padding are NaN, as nobody says that cuDNN writes any."""
    _, back = jax.vjp(lambda *primals: reference(*primals, length, **how), x, hidden, cell, packed)
    d_x, *others = back((d_outputs, d_hidden, d_cell))
    return jnp.where((jnp.arange(x.shape[1]) < length[:, None])[..., None], d_x, jnp.nan), *others


@pytest.fixture
def gpu(monkeypatch):
    """A machine that seems to have an NVIDIA GPU; the list gets the shape of every input that
    cuDNN is given.
    """
    calls = []

    def run(*operands, **how):
        calls.append(operands[0].shape)
        return *reference(*operands, **how), jnp.zeros(1)

    monkeypatch.setattr(cudnn, "nvidia", lambda: True)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(rnn, "rnn_fwd_p", types.SimpleNamespace(bind=run))
    monkeypatch.setattr(rnn, "rnn_bwd_p", types.SimpleNamespace(bind=reference_back))
    return calls


def judged(run, *arguments):
    """Results of `run`, and gradients of a sum in which every one of them has a weight of its
    own.
    """

    def loss(*arguments):
        results = run(*arguments)
        return sum(
            (normal(i, *a.shape) * a).sum() / 10 for i, a in enumerate(jax.tree.leaves(results))
        ), results

    return jax.jit(jax.grad(loss, tuple(range(len(arguments))), has_aux=True))(*arguments)


def assert_close(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=0, atol=1e-5), a, b)


def both_kernels(layers, bidirectional, *given):
    """Gradients and results of the same stack by cuDNN and by the loop."""

    def run(kernel):
        stack = LSTM(
            FEATURES,
            UNITS,
            layers=layers,
            bidirectional=bidirectional,
            kernel=kernel,
            rngs=nnx.Rngs(0),
        )
        graph, params = nnx.split(stack)
        gradients, results = judged(
            lambda params, *given: nnx.merge(graph, params)(given[0], LENGTHS, *given[1:]),
            params,
            *given,
        )
        return [nnx.to_pure_dict(gradients[0]), *gradients[1:]], results

    return run("cudnn"), run("xla")


@pytest.mark.parametrize(
    "layers, bidirectional", [(1, False), (3, False), (1, True), (2, True), (3, True)]
)
def test_equals_the_loop_with_its_gradients_for_every_length(gpu, layers, bidirectional):
    rows = len(LENGTHS)
    initial = [
        tuple(
            State(*normal([layer, direction], 2, rows, UNITS))
            for direction in range(1 + bidirectional)
        )
        for layer in range(layers)
    ]
    ours, loop = both_kernels(layers, bidirectional, normal(0, rows, STEPS, FEATURES), initial)
    assert gpu == [(rows, STEPS, FEATURES)]
    assert_close(ours, loop)


def test_equals_the_loop_from_zero_states(gpu):
    ours, loop = both_kernels(1, True, normal(0, len(LENGTHS), STEPS, FEATURES))
    assert gpu
    assert_close(ours, loop)


def lstm_weights(seed):
    shapes = (FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)
    return LSTMWeights(*(normal([seed, i], *shape) / 2 for i, shape in enumerate(shapes)))


@pytest.mark.parametrize("steps", [STEPS, 1])
def test_a_first_input_followed_by_zeros(gpu, steps):
    """As any input that is zero after its first frame; and cuDNN is given one zero a step, not a
    whole input.
    """
    rows, length = len(LENGTHS), np.minimum(LENGTHS, steps)
    first, initial = normal(1, rows, FEATURES), State(*normal(2, 2, rows, UNITS))
    ours = judged(
        lambda first, w, s: unroll_first_input(first, length, steps, w, s, kernel="cudnn"),
        first,
        lstm_weights(3),
        initial,
    )

    def by_loop(first, weights, initial):
        x = jnp.zeros((rows, steps, FEATURES)).at[:, 0].set(first)
        return unroll(x, length, weights, initial)

    loop = judged(by_loop, first, lstm_weights(3), initial)
    assert gpu == [(rows, steps - 1, 1)] * (steps > 1)
    assert_close(ours, loop)


def test_auto_is_cudnn_for_float32_on_one_nvidia_gpu(gpu, monkeypatch):
    assert cudnn.taken("auto", jnp.float32) and not cudnn.taken("auto", jnp.bfloat16)
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert not cudnn.taken("auto", jnp.float32) and cudnn.taken("cudnn", jnp.float32)
    monkeypatch.setattr(cudnn, "nvidia", lambda: False)
    assert not cudnn.taken("auto", jnp.float32)


@pytest.mark.parametrize(
    "backend, version, expected",
    [
        ("gpu", "PJRT C API\ncuda 12090", True),
        ("gpu", "PJRT C API\nrocm 60300", False),
        ("cpu", "cpu", False),
    ],
)
def test_tells_nvidia_from_others(monkeypatch, backend, version, expected):
    device = types.SimpleNamespace(client=types.SimpleNamespace(platform_version=version))
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert cudnn.nvidia() == expected


def test_the_default_never_takes_it(gpu):
    LSTM(FEATURES, UNITS, rngs=nnx.Rngs(0))(normal(0, 2, STEPS, FEATURES), jnp.array([3, 4]))
    unroll_first_input(normal(0, 2, FEATURES), jnp.array([3, 4]), STEPS, lstm_weights(0))
    assert gpu == []


def test_says_why_it_cannot_run(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")

    def call(**how):
        lstm = LSTM(FEATURES, UNITS, **how, rngs=nnx.Rngs(0))
        return lstm(jnp.zeros((1, 2, FEATURES)), jnp.array([2]))

    with pytest.raises(InputError, match="'cudnn' needs an NVIDIA GPU, but JAX runs on tpu here"):
        call(kernel="cudnn")
    with pytest.raises(InputError, match="kernel is 'cuda', expected one of xla, cudnn, auto"):
        call(kernel="cuda")
    gru = GRUWeights(
        *(jnp.zeros(s) for s in ((FEATURES, 3 * UNITS), (UNITS, 3 * UNITS), 3 * UNITS, UNITS))
    )
    with pytest.raises(InputError, match="GRU: kernel is 'cudnn', expected 'xla'"):
        unroll_first_input(jnp.zeros((1, FEATURES)), jnp.array([2]), 2, gru, kernel="cudnn")
    monkeypatch.setattr(cudnn, "nvidia", lambda: True)
    with pytest.raises(InputError, match="float32 only, not in bfloat16"):
        call(kernel="cudnn", dtype=jnp.bfloat16)


def test_lengths_and_shapes_are_checked_as_without_it(gpu):
    stack = LSTM(FEATURES, UNITS, kernel="cudnn", rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match="a length is 5, expected 0 to 4"):
        stack(normal(0, 2, 4, FEATURES), np.array([5, 1]))
    with pytest.raises(InputError, match="for inputs of 7 features"):
        stack(normal(0, 2, 4, 7), np.array([3, 1]))
    assert gpu == []
    long = jax.jit(stack)(normal(0, 2, 4, FEATURES), jnp.array([9, -1]))
    assert_close(long, stack(normal(0, 2, 4, FEATURES), np.array([4, 0])))
