import contextlib
import dataclasses
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib

import h5py
import numpy as np
import pytest

from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.store import Clips, Store, StoreWriter, Videos

LAYOUT = skeleton.get("imigue22")


def clip_of(frames, seed):
    """Keypoints and scores without a missing joint."""
    rng = np.random.default_rng(seed)
    return rng.uniform(1, 700, (frames, 22, 2)).astype(np.float32), rng.uniform(
        0.1, 1, (frames, 22)
    ).astype(np.float32)


def write(path, **options):
    """Two videos of 30 and 12 frames, three clips, two splits."""
    with StoreWriter(
        path, LAYOUT, **({"unit": "pixel", "frames": 42, "source": "random numbers"} | options)
    ) as writer:
        writer.add_video(
            "a", *clip_of(30, 0), fps=25, width=1280, height=720, subject="s1", emotion="positive"
        )
        writer.add_video("b", *clip_of(12, 1), fps=29.97)
        writer.add_clip("a", 0, 30, "rubbing hands")
        writer.add_clip("b", 2, 10, "folding arms")
        writer.add_clip("a", 29, 1)
        writer.add_split("mine", train=[2, 0], test=[1])
        writer.add_split("videos", train=[1], test=[0], of="videos")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "made.h5")


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copy(made, tmp_path / "copy.h5")


def test_round_trip_of_everything(made):
    with Store(made) as store:
        assert (store.layout, store.unit, store.frame_count) == (LAYOUT, "pixel", 42)
        assert store.attributes["source"] == "random numbers"
        columns = {
            "id": ["a", "b"],
            "start": [0, 30],
            "length": [30, 12],
            "fps": [25, np.float32(29.97)],
            "width": [1280, 0],
            "height": [720, 0],
            "subject": ["s1", ""],
            "emotion": ["positive", ""],
        }
        assert {name: getattr(store.videos, name).tolist() for name in columns} == columns
        columns = {
            "video": [0, 1, 0],
            "start": [0, 2, 29],
            "length": [30, 10, 1],
            "label": [0, 1, -1],
        }
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
        with pytest.raises(
            InputError, match="made.h5: no split 'yours'; this store has: all, mine, videos"
        ):
            store.split("yours")


def test_tables_are_shown_in_a_few_rows(made):
    with Store(made) as store:
        assert repr(store.videos).splitlines() == [
            "Videos, 2 rows",
            "row   id  start  length    fps  width  height  subject     emotion",
            "  0  'a'      0      30     25   1280     720     's1'  'positive'",
            "  1  'b'     30      12  29.97      0       0       ''          ''",
        ]
        assert repr(store.split("mine")) == "<split 'mine': 2 clips train, 1 test>"
        expected = (
            "<Store 'made.h5': imigue22, 2 videos, 3 clips, 42 frames, 2 classes; "
            "splits all, mine, videos>"
        )
        assert repr(store) == expected
    assert repr(store) == expected, "closed, it still says what it was"


def test_a_long_table_is_cut(made):
    many = Clips.of({"video": range(7), "start": [0] * 7, "length": [1] * 7, "label": [-1] * 7})
    lines = repr(many).splitlines()
    assert lines[0] == "Clips, 7 rows" and len(lines) == 2 + 5 + 1
    assert lines[-2:] == ["  4      4      0       1     -1", "..."]
    one = {"start": [0], "length": [1], "fps": [0], "width": [0], "height": [0]}
    texts = {"id": ["a\n" * 50], "subject": [""], "emotion": [""]}
    head, _, row = repr(Videos.of(one | texts)).splitlines()
    assert head == "Videos, 1 row" and len(row) < 100
    none = Clips.of({name: [] for name in Clips.columns()})
    assert repr(none).splitlines() == ["Clips, 0 rows", "row  video  start  length  label"]


def test_help_tells_what_columns_mean():
    assert "fps: frames a second, 0 for unknown." in Videos.__doc__
    assert "label: number of its class, -1 without one." in Clips.__doc__


def test_a_store_says_nothing_of_who_made_it(made):
    with h5py.File(made) as file:
        assert sorted(file.attrs) == [
            "bones",
            "format",
            "frames_digest",
            "joints",
            "layout",
            "skeleton",
            "source",
            "unit",
            "version",
            "y",
        ]
    contents = made.read_bytes()
    for word in (os.fsencode(made.parent), b"pytest", os.fsencode(sys.executable)):
        assert word not in contents


@pytest.mark.parametrize(
    "unit, given, y",
    [
        ("pixel", None, "down"),
        ("metre", None, "up"),
        ("pixel", "up", "up"),
        ("metre", "down", "down"),
    ],
)
def test_which_way_y_points(tmp_path, unit, given, y):
    with Store(write(tmp_path / "s.h5", unit=unit, y_points=given)) as store:
        assert store.y == y
    with pytest.raises(InputError, match="y_points is 'left', expected down or up"):
        write(tmp_path / "s.h5", y_points="left")


def as_version_1(path):
    """Make a store what the first version of the format would have been."""
    with h5py.File(path, "r+") as file:
        del file.attrs["y"], file.attrs["frames_digest"]
        file.attrs.update(
            {"version": 1, "created": "2025-01-01", "command": "pack --input /home/a"}
        )
    return path


@pytest.mark.parametrize("unit, y", [("pixel", "down"), ("metre", "up")])
def test_the_first_version_is_read(tmp_path, unit, y):
    new = write(tmp_path / "new.h5", unit=unit)
    old = as_version_1(write(tmp_path / "old.h5", unit=unit))
    with Store(new) as new, Store(old) as old:
        assert (new.version, old.version) == (2, 1)
        assert old.y == y and old.attributes == {"source": "random numbers"}
        np.testing.assert_array_equal(old.frames(0, 42)[0], new.frames(0, 42)[0])
        assert old.fingerprint == new.fingerprint


def fingerprint(path):
    with Store(path) as store:
        return store.fingerprint


def test_the_same_contents_have_the_same_fingerprint(made, tmp_path):
    assert len(fingerprint(made)) == 32
    assert fingerprint(write(tmp_path / "a.h5", source="elsewhere")) == fingerprint(made)
    # The same file otherwise laid out: every part copied, in another order.
    with h5py.File(made) as file, h5py.File(tmp_path / "b.h5", "w") as other:
        for name in ("splits", "labels", "clips", "videos", "frames"):
            file.copy(name, other)
        other.attrs.update(file.attrs)
    assert (tmp_path / "b.h5").read_bytes() != made.read_bytes()
    assert fingerprint(tmp_path / "b.h5") == fingerprint(made)


def test_the_digest_does_not_depend_on_how_frames_are_cut_into_videos(tmp_path):
    keypoints, score = clip_of(20_000, 0)
    digests = set()
    for length in (20_000, 5_000, 1_250, 1_024 // 4):
        path = tmp_path / "s.h5"
        with StoreWriter(path, LAYOUT, unit="pixel", frames=20_000, source="") as writer:
            for start in range(0, 20_000, length):  # the last video is shorter where it must be
                part = slice(start, start + length)
                writer.add_video(str(start), keypoints[part], score[part])
        with Store(tmp_path / "s.h5") as store:
            digests.add(store.frames_digest)
    sums = [
        zlib.crc32(values[start : start + 1024].tobytes())
        for start in range(0, 20_000, 1024)
        for values in (keypoints, score)
    ]
    assert digests == {hashlib.sha256(np.array(sums, "<u4").tobytes()).hexdigest()}


def variant(path, part=None, name=None, value=None):
    """The fingerprint of a small store in which one thing is changed."""
    keypoints, score = clip_of(6, 0)
    parts = {
        "keypoints": keypoints,
        "score": score,
        "cut": {"at": 3},
        "store": {"layout": LAYOUT, "unit": "pixel", "y_points": "down", "labels": ["x", "y"]},
        "video": {
            "id": "a",
            "fps": 25,
            "width": 640,
            "height": 480,
            "subject": "s",
            "emotion": "e",
        },
        "clip": {"start": 1, "length": 2, "label": 0},
        "split": {"name": "n", "train": [0], "test": [1], "of": "clips"},
    }
    if part is not None:
        parts[part][name] = value
    cut = parts["cut"]["at"]
    with StoreWriter(path, frames=6, source="", **parts["store"]) as writer:
        writer.add_video(keypoints=keypoints[:cut], score=score[:cut], **parts["video"])
        writer.add_video("b", keypoints[cut:], score[cut:])
        writer.add_clip(parts["video"]["id"], **parts["clip"])
        writer.add_clip("b", 0, 1)
        writer.add_split(**parts["split"])
    return fingerprint(path)


def test_any_changed_value_gives_another_fingerprint(tmp_path):
    keypoints, score = clip_of(6, 0)
    changes = [
        ("keypoints", (5, 21, 1), np.nextafter(keypoints[5, 21, 1], np.float32(0))),
        ("score", (0, 0), np.nextafter(score[0, 0], np.float32(0))),
        ("score", (2, 2), 0),
        ("cut", "at", 4),
        ("store", "layout", dataclasses.replace(LAYOUT, name="other")),
        ("store", "unit", "metre"),
        ("store", "y_points", "up"),
        ("store", "labels", ["x", "z"]),
        ("store", "labels", ["x", "y", "z"]),
        ("video", "id", "A"),
        ("video", "fps", 24),
        ("video", "width", 0),
        ("video", "height", 0),
        ("video", "subject", ""),
        ("video", "emotion", ""),
        ("clip", "start", 0),
        ("clip", "length", 1),
        ("clip", "label", 1),
        ("clip", "label", None),
        ("split", "name", "m"),
        ("split", "train", []),
        ("split", "test", []),
        ("split", "of", "videos"),
    ]
    found = [variant(tmp_path / "s.h5")] + [
        variant(tmp_path / "s.h5", *change) for change in changes
    ]
    assert len(set(found)) == len(changes) + 1
    assert variant(tmp_path / "s.h5") == found[0]


def test_a_store_can_be_open_elsewhere_in_the_process(made):
    with h5py.File(made) as other, Store(made) as store:
        assert store.frame_count == len(other["frames/score"])


def test_what_a_run_notes_about_its_store(made):
    with Store(made) as store:
        assert store.described() == {
            "fingerprint": store.fingerprint,
            "layout": "imigue22",
            "videos": 2,
            "clips": 3,
            "frames": 42,
            "classes": 2,
        }


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


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_what_is_missing_from_outside_becomes_an_unseen_joint(tmp_path, missing):
    keypoints, score = clip_of(4, 0)
    keypoints[1, 3, 0], keypoints[3] = missing, missing
    score[2, 5] = np.nan
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=4, source="") as writer:
        writer.add_video("a", keypoints, score)
    unseen = np.zeros((4, 22), bool)
    unseen[1, 3] = unseen[2, 5] = unseen[3] = True
    with Store(tmp_path / "s.h5") as store:
        read, read_score = store.video(0)
    np.testing.assert_array_equal(read, np.where(unseen[..., None], 0, keypoints))
    np.testing.assert_array_equal(read_score, np.where(unseen, 0, score))


@pytest.mark.parametrize(
    "name, value",
    [
        ("keypoints", np.nan),
        ("keypoints", np.inf),
        ("keypoints", -np.inf),
        ("score", np.nan),
        ("score", np.inf),
        ("score", -0.5),
    ],
)
def test_frames_that_no_writer_wrote_are_refused_when_read(copy, name, value):
    with h5py.File(copy, "r+") as file:
        file["frames"][name][17, 4] = value
    with Store(copy) as store:
        store.frames(0, 17)
        for read in (lambda: store.frames(10, 20), lambda: store.video(0), lambda: store.clip(0)):
            with pytest.raises(InputError, match="copy.h5: damaged store: frame 17 has"):
                read()


def test_large_numbers_and_negative_zeros_are_sound(copy):
    with h5py.File(copy, "r+") as file:
        file["frames/keypoints"][17, 4] = 3e38
        file["frames/score"][17, 5] = -0.0
    with Store(copy) as store:
        assert store.frames(17, 18)[0].max() == np.float32(3e38)


def test_labels_given_beforehand_keep_their_order(tmp_path):
    with StoreWriter(
        tmp_path / "s.h5", LAYOUT, unit="pixel", frames=4, source="", labels=["x", "y", "z"]
    ) as writer:
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
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=30, source="") as writer:
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


def test_a_disk_that_is_full_before_the_frames_are_written(small_disk):
    with pytest.raises(InputError, match=r"s.h5: cannot be written \(No space left on device\)"):
        path = small_disk / "s.h5"
        with StoreWriter(path, LAYOUT, unit="pixel", frames=9000, source="") as writer:
            for name in "abc":
                writer.add_video(name, *clip_of(3000, 0))
    assert os.listdir(small_disk) == [] and free(small_disk) > 1_900_000


def test_a_disk_that_is_full_before_the_tables_are_written(small_disk):
    with pytest.raises(InputError, match=r"s.h5: cannot be written \(No space left on device\)"):
        with StoreWriter(small_disk / "s.h5", LAYOUT, unit="pixel", frames=30, source="") as writer:
            writer.add_video("a", *clip_of(30, 0))
            other = open(small_disk / "other", "wb", buffering=0)
            with contextlib.suppress(OSError), other:
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
    first = StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=30, source="")
    first.discard()
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=30, source="") as second:
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


def test_files_that_are_no_store(tmp_path, copy):
    with pytest.raises(InputError, match="absent.h5: no such store file"):
        Store(tmp_path / "absent.h5")
    with pytest.raises(InputError, match="no such store file"):
        Store(tmp_path)
    text = tmp_path / "text.h5"
    text.write_text("clip,start,end\n" * 100)
    whole = copy.read_bytes()
    for content in (b"", text.read_bytes(), whole[:100], whole[: len(whole) // 2], whole[:-1]):
        text.write_bytes(content)
        with pytest.raises(
            InputError,
            match=r"text.h5: not a readable HDF5 file \(damaged, cut "
            r"short",
        ):
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


int32, int64 = (
    (lambda *values: np.array(values, np.int32)),
    (lambda *values: np.array(values, np.int64)),
)


@pytest.mark.parametrize(
    "change, sentence",
    [
        (attribute("format", None), "not a mgjax-store"),
        (attribute("version", 3), "store version 3; this mgjax reads versions 1 and 2"),
        (attribute("version", None), "damaged store: .*'version'"),
        (attribute("skeleton", None), "damaged store: .*'skeleton'"),
        (attribute("skeleton", "{"), "skeleton: not a layout"),
        (
            attribute("skeleton", skeleton.get("imigue35").to_json()),
            r"\[F, 35, 2\] for layout "
            r"'imigue35'",
        ),
        (attribute("unit", "furlong"), "unit is 'furlong', expected one of pixel, metre"),
        (replace("frames/keypoints", None), "damaged store: .*'keypoints'"),
        (group("frames/keypoints"), "damaged store"),
        (
            replace("frames/keypoints", np.zeros((42, 22, 3), np.float32)),
            r"shape \(42, 22, 3\), "
            r"expected \[F, 22, 2\]",
        ),
        (
            replace("frames/keypoints", np.zeros((41, 22, 2), np.float32)),
            r"score has shape \(42, "
            r"22\), expected \(41,",
        ),
        (
            replace("frames/keypoints", np.zeros((42, 22, 2))),
            "keypoints is float64, expected float32",
        ),
        (replace("frames/keypoints", np.float32(1)), r"shape \(\), expected \[F"),
        (
            replace("frames/score", np.zeros((42, 21), np.float32)),
            r"score has shape \(42, 21\), "
            r"expected \(42, 22\)",
        ),
        (replace("videos/start", int64(0, 29)), "not the running sum"),
        (replace("videos/start", int64(0)), "columns of videos differ in length"),
        (replace("videos/start", np.array([0.0, 30.0])), "videos/start is float64, expected int64"),
        (replace("videos/start", np.int64(0)), "damaged store"),
        (
            replace("videos/length", int64(30, 13)),
            "have 43 frames together, frames/keypoints has 42",
        ),
        (replace("videos/id", ["a", "a"]), "two videos have the same id"),
        (replace("videos/id", int64(1, 2)), "damaged store"),
        (replace("videos/emotion", None), "damaged store: .*'emotion'"),
        (replace("clips/video", int32(0, 2, 0)), "names a video that is not there"),
        (
            replace("clips/start", int64(0, 3, 29)),
            r"clip 1 \(start 3, length 10\) lies outside its "
            r"video 'b' of 12",
        ),
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
        (
            lambda file: file["splits/mine"].attrs.__setitem__("of", "frames"),
            "split 'mine' is of 'frames'",
        ),
        (replace("splits/mine", 3), "splits/mine is not a group"),
        (attribute("version", [2, 2]), "attribute 'version' of the file is not a whole number"),
        (attribute("y", "left"), "y is 'left', expected one of down, up"),
        (attribute("y", None), "has no attribute 'y'"),
        (attribute("frames_digest", "0"), "frames_digest is '0', expected 64 hexadecimal digits"),
        (attribute("source", 3), "attribute 'source' of the file is not a text"),
        (attribute("skeleton", np.zeros(3)), "attribute 'skeleton' of the file is not a text"),
        (
            replace("videos/fps", np.array([25, np.nan], np.float32)),
            "fps is negative or not finite",
        ),
        (replace("videos/fps", np.array([-25, 25], np.float32)), "fps is negative or not finite"),
        (replace("videos/width", int32(0, -1)), "width or height is negative"),
        (replace("videos/height", int32(0, -1)), "width or height is negative"),
        (replace("videos/length", int64(2**62, 2**62)), "not the running sum|frames together"),
        (replace("videos/length", int64(2**63 - 1, 43)), "frames together"),
        (
            replace("videos/id", np.array([b"a", b"\xff"])),
            "videos/id holds a text that is not UTF-8",
        ),
        (
            replace("videos/id", np.array([b"a", b"b\0c"])),
            "a video's id is 'b.x00c', with a NUL byte",
        ),
        (replace("labels", np.array([b"a\0b", b"c"])), "a class name is 'a.x00b', with a NUL byte"),
        (replace("labels", ["a", "a"]), "two classes have the same name"),
        (replace("clips/start", int64(0, 2**63 - 5, 29)), "clip 1 .* lies outside its video"),
        (replace("clips/length", int64(30, 2**63 - 1, 1)), "clip 1 .* lies outside its video"),
        (
            replace("splits/mine/train", np.array([0.0, 2.0])),
            "splits/mine/train is float64, expected int64",
        ),
        (
            replace("splits/mine/train", np.zeros((2, 2), np.int64)),
            r"splits/mine/train has shape \(2, 2\), expected one",
        ),
        (lambda file: file.move("splits/mine", "splits/all"), "cannot be called 'all'"),
    ],
)
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
