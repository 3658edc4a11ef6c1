"""Buckets, plans and gathering."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from mgjax import batching, skeleton
from mgjax.errors import InputError
from mgjax.preparation import Preparation
from mgjax.store import Store, StoreWriter


def padded(lengths, edges):
    return sum(min(edge for edge in edges if edge >= length) for length in lengths)


def test_edges_waste_as_little_as_any_choice_of_edges():
    rng = np.random.default_rng(0)
    for buckets in (1, 2, 3):
        lengths = rng.integers(1, 30, 12)
        edges = batching.bucket_edges(lengths, buckets)
        assert len(edges) <= buckets and edges[-1] == lengths.max()
        best = min(
            padded(lengths, (*chosen, lengths.max()))
            for chosen in itertools.combinations(sorted(set(lengths)), buckets - 1)
        )
        assert padded(lengths, edges) == best


def test_edges_by_hand():
    assert batching.bucket_edges([10, 10, 11, 50], 2) == (11, 50)
    assert batching.bucket_edges([10, 10, 11, 50], 1) == (50,)
    assert batching.bucket_edges([3, 3], 6) == (3,)
    assert batching.bucket_edges([1, 9, 17], 6, multiple=8) == (8, 16, 24)
    with pytest.raises(InputError):
        batching.bucket_edges([])


def test_a_plan_holds_every_clip_once_in_its_bucket():
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 100, 83)
    clips = rng.permutation(200)[:83]
    edges = batching.bucket_edges(lengths, 4)
    batches = batching.plan(clips, lengths, edges, 16, seed=3, epoch=2)
    seen = np.concatenate([batch.clips[batch.weight > 0] for batch in batches])
    assert sorted(seen) == sorted(clips)
    length_of = dict(zip(clips, lengths))
    for batch in batches:
        assert batch.clips.shape == batch.weight.shape == (16,)
        below = max([edge for edge in edges if edge < batch.padded_length], default=0)
        held = [length_of[clip] for clip in batch.clips]
        assert below < held[0] <= batch.padded_length and held == sorted(held, reverse=True)


def test_order_depends_on_seed_and_epoch_alone():
    lengths = np.arange(1, 41)

    def make(seed, epoch):
        batches = batching.plan(np.arange(40), lengths, (20, 40), 8, seed, epoch)
        return [batch.clips.tolist() for batch in batches]

    assert make(0, 5) == make(0, 5)
    assert make(0, 5) != make(0, 6) and make(0, 5) != make(1, 5)
    assert make(None, 0) == make(None, 9)


def test_a_clip_longer_than_the_last_bucket_is_refused():
    with pytest.raises(InputError, match="30 frames"):
        batching.plan(np.arange(2), np.array([5, 30]), (20,), 2)


def test_gather_takes_the_clips_frames_and_hides_the_rest():
    keypoints = np.arange(20, dtype=np.float32).reshape(10, 1, 2)
    frames = batching.Frames(
        jnp.asarray(keypoints),
        jnp.ones((10, 1)),
        jnp.array([0, 7]),
        jnp.array([2, 3]),
        jnp.array([4, 5]),
    )
    got, score, length, label = batching.gather(frames, jnp.array([1, 0]), 4)
    np.testing.assert_array_equal(got[0, :3], keypoints[7:10])
    np.testing.assert_array_equal(got[1, :2], keypoints[:2])
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(score[..., 0], [[1, 1, 1, 0], [1, 1, 0, 0]])
    assert length.tolist() == [3, 2] and label.tolist() == [5, 4]


def test_gather_resamples_what_is_too_long():
    x = np.arange(10, dtype=np.float32)
    score = np.ones((10, 1), np.float32)
    score[4] = 0
    frames = batching.Frames(
        jnp.asarray(x[:, None, None]),
        jnp.asarray(score),
        jnp.array([0, 7]),
        jnp.array([7, 3]),
        jnp.array([0, 0]),
    )
    got, seen, length, _ = batching.gather(
        frames, jnp.array([0, 1]), 5, Preparation(max_frames=4).resampling
    )
    assert length.tolist() == [4, 3]
    np.testing.assert_allclose(got[0, :4, 0, 0], [0, 2, 4, 6])  # 7 frames at twice the speed
    np.testing.assert_allclose(seen[0, :, 0], [1, 1, 0, 1, 0])
    np.testing.assert_allclose(got[1, :3, 0, 0], [7, 8, 9])
    assert Preparation().resampling is None
    got, seen, length, _ = batching.gather(
        frames, jnp.array([0, 1]), 5, Preparation(fixed_frames=5).resampling
    )
    np.testing.assert_allclose(got[0, :, 0, 0], [0, 1.5, 3, 4.5, 6])
    np.testing.assert_allclose(got[1, :, 0, 0], [7, 7.5, 8, 8.5, 9])
    assert length.tolist() == [5, 5]
    np.testing.assert_allclose(seen[0, :, 0], [1, 1, 1, 0, 1])  # 4.5 lies beside the unseen frame 4


@pytest.fixture
def store(tmp_path):
    """Eleven videos of 5 to 15 frames, two clips in each but the last, which has none."""
    layout = skeleton.get("coco17")
    rng = np.random.default_rng(2)
    with StoreWriter(
        tmp_path / "small.h5", layout, unit="pixel", frames=110, source="a test"
    ) as writer:
        for i, length in enumerate(range(5, 16)):
            writer.add_video(
                f"v{i}", rng.normal(size=(length, 17, 2)), rng.uniform(0.1, 1, (length, 17))
            )
            if i < 10:
                writer.add_clip(f"v{i}", 0, 3)
                writer.add_clip(f"v{i}", 2, length - 2)
    with Store(tmp_path / "small.h5") as opened:
        yield opened


def test_blocks_hold_whole_videos_and_every_clip_once(store):
    frame = 4 * 17 * 3
    blocks = batching.Blocks(store, np.arange(20), block_bytes=30 * frame, resident_bytes=0)
    assert len(blocks) > 2 and blocks.size <= 30
    # nobody asked for the last video
    assert sorted(np.concatenate(blocks.videos)) == list(range(10))
    number = blocks.block_of(np.arange(20))
    for block in range(len(blocks)):
        frames = blocks.read(block)
        assert len(frames.keypoints) == blocks.size
        for clip in np.flatnonzero(number == block):
            keypoints, score = store.clip(clip)
            own = slice(frames.start[clip], frames.start[clip] + frames.length[clip])
            np.testing.assert_array_equal(frames.keypoints[own], keypoints)
            np.testing.assert_array_equal(frames.score[own], score)
    assert len(batching.Blocks(store, np.arange(20))) == 1
    # a video is never cut
    assert len(batching.Blocks(store, np.arange(20), block_bytes=1, resident_bytes=0)) == 10


def test_shares_of_a_block_are_the_block(store):
    sizes = {"block_bytes": 30 * 4 * 17 * 3, "resident_bytes": 0, "multiple": 8}
    whole = batching.Blocks(store, np.arange(20), **sizes)
    shares = [
        batching.Blocks(store, np.arange(20), shard=(which, 4), **sizes) for which in range(4)
    ]
    assert whole.size % 8 == 0 and {share.size for share in shares} == {whole.size}
    for block in range(len(whole)):
        expected, read = whole.read(block), [share.read(block) for share in shares]
        for column in ("keypoints", "score"):
            np.testing.assert_array_equal(
                np.concatenate([getattr(one, column) for one in read]), getattr(expected, column)
            )
        np.testing.assert_array_equal(read[3].start, expected.start)


def test_a_stream_reads_ahead_and_no_block_twice_in_a_row(store, monkeypatch):
    blocks = batching.Blocks(store, np.arange(20), block_bytes=30 * 4 * 17 * 3, resident_bytes=0)
    read, real = [], blocks.read
    monkeypatch.setattr(blocks, "read", lambda block: read.append(block) or real(block))
    given = [
        float(frames.keypoints.sum())
        for frames in blocks.prefetch([1, 1, 0, 0, 2], lambda frames: frames)
    ]
    assert read == [1, 0, 2] and given[0] == given[1] != given[2] == given[3]
    list(blocks.prefetch([2, 2], lambda frames: frames))
    assert read == [1, 0, 2]


def test_parts_by_hand():
    assert [batching.microbatch_count(steps, 64, 512) for steps in (100, 512, 513, 1024, 2000)] == [
        1,
        1,
        2,
        2,
        4,
    ]
    assert batching.microbatch_count(2000, 6, 512) == 2  # 6 rows cannot be cut in four


def test_groups_hold_batches_of_one_padded_length_in_order():
    lengths = np.array([9, 9, 8, 8, 3, 3, 2, 2, 2])
    edges = batching.batch_edges(lengths, 2, 2)
    assert edges == (3, 9)
    batches = batching.plan(np.arange(9), lengths, edges, 2)
    step_groups = batching.group_steps(batches, 2, lambda steps: 2 if steps == 9 else 1)
    assert [(d.padded_length, d.step_count) for d in step_groups] == [(9, 2), (3, 2), (3, 1)]
    np.testing.assert_array_equal(step_groups[0].clips, [[[0], [1]], [[2], [3]]])
    np.testing.assert_array_equal(step_groups[2].clips[0], [[8, 8]])
    np.testing.assert_array_equal(step_groups[2].weight, [[[1, 0]], [[0, 0]]])
    # Read: 9 + 9 + 8 + 8 alone in their parts, then pairs of 3 and 2, and one of 2. Held: four
    # rows of 9, five of 3.
    read, held = batching.padding_fraction(step_groups, lengths)
    assert read == pytest.approx(1 - 46 / (34 + 6 + 4 + 2)) and held == pytest.approx(
        1 - 46 / (36 + 15)
    )


def test_few_shapes_pad_little_at_imigue_lengths():
    seconds = np.clip(np.random.default_rng(0).lognormal(0.45, 0.986, 13936), 0.18, 80.92)
    lengths = np.round(25 * seconds).astype(int)
    edges = batching.batch_edges(lengths, 64, 8)
    batches = batching.plan(np.arange(len(lengths)), lengths, edges, 64, seed=0)
    read, held = batching.padding_fraction(
        batching.group_steps(batches, 8, lambda steps: batching.microbatch_count(steps, 64, 512)),
        lengths,
    )
    assert len(edges) <= 8 and read < 0.05 and held < 0.35
