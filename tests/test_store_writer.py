"""Writing a store: whole or not at all, whatever happens meanwhile."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest
from small_store import LAYOUT, clip_of, new_store, write

from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.store import Store, StoreWriter


def test_an_unseen_joint_has_one_spelling(tmp_path):
    keypoints, score = clip_of(4, 0)
    score[1, 3], score[2, 5] = 0, -1
    with new_store(tmp_path / "s.h5", frames=4) as writer:
        writer.add_video("a", keypoints, score)
    with Store(tmp_path / "s.h5") as store:
        read, read_score = store.video(0)
    assert (read[1, 3] == 0).all() and (read[2, 5] == 0).all() and read_score[2, 5] == 0
    assert (read != 0).sum() == keypoints.size - 4
    assert keypoints.all(), "the caller's array is left alone"


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_what_is_missing_from_outside_becomes_an_unseen_joint(tmp_path, missing):
    keypoints, score = clip_of(4, 0)
    keypoints[1, 3, 0], keypoints[3] = missing, missing
    score[2, 5] = np.nan
    with new_store(tmp_path / "s.h5", frames=4) as writer:
        writer.add_video("a", keypoints, score)
    unseen = np.zeros((4, 22), bool)
    unseen[1, 3] = unseen[2, 5] = unseen[3] = True
    with Store(tmp_path / "s.h5") as store:
        read, read_score = store.video(0)
    np.testing.assert_array_equal(read, np.where(unseen[..., None], 0, keypoints))
    np.testing.assert_array_equal(read_score, np.where(unseen, 0, score))


def test_labels_given_beforehand_keep_their_order(tmp_path):
    with new_store(tmp_path / "s.h5", frames=4, labels=["x", "y", "z"]) as writer:
        writer.add_video("a", *clip_of(4, 0))
        assert [writer.add_clip("a", 0, 1, label) for label in ("z", 1, None)] == [0, 1, 2]
        with pytest.raises(InputError, match="unknown class 'w'"):
            writer.add_clip("a", 0, 1, "w")
    with Store(tmp_path / "s.h5") as store:
        assert store.labels == ("x", "y", "z") and store.clips.label.tolist() == [2, 1, -1]


def test_nothing_at_all_is_a_store(tmp_path):
    new_store(tmp_path / "s.h5", frames=0).close()
    with Store(tmp_path / "s.h5") as store:
        assert (len(store.videos), len(store.clips), store.labels, store.splits) == (0, 0, (), {})
        assert store.frames(0, 0)[0].shape == (0, 22, 2)


def test_an_empty_video_between_others(tmp_path):
    with new_store(tmp_path / "s.h5", frames=5) as writer:
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
    with (
        pytest.raises(RuntimeError, match="lost"),
        new_store(tmp_path / "s.h5", frames=42) as writer,
    ):
        writer.add_video("a", *clip_of(30, 0))
        assert not (tmp_path / "s.h5").exists()
        raise RuntimeError("lost")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_older_store_as_it_was(tmp_path):
    path = write(tmp_path / "s.h5")
    before = path.read_bytes()
    sentence = "opened for 42 frames, 30 were added"
    with pytest.raises(InputError, match=sentence), new_store(path, frames=42) as writer:
        writer.add_video("a", *clip_of(30, 0))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


# A process that writes half a store, says so, and waits.
HALF = """
import sys, numpy as np
from mgjax import skeleton, store
layout = skeleton.get("imigue22")
writer = store.StoreWriter(sys.argv[1], layout, unit="pixel", frames=42, source="")
writer.add_video("a", np.ones((30, 22, 2)), np.ones((30, 22)))
print("half", flush=True)
sys.stdin.readline()
writer.add_video("b", np.ones((12, 22, 2)), np.ones((12, 22)))
writer.close()
"""


@pytest.fixture
def half_written(tmp_path):
    path = tmp_path / "s.h5"
    with subprocess.Popen(
        [sys.executable, "-c", HALF, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
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
    with new_store(tmp_path / "s.h5", frames=30) as writer:
        writer.add_video("a", *clip_of(30, 0))
        with pytest.raises(InputError, match="another process is writing it"):
            write(tmp_path / "s.h5")
    with Store(tmp_path / "s.h5") as store:
        np.testing.assert_array_equal(store.video(0)[0], clip_of(30, 0)[0])


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_writer_that_comes_as_the_first_one_ends_is_refused(tmp_path, monkeypatch, moment):
    path, real, refused = tmp_path / "s.h5", getattr(os, moment), []

    def late(*arguments):
        with pytest.raises(InputError, match="another process is writing it"):
            write(path, unit="metre")
        refused.append(True)
        return real(*arguments)

    monkeypatch.setattr(os, moment, late)
    write(path)
    monkeypatch.undo()
    assert refused
    with Store(path) as store:
        assert store.unit == "pixel"
        np.testing.assert_array_equal(store.video(0)[0], clip_of(30, 0)[0])


def test_a_race_of_writers_never_shows_a_reader_half_a_store(tmp_path):
    path, end, written = write(tmp_path / "s.h5"), time.monotonic() + 2, []

    def race():
        while time.monotonic() < end:
            with contextlib.suppress(InputError):
                write(path)
                written.append(True)

    writers = [threading.Thread(target=race) for _ in range(3)]
    for writer in writers:
        writer.start()
    read = 0
    while any(writer.is_alive() for writer in writers):
        with h5py.File(path, "r", locking=False) as file:
            assert file["frames/score"].shape == (42, 22) and "mine" in file["splits"]
        read += 1
    assert read and len(written) > 1
    with Store(path) as store:
        assert store.frame_count == 42
    assert os.listdir(tmp_path) == ["s.h5"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("a disk can only be made by root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def free(folder):
    status = os.statvfs(folder)
    return status.f_bfree * status.f_bsize


NO_SPACE = r"s.h5: cannot be written \(No space left on device\)"


def test_a_disk_that_is_full_before_the_frames_are_written(small_disk):
    with pytest.raises(InputError, match=NO_SPACE):
        path = small_disk / "s.h5"
        with new_store(path, frames=9000) as writer:
            for name in "abc":
                writer.add_video(name, *clip_of(3000, 0))
    assert os.listdir(small_disk) == [] and free(small_disk) > 1_900_000


def test_a_disk_that_is_full_before_the_tables_are_written(small_disk):
    with pytest.raises(InputError, match=NO_SPACE), new_store(small_disk / "s.h5", 30) as writer:
        writer.add_video("a", *clip_of(30, 0))
        path = small_disk / "other"
        with contextlib.suppress(OSError), open(path, "wb", buffering=0) as other:
            while True:
                other.write(bytes(4096))
        left = free(small_disk)
    assert os.listdir(small_disk) == ["other"] and free(small_disk) > left


# Files must not grow beyond a limit, which comes at any moment of writing a store.
LIMITED = """
import os, resource, sys
import numpy as np
from mgjax import errors, skeleton, store
layout, path, ends = skeleton.get("imigue22"), sys.argv[1], []
for limit in [*range(0, 60_000, 700), 10**6]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with store.StoreWriter(path, layout, unit="pixel", frames=40, source="") as writer:
            for name in "ab":
                writer.add_video(name, np.ones((20, 22, 2)), np.ones((20, 22)), subject="x" * 9000)
            writer.add_split("mine", range(1000), [])
            for _ in range(1000):
                writer.add_clip("a", 0, 1, "c")
        ends.append("whole")
        os.unlink(path)
    except errors.InputError as error:
        ends.append(str(error).partition(": ")[2])
    assert os.listdir(os.path.dirname(path)) == []
print(sorted(set(ends)), ends.index("whole"))
"""


def test_a_disk_that_is_full_at_any_moment(tmp_path):
    pytest.importorskip("resource")
    command = [sys.executable, "-c", LIMITED, tmp_path / "s.h5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    ends, whole = done.stdout.rsplit(maxsplit=1)
    assert ends == "['cannot be written (File too large)', 'whole']" and int(whole) > 20


def test_giving_up_twice_does_no_harm_to_the_next_writer(tmp_path):
    first = new_store(tmp_path / "s.h5", frames=30)
    first.discard()
    with new_store(tmp_path / "s.h5", frames=30) as second:
        second.add_video("a", *clip_of(30, 0))
        first.discard()
    second.close()
    with Store(tmp_path / "s.h5") as store:
        np.testing.assert_array_equal(store.video(0)[0], clip_of(30, 0)[0])


def test_a_partial_file_of_any_content_is_replaced(tmp_path):
    (tmp_path / "s.h5.partial").write_text("not HDF5")
    write(tmp_path / "s.h5")
    with Store(tmp_path / "s.h5") as store:
        assert store.frame_count == 42


def video(**changes):
    """What `add_video` is given, with changes."""
    keypoints, score = clip_of(4, 0)
    return {"id": "v", "keypoints": keypoints, "score": score} | changes


@pytest.mark.parametrize(
    "misuse, sentence",
    [
        (
            lambda w: w.add_video(**video(keypoints=np.zeros((4, 21, 2)))),
            r"video 'v': keypoints \(4, "
            r"21, 2\)",
        ),
        (lambda w: w.add_video(**video(keypoints=np.zeros((4, 22, 3)))), r"expected \[T, 22, 2\]"),
        (lambda w: w.add_video(**video(score=np.zeros((3, 22)))), r"score \(3, 22\)"),
        (
            lambda w: w.add_video(**video(score=np.full((4, 22), np.inf))),
            "video 'v': a score is infinite",
        ),
        (
            lambda w: w.add_video(**video(score=np.full((4, 22), -np.inf))),
            "video 'v': a score is infinite",
        ),
        (
            lambda w: w.add_video(**video(score="none")),
            "video 'v': keypoints or scores are not arrays of numbers",
        ),
        (lambda w: w.add_video(**video(id="v\0")), "its id is .* with a NUL byte"),
        (lambda w: w.add_video(**video(id=7)), "its id is 7, expected text"),
        (lambda w: w.add_video(**video(subject="\udcff")), "its subject is .* not UTF-8"),
        (lambda w: w.add_video(**video(fps=-25)), "fps is -25, expected a finite number"),
        (lambda w: w.add_video(**video(fps=np.nan)), "fps is nan"),
        (lambda w: w.add_video(**video(fps=1e300)), "fps is 1e\\+300"),
        (
            lambda w: w.add_video(**video(width=-1)),
            "width is -1, expected a whole number of pixels",
        ),
        (lambda w: w.add_video(**video(height=2**31)), "height is 2147483648"),
        (lambda w: w.add_video(**video(height=np.nan)), "height is nan"),
        (lambda w: w.add_clip("a", 0, 1, "a\0b"), "its class name is .* with a NUL byte"),
        (lambda w: w.add_split("a\0b", [], []), "a split's name is .* with a NUL byte"),
        (lambda w: w.add_video(**video(id="a")), "video 'a' is there twice"),
        (lambda w: w.add_video("v", *clip_of(5, 0)), "opened for 8 frames, this needs 9"),
        (lambda w: w.add_clip("v", 0, 1), "clip of unknown video 'v'"),
        (lambda w: w.add_clip("a", -1, 2), "frames -1 to 1 lie outside its 4 frames"),
        (lambda w: w.add_clip("a", 3, 2), "frames 3 to 5 lie outside its 4 frames"),
        (lambda w: w.add_clip("a", 0, 0), "lie outside"),
        (
            lambda w: (w.add_split("x", [], []), w.add_split("x", [], [])),
            "split 'x' is there twice",
        ),
        (lambda w: w.add_split("cross/view", [], []), "cannot be called 'cross/view'"),
        (lambda w: w.add_split("all", [], []), "cannot be called 'all'"),
        (
            lambda w: (w.add_video(**video()), w.add_split("x", [0], [])),
            "split 'x' names clips that are not there",
        ),
        (
            lambda w: (w.add_video(**video()), w.add_split("x", [0], [0], of="videos")),
            "names a row of videos twice",
        ),
        (
            lambda w: (w.add_video(**video()), w.add_split("x", [], [], of="people")),
            "is of 'people'",
        ),
        (
            lambda w: (w.add_video(**video()), w.add_clip("a", 0, 1, 0)),
            "label lies outside the 0 class names",
        ),
        (lambda w: None, "opened for 8 frames, 4 were added"),
    ],
)
def test_misuse_of_the_writer(tmp_path, misuse, sentence):
    with (
        pytest.raises(InputError, match=sentence),
        new_store(tmp_path / "s.h5", frames=8) as writer,
    ):
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
