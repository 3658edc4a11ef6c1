import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data_prep import anonymous_ids, openpose, openpose_folders, simulation
from mgjax import skeleton, store
from mgjax.errors import InputError

RNG = np.random.default_rng(7)
POSE = RNG.uniform(100, 500, (25, 2))


def person(x=0.0, joints=25, hands=False):
    """One person's JSON object; x shifts it to the right."""
    points = np.concatenate([POSE + np.array([x, 0]), np.full((25, 1), 0.5)], axis=1)
    points = np.concatenate([points, points])[:joints]
    hand = points[:21].ravel().tolist() if hands else []
    return {
        "pose_keypoints_2d": points.ravel().tolist(),
        "face_keypoints_2d": [123.5, 123.5, 1.0] * 70,
        "hand_left_keypoints_2d": hand,
        "hand_right_keypoints_2d": hand,
    }


def write(folder, frames, first=0):
    """Frames given as lists of people, None for a gap."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, people in enumerate(frames, first):
        if people is not None:
            text = json.dumps({"version": 1.3, "people": people})
            (folder / f"cam_{number:012d}_keypoints.json").write_text(text)
    return folder


def table(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def run(root, *arguments, **options):
    return subprocess.run(
        [sys.executable, str(root / "data_prep" / "pack_openpose.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def contents(path):
    with store.Store(path) as packed:
        keypoints, score = packed.frames(0, packed.frame_count)
        tables = [getattr(packed.videos, name).tolist() for name in vars(packed.videos)]
        tables += [getattr(packed.clips, name).tolist() for name in vars(packed.clips)]
        return keypoints, score, tables, packed.labels


@pytest.fixture
def videos(tmp_path):
    """Three videos: the first numbered from 10, the second with a gap, an empty frame and
    several people.
    """
    folder = tmp_path / "videos"
    write(folder / "anna", [[person(t)] for t in range(6)], first=10)
    write(folder / "ben", [[person()], None, [], [person(900), person(2)], [person(3)]])
    write(folder / "cleo", [[person(5 * t, hands=True)] for t in range(4)])
    return folder


# --- what is packed


def test_real_recording_is_packed_to_the_last_bit(shared_data, tmp_path, root):
    folder = shared_data / "openpose_body25_hands"
    result = run(
        root, "--input", folder, "--output", tmp_path / "out.h5", "--layout", "body25_hands"
    )
    assert result.returncode == 0, result.stderr
    expected = []
    for path in sorted(folder.iterdir()):
        (one,) = json.loads(path.read_text())["people"]
        parts = (
            one["pose_keypoints_2d"],
            one["hand_left_keypoints_2d"],
            one["hand_right_keypoints_2d"],
        )
        expected.append(np.float32([number for part in parts for number in part]).reshape(67, 3))
    expected = np.stack(expected)
    expected[expected[..., 2] == 0] = 0
    keypoints, score, tables, labels = contents(tmp_path / "out.h5")
    np.testing.assert_array_equal(keypoints, expected[..., :2])
    np.testing.assert_array_equal(score, expected[..., 2])
    assert keypoints.dtype == score.dtype == np.float32 and keypoints.shape == (9, 67, 2)
    assert tables[0] == ["openpose_body25_hands"] and tables[-1] == [-1] and labels == ()
    # No number of the face is anywhere in the file, but for those that a body or a hand has too.
    stored = set(keypoints.ravel().tolist()) | set(score.ravel().tolist())
    face = np.float32(one["face_keypoints_2d"]).tolist()
    assert not (set(face) & stored) - set(expected.ravel().tolist())


def test_two_people_and_the_summary(shared_data, tmp_path, root):
    folder = shared_data / "openpose_body25b_two_people"
    result = run(
        root,
        "--input",
        folder,
        "--output",
        tmp_path / "out.h5",
        "--layout",
        "body25b",
        "--report",
        tmp_path / "report.csv",
    )
    assert result.returncode == 0, result.stderr
    assert (
        "largest root jump: 11.1 px, video openpose_body25b_two_people at frame 14" in result.stdout
    )
    (row,) = csv.DictReader((tmp_path / "report.csv").open())
    assert (row["frames"], row["several"], row["people"], row["missing"]) == (
        "100",
        "100",
        "2",
        "0",
    )
    assert float(row["jump"]) == pytest.approx(11.1019, abs=1e-3)


def test_tables_clips_and_gaps(videos, tmp_path):
    about = table(
        tmp_path / "about.csv",
        "subject,id,emotion,fps,width,height",
        "7,anna,win,25,1280,720",
        "8,cleo,lose,29.97,,",
    )
    clips = table(
        tmp_path / "clips.csv",
        "video,start,stop,label",
        "ben,0,3,10",
        "anna,11,16,9",
        "anna,10,11,",
        "cleo,0,4,9",
    )
    report = openpose.pack(videos, tmp_path / "out.h5", "body25", videos=about, clips=clips)
    with store.Store(tmp_path / "out.h5") as packed:
        assert packed.videos.id.tolist() == ["anna", "ben", "cleo"]
        assert packed.videos.length.tolist() == [6, 5, 4]
        assert packed.videos.subject.tolist() == ["7", "", "8"]
        assert packed.videos.emotion.tolist() == ["win", "", "lose"]
        assert packed.videos.fps.tolist() == [
            25,
            0,
            np.float32(29.97),
        ] and packed.videos.width.tolist() == [1280, 0, 0]
        assert packed.labels == ("9", "10")
        assert packed.clips.video.tolist() == [1, 0, 0, 2]
        assert packed.clips.start.tolist() == [0, 1, 0, 0] and packed.clips.length.tolist() == [
            3,
            5,
            1,
            4,
        ]
        assert packed.clips.label.tolist() == [1, 0, -1, 0]
        # Frame 11 of anna's files is its second.
        keypoints, _ = packed.clip(1)
        np.testing.assert_array_equal(keypoints[0], (POSE + np.array([1, 0])).astype(np.float32))
        keypoints, score = packed.video(1)
        assert score.any(axis=1).tolist() == [True, False, False, True, True]
        assert not keypoints[1:3].any()
        np.testing.assert_array_equal(keypoints[3], (POSE + np.array([2, 0])).astype(np.float32))
    ben = report.videos[1]
    assert (ben.gaps, ben.nobody, ben.several, ben.missing, ben.damaged) == (1, 1, 1, 2, 0)
    assert (report.unlisted, report.clips, report.labelled, report.labels) == (1, 4, 3, ("9", "10"))
    assert "videos that the table of videos leaves out: 1" in str(report)


def test_without_clips_whole_videos_are_clips(videos, tmp_path):
    openpose.pack(videos, tmp_path / "out.h5", "body25_hands")
    with store.Store(tmp_path / "out.h5") as packed:
        assert packed.clips.length.tolist() == [6, 5, 4] and packed.clips.label.tolist() == [-1] * 3
        _, score = packed.video(0)
        assert score[:, :25].all() and not score[:, 25:].any()
        assert packed.video(2)[1].all()


def test_face_is_kept_only_when_asked_for(videos, tmp_path):
    with pytest.raises(InputError, match="identify a person"):
        openpose.pack(videos, tmp_path / "out.h5", "openpose137")
    openpose.pack(videos, tmp_path / "with.h5", "openpose137", keep_face=True)
    openpose.pack(videos, tmp_path / "without.h5", "body25_hands")
    assert (contents(tmp_path / "with.h5")[0][0, 25:95] == 123.5).all()
    assert not (contents(tmp_path / "without.h5")[0] == 123.5).any()
    number = np.float32(123.5).tobytes()
    assert (
        number in (tmp_path / "with.h5").read_bytes()
        and number not in (tmp_path / "without.h5").read_bytes()
    )


def test_centre_takes_the_width_from_the_table(tmp_path):
    folder = write(tmp_path / "v", [[person(0), person(1000), person(2000)]] * 3)
    about = table(tmp_path / "about.csv", "id,width", "v,2600")
    openpose.pack(folder, tmp_path / "out.h5", "body25", videos=about, person="centre")
    np.testing.assert_array_equal(
        contents(tmp_path / "out.h5")[0][0], (POSE + np.array([1000, 0])).astype(np.float32)
    )
    with pytest.raises(InputError, match="needs the width of video 'v'"):
        openpose.pack(folder, tmp_path / "out.h5", "body25", person="centre")


def test_others_and_a_damaged_file_are_counted(videos, tmp_path):
    (videos / "anna" / "notes.txt").write_text("x")
    (videos / "list.csv").write_text("x")
    path = videos / "ben" / "cam_000000000004_keypoints.json"
    path.write_text(path.read_text()[:50])
    report = openpose.pack(videos, tmp_path / "out.h5", "body25", max_damaged=1 / 14)
    assert report.aside.files == 2 and report.total("damaged") == 1
    assert report.first_damaged == f"{path} (not whole JSON)"
    seen = contents(tmp_path / "out.h5")[1].any(axis=1).tolist()
    assert seen == [True] * 6 + [True, False, False, True, False] + [True] * 4


# --- one odd thing does not end the job


def test_left_out_and_named(videos, tmp_path):
    """A folder without frames, a person without a pose, a video of the table without a folder
    and its clip.
    """
    (videos / "empty").mkdir()
    write(videos / "ben", [[person(3), {"pose_keypoints_2d": []}]], first=4)
    about = table(
        tmp_path / "about.csv", "id,subject,split_a", "anna,7,train", "dora,8,test", "empty,9,test"
    )
    clips = table(
        tmp_path / "clips.csv",
        "video,start,stop,label",
        "dora,0,3,x",
        "anna,11,16,y",
        "empty,5,6,z",
    )
    report = openpose.pack(videos, tmp_path / "out.h5", "body25", videos=about, clips=clips)
    with store.Store(tmp_path / "out.h5") as packed:
        assert packed.videos.id.tolist() == ["anna", "ben", "cleo"] and packed.labels == ("y",)
        assert len(packed.clips) == 1 and packed.splits["a"].test.tolist() == []
        assert packed.video(1)[1][4].all()
    for line in (
        "left aside: 1 people whose pose is an empty list",
        "left aside: folders without a frame: empty",
        "left aside: videos of the table that the input has no frames of: dora, empty; "
        "with them 2 clips",
        "clips: 1, labelled 1, classes 1: y",
    ):
        assert line in str(report)


def test_clips_of_absent_videos_only(videos, tmp_path):
    about = table(tmp_path / "about.csv", "id", "anna", "dora")
    clips = table(tmp_path / "clips.csv", "video,start,stop", "dora,0,3")
    with pytest.raises(InputError, match="clips.csv: no clip but 1 of videos that have no frames"):
        openpose.pack(videos, tmp_path / "out.h5", "body25", videos=about, clips=clips)
    clips = table(tmp_path / "clips.csv", "video,start,stop", "emil,0,3")
    with pytest.raises(InputError, match="line 2: unknown video 'emil'"):
        openpose.pack(videos, tmp_path / "out.h5", "body25", videos=about, clips=clips)


# --- what may differ from video to video


@pytest.mark.parametrize("workers", [1, 2])
def test_person_layout_and_model_of_each_video(videos, tmp_path, workers):
    """Whose files have another number of joints, or no hands, or another person in front, is
    said in the table.
    """
    shutil.rmtree(videos / "ben")
    write(videos / "ben", [[person(joints=18), person(900, joints=18)] for t in range(4)])
    write(videos / "dora", [[person(2 * t, hands=True)] for t in range(3)])
    about = table(
        tmp_path / "about.csv",
        "id,person,layout,model_pose",
        "ben,rightmost,coco18,",
        "cleo,1,body25,body25",
        "dora,,,",
    )
    report = openpose.pack(
        videos, tmp_path / "out.h5", "body25_hands", videos=about, workers=workers
    )
    with store.Store(tmp_path / "out.h5") as packed:
        layout = packed.layout
        assert packed.videos.id.tolist() == ["anna", "ben", "cleo", "dora"]
        assert packed.attributes["source"] == "OpenPose body25 and coco18, 17 frame files"
        keypoints, score = packed.video(1)
        coco = skeleton.COCO_18
        assert (score[:, layout.index(*coco.joints)] > 0).all() and (score > 0).sum() == 4 * 18
        np.testing.assert_array_equal(
            keypoints[0, layout.index(*coco.joints)], np.float32(POSE[:18] + np.array([900, 0]))
        )
        hands = layout.index(*layout.parts["left hand"])
        assert not packed.video(2)[1][:, hands].any() and packed.video(3)[1][:, hands].all()
    assert [video.several for video in report.videos] == [0, 4, 0, 0]


def test_the_flags_stand_where_the_table_says_nothing(videos, tmp_path):
    write(videos / "anna", [[person(t), person(700 + t)] for t in range(6)], first=10)
    about = table(tmp_path / "about.csv", "id,person,model_pose", "anna,leftmost,body25", "ben,,")
    openpose.pack(
        videos, tmp_path / "out.h5", "coco18", videos=about, person="rightmost", model_pose="body25"
    )
    keypoints, _ = contents(tmp_path / "out.h5")[:2]
    assert keypoints[0, 0, 0] == np.float32(POSE[0, 0]) and len(keypoints) == 15
    # Where it says it of every video, the flags need not.
    about = table(
        tmp_path / "about.csv", "id,model_pose", "anna,body25", "ben,body25", "cleo,body25"
    )
    openpose.pack(videos, tmp_path / "out.h5", "coco17", videos=about)
    with pytest.raises(
        InputError, match="^layout 'coco17' can be cut out of BODY_25 and of BODY_25B"
    ):
        openpose.pack(videos, tmp_path / "out.h5", "coco17")


# --- words where they are due


def test_body_25b_packed_as_body_25(shared_data, tmp_path):
    for layout, said in (("body25", True), ("body25_hands", True), ("body25b", False)):
        report = openpose.pack(
            shared_data / "openpose_body25b_two_people", tmp_path / "out.h5", layout
        )
        assert (
            "the bones fit pose model body25b much better in "
            "openpose_body25b_two_people" in str(report)
        ) == said
    for folder in ("openpose_body25_hands", "openpose_speaker", "openpose_ghost_and_leg_swap"):
        for model, said in (("body25", False), ("body25b", folder != "openpose_body25_hands")):
            report = openpose.pack(
                shared_data / folder, tmp_path / "out.h5", "coco17", model_pose=model
            )
            assert ("the bones fit pose model body25 much better" in str(report)) == said
            assert not any(video.misfit == "body25b" for video in report.videos)


def test_simulated_people_are_no_body_25b(tmp_path):
    simulation.write_openpose(
        simulation.simulate(videos=2, subjects=2, clips_per_video=2), tmp_path / "made"
    )
    report = openpose.pack(tmp_path / "made" / "openpose", tmp_path / "out.h5", "body25")
    assert not any(video.misfit for video in report.videos)
    report = openpose.pack(tmp_path / "made" / "openpose", tmp_path / "out.h5", "body25b")
    assert all(video.misfit == "body25" for video in report.videos)


def test_what_was_never_seen_is_said(videos, tmp_path):
    hidden = person()
    hidden["pose_keypoints_2d"][3:6] = [0, 0, 0]  # the neck
    write(videos / "anna", [[hidden]] * 6, first=10)
    said = str(openpose.pack(videos, tmp_path / "out.h5", "body25_hands"))
    assert "doubtful: the root (Neck) of the person followed is never seen in anna, so" in said
    assert "never seen" not in said.replace("is never seen in anna", "")  # cleo has hands
    shutil.rmtree(videos / "cleo")
    assert "never seen in any video: left hand, right hand\n" in str(
        openpose.pack(videos, tmp_path / "out.h5", "body25_hands")
    )


# --- ids that name nobody


def everywhere(text):
    return [text.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")]


def test_anonymous_ids(videos, tmp_path, root):
    """Not a byte of a folder's or a subject's name, or of a path, in the store; the report is
    the key.
    """
    (tmp_path / "deep").mkdir()
    about = table(
        tmp_path / "about.csv",
        "id,subject,emotion,split_mine",
        "cleo,Wilhelmina,win,train",
        "ben,Ottokar,lose,test",
        "anna,Wilhelmina,,",
    )
    clips = table(tmp_path / "clips.csv", "video,start,stop,label", "ben,0,3,10", "anna,11,16,9")
    output, key = tmp_path / "deep" / "out.h5", tmp_path / "deep" / "key.csv"
    result = run(
        root,
        "--input",
        videos,
        "--output",
        output,
        "--layout",
        "body25",
        "--videos",
        about,
        "--clips",
        clips,
        "--report",
        key,
        "--anonymous_ids",
    )
    assert result.returncode == 0, result.stderr
    assert "ids are numbers, such as v001, in the order of the folders' names" in result.stdout
    assert sorted(path.name for path in output.parent.iterdir()) == ["key.csv", "out.h5"]
    data = output.read_bytes()
    names = ("anna", "ben", "cleo", "Wilhelmina", "Ottokar", "about.csv", "videos/anna")
    for name in (*names, str(tmp_path), tmp_path.name):
        assert not any(spelled in data for spelled in everywhere(name)), name
    with store.Store(output) as packed:
        assert packed.videos.id.tolist() == ["v001", "v002", "v003"]
        assert packed.videos.subject.tolist() == ["s01", "s02", "s01"]
        assert packed.videos.emotion.tolist() == ["", "lose", "win"]
        assert packed.clips.video.tolist() == [1, 0] and packed.splits["mine"].train.tolist() == [2]
    rows = list(csv.DictReader(key.open()))
    assert [(row["id"], row["folder"], row["subject"]) for row in rows] == [
        ("v001", "anna", "Wilhelmina"),
        ("v002", "ben", "Ottokar"),
        ("v003", "cleo", "Wilhelmina"),
    ]


def test_the_same_numbers_for_any_number_of_workers_and_wide_enough(videos, tmp_path):
    assert list(anonymous_ids._numbered(map(str, range(1000)), "v", 3).values())[:2] == [
        "",
        "v0001",
    ]
    for workers in (1, 3):
        report = openpose.pack(
            videos, tmp_path / "out.h5", "body25", anonymous_ids=True, workers=workers
        )
        assert [video.id for video in report.videos] == ["v001", "v002", "v003"]


def test_a_store_that_is_replaced_is_mentioned(videos, tmp_path, root):
    options = (
        "--input",
        videos,
        "--output",
        tmp_path / "out.h5",
        "--layout",
        "body25",
        "--report",
        tmp_path / "r.csv",
    )
    assert run(root, *options).stderr == ""
    said = run(root, *options).stderr
    assert (
        f"note: {tmp_path / 'out.h5'} is there and will be replaced" in said
        and said.count("\n") == 2
    )


def test_ids_that_are_names_are_said(videos, tmp_path):
    report = openpose.pack(videos, tmp_path / "out.h5", "body25")
    assert (
        "ids are the folders' names, such as anna, and are in the store; --anonymous_ids numbers "
        "them" in str(report)
    )


# --- the same store for any number of workers, and nothing half-done


@pytest.mark.parametrize("chunk", [256, 2], ids=["videos", "frames"])
def test_any_number_of_workers(videos, tmp_path, monkeypatch, chunk):
    """Two workers share videos; five share frames, as there are fewer videos."""
    monkeypatch.setattr(openpose_folders, "CHUNK", chunk)
    results = []
    for workers in (1, 2 if chunk == 256 else 5):
        path = tmp_path / f"{workers}.h5"
        report = openpose.pack(videos, path, "body25_hands", workers=workers)
        results.append((contents(path), report.videos))
    (one, one_report), (many, many_report) = results
    for a, b in zip(one[:2], many[:2]):
        np.testing.assert_array_equal(a, b)
    assert one[2:] == many[2:] and one_report == many_report


def test_an_error_in_a_worker_is_one_sentence(videos, tmp_path, root):
    path = write(videos / "ben", [[person(joints=18)]], first=4) / "cam_000000000004_keypoints.json"
    result = run(
        root,
        "--input",
        videos,
        "--output",
        tmp_path / "out.h5",
        "--layout",
        "body25",
        "--workers",
        2,
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert f"{path}: pose_keypoints_2d holds 18 joints, expected 25" in result.stderr
    assert not list(tmp_path.glob("out.h5*"))


@pytest.fixture(scope="module")
def long_job(tmp_path_factory):
    """A folder whose packing takes some seconds: one recording under many names."""
    folder = tmp_path_factory.mktemp("long")
    video = write(folder / "video", [[person(t % 7)] for t in range(600)])
    for i in range(400):
        (folder / "many" / f"v{i}").parent.mkdir(exist_ok=True)
        (folder / "many" / f"v{i}").symlink_to(video)
    return folder / "many"


@pytest.mark.parametrize(
    "number, group",
    [
        (signal.SIGINT, True),
        (signal.SIGTERM, True),
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
        (signal.SIGKILL, False),
    ],
    ids=["ctrl-c", "term-group", "term", "hup", "kill"],
)
@pytest.mark.skipif(
    not pathlib.Path("/proc/self/stat").exists(), reason="finds the workers through /proc"
)
def test_stopped_in_the_middle(long_job, tmp_path, root, number, group):
    """Nothing is left of it, and the workers say nothing."""
    output = tmp_path / "out.h5"
    script = root / "data_prep" / "pack_openpose.py"
    job = subprocess.Popen(
        [
            sys.executable,
            script,
            "--input",
            long_job,
            "--output",
            output,
            "--layout",
            "body25",
            "--workers",
            "2",
        ],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: len(session(job.pid)) > 2)
    # Until there is more in it than an empty store: the workers are at it.
    wait_for(lambda: any(path.stat().st_size > 10_000 for path in tmp_path.glob("*.partial")))
    os.killpg(job.pid, number) if group else os.kill(job.pid, number)
    assert job.wait(timeout=20) == (-number if number == signal.SIGKILL else 128 + number)
    wait_for(lambda: not session(job.pid))
    assert not output.exists()
    assert job.stderr.read() == ("interrupted\n" if number == signal.SIGINT else "")
    if number != signal.SIGKILL:
        assert not list(tmp_path.glob("*.partial"))
    job.stderr.close()


@pytest.mark.parametrize(
    "redirection, code, words",
    [
        ("2>&-", 0, ""),
        (">&-", 0, ""),
        (">&- 2>&- <&-", 0, ""),
        (">/dev/full", 1, "No space left on device"),
        (">/dev/full 2>/dev/full", 1, ""),
    ],
)
@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs /dev/full")
def test_closed_and_full_streams(videos, tmp_path, root, redirection, code, words):
    """Packing is done; where its summary cannot be written that is one sentence."""
    output = tmp_path / "out.h5"
    command = [
        sys.executable,
        root / "data_prep" / "pack_openpose.py",
        "--input",
        videos,
        "--output",
        output,
        "--layout",
        "body25",
        "--workers",
        2,
    ]
    result = subprocess.run(
        ["bash", "-c", f'"$@" {redirection}', "bash", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (
        result.returncode == code
        and words in result.stderr
        and result.stderr.count("\n") == bool(words)
    )
    assert contents(output)[0].shape == (15, 25, 2) and not list(tmp_path.glob("*.partial"))


def session(leader):
    """Living processes of a session."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == leader and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# --- wrong input: one sentence that names the file, exit code 1, nothing written


def _nothing(folder):
    pass


def _no_frames(folder):
    for path in folder.glob("*/*"):
        path.unlink()


def _put(name, text="{}"):
    def change(folder):
        (folder / "anna" / name).write_text(text)

    return change


def _all_empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def _damaged(folder):
    for name in ("cam_000000000011_keypoints.json", "cam_000000000012_keypoints.json"):
        _put(name, '{"people": [')(folder)


# What is done to the input, options that differ (IN is the input, CSV a table), the table, and
# what the sentence says.
WRONG = {
    "missing folder": (_nothing, {"input": "IN/none"}, None, "none: no such folder"),
    "a file": (
        _nothing,
        {"input": "IN/anna/cam_000000000010_keypoints.json"},
        None,
        "is a file, expected a folder",
    ),
    "empty folder": (_all_empty, {}, None, "videos: the folder holds no .json file"),
    "no frames": (
        _no_frames,
        {},
        None,
        "videos: none of its 3 folders, such as anna, holds a .json file",
    ),
    "frames beside folders": (
        lambda folder: (folder / "f_1.json").write_text("{}"),
        {},
        None,
        "holds both",
    ),
    "foreign JSON": (
        _put("a_99.json", '{"images": []}'),
        {},
        None,
        "a_99.json: JSON, but not an OpenPose frame",
    ),
    "same number": (
        _put("b_10.json"),
        {},
        None,
        "cam_000000000010_keypoints.json: same frame number 10 as b_10.json",
    ),
    "no number": (_put("labels.json"), {}, None, "labels.json: no frame number"),
    "not frame numbers": (_put("x_20240101.json"), {}, None, "these are not frame numbers"),
    "joint count": (
        _nothing,
        {"layout": "coco18"},
        None,
        "holds 25 joints, expected 18 as pose model coco18",
    ),
    "damaged": (
        _damaged,
        {},
        None,
        "cam_000000000011_keypoints.json: not whole JSON; 2 of 14 frame files are damaged",
    ),
    "unknown layout": (_nothing, {"layout": "body26"}, None, "unknown layout 'body26'"),
    "face": (_nothing, {"layout": "openpose137"}, None, "kept only with --keep_face"),
    "no face to keep": (_nothing, {"keep_face": "true"}, None, "no face landmarks"),
    "unknown person": (_nothing, {"person": "tallest"}, None, "unknown person 'tallest'"),
    "rank": (_nothing, {"person": "3"}, None, "only 1 was found"),
    "output folder": (_nothing, {"output": "IN/none/out.h5"}, None, "none: no such folder"),
    "no table": (_nothing, {"clips": "IN/none.csv"}, None, "none.csv: cannot be read"),
    "videos: column": (
        _nothing,
        {"videos": "CSV"},
        "video,fps\nanna,25\n",
        "table.csv: no column 'id'",
    ),
    "videos: unknown column": (
        _nothing,
        {"videos": "CSV"},
        "id,emotions\nanna,win\n",
        "column 'emotions'",
    ),
    "videos: unknown": (
        _nothing,
        {"videos": "CSV"},
        "id\ndora\nemil\n",
        "table.csv, line 2: unknown video 'dora'",
    ),
    "videos: person": (
        _nothing,
        {"videos": "CSV"},
        "id,person\nanna,\nben,tallest\n",
        "line 3: unknown person 'tallest'",
    ),
    "videos: centre": (
        _nothing,
        {"videos": "CSV"},
        "id,person\nanna,centre\n",
        "line 2: person centre needs the width of video 'anna'",
    ),
    "videos: layout": (
        _nothing,
        {"videos": "CSV"},
        "id,layout\nanna,body26\n",
        "line 2: unknown layout 'body26'",
    ),
    "videos: no joint": (
        _nothing,
        {"videos": "CSV"},
        "id,layout\nanna,left_hand21\n",
        "line 2: layouts 'body25' and 'left_hand21' have no joint in common",
    ),
    "videos: model": (
        _nothing,
        {"videos": "CSV"},
        "id,model_pose\nanna,mpi\n",
        "line 2: unknown pose model 'mpi'",
    ),
    "videos: other model": (
        _nothing,
        {"videos": "CSV"},
        "id,model_pose\nanna,coco18\n",
        "have no joint 'MidHip'",
    ),
    "videos: its joints": (
        _nothing,
        {"videos": "CSV"},
        "id,layout\nanna,coco18\n",
        "cam_000000000010_keypoints.json: pose_keypoints_2d holds 25 joints, expected 18",
    ),
    "videos: NUL": (_nothing, {"videos": "CSV"}, "id,subject\nanna,a\0b\n", "line 2"),
    "videos: twice": (
        _nothing,
        {"videos": "CSV"},
        "id\nanna\nanna\n",
        "line 3: video 'anna' is there twice",
    ),
    "videos: number": (
        _nothing,
        {"videos": "CSV"},
        "id,fps\nanna,fast\n",
        "line 2: fps is 'fast', expected a number",
    ),
    "videos: nan": (
        _nothing,
        {"videos": "CSV"},
        "id,fps\nanna,nan\n",
        "table.csv, line 2: fps is 'nan'",
    ),
    "videos: part": (
        _nothing,
        {"videos": "CSV"},
        "id,width\nanna,12.5\n",
        "'12.5', expected a whole number",
    ),
    "videos: side": (
        _nothing,
        {"videos": "CSV"},
        "id,split_a\nanna,both\n",
        "line 2: split_a is 'both', expected train",
    ),
    "videos: empty": (_nothing, {"videos": "CSV"}, "", "table.csv: no column 'id'"),
    "clips: column": (
        _nothing,
        {"clips": "CSV"},
        "video,start,end\nanna,10,11\n",
        "table.csv: no column 'stop'",
    ),
    "clips: bars": (
        _nothing,
        {"clips": "CSV"},
        "video|start|stop\nanna|10|11\n",
        "no column 'video'",
    ),
    "clips: number": (
        _nothing,
        {"clips": "CSV"},
        "video,start,stop\nanna,10,11\n\nanna,x,2\n",
        "line 4: start is 'x'",
    ),
    "clips: no value": (
        _nothing,
        {"clips": "CSV"},
        "video,start,stop\nanna,,12\n",
        "line 2: no start",
    ),
    "clips: values": (
        _nothing,
        {"clips": "CSV"},
        "video,start,stop\nanna,10\n",
        "line 2: 2 values, expected 3",
    ),
    "clips: unknown": (
        _nothing,
        {"clips": "CSV"},
        "video,start,stop\ndora,0,1\n",
        "line 2: unknown video 'dora'",
    ),
    "clips: after": (
        _nothing,
        {"clips": "CSV"},
        "video,start,stop\nanna,10,17\n",
        "numbered 10 to 15",
    ),
    "clips: before": (
        _nothing,
        {"clips": "CSV"},
        "video,start,stop\nanna,10,16\nanna,9,16\n",
        "line 3: start 9 and",
    ),
    "clips: backwards": (
        _nothing,
        {"clips": "CSV"},
        "video,start,stop\nanna,12,12\n",
        "must be greater",
    ),
    "clips: NUL": (
        _nothing,
        {"clips": "CSV"},
        "video,start,stop,label\nanna,10,12,a\0b\n",
        "line 2",
    ),
    "clips: none": (_nothing, {"clips": "CSV"}, "video,start,stop\n", "table.csv: no clip"),
}


def wrong(case, videos, tmp_path):
    change, options, text, words = WRONG[case]
    change(videos)
    if text is not None:
        (tmp_path / "table.csv").write_text(text)
    options = {"input": "IN", "output": str(tmp_path / "out.h5"), "layout": "body25"} | options
    options = {
        k: v.replace("IN", str(videos)).replace("CSV", str(tmp_path / "table.csv"))
        for k, v in options.items()
    }
    return options, words


def test_columns_of_the_videos_make_splits(videos, tmp_path):
    listed = table(
        tmp_path / "videos.csv",
        "id,split_mine,split_other",
        "ben,train,",
        "anna,test,train",
        "cleo,,",
    )
    openpose.pack(videos, tmp_path / "out.h5", "body25", videos=listed)
    with store.Store(tmp_path / "out.h5") as packed:
        ids = {
            name: [[str(id) for id in packed.videos.id[rows]] for rows in (split.train, split.test)]
            for name, split in packed.splits.items()
        }
        assert ids == {"mine": [["ben"], ["anna"]], "other": [["anna"], []]}
        assert all(split.of == "videos" for split in packed.splits.values())


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input(case, videos, tmp_path):
    options, words = wrong(case, videos, tmp_path)
    options["keep_face"] = options.get("keep_face") == "true"
    with pytest.raises(InputError) as caught:
        openpose.pack(**options)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out.h5*"))


@pytest.mark.parametrize(
    "case", ["missing folder", "foreign JSON", "damaged", "no face to keep", "clips: number"]
)
def test_wrong_input_to_the_script(case, videos, tmp_path, root):
    options, words = wrong(case, videos, tmp_path)
    result = run(root, *(f"--{name}={value}" for name, value in options.items()))
    assert result.returncode == 1 and result.stdout == ""
    assert (
        words in result.stderr
        and "Traceback" not in result.stderr
        and result.stderr.count("\n") == 1
    )
    assert not list(tmp_path.glob("out.h5*"))


@pytest.mark.parametrize(
    "report, words", [("none/r.csv", "no such folder"), ("out.h5", "the same file")]
)
def test_the_report_is_checked_first(videos, tmp_path, root, report, words):
    result = run(
        root,
        "--input",
        videos,
        "--output",
        "out.h5",
        "--layout",
        "body25",
        "--report",
        report,
        cwd=tmp_path,
    )
    assert result.returncode == 1 and words in result.stderr and not list(tmp_path.glob("out.h5*"))


def test_an_existing_store_outlives_a_failed_job(videos, tmp_path):
    openpose.pack(videos, tmp_path / "out.h5", "body25")
    before = (tmp_path / "out.h5").read_bytes()
    _put("a_99.json", '{"images": []}')(videos)
    with pytest.raises(InputError):
        openpose.pack(videos, tmp_path / "out.h5", "body25")
    assert (tmp_path / "out.h5").read_bytes() == before


def test_importing_defines_no_flags_and_no_jax(root):
    code = (
        "import sys; from absl import app, flags; before = set(flags.FLAGS); import "
        "data_prep.pack_openpose; "
        "assert set(flags.FLAGS) == before and 'jax' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
