"""The named layouts as plain data: what `skeleton.Layout` is made of, one name after the other.

The same point of the body has the same name in every layout, with its side's letter in front, so
how one layout is cut out of another needs no table of indices. Bones are written as chains from
the root outwards: "Neck-RShoulder-RElbow Neck-Nose" is three bones.

This module computes nothing and imports no other package. `skeleton` makes its layouts of it.
"""

from __future__ import annotations

import itertools
from typing import Any

from mgjax import sides

Pairs = tuple[tuple[str, str], ...]
Fields = dict[str, Any]  # by the names of `skeleton.Layout`'s fields


# Ways of writing joints and bones


def _chains(text: str) -> Pairs:
    """Bones from chains of joints."""
    bones: list[tuple[str, str]] = []
    for chain in text.split():
        bones += itertools.pairwise(chain.split("-"))
    return tuple(bones)


def _both(text: str) -> str:
    """The text for the right side, then for the left: * stands for the side's letter."""
    return text.replace("*", "R") + " " + text.replace("*", "L")


FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")
FACE = tuple(f"Face{i}" for i in range(70))


def _finger(side: str, finger: str) -> list[str]:
    """The four points of a finger, from the palm to its tip."""
    return [f"{side}{finger}{i}" for i in range(1, 5)]


def _hand(side: str) -> tuple[str, ...]:
    fingers = [point for finger in FINGERS for point in _finger(side, finger)]
    return (f"{side}Palm", *fingers)


def _hand_bones(side: str) -> Pairs:
    chains = ["-".join([f"{side}Palm", *_finger(side, finger)]) for finger in FINGERS]
    return _chains(" ".join(chains))


def _fingertips(side: str) -> tuple[str, ...]:
    return tuple(f"{side}{finger}4" for finger in FINGERS)


_JOINTS_OF_PARTS = {
    "head": "Nose Eye Ear Head HeadTop UpperNeck",
    "torso": "Neck MidHip Spine ShoulderCenter HipCenter SpineShoulder SpineMid SpineBase",
    "arm": "Shoulder Elbow Wrist Hand HandTip HandThumb",
    "leg": "Hip Knee Ankle BigToe SmallToe Heel Foot",
    "hand": " ".join(_hand("")),
}
_PART_OF = {joint: part for part, joints in _JOINTS_OF_PARTS.items() for joint in joints.split()}


def _part_of(joint: str) -> str:
    """The body part of a joint, as in "right arm"; heads and torsos have no side."""
    if joint in FACE:
        return "face"
    if joint in _PART_OF:
        return _PART_OF[joint]
    # What is left begins with its side's letter.
    part = _PART_OF[joint[1:]]
    if part in ("arm", "leg", "hand"):
        return {"R": "right ", "L": "left "}[joint[0]] + part
    return part


def _parts(joints: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Body parts in the order of their first joints."""
    parts: dict[str, list[str]] = {}
    for joint in joints:
        parts.setdefault(_part_of(joint), []).append(joint)
    return {part: tuple(members) for part, members in parts.items()}


def _layout(
    name: str,
    *,
    joints: str | tuple[str, ...],
    bones: str | Pairs,
    root: str,
    scale: str,
    across: str,
    up: str,
    dimensions: int = 2,
) -> Fields:
    """A layout's fields; where they are texts, of words."""
    joints = tuple(joints.split()) if isinstance(joints, str) else joints
    return {
        "name": name,
        "joints": joints,
        "bones": _chains(bones) if isinstance(bones, str) else bones,
        "root": tuple(root.split()),
        "scale": tuple(scale.split()),
        "across": tuple(across.split()),
        "up": tuple(up.split()),
        "dimensions": dimensions,
        "parts": _parts(joints),
    }


# OpenPose, in pixels. The root of its layouts is the neck: a seated person's hips are rarely in
# view. For the same reason the shoulders' width, not the torso's length, is the body's size.

_SHOULDERS = "RShoulder LShoulder"

BODY_25 = _layout(
    "body25",
    joints="Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist "
    "MidHip RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar "
    "LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    bones="Neck-Nose Neck-MidHip "
    + _both(
        "Nose-*Eye-*Ear Neck-*Shoulder-*Elbow-*Wrist "
        "MidHip-*Hip-*Knee-*Ankle-*BigToe-*SmallToe *Ankle-*Heel"
    ),
    root="Neck",
    scale=_SHOULDERS,
    across=_SHOULDERS,
    up="Neck Nose",
)
# No joint lies between the hips here, so the legs hang from the shoulders.
BODY_25B = _layout(
    "body25b",
    joints="Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist "
    "LHip RHip LKnee RKnee LAnkle RAnkle UpperNeck HeadTop "
    "LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    bones="UpperNeck-Nose UpperNeck-HeadTop "
    + _both(
        "Nose-*Eye-*Ear UpperNeck-*Shoulder-*Elbow-*Wrist "
        "*Shoulder-*Hip-*Knee-*Ankle-*BigToe-*SmallToe *Ankle-*Heel"
    ),
    root=_SHOULDERS,
    scale=_SHOULDERS,
    across=_SHOULDERS,
    up="UpperNeck HeadTop",
)
COCO_18 = _layout(
    "coco18",
    joints="Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist "
    "RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar",
    bones="Neck-Nose "
    + _both("Nose-*Eye-*Ear Neck-*Shoulder-*Elbow-*Wrist Neck-*Hip-*Knee-*Ankle"),
    root="Neck",
    scale=_SHOULDERS,
    across=_SHOULDERS,
    up="Neck Nose",
)
# No joint lies on the body's axis but the nose, so the way up is from a shoulder to its ear.
COCO_17 = _layout(
    "coco17",
    joints="Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist "
    "LHip RHip LKnee RKnee LAnkle RAnkle",
    bones=_both("Nose-*Eye-*Ear Nose-*Shoulder-*Elbow-*Wrist *Shoulder-*Hip-*Knee-*Ankle"),
    root=_SHOULDERS,
    scale=_SHOULDERS,
    across=_SHOULDERS,
    up="RShoulder REar",
)


def _hand_layout(name: str, side: str) -> Fields:
    """One hand alone, whose size is the length of its palm."""
    return _layout(
        name,
        joints=_hand(side),
        bones=_hand_bones(side),
        root=f"{side}Palm",
        scale=f"{side}Palm {side}Middle1",
        across=f"{side}Index1 {side}Little1",
        up=f"{side}Palm {side}Middle1",
    )


LEFT_HAND_21 = _hand_layout("left_hand21", "L")
RIGHT_HAND_21 = _hand_layout("right_hand21", "R")

# The palm is the hand's own wrist: the body's wrist is another detector's point.
_HANDS = _hand("L") + _hand("R")
_HAND_BONES = _chains("LWrist-LPalm RWrist-RPalm") + _hand_bones("L") + _hand_bones("R")

BODY_25_HANDS = BODY_25 | {
    "name": "body25_hands",
    "joints": BODY_25["joints"] + _HANDS,
    "bones": BODY_25["bones"] + _HAND_BONES,
    "parts": _parts(BODY_25["joints"] + _HANDS),
}

# OpenPose's 70 face points, as (left, right): the jaw from ear to ear (8 is the chin), the brows,
# the nostrils, the eyes, the outer and the inner lips, the pupils. The bridge of the nose and the
# middles of nose and lips stay in place.
# fmt: off
_FACE_SIDES = (
    *((16 - i, i) for i in range(8)), *((43 - i, i) for i in range(17, 22)),
    (35, 31), (34, 32), (45, 36), (44, 37), (43, 38), (42, 39), (47, 40), (46, 41), (54, 48),
    (53, 49), (52, 50), (55, 59), (56, 58), (64, 60), (63, 61), (65, 67), (69, 68),
)
# fmt: on
_FACE_MIRROR = tuple((FACE[left], FACE[right]) for left, right in _FACE_SIDES)

# The face points hang from the nose: they are kept together, and of their bones no more is
# claimed. Stores of earlier versions hold a layout without the faces' sides, and keep it.
_OPENPOSE_JOINTS = BODY_25["joints"] + FACE + _HANDS
OPENPOSE_137 = BODY_25 | {
    "name": "openpose137",
    "joints": _OPENPOSE_JOINTS,
    "bones": BODY_25["bones"] + tuple(("Nose", point) for point in FACE) + _HAND_BONES,
    "parts": _parts(_OPENPOSE_JOINTS),
    # The numbers of the face points say no side, so their pairs are added to those of the names.
    "mirror": sides.pairs(_OPENPOSE_JOINTS) + _FACE_MIRROR,
}

# iMiGUE's published forms. Their five finger points a hand are taken to be the fingertips, which
# the files themselves do not say.

_TIPS = _fingertips("R") + _fingertips("L")
_TIP_BONES = tuple((f"{tip[0]}Wrist", tip) for tip in _TIPS)

IMIGUE_35 = BODY_25 | {
    "name": "imigue35",
    "joints": BODY_25["joints"] + _TIPS,
    "bones": BODY_25["bones"] + _TIP_BONES,
    "parts": _parts(BODY_25["joints"] + _TIPS),
}

# Head and arms of body25, without what is below the table.
_UPPER = BODY_25["joints"][:8] + BODY_25["joints"][15:19]
_UPPER_BONES = tuple(bone for bone in BODY_25["bones"] if set(bone) <= set(_UPPER))

IMIGUE_22 = BODY_25 | {
    "name": "imigue22",
    "joints": _UPPER + _TIPS,
    "bones": _UPPER_BONES + _TIP_BONES,
    "parts": _parts(_UPPER + _TIPS),
}

# Kinect, in metres. Whole bodies are in view, so the torso is the body's size.

KINECT_20 = _layout(
    "kinect20",
    joints="HipCenter Spine ShoulderCenter Head LShoulder LElbow LWrist LHand "
    "RShoulder RElbow RWrist RHand LHip LKnee LAnkle LFoot RHip RKnee RAnkle RFoot",
    bones="HipCenter-Spine-ShoulderCenter-Head "
    + _both("ShoulderCenter-*Shoulder-*Elbow-*Wrist-*Hand HipCenter-*Hip-*Knee-*Ankle-*Foot"),
    root="HipCenter",
    scale="HipCenter ShoulderCenter",
    across=_SHOULDERS,
    up="HipCenter ShoulderCenter",
    dimensions=3,
)
NTU_25 = _layout(
    "ntu25",
    joints="SpineBase SpineMid Neck Head LShoulder LElbow LWrist LHand "
    "RShoulder RElbow RWrist RHand LHip LKnee LAnkle LFoot RHip RKnee RAnkle RFoot "
    "SpineShoulder LHandTip LHandThumb RHandTip RHandThumb",
    bones="SpineBase-SpineMid-SpineShoulder-Neck-Head "
    + _both(
        "SpineShoulder-*Shoulder-*Elbow-*Wrist-*Hand-*HandTip *Wrist-*HandThumb "
        "SpineBase-*Hip-*Knee-*Ankle-*Foot"
    ),
    root="SpineBase",
    scale="SpineBase SpineShoulder",
    across=_SHOULDERS,
    up="SpineBase SpineShoulder",
    dimensions=3,
)
