"""Stacks of layers against PyTorch and Flax, and what padding must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from recurrences import (
    FEATURES,
    LENGTHS,
    STEPS,
    UNITS,
    assert_close,
    every_module,
    judged,
    normal,
    random_states,
)

from mgjax.nn import GRU, LSTM, GRUWeights, LSTMWeights, State, plain_unroll, time_mask


@every_module
def test_padding_changes_nothing(module):
    """Neither what padded frames hold nor how many there are changes a result or a gradient."""
    x, length = normal(7, 3, 16, FEATURES), jnp.array([3, 16, 0])
    stack = module(FEATURES, UNITS, layers=2, bidirectional=True, rngs=nnx.Rngs(0))
    graph, params = nnx.split(stack)

    def run(params, x):
        outputs, finals = nnx.merge(graph, params)(x, length)
        return outputs[:, :16], finals, outputs[:, 16:]

    clean = judged(run, 0, 1)(params, x)
    dirty = jnp.where(time_mask(length, 16)[..., None], x, 1e6)
    # The longest sequence ends with a chunk, and later chunks are not even read.
    dirty = jnp.pad(dirty, ((0, 0), (0, 34), (0, 0)), constant_values=jnp.nan)
    (d_params, d_x), (outputs, finals, beyond) = judged(run, 0, 1)(params, dirty)
    assert_close(((d_params, d_x[:, :16]), (outputs, finals)), (clean[0], clean[1][:2]), 1e-6)
    assert beyond.shape[1] == 34 and not beyond.any() and not d_x[:, 16:].any()
    assert not outputs[0, 3:].any() and not d_x[0, 3:].any() and not outputs[2].any()


@every_module
def test_layers_stack_on_both_directions(module):
    x, length = normal(8, 3, 10, FEATURES), np.array([10, 2, 0])
    stack = module(FEATURES, UNITS, layers=2, bidirectional=True, rngs=nnx.Rngs(0))
    initial = random_states(module, 3)
    outputs, finals = stack(x, jnp.asarray(length), initial)
    below, states = x, []
    for layer in range(2):
        results = []
        for direction, before in zip(stack.directions, initial[layer]):
            weights, reverse = stack.direction_weights(layer, direction), direction == "backward"
            results.append(plain_unroll(below, length, weights, before, reverse))
        below = np.concatenate([out for out, _ in results], -1)
        states.append(tuple(state for _, state in results))
    assert_close(outputs, below)
    assert_close(finals, states)


# Peers: two layers of both directions with initial states and weights copied from ours. Neither
# peer knows sequences without frames.


def peer_job(module):
    """A stack, and `(gradients, results)` of it as the peers are to give them."""
    lengths = LENGTHS[1:]
    x, initial = normal(9, len(lengths), STEPS, FEATURES), random_states(module, len(lengths))
    stack = module(FEATURES, UNITS, layers=2, bidirectional=True, rngs=nnx.Rngs(1))
    graph, params = nnx.split(stack)

    def run(params, x, initial):
        return nnx.merge(graph, params)(x, lengths, initial)

    (d_params, d_x, d_initial), results = judged(run)(params, x, initial)
    d_stack = nnx.merge(graph, d_params)  # the module with gradients in place of weights
    return stack, x, lengths, initial, (every_weights(d_stack), d_x, d_initial), results


def every_weights(stack):
    return [
        tuple(stack.direction_weights(layer, direction) for direction in stack.directions)
        for layer in range(2)
    ]


def torch_tensors(weights):
    """The four tensors of PyTorch, which has a bias beside each matrix; a third of ours goes to
    the recurrent one.
    """
    inner = weights.bias / 3
    bias = weights.bias - inner
    if isinstance(weights, GRUWeights):
        inner = jnp.concatenate([inner[: 2 * UNITS], weights.candidate_bias])
        bias = jnp.concatenate([bias[: 2 * UNITS], weights.bias[2 * UNITS :]])
    return weights.input.T, weights.recurrent.T, bias, inner


def torch_gradients(weights):
    """The gradients of the four tensors, from ours."""
    inner = weights.bias
    if isinstance(weights, GRUWeights):
        inner = jnp.concatenate([inner[: 2 * UNITS], weights.candidate_bias])
    return weights.input.T, weights.recurrent.T, weights.bias, inner


def torch_states(states):
    """States of all layers and directions, `[layers · directions, B, H]` each."""
    flat = [state for layer in states for state in layer]
    return [jnp.stack(part) for part in zip(*flat) if part[0] is not None]


def torch_tensor(array):
    import torch

    return torch.tensor(np.array(array), requires_grad=True)


def torch_peer(stack):
    """PyTorch's module with the stack's weights."""
    import torch

    kind = getattr(torch.nn, type(stack).__name__)
    peer = kind(FEATURES, UNITS, 2, batch_first=True, bidirectional=True)
    flat = [weights for layer in every_weights(stack) for weights in layer]
    tensors = [tensor for weights in flat for tensor in torch_tensors(weights)]
    with torch.no_grad():
        for parameter, tensor in zip(peer.parameters(), tensors, strict=True):
            parameter.copy_(torch_tensor(tensor))
    return peer


@every_module
def test_equals_torch_on_packed_sequences(module):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import rnn

    stack, x, lengths, initial, (d_weights, d_x, d_initial), results = peer_job(module)
    peer, frames = torch_peer(stack), torch_tensor(x)
    states = [torch_tensor(state) for state in torch_states(initial)]
    packed = rnn.pack_padded_sequence(
        frames, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    outputs, finals = peer(packed, tuple(states) if module is LSTM else states[0])
    outputs, _ = rnn.pad_packed_sequence(outputs, batch_first=True)
    finals = list(finals) if module is LSTM else [finals]
    theirs = [outputs.detach(), *(final.detach() for final in finals)]
    assert_close(theirs, [results[0], *torch_states(results[1])])

    # The loss takes the results in the order of ours: outputs, then every direction's states.
    parts = [outputs, *(final[i] for i in range(4) for final in finals)]
    seeds = [torch_tensor(normal(i, *part.shape)).detach() for i, part in enumerate(parts)]
    loss = sum((weight * part).sum() / 10 for weight, part in zip(seeds, parts))
    loss.backward()
    ours = [g for layer in d_weights for weights in layer for g in torch_gradients(weights)]
    assert_close([parameter.grad.numpy() for parameter in peer.parameters()], ours)
    theirs = [frames.grad.numpy(), *(state.grad.numpy() for state in states)]
    assert_close(theirs, [d_x, *torch_states(d_initial)])


def flax_cell(weights, features):
    """Flax's cell with our weights, of which its GRU has no candidate bias."""
    kind = nnx.OptimizedLSTMCell if isinstance(weights, LSTMWeights) else nnx.GRUCell
    cell = kind(features, UNITS, rngs=nnx.Rngs(0))
    cell.dense_i.kernel = nnx.Param(weights.input)
    cell.dense_h.kernel = nnx.Param(weights.recurrent)
    biased = cell.dense_h if isinstance(weights, LSTMWeights) else cell.dense_i
    biased.bias = nnx.Param(weights.bias)
    return cell


def flax_weights(cell):
    """Input and recurrent weights and bias of Flax's cell."""
    biased = cell.dense_h if isinstance(cell, nnx.OptimizedLSTMCell) else cell.dense_i
    return tuple(w[...] for w in (cell.dense_i.kernel, cell.dense_h.kernel, biased.bias))


def flax_carry(state):
    return state.hidden if state.cell is None else (state.cell, state.hidden)


def state_of_carry(carry):
    return State(*carry[::-1]) if isinstance(carry, tuple) else State(carry)


def flax_peer(stack):
    """Flax's layers with the stack's weights."""
    layers = []
    for weights in every_weights(stack):
        cells = [flax_cell(of_direction, len(of_direction.input)) for of_direction in weights]
        layers.append(nnx.Bidirectional(*map(nnx.RNN, cells), return_carry=True))
    return tuple(layers)


@every_module
def test_equals_flax_on_valid_frames(module, monkeypatch):
    if module is GRU:  # Flax has no candidate bias
        drawn, none = GRU.direction_weights, jnp.zeros(UNITS)
        monkeypatch.setattr(
            GRU, "direction_weights", lambda *a: drawn(*a)._replace(candidate_bias=none)
        )
    stack, x, lengths, initial, (d_weights, d_x, d_initial), results = peer_job(module)
    graph, params, rest = nnx.split(flax_peer(stack), nnx.Param, ...)
    lengths = jnp.asarray(lengths)
    mask = time_mask(lengths, STEPS)[..., None]

    def run(params, x, initial):
        finals = []
        for layer, before in zip(nnx.merge(graph, params, rest), initial):
            carries = tuple(map(flax_carry, before))
            after, x = layer(x, initial_carry=carries, seq_lengths=lengths)
            finals.append(tuple(map(state_of_carry, after)))
        return jnp.where(mask, x, 0), finals

    (d_params, *d_others), theirs = judged(run)(params, x, initial)
    assert_close(results, theirs)
    assert_close([d_x, d_initial], d_others)
    d_layers = nnx.merge(graph, d_params, rest)
    d_cells = [(layer.forward_rnn.cell, layer.backward_rnn.cell) for layer in d_layers]
    ours = [tuple(tuple(weights)[:3] for weights in layer) for layer in d_weights]
    assert_close(ours, [tuple(map(flax_weights, cells)) for cells in d_cells])


@every_module
def test_bfloat16_multiplies_and_outputs_in_bfloat16_alone(module):
    """Eight bits of mantissa: outputs, which lie in ±1, within 0.02, gradients within 2 % of the
    largest.
    """
    x, length = normal(10, 4, STEPS, FEATURES), jnp.array([STEPS, 8, 3, 0])

    def run(dtype):
        stack = module(FEATURES, 16, layers=2, bidirectional=True, dtype=dtype, rngs=nnx.Rngs(2))
        graph, params = nnx.split(stack)
        return judged(lambda params, x: nnx.merge(graph, params)(x, length))(params, x)

    half_gradients, (half, half_finals) = run(jnp.bfloat16)
    gradients, (full, finals) = run(jnp.float32)
    assert half.dtype == jnp.bfloat16 and full.dtype == jnp.float32
    for leaf in jax.tree.leaves((half_finals, half_gradients)):
        assert leaf.dtype == jnp.float32
    assert_close(half.astype(jnp.float32), full, 0.02)
    assert_close(half_finals, finals, 0.02)
    for a, b in zip(jax.tree.leaves(half_gradients), jax.tree.leaves(gradients)):
        np.testing.assert_allclose(a, b, rtol=0, atol=0.02 * np.abs(b).max())


def test_forget_bias_raises_the_forget_gate_alone():
    plain = LSTM(FEATURES, UNITS, rngs=nnx.Rngs(0)).direction_weights(0).bias
    raised = LSTM(FEATURES, UNITS, forget_bias=2.0, rngs=nnx.Rngs(0)).direction_weights(0).bias
    np.testing.assert_allclose(raised - plain, np.repeat([0, 2, 0, 0], UNITS), atol=1e-6)
