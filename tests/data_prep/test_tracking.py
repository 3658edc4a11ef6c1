import numpy as np
import pytest
from hypothesis import example, given, settings, strategies
from openpose_examples import SOURCE, shift, standing

from data_prep import openpose_folders, openpose_frames, openpose_source, tracking
from mgjax import skeleton

settings.register_profile("whenever", deadline=None)
settings.load_profile("whenever")


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
    tracker, stops, who = tracking.Tracker(model), np.cumsum(counts), []
    for part in np.array_split(np.arange(len(numbers)), parts):
        start, stop = (stops[part[0]] - counts[part[0]], stops[part[-1]]) if len(part) else (0, 0)
        who.append(tracker.track(numbers[part], counts[part], pose[start:stop]))
    return np.concatenate(who)


def stepped(monkeypatch, *arguments, **options):
    """As `track`, every frame by itself."""
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "MANY", 0)
        return track(*arguments, **options)


def test_many_frames_at_once_are_followed_as_one_by_one(monkeypatch):
    taken, walk = [], tracking.Tracker._walk

    def count(*arguments):
        taken.append(walk(*arguments))
        return taken[-1]

    monkeypatch.setattr(tracking.Tracker, "_walk", count)
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
        np.array([pose for some in people for pose in some], np.float32),
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
    who = track(
        np.arange(len(people)),
        counts,
        np.array([pose for some in people for pose in some], np.float32),
    )
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
