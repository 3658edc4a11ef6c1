import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from data_prep import frame_counts, store_pictures, store_summary
from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.store import Store, StoreWriter

LAYOUT = skeleton.get("imigue22")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three videos of 10, 0 and 6 frames, with gaps that are easy to count."""
    path = tmp_path_factory.mktemp("inspect") / "made.h5"
    with StoreWriter(path, LAYOUT, unit="pixel", frames=16, source="made by hand") as writer:
        keypoints, score = np.full((10, 22, 2), 100.0), np.full((10, 22), 0.5)
        keypoints[:, LAYOUT.index("LShoulder")] += (30, 40)  # 50 pixels from the other shoulder
        keypoints[0, LAYOUT.index("Nose")] = (1281, 5)  # one joint outside
        score[:4, LAYOUT.index("LWrist")] = 0
        score[9] = 0  # nobody
        writer.add_video(
            "a", keypoints, score, fps=10, width=1280, height=720, subject="s1", emotion="positive"
        )
        writer.add_video("empty", keypoints[:0], score[:0], subject="s1")
        keypoints, score = np.full((6, 22, 2), 2000.0), np.ones((6, 22))
        score[:, LAYOUT.index("RShoulder")] = 0
        score[0, LAYOUT.index("Nose")] = 0.25
        writer.add_video("b", keypoints, score, subject="s2")
        writer.add_clip("a", 0, 4, "first")
        writer.add_clip("a", 2, 4, "second")
        writer.add_clip("b", 5, 1)
        writer.add_clip("b", 0, 2, "first")
        writer.add_split("clips", train=[0, 2], test=[1])
        writer.add_split("people", train=[0, 1], test=[2], of="videos")
    return path


def section(text, title):
    """The lines under a title."""
    return next(part.splitlines()[1:] for part in text.split("\n\n") if part.startswith(title))


@pytest.mark.parametrize("block", [1, 3, 16, 10_000])
def test_frames_are_counted_alike_in_blocks_of_any_size(made, block):
    with Store(made) as store:
        found = frame_counts.look_at_frames(store, block)
    missing = np.ones(22, int)
    missing[LAYOUT.index("LWrist")] += 4
    missing[LAYOUT.index("RShoulder")] += 6
    assert found.missing.tolist() == missing.tolist()
    assert found.nobody == 1
    assert found.low.tolist() == [100, 5] and found.high.tolist() == [2000, 2000]
    assert found.scores == (0.25, 1.0)
    assert (found.outside, found.placed) == (1, 9 * 22 - 4)  # video b has no picture's size
    assert found.not_zero == 0
    assert found.size == pytest.approx(50)


def test_what_a_writer_would_not_write_is_found(tmp_path):
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=2, source="") as writer:
        writer.add_video("a", np.ones((2, 22, 2)), np.repeat([[0], [1]], 22, 1))
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["frames/keypoints"][0, 3] = 7
    with Store(tmp_path / "s.h5") as store:
        found = frame_counts.look_at_frames(store)
    assert found.not_zero == 1
    assert found.low.tolist() == [1, 1] and found.high.tolist() == [1, 1]
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["frames/keypoints"][1, 3] = np.nan
    words = "frame 1 has a keypoint .* not finite"
    with pytest.raises(InputError, match=words), Store(tmp_path / "s.h5") as store:
        frame_counts.look_at_frames(store)


def test_frames_that_were_changed_are_told(tmp_path):
    path = tmp_path / "s.h5"
    with StoreWriter(path, LAYOUT, unit="pixel", frames=2, source="") as writer:
        writer.add_video("a", np.ones((2, 22, 2)), np.ones((2, 22)))
    said = []
    for change in (
        lambda file: None,
        lambda file: file["frames/keypoints"].__setitem__((0, 3), 7),
        lambda file: file.attrs.update({"version": 1}),
    ):
        with h5py.File(path, "r+") as file:
            change(file)
        with Store(path) as store:
            lines = section(store_summary.report(store), "Frames")
        (row,) = (line for line in lines if "since written" in line)
        said.append(row.split()[2].strip(":,"))
    assert said == ["unchanged", "CHANGED", "unknown"]


def test_the_report(made):
    with Store(made) as store:
        text = store_summary.report(store)
    assert max(len(line) for line in text.splitlines()[1:]) <= 100
    rows = {tuple(line.split()) for line in text.splitlines()}
    assert section(text, str(made))[:2] == [
        "  layout            imigue22: 22 joints, 21 bones, 2D",
        "  unit              pixel",
    ]
    assert tuple("source made by hand".split()) in rows and tuple("y points down".split()) in rows
    with Store(made) as store:
        assert ("fingerprint", store.fingerprint) in rows
    assert section(text, "Videos") == [
        "  videos            3",
        "  frames            16",
        "  time              0.00 hours at 10 fps; fps unknown for 2 of 3 videos",
        "  picture           unknown, 1280 x 720",
        "  subjects          2 (s1 2, s2 1)",
        "  emotions          1 (positive 1); unknown for 2 of 3 videos",
    ]
    # Clips cover frames 0-5 of a, of which 2 and 3 twice, and 0, 1 and 5 of b: 9 of 16 and 2 of 16.
    assert section(text, "Clips") == [
        "  clips             4",
        "  frames in clips   56.2 % of all frames, 12.5 % in more than one clip",
        "  videos without    1",
        "  clips of 1 frame  1",
        "  length      min  median  mean  max",
        "  in frames     1       3  2.75    4",
        "  in seconds  0.4     0.4   0.4  0.4",
    ]
    assert section(text, "Labels") == [
        "  label         clips   share",
        "    0 first         2  50.0 %",
        "    1 second        1  25.0 %",
        "      no label      1  25.0 %",
    ]
    # Video a has clips in both halves of the first split, and so has its subject.
    assert [line.split() for line in section(text, "Splits")[1:]] == [
        ["clips", "clips", "2", "1", "1", "1", "1"],
        ["people", "videos", "2", "1", "0", "0", "0"],
    ]
    joints = section(text, "Missing joints")
    assert joints[0].split()[:3] == ["RShoulder", "43.8", "%"] and joints[1].split()[:3] == [
        "LWrist",
        "31.2",
        "%",
    ]
    assert sorted(" ".join(joints).split()[::3]) == sorted(LAYOUT.joints)
    frames = section(text, "Frames")
    assert frames[0] == "  nobody is seen    1 frames (6.2 %)"
    assert frames[1] == "  x                 100 to 2000 pixel"
    assert frames[5] == "  body size         50 pixel on average, RShoulder to LShoulder"


def test_long_names_are_folded_to_the_width(tmp_path):
    source = "word " * 90 + "x" * 300
    with StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=2, source=source) as writer:
        writer.add_video("a", np.ones((2, 22, 2)), np.ones((2, 22)))
        writer.add_clip("a", 0, 2, "a very long name " * 10)
    with Store(tmp_path / "s.h5") as store:
        lines = store_summary.report(store).splitlines()
    assert max(map(len, lines[1:])) == 100
    assert (
        sum(line.count("x" * 20) for line in lines) >= 4
        and sum(line.count("word") for line in lines) == 90
    )
    (first,) = (row for row, line in enumerate(lines) if line.startswith("    0 a very long name"))
    assert lines[first].endswith("1  100.0 %")
    assert " ".join(lines[first : first + 3]).split().count("very") == 10


def test_a_store_of_nothing(tmp_path):
    StoreWriter(tmp_path / "s.h5", LAYOUT, unit="pixel", frames=0, source="").close()
    with Store(tmp_path / "s.h5") as store:
        text = store_summary.report(store)
        with pytest.raises(InputError, match="s.h5: has no frames to draw"):
            store_pictures.draw(store, tmp_path / "pictures", 1)
    assert section(text, "Clips") == ["  clips             none"]
    assert section(text, "Labels") == section(text, "Splits") == ["  none"]
    assert "nan" not in text and "inf" not in text


def run(root, *arguments):
    return subprocess.run(
        [sys.executable, root / "data_prep" / "inspect_store.py", *arguments],
        capture_output=True,
        text=True,
    )


def test_the_script_draws(root, made, tmp_path):
    done = run(root, "--store", made, "--pictures", tmp_path / "new" / "pictures", "--clips", "3")
    assert done.returncode == 0, done.stderr
    assert section(done.stdout, "Pictures") == [
        f"  {tmp_path}/new/pictures/skeletons-1.png",
        f"  {tmp_path}/new/pictures/clip_lengths.png",
    ]
    for line in section(done.stdout, "Pictures"):
        with open(line.strip(), "rb") as picture:
            assert picture.read(4) == b"\x89PNG"


def test_samples_come_from_all_over_the_labels(made, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        store_pictures.skeletons,
        "contact_sheet",
        lambda path, layout, keypoints, score, titles, **_: drawn.append(
            (path.name, [len(clip) for clip in keypoints], list(titles))
        ),
    )
    monkeypatch.setattr(store_pictures.figures, "clip_lengths", lambda *_: None)
    monkeypatch.setattr(store_pictures, "CLIPS_ON_A_SHEET", 2)
    with Store(made) as store:
        store_pictures.draw(store, made.parent, 3)
        store_pictures.draw(store, made.parent, 4)
    assert drawn == [
        ("skeletons-1.png", [1, 4], ["clip 2 · no label · video b", "clip 0 · first · video a"]),
        ("skeletons-2.png", [4], ["clip 1 · second · video a"]),
        ("skeletons-1.png", [1, 2], ["clip 2 · no label · video b", "clip 3 · first · video b"]),
        ("skeletons-2.png", [4, 4], ["clip 0 · first · video a", "clip 1 · second · video a"]),
    ]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--store", "absent.h5"], "error: absent.h5: no such store file"),
        (
            ["--store", "MADE", "--clips", "3"],
            "error: --clips says how many clips to draw and needs --pictures",
        ),
        (["--store", "MADE", "--clips", "0", "--pictures", "p"], "--clips"),
        (["--store", "MADE", "more"], "error: unexpected argument 'more'"),
        (["--store", "MADE", "--pictures", "MADE"], "cannot be made a folder for pictures"),
        (["--shop", "MADE"], "there is no flag --shop"),
        ([], "--store"),
    ],
)
def test_wrong_use_is_said_in_one_sentence(root, made, arguments, sentence):
    done = run(root, *(str(made) if argument == "MADE" else argument for argument in arguments))
    assert done.returncode == 1 and sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_real_clips(shared_data, tmp_path):
    files = sorted((shared_data / "nucla").glob("*_e00_v01.json"))[:5]
    clips = [np.array(json.loads(file.read_text())["skeletons"], np.float32) for file in files]
    total = sum(map(len, clips))
    kinect = skeleton.get("kinect20")
    with StoreWriter(
        tmp_path / "s.h5", kinect, unit="metre", frames=total, source="NW-UCLA"
    ) as writer:
        for file, clip in zip(files, clips):
            writer.add_video(file.stem, clip, np.ones(clip.shape[:2]))
    with Store(tmp_path / "s.h5") as store:
        found = frame_counts.look_at_frames(store, 7)
        assert found.low.tolist() == pytest.approx(np.concatenate(clips).min((0, 1)).tolist())
        assert 0.3 < found.size < 0.6  # a torso in metres
        (sheet,) = store_pictures.draw(store, tmp_path, 2)
    assert sheet.stat().st_size > 10_000


def test_pictures_know_which_way_y_points_and_where_a_clip_begins(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(
        store_pictures.skeletons, "contact_sheet", lambda path, *_, **how: given.update(how) or path
    )
    body = np.ones((10, 17, 2))
    with StoreWriter(
        tmp_path / "a.h5", skeleton.COCO_17, unit="pixel", frames=20, source="x", y_points="up"
    ) as writer:
        for id in "ab":
            writer.add_video(id, body, np.ones((10, 17)))
        writer.add_clip("b", 7, 3)
    with Store(tmp_path / "a.h5") as store:
        store_pictures.draw(store, tmp_path / "pictures", 1)
    assert given == {"first_frames": (7,), "y_points": "up"}
