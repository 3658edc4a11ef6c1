import itertools
import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hostile import layouts
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from mgjax import skeleton
from mgjax.errors import InputError

# OpenPose's own lists, by number.
BODY_25 = """
Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee
LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel
""".split()
BODY_25B = """
Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee
LAnkle RAnkle UpperNeck HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel
""".split()

FIELDS = {
    "name": "arm",
    "joints": ["Neck", "RShoulder", "LShoulder", "Nose"],
    "bones": [["Neck", "RShoulder"], ["Neck", "LShoulder"], ["Neck", "Nose"]],
    "root": ["Neck"],
    "scale": ["RShoulder", "LShoulder"],
    "across": ["RShoulder", "LShoulder"],
    "up": ["Neck", "Nose"],
}


def layout(**changes):
    return skeleton.Layout(**(FIELDS | changes))


every_layout = pytest.mark.parametrize("name", sorted(skeleton.LAYOUTS))


@every_layout
def test_bones_are_a_forest(name):
    this = skeleton.get(name)
    children = [child for _, child in this.bones]
    assert len(set(children)) == len(children), "a joint has two parents"
    # grown along the bones from the roots
    reached = {joint for joint in this.joints if joint not in children}
    for _ in this.joints:
        reached |= {child for start, child in this.bones if start in reached}
    assert reached == set(this.joints), "a circle is never reached from a root"
    groups = [np.arange(len(this))]
    for _ in this.joints:
        groups.append(groups[-1][this.parent])
    # BODY_25B and COCO-17 have no joint between the hips, but everything hangs together all the
    # same.
    assert len(set(groups[-1])) == 1
    assert len(this.bones) == len(this) - 1


@every_layout
def test_every_layout_names_its_parts_completely_and_once(name):
    this = skeleton.get(name)
    assert sorted(joint for joints in this.parts.values() for joint in joints) == sorted(
        this.joints
    )
    for part, joints in this.parts.items():
        if part.split()[0] in ("left", "right"):
            assert {joint[0] for joint in joints} == {part[0].upper()}


@every_layout
def test_mirror_is_an_involution_that_keeps_bones(name):
    this = skeleton.get(name)
    order = this.mirror_permutation
    assert np.array_equal(order[order], np.arange(len(this)))
    adjacency = this.adjacency()
    assert np.array_equal(adjacency[order][:, order], adjacency)
    if "hand21" not in name:
        assert {
            this.joints[order[i]] for i, joint in enumerate(this.joints) if joint == "RShoulder"
        } == {"LShoulder"}


@every_layout
def test_layout_survives_json(name):
    this = skeleton.get(name)
    assert skeleton.Layout.from_json(this.to_json()) == this


def test_openpose_orders():
    assert list(skeleton.get("body25").joints) == BODY_25
    assert list(skeleton.get("body25b").joints) == BODY_25B
    assert len(BODY_25) == len(BODY_25B) == 25
    full = skeleton.get("openpose137")
    assert len(full) == 137
    assert list(full.joints[:25]) == BODY_25
    assert full.joints[25] == "Face0" and full.joints[94] == "Face69"
    assert (full.joints[95], full.joints[115]) == ("LPalm", "LLittle4")
    assert (full.joints[116], full.joints[136]) == ("RPalm", "RLittle4")
    assert list(full.joints[95:101]) == [
        "LPalm",
        "LThumb1",
        "LThumb2",
        "LThumb3",
        "LThumb4",
        "LIndex1",
    ]


def test_imigue22_is_the_common_subset():
    this, larger = skeleton.get("imigue22"), skeleton.get("imigue35")
    # Of imigue35's 25 body points, then five right and five left finger points.
    assert this.cut(larger).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 18, *range(25, 35)]
    expected = {
        (1, 0),
        (1, 2),
        (2, 3),
        (3, 4),
        (1, 5),
        (5, 6),
        (6, 7),
        (0, 8),
        (8, 10),
        (0, 9),
        (9, 11),
    }
    expected |= {(4, tip) for tip in range(12, 17)} | {(7, tip) for tip in range(17, 22)}
    assert {tuple(bone) for bone in this.bone_indices.tolist()} == expected
    assert len(this.bones) == 21


def test_imigue35_is_cut_out_of_openpose137_at_the_fingertips():
    cut = skeleton.get("imigue35").cut(skeleton.get("openpose137"))
    right = [116 + finger for finger in (4, 8, 12, 16, 20)]
    left = [95 + finger for finger in (4, 8, 12, 16, 20)]
    assert cut.tolist() == [*range(25), *right, *left]


def test_kinect_order():
    joints = skeleton.get("kinect20").joints
    assert joints[:4] == ("HipCenter", "Spine", "ShoulderCenter", "Head")
    assert all(joint[0] == "L" for joint in joints[4:8] + joints[12:16])
    assert all(joint[0] == "R" for joint in joints[8:12] + joints[16:20])
    assert skeleton.get("kinect20").dimensions == skeleton.get("ntu25").dimensions == 3


def test_derived_arrays_by_hand():
    this = layout()
    assert this.index("Nose", "Neck").tolist() == [3, 0]
    assert this.bone_indices.tolist() == [[0, 1], [0, 2], [0, 3]]
    assert this.parent.tolist() == [0, 0, 0, 0]
    assert this.mirror == (("LShoulder", "RShoulder"),)
    assert this.mirror_permutation.tolist() == [0, 2, 1, 3]
    assert this.adjacency().tolist() == [[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert this.adjacency().dtype == np.float32
    assert layout(bones=[]).bone_indices.shape == (0, 2)
    assert layout(bones=[]).parent.tolist() == [0, 1, 2, 3]
    assert layout(mirror=[["Neck", "Nose"]]).mirror_permutation.tolist() == [3, 1, 2, 0]


def test_a_users_layout_from_json(tmp_path):
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(FIELDS | {"dimensions": 3}))
    this = skeleton.get(str(path))
    assert this == layout(dimensions=3)
    assert len({this, layout(dimensions=3)}) == 1  # hashable, as a static argument must be
    assert this.cut(skeleton.get("body25")).tolist() == [1, 2, 5, 0]


def test_register(monkeypatch):
    monkeypatch.setattr(skeleton, "LAYOUTS", dict(skeleton.LAYOUTS))
    this = skeleton.register(layout())
    assert skeleton.get("arm") is this


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"joints": ["Neck", "RShoulder", "LShoulder", "Nose", "Nose"]}, "differ from each other"),
        ({"joints": []}, "must be given"),
        ({"bones": [["Neck", "Elbow"]]}, "bones names 'Elbow'"),
        (
            {"bones": [["Neck", "Nose"], ["RShoulder", "Nose"]]},
            "'Nose' has two parents, 'Neck' and 'RShoulder'",
        ),
        (
            {"bones": [["Neck", "Nose"], ["Nose", "RShoulder"], ["RShoulder", "Neck"]]},
            "run in a circle",
        ),
        ({"bones": [["Neck", "Neck"]]}, "run in a circle"),
        ({"bones": [["Neck", "Nose", "RShoulder"]]}, "bones takes two joints"),
        ({"mirror": [["Neck"]]}, "mirror takes two joints"),
        (
            {"mirror": [["LShoulder", "RShoulder"], ["RShoulder", "Neck"]]},
            "mirror names a joint twice",
        ),
        ({"mirror": [["LShoulder", "Knee"]]}, "mirror names 'Knee'"),
        ({"parts": {"head": ["Hat"]}}, "parts names 'Hat'"),
        ({"root": ["Hip"]}, "root names 'Hip'"),
        ({"root": []}, "root takes at least one joint"),
        ({"scale": ["Neck"]}, "scale takes two joints"),
        ({"dimensions": 4}, "dimensions is 4, expected 2 or 3"),
        ({"dimensions": 2.0}, "dimensions is 2.0, expected 2 or 3"),
        ({"joints": "Neck"}, "joints holds 'Neck', expected a list of joint names"),
        ({"joints": {"Neck": 1}}, "joints holds {'Neck': 1}, expected a list of joint names"),
        ({"joints": ["Neck", 5]}, "joints holds 5, expected a list of joint names"),
        ({"joints": ["Neck", "a\0b"]}, r"joints holds 'a\x00b', expected a list"),
        ({"joints": ["Neck", "\ud800"]}, r"joints holds '\ud800', expected a list"),
        ({"joints": ["Neck", "x" * 201]}, "joints holds 'xxx"),
        ({"joints": ["Neck", ""]}, "joints holds '', expected a list"),
        ({"joints": [f"Joint{i}" for i in range(5001)]}, "has 5001 joints, expected at most 5000"),
        ({"bones": "Neck-Nose"}, "bones is 'Neck-Nose', expected a list of pairs"),
        ({"bones": ["NN"]}, "bones holds 'NN', expected a list of joint names"),
        ({"parts": ["Nose"]}, "parts is ['Nose'], expected names of parts"),
        ({"parts": {"": ["Nose"]}}, "expected names of parts"),
        ({"parts": {"head": "Nose"}}, "parts holds 'Nose', expected a list"),
        ({"root": ["Neck", "Neck"]}, "root takes at least one joint, and none twice"),
        ({"scale": ["Neck", "Neck"]}, "scale takes two joints"),
        ({"across": ["RShoulder", "LShoulder", "LShoulder"]}, "across takes two joints"),
    ],
)
def test_bad_layouts_are_refused(changes, sentence):
    with pytest.raises(InputError, match="layout 'arm'") as error:
        layout(**changes)
    assert sentence in str(error.value)


def test_bad_files_and_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="unknown layout 'body26'; known are .*body25b.*json"):
        skeleton.get("body26")
    with pytest.raises(InputError, match="absent.json: no such layout file"):
        skeleton.get(str(tmp_path / "absent.json"))
    path = tmp_path / "bad.json"
    twice = json.dumps(FIELDS)[:-1] + ', "name": "leg"}'
    for text in (
        b"{",
        b"[1, 2]",
        b"\xff\xfe",
        b"\x80",
        b"[" * 100_000,
        b'{"dimensions": ' + b"9" * 5000 + b"}",
        twice.encode(),
        json.dumps({"name": "arm"}).encode(),
        json.dumps(FIELDS | {"colour": "red"}).encode(),
    ):
        path.write_bytes(text)
        with pytest.raises(
            InputError,
            match=r"bad.json: not a layout: .*expected a JSON object "
            r"with name, joints",
        ):
            skeleton.get(str(path))
    for changes in (
        {"parts": None},
        {"joints": 5},
        {"name": ["arm"]},
        {"name": "a\0b"},
        {"dimensions": float("nan")},
        {"bones": [["Neck", "Elbow"]]},
        {"mirror": [["Neck", "Neck"]]},
    ):
        path.write_text(json.dumps(FIELDS | changes))
        with pytest.raises(InputError, match=r"bad.json: (layout 'arm'|a layout's name)"):
            skeleton.get(str(path))
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(
        InputError, match="pipe.json: is not a plain file; expected a layout's JSON file"
    ):
        skeleton.get(str(tmp_path / "pipe.json"))
    with pytest.raises(InputError, match=r"'a\\x00.json': no such layout file"):
        skeleton.get("a\0.json")


def test_a_long_chain_of_joints_takes_no_time():
    names = [f"J{i}" for i in range(5000)]
    this = layout(
        joints=names[::-1],
        bones=list(itertools.pairwise(names)),
        root=["J0"],
        scale=["J0", "J1"],
        across=["J0", "J1"],
        up=["J0", "J1"],
    )
    assert len(this.bone_indices) == 4999 and this.bone_indices[0].tolist() == [4999, 4998]


@pytest.mark.parametrize(
    "left, right",
    [
        ("LKnee", "RKnee"),
        ("left_knee", "right_knee"),
        ("LeftKnee", "RightKnee"),
        ("LEFT_KNEE", "RIGHT_KNEE"),
        ("leftknee", "rightknee"),
        ("l_knee", "r_knee"),
        ("lKnee", "rKnee"),
        ("knee_left", "knee_right"),
        ("KneeLeft", "KneeRight"),
        ("knee_l", "knee_r"),
        ("knee.L", "knee.R"),
        ("kneeL", "kneeR"),
        ("Bip01 L Thigh", "Bip01 R Thigh"),
        ("rig:LeftLeg", "rig:RightLeg"),
    ],
)
def test_sides_are_known_by_common_spellings(left, right):
    this = layout(
        joints=["Neck", right, "Lip", left, "Nose"],
        bones=[],
        scale=["Neck", "Nose"],
        across=["Neck", "Nose"],
    )
    assert this.mirror == ((left, right),)
    assert this.mirror_permutation.tolist() == [0, 3, 2, 1, 4]
    this.check_mirror("mirroring")


def sides(name, joints, mirror=None):
    return layout(
        name=name,
        joints=joints,
        bones=[],
        root=joints[:1],
        scale=joints[:2],
        across=joints[:2],
        up=joints[:2],
        mirror=mirror,
    )


@pytest.mark.parametrize(
    "this",
    [
        skeleton.LEFT_HAND_21,
        skeleton.RIGHT_HAND_21,
        sides("mine", ["left_palm", "left_thumb"]),
        sides("mine", ["RPalm", "RRing1"]),
        sides("left_hand", ["Palm", "Thumb"]),
        sides("MyRightHand", ["Palm", "Thumb"]),
        sides("mine", ["Palm", "Thumb"], [["Palm", "Thumb"]]),
    ],
    ids=lambda this: f"{this.name}-{this.joints[0]}",
)
def test_one_hand_alone_may_be_mirrored(this):
    this.check_mirror("mirroring")
    again = skeleton.Layout.from_json(this.to_json())
    again.check_mirror("mirroring")


@pytest.mark.parametrize(
    "this",
    [
        sides("mine", ["Palm", "Thumb"]),
        sides("mine", ["Palm", "Thumb"], []),
        sides("upright", ["Palm", "Thumb"]),
        sides("both left and right", ["Palm", "Thumb"]),
        sides("left_hand", ["LPalm", "RThumb"]),
        sides("left_hand", ["LPalm", "Thumb"]),
    ],
    ids=lambda this: f"{this.name}-{this.joints[0]}-{this.joints[1]}",
)
def test_what_has_no_known_mirror_image_is_said(this):
    with pytest.raises(
        InputError,
        match=f"^mirroring is asked for, but layout '{this.name}' has no mirror pairs: give it",
    ):
        this.check_mirror("mirroring")


def test_a_layout_frozen_before_its_sides_were_known_says_so():
    frozen = skeleton.Layout.from_json(
        json.dumps(json.loads(sides("mine", ["left_hip", "right_hip"]).to_json()) | {"mirror": []})
    )
    with pytest.raises(
        InputError,
        match="layout 'mine' has no mirror pairs: its joints' names have sides, but a store",
    ):
        frozen.check_mirror("mirroring")


def face():
    """A face from the front, x to the picture's right: OpenPose's 70 points `[70, 2]`, whose
    first is at the person's right ear."""
    # from the picture's left corner over the upper lid
    lid = [(0, 0), (1, 1), (2, 1), (3, 0), (2, -1), (1, -1)]

    def lips(width, height, count):
        """From the corner at the picture's left over the upper lip and back below."""
        angles = np.linspace(np.pi, -np.pi, count + 1)[:-1]
        return np.stack([width * np.cos(angles), height * np.sin(angles) - 5], 1)

    return np.array(
        [
            *((-8 * np.cos(a), -9 * np.sin(a)) for a in np.linspace(0, np.pi, 17)),
            *((-6 + i, 4 + 0.2 * i) for i in range(5)),
            *((2 + i, 4.8 - 0.2 * i) for i in range(5)),
            *((0, 3 - i) for i in range(4)),
            *((i - 2, -1.5 - 0.1 * (2 - abs(i - 2))) for i in range(5)),
            *((-5 + x, 2 + y) for x, y in lid),
            *((2 + x, 2 + y) for x, y in lid),
            *lips(3, 1.5, 12),
            *lips(2, 0.7, 8),
            (-3.5, 2),
            (3.5, 2),
        ]
    )


def test_face_points_are_mirrored_where_they_lie():
    this, points = skeleton.OPENPOSE_137, face()
    order = this.mirror_permutation[25:95] - 25
    assert sorted(order) == list(range(70)) and (order[order] == np.arange(70)).all()
    np.testing.assert_allclose(points[order] * [-1, 1], points, atol=1e-9)
    in_place = [8, *range(27, 31), 33, 51, 57, 62, 66]
    assert np.flatnonzero(order == np.arange(70)).tolist() == in_place
    # The left one of a pair is on the person's left, in the picture's right half.
    for left, right in this.mirror:
        if left.startswith("Face"):
            assert points[int(left[4:]), 0] > 0 > points[int(right[4:]), 0]


def test_face_points_of_a_real_face_are_mirrored_where_they_lie(shared_data):
    order, misfit = skeleton.OPENPOSE_137.mirror_permutation[25:95] - 25, []
    for path in sorted((shared_data / "openpose_speaker" / "o1").glob("*.json")):
        x, y, score = np.reshape(
            json.loads(path.read_text())["people"][0]["face_keypoints_2d"], (70, 3)
        ).T
        if (score < 0.2).any():
            continue
        place = x + 1j * y - np.mean(x + 1j * y)
        image = -place.conj()[order]
        # turned and scaled to fit best
        image *= (image.conj() * place).sum() / (image.conj() * image).sum()
        misfit.append(np.abs(image - place).max() / np.abs(place).max())
    # A head turns; in the frame where it looks into the camera every point lies near its
    # partner's image.
    assert len(misfit) > 30 and min(misfit) < 0.15


# Any JSON


def check_sound(this: skeleton.Layout):
    """What every layout that was accepted must keep to."""
    order, adjacency = this.mirror_permutation, this.adjacency()
    assert sorted(order) == list(range(len(this))) and (order[order] == np.arange(len(this))).all()
    assert (adjacency == adjacency.T).all() and adjacency.sum() == 2 * len(
        {frozenset(bone) for bone in this.bones}
    )
    assert (np.diag(adjacency) == 0).all() and this.dimensions in (2, 3)
    assert (this.cut(this) == np.arange(len(this))).all()
    children = {child for _, child in this.bones}
    assert all((this.parent[i] != i) == (joint in children) for i, joint in enumerate(this.joints))
    assert skeleton.Layout.from_json(this.to_json()) == this
    hash(this)


@seed(0)
@settings(max_examples=150, deadline=None, database=None)
@given(st.integers(0, 2**63))
def test_any_file_is_a_layout_or_a_sentence(number):
    text = layouts.text(random.Random(number))
    try:
        check_sound(skeleton.Layout.from_json(text, "some.json"))
    except InputError as error:
        assert (
            str(error).startswith("some.json: ")
            and "\n" not in str(error)
            and len(str(error)) < 600
        )


names = st.sampled_from(
    ["Neck", "LHip", "RHip", "left_ear", "right_ear", "ear_l", "l", "r", "R", "Lip", "Rip", "llr"]
)


@seed(0)
@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(names, min_size=2, max_size=12, unique=True), st.data())
def test_sides_found_in_names_are_an_involution(joints, data):
    order = data.draw(st.permutations(joints))
    bones = [(a, b) for a, b in itertools.pairwise(order) if data.draw(st.booleans())]
    check_sound(
        layout(
            joints=joints,
            bones=bones,
            root=joints[:1],
            scale=joints[:2],
            across=joints[:2],
            up=joints[:2],
        )
    )


def test_cut_names_what_is_missing():
    with pytest.raises(
        InputError,
        match=r"'imigue35' cannot be cut out of 'body25': .*'RThumb4' "
        r"\(and 9 others\)",
    ):
        skeleton.get("imigue35").cut(skeleton.get("body25"))


@pytest.mark.parametrize(
    "module", ["mgjax", "mgjax.skeleton", "mgjax.store", "mgjax.report.pictures", "mgjax.progress"]
)
def test_import_without_jax(module):
    heavy = {"jax", "flax", "matplotlib"}
    code = f"import {module}, sys; assert not {heavy} & set(sys.modules), 'imported'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_data_prep_never_imports_jax(root):
    modules = sorted(path.stem for path in (root / "data_prep").glob("*.py"))
    code = "import importlib, sys\n" + "".join(
        f"importlib.import_module('data_prep.{m}')\n" for m in modules
    )
    done = subprocess.run(
        [sys.executable, "-c", code + "assert 'jax' not in sys.modules, 'imported'"],
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
