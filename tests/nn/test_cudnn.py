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
from recurrences import FEATURES, UNITS, assert_close, judged, normal, random_weights

from mgjax.errors import InputError
from mgjax.nn import (
    LSTM,
    GRUWeights,
    LSTMWeights,
    State,
    cudnn,
    time_mask,
    unroll,
    unroll_first_input,
)

STEPS = 11
LENGTHS = np.arange(STEPS + 1)  # every length from an empty sequence to all frames


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
    return jnp.where(time_mask(length, x.shape[1])[..., None], d_x, jnp.nan), *others


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


def both_kernels(layers, bidirectional, *given):
    """Gradients and results of the same stack by cuDNN and by the loop."""

    def run(kernel):
        how = {"layers": layers, "bidirectional": bidirectional, "kernel": kernel}
        graph, params = nnx.split(LSTM(FEATURES, UNITS, **how, rngs=nnx.Rngs(0)))

        def called(params, x, *initial):
            return nnx.merge(graph, params)(x, LENGTHS, *initial)

        (d_params, *d_given), results = judged(called)(params, *given)
        return [nnx.to_pure_dict(d_params), *d_given], results

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


@pytest.mark.parametrize("steps", [STEPS, 1])
def test_a_first_input_followed_by_zeros(gpu, steps):
    """As any input that is zero after its first frame; and cuDNN is given one zero a step, not a
    whole input.
    """
    rows, length = len(LENGTHS), np.minimum(LENGTHS, steps)
    arguments = (
        normal(1, rows, FEATURES),
        random_weights(LSTMWeights, 3),
        State(*normal(2, 2, rows, UNITS)),
    )

    def by_cudnn(first, weights, initial):
        return unroll_first_input(first, length, steps, weights, initial, kernel="cudnn")

    def by_loop(first, weights, initial):
        x = jnp.zeros((rows, steps, FEATURES)).at[:, 0].set(first)
        return unroll(x, length, weights, initial)

    ours, loop = judged(by_cudnn)(*arguments), judged(by_loop)(*arguments)
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
    unroll_first_input(
        normal(0, 2, FEATURES), jnp.array([3, 4]), STEPS, random_weights(LSTMWeights, 0)
    )
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
