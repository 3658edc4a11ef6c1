"""The benchmark: its arithmetic by hand, its peers doing the same work as the library, and one
tiny run.
"""

import json
import math
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mgjax.preparation import Preparation


@pytest.fixture(scope="module", autouse=True)
def scripts(root):
    """The folder of the scripts on the path, as it is when one of them runs."""
    sys.path.insert(0, str(root / "launch"))
    yield
    sys.path.remove(str(root / "launch"))


def test_rows_by_hand(monkeypatch, capsys):
    from benchmarks import measure

    monkeypatch.setattr(measure, "device_name", lambda: "an abacus")
    # Medians 0.2 and 0.5 s. Milliseconds: lower is better; frames a second: higher is better.
    slower = measure.row("s", "c", "ms", [0.2, 0.1, 0.9], "peer", [0.5, 0.4, 0.6])
    assert (slower.value, slower.peer_value) == (200, 500) and slower.ratio == pytest.approx(2.5)
    assert (slower.runs, slower.device) == (3, "an abacus")
    assert "200 ms (100–900); peer 500 (400–600); 2.50x" in capsys.readouterr().out
    rate = measure.row("s", "c", "frames/s", [0.2, 0.1, 0.9], "peer", [0.5, 0.4, 0.6], amount=100)
    assert (rate.value, rate.peer_value) == (500, 200) and rate.ratio == pytest.approx(2.5)
    fewer = measure.row("s", "c", "frames/s", [0.2], "peer", [0.5], amount=100, peer_amount=500)
    assert fewer.peer_value == 1000 and fewer.ratio == pytest.approx(0.5)
    alone = measure.row("s", "c", "ms", [0.2], "peer", None)
    assert alone.value == 200 and (alone.peer, alone.peer_value, alone.ratio) == (None, None, None)
    assert measure.figure("s", "c", "%", 4.0, "peer", 10.0).ratio == pytest.approx(2.5)
    assert measure.figure(
        "s", "c", "%", 4.0, "peer", 10.0, higher_is_better=True
    ).ratio == pytest.approx(0.4)
    assert measure.figure("s", "c", "%", 4.0).peer is None


def test_contestants_take_turns():
    from benchmarks import measure

    order = []
    seconds = measure.alternate(
        {name: lambda name=name: order.append(name) for name in "ab"}, runs=3
    )
    assert "".join(order) == "abababab"  # once unmeasured, then three times
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_a_sample_stands_for_its_epoch():
    from benchmarks import train

    ones = np.ones(2, np.float32)
    batches = [train.Work(steps, np.arange(2), ones) for steps in (5, 1, 1, 2, 1)]
    # Padded frames 2 2 2 4 10 make 20: two groups of 10, the middle of the first being a batch of
    # 2 frames.
    first, second = train.sample(batches, 2)
    assert (first.steps, first.share) == (1, 5) and (second.steps, second.share) == (5, 1)
    everything = train.sample(batches, 1000)
    assert sum(work.share * work.steps * 2 for work in everything) == pytest.approx(20)


def test_padding_counts_filling_rows():
    from benchmarks import batching

    # Clips of 1, 2 and 3 frames: 6 of the 2 · 3 + 2 · 2 = 10 frames that two batches of two rows
    # work through.
    assert batching.padding(np.array([1, 2, 3]), [(3, 2), (2, 2)]) == pytest.approx(0.4)


def test_lengths_are_those_of_imigue():
    from benchmarks import clips

    lengths = clips.imigue_lengths()
    assert len(lengths) == 13_936 and lengths.min() == 4 and lengths.max() <= 2023
    assert lengths.mean() / 25 == pytest.approx(2.55, abs=0.05)


def test_products_count_their_operations():
    from benchmarks import recurrent

    # B 2, T 3, D 60, H 4, K 8 by hand, multiply-adds: the encoder's input and its gradient, twice
    # 2 · 2 · 6 · 60 · 16; recurrences 2 · 2 steps · 2 · (2 · 4 · 16 + 8 · 32) and their weights'
    # gradients 4 · (2 · 4 · 16 + 8 · 32); the first input and its two gradients 3 · 2 · 8 · 32;
    # the readout 3 · 6 · 8 · 60.
    expected = 4 * 6 * 60 * 16 + 8 * 384 + 4 * 384 + 3 * 512 + 3 * 2880
    products = recurrent.Products(recurrent.Shape(2, 3, 4, 8))
    assert products.operations == 2 * expected
    compiled = jax.jit(products).lower(products.operands).compile()
    # XLA counts a loop's body once; its own count must therefore hold all products but the loops'
    # repetitions.
    cost = compiled.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    assert cost["flops"] >= products.operations - 2 * 4 * 384


@pytest.fixture(scope="module")
def problem():
    """A small U-S-VAE, clips of three lengths on the benchmark's skeleton, our loss and the
    noise it draws.
    """
    from benchmarks import clips, recurrent

    lengths = np.array([6, 3, 5])
    keypoints = clips.random_walks(lengths)
    x = clips.prepared_batch(keypoints, lengths, np.arange(3), 6)
    ours = recurrent.our_model(recurrent.Shape(3, 6, 4, 5), kl=0.1)
    key = jax.random.key(1)
    loss, _ = ours.loss(recurrent.our_batch(x, lengths), key)
    return ours, keypoints, x, lengths, float(loss), np.asarray(jax.random.normal(key, (3, 8)))


def test_peers_get_what_preparation_gives(problem):
    from benchmarks import clips

    _, keypoints, x, lengths, _, _ = problem
    starts = np.cumsum(lengths) - lengths
    raw = np.stack(
        [keypoints[np.minimum(start + np.arange(6), len(keypoints) - 1)] for start in starts]
    )
    score = jnp.ones(raw.shape[:3])
    batch = Preparation()(
        jnp.asarray(raw), score, jnp.asarray(lengths), jnp.zeros(3, int), jnp.ones(3), clips.LAYOUT
    )
    np.testing.assert_allclose(x.reshape(3, 6, 30, 2), batch.inputs, atol=1e-5)


def test_torch_trains_the_same_model(problem):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_models

    ours, _, x, lengths, loss, noise = problem
    model = torch_models.AutoEncoder(60, 4, 5, kl=0.1, packed=True)

    def tensor(array):
        return torch.from_numpy(np.array(array))

    layers = [
        (model.encoder, "", ours.encoder.direction_weights(0)),
        (model.encoder, "_reverse", ours.encoder.direction_weights(0, "backward")),
        (model.decoder, "", ours.decoder.direction_weights(0)),
    ]
    with torch.no_grad():
        for lstm, end, weights in layers:
            getattr(lstm, f"weight_ih_l0{end}").copy_(tensor(weights.input.T))
            getattr(lstm, f"weight_hh_l0{end}").copy_(tensor(weights.recurrent.T))
            getattr(lstm, f"bias_ih_l0{end}").copy_(tensor(weights.bias))
            getattr(lstm, f"bias_hh_l0{end}").zero_()
        for linear, source in (
            (model.log_variance, ours.log_variance),
            (model.readout, ours.readout),
        ):
            linear.weight.copy_(tensor(source.kernel[...].T))
            linear.bias.copy_(tensor(source.bias[...]))
    theirs = model.loss(*torch_models.place(x, lengths, torch.device("cpu")), tensor(noise))
    assert theirs.item() == pytest.approx(loss, abs=1e-5)
    # Padded, it is the same model where there is no padding.
    whole = model.loss(tensor(x[:1]), torch.tensor([6]), tensor(noise[:1]))
    model.packed = False
    assert model.loss(tensor(x[:1]), torch.tensor([6]), tensor(noise[:1])).item() == pytest.approx(
        whole.item()
    )


def test_nnx_trains_the_same_model(problem):
    from benchmarks import nnx_models

    ours, _, x, lengths, loss, noise = problem
    model = nnx_models.AutoEncoder(60, 4, 5, 0.1, nnx.Rngs(0))
    cells = [
        (model.encoder.forward_rnn.cell, ours.encoder.direction_weights(0)),
        (model.encoder.backward_rnn.cell, ours.encoder.direction_weights(0, "backward")),
        (model.decoder.cell, ours.decoder.direction_weights(0)),
    ]
    for cell, weights in cells:
        cell.dense_i.kernel[...], cell.dense_h.kernel[...] = weights.input, weights.recurrent
        cell.dense_h.bias[...] = weights.bias
    for linear, source in ((model.log_variance, ours.log_variance), (model.readout, ours.readout)):
        linear.kernel[...], linear.bias[...] = source.kernel[...], source.bias[...]
    theirs = model.loss(jnp.asarray(x), jnp.asarray(lengths), jnp.ones(3), jnp.asarray(noise))
    assert float(theirs) == pytest.approx(loss, abs=1e-5)


def bench(root, *arguments):
    return subprocess.run(
        [sys.executable, str(root / "launch" / "bench.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


KEYS = ["suite", "case", "value", "unit", "peer", "peer_value", "ratio", "runs", "device"]


@pytest.mark.slow
def test_a_small_run(root, tmp_path):
    output = tmp_path / "bench.json"
    output.write_text(
        json.dumps([{"suite": "knn", "case": "kept"}, {"suite": "train", "case": "replaced"}])
    )
    done = bench(
        root, "--suite=batching,recurrent,train", "--small", "--runs=2", f"--output={output}"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(output.read_text())
    assert rows.pop(0) == {"suite": "knn", "case": "kept"}
    assert {row["suite"] for row in rows} == {"batching", "recurrent", "train"}
    for row in rows:
        assert list(row) == KEYS and math.isfinite(row["value"]) and row["value"] > 0, row
        assert (row["peer"] is None) == (row["peer_value"] is None) == (row["ratio"] is None), row
        if row["ratio"] is not None:
            better = max(row["value"], row["peer_value"]) / min(row["value"], row["peer_value"])
            assert row["ratio"] == pytest.approx(better) or row["ratio"] == pytest.approx(
                1 / better
            ), row
        assert re.search(rf"\| {row['suite']} +\| {re.escape(row['case'])} +\|", done.stdout)
    peers = {row["peer"] for row in rows}
    assert {"flax nnx.RNN", "GEMM floor", "flax nnx.RNN, our batches"} <= peers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"9" * 5000,
        b"5",
        b"[5]",
        b'"text"',
        b'{"suite": "train"}',
        b'[{"suite": 3}]',
        b'[{"case": "x"}]',
        b"null",
    ],
)
def test_a_file_of_something_else_is_left_alone(tmp_path, data):
    import bench as script

    from mgjax.errors import InputError

    path = tmp_path / "thesis.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match="thesis.json: is there and holds no rows of this script"):
        script.bench([], path)
    assert path.read_bytes() == data


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ["--suite=batching,speed", "--output=folder/b.json"],
            "unknown suite 'speed'; known are recurrent",
        ),
        (["--suite=batching", "--output=folder/none/b.json"], "no such folder to write b.json"),
        (["--suite=batching", "--output=folder/thesis.json"], "holds no rows of this script"),
    ],
)
def test_bad_input_ends_in_one_sentence(root, tmp_path, arguments, words):
    (tmp_path / "thesis.json").write_text('{"chapter": 1}')
    done = bench(root, *(argument.replace("folder/", f"{tmp_path}/") for argument in arguments))
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "thesis.json").read_text() == '{"chapter": 1}' and len(
        list(tmp_path.iterdir())
    ) == 1
