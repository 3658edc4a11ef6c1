"""What a skeleton is: named layouts of joints, each said once.

Everything that depends on the order or the connections of joints (cutting one layout out of another, bone
streams, graph adjacency, mirroring, drawing) derives from the `Layout` objects here. Joints are matched by
name: the same point of the body has the same name in every layout, so how one layout is cut out of a larger
one needs no table of indices.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np

from mgjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Layout:
    """A named skeleton.

    Attributes:
        name: what the command line and the store call it.
        joints: joint names in storage order; their number is V.
        bones: (parent, child) joint names. Every joint has at most one parent and there are no cycles.
        root: the joints whose mean is the origin of root-centred coordinates.
        scale: two joints whose distance is the body's size.
        across: (right, left) joints of the axis that says which way the body faces.
        up: (lower, upper) joints of the body's vertical axis.
        dimensions: coordinates of a joint, 2 (pixels) or 3 (metres).
        parts: body part name to joint names.
        mirror: (left, right) joint names that swap when the body is mirrored. Left out, they are the pairs
            whose names differ only in a leading L and R.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    root: tuple[str, ...]
    scale: tuple[str, str]
    across: tuple[str, str]
    up: tuple[str, str]
    dimensions: int = 2
    parts: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict, hash=False)
    mirror: tuple[tuple[str, str], ...] | None = None

    def __post_init__(self):
        def fix(field, value):
            object.__setattr__(self, field, value)

        fix("joints", tuple(self.joints))
        fix("bones", tuple(tuple(bone) for bone in self.bones))
        for field in ("root", "scale", "across", "up"):
            fix(field, tuple(getattr(self, field)))
        fix("parts", {part: tuple(joints) for part, joints in self.parts.items()})
        if self.mirror is None:
            names = set(self.joints)
            fix("mirror", tuple((j, "R" + j[1:]) for j in self.joints if j[0] == "L" and "R" + j[1:] in names))
        fix("mirror", tuple(tuple(pair) for pair in self.mirror))
        self._check()

    def _check(self):
        if len(set(self.joints)) != len(self.joints) or not self.joints:
            raise InputError(f"layout {self.name!r}: joint names must be given and differ from each other")
        if self.dimensions not in (2, 3):
            raise InputError(f"layout {self.name!r}: dimensions is {self.dimensions!r}, expected 2 or 3")
        groups = {"bones": self.bones, "mirror": self.mirror, "parts": self.parts.values()}
        groups |= {field: [getattr(self, field)] for field in ("root", "scale", "across", "up")}
        for field, group in groups.items():
            unknown = sorted({joint for joints in group for joint in joints} - set(self.joints))
            if unknown:
                raise InputError(f"layout {self.name!r}: {field} names {unknown[0]!r}, which is not among its joints")
        for field, pairs in (("bones", self.bones), ("mirror", self.mirror)):
            wrong = [pair for pair in pairs if len(pair) != 2]
            if wrong:
                raise InputError(f"layout {self.name!r}: each of its {field} takes two joints, got {wrong[0]}")
        sided = [joint for pair in self.mirror for joint in pair]
        if len(set(sided)) != len(sided):
            raise InputError(f"layout {self.name!r}: mirror names a joint twice")
        for field in ("scale", "across", "up"):
            if len(getattr(self, field)) != 2:
                raise InputError(f"layout {self.name!r}: {field} takes two joints, got {getattr(self, field)}")
        if not self.root:
            raise InputError(f"layout {self.name!r}: root takes at least one joint")
        parent = {}
        for start, end in self.bones:
            if end in parent:
                raise InputError(f"layout {self.name!r}: joint {end!r} has two parents, {parent[end]!r} and {start!r}")
            parent[end] = start
        for joint in self.joints:
            seen = {joint}
            while joint in parent:
                joint = parent[joint]
                if joint in seen:
                    raise InputError(f"layout {self.name!r}: its bones run in a circle through {joint!r}")
                seen.add(joint)

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, *names: str) -> np.ndarray:
        """Indices of joints by name, int64 `[len(names)]`."""
        return np.array([self.joints.index(name) for name in names], dtype=np.int64)

    @property
    def bone_indices(self) -> np.ndarray:
        """(parent, child) indices of every bone, int64 `[bones, 2]`."""
        return np.array([self.index(*bone) for bone in self.bones], dtype=np.int64).reshape(-1, 2)

    @property
    def parent(self) -> np.ndarray:
        """Index of every joint's parent, int64 `[V]`; a joint without one is its own parent."""
        parent = np.arange(len(self))
        bones = self.bone_indices
        parent[bones[:, 1]] = bones[:, 0]
        return parent

    @property
    def mirror_permutation(self) -> np.ndarray:
        """`x[mirror_permutation]` swaps left and right joints, int64 `[V]`."""
        order = np.arange(len(self))
        for left, right in self.mirror:
            i, j = self.index(left, right)
            order[i], order[j] = j, i
        return order

    def adjacency(self) -> np.ndarray:
        """Undirected adjacency without self loops, float32 `[V, V]`."""
        matrix = np.zeros((len(self), len(self)), np.float32)
        i, j = self.bone_indices.T
        matrix[i, j] = matrix[j, i] = 1
        return matrix

    def cut(self, larger: Layout) -> np.ndarray:
        """Where this layout's joints lie in `larger`, int64 `[V]`: `keypoints[:, layout.cut(larger)]`.

        Raises:
            InputError: a joint of this layout is not in the larger one.
        """
        missing = [joint for joint in self.joints if joint not in larger.joints]
        if missing:
            raise InputError(
                f"layout {self.name!r} cannot be cut out of {larger.name!r}: it has no joint {missing[0]!r}"
                + (f" (and {len(missing) - 1} others)" if len(missing) > 1 else "")
            )
        return larger.index(*self.joints)

    def to_json(self) -> str:
        """The layout as one JSON object; `from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "layout") -> Layout:
        """The layout a JSON object describes. `source` names the file in error messages."""
        try:
            fields = json.loads(text)
            return cls(**fields)
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
            expected = ", ".join(field.name for field in dataclasses.fields(cls))
            raise InputError(f"{source}: not a layout: {error}; expected a JSON object with {expected}") from None


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Bones from chains: "Neck-RShoulder-RElbow Neck-Nose" is three bones."""
    bones = []
    for chain in text.split():
        joints = chain.split("-")
        bones += zip(joints[:-1], joints[1:])
    return tuple(bones)


def _both(text: str) -> str:
    """The text for the right side, then for the left: * stands for the side's letter."""
    return text.replace("*", "R") + " " + text.replace("*", "L")


_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")
_FACE = tuple(f"Face{i}" for i in range(70))


def _hand(side: str) -> tuple[str, ...]:
    return (f"{side}Palm", *(f"{side}{finger}{i}" for finger in _FINGERS for i in range(1, 5)))


def _hand_bones(side: str) -> tuple[tuple[str, str], ...]:
    return _pairs(" ".join("-".join([f"{side}Palm", *(f"{side}{f}{i}" for i in range(1, 5))]) for f in _FINGERS))


def _fingertips(side: str) -> tuple[str, ...]:
    return tuple(f"{side}{finger}4" for finger in _FINGERS)


_PART_OF = {
    "head": "Nose Eye Ear Head HeadTop UpperNeck",
    "torso": "Neck MidHip Spine ShoulderCenter HipCenter SpineShoulder SpineMid SpineBase",
    "arm": "Shoulder Elbow Wrist Hand HandTip HandThumb",
    "leg": "Hip Knee Ankle BigToe SmallToe Heel Foot",
    "hand": "Palm " + " ".join(f"{finger}{i}" for finger in _FINGERS for i in range(1, 5)),
}
_PART_OF = {joint: part for part, joints in _PART_OF.items() for joint in joints.split()}


def _parts(joints) -> dict[str, tuple[str, ...]]:
    """Body parts of joints that use this module's names; arms, hands and legs by side."""
    parts: dict[str, list[str]] = {}
    for joint in joints:
        if joint in _FACE:
            part = "face"
        elif joint in _PART_OF:
            part = _PART_OF[joint]
        else:
            part = _PART_OF[joint[1:]]
            if part in ("arm", "leg", "hand"):
                part = {"R": "right ", "L": "left "}[joint[0]] + part
        parts.setdefault(part, []).append(joint)
    return {part: tuple(joints) for part, joints in parts.items()}


LAYOUTS: dict[str, Layout] = {}


def register(layout: Layout) -> Layout:
    """Make a layout known by its name to `get`, the packers and the scripts of this process."""
    LAYOUTS[layout.name] = layout
    return layout


def get(name: str) -> Layout:
    """A layout by name, or from a JSON file (a path that ends in .json) holding `Layout`'s fields.

    Raises:
        InputError: the name is unknown, or the file is not a layout.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    if name.endswith(".json"):
        path = pathlib.Path(name)
        if not path.is_file():
            raise InputError(f"{name}: no such layout file")
        return Layout.from_json(path.read_bytes(), name)
    raise InputError(
        f"unknown layout {name!r}; known are {', '.join(sorted(LAYOUTS))}, or the path of a layout's .json file"
    )


def _define(name, joints, bones, root, scale, across, up, dimensions=2):
    joints = tuple(joints.split()) if isinstance(joints, str) else tuple(joints)
    bones = _pairs(bones) if isinstance(bones, str) else tuple(bones)
    return register(Layout(
        name, joints, bones, tuple(root.split()), tuple(scale.split()), tuple(across.split()), tuple(up.split()),
        dimensions, _parts(joints),
    ))


_SHOULDERS = "RShoulder LShoulder"

# OpenPose. The root of its 2D layouts is the neck: a seated person's hips are rarely in view. For the same
# reason the shoulders' width, not the torso's length, is the body's size.
BODY_25 = _define(
    "body25",
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle "
    "REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    "Neck-Nose Neck-MidHip "
    + _both("Nose-*Eye-*Ear Neck-*Shoulder-*Elbow-*Wrist MidHip-*Hip-*Knee-*Ankle-*BigToe-*SmallToe *Ankle-*Heel"),
    "Neck", _SHOULDERS, _SHOULDERS, "Neck Nose",
)
BODY_25B = _define(
    "body25b",
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle "
    "UpperNeck HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    "UpperNeck-Nose UpperNeck-HeadTop "
    + _both("Nose-*Eye-*Ear UpperNeck-*Shoulder-*Elbow-*Wrist *Shoulder-*Hip-*Knee-*Ankle-*BigToe-*SmallToe "
            "*Ankle-*Heel"),
    _SHOULDERS, _SHOULDERS, _SHOULDERS, "UpperNeck HeadTop",
)
COCO_18 = _define(
    "coco18",
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar",
    "Neck-Nose " + _both("Nose-*Eye-*Ear Neck-*Shoulder-*Elbow-*Wrist Neck-*Hip-*Knee-*Ankle"),
    "Neck", _SHOULDERS, _SHOULDERS, "Neck Nose",
)
COCO_17 = _define(
    "coco17",
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle",
    _both("Nose-*Eye-*Ear Nose-*Shoulder-*Elbow-*Wrist *Shoulder-*Hip-*Knee-*Ankle"),
    _SHOULDERS, _SHOULDERS, _SHOULDERS, "RShoulder REar",
)
LEFT_HAND_21, RIGHT_HAND_21 = (
    _define(
        f"{word}_hand21", _hand(side), _hand_bones(side), f"{side}Palm", f"{side}Palm {side}Middle1",
        f"{side}Index1 {side}Little1", f"{side}Palm {side}Middle1",
    )
    for word, side in (("left", "L"), ("right", "R"))
)
_HANDS = _hand("L") + _hand("R")
_HAND_BONES = _pairs("LWrist-LPalm RWrist-RPalm") + _hand_bones("L") + _hand_bones("R")
BODY_25_HANDS = _define(
    "body25_hands", BODY_25.joints + _HANDS, BODY_25.bones + _HAND_BONES, "Neck", _SHOULDERS, _SHOULDERS, "Neck Nose",
)
# The 70 face points hang from the nose: they are kept together, and no more is claimed about them.
OPENPOSE_137 = _define(
    "openpose137", BODY_25.joints + _FACE + _HANDS,
    BODY_25.bones + tuple(("Nose", point) for point in _FACE) + _HAND_BONES,
    "Neck", _SHOULDERS, _SHOULDERS, "Neck Nose",
)

# iMiGUE's published forms. Their five finger points a hand are taken to be the fingertips, which the files
# themselves do not say.
_TIPS = _fingertips("R") + _fingertips("L")
_TIP_BONES = tuple((f"{tip[0]}Wrist", tip) for tip in _TIPS)
IMIGUE_35 = _define(
    "imigue35", BODY_25.joints + _TIPS, BODY_25.bones + _TIP_BONES, "Neck", _SHOULDERS, _SHOULDERS, "Neck Nose",
)
_UPPER = BODY_25.joints[:8] + BODY_25.joints[15:19]
IMIGUE_22 = _define(
    "imigue22", _UPPER + _TIPS,
    tuple(bone for bone in BODY_25.bones if set(bone) <= set(_UPPER)) + _TIP_BONES,
    "Neck", _SHOULDERS, _SHOULDERS, "Neck Nose",
)

# Kinect, in metres.
KINECT_20 = _define(
    "kinect20",
    "HipCenter Spine ShoulderCenter Head LShoulder LElbow LWrist LHand RShoulder RElbow RWrist RHand "
    "LHip LKnee LAnkle LFoot RHip RKnee RAnkle RFoot",
    "HipCenter-Spine-ShoulderCenter-Head "
    + _both("ShoulderCenter-*Shoulder-*Elbow-*Wrist-*Hand HipCenter-*Hip-*Knee-*Ankle-*Foot"),
    "HipCenter", "HipCenter ShoulderCenter", _SHOULDERS, "HipCenter ShoulderCenter", 3,
)
NTU_25 = _define(
    "ntu25",
    "SpineBase SpineMid Neck Head LShoulder LElbow LWrist LHand RShoulder RElbow RWrist RHand "
    "LHip LKnee LAnkle LFoot RHip RKnee RAnkle RFoot SpineShoulder LHandTip LHandThumb RHandTip RHandThumb",
    "SpineBase-SpineMid-SpineShoulder-Neck-Head "
    + _both("SpineShoulder-*Shoulder-*Elbow-*Wrist-*Hand-*HandTip *Wrist-*HandThumb SpineBase-*Hip-*Knee-*Ankle-*Foot"),
    "SpineBase", "SpineBase SpineShoulder", _SHOULDERS, "SpineBase SpineShoulder", 3,
)
