import dataclasses
import os
import shutil
import sys

import h5py
import numpy as np
import pytest
from small_store import LAYOUT, clip_of, write

from mgjax.errors import InputError
from mgjax.store import Store, StoreWriter


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
