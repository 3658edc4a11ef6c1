import json

import numpy as np
import pytest

from data_prep import openpose
from mgjax import skeleton
from mgjax.errors import InputError

BODY = skeleton.BODY_25
SOURCE = openpose.source_of(BODY)


def write(path, people=None, text=None):
    """One OpenPose frame; each person is an array [joints, 3] or a dict of such arrays by the JSON's names."""
    if text is None:
        parts = [person if isinstance(person, dict) else {"pose_keypoints_2d": person} for person in people]
        flat = [{name: np.asarray(part).ravel().tolist() for name, part in person.items()} for person in parts]
        text = json.dumps({"version": 1.3, "people": flat})
    path.write_text(text)
    return path


def standing(x, y=500.0, height=400.0, seed=0, score=0.8):
    """A person of BODY_25's joints about (x, y), float64 [25, 3]; the same seed is the same pose."""
    rng = np.random.default_rng(seed)
    pose = rng.uniform(-0.5, 0.5, (len(BODY), 2)) * (height / 3, height) + (x, y)
    return np.concatenate([pose, np.full((len(BODY), 1), score)], axis=1)


def frames(folder, people_by_frame, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number, people in enumerate(people_by_frame, first):
        if people is not None:
            write(folder / f"cam_{number:012d}_keypoints.json", people)
    return folder


def followed(folder, **options):
    (recording,), _ = openpose.find_recordings(folder)
    return openpose.read_recording(recording, SOURCE, **options)


def shift(pose, x, y=0.0):
    return np.where(pose[:, 2:] > 0, pose + (x, y, 0), 0)


# --- names and folders


@pytest.mark.parametrize("name, number", [
    ("video_000000000007_keypoints.json", 7), ("cam01.0007.json", 7), ("12.json", 12), ("frame12a_keypoints.JSON", 12),
    ("keypoints.json", None), ("a_keypoints.json", None),
])
def test_frame_number(name, number):
    assert openpose.frame_number(name) == number


def test_numbers_sort_as_numbers_and_others_are_counted(tmp_path):
    for name in ("f_10.json", "f_9.json", "notes.txt", ".f_11.json"):
        write(tmp_path / name, [])
    names, others = openpose.frame_files(tmp_path)
    assert list(names.items()) == [(9, "f_9.json"), (10, "f_10.json")]
    assert others == 2


def test_a_folder_of_folders(tmp_path):
    frames(tmp_path / "b", [[], []], first=5)
    frames(tmp_path / "a", [[], None, []])
    (tmp_path / "readme.md").write_text("x")
    recordings, others = openpose.find_recordings(tmp_path)
    assert [(r.id, r.first, r.last, r.files, r.length) for r in recordings] == [("a", 0, 2, 2, 3), ("b", 5, 6, 2, 2)]
    assert others == 1


def test_chunks_cover_every_frame_once(tmp_path, monkeypatch):
    monkeypatch.setattr(openpose, "CHUNK", 2)
    (recording,), _ = openpose.find_recordings(frames(tmp_path / "v", [[]] * 5))
    assert [list(names) for _, names in openpose.chunks(recording)] == [[0, 1], [2, 3], [4]]


# --- what to read


def test_the_layout_says_the_model():
    assert openpose.source_of(skeleton.get("body25b")).model.name == "body25b"
    assert openpose.source_of(skeleton.get("coco18")).model.name == "coco18"
    assert openpose.source_of(skeleton.get("coco18"), "body25").model.name == "body25"
    assert openpose.source_of(skeleton.get("imigue22")).model.name == "body25"
    assert openpose.source_of(skeleton.get("coco17"), "body25b").model.name == "body25b"


@pytest.mark.parametrize("layout, options, words", [
    ("openpose137", {}, "only with --keep_face"),
    ("body25", {"keep_face": True}, "no face landmarks"),
    ("coco17", {}, "--model_pose"),
    ("right_hand21", {}, "--model_pose"),
    ("body25", {"model_pose": "coco18"}, "'MidHip'"),
    ("body25", {"model_pose": "mpi"}, "unknown pose model 'mpi'"),
    ("ntu25", {}, "3 dimensions"),
])
def test_what_cannot_be_read(layout, options, words):
    with pytest.raises(InputError, match=words):
        openpose.source_of(skeleton.get(layout), **options)


def test_columns_take_each_joint_from_its_part(tmp_path):
    """Every number is its joint's place in the file, worked out from the names alone."""
    sizes = {"pose_keypoints_2d": 25, "face_keypoints_2d": 70, "hand_left_keypoints_2d": 21,
             "hand_right_keypoints_2d": 21}
    person, offset = {}, 0
    for part, size in sizes.items():
        person[part] = np.stack([np.arange(offset, offset + size)] * 2 + [np.ones(size)], axis=1)
        offset += size
    path = write(tmp_path / "f_0.json", [person])
    for name in ("imigue22", "imigue35", "body25_hands", "left_hand21", "openpose137"):
        layout = skeleton.get(name)
        source = openpose.source_of(layout, "body25", keep_face=name == "openpose137")
        x = openpose.read_frame(path, source)[0, source.columns, 0]
        assert x.tolist() == [skeleton.OPENPOSE_137.joints.index(joint) for joint in layout.joints]
    # By hand: iMiGUE's right fingertips are the right hand's points 4, 8, 12, 16, 20, which start at 25 + 70 + 21.
    source = openpose.source_of(skeleton.IMIGUE_22)
    x = openpose.read_frame(path, source)[0, source.columns, 0]
    assert x.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 18] + [116 + i for i in (4, 8, 12, 16, 20)] + [
        95 + i for i in (4, 8, 12, 16, 20)]


def test_absent_hands_are_unseen_and_face_is_never_read(tmp_path):
    person = {"pose_keypoints_2d": standing(100), "hand_left_keypoints_2d": [], "face_keypoints_2d": ["no number"]}
    source = openpose.source_of(skeleton.BODY_25_HANDS)
    people = openpose.read_frame(write(tmp_path / "f_0.json", [person]), source)
    assert people.shape == (1, 25 + 42, 3) and people.dtype == np.float32
    np.testing.assert_array_equal(people[0, :25], standing(100).astype(np.float32))
    assert not people[0, 25:].any()


def test_unseen_joints_are_zero_and_people_without_joints_are_nobody(tmp_path):
    pose = standing(100)
    pose[3, 2], pose[4, 2] = 0, -0.1
    people = openpose.read_frame(write(tmp_path / "f_0.json", [np.zeros((25, 3)), pose]), SOURCE)
    assert len(people) == 1
    assert not people[0, [3, 4]].any()


def test_order_of_people_does_not_matter(tmp_path):
    some = [standing(x, seed=x) for x in (100, 300, 500)]
    one = openpose.read_frame(write(tmp_path / "f_0.json", some), SOURCE)
    two = openpose.read_frame(write(tmp_path / "f_1.json", some[::-1]), SOURCE)
    np.testing.assert_array_equal(one, two)


def pose_text(values):
    return json.dumps({"people": [{"pose_keypoints_2d": values}]})


@pytest.mark.parametrize("text", [
    "", '{"version": 1.3, "people": [{"pose_keypoi', "\x00\xff", "[" * 100_000, '{"people": {}}', '{"people": [3]}',
    pose_text("abc"), pose_text(["1"] * 75), pose_text([None] * 75), pose_text([[1, 2]] * 75), pose_text([1] * 74),
    pose_text([float("nan")] * 75), pose_text([1e39] * 75), pose_text([10**400] * 75), pose_text([1, [2]] * 37 + [1]),
], ids=range(15))
def test_damaged_frames(tmp_path, text):
    with pytest.raises(openpose.DamagedFrame):
        openpose.read_frame(write(tmp_path / "f_0.json", text=text), SOURCE)


@pytest.mark.parametrize("text, words", [
    ('{"frames": []}', "no 'people'"), ("[1, 2]", "no 'people'"), ("7", "no 'people'"),
    ('{"people": [{"pose_keypoints": []}]}', "no 'pose_keypoints_2d'"),
    (json.dumps({"people": [{"pose_keypoints_2d": [1] * 54}]}), "holds 18 joints, expected 25 as pose model body25"),
    ('{"people": [{"pose_keypoints_2d": []}]}', "holds 0 joints, expected 25"),
])
def test_foreign_files_are_named(tmp_path, text, words):
    with pytest.raises(InputError, match=words) as caught:
        openpose.read_frame(write(tmp_path / "f_0.json", text=text), SOURCE)
    assert str(tmp_path / "f_0.json") in str(caught.value)


def test_a_hand_of_another_size_is_named(tmp_path):
    person = {"pose_keypoints_2d": standing(100), "hand_left_keypoints_2d": np.ones((20, 3))}
    with pytest.raises(InputError, match="hand_left_keypoints_2d holds 20 joints, expected 21"):
        openpose.read_frame(write(tmp_path / "f_0.json", [person]), openpose.source_of(skeleton.BODY_25_HANDS))


# --- who is who


def test_choice_by_hand():
    # Person 0: 3 frames of weight 10 at x = 100; person 1: 3 of 20 at 300; person 2: 2 of 1 at 200; 3: one ghost at 0.
    who = np.array([0, 1, 0, 1, 0, 1, 2, 2, -1])
    weight = np.array([10, 20, 10, 20, 10, 20, 1, 1, 1000.0])
    x = np.array([100, 300, 100, 300, 100, 300, 200, 200, 0.0])

    def choose(person, **options):
        return openpose.choose(who, weight, x, person, options.get("width", 0), "v")

    assert [choose(p) for p in ("largest", "leftmost", "rightmost", 1, 2, 3)] == [1, 0, 1, 1, 0, 2]
    assert [choose("centre", width=w) for w in (150, 380, 600)] == [0, 2, 1]
    with pytest.raises(InputError, match="person 4 by size was asked for, and only 3 were found"):
        choose(4)


def test_short_lived_people_are_not_chosen():
    who = np.array([0] * 8 + [1])
    assert openpose.choose(who, np.ones(9), np.array([500.0] * 8 + [0.0]), "leftmost", 0, "v") == 0
    assert openpose.choose(np.full(3, -1), np.ones(3), np.ones(3), "largest", 0, "v") is None


@pytest.mark.parametrize("text, expected", [("largest", "largest"), ("centre", "centre"), ("3", 3)])
def test_person(text, expected):
    assert openpose.parse_person(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "biggest", ""])
def test_unknown_person(text):
    with pytest.raises(InputError, match="unknown person"):
        openpose.parse_person(text)


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
    assert openpose.largest_jump(keypoints, score, layout) == (12.0, 3)
    assert openpose.largest_jump(keypoints[:2], score[:2], layout) == (5.0, 1)
    assert openpose.largest_jump(keypoints[:1], score[:1], layout) == (0.0, -1)


# --- real recordings


def test_one_of_two_people(shared_data):
    """The walking person is followed through all frames, also where OpenPose tears that one in two (frame 37)."""
    (recording,), _ = openpose.find_recordings(shared_data / "openpose_body25b_two_people")
    source = openpose.source_of(skeleton.BODY_25B)
    found = openpose.read_recording(recording, source)
    assert found.report.missing == 0 and found.report.several == 100
    assert 0 < found.report.jump < 15
    shoulders = found.keypoints[:, [5, 6]].mean(axis=1)
    assert shoulders[0, 0] < 460 and shoulders[-1, 0] > 690
    other = openpose.read_recording(recording, source, "leftmost")
    steps = np.abs(np.diff(other.keypoints[:, 5], axis=0)).max()
    assert other.report.missing == 0 and steps < 15 and other.keypoints[:, 5, 0].max() < 130
