import shutil
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.store import Store, StoreWriter

LAYOUT = skeleton.get("imigue22")


def clip_of(frames, seed):
    """Keypoints and scores without a missing joint."""
    rng = np.random.default_rng(seed)
    return rng.uniform(1, 700, (frames, 22, 2)).astype(np.float32), rng.uniform(0.1, 1, (frames, 22)).astype(np.float32)


def write(path, **options):
    """Two videos of 30 and 12 frames, three clips, two splits."""
    with StoreWriter(path, LAYOUT, **({"unit": "pixel", "frames": 42, "source": "random numbers"} | options)) as writer:
        writer.add_video("a", *clip_of(30, 0), fps=25, width=1280, height=720, subject="s1", emotion="positive")
        writer.add_video("b", *clip_of(12, 1), fps=29.97)
        writer.add_clip("a", 0, 30, "rubbing hands")
        writer.add_clip("b", 2, 10, "folding arms")
        writer.add_clip("a", 29, 1)
        writer.add_split("mine", train=[2, 0], test=[1])
        writer.add_split("videos", train=[1], test=[0], of="videos")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "made.h5", command="pack --all")


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copy(made, tmp_path / "copy.h5")


def test_round_trip_of_everything(made):
    with Store(made) as store:
        assert (store.layout, store.unit, store.frame_count) == (LAYOUT, "pixel", 42)
        assert store.attributes["source"] == "random numbers"
        assert store.attributes["command"] == "pack --all"
        assert store.attributes["created"].endswith("+00:00")
        columns = {
            "id": ["a", "b"], "start": [0, 30], "length": [30, 12], "fps": [25, np.float32(29.97)], "width": [1280, 0],
            "height": [720, 0], "subject": ["s1", ""], "emotion": ["positive", ""],
        }
        assert {name: getattr(store.videos, name).tolist() for name in columns} == columns
        columns = {"video": [0, 1, 0], "start": [0, 2, 29], "length": [30, 10, 1], "label": [0, 1, -1]}
        assert {name: getattr(store.clips, name).tolist() for name in columns} == columns
        assert store.labels == ("rubbing hands", "folding arms")
        assert (len(store.videos), len(store.clips)) == (2, 3)
        assert store.clip_starts.tolist() == [0, 32, 29]
        for row, length in enumerate((30, 12)):
            for read, written in zip(store.video(row), clip_of(length, row)):
                assert read.dtype == np.float32
                np.testing.assert_array_equal(read, written)
        np.testing.assert_array_equal(store.clip(1)[0], clip_of(12, 1)[0][2:12])
        np.testing.assert_array_equal(store.clip(2)[1], clip_of(30, 0)[1][29:])
        across = np.concatenate([clip_of(30, 0)[0][28:], clip_of(12, 1)[0][:2]])
        np.testing.assert_array_equal(store.frames(28, 32)[0], across)


def test_splits(made):
    with Store(made) as store:
        split = store.split("mine")
        assert (split.of, split.train.tolist(), split.test.tolist()) == ("clips", [0, 2], [1])
        assert [rows.tolist() for rows in store.clip_split("mine")] == [[0, 2], [1]]
        assert store.split("videos").of == "videos"
        assert [rows.tolist() for rows in store.clip_split("videos")] == [[1], [0, 2]]
        assert [rows.tolist() for rows in store.clip_split("all")] == [[0, 1, 2], []]
        with pytest.raises(InputError, match="made.h5: no split 'yours'; this store has: all, mine, videos"):
            store.split("yours")


def test_an_unseen_joint_has_one_spelling(tmp_path):
    keypoints, score = clip_of(4, 0)
    score[1, 3], score[2, 5] = 0, -1
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=4, source="") as writer:
        writer.add_video("a", keypoints, score)
    with Store(tmp_path / "s.h5") as store:
        read, read_score = store.video(0)
    assert (read[1, 3] == 0).all() and (read[2, 5] == 0).all() and read_score[2, 5] == 0
    assert (read != 0).sum() == keypoints.size - 4
    assert keypoints.all(), "the caller's array is left alone"


def test_labels_given_beforehand_keep_their_order(tmp_path):
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=4, source="", labels=["x", "y", "z"]) as writer:
        writer.add_video("a", *clip_of(4, 0))
        assert [writer.add_clip("a", 0, 1, label) for label in ("z", 1, None)] == [0, 1, 2]
        with pytest.raises(InputError, match="unknown class 'w'"):
            writer.add_clip("a", 0, 1, "w")
    with Store(tmp_path / "s.h5") as store:
        assert store.labels == ("x", "y", "z") and store.clips.label.tolist() == [2, 1, -1]


def test_nothing_at_all_is_a_store(tmp_path):
    StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=0, source="").close()
    with Store(tmp_path / "s.h5") as store:
        assert (len(store.videos), len(store.clips), store.labels, store.splits) == (0, 0, (), {})
        assert store.frames(0, 0)[0].shape == (0, 22, 2)


def test_an_empty_video_between_others(tmp_path):
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=5, source="") as writer:
        for id, frames in (("a", 2), ("none", 0), ("c", 3)):
            writer.add_video(id, *clip_of(frames, frames))
        writer.add_clip("c", 0, 3)
    with Store(tmp_path / "s.h5") as store:
        assert store.video(1)[0].shape == (0, 22, 2)
        np.testing.assert_array_equal(store.clip(0)[0], clip_of(3, 3)[0])


def test_a_users_layout_and_three_dimensions(tmp_path):
    joints = ("A", "B")
    layout = skeleton.Layout("mine", joints, (), ("A",), joints, joints, joints, dimensions=3)
    with StoreWriter(tmp_path / "s.h5", layout, unit="metre", frames=2, source="") as writer:
        writer.add_video("a", np.ones((2, 2, 3)), np.ones((2, 2)))
    with Store(tmp_path / "s.h5") as store:
        assert store.layout == layout and store.video(0)[0].shape == (2, 2, 3)


def test_an_error_in_the_block_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="lost"):
        with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=42, source="") as writer:
            writer.add_video("a", *clip_of(30, 0))
            assert not (tmp_path / "s.h5").exists()
            raise RuntimeError("lost")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_older_store_as_it_was(copy):
    before = copy.read_bytes()
    with pytest.raises(InputError, match="opened for 42 frames, 30 were added"):
        with StoreWriter(copy, LAYOUT, unit="pixel", frames=42, source="") as writer:
            writer.add_video("a", *clip_of(30, 0))
    assert copy.read_bytes() == before and list(copy.parent.iterdir()) == [copy]


# A process that writes half a store, says so, and waits.
HALF = """
import sys, numpy as np
from mgjax import skeleton, store
writer = store.StoreWriter(sys.argv[1], skeleton.get("imigue22"), unit="pixel", frames=42, source="")
writer.add_video("a", np.ones((30, 22, 2)), np.ones((30, 22)))
print("half", flush=True)
sys.stdin.readline()
writer.add_video("b", np.ones((12, 22, 2)), np.ones((12, 22)))
writer.close()
"""


@pytest.fixture
def half_written(tmp_path):
    path = tmp_path / "s.h5"
    with subprocess.Popen([sys.executable, "-c", HALF, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout.readline() == "half\n"
        yield path, process
        process.kill()


def test_killed_in_mid_write(half_written):
    path, process = half_written
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    assert [left.name for left in path.parent.iterdir()] == ["s.h5.partial"]
    with pytest.raises(InputError):
        Store(path.with_name("s.h5.partial"))
    write(path)
    with Store(path) as store:
        np.testing.assert_array_equal(store.video(0)[0], clip_of(30, 0)[0])
    assert list(path.parent.iterdir()) == [path]


def test_a_second_writer_is_refused_and_destroys_nothing(half_written):
    path, process = half_written
    with pytest.raises(InputError, match="s.h5.partial: another process is writing it"):
        write(path)
    process.communicate("go on\n")
    assert process.returncode == 0
    with Store(path) as store:
        assert (store.frames(0, 42)[0] == 1).all() and (store.frames(0, 42)[1] == 1).all()


def test_a_second_writer_in_the_same_process_is_refused(tmp_path):
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=30, source="") as writer:
        writer.add_video("a", *clip_of(30, 0))
        with pytest.raises(InputError, match="cannot be written"):
            write(tmp_path / "s.h5")
    with Store(tmp_path / "s.h5") as store:
        np.testing.assert_array_equal(store.video(0)[0], clip_of(30, 0)[0])


def test_a_partial_file_of_any_content_is_replaced(tmp_path):
    (tmp_path / "s.h5.partial").write_text("not HDF5")
    write(tmp_path / "s.h5")
    with Store(tmp_path / "s.h5") as store:
        assert store.frame_count == 42


def test_files_that_are_no_store(tmp_path, copy):
    with pytest.raises(InputError, match="absent.h5: no such store file"):
        Store(tmp_path / "absent.h5")
    with pytest.raises(InputError, match="no such store file"):
        Store(tmp_path)
    text = tmp_path / "text.h5"
    text.write_text("clip,start,end\n" * 100)
    whole = copy.read_bytes()
    for content in (b"", text.read_bytes(), whole[:100], whole[:len(whole) // 2], whole[:-1]):
        text.write_bytes(content)
        with pytest.raises(InputError, match=r"text.h5: not a readable HDF5 file \(damaged, cut short"):
            Store(text)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1, 2, 3]
    with pytest.raises(InputError, match="other.h5: an HDF5 file, but not a mgjax-store"):
        Store(tmp_path / "other.h5")


def replace(name, data):
    def change(file):
        del file[name]
        if data is not None:
            file[name] = data
    return change


def attribute(name, value):
    def change(file):
        if value is None:
            del file.attrs[name]
        else:
            file.attrs[name] = value
    return change


def group(name):
    def change(file):
        del file[name]
        file.create_group(name)
    return change


int32, int64 = (lambda *values: np.array(values, np.int32)), (lambda *values: np.array(values, np.int64))


@pytest.mark.parametrize("change, sentence", [
    (attribute("format", None), "not a mgjax-store"),
    (attribute("version", 2), "store version 2; this mgjax reads version 1"),
    (attribute("version", None), "damaged store: .*'version'"),
    (attribute("skeleton", None), "damaged store: .*'skeleton'"),
    (attribute("skeleton", "{"), "skeleton: not a layout"),
    (attribute("skeleton", skeleton.get("imigue35").to_json()), r"\[F, 35, 2\] for layout 'imigue35'"),
    (attribute("unit", "furlong"), "unit is 'furlong', expected one of pixel, metre"),
    (replace("frames/keypoints", None), "damaged store: .*'keypoints'"),
    (group("frames/keypoints"), "damaged store"),
    (replace("frames/keypoints", np.zeros((42, 22, 3), np.float32)), r"shape \(42, 22, 3\), expected \[F, 22, 2\]"),
    (replace("frames/keypoints", np.zeros((41, 22, 2), np.float32)), r"score has shape \(42, 22\), expected \(41,"),
    (replace("frames/keypoints", np.zeros((42, 22, 2))), "keypoints is float64, expected float32"),
    (replace("frames/keypoints", np.float32(1)), r"shape \(\), expected \[F"),
    (replace("frames/score", np.zeros((42, 21), np.float32)), r"score has shape \(42, 21\), expected \(42, 22\)"),
    (replace("videos/start", int64(0, 29)), "not the running sum"),
    (replace("videos/start", int64(0)), "columns of videos differ in length"),
    (replace("videos/start", np.array([0.0, 30.0])), "videos/start is float64, expected int64"),
    (replace("videos/start", np.int64(0)), "damaged store"),
    (replace("videos/length", int64(30, 13)), "have 43 frames together, frames/keypoints has 42"),
    (replace("videos/id", ["a", "a"]), "two videos have the same id"),
    (replace("videos/id", int64(1, 2)), "damaged store"),
    (replace("videos/emotion", None), "damaged store: .*'emotion'"),
    (replace("clips/video", int32(0, 2, 0)), "names a video that is not there"),
    (replace("clips/start", int64(0, 3, 29)), r"clip 1 \(start 3, length 10\) lies outside its video 'b' of 12"),
    (replace("clips/start", int64(-1, 2, 29)), "clip 0 .* lies outside"),
    (replace("clips/length", int64(30, 10, 0)), "clip 2 .* lies outside"),
    (replace("clips/label", int32(0, 2, -1)), "label lies outside the 2 class names"),
    (replace("clips/label", int32(0, 1, -2)), "label lies outside the 2 class names"),
    (replace("labels", None), "damaged store: .*'labels'"),
    (replace("labels", int64(1, 2)), "damaged store"),
    (replace("splits/mine/train", int64(0, 3)), "split 'mine' names clips that are not there"),
    (replace("splits/mine/train", int64(0, 1)), "split 'mine' names a row of clips twice"),
    (replace("splits/videos/test", int64(2)), "split 'videos' names videos that are not there"),
    (replace("splits/mine/test", None), "damaged store: .*'test'"),
    (lambda file: file["splits/mine"].attrs.__setitem__("of", "frames"), "split 'mine' is of 'frames'"),
    (replace("splits/mine", 3), "damaged store"),
])
def test_tampering_is_noticed(copy, change, sentence):
    with h5py.File(copy, "r+") as file:
        change(file)
    with pytest.raises(InputError, match="copy.h5.*" + sentence):
        Store(copy)


def test_negative_lengths_that_add_up_are_noticed(copy):
    with h5py.File(copy, "r+") as file:
        file["videos/start"][:], file["videos/length"][:] = [0, 50], [50, -8]
    with pytest.raises(InputError, match="negative length"):
        Store(copy)


def video(**changes):
    """What `add_video` is given, with changes."""
    keypoints, score = clip_of(4, 0)
    return {"id": "v", "keypoints": keypoints, "score": score} | changes


@pytest.mark.parametrize("misuse, sentence", [
    (lambda w: w.add_video(**video(keypoints=np.zeros((4, 21, 2)))), r"video 'v': keypoints \(4, 21, 2\)"),
    (lambda w: w.add_video(**video(keypoints=np.zeros((4, 22, 3)))), r"expected \[T, 22, 2\]"),
    (lambda w: w.add_video(**video(score=np.zeros((3, 22)))), r"score \(3, 22\)"),
    (lambda w: w.add_video(**video(keypoints=np.full((4, 22, 2), np.nan))), "not finite"),
    (lambda w: w.add_video(**video(score=np.full((4, 22), np.inf))), "not finite"),
    (lambda w: w.add_video(**video(id="a")), "video 'a' is there twice"),
    (lambda w: w.add_video("v", *clip_of(5, 0)), "opened for 8 frames, this needs 9"),
    (lambda w: w.add_clip("v", 0, 1), "clip of unknown video 'v'"),
    (lambda w: w.add_clip("a", -1, 2), "frames -1 to 1 lie outside its 4 frames"),
    (lambda w: w.add_clip("a", 3, 2), "frames 3 to 5 lie outside its 4 frames"),
    (lambda w: w.add_clip("a", 0, 0), "lie outside"),
    (lambda w: (w.add_split("x", [], []), w.add_split("x", [], [])), "split 'x' is there twice"),
    (lambda w: w.add_split("cross/view", [], []), "cannot be called 'cross/view'"),
    (lambda w: w.add_split("all", [], []), "cannot be called 'all'"),
    (lambda w: (w.add_video(**video()), w.add_split("x", [0], [])), "split 'x' names clips that are not there"),
    (lambda w: (w.add_video(**video()), w.add_split("x", [0], [0], of="videos")), "names a row of videos twice"),
    (lambda w: (w.add_video(**video()), w.add_split("x", [], [], of="people")), "is of 'people'"),
    (lambda w: (w.add_video(**video()), w.add_clip("a", 0, 1, 0)), "label lies outside the 0 class names"),
    (lambda w: None, "opened for 8 frames, 4 were added"),
])
def test_misuse_of_the_writer(tmp_path, misuse, sentence):
    with pytest.raises(InputError, match=sentence):
        with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=8, source="") as writer:
            writer.add_video("a", *clip_of(4, 1))
            misuse(writer)
    assert list(tmp_path.iterdir()) == []


def test_a_negative_number_of_frames_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match="s.h5: frames is -1, expected 0 or more"):
        StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=-1, source="")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="unit is 'inch', expected one of pixel, metre"):
        write(tmp_path / "s.h5", unit="inch")
    with pytest.raises(InputError, match="no such folder to write s.h5 into"):
        write(tmp_path / "absent" / "s.h5")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write(tmp_path / "folder")
