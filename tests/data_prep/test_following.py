import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies
from openpose_examples import SOURCE, frames, standing

from data_prep import following, openpose_folders, openpose_frames, openpose_source
from mgjax import skeleton
from mgjax.errors import InputError

settings.register_profile("whenever", deadline=None)
settings.load_profile("whenever")


def followed(folder, **options):
    (recording,), _ = openpose_folders.find_recordings(folder)
    return following.read_recording(recording, SOURCE, **options)


def shift(pose, x, y=0.0):
    return np.where(pose[:, 2:] > 0, pose + (x, y, 0), 0)


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


# --- many frames at once


def scene(seed, frames=400):
    """Somebody among others: who come, cross, are torn in two, lose joints, jump or go, more or
    less by the seed.

    Returns frame numbers (some are left out), people in each, and their points as `read_frames`
    gives them.
    """
    rng = np.random.default_rng(seed)
    others, flicker, restless, torn, gaps, turns = rng.choice([0, 0.002, 0.02], 6)
    numbers = np.flatnonzero(rng.random(frames) >= gaps)
    people, points, seen = (
        [[rng.uniform(0, 1000), standing(0, seed=seed), rng.normal(0, 3)]],
        [],
        np.arange(25) < 25,
    )
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


def track(numbers, counts, pose, parts=1, model=skeleton.BODY_25):
    """Who each detection is, the frames given in so many parts."""
    tracker, stops, who = following.Tracker(model), np.cumsum(counts), []
    for part in np.array_split(np.arange(len(numbers)), parts):
        start, stop = (stops[part[0]] - counts[part[0]], stops[part[-1]]) if len(part) else (0, 0)
        who.append(tracker.track(numbers[part], counts[part], pose[start:stop]))
    return np.concatenate(who)


def stepped(monkeypatch, *arguments, **options):
    """As `track`, every frame by itself."""
    with monkeypatch.context() as patch:
        patch.setattr(following, "MANY", 0)
        return track(*arguments, **options)


def test_many_frames_at_once_are_followed_as_one_by_one(monkeypatch):
    taken, walk = [], following.Tracker._walk

    def count(*arguments):
        taken.append(walk(*arguments))
        return taken[-1]

    monkeypatch.setattr(following.Tracker, "_walk", count)
    scenes = [scene(seed) for seed in range(30)]
    for each in scenes:
        np.testing.assert_array_equal(track(*each), stepped(monkeypatch, *each))
    assert sum(taken) > 0.5 * sum(len(numbers) for numbers, *_ in scenes)


def test_it_does_not_matter_where_a_recording_is_cut_into_parts():
    for seed in range(10):
        whole = track(*scene(seed))
        for parts in (3, 400, 500):
            np.testing.assert_array_equal(track(*scene(seed), parts=parts), whole)


def test_somebody_out_of_sight_who_is_liker():
    """Of two people side by side one goes; then somebody stands where that one stood, and not
    where the other did.
    """
    here, there = standing(500, seed=1), standing(530, seed=1)
    people = [[here, there]] * 20 + [[here]] * 5 + [[there]] * 5
    who = track(
        np.arange(30),
        np.array([len(some) for some in people]),
        np.array(sum(people, []), np.float32),
    )
    assert who[40:].tolist() == [who[0]] * 5 + [who[1]] * 5 and who[0] != who[1]


# --- where the detector errs

GROUPS = {
    "arms": "Shoulder Elbow Wrist",
    "legs": "Hip Knee Ankle BigToe SmallToe Heel",
    "head": "Eye Ear",
}
LIMBS = [
    skeleton.BODY_25.index(*joints)
    for part, joints in skeleton.BODY_25.parts.items()
    if part[0] in "rl"
]
some_frames = strategies.sets(strategies.integers(1, 39), max_size=30)


def swapped(pose, group):
    """Left and right exchanged in one of GROUPS, or in all of them."""
    names = {
        side + joint
        for joint in GROUPS.get(group, " ".join(GROUPS.values())).split()
        for side in "LR"
    }
    chosen = np.array([joint in names for joint in skeleton.BODY_25.joints])
    return np.where(chosen[:, None], pose[skeleton.BODY_25.mirror_permutation], pose)


def walker(rng, frames=40):
    """Somebody with a wide stance who walks, [frames, 25, 3]."""
    pose = standing(0, seed=rng.integers(100))
    pose[:, 0] *= 3
    steps = np.cumsum(rng.normal(0, 2, (frames, 2)) + rng.uniform(-8, 8, 2), axis=0) + rng.uniform(
        0, 2000, 2
    )
    return (
        pose
        + np.pad(steps, ((0, 0), (0, 1)))[:, None]
        + rng.normal(0, 1, (frames, 25, 3)) * (1, 1, 0)
    )


def ghost(rng, pose):
    """A stray detection of few joints, small, of low score, beside a person."""
    stray = pose[rng.integers(25)] * (1, 1, 0) + np.append(rng.uniform(-60, 60, 2), 0)
    stray = stray + rng.uniform(-25, 25, (25, 3)) * (1, 1, 0) + (0, 0, 0.24)
    return np.where((rng.permutation(25) < rng.integers(6, 11))[:, None], stray, 0)


def who_by_frame(people):
    counts = np.array([len(some) for some in people])
    who = track(np.arange(len(people)), counts, np.array(sum(people, []), np.float32))
    return np.split(who, np.cumsum(counts)[:-1])


@given(
    strategies.integers(0, 999),
    strategies.dictionaries(
        strategies.integers(1, 39), strategies.sampled_from([*GROUPS, "all"]), max_size=39
    ),
    some_frames,
)
@example(0, dict.fromkeys(range(5, 20), "all"), set(range(8, 30)))
@example(0, {12: "legs"}, {9, 12})
def test_swapped_sides_and_ghosts_beside(seed, swaps, ghosts):
    """However left and right are exchanged, and for how long: the same person, and the ghosts
    are never that one.
    """
    rng = np.random.default_rng(seed)
    truth = walker(rng)
    people = [[swapped(pose, swaps[t]) if t in swaps else pose] for t, pose in enumerate(truth)]
    for t in ghosts:
        people[t].append(ghost(rng, truth[t]))
    for found in who_by_frame(people):
        assert found[0] == 0 and 0 not in found[1:]


@given(strategies.integers(0, 999), some_frames)
def test_a_limb_that_fails(seed, frames):
    """An arm or a leg is anywhere, in any frames and another one each time."""
    rng = np.random.default_rng(seed)
    people = [[pose] for pose in walker(rng)]
    for t in frames:
        limb = LIMBS[rng.integers(len(LIMBS))]
        people[t][0][limb, :2] += rng.normal(0, 400, (len(limb), 2))
    assert all(found.tolist() == [0] for found in who_by_frame(people))


@given(strategies.integers(0, 999))
def test_joints_that_come_and_go(seed):
    """Up to half of the joints are not seen, others in every frame."""
    rng = np.random.default_rng(seed)
    people = [[pose] for pose in walker(rng)]
    for (pose,) in people:
        pose[rng.random(25) < rng.uniform(0, 0.5)] = 0
    assert all(found.tolist() == [0] for found in who_by_frame(people))


@given(strategies.lists(strategies.booleans(), min_size=40, max_size=40))
def test_in_profile(sides):
    """Of somebody in profile only one side is seen, and OpenPose calls it now left, now right."""
    layout = skeleton.BODY_25
    right = np.isin(
        np.arange(25), layout.index("Nose", "Neck", *(pair[1] for pair in layout.mirror))
    )[:, None]
    seen = [np.where(right, pose, 0) for pose in walker(np.random.default_rng(0))]
    people = [
        [pose[layout.mirror_permutation] if left else pose] for left, pose in zip(sides, seen)
    ]
    assert all(found.tolist() == [0] for found in who_by_frame(people))


def test_of_two_detections_of_one_person_the_surer():
    pose = standing(500)
    sure, unsure = shift(pose, 3), pose * (1, 1, 0.3)
    people = [[pose]] * 5 + [[unsure, sure]] * 5 + [[sure, unsure]] * 5
    assert [found.tolist() for found in who_by_frame(people)] == [[0]] * 5 + [[-1, 0]] * 5 + [
        [0, -1]
    ] * 5


def test_nobody_small_takes_over_from_somebody_long_out_of_sight():
    pose = standing(500, seed=1)
    small = standing(500, height=120, seed=1)
    people = [[pose]] * 60 + [[]] * 30 + [[small]] * 5 + [[pose]] * 5
    assert [found.tolist() for found in who_by_frame(people)] == [[0]] * 60 + [[]] * 30 + [
        [1]
    ] * 5 + [[0]] * 5


@given(strategies.integers(0, 999), some_frames)
def test_a_ghost_where_the_person_is_not_found(seed, frames):
    """Frames in which there is a ghost only, seldom or in a row, do not make the ghost the
    person, who comes back.
    """
    rng = np.random.default_rng(seed)
    frames = [t for t in frames if t > 20 and not {t - 1, t - 2, t - 3} <= frames]
    truth = walker(rng)
    found = who_by_frame(
        [[ghost(rng, pose)] if t in frames else [pose] for t, pose in enumerate(truth)]
    )
    assert [t for t in range(40) if found[t][0] == 0] == [t for t in range(40) if t not in frames]


@given(strategies.integers(0, 999), some_frames)
def test_a_person_in_two_parts(seed, frames):
    """Torn into upper and lower body: one part is that person, the other one nobody, who comes
    back whole.
    """
    rng = np.random.default_rng(seed)
    lower = np.isin(
        np.arange(25),
        skeleton.BODY_25.index(
            *sum((joints for part, joints in skeleton.BODY_25.parts.items() if "leg" in part), ()),
            "MidHip",
        ),
    )[:, None]
    people = [
        [np.where(lower, 0, pose), np.where(lower, pose, 0)] if t in frames else [pose]
        for t, pose in enumerate(walker(rng))
    ]
    assert all(found.tolist() == [0, -1][: len(found)] for found in who_by_frame(people))


@given(strategies.integers(0, 30), strategies.integers(0, 999))
def test_the_order_of_people_changes_nothing(seed, order):
    numbers, counts, pose = scene(seed, frames=60)
    rows = np.split(np.arange(len(pose)), np.cumsum(counts)[:-1])
    rng = np.random.default_rng(order)
    mixed = np.concatenate([rng.permutation(some) for some in rows])
    one, two = track(numbers, counts, pose)[mixed], track(numbers, counts, pose[mixed])
    # Numbers are given in the order of the detections; who is the same person as whom is not
    # changed.
    assert (
        len({*zip(one.tolist(), two.tolist())}) == len(set(one.tolist())) == len(set(two.tolist()))
    )


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
    pose = np.array(sum(people, []), np.float32).reshape(-1, 25, 3)
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


@given(strategies.floats(0, 2 * np.pi), strategies.floats(0, 3), strategies.integers(0, 99))
def test_how_far_a_person_can_go_in_one_frame(angle, far, seed):
    """As the module says: by GATE of the size and no farther."""
    pose = standing(1000, seed=seed)
    size = np.hypot(*np.ptp(pose[:, :2], axis=0))
    moved = shift(pose, *(far * size * np.array([np.cos(angle), np.sin(angle)])))
    same = track(np.arange(6), np.ones(6, int), np.array([pose] * 5 + [moved], np.float32))[-1] == 0
    # Left and right count as one joint, so that the nearer of two places counts and the median is
    # less than the way.
    assert same or far > 0.499
    assert not same or far < 1.1


# --- real recordings


def points_of(recording, source):
    parts = [
        openpose_frames.read_frames(*chunk, source) for chunk in openpose_folders.chunks(recording)
    ]
    return [
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("numbers", "counts", "points")
    ]


@pytest.mark.parametrize(
    "folder",
    [
        "openpose_body25b_two_people",
        "openpose_speaker/o1",
        "openpose_speaker/o2",
        "openpose_ghost_and_leg_swap",
    ],
)
def test_real_recordings_at_once_and_frame_by_frame(shared_data, monkeypatch, folder):
    (recording,), _ = openpose_folders.find_recordings(shared_data / folder)
    model = skeleton.BODY_25B if "25b" in folder else skeleton.BODY_25
    numbers, counts, points = points_of(recording, openpose_source.source_of(model))
    who = track(numbers, counts, points, model=model)
    np.testing.assert_array_equal(stepped(monkeypatch, numbers, counts, points, model=model), who)
    assert np.bincount(who[who >= 0])[0] == recording.length


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


def test_ghosts_where_the_person_is_left_out(shared_data):
    """Real ghosts, alone in their frames because the person's detection is taken out, are not
    taken for the person.
    """
    (recording,), _ = openpose_folders.find_recordings(shared_data / "openpose_ghost_and_leg_swap")
    numbers, counts, points = points_of(recording, SOURCE)
    stray = (points[..., 2] > 0).sum(axis=1) < 12
    frame = np.repeat(numbers, counts)
    out = np.isin(frame, frame[stray]) & ~stray
    who = track(numbers, np.bincount(frame[~out], minlength=len(numbers)), points[~out])
    assert (who[~stray[~out]] == 0).all() and not (who[stray[~out]] == 0).any()


def spoilt(rng, poses, share):
    """In so many frames sides are swapped, half of the joints are gone, or a limb is elsewhere."""
    poses = poses.copy()
    for pose in poses[rng.random(len(poses)) < share]:
        limb = LIMBS[rng.integers(len(LIMBS))]
        place = pose[limb, :2] + rng.normal(0, 200, 2)
        if kind := rng.integers(3):
            pose[rng.random(25) < 0.5 if kind == 1 else limb] = 0
        else:
            pose[:] = swapped(pose, rng.choice([*GROUPS, "all"]))
        pose[limb, :2] = np.where(pose[limb, 2:] > 0, place, 0)
    return poses


@pytest.mark.parametrize("scene", ["ghosts", "side", "cross"])
def test_real_people_put_together_and_spoilt(shared_data, scene):
    """A walking person, among ghosts, beside a seated one, or through another walk: nobody is
    taken for another.
    """
    walking, seated = (
        points_of(openpose_folders.find_recordings(shared_data / folder)[0][0], SOURCE)[2]
        for folder in ("openpose_ghost_and_leg_swap", "openpose_speaker/o2")
    )
    walking = walking[(walking[..., 2] > 0).sum(axis=1) > 12]
    wrong = total = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        first, second = (spoilt(rng, poses, 0.2) for poses in (walking, seated))
        if scene == "cross":
            way = rng.uniform(4, 12) * np.arange(90)
            second = spoilt(rng, np.roll(walking[::-1], 30, axis=0), 0.2)
            first, second = (
                np.array([shift(*pair) for pair in zip(poses, x)])
                for poses, x in ((first, way), (second, way[::-1]))
            )
        elif scene == "side":
            second = np.array(
                [shift(pose, walking[0, 1, 0] - seated[0, 1, 0] + 200) for pose in second]
            )
        people, truth, missed = [], [], 0 if scene == "cross" else 0.1
        for pair in zip(first, second):
            some = [(pose, k) for k, pose in enumerate(pair) if rng.random() >= missed]
            some = some[: 1 if scene == "ghosts" else 2]
            if rng.random() < 0.3:
                some.append((ghost(rng, pair[0]), 2))
            some = [some[i] for i in rng.permutation(len(some)) if some[i][0][:, 2].any()]
            people.append([pose for pose, _ in some])
            truth += [k for _, k in some]
        who, truth = np.concatenate(who_by_frame(people)), np.array(truth)
        for k in (0, 1):
            if (truth == k).sum() > 20:
                main = np.bincount(who[(truth == k) & (who >= 0)]).argmax()
                wrong += ((who == main) != (truth == k)).sum()
                total += (truth == k).sum()
    assert wrong < 0.01 * total


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
