"""The recurrences against loops, PyTorch and Flax, and what padding, chunks and order must not
change.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mgjax.errors import InputError
from mgjax.nn import recurrent
from mgjax.nn.recurrent import GRU, LSTM, GRUWeights, LSTMWeights, State

UNITS, FEATURES = 5, 3
STEPS = 19  # two whole chunks and a part of a third
LENGTHS = np.arange(STEPS + 1)  # every length from an empty sequence to all frames
CELLS = LSTMWeights, GRUWeights
MODULES = LSTM, GRU

every_cell = pytest.mark.parametrize("kind", CELLS)
every_module = pytest.mark.parametrize("module", MODULES)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def random_weights(kind, seed):
    gates = 4 if kind is LSTMWeights else 3
    shapes = [(FEATURES, gates * UNITS), (UNITS, gates * UNITS), (gates * UNITS,), (UNITS,)]
    return kind(
        *(normal([seed, i], *shape) / 2 for i, shape in enumerate(shapes[: len(kind._fields)]))
    )


def random_state(kind, seed, rows):
    hidden, cell = normal(seed, 2, rows, UNITS)
    return State(hidden, cell if kind in (LSTMWeights, LSTM) else None)


def random_states(module, rows, layers=2):
    """Initial states of a stack of both directions."""
    return [
        tuple(random_state(module, [layer, direction], rows) for direction in range(2))
        for layer in range(layers)
    ]


def plain_step(x, state, weights, np=jnp):
    """A cell as a textbook has it, in NumPy or JAX."""
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    projected, product = x @ weights.input + weights.bias, state.hidden @ weights.recurrent
    if isinstance(weights, LSTMWeights):
        i, f, g, o = np.split(projected + product, 4, axis=-1)
        cell = sigmoid(f) * state.cell + sigmoid(i) * np.tanh(g)
        return State(sigmoid(o) * np.tanh(cell), cell)
    (xr, xz, xn), (hr, hz, hn) = np.split(projected, 3, axis=-1), np.split(product, 3, axis=-1)
    update = sigmoid(xz + hz)
    candidate = np.tanh(xn + sigmoid(xr + hr) * (hn + weights.candidate_bias))
    return State((1 - update) * candidate + update * state.hidden)


def plain_loop(x, length, weights, initial, reverse):
    """Outputs and final hidden states, sequence by sequence in float64 NumPy."""
    weights, initial = jax.tree.map(lambda a: np.asarray(a, np.float64), (weights, initial))
    outputs, finals = np.zeros((*x.shape[:2], UNITS)), []
    for row, frames in enumerate(length):
        state = State(*(None if s is None else s[row] for s in initial))
        for t in reversed(range(frames)) if reverse else range(frames):
            state = plain_step(np.asarray(x[row, t], np.float64), state, weights, np)
            outputs[row, t] = state.hidden
        finals.append(state)
    return outputs, jax.tree.map(lambda *rows: np.stack(rows), *finals)


def plain_scan(x, length, weights, initial, reverse=False):
    """The same for all rows at once, so that JAX can differentiate it in little time."""

    def step(state, now):
        frame, t = now
        valid = (t < length)[:, None]
        new = jax.tree.map(
            lambda a, b: jnp.where(valid, a, b), plain_step(frame, state, weights), state
        )
        return new, jnp.where(valid, new.hidden, 0)

    state, outputs = jax.lax.scan(
        step, initial, (x.swapaxes(0, 1), jnp.arange(x.shape[1])), reverse=reverse
    )
    return outputs.swapaxes(0, 1), state


def weighed(results):
    """A number in which every result has a weight of its own, small enough for gradients of the
    order of one.
    """
    return sum((normal(i, *a.shape) * a).sum() / 10 for i, a in enumerate(jax.tree.leaves(results)))


def judged(run, *differentiated):
    """`run` compiled, with the gradients by the arguments of the given numbers; all by default."""

    def loss(*arguments):
        results = run(*arguments)
        return weighed(results), results

    def both(*arguments):
        return jax.grad(loss, differentiated or tuple(range(len(arguments))), has_aux=True)(
            *arguments
        )

    return jax.jit(both)


@functools.cache
def judged_scan(reverse):
    return judged(lambda x, w, s, length: plain_scan(x, length, w, s, reverse), 0, 1, 2)


def judged_unroll(reverse=False, *differentiated):
    return judged(
        lambda x, w, s, length: recurrent.unroll(x, length, w, s, reverse),
        *(differentiated or (0, 1, 2)),
    )


def assert_close(a, b, tolerance=1e-5):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=0, atol=tolerance), a, b)


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kept_bytes", [recurrent.KEPT_BYTES, 0])
def test_equals_a_plain_loop_with_its_gradients_for_every_length(
    monkeypatch, kind, reverse, kept_bytes
):
    """Also where the backward pass keeps only the states between chunks, and for shorter batches
    in the same room.
    """
    monkeypatch.setattr(recurrent, "KEPT_BYTES", kept_bytes)
    x, weights = normal(0, len(LENGTHS), STEPS, FEATURES), random_weights(kind, 1)
    initial = random_state(kind, 2, len(LENGTHS))
    ours, scan = judged_unroll(reverse), judged_scan(reverse)
    for longest in (STEPS, 17, 16, 15, 9, 8, 7, 1, 0):
        length = np.minimum(LENGTHS, longest)
        gradients, results = ours(x, weights, initial, length)
        assert_close(results, plain_loop(x, length, weights, initial, reverse))
        assert_close((gradients, results), scan(x, weights, initial, length))


@every_cell
@pytest.mark.parametrize("steps", [1, 8])
def test_equals_a_plain_loop_where_all_is_one_chunk(kind, steps):
    x, weights, initial = (
        normal(0, 9, steps, FEATURES),
        random_weights(kind, 1),
        random_state(kind, 2, 9),
    )
    length = np.minimum(np.arange(9), steps)
    assert_close(
        judged_unroll()(x, weights, initial, length),
        judged_scan(False)(x, weights, initial, length),
    )


@every_cell
def test_few_kept_bytes_compute_chunks_a_second_time(monkeypatch, kind):
    """Or else the test above would compare the same program twice."""
    arguments = (
        normal(0, 2, STEPS, FEATURES),
        random_weights(kind, 1),
        random_state(kind, 2, 2),
        np.array([STEPS, 3]),
    )
    activations = lambda: str(jax.make_jaxpr(judged_unroll())(*arguments)).count(" tanh ")
    with_everything = activations()
    monkeypatch.setattr(recurrent, "KEPT_BYTES", 0)
    assert activations() == 2 * with_everything == 4


@every_cell
def test_gradient_of_inputs_is_computed_only_where_it_is_asked_for(kind):
    arguments = (
        normal(0, 2, STEPS, FEATURES),
        random_weights(kind, 1),
        random_state(kind, 2, 2),
        np.array([STEPS, 3]),
    )
    asked, not_asked = judged_unroll(False, 0, 1), judged_unroll(False, 1)
    products = lambda run: str(jax.make_jaxpr(run)(*arguments)).count(" dot_general[")
    assert products(asked) == products(not_asked) + 1
    assert_close(not_asked(*arguments)[0][0], asked(*arguments)[0][1], 1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_numpy_inputs_and_lengths_need_no_tracing(reverse):
    x, length, weights = (
        np.asarray(normal(0, 2, 9, FEATURES)),
        np.array([9, 4]),
        random_weights(GRUWeights, 1),
    )
    loss = lambda weights, x, length: weighed(recurrent.unroll(x, length, weights, None, reverse))
    closed = jax.jit(jax.grad(lambda weights: loss(weights, x, length)))
    assert_close(closed(weights), jax.jit(jax.grad(loss))(weights, x, length), 1e-6)


@every_cell
@pytest.mark.parametrize("asked", ["outputs", "state"])
def test_gradients_of_outputs_alone_and_of_the_state_alone(kind, asked):
    """What a loss does not use reaches the backward pass as nothing rather than as zeros."""
    x, weights, length = (
        normal(0, 3, STEPS, FEATURES),
        random_weights(kind, 1),
        np.array([STEPS, 0, 9]),
    )
    chosen = lambda results: results[asked == "state"]
    gradients = lambda run: judged(lambda *a: chosen(run(*a)), 0, 1, 2)(
        x, weights, random_state(kind, 2, 3)
    )
    assert_close(
        gradients(lambda x, w, s: recurrent.unroll(x, length, w, s)),
        gradients(lambda x, w, s: plain_scan(x, length, w, s)),
    )


@every_cell
def test_both_directions_are_each_direction_alone(kind):
    length, x = jnp.array([4, 1, 7]), normal(2, 3, 7, FEATURES)
    forward, backward = random_weights(kind, 3), random_weights(kind, 4)
    outputs, states = recurrent.unroll_both(x, length, forward, backward)
    ahead, ahead_state = recurrent.unroll(x, length, forward)
    behind, behind_state = recurrent.unroll(x, length, backward, reverse=True)
    assert_close(outputs, jnp.concatenate([ahead, behind], -1), 1e-6)
    assert_close(states, (ahead_state, behind_state), 1e-6)


@every_cell
@pytest.mark.parametrize("steps", [1, 2, STEPS])
def test_first_input_only_is_zeros_afterwards(kind, steps):
    """With its gradients: what the decoder skips must be what a zero input would have given."""
    length = jnp.minimum(jnp.array([1, 3, 9, 0, STEPS]), steps)

    def fed(first, weights, initial):
        x = jnp.zeros((5, steps, FEATURES)).at[:, 0].set(first)
        return plain_scan(x, length, weights, initial)

    def unfed(first, weights, initial):
        return recurrent.unroll_first_input(first, length, steps, weights, initial)

    arguments = normal(5, 5, FEATURES), random_weights(kind, 6), random_state(kind, 7, 5)
    assert_close(judged(unfed)(*arguments), judged(fed)(*arguments))


@every_cell
def test_first_input_only_without_room_for_what_steps_leave(monkeypatch, kind):
    length = jnp.array([1, 8, 9, 0, STEPS])
    run = lambda *arguments: recurrent.unroll_first_input(
        arguments[0], length, STEPS, *arguments[1:]
    )
    arguments = normal(5, 5, FEATURES), random_weights(kind, 6), random_state(kind, 7, 5)
    with_room = judged(run)(*arguments)
    monkeypatch.setattr(recurrent, "KEPT_BYTES", 0)
    assert_close(judged(run)(*arguments), with_room, 1e-6)


@every_module
def test_padding_changes_nothing(module):
    """Neither what padded frames hold nor how many there are changes a result or a gradient."""
    x, length = normal(7, 3, 16, FEATURES), jnp.array([3, 16, 0])
    graph, params = nnx.split(
        module(FEATURES, UNITS, layers=2, bidirectional=True, rngs=nnx.Rngs(0))
    )

    def run(params, x):
        outputs, finals = nnx.merge(graph, params)(x, length)
        return outputs[:, :16], finals, outputs[:, 16:]

    clean = judged(run, 0, 1)(params, x)
    dirty = jnp.where(recurrent.time_mask(length, 16)[..., None], x, 1e6)
    # The longest sequence ends with a chunk, and later chunks are not even read.
    dirty = jnp.pad(dirty, ((0, 0), (0, 34), (0, 0)), constant_values=jnp.nan)
    (d_params, d_x), (outputs, finals, beyond) = judged(run, 0, 1)(params, dirty)
    assert_close(((d_params, d_x[:, :16]), (outputs, finals)), (clean[0], clean[1][:2]), 1e-6)
    assert beyond.shape[1] == 34 and not beyond.any() and not d_x[:, 16:].any()
    assert not outputs[0, 3:].any() and not d_x[0, 3:].any() and not outputs[2].any()


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_that_is_no_number_stays_out_of_outputs_and_states(kind, reverse):
    x, length, weights = normal(7, 3, 11, FEATURES), jnp.array([3, 10, 0]), random_weights(kind, 1)
    dirty = jnp.where(recurrent.time_mask(length, 11)[..., None], x, jnp.nan)
    assert_close(
        recurrent.unroll(dirty, length, weights, None, reverse),
        recurrent.unroll(x, length, weights, None, reverse),
        1e-6,
    )


@every_module
def test_layers_stack_on_both_directions(module):
    x, length = normal(8, 3, 10, FEATURES), np.array([10, 2, 0])
    stack, initial = (
        module(FEATURES, UNITS, layers=2, bidirectional=True, rngs=nnx.Rngs(0)),
        random_states(module, 3),
    )
    outputs, finals = stack(x, jnp.asarray(length), initial)
    below, states = x, []
    for layer in range(2):
        results = [
            plain_loop(
                below,
                length,
                stack.direction_weights(layer, direction),
                before,
                direction == "backward",
            )
            for direction, before in zip(stack.directions, initial[layer])
        ]
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
    run = lambda params, x, initial: nnx.merge(graph, params)(x, lengths, initial)
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


@every_module
def test_equals_torch_on_packed_sequences(module):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import rnn

    stack, x, lengths, initial, (d_weights, d_x, d_initial), results = peer_job(module)
    tensor = lambda a: torch.tensor(np.array(a), requires_grad=True)
    peer = getattr(torch.nn, module.__name__)(
        FEATURES, UNITS, 2, batch_first=True, bidirectional=True
    )
    flat = lambda of: [
        w for layer in every_weights(stack) for weights in layer for w in of(weights)
    ]
    with torch.no_grad():
        for parameter, weight in zip(peer.parameters(), flat(torch_tensors), strict=True):
            parameter.copy_(tensor(weight))
    frames, states = tensor(x), [tensor(s) for s in torch_states(initial)]
    packed = rnn.pack_padded_sequence(
        frames, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    outputs, finals = peer(packed, tuple(states) if module is LSTM else states[0])
    outputs, _ = rnn.pad_packed_sequence(outputs, batch_first=True)
    finals = list(finals) if module is LSTM else [finals]
    assert_close(
        [outputs.detach(), *(f.detach() for f in finals)], [results[0], *torch_states(results[1])]
    )

    # The loss takes the results in the order of ours: outputs, then every direction's states.
    parts = [f[i] for i in range(4) for f in finals]
    loss = sum(
        (tensor(normal(i, *a.shape)).detach() * a).sum() / 10
        for i, a in enumerate([outputs, *parts])
    )
    loss.backward()
    ours = [g for layer in d_weights for weights in layer for g in torch_gradients(weights)]
    assert_close([p.grad.numpy() for p in peer.parameters()], ours)
    assert_close(
        [frames.grad.numpy(), *(s.grad.numpy() for s in states)], [d_x, *torch_states(d_initial)]
    )


def flax_cell(weights, features):
    """Flax's cell with our weights, of which its GRU has no candidate bias."""
    kind = nnx.OptimizedLSTMCell if isinstance(weights, LSTMWeights) else nnx.GRUCell
    cell = kind(features, UNITS, rngs=nnx.Rngs(0))
    cell.dense_i.kernel, cell.dense_h.kernel = (
        nnx.Param(weights.input),
        nnx.Param(weights.recurrent),
    )
    biased = cell.dense_h if isinstance(weights, LSTMWeights) else cell.dense_i
    biased.bias = nnx.Param(weights.bias)
    return cell


def flax_weights(cell):
    """Input and recurrent weights and bias of Flax's cell."""
    biased = cell.dense_h if isinstance(cell, nnx.OptimizedLSTMCell) else cell.dense_i
    return tuple(w[...] for w in (cell.dense_i.kernel, cell.dense_h.kernel, biased.bias))


@every_module
def test_equals_flax_on_valid_frames(module, monkeypatch):
    if module is GRU:  # Flax has no candidate bias
        drawn = GRU.direction_weights
        monkeypatch.setattr(
            GRU, "direction_weights", lambda *a: drawn(*a)._replace(candidate_bias=jnp.zeros(UNITS))
        )
    stack, x, lengths, initial, (d_weights, d_x, d_initial), results = peer_job(module)
    layers = [
        nnx.Bidirectional(
            *(nnx.RNN(flax_cell(w, w.input.shape[0])) for w in layer), return_carry=True
        )
        for layer in every_weights(stack)
    ]
    graph, params, rest = nnx.split(tuple(layers), nnx.Param, ...)
    carry = lambda state: (state.cell, state.hidden) if module is LSTM else state.hidden
    state = lambda carry: State(*carry[::-1]) if module is LSTM else State(carry)
    mask = recurrent.time_mask(jnp.asarray(lengths), STEPS)[..., None]

    def run(params, x, initial):
        finals = []
        for layer, before in zip(nnx.merge(graph, params, rest), initial):
            after, x = layer(
                x, initial_carry=tuple(map(carry, before)), seq_lengths=jnp.asarray(lengths)
            )
            finals.append(tuple(map(state, after)))
        return jnp.where(mask, x, 0), finals

    (d_params, *d_others), theirs = judged(run)(params, x, initial)
    assert_close(results, theirs)
    assert_close([d_x, d_initial], d_others)
    d_cells = [
        (layer.forward_rnn.cell, layer.backward_rnn.cell)
        for layer in nnx.merge(graph, d_params, rest)
    ]
    assert_close(
        [tuple(w[:3] for w in map(tuple, layer)) for layer in d_weights],
        [tuple(map(flax_weights, cells)) for cells in d_cells],
    )


@every_module
def test_bfloat16_multiplies_and_outputs_in_bfloat16_alone(module):
    """Eight bits of mantissa: outputs, which lie in ±1, within 0.02, gradients within 2 % of the
    largest.
    """
    x, length = normal(10, 4, STEPS, FEATURES), jnp.array([STEPS, 8, 3, 0])

    def run(dtype):
        graph, params = nnx.split(
            module(FEATURES, 16, layers=2, bidirectional=True, dtype=dtype, rngs=nnx.Rngs(2))
        )
        return judged(lambda params, x: nnx.merge(graph, params)(x, length))(params, x)

    half_gradients, (half, half_finals) = run(jnp.bfloat16)
    gradients, (full, finals) = run(jnp.float32)
    assert half.dtype == jnp.bfloat16 and full.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((half_finals, half_gradients))} == {
        jnp.dtype("float32")
    }
    assert_close(half.astype(jnp.float32), full, 0.02)
    assert_close(half_finals, finals, 0.02)
    for a, b in zip(jax.tree.leaves(half_gradients), jax.tree.leaves(gradients)):
        np.testing.assert_allclose(a, b, rtol=0, atol=0.02 * np.abs(b).max())


def test_forget_bias_raises_the_forget_gate_alone():
    plain = LSTM(FEATURES, UNITS, rngs=nnx.Rngs(0)).direction_weights(0).bias
    raised = LSTM(FEATURES, UNITS, forget_bias=2.0, rngs=nnx.Rngs(0)).direction_weights(0).bias
    np.testing.assert_allclose(raised - plain, np.repeat([0, 2, 0, 0], UNITS), atol=1e-6)


@every_cell
@seed(0)
@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    length=st.lists(st.integers(0, STEPS), min_size=4, max_size=4),
    beyond=st.integers(0, 3),
    reverse=st.booleans(),
    data_seed=st.integers(0, 99),
)
def test_any_lengths_equal_the_plain_loop(kind, length, beyond, reverse, data_seed):
    """Known, traced, and traced beyond the padded time, where they count as all of it."""
    x, weights = normal(data_seed, 4, STEPS, FEATURES), random_weights(kind, data_seed)
    initial, known = random_state(kind, data_seed, 4), np.array(length)
    expected = plain_loop(x, known, weights, initial, reverse)
    given_lengths = np.where(
        (known == STEPS) | (known == 0), known + np.sign(known - 1) * beyond, known
    )
    assert_close(judged_any(reverse)(x, weights, initial, given_lengths), expected)


@functools.cache
def judged_any(reverse):
    return jax.jit(lambda x, w, s, length: recurrent.unroll(x, length, w, s, reverse))


# What does not fit, and which derivatives there are.


def calls(kind):
    """Every way in, as a function of lengths for inputs of three rows and seven steps."""
    x, weights = normal(0, 3, 7, FEATURES), random_weights(kind, 1)
    stack = (LSTM if kind is LSTMWeights else GRU)(
        FEATURES, UNITS, bidirectional=True, rngs=nnx.Rngs(0)
    )
    return {
        "ahead": lambda length: recurrent.unroll(x, length, weights),
        "behind": lambda length: recurrent.unroll(x, length, weights, reverse=True),
        "first input": lambda length: recurrent.unroll_first_input(x[:, 0], length, 7, weights),
        "stack": lambda length: stack(x, length),
    }


@every_cell
@pytest.mark.parametrize("way", ["ahead", "behind", "first input", "stack"])
def test_lengths_outside_the_padded_time_are_refused_or_moved_into_it(kind, way):
    call = calls(kind)[way]
    for wrong in (8, -1, 2**40):
        for known in (
            [3, wrong, 0],
            np.array([3, wrong, 0]),
            *([jnp.array([3, wrong, 0])] if wrong < 9 else []),
        ):
            with pytest.raises(InputError, match=f"a length is {wrong}, expected 0 to 7"):
                call(known)
    traced = jax.jit(call)(jnp.array([9, -4, 1000]))
    assert_close(traced, call(np.array([7, 0, 7])), 1e-6)


def test_traced_lengths_of_few_bits():
    """The padded time may be more than they can say."""
    x, weights = normal(0, 2, 300, FEATURES), random_weights(GRUWeights, 1)
    run = jax.jit(lambda length: recurrent.unroll(x, length, weights))
    for kind in (np.uint8, np.int8, np.uint32):
        assert_close(run(jnp.array([127, 50], kind)), run(jnp.array([127, 50])), 1e-6)


@every_cell
def test_lengths_that_are_no_lengths_are_refused(kind):
    for call in calls(kind).values():
        for length, sentence in (
            (np.array([1.0, 2, 3]), "lengths are float"),
            (np.array([True, False, True]), "are bool"),
            (np.array([1, 2]), r"have shape \[2\], expected \[3\]"),
            (
                np.array([[1, 2, 3]]),
                r"have shape \[1, "
                r"3\]",
            ),
            (3, r"have shape \[\]"),
        ):
            with pytest.raises(InputError, match=sentence):
                call(length)
            with pytest.raises(InputError, match=sentence):
                jax.jit(call)(length)


@every_cell
@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"x": (3, 7, 4)}, "input weights have shape .* for inputs of 4 features"),
        ({"x": (3, 7)}, r"inputs have shape \[3, 7\], expected \[batch, time, features\]"),
        ({"recurrent": (UNITS, 7)}, r"recurrent weights have shape \[5, 7\]"),
        ({"input": (FEATURES,)}, "input weights have shape"),
        ({"hidden": (2, UNITS)}, r"initial hidden state has shape \[2, 5\], expected \[3, 5\]"),
    ],
)
def test_shapes_that_do_not_fit_are_said(kind, change, sentence):
    ((name, shape),) = change.items()
    x, weights, state = normal(0, 3, 7, FEATURES), random_weights(kind, 1), random_state(kind, 2, 3)
    if name == "x":
        x = normal(0, *shape)
    elif name == "hidden":
        state = state._replace(hidden=normal(0, *shape))
    else:
        weights = weights._replace(**{name: normal(0, *shape)})
    with pytest.raises(InputError, match=sentence):
        recurrent.unroll(x, np.array([1, 2, 3]), weights, state)
    with pytest.raises(InputError, match="expected LSTMWeights or GRUWeights"):
        recurrent.unroll(x, np.array([1, 2, 3]), tuple(weights), state)


def test_an_lstm_needs_both_of_its_states():
    with pytest.raises(InputError, match="initial cell state has shape None"):
        recurrent.unroll(
            normal(0, 3, 7, FEATURES),
            np.array([1, 2, 3]),
            random_weights(LSTMWeights, 1),
            random_state(GRUWeights, 2, 3),
        )


@every_cell
@pytest.mark.parametrize("kept_bytes", [recurrent.KEPT_BYTES, 0])
def test_second_derivatives_are_forward_over_reverse(monkeypatch, kind, kept_bytes):
    monkeypatch.setattr(recurrent, "KEPT_BYTES", kept_bytes)
    length, arguments = (
        np.array([9, 0, 4]),
        (normal(0, 3, 9, FEATURES), random_weights(kind, 1), random_state(kind, 2, 3)),
    )
    direction = jax.tree.map(lambda a: normal(3, *a.shape), arguments)

    def curvature(run):
        """The product of the Hessian and a direction."""
        loss = lambda *arguments: weighed(run(*arguments)) ** 2
        gradient = jax.grad(loss, (0, 1, 2))
        return jax.jit(lambda: jax.jvp(gradient, arguments, direction)[1])()

    assert_close(
        curvature(lambda x, w, s: recurrent.unroll(x, length, w, s)),
        curvature(lambda x, w, s: plain_scan(x, length, w, s)),
        1e-4,
    )


@every_cell
def test_derivatives_that_are_not_there_are_refused(kind):
    """By JAX, in its own words; what must not happen is a wrong number."""
    x, weights = normal(0, 2, 5, FEATURES), random_weights(kind, 1)
    loss = lambda x: weighed(recurrent.unroll(x, np.array([5, 3]), weights))
    for differentiate in (
        lambda: jax.jvp(loss, (x,), (x,)),
        lambda: jax.jit(jax.jacfwd(loss))(x),
        lambda: jax.linearize(loss, x)[1](x),
    ):
        with pytest.raises(TypeError, match="forward-mode .* custom_vjp"):
            differentiate()
    with pytest.raises(ValueError, match="Reverse-mode differentiation does not work"):
        jax.grad(lambda x: jax.grad(loss)(x).sum())(x)
