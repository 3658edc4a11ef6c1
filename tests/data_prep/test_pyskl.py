import errno
import io
import os
import pickle
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from pyskl_annotations import NUMBERS, Run, annotation, named, program, put

from data_prep import pyskl, pyskl_pickles
from mgjax import skeleton, store
from mgjax.errors import InputError


def run(root, *arguments):
    return subprocess.run(
        [sys.executable, str(root / "data_prep" / "pack_pyskl.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("deep", [False, True])
def test_a_malicious_pickle_runs_nothing(tmp_path, protocol, deep):
    trap = Run(os.system, f"touch {tmp_path / 'ran'}")
    path = put(
        tmp_path,
        [annotation(keypoint=np.float32(1), label={"x": [trap]})] if deep else trap,
        protocol=protocol,
    )
    with pytest.raises(
        InputError,
        match=r"in.pkl: refused, for it names "
        rf"{os.system.__module__}.system; only numbers",
    ):
        pyskl_pickles.read(path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(path.read_bytes())  # the trap is a real one
    assert (tmp_path / "ran").exists()


# --- pickles that want time, memory or the reader's own functions


def pile(value, times=200):
    """A container that holds the one below twice, and so on: a walk takes 2 ** times steps."""
    for _ in range(times):
        value = type(value)([value, value])
    return value


def copies(what, module, kind, times=4000):
    """A large value once, and a call that copies it, many times."""
    return program(
        what, b"\x940", named(module, kind), b"\x940", b"(" + b"h\x01h\x00\x85R" * times, b"l"
    )


MANY = 2 * 10**10
PILE = b")" + b"2\x86" * 200  # a pile of tuples, made by 400 operations
BOMBS = {
    "label": ([annotation(label=pile([0]))], r"label is \[\[\["),
    "tuple as label": ([annotation(label=pile((0,)))], r"label is \(\("),
    "frame_dir": ([annotation(frame_dir=pile([0]))], "'frame_dir' in words"),
    "total_frames": ([annotation(total_frames=pile((0,)))], "total_frames is"),
    "img_shape": ([annotation(img_shape=pile((0,)))], "img_shape"),
    "keypoint": ([annotation(keypoint=pile([0]))], "keypoint is .*, expected an array of numbers"),
    "keypoint_score": (
        [annotation(keypoint_score=pile([0]))],
        "keypoint_score is .*, expected an array",
    ),
    "split": (
        {"split": {"train": pile([0])}, "annotations": [annotation()]},
        "split 'train' is not a list",
    ),
    "annotations": ({"split": {}, "annotations": pile([0])}, "annotation 0 is not a dict"),
    "class number": ([annotation(label=10**8)], "label is 100000000, .* below 100000$"),
    "class number of many digits": (
        [annotation(label=10**4000)],
        "whole number of more than 64 bits",
    ),
    "text as a number": (b"L" + b"9" * 5000 + b"L\n.", "not a pickle"),
    "key": (program(b"}(" + PILE + b"Nu"), "a key that is neither"),
    "item of a set": (program(b"\x8f(" + PILE + b"\x90"), "a key that is neither"),
    "frozenset": (program(b"(" + PILE + b"\x91"), "a key that is neither"),
    "bytearray": (Run(bytearray, MANY), "makes bytes of what is none"),
    "bytes": (Run(bytes, MANY), "makes bytes of what is none"),
    "array of a shape": (Run(np.ndarray, (10**6, 10**6), "f4", b""), "not a pickle, damaged"),
    "array of a type": (Run(np.ndarray, (1,), "U1000000000", b""), "an array of 'U1000000000'"),
    "array of nothings": (Run(np.ndarray, (MANY,), "U0", b""), "not a pickle, damaged"),
    "length of bytes": (program(b"\x8e" + struct.pack("<Q", 2**62)), "not a pickle, damaged"),
    "length of a bytearray": (program(b"\x96" + struct.pack("<Q", 2**40)), "not a pickle, damaged"),
    "length of a number": (
        program(b"\x8b" + struct.pack("<i", 2**31 - 1)),
        "not a pickle, damaged",
    ),
    "length of a text": (program(b"\x8d" + struct.pack("<Q", 2**40)), "not a pickle, damaged"),
    "length of a frame": (
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        "expected pyskl annotations",
    ),
    "place in the memory": (program(b"Nr" + b"\xff" * 4), "expected pyskl annotations"),
    "copies of a list": (
        copies(b"(" + b"N" * 10**5 + b"l", "builtins", "list"),
        "the same bytes again and again",
    ),
    "copies of bytes": (
        copies(b"B" + struct.pack("<I", 10**6) + bytes(10**6), "builtins", "bytes"),
        "same bytes",
    ),
    "copies of a text": (
        program(
            b"X" + struct.pack("<I", 10**6) + b"a" * 10**6,
            b"\x940",
            named("_codecs", "encode"),
            b"\x940X\x06\0\0\0latin1\x940",
            b"(" + b"h\x01h\x00h\x02\x86R" * 4000,
            b"l",
        ),
        "the same bytes again and again",
    ),
    "one array for all": (
        [
            annotation(str(number), keypoint=ONE, keypoint_score=None, frames=500)
            for ONE in [np.ones((1, 500, 25, 3))]
            for number in range(1000)
        ],
        "the same arrays",
    ),
    "one list for all": (
        {
            "split": {str(number): IDS for IDS in [["a"] * 10**5] for number in range(10**5)},
            "annotations": [annotation()],
        },
        "are the same arrays or lists again and again",
    ),
}


def test_bombs_do_not_go_off(tmp_path, root):
    """Each is read in a process of 3 GiB at most, and refused in one short sentence."""
    for number, (content, _) in enumerate(BOMBS.values()):
        data = content if isinstance(content, bytes) else pickle.dumps(content, 4)
        (tmp_path / f"{number}.pkl").write_bytes(data)
    code = (
        "import resource, sys\nfrom data_prep import pyskl_pickles\n"
        "from mgjax.errors import InputError\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)\n"
        "for number in range(int(sys.argv[2])):\n"
        "    try: print(number, 'read', pyskl_pickles.read(f'{sys.argv[1]}/{number}.pkl')[0])\n"
        "    except InputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(len(BOMBS))],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for number, (line, (_, words)) in enumerate(
        zip(done.stdout.splitlines(), BOMBS.values(), strict=True)
    ):
        assert re.search(rf"^{tmp_path}/{number}.pkl: .*({words})", line), line
        assert len(line) < 500


@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_that_share_their_bytes_a_little_are_read(tmp_path, protocol):
    score = np.ones((1, 3, 17), np.float32)  # one for all, as a script may well make it
    path = put(
        tmp_path,
        [annotation(str(number), keypoint_score=score) for number in range(20)],
        protocol=protocol,
    )
    assert len(pyskl_pickles.read(path)[1]) == 20


NAMES = ["a\0b", "two\nlines", "half a character \ud800", "x" * 1001]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_no_store_can_hold(tmp_path, name):
    for content, words in (
        ([annotation(name)], "annotation 0: frame_dir is"),
        ({"split": {name: ["a"]}, "annotations": [annotation()]}, "the name of a split is"),
    ):
        with pytest.raises(InputError, match=f"in.pkl: .*{words}|in.pkl: {words}"):
            pyskl.pack(put(tmp_path, content), tmp_path / "out.h5")
    (tmp_path / "names.txt").write_text(f"walk\n{name}\n", encoding="utf-8", errors="surrogatepass")
    if name != "two\nlines":
        with pytest.raises(InputError, match="names.txt(: not UTF-8|, line 2: the class name is)"):
            pyskl.pack(
                put(tmp_path, [annotation()]), tmp_path / "out.h5", labels=tmp_path / "names.txt"
            )


@pytest.mark.parametrize("prefix", ["a/b", "."])
def test_names_that_no_split_can_have(tmp_path, prefix):
    content = {
        "split": {f"{prefix}_train": ["a"], f"{prefix}_val": []},
        "annotations": [annotation()],
    }
    with pytest.raises(InputError, match=f"in.pkl: a split cannot be called '{prefix}'"):
        pyskl.pack(put(tmp_path, content), tmp_path / "out.h5")
    assert not list(tmp_path.glob("out.h5*"))


def test_many_lists_without_a_partner_are_not_all_named(tmp_path):
    content = {
        "split": {f"list{number:03}": ["a"] for number in range(100)},
        "annotations": [annotation()],
    }
    text = str(pyskl.pack(put(tmp_path, content), tmp_path / "out.h5"))
    assert "left out: list000, list001" in text and "list019 and 80 more" in text


def test_nan_is_a_joint_that_was_not_seen(tmp_path):
    keypoint, score = np.full((2, 2, 17, 2), 5.0), np.full((2, 2, 17), 0.5)
    keypoint[1, 0, 3, 1] = score[1, 1, 4] = np.nan
    score[1] += 0.25  # the second person's sum is larger, NaN or not
    pyskl.pack(
        put(tmp_path, [annotation(keypoint=keypoint, keypoint_score=score, total_frames=2)]),
        tmp_path / "out.h5",
    )
    with store.Store(tmp_path / "out.h5") as packed:
        found, seen = packed.clip(0)
    assert np.argwhere(seen == 0).tolist() == [[0, 3], [1, 4]] and set(seen[seen > 0]) == {0.75}
    assert not found[0, 3].any() and not found[1, 4].any() and found[0, 2].tolist() == [5, 5]


def test_nothing_says_where_it_came_from(tmp_path):
    path = put(tmp_path, [annotation()], name="secret_study.pkl")
    report = pyskl.pack(path, tmp_path / "out.h5")
    with store.Store(tmp_path / "out.h5") as packed:
        assert packed.attributes["source"] == "pyskl annotations"
    assert "ids of the videos: the pickle's frame_dirs, as they are" in str(report)


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    before = write_store(tmp_path / "in.h5", WHOLE)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pyskl_pickles._Pickler, "dump", full)
    with pytest.raises(InputError, match="out.pkl: cannot be written .No space left on device"):
        pyskl.export(before, tmp_path / "out.pkl", labels=tmp_path / "names.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["in.h5"]


def test_the_names_are_written_whole(tmp_path, monkeypatch):
    """Their file comes last, and a failure leaves the one that was there."""
    before = write_store(tmp_path / "in.h5", WHOLE)
    (tmp_path / "names.txt").write_text("old\n")
    monkeypatch.setattr(
        os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
    )
    with pytest.raises(InputError, match="cannot be written"):
        pyskl.export(before, tmp_path / "out.pkl", labels=tmp_path / "names.txt")
    assert (tmp_path / "names.txt").read_text() == "old\n" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps([annotation()])[:-100],
        pickle.dumps(["a"])[:-1],
        b"PK\x03\x04",
        b"\x80\x63.",
        pickle.dumps(Run(np.ndarray, (2, 2), "f4", b"123")),
    ],
)
def test_damaged_and_foreign_files(tmp_path, content):
    (tmp_path / "in.pkl").write_bytes(content)
    with pytest.raises(InputError, match="in.pkl: not a pickle, damaged or cut short"):
        pyskl_pickles.read(tmp_path / "in.pkl")
    with pytest.raises(InputError, match=r"nowhere.pkl: cannot be read \(No such file"):
        pyskl_pickles.read(tmp_path / "nowhere.pkl")


ZEROS = np.zeros((1, 3, 17, 2), np.float32)


@pytest.mark.parametrize(
    "content, message",
    [
        (
            {"split": {}},
            "expected pyskl annotations: a dict of 'split' and 'annotations', or a list",
        ),
        ("words", "expected pyskl annotations"),
        ({"split": [], "annotations": [annotation()]}, "expected pyskl annotations"),
        ([], "holds no annotation"),
        (
            {"split": {"train": "a"}, "annotations": [annotation()]},
            "split 'train' is not a list of frame_dirs",
        ),
        (
            {"split": {"train": [["a"]]}, "annotations": [annotation()]},
            "split 'train' is not a list of frame_dirs",
        ),
        ([3], "annotation 0 is not a dict with a 'frame_dir'"),
        ([annotation(), annotation(7)], "annotation 1 is not a dict with a 'frame_dir'"),
        ([annotation(), annotation()], "annotation 1: frame_dir 'a' is there twice"),
        ([annotation(keypoint=None)], r"annotation 0 \('a'\): it has no 'keypoint'"),
        (
            [annotation(keypoint=ZEROS[0])],
            r"keypoint is float32 \(3, 17, 2\), expected numbers \[M, "
            r"T, V, C\]",
        ),
        ([annotation(keypoint=ZEROS.astype(str))], "keypoint is <U32"),
        ([annotation(total_frames=4)], "total_frames is 4, its keypoint has 3"),
        (
            [annotation(keypoint_score=ZEROS)],
            r"keypoint_score is float32 \(1, 3, 17, 2\), expected "
            r"numbers \(1, 3, 17\)",
        ),
        ([annotation(label="walk")], "label is 'walk'"),
        ([annotation(label=[1, 2])], r"label is \[1, 2\]"),
        ([annotation(label=-1)], "label is -1"),
        ([annotation(img_shape=(1, 2, 3))], r"img_shape \(1, 2, 3\)"),
        (
            [annotation(), annotation("b", joints=18)],
            r"'b' has keypoints of shape \(18, 2\) a frame, "
            r"'a' \(17, 2\)",
        ),
    ],
)
def test_wrong_content(tmp_path, content, message):
    with pytest.raises(InputError, match=f"in.pkl: .*{message}"):
        pyskl.pack(put(tmp_path, content), tmp_path / "out.h5")


def test_pack_two_dimensions(tmp_path):
    low, high = np.full((1, 3, 17), 0.25, np.float16), np.full((1, 3, 17), 0.75, np.float16)
    high[0, 1, 5] = 0
    content = {
        "split": {
            "xsub_train": ["a", "gone"],
            "xsub_val": ["b", "c"],
            "everything": ["a", "b", "c"],
        },
        "annotations": [
            annotation("a", label=2),
            annotation("b", people=2, keypoint_score=np.concatenate([low, high])),
            annotation("c", frames=1, label=None, img_shape=None),
            annotation("d", people=0),
        ],
    }
    report = pyskl.pack(put(tmp_path, content), tmp_path / "out.h5", fps=30)
    with store.Store(tmp_path / "out.h5") as packed:
        assert (
            packed.layout.name == "coco17"
            and packed.unit == "pixel"
            and packed.labels == ("0", "1", "2")
        )
        assert packed.videos.id.tolist() == ["a", "b", "c"] and packed.videos.length.tolist() == [
            3,
            3,
            1,
        ]
        assert packed.videos.width.tolist() == [
            1280,
            1280,
            0,
        ] and packed.videos.height.tolist() == [720, 720, 0]
        assert set(packed.videos.fps) == {30} and packed.clips.label.tolist() == [2, 0, -1]
        keypoints, score = packed.clip(1)  # the second person, who has the higher score
        expected = content["annotations"][1]["keypoint"][1].astype(np.float32)
        expected[1, 5] = 0
        np.testing.assert_array_equal(keypoints, expected)
        np.testing.assert_array_equal(score, high[0])
        assert {
            name: (s.of, s.train.tolist(), s.test.tolist()) for name, s in packed.splits.items()
        } == {"xsub": ("clips", [0], [1, 2])}
    assert (report.clips, report.labelled, report.frames) == (3, 2, 7)
    text = str(report)
    assert (
        "that person: 1, the first d" in text
        and "xsub: 1 of the frame_dirs" in text
        and "out: everything" in text
    )


def test_pack_three_dimensions_of_one_person_by_number(tmp_path):
    keypoint = NUMBERS.normal(size=(2, 4, 25, 3)).astype(np.float32)
    keypoint[0, 2:], keypoint[1, 0, 3] = 0, 0
    bare = [
        annotation("a", keypoint=keypoint, total_frames=np.int64(4)),
        annotation("b", joints=25, dimensions=3),
    ]
    (tmp_path / "names.txt").write_text("walk\n sit \nstand")
    path = put(tmp_path, [bare[0] | {"keypoint_score": None}, bare[1]])
    for person, rows in ((None, [1, 0]), (1, [0, 0]), (2, [1])):
        pyskl.pack(path, tmp_path / "out.h5", person=person, labels=tmp_path / "names.txt")
        with store.Store(tmp_path / "out.h5") as packed:
            assert packed.layout.name == "ntu25" and packed.unit == "metre"
            assert packed.labels == ("walk", "sit", "stand") and len(packed.clips) == len(rows)
            found, score = packed.clip(0)
            np.testing.assert_array_equal(found, keypoint[rows[0]])
            np.testing.assert_array_equal(score, keypoint[rows[0]].any(axis=-1))


def test_layouts():
    assert pyskl.layout_of(20, 3).name == "kinect20" and pyskl.layout_of(18, 2).name == "coco18"
    assert pyskl.layout_of(25, 2, "body25").name == "body25"
    assert pyskl.layout_of(137, 2, "openpose137").name == "openpose137"
    for joints, dimensions, known in (
        (25, 2, "body25 or body25b"),
        (17, 3, "none known"),
        (137, 2, "none known"),
    ):
        with pytest.raises(
            InputError, match=f"joints {joints}, coordinates {dimensions}: .*{known}.*--layout"
        ):
            pyskl.layout_of(joints, dimensions)
    with pytest.raises(
        InputError, match="'coco17' has 17 joints of 2 coordinates, the annotations have 17 of 3"
    ):
        pyskl.layout_of(17, 3, "coco17")


def test_pairs_of_lists():
    assert pyskl_pickles.pair_splits(
        ["xsub_val", "xsub_train", "xview_train", "x_y_train", "x_y_test"]
    ) == [
        ("xsub", "xsub_train", "xsub_val"),
        ("x_y", "x_y_train", "x_y_test"),
    ]
    assert pyskl_pickles.pair_splits(["train1", "test1", "train2", "test2", "train3"]) == [
        ("split1", "train1", "test1"),
        ("split2", "train2", "test2"),
    ]
    assert pyskl_pickles.pair_splits(["train", "val", "test"]) == [
        ("split", "train", "test"),
        ("split_val", "train", "val"),
    ]
    assert pyskl_pickles.pair_splits(["retrain", "reval", "train_x", "val_x"]) == []


@pytest.mark.parametrize(
    "changes, options, message",
    [
        (
            {"keypoint": np.full((1, 3, 17, 2), np.inf)},
            {},
            "in.pkl: 'a' has a keypoint or score that is not finite",
        ),
        ({"keypoint": np.full((1, 3, 17, 2), 1e300)}, {}, "not finite"),
        (
            {"keypoint": np.empty((1, 0, 17, 2)), "total_frames": 0, "keypoint_score": None},
            {},
            "none of its 1 annotations",
        ),
        ({}, {"person": 2}, "none of its 1 annotations has a frame and that person"),
        (
            {"label": 3},
            {"labels": "names.txt"},
            "names.txt: 3 class names, but .*in.pkl has label 3",
        ),
        ({}, {"labels": "nowhere.txt"}, "nowhere.txt: cannot be read"),
        ({}, {"labels": "gap.txt"}, "gap.txt: line 2 is empty"),
        ({}, {"layout": "ntu25"}, "layout 'ntu25' has 25 joints"),
    ],
)
def test_what_cannot_be_packed(tmp_path, changes, options, message):
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    (tmp_path / "gap.txt").write_text("a\n\nc\n")
    options = {
        name: tmp_path / value if name == "labels" else value for name, value in options.items()
    }
    with pytest.raises(InputError, match=message):
        pyskl.pack(put(tmp_path, [annotation(**changes)]), tmp_path / "out.h5", **options)
    assert not (tmp_path / "out.h5").exists()


def test_an_id_on_both_sides(tmp_path):
    content = {"split": {"x_train": ["a"], "x_val": ["a"]}, "annotations": [annotation()]}
    with pytest.raises(InputError, match="in.pkl: 'a' is both in x_train and in x_val"):
        pyskl.pack(put(tmp_path, content), tmp_path / "out.h5")


def write_store(
    path, clips, layout=skeleton.COCO_17, of="clips", labels=("walk", "sit down", "wave"), **video
):
    """A store of three videos, 4, 5 and 6 frames long, 'a' to 'c', with (video, start, length,
    label) clips.
    """
    with store.StoreWriter(
        path,
        layout,
        unit="pixel" if layout.dimensions == 2 else "metre",
        frames=15,
        source="test",
        labels=labels,
    ) as writer:
        for id, length in zip("abc", (4, 5, 6)):
            keypoints = NUMBERS.normal(size=(length, len(layout), layout.dimensions))
            score = NUMBERS.integers(0, 2, (length, len(layout))) * (
                0.3 if layout.dimensions == 2 else 1
            )
            writer.add_video(id, keypoints, score, **video)
        for clip in clips:
            writer.add_clip(*clip)
        if clips:
            writer.add_split("mine", [2, 0], [1], of)
            writer.add_split("mine_val", [0], [], of)
    return path


WHOLE = [("b", 0, 5, 2), ("a", 0, 4, None), ("c", 0, 6, 0)]


@pytest.mark.parametrize("layout", [skeleton.COCO_17, skeleton.NTU_25])
def test_a_store_of_whole_clips_comes_back_identical(tmp_path, layout):
    size = {"width": 640, "height": 480} if layout.dimensions == 2 else {}
    before = write_store(tmp_path / "before.h5", WHOLE, layout, fps=25, **size)
    report = pyskl.export(before, tmp_path / "all.pkl", labels=tmp_path / "names.txt")
    assert (report.clips, report.labelled, report.frames, report.notes) == (3, 2, 15, ())
    assert report.splits == {"mine": (2, 1), "mine_val": (1, 0)}
    pyskl.pack(tmp_path / "all.pkl", tmp_path / "after.h5", labels=tmp_path / "names.txt", fps=25)
    with store.Store(before) as one, store.Store(tmp_path / "after.h5") as two:
        assert two.layout == one.layout and two.unit == one.unit and two.labels == one.labels
        for row in range(3):
            assert one.videos.id[one.clips.video[row]] == two.videos.id[row]
            for before, after in zip(one.clip(row), two.clip(row)):
                np.testing.assert_array_equal(after, before)
        assert two.clips.label.tolist() == one.clips.label.tolist() == [2, -1, 0]
        for column in ("fps", "width", "height"):
            assert set(getattr(two.videos, column)) == set(getattr(one.videos, column))
        for name in one.splits:
            for before, after in zip(one.clip_split(name), two.clip_split(name)):
                np.testing.assert_array_equal(after, before)
    # And once more, now that every video is one clip: the pickles have the same content.
    pyskl.export(tmp_path / "after.h5", tmp_path / "again.pkl")
    assert (tmp_path / "again.pkl").read_bytes() == (tmp_path / "all.pkl").read_bytes()


def test_a_pickle_comes_back_identical(tmp_path):
    annotations = [annotation(), annotation("b", label=1)]
    content = {"split": {"xsub_train": ["b"], "xsub_val": ["a"]}, "annotations": annotations}
    pyskl.pack(put(tmp_path, content), tmp_path / "out.h5")
    pyskl.export(tmp_path / "out.h5", tmp_path / "out.pkl")
    found = pickle.loads((tmp_path / "out.pkl").read_bytes())  # by anyone's reader
    assert found["split"] == content["split"] and type(found["annotations"]) is list
    for before, after in zip(content["annotations"], found["annotations"], strict=True):
        assert before.keys() == after.keys()
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value)
    assert found["annotations"][0]["keypoint"].flags.writeable


def test_clips_of_one_video_are_numbered_and_splits_of_videos_expanded(tmp_path):
    clips = [("a", 1, 2, 0), ("b", 0, 5, 1), ("a", 0, 4, 2)]
    before = write_store(tmp_path / "before.h5", clips, of="videos")
    report = pyskl.export(before, tmp_path / "out.pkl")
    assert "videos without a clip, left out: 1" in str(report) and "without img_shape: 3" in str(
        report
    )
    found = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert found["split"] == {
        "mine_train": ["a_1", "a_2"],
        "mine_val": ["b"],
        "mine_val_train": ["a_1", "a_2"],
        "mine_val_val": [],
    }
    assert [a["frame_dir"] for a in found["annotations"]] == ["a_1", "b", "a_2"]
    with store.Store(before) as packed:
        np.testing.assert_array_equal(
            found["annotations"][0]["keypoint"], packed.frames(1, 3)[0][None]
        )
    assert "img_shape" not in found["annotations"][0]


def test_pickles_name_only_what_every_numpy_has(tmp_path):
    pyskl.export(write_store(tmp_path / "in.h5", WHOLE), tmp_path / "out.pkl")
    named = set()

    class Listener(pickle.Unpickler):
        def find_class(self, module, name):
            named.add(f"{module}.{name}")
            return super().find_class(module, name)

    Listener(io.BytesIO((tmp_path / "out.pkl").read_bytes())).load()
    assert named == {"numpy.ndarray", "builtins.bytearray", "builtins.list"}


def test_what_cannot_be_exported(tmp_path):
    with pytest.raises(InputError, match="has no clip to export"):
        pyskl.export(write_store(tmp_path / "in.h5", []), tmp_path / "out.pkl")
    with store.StoreWriter(
        tmp_path / "same.h5", skeleton.COCO_17, unit="pixel", frames=2, source="test"
    ) as writer:
        for id in ("a", "a_1"):
            writer.add_video(id, np.ones((1, 17, 2)), np.ones((1, 17)))
        for id in ("a", "a", "a_1"):
            writer.add_clip(id, 0, 1)
    with pytest.raises(
        InputError, match="same.h5: clips of the videos 'a' and 'a_1' would both be called 'a_1'"
    ):
        pyskl.export(tmp_path / "same.h5", tmp_path / "out.pkl")
    for name in ("", "two\nlines", " blank"):
        odd = write_store(tmp_path / "odd.h5", WHOLE, labels=("x", name, "z"))
        with pytest.raises(InputError, match="cannot be a line of .*names.txt"):
            pyskl.export(odd, tmp_path / "out.pkl", labels=tmp_path / "names.txt")
    with pytest.raises(InputError, match="no such folder to write out.pkl into"):
        pyskl.export(odd, tmp_path / "nowhere" / "out.pkl")
    assert not list(tmp_path.glob("*.pkl*"))


def test_script(tmp_path, root):
    path = put(tmp_path, [annotation()])
    done = run(root, "--input", path, "--output", tmp_path / "out.h5")
    assert done.returncode == 0 and "clips: 1, labelled 1, frames 3" in done.stdout, done.stderr
    for note in ("", f"note: {tmp_path / 'out.pkl'} is there and will be replaced\n"):
        done = run(root, "--export", tmp_path / "out.h5", "--output", tmp_path / "out.pkl")
        assert done.returncode == 0 and (tmp_path / "out.pkl").is_file() and done.stderr == note
    for arguments, message in (
        (["--output", "x"], "give either --input"),
        (["--input", path, "--export", "x", "--output", "y"], "give either --input"),
        (["--input", path, "--output", path], "are the same file"),
        (
            ["--export", tmp_path / "out.h5", "--output", "x", "--labels", tmp_path / "out.h5"],
            "are the same file",
        ),
        (
            ["--export", tmp_path / "out.h5", "--output", tmp_path / "x.pkl", "--fps", "0"],
            "--fps is for --input",
        ),
        (["--input", tmp_path / "out.h5", "--output", tmp_path / "x.h5"], "not a pickle"),
    ):
        done = run(root, *arguments)
        assert done.returncode == 1 and done.stderr.startswith("error: ") and message in done.stderr
        assert len(done.stderr.splitlines()) == 1
