import csv
import functools
import json
import subprocess
import sys

import numpy as np
import pytest

from data_prep import filming, gesture_order, gestures, motion, simulation, simulation_plan
from mgjax import protocols, skeleton, store
from mgjax.errors import InputError


@pytest.fixture(scope="module")
def made():
    return simulation.simulate(seed=3, videos=5, subjects=4, clips_per_video=15)


def both(simulated):
    """Sessions with their videos."""
    return zip(simulated.sessions, simulated.videos, strict=True)


def arrays(session, video):
    return [
        video.keypoints,
        video.score,
        video.truth,
        video.body,
        session.start,
        session.length,
        session.gesture,
    ]


def split_of(simulated, session):
    train, test = simulated.splits["cross_subject"]
    return "train" if session.id in train else "test" if session.id in test else ""


def index(*names):
    return simulation.LAYOUT.index(*names)


def test_the_same_seed_gives_the_same_arrays_and_another_seed_others(made):
    again = simulation.simulate(seed=3, videos=5, subjects=4, clips_per_video=15)
    assert made.splits == again.splits
    for one, two in zip(both(made), both(again), strict=True):
        assert (one[0].id, one[0].subject, one[0].emotion) == (
            two[0].id,
            two[0].subject,
            two[0].emotion,
        )
        for a, b in zip(arrays(*one), arrays(*two), strict=True):
            np.testing.assert_array_equal(a, b)
    other = simulation.simulate(seed=4, videos=5, subjects=4, clips_per_video=15)
    assert not np.array_equal(made.sessions[0].length, other.sessions[0].length)


def test_shapes_types_and_ranges(made):
    assert made.frame_count == sum(len(v) for v in made.videos) and made.clip_count == 75
    for session, video in both(made):
        frames = len(video)
        assert frames == session.frames
        assert video.keypoints.shape == video.truth.shape == (
            frames,
            67,
            2,
        ) and video.body.shape == (frames, 67, 3)
        assert video.score.shape == (frames, 67)
        assert {a.dtype.name for a in arrays(session, video)[:4]} == {"float32"}
        assert all(np.isfinite(a).all() for a in arrays(session, video))
        assert video.score.min() == 0 and 0.9 < video.score.max() <= 1
        unseen = video.score == 0
        assert not video.keypoints[unseen].any()
        inside = (video.keypoints[~unseen] >= 0) & (
            video.keypoints[~unseen] <= [filming.WIDTH, filming.HEIGHT]
        )
        assert inside.all()


def test_legs_and_hips_are_never_seen_and_the_rest_mostly(made):
    below = np.zeros(67, bool)
    below[8:15] = below[19:25] = True  # BODY_25: MidHip to LAnkle, both feet
    for video in made.videos:
        assert not video.score[:, below].any()
        seen = (video.score[:, ~below] > 0).mean()
        assert 0.7 < seen < 1
    lost = [(video.score[:, index("RPalm")] == 0).mean() for video in made.videos]
    assert max(lost) > 0.01


def test_clips_lie_apart_inside_their_video_and_have_the_stated_lengths():
    # 300 clips: the standard error of the mean log length is 0.06.
    many = simulation.simulate(seed=1, videos=2, subjects=2, clips_per_video=150)
    seconds = np.concatenate([session.length for session in many.sessions]) / motion.FPS
    assert seconds.min() >= 0.18 and seconds.max() <= 20
    logs = np.log(seconds)
    assert abs(logs.mean() - 0.45) < 0.2 and abs(logs.std() - 0.986) < 0.2
    for session in many.sessions:
        stop = session.start + session.length
        assert session.start[0] > 0 and stop[-1] <= session.frames
        assert (session.start[1:] - stop[:-1] >= simulation_plan.GAP * motion.FPS).all()


def test_bones_of_the_body_keep_their_length(made):
    bones = simulation.LAYOUT.bone_indices
    for video in made.videos:
        body = video.body.astype(np.float64)
        length = np.linalg.norm(body[:, bones[:, 0]] - body[:, bones[:, 1]], axis=-1)
        np.testing.assert_allclose(length, length[:1].repeat(len(video), 0), atol=2e-6)
        assert (length[0] > 0.003).all()


def test_a_subject_has_the_same_bones_in_every_video_and_others_have_others(made):
    upper, elbow = index("RShoulder", "RElbow")
    arm = {
        session.id: np.linalg.norm(video.body[0, upper] - video.body[0, elbow])
        for session, video in both(made)
    }
    assert made.sessions[0].subject == made.sessions[4].subject
    assert arm["interview001"] == pytest.approx(arm["interview005"], abs=1e-6)
    assert abs(arm["interview001"] - arm["interview002"]) > 1e-4


def test_hands_are_where_the_class_says():
    tips, palms = index("LMiddle4", "RMiddle4"), index("LMiddle1", "RMiddle1")
    measures = {
        # How far a fingertip is above the ears, a palm from the nose, and one palm from the
        # other, metres.
        "touching or scratching head": lambda b: (
            b[tips, 1] - b[index("LEar", "REar"), 1].mean()
        ).max(),
        "covering face": lambda b: np.linalg.norm(b[palms] - b[index("Nose")], axis=-1).min(),
        "crossing fingers": lambda b: np.linalg.norm(b[palms[0]] - b[palms[1]]),
    }
    found = {name: [] for name in measures}
    for session, video in both(
        simulation.simulate(seed=5, videos=4, subjects=2, clips_per_video=50)
    ):
        for k in np.flatnonzero(session.length >= 20):
            name = gestures.GESTURES[session.gesture[k]].name
            if name in measures:
                found[name].append(
                    measures[name](video.body[session.start[k] + session.length[k] // 2])
                )
    assert all(len(values) >= 3 for values in found.values())
    assert min(found["touching or scratching head"]) > 0
    assert max(found["covering face"]) < 0.16
    assert max(found["crossing fingers"]) < 0.16


def test_shaking_shoulders_shakes_the_shoulders_more_than_anything_else_does():
    def lift(session, video, k):
        clip = slice(session.start[k], session.start[k] + session.length[k])
        return (video.body[clip, index("LShoulder")] - video.body[clip, index("Neck")])[
            ..., 1
        ].std()

    shaking = protocols.IMIGUE_CLASSES.index("shaking shoulders")
    clips = [
        (session.gesture[k] == shaking, lift(session, video, k))
        for session, video in both(
            simulation.simulate(seed=6, videos=2, subjects=2, clips_per_video=80)
        )
        for k in np.flatnonzero(session.length > 25)
    ]
    chosen, others = (
        [value for is_it, value in clips if is_it == which] for which in (True, False)
    )
    assert len(chosen) >= 5 and np.median(chosen) > 3 * np.median(others)


def test_noise_grows_as_the_score_falls(made):
    video = max(made.videos, key=len)
    seen = video.score > 0
    error = np.linalg.norm(video.keypoints - video.truth, axis=-1)[seen]
    low, high = np.quantile(video.score[seen], [0.2, 0.8])
    assert (
        np.median(error[video.score[seen] < low])
        > 1.5 * np.median(error[video.score[seen] > high])
        > 0
    )


def test_subjects_never_stand_on_both_sides(made):
    sides = {}
    few = simulation.simulate(seed=0, videos=12, subjects=5, clips_per_video=1)
    for session in few.sessions:
        sides.setdefault(session.subject, set()).add(split_of(few, session))
    assert len(sides) == 5 and all(len(side) == 1 for side in sides.values())
    assert (
        sorted(side for sides_of_one in sides.values() for side in sides_of_one)
        == ["test"] * 2 + ["train"] * 3
    )


def test_both_emotions_on_both_sides_of_the_split():
    few = simulation.simulate(videos=12, subjects=10, clips_per_video=1)
    found = {(split_of(few, session), session.emotion) for session in few.sessions}
    assert found == {
        (side, emotion) for side in ("train", "test") for emotion in gesture_order.EMOTIONS
    }


def test_class_counts_follow_the_emotion():
    few = simulation.simulate(seed=2, videos=2, subjects=2, clips_per_video=200)
    shares = {emotion: few.order.shares(emotion) for emotion in gesture_order.EMOTIONS}
    for emotion in gesture_order.EMOTIONS:
        labels = np.concatenate(
            [few.label(session) for session in few.sessions if session.emotion == emotion]
        )
        counts = np.bincount(labels, minlength=12)
        expected = shares[emotion] * len(labels)
        # Chi-squared with 11 degrees of freedom: 31.3 is its 99.9 % point.
        assert ((counts - expected) ** 2 / expected).sum() < 31.3
    odds = shares["negative"] / shares["positive"]
    assert all(share.sum() == pytest.approx(1) for share in shares.values())
    head, akimbo = (
        few.labels.index(name) for name in ("touching or scratching head", "arms akimbo")
    )
    assert odds[head] / odds[akimbo] == pytest.approx(4)


def test_written_json_reads_back_to_the_arrays(made, tmp_path):
    simulation.write_openpose(made, tmp_path / "out")
    for session, video in both(made):
        folder = tmp_path / "out" / "openpose" / session.id
        files = sorted(folder.iterdir())
        assert len(files) == len(video)
        for frame in (0, 7, len(video) - 1):
            assert files[frame].name == f"{session.id}_{frame:012d}_keypoints.json"
            content = json.loads(files[frame].read_text())
            assert content["version"] == 1.3 and len(content["people"]) == 1
            person = content["people"][0]
            flat = (
                person["pose_keypoints_2d"]
                + person["hand_left_keypoints_2d"]
                + person["hand_right_keypoints_2d"]
            )
            assert [
                len(person[key]) for key in ("pose_keypoints_2d", "hand_left_keypoints_2d")
            ] == [75, 63]
            read = np.float32(flat).reshape(67, 3)
            np.testing.assert_array_equal(read[:, :2], video.keypoints[frame])
            np.testing.assert_array_equal(read[:, 2], video.score[frame])
    with open(tmp_path / "out" / "videos.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "id",
        "subject",
        "emotion",
        "fps",
        "width",
        "height",
        "split_cross_subject",
    ]
    assert [(r["id"], r["subject"], r["emotion"], r["split_cross_subject"]) for r in rows] == [
        (s.id, s.subject, s.emotion, split_of(made, s)) for s in made.sessions
    ]
    assert {(r["fps"], r["width"], r["height"]) for r in rows} == {("25", "1280", "720")}
    with open(tmp_path / "out" / "clips.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["video"], int(r["start"]), int(r["stop"]), r["label"]) for r in rows] == [
        (s.id, a, a + n, made.labels[k])
        for s in made.sessions
        for a, n, k in zip(s.start, s.length, made.label(s))
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_written_store_holds_the_arrays(made, workers, tmp_path):
    simulation.write_store(made, tmp_path / "out.h5", workers)
    with store.Store(tmp_path / "out.h5") as packed:
        assert (
            packed.layout == simulation.LAYOUT
            and packed.unit == "pixel"
            and packed.labels == made.labels
        )
        assert packed.attributes["source"].startswith("simulated")
        assert packed.videos.emotion.tolist() == [session.emotion for session in made.sessions]
        for row, video in enumerate(made.videos):
            keypoints, score = packed.video(row)
            np.testing.assert_array_equal(keypoints, video.keypoints)
            np.testing.assert_array_equal(score, video.score)
        np.testing.assert_array_equal(
            packed.clips.label, np.concatenate([made.label(s) for s in made.sessions])
        )
        np.testing.assert_array_equal(
            packed.clips.start, np.concatenate([s.start for s in made.sessions])
        )
        split = packed.splits["cross_subject"]
        subjects = [set(packed.videos.subject[rows]) for rows in (split.train, split.test)]
        assert subjects == [{"subject01", "subject02"}, {"subject03", "subject04"}]
        assert sum(map(len, packed.clip_split("cross_subject"))) == made.clip_count


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"subjects": 1}, "subjects is 1, expected at least 2"),
        (
            {"videos": 3, "subjects": 4},
            "videos is 3, expected at least one for each of the 4 subjects",
        ),
        ({"clips_per_video": 0}, "clips_per_video is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"effect": 0.0}, "effect is 0.0"),
        ({"effect": float("nan")}, "effect is nan"),
        ({"effect": float("inf")}, "effect is inf"),
    ],
)
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(InputError, match=message):
        simulation.simulate(**arguments)


def test_script(tmp_path, root):
    command = [
        sys.executable,
        str(root / "data_prep" / "simulate.py"),
        "--output",
        str(tmp_path / "new" / "out"),
        "--videos",
        "2",
        "--subjects",
        "2",
        "--clips_per_video",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 interviews (1 positive, 1 negative) of 2 subjects" in done.stdout
    assert (
        "4 clips of 12 classes" in done.stdout
        and "best possible accuracy of emotion" in done.stdout
    )
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == [
        "clips.csv",
        "openpose",
        "videos.csv",
    ]
    again = subprocess.run(command, capture_output=True, text=True)
    assert (
        again.returncode == 1 and "is not empty" in again.stderr and "Traceback" not in again.stderr
    )


@pytest.mark.parametrize(
    "output, limit, sentence",
    [
        ("--store", 100_000, "out: cannot be written (File too large)"),
        ("--output", 1000, "out: cannot be written (File too large)"),
    ],
)
def test_a_full_disk_is_one_sentence(output, limit, sentence, tmp_path, root):
    resource = pytest.importorskip("resource")
    command = [
        sys.executable,
        "-B",
        root / "data_prep" / "simulate.py",
        output,
        tmp_path / "out",
        "--videos",
        "2",
        "--subjects",
        "2",
        "--clips_per_video",
        "20",
        "--workers",
        "2",
    ]
    small = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=small)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(sentence) and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ([] if output == "--store" else ["out"])


def test_a_second_simulation_into_the_same_folder_is_refused(made, tmp_path, monkeypatch):
    fill, refused = simulation._fill, []

    def late(*arguments):
        fill(*arguments)
        with pytest.raises(InputError, match="another process is writing it"):
            simulation.write_openpose(made, tmp_path / "out")
        refused.append(True)

    few = simulation.simulate(videos=2, subjects=2, clips_per_video=1)
    monkeypatch.setattr(simulation, "_fill", late)
    simulation.write_openpose(few, tmp_path / "out")
    assert refused
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["clips.csv", "openpose", "videos.csv"]


def test_a_store_that_will_be_replaced_is_mentioned(tmp_path, root):
    command = [
        sys.executable,
        root / "data_prep" / "simulate.py",
        "--store",
        tmp_path / "out.h5",
        "--videos",
        "2",
        "--subjects",
        "2",
        "--clips_per_video",
        "1",
    ]
    done = [subprocess.run(command, capture_output=True, text=True) for _ in range(2)]
    assert [run.returncode for run in done] == [0, 0]
    assert "will be replaced" not in done[0].stderr
    assert "out.h5 is there and will be replaced" in done[1].stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "either --output"),
        (["--output", "a", "--store", "b.h5"], "either --output"),
        (["--output", "a", "--layout", "body25"], "--layout is for --store"),
        (
            ["--store", "b.h5", "--scale", "imigue", "--videos", "3"],
            "--videos is for --scale small",
        ),
        (["--store", "b.h5", "--layout", "kinect20"], "no joint"),
    ],
)
def test_flags_that_do_not_go_together(arguments, message, tmp_path, root):
    command = [sys.executable, str(root / "data_prep" / "simulate.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


# --- as many interviews as iMiGUE has


@pytest.fixture(scope="module")
def imigue():
    return simulation.simulate_imigue(seed=5)


def test_numbers_of_imigue(imigue):
    sessions = {session.id: session for session in imigue.sessions}
    assert (
        len(sessions) == 359
        and imigue.clip_count == 18499
        and imigue.labels == protocols.IMIGUE_CLASSES
    )
    assert len({session.subject for session in imigue.sessions}) == 72
    assert sum(session.emotion == "positive" for session in imigue.sessions) == 258
    train, test = imigue.splits["imigue_cross_subject"]
    assert [sum(len(sessions[id].gesture) for id in side) for side in (train, test)] == [
        13936,
        4563,
    ]
    assert {sessions[id].subject for id in train} == {
        f"{n:02}" for n in protocols.IMIGUE_TRAIN_SUBJECTS
    }
    for side, counts in zip(imigue.splits["imigue_emotion"], ((51, 51), (50, 50))):
        found = [
            sum(sessions[id].emotion == emotion for id in side)
            for emotion in gesture_order.EMOTIONS
        ]
        assert tuple(found) == counts


def test_no_subject_is_on_both_sides_of_either_protocol(imigue):
    subject = {session.id: session.subject for session in imigue.sessions}
    for train, test in imigue.splits.values():
        assert train and test and not {subject[id] for id in train} & {subject[id] for id in test}


def test_classes_lengths_and_order_of_imigue(imigue):
    label = np.concatenate([session.gesture for session in imigue.sessions])
    shares = np.array(gesture_order.IMIGUE_COUNTS) / 13670
    # Repeats make counts more uneven than independent draws; the variance grows by (1 + r) / (1 -
    # r).
    repeat = np.array(gesture_order.IMIGUE_REPEATS)
    error = np.sqrt(len(label) * shares * (1 - shares) * (1 + repeat) / (1 - repeat))
    off = (np.bincount(label, minlength=32) - len(label) * shares) / error
    assert np.abs(off).max() < 4 and np.sqrt((off**2).mean()) < 1.5
    seconds = np.concatenate([session.length for session in imigue.sessions]) / motion.FPS
    assert 0.18 <= seconds.min() < 0.25 and 20 < seconds.max() <= 80.96  # to whole frames
    assert abs(np.log(seconds).mean() - 0.45) < 0.05 and abs(seconds.mean() - 2.57) < 0.1
    assert abs(imigue.frame_count / (2092 * 60 * 25) - 1) < 0.03
    pairs = [session.gesture for session in imigue.sessions]
    again = np.concatenate([pair[1:] == pair[:-1] for pair in pairs])[
        np.concatenate([p[:-1] for p in pairs]) == 31
    ]
    # Illustrative body language follows itself in 40 of 100 cases in the labels: 0.15 + 0.85 *
    # 0.294.
    assert abs(again.mean() - 0.40) < 0.03


def test_the_emotion_shows_in_the_labels_as_much_as_stated(imigue):
    often = {
        emotion: np.bincount(
            np.concatenate([s.gesture for s in imigue.sessions if s.emotion == emotion]),
            minlength=32,
        )
        for emotion in gesture_order.EMOTIONS
    }
    tilt = np.array([gesture.tilt for gesture in gestures.GESTURES])
    hands, large = (
        [often[emotion][tilt == which].sum() for emotion in gesture_order.EMOTIONS]
        for which in (1, -1)
    )
    odds = (hands[1] / large[1]) / (hands[0] / large[0])
    # Repeats change it a little: large movements come again more often.
    assert odds == pytest.approx(imigue.effect**2, rel=0.15)
    assert not any(
        np.array_equal(a.gesture, b.gesture) for a, b in zip(imigue.sessions, imigue.sessions[1:])
    )


def test_a_layout_that_is_cut_out(tmp_path):
    few = simulation.simulate(videos=2, subjects=2, clips_per_video=1)
    layout = skeleton.get("imigue22")
    simulation.write_store(few, tmp_path / "cut.h5", layout=layout)
    with store.Store(tmp_path / "cut.h5") as packed:
        assert packed.layout == layout
        np.testing.assert_array_equal(
            packed.video(1)[0], few.videos[1].keypoints[:, layout.cut(simulation.LAYOUT)]
        )
