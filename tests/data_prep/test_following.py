import numpy as np
import pytest
from openpose_frames import SOURCE, frames, standing

from data_prep import following, openpose
from mgjax import skeleton
from mgjax.errors import InputError


def followed(folder, **options):
    (recording,), _ = openpose.find_recordings(folder)
    return following.read_recording(recording, SOURCE, **options)


def shift(pose, x, y=0.0):
    return np.where(pose[:, 2:] > 0, pose + (x, y, 0), 0)


# --- who is who


def test_choice_by_hand():
    # Person 0: 3 frames of weight 10 at x = 100; person 1: 3 of 20 at 300; person 2: 2 of 1 at 200; 3: one ghost at 0.
    who = np.array([0, 1, 0, 1, 0, 1, 2, 2, -1])
    weight = np.array([10, 20, 10, 20, 10, 20, 1, 1, 1000.0])
    x = np.array([100, 300, 100, 300, 100, 300, 200, 200, 0.0])

    def choose(person, **options):
        return following.choose(who, weight, x, person, options.get("width", 0), "v")

    assert [choose(p) for p in ("largest", "leftmost", "rightmost", 1, 2, 3)] == [1, 0, 1, 1, 0, 2]
    assert [choose("centre", width=w) for w in (150, 380, 600)] == [0, 2, 1]
    with pytest.raises(InputError, match="person 4 by size was asked for, and only 3 were found"):
        choose(4)


def test_short_lived_people_are_not_chosen():
    who = np.array([0] * 8 + [1])
    assert following.choose(who, np.ones(9), np.array([500.0] * 8 + [0.0]), "leftmost", 0, "v") == 0
    assert following.choose(np.full(3, -1), np.ones(3), np.ones(3), "largest", 0, "v") is None


@pytest.mark.parametrize("text, expected", [("largest", "largest"), ("centre", "centre"), ("3", 3)])
def test_person(text, expected):
    assert following.parse_person(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "biggest", ""])
def test_unknown_person(text):
    with pytest.raises(InputError, match="unknown person"):
        following.parse_person(text)


@pytest.mark.parametrize("hidden", [range(0), range(46, 54)])
def test_crossing(tmp_path, hidden):
    """Two people walk through each other, 8 pixels a frame; in the second case one is out of sight while they meet.

    They meet between two frames, so that each is then nearer to where the other was than to where it was itself.
    """
    rng = np.random.default_rng(5)
    left, right = standing(100, seed=1, height=402), standing(904, seed=1, height=400)
    truth, people = [], []
    for t in range(100):
        noise = rng.normal(0, 1, (2, 25, 3)) * (1, 1, 0)
        a, b = shift(left, 8 * t) + noise[0], shift(right, -8 * t) + noise[1]
        truth.append((a, b))
        people.append([b, a] if t % 3 else [a, b])
        if t in hidden:
            people[-1] = [a]
    folder = frames(tmp_path / "v", people)
    for person, index in (("largest", 0), (2, 1)):
        found = followed(folder, person=person)
        seen = [t for t in range(100) if not (index == 1 and t in hidden)]
        expected = np.array([pair[index] for pair in truth], np.float32)
        np.testing.assert_array_equal(found.keypoints[seen], expected[seen][..., :2])
        assert found.report.missing == 100 - len(seen)
        assert found.report.people == 2


def test_close_by_and_out_of_sight(tmp_path):
    """Of two people side by side one is gone for some frames: the other is not taken for that one."""
    a, b = standing(500, seed=1, height=420), standing(600, seed=2)
    people = [[a, b] if t < 20 or t >= 26 else [b] for t in range(50)]
    found = followed(frames(tmp_path / "v", people))
    there = np.array([not 20 <= t < 26 for t in range(50)])
    assert (found.score.any(axis=1) == there).all()
    np.testing.assert_array_equal(found.keypoints[there], np.broadcast_to(a[:, :2].astype(np.float32), (44, 25, 2)))
    assert found.report.missing == 6 and found.report.several == 44 and found.report.jump == 0


def test_torn_in_two(tmp_path):
    """A person detected as two halves is not lost, and nobody else takes the lesser half."""
    a, b = standing(500, seed=1, height=402), standing(590, seed=1)
    upper, lower = a.copy(), a.copy()
    upper[15:], lower[:15] = 0, 0
    people = [[a, b]] * 20 + [[lower, upper]] * 3 + [[a, b]] * 20
    folder = frames(tmp_path / "v", people)
    found = followed(folder)
    np.testing.assert_array_equal(found.keypoints[20:23], np.broadcast_to(upper[:, :2].astype(np.float32), (3, 25, 2)))
    np.testing.assert_array_equal(found.keypoints[23:], np.broadcast_to(a[:, :2].astype(np.float32), (20, 25, 2)))
    other = followed(folder, person=2)
    assert not other.score[20:23].any()
    np.testing.assert_array_equal(other.keypoints[23:], np.broadcast_to(b[:, :2].astype(np.float32), (20, 25, 2)))


def test_walking_on_out_of_sight(tmp_path):
    """Somebody who walked into hiding is expected farther on: not taken for the one who stood nearer to that place."""
    walks = [shift(standing(300, seed=1, height=402), 20 * t) for t in range(30)]
    stands = standing(820, seed=1)
    people = [[walks[t], stands] if t < 15 else [] if t < 22 else [walks[t]] for t in range(30)]
    found = followed(frames(tmp_path / "v", people))
    there = [t for t in range(30) if not 15 <= t < 22]
    np.testing.assert_array_equal(found.keypoints[there], np.array(walks, np.float32)[there][..., :2])
    assert found.report.missing == 7


def test_the_longer_out_of_sight_the_farther_away(tmp_path):
    walks = [shift(standing(300, seed=1), 20 * t) for t in range(60)]
    people = [[pose] if t < 25 or t >= 45 else [] for t, pose in enumerate(walks)]
    found = followed(frames(tmp_path / "v", people))
    assert found.report.missing == 20 and found.report.people == 1


def test_two_joints_are_not_enough(tmp_path):
    a = standing(500, seed=1)
    some = a.copy()
    some[2:] = 0
    assert followed(frames(tmp_path / "v", [[a]] * 5 + [[some]])).score.any(axis=1).tolist() == [True] * 5 + [False]
    assert followed(frames(tmp_path / "w", [[some]] * 5)).report.people == 0


def test_ghosts(tmp_path):
    """Stray detections, one on top of the person and one far away, do not disturb it."""
    rng = np.random.default_rng(0)
    people, truth = [], []
    for t in range(60):
        a = shift(standing(400, seed=1), 2 * t)
        stray = a.copy()
        stray[6:] = 0
        far = standing(1500, height=100, seed=t)
        truth.append(a)
        stray = stray + rng.normal(0, 1, a.shape) * (stray > 0) * (1, 1, 0)
        people.append([a] + [stray] * (t % 5 == 0) + [far] * (t % 7 == 0))
    found = followed(frames(tmp_path / "v", people))
    np.testing.assert_array_equal(found.keypoints, np.array(truth, np.float32)[..., :2])
    assert found.report.missing == 0


def test_no_jump_to_somebody_far_away(tmp_path):
    """The person leaves for good and another one is elsewhere: those frames are missing, not somebody else's."""
    a, b = standing(200, seed=1, height=400), standing(1900, seed=1, height=300)
    found = followed(frames(tmp_path / "v", [[a]] * 30 + [[b]] * 20))
    assert found.score[:30].all() and not found.score[30:].any()
    assert found.report.missing == 20 and found.report.jump == 0


def test_nobody_small_in_the_background_takes_over(tmp_path):
    a, small = standing(500, seed=1), standing(520, seed=1, height=100)
    found = followed(frames(tmp_path / "v", [[a]] * 30 + [[]] * 2 + [[small]] * 20 + [[a]] * 30))
    there = found.score.any(axis=1)
    assert there[:30].all() and not there[30:52].any() and there[52:].all()


def test_gaps_nobody_and_their_counts(tmp_path):
    a, b = standing(500, seed=1), standing(900, seed=1, height=200)
    people = [[a], None, [], [shift(a, 3, 4)], None, None, [a, b]]
    found = followed(frames(tmp_path / "v", people, first=100))
    assert found.score.any(axis=1).tolist() == [True, False, False, True, False, False, True]
    assert not found.keypoints[[1, 2, 4, 5]].any()
    report = found.report
    assert (report.first, report.frames, report.gaps, report.damaged) == (100, 7, 3, 0)
    assert (report.nobody, report.several, report.missing) == (1, 1, 4)
    # The neck moves by (3, 4) and back; float32 rounds the coordinates, not the step's length to be seen.
    assert report.jump == pytest.approx(5, abs=1e-3) and report.jump_frame in (103, 106)


def test_an_empty_recording(tmp_path):
    found = followed(frames(tmp_path / "v", [[]] * 3))
    assert not found.score.any() and found.report.people == 0
    assert (found.report.nobody, found.report.missing, found.report.jump_frame) == (3, 3, -1)


def test_a_damaged_frame_is_unseen(tmp_path):
    folder = frames(tmp_path / "v", [[standing(500)]] * 4)
    path = folder / "cam_000000000002_keypoints.json"
    path.write_text(path.read_text()[:100])
    found = followed(folder)
    assert found.score.any(axis=1).tolist() == [True, True, False, True]
    assert found.damaged == ((str(path), "not whole JSON"),)
    assert (found.report.damaged, found.report.nobody, found.report.missing) == (1, 0, 1)


def test_shuffled_people_give_the_same_track(tmp_path):
    rng = np.random.default_rng(3)
    people = [[shift(standing(x, seed=x), rng.normal(0, 5)) for x in (200, 350, 500, 900)] for _ in range(40)]
    one = followed(frames(tmp_path / "a", people), person=2)
    shuffled = [[some[i] for i in rng.permutation(4)] for some in people]
    two = followed(frames(tmp_path / "b", shuffled), person=2)
    np.testing.assert_array_equal(one.keypoints, two.keypoints)
    np.testing.assert_array_equal(one.score, two.score)
    assert one.report.missing == 0


def test_largest_jump_by_hand():
    layout = skeleton.COCO_17  # its root is the mean of both shoulders, joints 5 and 6
    keypoints, score = np.zeros((4, 17, 2), np.float32), np.ones((4, 17), np.float32)
    keypoints[1, 5] = (6, 8)  # the mean moves by (3, 4)
    score[2, 5] = 0
    keypoints[3, 5:7] = (3, 16)  # from (3, 4), over the frame in which it is not seen
    assert following.largest_jump(keypoints, score, layout) == (12.0, 3)
    assert following.largest_jump(keypoints[:2], score[:2], layout) == (5.0, 1)
    assert following.largest_jump(keypoints[:1], score[:1], layout) == (0.0, -1)


# --- many frames at once


def scene(seed, frames=400):
    """Somebody among others: who come, cross, are torn in two, lose joints, jump or go, more or less by the seed.

    Returns frame numbers (some are left out), people in each, and their points as `read_frames` gives them.
    """
    rng = np.random.default_rng(seed)
    others, flicker, restless, torn, gaps, turns = rng.choice([0, 0.002, 0.02], 6)
    numbers = np.flatnonzero(rng.random(frames) >= gaps)
    people, points, seen = [[rng.uniform(0, 1000), standing(0, seed=seed), rng.normal(0, 3)]], [], np.arange(25) < 25
    for t in range(frames):
        if rng.random() < turns:  # which joints are out of sight for long
            seen = rng.random(25) < 0.7
        if rng.random() < others:
            pose = standing(0, height=rng.uniform(100, 500), seed=t % 3)
            people.append([rng.uniform(0, 1000), pose, rng.normal(0, 8)])
        people = [one for one in people if rng.random() > others / 2]
        some = []
        for one in people:
            one[0] += one[2] + (rng.random() < restless) * rng.normal(0, 200)
            pose = shift(one[1], one[0]) + rng.normal(0, 1, (25, 3)) * (1, 1, 0)
            pose[~seen | (rng.random(25) < flicker + (rng.random() < torn) * rng.uniform(0, 1))] = 0
            some += [pose, pose * (np.arange(25) < 9)[:, None]][: 1 + (rng.random() < torn)]
        points.append(np.array(some, np.float32).reshape(-1, 25, 3))
    points = [points[t][points[t][..., 2].any(axis=1)] for t in numbers]
    return numbers, np.array([len(some) for some in points]), np.concatenate(points)


def state(tracker):
    """All that a tracker goes by: where joints lie that it has forgotten is nothing of it."""
    names = ("people", "_id", "_known", "_velocity", "_size", "_last", "_seen")
    return {name: getattr(tracker, name) for name in names} | {"pose": tracker._pose[tracker._known >= 0]}


def check_walking(numbers, counts, pose):
    """Following frames at once leaves what following them one by one leaves, to the last bit; frames walked through."""
    one_by_one, at_once = following.Tracker(25), following.Tracker(25)
    walked, walk = 0, at_once.walk

    def count(*arguments):
        nonlocal walked
        taken = walk(*arguments)
        walked += taken[0]
        return taken

    at_once.walk = count
    size, stops = np.hypot(*following.extents(pose)), np.cumsum(counts)
    for part in np.array_split(np.arange(len(numbers)), max(1, len(numbers) // 150)):
        start, stop = stops[part[0]] - counts[part[0]], stops[part[-1]]
        who = np.full(stop - start, -1)
        following._track(at_once, numbers[part], counts[part], pose[start:stop], size[start:stop], who)
        ours = [slice(stops[i] - counts[i], stops[i]) for i in part]
        expected = [one_by_one.step(numbers[i], pose[rows], size[rows]) for i, rows in zip(part, ours) if counts[i]]
        np.testing.assert_array_equal(who, np.concatenate([*expected, np.zeros(0, np.int64)]))
        left = state(at_once)
        for name, value in state(one_by_one).items():
            np.testing.assert_array_equal(left[name], value, err_msg=name)
    return walked


def test_walking_is_stepping():
    scenes = [scene(seed) for seed in range(40)]
    walked = [check_walking(*each) for each in scenes]
    alone = [(counts == 1).sum() for _, counts, _ in scenes]
    assert sum(walked) > 0.5 * sum(alone)
    assert sum(0 < frames < 0.9 * len(numbers) for frames, (numbers, *_) in zip(walked, scenes)) > 10


def test_walking_by_hand():
    pose = np.array([shift(standing(500, seed=1), 2 * t) for t in range(40)], np.float32)
    pose[20:] = shift(pose[0], 2000)  # somebody else
    pose[5:8, :12] = 0
    size = np.hypot(*following.extents(pose))
    tracker = following.Tracker(25)
    assert tracker.walk(3, pose, size) == (0, -1)
    assert tracker.step(3, pose[:1]).tolist() == [0]
    assert tracker.walk(5, pose[1:], size[1:]) == (0, -1)  # frame 4 is not there
    assert tracker.walk(4, pose[1:], size[1:]) == (19, 0)
    assert tracker.step(23, pose[20:21]).tolist() == [1]
    assert tracker.walk(24, pose[21:], size[21:]) == (19, 1)
    assert tracker._seen.tolist() == [20, 20] and tracker._last.tolist() == [22, 42]
    tracker.step(43, np.stack([shift(pose[0], 500), pose[39]]).astype(np.float32))
    assert tracker.walk(44, pose[21:], size[21:]) == (0, -1)  # two people were seen a frame ago


def test_walking_past_somebody_out_of_sight():
    """Of two people side by side one goes; the other then stands where that one was expected: left to `step`."""
    here = standing(500, seed=1)
    for x, taken in ((0, 20), (14, 20), (16, 0)):  # 30 pixels apart: from 15 on it is nearer to where the other was
        tracker = following.Tracker(25)
        for frame in range(5):
            tracker.step(frame, np.array([here, shift(here, 30)], np.float32))
        tracker.step(5, here[None])
        pose = np.array([shift(here, x)] * 20, np.float32)
        assert tracker.walk(6, pose, np.hypot(*following.extents(pose)))[0] == taken


# --- real recordings


def test_walking_through_real_recordings(shared_data):
    (recording,), _ = openpose.find_recordings(shared_data / "openpose_body25b_two_people")
    parts = [openpose.read_frames(*chunk, SOURCE) for chunk in openpose.chunks(recording)]
    numbers, counts = (np.concatenate([getattr(part, name) for part in parts]) for name in ("numbers", "counts"))
    points = np.concatenate([part.points for part in parts])
    check_walking(numbers, counts, points)
    # Each of the two alone, as if the other had not been found: whoever is farther to the left or to the right.
    stops = np.cumsum(counts)
    x = (points[..., 0] * (points[..., 2] > 0)).sum(axis=1) / (points[..., 2] > 0).sum(axis=1)
    for sign in (1, -1):
        alone = [stop - count + np.argmin(sign * x[stop - count : stop]) for stop, count in zip(stops, counts)]
        assert check_walking(numbers, np.ones_like(counts), points[alone]) > 50
    hidden = points[alone]
    hidden[np.random.default_rng(0).random(hidden.shape[:2]) < 0.2] = 0
    assert check_walking(numbers, np.ones_like(counts), hidden) > 50


def test_one_of_two_people(shared_data):
    """The walking person is followed through all frames, also where OpenPose tears that one in two (frame 37)."""
    (recording,), _ = openpose.find_recordings(shared_data / "openpose_body25b_two_people")
    source = openpose.source_of(skeleton.BODY_25B)
    found = following.read_recording(recording, source)
    assert found.report.missing == 0 and found.report.several == 100
    assert 0 < found.report.jump < 15
    shoulders = found.keypoints[:, [5, 6]].mean(axis=1)
    assert shoulders[0, 0] < 460 and shoulders[-1, 0] > 690
    other = following.read_recording(recording, source, "leftmost")
    steps = np.abs(np.diff(other.keypoints[:, 5], axis=0)).max()
    assert other.report.missing == 0 and steps < 15 and other.keypoints[:, 5, 0].max() < 130
