import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from openpose_examples import SOURCE, frames, shift, standing

from data_prep import following, openpose_folders, openpose_frames, openpose_source
from mgjax import skeleton
from mgjax.errors import InputError

settings.register_profile("whenever", deadline=None)
settings.load_profile("whenever")


def followed(folder, **options):
    (recording,), _ = openpose_folders.find_recordings(folder)
    return following.read_recording(recording, SOURCE, **options)


# --- who is who


def test_choice_by_hand():
    # Person 0: 3 frames of weight 10 at x = 100; person 1: 3 of 20 at 300; person 2: 2 of 1 at
    # 200; 3: one ghost at 0.
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
    """Two people walk through each other, 8 pixels a frame; in the second case one is out of
    sight while they meet.

    They meet between two frames, so that each is then nearer to where the other was than to where
    it was itself.
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
    """Of two people side by side one is gone for some frames: the other is not taken for that
    one.
    """
    a, b = standing(500, seed=1, height=420), standing(600, seed=2)
    people = [[a, b] if t < 20 or t >= 26 else [b] for t in range(50)]
    found = followed(frames(tmp_path / "v", people))
    there = np.array([not 20 <= t < 26 for t in range(50)])
    assert (found.score.any(axis=1) == there).all()
    np.testing.assert_array_equal(
        found.keypoints[there], np.broadcast_to(a[:, :2].astype(np.float32), (44, 25, 2))
    )
    assert found.report.missing == 6 and found.report.several == 44 and found.report.jump == 0


def test_torn_in_two(tmp_path):
    """A person detected as two halves is not lost, and nobody else takes the lesser half."""
    a, b = standing(500, seed=1, height=402), standing(590, seed=1)
    upper, lower = a.copy(), a.copy()
    upper[15:], lower[:15] = 0, 0
    people = [[a, b]] * 20 + [[lower, upper]] * 3 + [[a, b]] * 20
    folder = frames(tmp_path / "v", people)
    found = followed(folder)
    np.testing.assert_array_equal(
        found.keypoints[20:23], np.broadcast_to(upper[:, :2].astype(np.float32), (3, 25, 2))
    )
    np.testing.assert_array_equal(
        found.keypoints[23:], np.broadcast_to(a[:, :2].astype(np.float32), (20, 25, 2))
    )
    other = followed(folder, person=2)
    assert not other.score[20:23].any()
    np.testing.assert_array_equal(
        other.keypoints[23:], np.broadcast_to(b[:, :2].astype(np.float32), (20, 25, 2))
    )


def test_walking_on_out_of_sight(tmp_path):
    """Somebody who walked into hiding is expected farther on: not taken for the one who stood
    nearer to that place.
    """
    walks = [shift(standing(300, seed=1, height=402), 20 * t) for t in range(30)]
    stands = standing(820, seed=1)
    people = [[walks[t], stands] if t < 15 else [] if t < 22 else [walks[t]] for t in range(30)]
    found = followed(frames(tmp_path / "v", people))
    there = [t for t in range(30) if not 15 <= t < 22]
    np.testing.assert_array_equal(
        found.keypoints[there], np.array(walks, np.float32)[there][..., :2]
    )
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
    assert followed(frames(tmp_path / "v", [[a]] * 5 + [[some]])).score.any(axis=1).tolist() == [
        True
    ] * 5 + [False]
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
    """The person leaves for good and another one is elsewhere: those frames are missing, not
    somebody else's.
    """
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
    # The neck moves by (3, 4) and back; float32 rounds the coordinates, not the step's length to
    # be seen.
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
    people = [
        [shift(standing(x, seed=x), rng.normal(0, 5)) for x in (200, 350, 500, 900)]
        for _ in range(40)
    ]
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


coordinates = strategies.sampled_from([0, 1, 1.5, 700, -700, 1e-30, 9e6, -9e6])
joints = strategies.tuples(coordinates, coordinates, strategies.sampled_from([0, 1e-30, 0.5, 9e6]))
detections = strategies.lists(joints, min_size=25, max_size=25).filter(
    lambda pose: any(joint[2] for joint in pose)
)


@given(
    strategies.lists(strategies.lists(detections, max_size=3), min_size=1, max_size=6),
    strategies.integers(0, 20),
)
def test_any_numbers(people, gap):
    """Whatever a frame may hold can be followed, without as much as a warning."""
    counts = np.array([len(some) for some in people])
    pose = np.array([pose for some in people for pose in some], np.float32).reshape(-1, 25, 3)
    pose[pose[..., 2] == 0] = 0
    numbers = np.arange(len(people))
    numbers[len(people) // 2 :] += gap
    recording = openpose_folders.Recording("v", "v", 0, int(numbers[-1]), len(people))
    part = openpose_frames.Detections(numbers, counts, pose, ())
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error")
        for person in ("largest", "leftmost", "centre"):
            found = following.follow(recording, [part], SOURCE, person, 640)
    assert np.isfinite(found.keypoints).all() and found.report.missing <= recording.length


@pytest.mark.parametrize("person", ["largest", 1, "leftmost", "rightmost"])
def test_ghosts_and_swapped_legs(shared_data, person):
    """The person in all frames, also where the legs are swapped (frame 12), and in none a ghost
    of 6 to 10 joints.
    """
    (recording,), _ = openpose_folders.find_recordings(shared_data / "openpose_ghost_and_leg_swap")
    found = following.read_recording(recording, SOURCE, person)
    assert found.report.missing == 0 and found.report.people == 1 and found.report.several == 13
    assert (found.score > 0).sum(axis=1).min() >= 21 and 0 < found.report.jump < 15


def test_a_ghost_is_no_second_person(shared_data):
    (recording,), _ = openpose_folders.find_recordings(shared_data / "openpose_ghost_and_leg_swap")
    with pytest.raises(InputError, match="person 2 by size was asked for, and only 1 was found"):
        following.read_recording(recording, SOURCE, 2)


def test_one_of_two_people(shared_data):
    """The walking person is followed through all frames, also where OpenPose tears that one in
    two (frame 37).
    """
    (recording,), _ = openpose_folders.find_recordings(shared_data / "openpose_body25b_two_people")
    source = openpose_source.source_of(skeleton.BODY_25B)
    found = following.read_recording(recording, source)
    assert found.report.missing == 0 and found.report.several == 100
    assert 0 < found.report.jump < 15
    # Of the two parts the upper one is kept, though the legs and feet have more joints.
    assert (found.score[:, [5, 6]] > 0).all()
    shoulders = found.keypoints[:, [5, 6]].mean(axis=1)
    assert shoulders[0, 0] < 460 and shoulders[-1, 0] > 690
    other = following.read_recording(recording, source, "leftmost")
    steps = np.abs(np.diff(other.keypoints[:, 5], axis=0)).max()
    assert other.report.missing == 0 and steps < 15 and other.keypoints[:, 5, 0].max() < 130
