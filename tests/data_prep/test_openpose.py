import json

import numpy as np
import pytest
from openpose_frames import SOURCE, frames, standing, write

from data_prep import openpose
from mgjax import skeleton
from mgjax.errors import InputError

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
