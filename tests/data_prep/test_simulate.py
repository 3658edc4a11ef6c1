import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from data_prep import simulate as simulation
from mgjax import store
from mgjax.errors import InputError


@pytest.fixture(scope="module")
def made():
    return simulation.simulate(seed=3, videos=5, subjects=4, clips_per_video=15)


def arrays(video):
    return [video.keypoints, video.score, video.truth, video.body, video.start, video.length, video.label]


def index(*names):
    return simulation.LAYOUT.index(*names)


def test_the_same_seed_gives_the_same_arrays_and_another_seed_others(made):
    again = simulation.simulate(seed=3, videos=5, subjects=4, clips_per_video=15)
    for one, two in zip(made.videos, again.videos, strict=True):
        assert (one.id, one.subject, one.emotion, one.split) == (two.id, two.subject, two.emotion, two.split)
        for a, b in zip(arrays(one), arrays(two), strict=True):
            np.testing.assert_array_equal(a, b)
    other = simulation.simulate(seed=4, videos=5, subjects=4, clips_per_video=15)
    assert not np.array_equal(made.videos[0].length, other.videos[0].length)


def test_shapes_types_and_ranges(made):
    assert made.frame_count == sum(len(v) for v in made.videos) and made.clip_count == 75
    for video in made.videos:
        frames = len(video)
        assert video.keypoints.shape == video.truth.shape == (frames, 67, 2) and video.body.shape == (frames, 67, 3)
        assert video.score.shape == (frames, 67)
        assert {a.dtype.name for a in arrays(video)[:4]} == {"float32"}
        assert all(np.isfinite(a).all() for a in arrays(video))
        assert video.score.min() == 0 and 0.9 < video.score.max() <= 1
        unseen = video.score == 0
        assert not video.keypoints[unseen].any()
        inside = (video.keypoints[~unseen] >= 0) & (video.keypoints[~unseen] <= [simulation.WIDTH, simulation.HEIGHT])
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
    seconds = np.concatenate([video.length for video in many.videos]) / simulation.FPS
    assert seconds.min() >= 0.18 and seconds.max() <= 20
    logs = np.log(seconds)
    assert abs(logs.mean() - 0.45) < 0.2 and abs(logs.std() - 0.986) < 0.2
    for video in many.videos:
        stop = video.start + video.length
        assert video.start[0] > 0 and stop[-1] <= len(video)
        assert (video.start[1:] - stop[:-1] >= simulation.GAP * simulation.FPS).all()


def test_bones_of_the_body_keep_their_length(made):
    bones = simulation.LAYOUT.bone_indices
    for video in made.videos:
        body = video.body.astype(np.float64)
        length = np.linalg.norm(body[:, bones[:, 0]] - body[:, bones[:, 1]], axis=-1)
        np.testing.assert_allclose(length, length[:1].repeat(len(video), 0), atol=2e-6)
        assert (length[0] > 0.003).all()


def test_a_subject_has_the_same_bones_in_every_video_and_others_have_others(made):
    upper, elbow = index("RShoulder", "RElbow")
    arm = {video.id: np.linalg.norm(video.body[0, upper] - video.body[0, elbow]) for video in made.videos}
    assert made.videos[0].subject == made.videos[4].subject
    assert arm["interview001"] == pytest.approx(arm["interview005"], abs=1e-6)
    assert abs(arm["interview001"] - arm["interview002"]) > 1e-4


def test_hands_are_where_the_class_says():
    tips, palms = index("LMiddle4", "RMiddle4"), index("LMiddle1", "RMiddle1")
    measures = {
        # How far a fingertip is above the ears, a palm from the nose, and one palm from the other, metres.
        "touching or scratching head": lambda b: (b[tips, 1] - b[index("LEar", "REar"), 1].mean()).max(),
        "covering face": lambda b: np.linalg.norm(b[palms] - b[index("Nose")], axis=-1).min(),
        "crossing fingers": lambda b: np.linalg.norm(b[palms[0]] - b[palms[1]]),
    }
    found = {name: [] for name in measures}
    for video in simulation.simulate(seed=5, videos=4, subjects=2, clips_per_video=50).videos:
        for k in np.flatnonzero(video.length >= 20):
            name = simulation.LABELS[video.label[k]]
            if name in measures:
                found[name].append(measures[name](video.body[video.start[k] + video.length[k] // 2]))
    assert all(len(values) >= 3 for values in found.values())
    assert min(found["touching or scratching head"]) > 0
    assert max(found["covering face"]) < 0.16
    assert max(found["crossing fingers"]) < 0.16


def test_shaking_shoulders_shakes_the_shoulders_more_than_anything_else_does():
    def lift(video, k):
        clip = slice(video.start[k], video.start[k] + video.length[k])
        return (video.body[clip, index("LShoulder")] - video.body[clip, index("Neck")])[..., 1].std()

    shaking = simulation.LABELS.index("shaking shoulders")
    videos = simulation.simulate(seed=6, videos=2, subjects=2, clips_per_video=80).videos
    clips = [(video.label[k] == shaking, lift(video, k)) for video in videos for k in np.flatnonzero(video.length > 25)]
    chosen, others = ([value for is_it, value in clips if is_it == which] for which in (True, False))
    assert len(chosen) >= 5 and np.median(chosen) > 3 * np.median(others)


def test_noise_grows_as_the_score_falls(made):
    video = max(made.videos, key=len)
    seen = video.score > 0
    error = np.linalg.norm(video.keypoints - video.truth, axis=-1)[seen]
    low, high = np.quantile(video.score[seen], [0.2, 0.8])
    assert np.median(error[video.score[seen] < low]) > 1.5 * np.median(error[video.score[seen] > high]) > 0


def test_subjects_never_stand_on_both_sides(made):
    sides = {}
    for video in simulation.simulate(seed=0, videos=12, subjects=5, clips_per_video=1).videos:
        sides.setdefault(video.subject, set()).add(video.split)
    assert len(sides) == 5 and all(len(side) == 1 for side in sides.values())
    assert sorted(side for sides_of_one in sides.values() for side in sides_of_one) == ["test"] * 2 + ["train"] * 3


def test_both_emotions_on_both_sides_of_the_split():
    videos = simulation.simulate(videos=12, subjects=10, clips_per_video=1).videos
    assert {(v.split, v.emotion) for v in videos} == {(s, e) for s in ("train", "test") for e in simulation.EMOTIONS}


def test_class_counts_follow_the_emotion():
    videos = simulation.simulate(seed=2, videos=2, subjects=2, clips_per_video=200).videos
    for emotion in simulation.EMOTIONS:
        labels = np.concatenate([video.label for video in videos if video.emotion == emotion])
        counts = np.bincount(labels, minlength=len(simulation.LABELS))
        expected = simulation.frequencies(emotion) * len(labels)
        # Chi-squared with 11 degrees of freedom: 31.3 is its 99.9 % point.
        assert ((counts - expected) ** 2 / expected).sum() < 31.3
    weights = {emotion: simulation.frequencies(emotion) for emotion in simulation.EMOTIONS}
    odds = weights["negative"] / weights["positive"]
    assert all(w.sum() == pytest.approx(1) for w in weights.values())
    head, akimbo = (simulation.LABELS.index(name) for name in ("touching or scratching head", "arms akimbo"))
    assert odds[head] / odds[akimbo] == pytest.approx(4)


def test_written_json_reads_back_to_the_arrays(made, tmp_path):
    simulation.write_openpose(made, tmp_path / "out")
    for video in made.videos:
        folder = tmp_path / "out" / "openpose" / video.id
        files = sorted(folder.iterdir())
        assert len(files) == len(video)
        for frame in (0, 7, len(video) - 1):
            assert files[frame].name == f"{video.id}_{frame:012d}_keypoints.json"
            content = json.loads(files[frame].read_text())
            assert content["version"] == 1.3 and len(content["people"]) == 1
            person = content["people"][0]
            flat = (person["pose_keypoints_2d"] + person["hand_left_keypoints_2d"] + person["hand_right_keypoints_2d"])
            assert [len(person[key]) for key in ("pose_keypoints_2d", "hand_left_keypoints_2d")] == [75, 63]
            read = np.float32(flat).reshape(67, 3)
            np.testing.assert_array_equal(read[:, :2], video.keypoints[frame])
            np.testing.assert_array_equal(read[:, 2], video.score[frame])
    with open(tmp_path / "out" / "videos.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "subject", "emotion", "fps", "width", "height", "split_cross_subject"]
    assert [(r["id"], r["subject"], r["emotion"], r["split_cross_subject"]) for r in rows] == [
        (v.id, v.subject, v.emotion, v.split) for v in made.videos
    ]
    assert {(r["fps"], r["width"], r["height"]) for r in rows} == {("25", "1280", "720")}
    with open(tmp_path / "out" / "clips.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["video"], int(r["start"]), int(r["stop"]), r["label"]) for r in rows] == [
        (v.id, a, a + n, simulation.LABELS[k]) for v in made.videos for a, n, k in zip(v.start, v.length, v.label)
    ]


def test_written_store_holds_the_arrays(made, tmp_path):
    simulation.write_store(made, tmp_path / "out.h5")
    with store.Store(tmp_path / "out.h5") as packed:
        assert packed.layout == simulation.LAYOUT and packed.unit == "pixel" and packed.labels == simulation.LABELS
        assert packed.videos.emotion.tolist() == [video.emotion for video in made.videos]
        for row, video in enumerate(made.videos):
            keypoints, score = packed.video(row)
            np.testing.assert_array_equal(keypoints, video.keypoints)
            np.testing.assert_array_equal(score, video.score)
        np.testing.assert_array_equal(packed.clips.label, np.concatenate([video.label for video in made.videos]))
        np.testing.assert_array_equal(packed.clips.start, np.concatenate([video.start for video in made.videos]))
        split = packed.splits["cross_subject"]
        subjects = [set(packed.videos.subject[packed.clips.video[rows]]) for rows in (split.train, split.test)]
        assert subjects == [{"subject01", "subject02"}, {"subject03", "subject04"}]
        assert len(split.train) + len(split.test) == made.clip_count


@pytest.mark.parametrize("arguments, message", [
    ({"subjects": 1}, "subjects is 1, expected at least 2"),
    ({"videos": 3, "subjects": 4}, "videos is 3, expected at least one for each of the 4 subjects"),
    ({"clips_per_video": 0}, "clips_per_video is 0"),
    ({"seed": -1}, "seed is -1"),
])
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(InputError, match=message):
        simulation.simulate(**arguments)


def test_script(tmp_path, root):
    command = [sys.executable, str(root / "data_prep" / "simulate.py"), "--output", str(tmp_path / "new" / "out"),
               "--videos", "2", "--subjects", "2", "--clips_per_video", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 interviews of 2 subjects" in done.stdout and "4 clips of 12 classes" in done.stdout
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == ["clips.csv", "openpose", "videos.csv"]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and "is not empty" in again.stderr and "Traceback" not in again.stderr
