import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from data_prep import nucla
from mgjax import store
from mgjax.errors import InputError


def content(name, frames=2, **changes):
    """A clip's JSON object whose coordinates are 1, 2, 3, ...; the label is right for actions 1
    to 6.
    """
    skeletons = (1 + np.arange(frames * 60, dtype=float)).reshape(frames, 20, 3).tolist()
    return {"file_name": name, "skeletons": skeletons, "label": int(name[1:3])} | changes


def put(folder, name, **changes):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content(name, **changes)))
    return path


def run(root, *arguments):
    return subprocess.run(
        [sys.executable, str(root / "data_prep" / "pack_nucla.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_pack_three_clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    put(folder, "a02_s02_e00_v03", frames=3)
    put(folder, "a12_s01_e04_v01", frames=1, label=10)
    lost = content("a01_s01_e00_v02")
    lost["skeletons"][1][5] = [0, 0, 0]
    (folder / "a01_s01_e00_v02.json").write_text(json.dumps(lost))
    (folder / "notes.txt").write_text("left alone")
    nucla.pack(folder, tmp_path / "out.h5")
    with store.Store(tmp_path / "out.h5") as packed:
        assert packed.layout.name == "kinect20" and packed.unit == "metre"
        assert packed.videos.id.tolist() == [
            "a01_s01_e00_v02",
            "a02_s02_e00_v03",
            "a12_s01_e04_v01",
        ]
        assert packed.videos.subject.tolist() == ["s01", "s02", "s01"]
        assert packed.videos.fps.tolist() == [30, 30, 30]
        assert packed.videos.length.tolist() == [2, 3, 1]
        assert packed.clips.video.tolist() == [0, 1, 2] and packed.clips.start.tolist() == [0, 0, 0]
        assert packed.clips.length.tolist() == [2, 3, 1]
        assert packed.labels[packed.clips.label[2]] == "carry" and packed.clips.label.tolist() == [
            0,
            1,
            9,
        ]
        keypoints, score = packed.clip(0)
        assert keypoints.dtype == np.float32 and keypoints[1, 4].tolist() == [73, 74, 75]
        assert keypoints[1, 5].tolist() == [0, 0, 0]
        assert np.argwhere(score == 0).tolist() == [[1, 5]] and score.sum() == 39
        assert {
            name: (s.of, s.train.tolist(), s.test.tolist()) for name, s in packed.splits.items()
        } == {
            "cross_view": ("clips", [0, 2], [1]),
            "cross_subject": ("clips", [0, 2], [1]),
            "cross_view_dev": ("clips", [2], [0]),
            "cross_view_dev_back": ("clips", [0], [2]),
        }


def test_a_split_without_one_of_its_sides_is_left_out_and_said_so(tmp_path):
    put(tmp_path, "a01_s01_e00_v01")
    put(tmp_path, "a01_s03_e00_v03")
    nucla.pack(tmp_path, tmp_path / "out.h5")
    with store.Store(tmp_path / "out.h5") as packed:
        assert list(packed.splits) == ["cross_view"]
    text = nucla.summary(tmp_path / "out.h5")
    assert "2 clips of the benchmark's 1484" in text
    assert "cross_view: 1 clips train, 1 test" in text and "cross_subject: not written" in text


def test_missing_and_empty_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        nucla.pack(tmp_path / "nowhere", tmp_path / "out.h5")
    with pytest.raises(InputError, match="holds no .json file"):
        nucla.pack(tmp_path, tmp_path / "out.h5")


@pytest.mark.parametrize(
    "name, message",
    [
        ("clip7", "not of the form aAA_sSS_eEE_vVV"),
        ("a01_s01_e00_v01_copy", "not of the form"),
        ("a07_s01_e00_v01", "action 7 is not among"),
        ("a01_s11_e00_v01", "subject 11 is not among"),
        ("a01_s01_e00_v04", "view 4 is not among"),
    ],
)
def test_names(tmp_path, name, message):
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(content("a01_s01_e00_v01", file_name=name)))
    with pytest.raises(InputError, match=f"{name}.json: .*{message}"):
        nucla.read(path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"label": 2}, "label is 2, expected 1"),
        ({"label": None}, "label is None, expected 1"),
        (
            {"file_name": "a01_s02_e00_v01"},
            "file_name is 'a01_s02_e00_v01', expected 'a01_s01_e00_v01'",
        ),
        ({"skeletons": [[[0.0] * 3] * 25]}, r"shape \[1, 25, 3\], expected \[T, 20, 3\]"),
        ({"skeletons": [[[0.0] * 2] * 20]}, r"shape \[1, 20, 2\]"),
        ({"skeletons": []}, r"shape \[0\].*T at least 1"),
        ({"skeletons": [[[0.0] * 3] * 20, [[0.0] * 3] * 19]}, "not a regular"),
        ({"skeletons": "none"}, "not a regular"),
        ({"skeletons": [[[float("nan")] * 3] * 20]}, "not finite"),
        ({"skeletons": [[[1e300] * 3] * 20]}, "not finite"),
        ({"skeletons": [[[10**400] * 3] * 20]}, "not a regular"),
        ({"skeletons": [[[{}] * 3] * 20]}, "not a regular"),
        ({"label": "1" * 10**5}, "its label is '1{97}[.]{3}', expected 1"),
        ({"file_name": ["a"] * 10**5}, r"its file_name is \['a', 'a'.{,40}\], expected"),
    ],
)
def test_wrong_content(tmp_path, changes, message):
    with pytest.raises(InputError, match=f"a01_s01_e00_v01.json: .*{message}"):
        nucla.read(put(tmp_path, "a01_s01_e00_v01", **changes))


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"file_name": "a01_s01_e00_v01", "skel', "damaged or cut short"),
        ("", "damaged or cut short"),
        ("\xff\xfe", "damaged or cut short"),
        ("[1, 2]", "it has no 'file_name'"),
        ("[" * 100_000, "nested too deeply.*damaged or cut short"),
        (
            '{"file_name": "a01_s01_e00_v01", "label": 1, "skeletons": '
            + "[" * 60
            + "1"
            + "]" * 60
            + "}",
            "shape",
        ),
        (
            '{"file_name": "a01_s01_e00_v01", "label": 1, "skeletons": '
            + "[" * 600
            + "1"
            + "]" * 600
            + "}",
            "not a regular",
        ),
        (
            '{"file_name": "a01_s01_e00_v01", "label": 1, "skeletons": ' + "1" * 5000 + "}",
            "not JSON",
        ),
        ('{"people": [], "label": 1, "file_name": "x"}', "it has no 'skeletons'"),
    ],
)
def test_damaged_and_foreign_json(tmp_path, text, message):
    path = tmp_path / "a01_s01_e00_v01.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"a01_s01_e00_v01.json: .*{message}"):
        nucla.read(path)


def test_what_is_no_plain_file(tmp_path):
    path = tmp_path / "a01_s01_e00_v01.json"
    for make in (os.mkfifo, lambda path: path.symlink_to("no"), pathlib.Path.mkdir):
        make(path)
        with pytest.raises(InputError, match="_v01.json: (is not a plain|cannot be read .No such)"):
            nucla.pack(tmp_path, tmp_path / "out.h5")
        path.rmdir() if path.is_dir() else path.unlink()
    path.write_bytes(b" " * (nucla.LARGEST + 1))
    with pytest.raises(InputError, match="too many for a clip of Northwestern-UCLA"):
        nucla.read(path)


def test_a_name_that_is_no_text(tmp_path, root):
    """Files whose names are not UTF-8 are named as far as they can be; so is an output."""
    (tmp_path / "clips").mkdir()
    put(tmp_path / "clips", "a01_s01_e00_v01")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/clips/caf\xe9.json")
    pathlib.Path(odd).write_text("{}")
    done = run(root, "--input", tmp_path / "clips", "--output", tmp_path / "out.h5")
    assert done.returncode == 1 and "caf\\udce9.json: the name is not of the form" in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_one_damaged_file_stops_the_job_and_leaves_no_store(tmp_path, root):
    folder = tmp_path / "clips"
    folder.mkdir()
    put(folder, "a01_s01_e00_v01")
    put(folder, "a01_s02_e00_v03").write_text("{")
    done = run(root, "--input", folder, "--output", tmp_path / "out.h5")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "a01_s02_e00_v03.json" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_script_on_the_real_benchmark(tmp_path, root, shared_data):
    done = run(root, "--input", shared_data / "nucla", "--output", tmp_path / "nucla.h5")
    assert done.returncode == 0, done.stderr
    assert "1484 clips (the whole benchmark)" in done.stdout
    with store.Store(tmp_path / "nucla.h5") as packed:
        sizes = {name: (len(split.train), len(split.test)) for name, split in packed.splits.items()}
        assert sizes["cross_view"] == (1020, 464)
        assert sum(sizes["cross_subject"]) == 1484 and sum(sizes["cross_view_dev"]) == 1020
        assert packed.clips.length.min() == 1 and packed.clips.length.max() == 201
        views = np.array([int(id[-1]) for id in packed.videos.id])
        assert set(views[packed.clips.video[packed.splits["cross_view"].test]]) == {3}
        # One clip read independently, straight from its file.
        row = packed.videos.id.tolist().index("a04_s01_e01_v01")
        frames = json.loads((shared_data / "nucla" / "a04_s01_e01_v01.json").read_text())[
            "skeletons"
        ]
        keypoints, score = packed.video(row)
        np.testing.assert_array_equal(keypoints, np.float32(frames))
        assert np.argwhere(score == 0).tolist() == [[34, joint] for joint in (0, 1, 2, 4, 12, 16)]
        assert packed.labels[packed.clips.label[row]] == "walk around"
