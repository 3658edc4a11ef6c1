"""What a skeleton is: named layouts of joints, each said once.

Everything that depends on the order or the connections of joints (cutting one layout out of
another, bone streams, graph adjacency, mirroring, drawing) derives from the `Layout` objects
here. Joints are matched by
name: the same point of the body has the same name in every layout, so how one layout is cut out
of a larger one needs no table of indices.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re

import numpy as np

from mgjax import files
from mgjax.errors import InputError

MOST_JOINTS = 5000  # of which an adjacency matrix still fits into memory


@dataclasses.dataclass(frozen=True)
class Layout:
    """A named skeleton.

    Attributes:
        name: what the command line and the store call it.
        joints: joint names in storage order; their number is V.
        bones: (parent, child) joint names. Every joint has at most one parent and there are no
            cycles.
        root: the joints whose mean is the origin of root-centred coordinates.
        scale: two joints whose distance is the body's size.
        across: (right, left) joints of the axis that says which way the body faces.
        up: (lower, upper) joints of the body's vertical axis.
        dimensions: coordinates of a joint, 2 (pixels) or 3 (metres).
        parts: body part name to joint names.
        mirror: (left, right) joint names that swap when the body is mirrored. Left out, they are
            the pairs whose names differ only in their side: a leading or trailing L and R, the
            same standing alone (l_knee, knee.r, upper l arm), or the words left and right
            anywhere, in any case.

    Raises:
        InputError: the parts do not fit together.
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

        if not _is_text(self.name):
            raise InputError(
                f"a layout's name is {_short(self.name)}, expected text of 1 to 200 characters"
            )
        for field in ("joints", "root", "scale", "across", "up"):
            fix(field, self._names(field, getattr(self, field)))
        fix("bones", self._pairs("bones", self.bones))
        if not isinstance(self.parts, dict) or not all(map(_is_text, self.parts)):
            raise InputError(
                f"layout {self.name!r}: parts is {_short(self.parts)}, expected "
                "names of parts, each with "
                "a list of joints"
            )
        fix("parts", {part: self._names("parts", joints) for part, joints in self.parts.items()})
        fix(
            "mirror",
            _sides(self.joints) if self.mirror is None else self._pairs("mirror", self.mirror),
        )
        self._check()

    def _names(self, field, value) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(map(_is_text, value)):
            raise InputError(
                f"layout {self.name!r}: {field} holds {_short(value)}, expected a "
                "list of joint names"
            )
        return tuple(value)

    def _pairs(self, field, value) -> tuple[tuple[str, ...], ...]:
        if not isinstance(value, (list, tuple)):
            raise InputError(
                f"layout {self.name!r}: {field} is {_short(value)}, expected a list "
                "of pairs of joints"
            )
        return tuple(self._names(field, pair) for pair in value)

    def _check(self):
        if len(set(self.joints)) != len(self.joints) or not self.joints:
            raise InputError(
                f"layout {self.name!r}: joint names must be given and differ from each other"
            )
        if len(self.joints) > MOST_JOINTS:
            raise InputError(
                f"layout {self.name!r}: has {len(self.joints)} joints, expected at "
                f"most {MOST_JOINTS}"
            )
        if type(self.dimensions) is not int or self.dimensions not in (2, 3):
            raise InputError(
                f"layout {self.name!r}: dimensions is {_short(self.dimensions)}, expected 2 or 3"
            )
        groups = {"bones": self.bones, "mirror": self.mirror, "parts": self.parts.values()}
        groups |= {field: [getattr(self, field)] for field in ("root", "scale", "across", "up")}
        for field, group in groups.items():
            unknown = sorted({joint for joints in group for joint in joints} - set(self.joints))
            if unknown:
                raise InputError(
                    f"layout {self.name!r}: {field} names {_short(unknown[0])}, "
                    "which is not among its "
                    "joints"
                )
        for field, pairs in (("bones", self.bones), ("mirror", self.mirror)):
            wrong = [pair for pair in pairs if len(pair) != 2]
            if wrong:
                raise InputError(
                    f"layout {self.name!r}: each of its {field} takes two joints, "
                    f"got {_short(wrong[0])}"
                )
        sided = [joint for pair in self.mirror for joint in pair]
        if len(set(sided)) != len(sided):
            raise InputError(f"layout {self.name!r}: mirror names a joint twice")
        for field in ("scale", "across", "up"):
            pair = getattr(self, field)
            if not len(pair) == len(set(pair)) == 2:
                raise InputError(
                    f"layout {self.name!r}: {field} takes two joints, got {_short(pair)}"
                )
        if not self.root or len(set(self.root)) != len(self.root):
            raise InputError(f"layout {self.name!r}: root takes at least one joint, and none twice")
        parent = {}
        for start, end in self.bones:
            if end in parent:
                raise InputError(
                    f"layout {self.name!r}: joint {end!r} has two parents, "
                    f"{parent[end]!r} and {start!r}"
                )
            parent[end] = start
        rooted = set()  # joints from which the way up is known to end
        for joint in self.joints:
            way = [joint]
            while (above := parent.get(way[-1])) is not None and above not in rooted:
                way.append(above)
                if len(way) > len(self.joints):
                    raise InputError(
                        f"layout {self.name!r}: its bones run in a circle through {above!r}"
                    )
            rooted.update(way)

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, *names: str) -> np.ndarray:
        """Indices of joints by name, int64 `[len(names)]`."""
        place = {joint: i for i, joint in enumerate(self.joints)}
        return np.array([place[name] for name in names], dtype=np.int64)

    @property
    def bone_indices(self) -> np.ndarray:
        """(parent, child) indices of every bone, int64 `[bones, 2]`."""
        return self.index(*(joint for bone in self.bones for joint in bone)).reshape(-1, 2)

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
        pairs = self.index(*(joint for pair in self.mirror for joint in pair)).reshape(-1, 2)
        order[pairs] = pairs[:, ::-1]
        return order

    def check_mirror(self, asked: str):
        """Raise InputError where nothing says what the mirror image is; `asked` says who asks for
        it.

        With mirror pairs it is known, and so it is of one side alone, such as one hand: the image
        of a left hand is a right hand, joint by joint, and nothing swaps. That is what a layout
        is whose joints all name the same side, or name none where the layout's own name does
        ("my_left_hand").
        """
        sides = {_side_of(joint) for joint in self.joints}
        if (
            self.mirror
            or sides in ({"l"}, {"r"})
            or (sides == {""} and _side_of(self.name) in ("l", "r"))
        ):
            return
        way_out = (
            "its joints' names have sides, but a store or run keeps the layout it was made "
            "with: pack again"
            if _sides(self.joints)
            else "give it `mirror`, or joint names with left and "
            "right; of one hand, its "
            "side in the layout's name"
        )
        raise InputError(
            f"{asked} is asked for, but layout {self.name!r} has no mirror pairs: {way_out}"
        )

    def adjacency(self) -> np.ndarray:
        """Undirected adjacency without self loops, float32 `[V, V]`."""
        matrix = np.zeros((len(self), len(self)), np.float32)
        i, j = self.bone_indices.T
        matrix[i, j] = matrix[j, i] = 1
        return matrix

    def cut(self, larger: Layout) -> np.ndarray:
        """Where this layout's joints lie in `larger`, int64 `[V]`: `keypoints[:,
        layout.cut(larger)]`.

        Raises:
            InputError: a joint of this layout is not in the larger one.
        """
        missing = [joint for joint in self.joints if joint not in larger.joints]
        if missing:
            raise InputError(
                f"layout {self.name!r} cannot be cut out of {larger.name!r}: it has no joint "
                f"{missing[0]!r}"
                + (f" (and {len(missing) - 1} others)" if len(missing) > 1 else "")
            )
        return larger.index(*self.joints)

    def to_json(self) -> str:
        """The layout as one JSON object; `from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "layout") -> Layout:
        """The layout a JSON object describes.

        Args:
            source: names the file in error messages.

        Raises:
            InputError: it is not JSON, not a layout's fields, or they do not fit together.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        expected = f"a JSON object with {', '.join(names)}"
        fields = files.parse_json(text, f"{source}: not a layout", expected, once=True)
        if not isinstance(fields, dict):
            raise InputError(f"{source}: not a layout: {_short(fields)}; expected {expected}")
        for problem, wrong in (
            ("is missing", set(names[: names.index("dimensions")]) - set(fields)),
            ("is unknown", set(fields) - set(names)),
        ):
            if wrong:
                raise InputError(
                    f"{source}: not a layout: {_short(min(wrong))} {problem}; expected {expected}"
                )
        try:
            return cls(**fields)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None


def _is_text(value) -> bool:
    """Whether it is a name that a store can hold: UTF-8 text of 1 to 200 characters without NUL."""
    if not isinstance(value, str) or not 1 <= len(value) <= 200 or "\0" in value:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _short(value) -> str:
    """A value as an error message shows it, of whatever size it is."""
    if isinstance(value, (list, tuple)):
        value = next((item for item in value if not _is_text(item)), tuple(value[:3]))
    text = (
        repr(value)
        if isinstance(value, (str, int, float, type(None), tuple))
        else type(value).__name__
    )
    return text if len(text) <= 60 else text[:60] + "…"


_LEFT = re.compile("left|^l|l$|(?<![a-z])l(?![a-z])", re.IGNORECASE)
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def _right_names(name: str) -> list[str]:
    """A joint's name with left turned into right, in every way in which it may be meant."""
    names = []
    for found in _LEFT.finditer(name):
        left = found.group()
        right = "r" if len(left) == 1 else "right"
        right = (
            right.upper() if left.isupper() else right.capitalize() if left[0].isupper() else right
        )
        names.append(name[: found.start()] + right + name[found.end() :])
    return names


def _sides(joints) -> tuple[tuple[str, str], ...]:
    """(left, right) pairs of joints whose names differ in their side only."""
    there, taken, pairs = set(joints), set(), []
    for joint in joints:
        other = next((name for name in _right_names(joint) if name in there), None)
        if other and not {joint, other} & taken:
            pairs.append((joint, other))
            taken |= {joint, other}
    return tuple(pairs)


def _side_of(name: str) -> str:
    """The side that a name's words say: "l", "r", "" for none or "lr" for both."""
    words = {word.lower() for word in _WORD.findall(name)}
    return "".join(side[0] for side in ("left", "right") if words & {side, side[0]})


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
    return _pairs(
        " ".join(
            "-".join([f"{side}Palm", *(f"{side}{f}{i}" for i in range(1, 5))]) for f in _FINGERS
        )
    )


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
        if "\0" in name or not pathlib.Path(name).exists():
            raise InputError(
                f"{name!r}: no such layout file" if "\0" in name else f"{name}: no such layout file"
            )
        return Layout.from_json(files.read_bytes(name, "a layout's JSON file", most=2**24), name)
    raise InputError(
        f"unknown layout {name!r}; known are {', '.join(sorted(LAYOUTS))}, or the path of a "
        "layout's .json file"
    )


def _define(name, joints, bones, root, scale, across, up, dimensions=2, more_mirror=()):
    joints = tuple(joints.split()) if isinstance(joints, str) else tuple(joints)
    bones = _pairs(bones) if isinstance(bones, str) else tuple(bones)
    return register(
        Layout(
            name,
            joints,
            bones,
            tuple(root.split()),
            tuple(scale.split()),
            tuple(across.split()),
            tuple(up.split()),
            dimensions,
            _parts(joints),
            _sides(joints) + more_mirror,
        )
    )


_SHOULDERS = "RShoulder LShoulder"

# OpenPose. The root of its 2D layouts is the neck: a seated person's hips are rarely in view. For
# the same reason the shoulders' width, not the torso's length, is the body's size.
BODY_25 = _define(
    "body25",
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip "
    "LKnee LAnkle "
    "REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    "Neck-Nose Neck-MidHip "
    + _both(
        "Nose-*Eye-*Ear Neck-*Shoulder-*Elbow-*Wrist "
        "MidHip-*Hip-*Knee-*Ankle-*BigToe-*SmallToe *Ankle-*Heel"
    ),
    "Neck",
    _SHOULDERS,
    _SHOULDERS,
    "Neck Nose",
)
BODY_25B = _define(
    "body25b",
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee "
    "RKnee LAnkle RAnkle "
    "UpperNeck HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    "UpperNeck-Nose UpperNeck-HeadTop "
    + _both(
        "Nose-*Eye-*Ear UpperNeck-*Shoulder-*Elbow-*Wrist "
        "*Shoulder-*Hip-*Knee-*Ankle-*BigToe-*SmallToe "
        "*Ankle-*Heel"
    ),
    _SHOULDERS,
    _SHOULDERS,
    _SHOULDERS,
    "UpperNeck HeadTop",
)
COCO_18 = _define(
    "coco18",
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee "
    "LAnkle REye LEye REar LEar",
    "Neck-Nose " + _both("Nose-*Eye-*Ear Neck-*Shoulder-*Elbow-*Wrist Neck-*Hip-*Knee-*Ankle"),
    "Neck",
    _SHOULDERS,
    _SHOULDERS,
    "Neck Nose",
)
COCO_17 = _define(
    "coco17",
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee "
    "RKnee LAnkle RAnkle",
    _both("Nose-*Eye-*Ear Nose-*Shoulder-*Elbow-*Wrist *Shoulder-*Hip-*Knee-*Ankle"),
    _SHOULDERS,
    _SHOULDERS,
    _SHOULDERS,
    "RShoulder REar",
)
LEFT_HAND_21, RIGHT_HAND_21 = (
    _define(
        f"{word}_hand21",
        _hand(side),
        _hand_bones(side),
        f"{side}Palm",
        f"{side}Palm {side}Middle1",
        f"{side}Index1 {side}Little1",
        f"{side}Palm {side}Middle1",
    )
    for word, side in (("left", "L"), ("right", "R"))
)
_HANDS = _hand("L") + _hand("R")
_HAND_BONES = _pairs("LWrist-LPalm RWrist-RPalm") + _hand_bones("L") + _hand_bones("R")
BODY_25_HANDS = _define(
    "body25_hands",
    BODY_25.joints + _HANDS,
    BODY_25.bones + _HAND_BONES,
    "Neck",
    _SHOULDERS,
    _SHOULDERS,
    "Neck Nose",
)
# OpenPose's 70 face points, as (left, right): the jaw from ear to ear (8 is the chin), the brows,
# the nostrils, the eyes, the outer and the inner lips, the pupils. The bridge of the nose and the
# middles of nose and lips stay in place. fmt: off
_FACE_SIDES = (
    *((16 - i, i) for i in range(8)),
    *((43 - i, i) for i in range(17, 22)),
    (35, 31),
    (34, 32),
    (45, 36),
    (44, 37),
    (43, 38),
    (42, 39),
    (47, 40),
    (46, 41),
    (54, 48),
    (53, 49),
    (52, 50),
    (55, 59),
    (56, 58),
    (64, 60),
    (63, 61),
    (65, 67),
    (69, 68),
)
# fmt: on
# The face points hang from the nose: they are kept together, and of their bones no more is
# claimed. Stores of earlier versions hold a layout without the faces' sides, and keep it.
OPENPOSE_137 = _define(
    "openpose137",
    BODY_25.joints + _FACE + _HANDS,
    BODY_25.bones + tuple(("Nose", point) for point in _FACE) + _HAND_BONES,
    "Neck",
    _SHOULDERS,
    _SHOULDERS,
    "Neck Nose",
    more_mirror=tuple((_FACE[left], _FACE[right]) for left, right in _FACE_SIDES),
)

# iMiGUE's published forms. Their five finger points a hand are taken to be the fingertips, which
# the files themselves do not say.
_TIPS = _fingertips("R") + _fingertips("L")
_TIP_BONES = tuple((f"{tip[0]}Wrist", tip) for tip in _TIPS)
IMIGUE_35 = _define(
    "imigue35",
    BODY_25.joints + _TIPS,
    BODY_25.bones + _TIP_BONES,
    "Neck",
    _SHOULDERS,
    _SHOULDERS,
    "Neck Nose",
)
_UPPER = BODY_25.joints[:8] + BODY_25.joints[15:19]
IMIGUE_22 = _define(
    "imigue22",
    _UPPER + _TIPS,
    tuple(bone for bone in BODY_25.bones if set(bone) <= set(_UPPER)) + _TIP_BONES,
    "Neck",
    _SHOULDERS,
    _SHOULDERS,
    "Neck Nose",
)

# Kinect, in metres.
KINECT_20 = _define(
    "kinect20",
    "HipCenter Spine ShoulderCenter Head LShoulder LElbow LWrist LHand RShoulder RElbow RWrist "
    "RHand "
    "LHip LKnee LAnkle LFoot RHip RKnee RAnkle RFoot",
    "HipCenter-Spine-ShoulderCenter-Head "
    + _both("ShoulderCenter-*Shoulder-*Elbow-*Wrist-*Hand HipCenter-*Hip-*Knee-*Ankle-*Foot"),
    "HipCenter",
    "HipCenter ShoulderCenter",
    _SHOULDERS,
    "HipCenter ShoulderCenter",
    3,
)
NTU_25 = _define(
    "ntu25",
    "SpineBase SpineMid Neck Head LShoulder LElbow LWrist LHand RShoulder RElbow RWrist RHand "
    "LHip LKnee LAnkle LFoot RHip RKnee RAnkle RFoot SpineShoulder LHandTip LHandThumb RHandTip "
    "RHandThumb",
    "SpineBase-SpineMid-SpineShoulder-Neck-Head "
    + _both(
        "SpineShoulder-*Shoulder-*Elbow-*Wrist-*Hand-*HandTip *Wrist-*HandThumb "
        "SpineBase-*Hip-*Knee-*Ankle-*Foot"
    ),
    "SpineBase",
    "SpineBase SpineShoulder",
    _SHOULDERS,
    "SpineBase SpineShoulder",
    3,
)
