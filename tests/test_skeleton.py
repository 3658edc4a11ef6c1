import json
import subprocess
import sys

import numpy as np
import pytest

from mgjax import skeleton
from mgjax.errors import InputError

# OpenPose's own lists, by number.
BODY_25 = """Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle
REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel""".split()
BODY_25B = """Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle
RAnkle UpperNeck HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel""".split()

FIELDS = {
    "name": "arm", "joints": ["Neck", "RShoulder", "LShoulder", "Nose"],
    "bones": [["Neck", "RShoulder"], ["Neck", "LShoulder"], ["Neck", "Nose"]], "root": ["Neck"],
    "scale": ["RShoulder", "LShoulder"], "across": ["RShoulder", "LShoulder"], "up": ["Neck", "Nose"],
}


def layout(**changes):
    return skeleton.Layout(**(FIELDS | changes))


every_layout = pytest.mark.parametrize("name", sorted(skeleton.LAYOUTS))


@every_layout
def test_bones_are_a_forest(name):
    this = skeleton.get(name)
    children = [child for _, child in this.bones]
    assert len(set(children)) == len(children), "a joint has two parents"
    reached = {joint for joint in this.joints if joint not in children}  # grown along the bones from the roots
    for _ in this.joints:
        reached |= {child for start, child in this.bones if start in reached}
    assert reached == set(this.joints), "a circle is never reached from a root"
    groups = [np.arange(len(this))]
    for _ in this.joints:
        groups.append(groups[-1][this.parent])
    # BODY_25B and COCO-17 have no joint between the hips, but everything hangs together all the same.
    assert len(set(groups[-1])) == 1
    assert len(this.bones) == len(this) - 1


@every_layout
def test_every_layout_names_its_parts_completely_and_once(name):
    this = skeleton.get(name)
    assert sorted(joint for joints in this.parts.values() for joint in joints) == sorted(this.joints)
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
        assert {this.joints[order[i]] for i, joint in enumerate(this.joints) if joint == "RShoulder"} == {"LShoulder"}


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
    assert list(full.joints[95:101]) == ["LPalm", "LThumb1", "LThumb2", "LThumb3", "LThumb4", "LIndex1"]


def test_imigue22_is_the_common_subset():
    this, larger = skeleton.get("imigue22"), skeleton.get("imigue35")
    # Of imigue35's 25 body points, then five right and five left finger points.
    assert this.cut(larger).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 18, *range(25, 35)]
    expected = {(1, 0), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (0, 8), (8, 10), (0, 9), (9, 11)}
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


@pytest.mark.parametrize("changes, sentence", [
    ({"joints": ["Neck", "RShoulder", "LShoulder", "Nose", "Nose"]}, "differ from each other"),
    ({"joints": []}, "must be given"),
    ({"bones": [["Neck", "Elbow"]]}, "bones names 'Elbow'"),
    ({"bones": [["Neck", "Nose"], ["RShoulder", "Nose"]]}, "'Nose' has two parents, 'Neck' and 'RShoulder'"),
    ({"bones": [["Neck", "Nose"], ["Nose", "RShoulder"], ["RShoulder", "Neck"]]}, "run in a circle"),
    ({"bones": [["Neck", "Neck"]]}, "run in a circle"),
    ({"bones": [["Neck", "Nose", "RShoulder"]]}, "bones takes two joints"),
    ({"mirror": [["Neck"]]}, "mirror takes two joints"),
    ({"mirror": [["LShoulder", "RShoulder"], ["RShoulder", "Neck"]]}, "mirror names a joint twice"),
    ({"mirror": [["LShoulder", "Knee"]]}, "mirror names 'Knee'"),
    ({"parts": {"head": ["Hat"]}}, "parts names 'Hat'"),
    ({"root": ["Hip"]}, "root names 'Hip'"),
    ({"root": []}, "root takes at least one joint"),
    ({"scale": ["Neck"]}, "scale takes two joints"),
    ({"dimensions": 4}, "dimensions is 4, expected 2 or 3"),
])
def test_bad_layouts_are_refused(changes, sentence):
    with pytest.raises(InputError, match="layout 'arm'") as error:
        layout(**changes)
    assert sentence in str(error.value)


def test_bad_files_and_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="unknown layout 'body26'; known are .*body25b.*json"):
        skeleton.get("body26")
    with pytest.raises(InputError, match="absent.json: no such layout file"):
        skeleton.get(str(tmp_path / "absent.json"))
    for text in (b"{", b"[1, 2]", b"\xff\xfe", json.dumps({"name": "arm"}).encode(),
                 json.dumps(FIELDS | {"colour": "red"}).encode(), json.dumps(FIELDS | {"parts": None}).encode(),
                 json.dumps(FIELDS | {"joints": 5}).encode()):
        path = tmp_path / "bad.json"
        path.write_bytes(text)
        with pytest.raises(InputError, match=r"bad.json: not a layout: .*expected a JSON object with name, joints"):
            skeleton.get(str(path))


def test_cut_names_what_is_missing():
    with pytest.raises(InputError, match=r"'imigue35' cannot be cut out of 'body25': .*'RThumb4' \(and 9 others\)"):
        skeleton.get("imigue35").cut(skeleton.get("body25"))


@pytest.mark.parametrize("module", ["mgjax", "mgjax.skeleton", "mgjax.store", "mgjax.plots", "mgjax.progress"])
def test_import_without_jax(module):
    code = f"import {module}, sys; assert not {{'jax', 'flax', 'matplotlib'}} & set(sys.modules), 'imported'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_data_prep_never_imports_jax(root):
    modules = sorted(path.stem for path in (root / "data_prep").glob("*.py"))
    code = "import importlib, sys\n" + "".join(f"importlib.import_module('data_prep.{m}')\n" for m in modules)
    done = subprocess.run([sys.executable, "-c", code + "assert 'jax' not in sys.modules, 'imported'"],
                          capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
