"""A model of a seated person's upper body, and of the micro-gestures that it can do.

A `Person` is a chain of rigid bones in metres. Each `Gesture` of `GESTURES` says where the hands
go (`Reach`), how they are held and what they do there, or how the torso, the shoulders or the
head move. `perform` lets a person do
some of them: posture drifts all the time, the gestures move torso, head and shoulders and set the
hands' goals, and the arms follow from where the hands are to be.

The gestures carry iMiGUE's class names; their forms are this file's, without a claim to human
behaviour. This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mgjax import skeleton

LAYOUT = skeleton.BODY_25_HANDS
FPS = 25

_LEFT, _RIGHT = 0, 1
_SIDE = np.array([1.0, -1.0])  # x points to the person's left


@dataclasses.dataclass(frozen=True)
class Reach:
    """Where a left hand goes and how it is held there; for a right hand, x is mirrored.

    Coordinates are metres on a body of average size: x to the person's left, y up, z to the front.

    Attributes:
        frame: whose coordinates: "head" and "torso" start at the neck, "seat" between the hips.
        at: the place touched.
        fingers, palm: where the fingers point and the palm faces.
        grip: what touches, 0 the wrist to 1 the tip of a straight finger.
        elbow: how far the elbow is lifted to the side, degrees.
        curl: 0 for a flat hand to 1 for a fist.
        swing: how far the hand goes to and fro along x, y, z, metres.
        hertz: range of how often.
    """

    frame: str
    at: tuple[float, float, float]
    fingers: tuple[float, float, float]
    palm: tuple[float, float, float]
    grip: float = 0.9
    elbow: float = 20
    curl: float = 0.3
    swing: tuple[float, float, float] = (0, 0, 0)
    hertz: tuple[float, float] = (0.5, 1)


@dataclasses.dataclass(frozen=True)
class Gesture:
    """A class of micro-gesture.

    Attributes:
        name: the class.
        tilt: 1 if it is seen more often after a defeat (hands on oneself), -1 if after a victory
            (large free movements), 0 if as often after either.
        reach: what the hands do, or None.
        both: how often both hands do it; otherwise it is one of them.
        apart: where the other hand of two is, as an offset to the mirrored place, metres.
        opposed: whether two hands swing against each other.
        torso, head, shrug: (pitch forward, yaw to the left, roll to the right) and both
            shoulders' lift, held, degrees.
        torso_swing, shrug_swing: the same, to and fro.
        hertz: range of how often.
    """

    name: str
    tilt: int
    reach: Reach | None = None
    both: float = 0
    apart: tuple[float, float, float] = (0, 0, 0)
    opposed: bool = False
    torso: tuple[float, float, float] = (0, 0, 0)
    head: tuple[float, float, float] = (0, 0, 0)
    shrug: float = 0
    torso_swing: tuple[float, float, float] = (0, 0, 0)
    shrug_swing: float = 0
    hertz: tuple[float, float] = (0.5, 1)


# In the order of iMiGUE's classes, all 32. What a skeleton does not show (lips, cheeks) is left
# with what it does: a small nod, a rising chest.
# fmt: off
GESTURES = (
    Gesture("turtle neck", 1, shrug=30, head=(14, 0, 0), torso=(6, 0, 0)),
    Gesture("bulging face, deep breath", 1, torso=(-7, 0, 0), head=(-6, 0, 0), shrug_swing=16, hertz=(0.25, 0.45)),
    Gesture("touching hat", 1, Reach(
        "head", (0.04, 0.285, 0.10), (-0.5, 0.6, -0.5), (-0.2, -0.8, -0.5), 0.9, 45, 0.5, (0.006, 0.012, 0.006), (1, 2),
    ), both=0.3, head=(6, 0, 0)),
    Gesture("touching or scratching head", 1, Reach(
        "head", (0.05, 0.305, 0.0), (-0.6, 0.3, -0.5), (-0.4, -0.9, -0.2), 0.85, 70, 0.45, (0.025, 0.005, 0.03), (3, 5),
    ), head=(8, 0, 0)),
    Gesture("touching or scratching forehead", 1, Reach(
        "head", (0.02, 0.235, 0.12), (-0.8, 0.5, -0.2), (-0.1, -0.1, -1), 0.9, 50, 0.35, (0.035, 0.004, 0), (1.5, 3),
    ), head=(12, 0, 0)),
    Gesture("covering face", 1, Reach(
        "head", (0.04, 0.175, 0.13), (-0.2, 1, -0.1), (0, 0, -1), 0.65, 10, 0.1,
    ), both=0.75, torso=(10, 0, 0), head=(22, 0, 0)),
    Gesture("rubbing eyes", 1, Reach(
        "head", (0.034, 0.20, 0.115), (-0.3, 0.8, -0.3), (-0.3, 0.2, -1), 0.8, 25, 0.8, (0.014, 0.008, 0), (2.5, 4),
    ), both=0.25, head=(14, 0, 0)),
    Gesture("touching or scratching facial parts", 1, Reach(
        "head", (0.06, 0.15, 0.085), (-0.1, 0.9, -0.3), (-0.8, 0.1, -0.6), 0.9, 15, 0.4, (0.008, 0.02, 0.008), (1, 3),
    )),
    Gesture("touching ears", 1, Reach(
        "head", (0.085, 0.17, -0.01), (0.0, 0.8, -0.6), (-1, 0, 0), 0.9, 40, 0.5, (0.002, 0.016, 0.01), (1, 2),
    ), head=(0, 0, 8)),
    Gesture("biting nails", 1, Reach(
        "head", (0.0, 0.115, 0.125), (-0.3, 0.7, -0.6), (-0.2, 0.5, -0.9), 0.85, 5, 0.75, (0.006, 0.008, 0), (3, 5),
    ), head=(10, 0, 0)),
    Gesture("touching jaw", 1, Reach(
        "head", (0.01, 0.10, 0.105), (-0.5, 0.7, -0.2), (-0.2, 0.3, -1), 0.6, 5, 0.75, (0.006, 0.006, 0), (0.5, 1),
    ), torso=(8, 0, 0), head=(4, 0, 0)),
    Gesture("touching or scratching neck", 1, Reach(
        "head", (0.06, 0.055, -0.03), (-0.3, 0.35, -0.9), (-0.9, 0.1, 0.3), 0.85, 60, 0.35, (0.012, 0.03, 0.01), (2, 4),
    ), head=(4, 0, 12)),
    Gesture("playing with or adjusting hair", 1, Reach(
        "head", (0.075, 0.25, -0.035), (-0.1, 0.5, -0.8), (-0.9, -0.3, 0), 0.8, 65, 0.25, (0.01, 0.045, 0.06), (0.5, 1),
    ), both=0.2, head=(0, 0, 6)),
    Gesture("buckling button, pulling collar, adjusting tie", 1, Reach(
        "torso", (0.02, -0.11, 0.12), (-0.7, 0.7, -0.2), (0, -0.2, -1), 0.85, 40, 0.65, (0.012, 0.03, 0.02), (0.8, 1.6),
    ), both=0.6, head=(12, 0, 0)),
    Gesture("touching or covering suprasternal notch", 1, Reach(
        "torso", (0.01, -0.04, 0.09), (-0.9, 0.35, -0.1), (0, 0.1, -1), 0.75, 30, 0.2, (0.01, 0.005, 0), (0.5, 1),
    ), head=(6, 0, 0)),
    Gesture("scratching back", 1, Reach(
        "torso", (0.11, 0.05, -0.10), (-0.1, -0.5, -0.9), (0, 0, 1), 0.8, 110, 0.4, (0.008, 0.035, 0.01), (2.5, 4),
    ), torso=(8, 0, 0), head=(10, 0, 0)),
    Gesture("folding arms", 0, Reach(
        "torso", (-0.16, -0.27, 0.17), (-1, 0.15, 0.05), (0, 0.1, -1), 0.55, 35, 0.35,
    ), both=1, apart=(0, -0.05, -0.05)),
    Gesture("dusting off clothes", 0, Reach(
        "torso", (-0.06, -0.20, 0.15), (-0.9, -0.2, 0.2), (0, -0.1, -1), 0.8, 35, 0.15, (0.07, 0.03, 0.02), (2, 3.5),
    ), head=(20, 0, 0)),
    Gesture("putting arms behind body", 0, Reach(
        "seat", (0.04, 0.10, -0.20), (-1, -0.2, 0.1), (0, 0, 1), 0.6, 75, 0.4,
    ), both=1, torso=(-4, 0, 0)),
    Gesture("moving torso", -1, torso_swing=(11, 12, 15), hertz=(0.35, 0.7)),
    Gesture("sitting straight", -1, torso=(-16, 0, 0), head=(4, 0, 0), shrug=-6),
    Gesture("scratching or touching arms", 1, Reach(
        "torso", (-0.20, -0.15, 0.09), (-0.9, 0.15, -0.3), (-0.3, 0, -1), 0.75, 30, 0.3, (0.005, 0.045, 0.01), (1, 2),
    )),
    Gesture("rubbing or holding hands", 1, Reach(
        "torso", (0.012, -0.31, 0.31), (-0.45, 0.2, 0.9), (-1, 0, 0), 0.65, 25, 0.25, (0, 0.02, 0.04), (1.5, 3),
    ), both=1, opposed=True),
    Gesture("crossing fingers", 1, Reach(
        "torso", (0.0, -0.23, 0.28), (-0.75, 0.5, 0.4), (-0.6, -0.2, -0.7), 0.75, 40, 0.65,
    ), both=1),
    Gesture("minaret gesture", 0, Reach(
        "torso", (0.006, -0.13, 0.26), (-0.25, 0.95, 0.15), (-1, 0, 0), 1.0, 45, 0.05,
    ), both=1),
    Gesture("playing with or manipulating objects", 0, Reach(
        "seat", (0.06, 0.21, 0.40), (-0.5, -0.1, 0.9), (-0.3, -1, 0), 0.8, 30, 0.7, (0.06, 0.025, 0.05), (0.8, 1.6),
    ), both=0.5, head=(18, 0, 0)),
    Gesture("holding back arms", 0, Reach(
        "seat", (-0.14, 0.20, -0.14), (-1, 0, 0.2), (0, 0, 1), 0.6, 60, 0.5,
    ), both=1, apart=(0.10, -0.08, 0), torso=(-6, 0, 0)),
    Gesture("head up", -1, head=(-32, 0, 0)),
    Gesture("pressing lips", 1, head=(7, 0, 0)),
    Gesture("arms akimbo", -1, Reach(
        "seat", (0.20, 0.19, 0.0), (-0.5, -0.4, 0.7), (-1, 0, 0), 0.3, 85, 0.35,
    ), both=0.8),
    Gesture("shaking shoulders", -1, shrug_swing=28, hertz=(1.2, 2.2)),
    Gesture("illustrative body language", -1, Reach(
        "torso", (0.22, -0.20, 0.30), (-0.2, 0.5, 0.8), (-0.7, 0.7, 0), 0.6, 30, 0.2, (0.09, 0.09, 0.06), (0.7, 1.5),
    ), both=0.6),
)
# fmt: on

# Where a hand rests between gestures: on the desk, on the thigh, on an arm rest.
_RESTS = (
    Reach("seat", (0.13, 0.20, 0.36), (-0.6, 0, 0.8), (0, -1, 0), 0.6, 30, 0.3),
    Reach("seat", (0.15, 0.12, 0.34), (-0.2, -0.2, 0.9), (0, -1, 0), 0.6, 15, 0.25),
    Reach("seat", (0.29, 0.23, 0.22), (-0.2, -0.1, 1), (-0.2, -1, 0), 0.6, 25, 0.45),
)

_STAY = 30  # seconds that a hand rests in one place, at most

# The hand, in hand lengths: knuckles as (along the fingers, towards the thumb), and the three
# bones of a finger.
_KNUCKLES = np.array([(0.14, 0.13), (0.50, 0.13), (0.52, 0.02), (0.49, -0.08), (0.44, -0.17)])
_PHALANGES = np.array(
    [
        (0.22, 0.17, 0.14),
        (0.25, 0.14, 0.11),
        (0.27, 0.16, 0.11),
        (0.25, 0.15, 0.11),
        (0.20, 0.11, 0.10),
    ]
)
_SPREAD = np.radians([42, 7, 0, -6, -13])
_BEND = np.radians(np.array([(25, 35, 40)] + [(70, 95, 55)] * 4))
# Eyes and ears from the nose, left side, metres on an average head.
_EYE, _EAR = (0.032, 0.035, -0.025), (0.075, 0.005, -0.10)
# Legs from between the hips, left side, metres on an average body.
_LEGS = {
    "Hip": (0.09, 0, 0),
    "Knee": (0.12, 0, 0.42),
    "Ankle": (0.12, -0.42, 0.40),
    "BigToe": (0.10, -0.46, 0.56),
    "SmallToe": (0.17, -0.46, 0.54),
    "Heel": (0.12, -0.46, 0.35),
}


class Person:
    """What a subject keeps from video to video: lengths in metres, tempo, hands, and ways of
    doing each gesture.
    """

    def __init__(self, rng):
        self.size = np.exp(rng.normal(0, 0.05))

        def length(metres, spread=0.06):
            return metres * self.size * np.exp(rng.normal(0, spread))

        self.torso, self.shoulder = length(0.50), length(0.18, 0.08)
        self.upper_arm, self.forearm, self.hand = length(0.285), length(0.25), length(0.18)
        self.head = length(1.0, 0.05)
        self.tempo = np.exp(rng.normal(0, 0.18))
        self.right_handed = 0.75 if rng.random() < 0.85 else 0.25
        self.slouch = rng.normal(6, 4)
        # Habits, a row a gesture: where it is done (metres), how fast and how large.
        self.place = rng.normal(0, 0.012, (len(GESTURES), 3))
        self.pace, self.reach = np.exp(rng.normal(0, 0.12, (2, len(GESTURES))))


def _smooth(s):
    """The minimum-jerk course from 0 to 1 while s goes from 0 to 1."""
    s = np.clip(s, 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def drift(rng, frames: int, seconds: float, *shape: int) -> np.ndarray:
    """Aimless movement of unit size, `[frames, *shape]`: a new place about every so many
    seconds.
    """
    at = np.arange(frames) / (seconds * FPS)
    knots = rng.normal(size=(int(at[-1]) + 2, *shape))
    before = at.astype(int)
    share = _smooth(at - before).reshape(-1, *[1] * len(shape))
    return knots[before] * (1 - share) + knots[before + 1] * share


def rotations(degrees) -> np.ndarray:
    """Rotation matrices `[..., 3, 3]` of (pitch forward, yaw to the left, roll to the right)
    `[..., 3]`, degrees.
    """
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    zero, one = np.zeros_like(c[..., 0]), np.ones_like(c[..., 0])

    def matrix(*rows):
        return np.stack([np.stack(row, -1) for row in rows], -2)

    pitch = matrix((one, zero, zero), (zero, c[..., 0], -s[..., 0]), (zero, s[..., 0], c[..., 0]))
    yaw = matrix((c[..., 1], zero, s[..., 1]), (zero, one, zero), (-s[..., 1], zero, c[..., 1]))
    roll = matrix((c[..., 2], -s[..., 2], zero), (s[..., 2], c[..., 2], zero), (zero, zero, one))
    return yaw @ pitch @ roll


def turned(rotation, vector) -> np.ndarray:
    """Vectors `[..., 3]` turned by rotation matrices `[..., 3, 3]`."""
    return np.einsum("...ij,...j->...i", rotation, vector)


def _unit(vector) -> np.ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _mirrored(vector, side: int) -> np.ndarray:
    """A left hand's vector `[..., 3]` for a hand of this side."""
    return np.asarray(vector, float) * [_SIDE[side], 1, 1]


class _Pose:
    """A video's posture in every frame: first as angles and goals of the hands, then solved to
    joints.
    """

    def __init__(self, person: Person, frames: int, rng):
        self.person, self.frames = person, frames
        t = np.linspace(0, 1, frames)
        self.torso = drift(rng, frames, 2.5, 3) * [1.5, 2.5, 1.5] + drift(rng, frames, 15, 3) * [
            3,
            5,
            3,
        ]
        # People sink in their seats.
        self.torso[:, 0] += person.slouch + t * rng.uniform(-2, 8)
        self.head = drift(rng, frames, 0.8, 3) * [3, 3, 2] + drift(rng, frames, 5, 3) * [4, 12, 4]
        self.shrug = 3 * drift(rng, frames, 3, 2) + 4 * drift(rng, frames, 20, 2)
        self.seat = (
            drift(rng, frames, 10, 3) * [0.025, 0.006, 0.02] + drift(rng, frames, 1.5, 3) * 0.003
        )
        # Each hand lies somewhere for up to half a minute, then goes elsewhere within a second.
        stays = int(np.ceil(frames / (_STAY * FPS))) + 1
        chosen = rng.integers(len(_RESTS), size=(stays, 2))
        stay = np.minimum((t * (stays - 1)).astype(int), stays - 2)
        moved = _smooth((t * (stays - 1) - stay - 1) * _STAY + 1)

        def rest(field, spread=0.0):
            values = np.array(
                [[getattr(_RESTS[place], field) for place in both] for both in chosen], float
            )
            if values.ndim == 3:
                values[:, _RIGHT, 0] *= -1
            values += rng.normal(0, spread, values.shape)
            share = moved.reshape(-1, *[1] * (values.ndim - 1))
            return (1 - share) * values[stay] + share * values[stay + 1]

        wander = drift(rng, frames, 6, 2, 3) * 0.03 + drift(rng, frames, 1, 2, 3) * 0.006
        self.goal = rest("at", 0.03) * person.size + wander
        self.fingers = rest("fingers", 0.15) + 0.15 * drift(rng, frames, 5, 2, 3)
        self.palm = rest("palm", 0.15) + 0.15 * drift(rng, frames, 5, 2, 3)
        self.grip = rest("grip")
        self.elbow = rest("elbow") + 6 * drift(rng, frames, 8, 2)
        self.curl = rest("curl")[..., None] + 0.1 * drift(rng, frames, 3, 2, 5)

    def place_frames(self):
        """Origin `[T, 3]` and rotation `[T, 3, 3]` of torso and head, once all of the body's
        angles are known.
        """
        torso = rotations(self.torso)
        neck = self.seat + turned(torso, np.array([0, self.person.torso, 0]))
        # The eyes stay on the listener: the head follows the torso by half.
        head = rotations(0.5 * self.torso + self.head)
        still = np.broadcast_to(np.eye(3), torso.shape)
        self.axes = {"seat": (self.seat * 0, still), "torso": (neck, torso), "head": (neck, head)}

    def solve(self) -> np.ndarray:
        """All joints, float64 `[T, 67, 3]`, metres."""
        person = self.person
        joints = np.zeros((self.frames, len(LAYOUT), 3))

        def put(name, value):
            joints[:, LAYOUT.joints.index(name)] = value

        neck, torso = self.axes["torso"]
        _, head = self.axes["head"]
        nose = neck + turned(head, person.head * np.array([0, 0.165, 0.09]))
        put("Neck", neck), put("MidHip", self.seat), put("Nose", nose)
        lift = np.radians(self.shrug)
        for side, letter in enumerate("LR"):
            for name, place in (("Eye", _EYE), ("Ear", _EAR)):
                put(letter + name, nose + turned(head, person.head * _mirrored(place, side)))
            for name, place in _LEGS.items():
                put(letter + name, self.seat + person.size * _mirrored(place, side))
            out = np.stack(
                [_SIDE[side] * np.cos(lift[:, side]), np.sin(lift[:, side]), 0 * lift[:, side]], -1
            )
            shoulder = neck + turned(torso, person.shoulder * out)
            elbow, wrist = self._arm(side, shoulder, torso)
            (
                put(letter + "Shoulder", shoulder),
                put(letter + "Elbow", elbow),
                put(letter + "Wrist", wrist),
            )
            joints[:, LAYOUT.index(*LAYOUT.parts[("left hand", "right hand")[side]])] = self._hand(
                side, wrist
            )
        return joints

    def _arm(self, side, shoulder, torso):
        """Elbow and wrist `[T, 3]` of an arm that brings the hand to its goal, or as near as it
        is long.
        """
        upper, fore = self.person.upper_arm, self.person.forearm
        wrist = self.goal[:, side] - (self.grip[:, side] * self.person.hand)[:, None] * _unit(
            self.fingers[:, side]
        )
        way = wrist - shoulder
        distance = np.clip(
            np.linalg.norm(way, axis=-1), abs(upper - fore) + 0.02, 0.995 * (upper + fore)
        )[:, None]
        way = _unit(way)
        angle = np.radians(self.elbow[:, side])
        out = np.stack(
            [_SIDE[side] * np.sin(angle), -np.cos(angle), np.full_like(angle, -0.15)], -1
        )
        out = turned(torso, out)
        out = _unit(out - way * (out * way).sum(-1, keepdims=True))
        along = (upper**2 - fore**2 + distance**2) / (2 * distance)
        aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
        return shoulder + along * way + aside * out, shoulder + distance * way

    def _hand(self, side, wrist):
        """The 21 points of a hand `[T, 21, 3]`."""
        forward = _unit(self.fingers[:, side])
        palm = self.palm[:, side]
        palm = _unit(palm - forward * (palm * forward).sum(-1, keepdims=True))
        thumb = _SIDE[side] * np.cross(palm, forward)
        # [T, finger, xyz]
        knuckle = _KNUCKLES[:, :1] * forward[:, None] + _KNUCKLES[:, 1:] * thumb[:, None]
        ahead = (
            np.cos(_SPREAD)[:, None] * forward[:, None] + np.sin(_SPREAD)[:, None] * thumb[:, None]
        )
        bend = np.clip(self.curl[:, side], 0, 1)[..., None] * np.cumsum(_BEND, axis=1)
        bones = (
            np.cos(bend)[..., None] * ahead[:, :, None]
            + np.sin(bend)[..., None] * palm[:, None, None]
        )
        tips = knuckle[:, :, None] + np.cumsum(bones * _PHALANGES[..., None], axis=2)
        points = np.concatenate([knuckle[:, :, None], tips], axis=2).reshape(self.frames, 20, 3)
        points = np.concatenate([0.03 * forward[:, None], points], axis=1)
        return wrist[:, None] + self.person.hand * points


class _Performance:
    """One gesture as done once: where it starts, how far it goes, how fast, with which hand."""

    def __init__(self, gesture: int, start: int, length: int, person: Person, rng):
        self.gesture, self.person, self.rng = GESTURES[gesture], person, rng
        tempo = person.tempo * person.pace[gesture] * np.exp(rng.normal(0, 0.1))
        # An annotator's clip holds most of the way there and back, of a short clip at least a
        # fifth at the goal.
        inside = np.minimum(rng.uniform(0.25, 0.5, 2) / tempo, 0.4 * length / FPS) * FPS
        outside = rng.uniform(0.1, 0.24, 2) * FPS
        self.first = max(0, int(start - np.ceil(outside[0])))
        self.stop = int(start + length + np.ceil(outside[1]))
        at = np.arange(self.first, self.stop)
        come = (at - start + outside[0]) / (inside[0] + outside[0])
        go = (start + length + outside[1] - 1 - at) / (inside[1] + outside[1])
        self.share = _smooth(come) * _smooth(go)
        self.seconds = (at - start) / FPS * tempo
        self.size = person.reach[gesture] * rng.uniform(0.75, 1.25)
        self.place = person.place[gesture] + rng.normal(0, 0.008, 3)
        lead = _RIGHT if rng.random() < person.right_handed else _LEFT
        self.hands = (lead, 1 - lead) if rng.random() < self.gesture.both else (lead,)

    def _wave(self, hertz, columns):
        """To and fro in each of some columns, `[frames, columns]`: one rhythm, nearly, and
        phases of their own.
        """
        often = self.rng.uniform(*hertz) * self.rng.uniform(0.9, 1.1, columns)
        return np.sin(2 * np.pi * (often * self.seconds[:, None] + self.rng.random(columns)))

    def move_body(self, pose: _Pose):
        """Add the gesture's angles of torso, head and shoulders to a pose."""
        gesture, now, share = self.gesture, slice(self.first, self.stop), self.share[:, None]
        frames = len(pose.torso[now])
        wave = self._wave(gesture.hertz, 3) * self.rng.choice([0.3, 1], 3)
        torso = gesture.torso + wave * gesture.torso_swing * self.size + self.rng.normal(0, 2, 3)
        pose.torso[now] += (share * torso)[:frames]
        pose.head[now] += (share * (np.array(gesture.head) * self.size + self.rng.normal(0, 3, 3)))[
            :frames
        ]
        # Both shoulders, or one after the other.
        late = self.rng.choice([0, 0, np.pi]) + self.rng.normal(0, 0.3)
        phase = 2 * np.pi * self.rng.uniform(*gesture.hertz) * self.seconds[:, None] + [0, late]
        lift = gesture.shrug + gesture.shrug_swing * (0.5 - 0.5 * np.cos(phase))
        pose.shrug[now] += (share * lift * self.size)[:frames]

    def move_hands(self, pose: _Pose):
        """Bring the hands of a pose, whose body is placed, to the gesture's goals."""
        reach, rng = self.gesture.reach, self.rng
        if reach is None:
            return
        wave = self._wave(reach.hertz, 3) * reach.swing * self.size
        for order, side in enumerate(self.hands):
            swing = -wave if order and self.gesture.opposed else wave
            at = np.array(reach.at) + self.place + rng.normal(0, 0.006, 3) + swing
            if order:
                at = at + self.gesture.apart
            origin, axes = (part[self.first : self.stop] for part in pose.axes[reach.frame])
            frames = len(origin)
            # Places on the head are as far apart as the head is large, others as the body is.
            size = self.person.head if reach.frame == "head" else self.person.size
            goals = {
                "goal": origin + turned(axes, size * _mirrored(at[:frames], side)),
                "fingers": turned(
                    axes, _mirrored(_unit(np.array(reach.fingers)) + rng.normal(0, 0.1, 3), side)
                ),
                "palm": turned(
                    axes, _mirrored(_unit(np.array(reach.palm)) + rng.normal(0, 0.1, 3), side)
                ),
                "grip": reach.grip,
                "elbow": reach.elbow + rng.normal(0, 6),
                "curl": reach.curl + rng.normal(0, 0.06, 5),
            }
            for name, goal in goals.items():
                track = getattr(pose, name)[self.first : self.stop, side]
                share = self.share[:frames].reshape(-1, *[1] * (track.ndim - 1))
                track[...] = (1 - share) * track + share * goal


def perform(
    person: Person, gestures: Sequence[int], start: np.ndarray, length: np.ndarray, frames: int, rng
) -> np.ndarray:
    """A person who sits there for some frames and does one gesture after another.

    Args:
        person: who.
        gestures, start, length: what is done, as rows of `GESTURES`; from which frame on, and for
            how many frames; `[clips]` each.
        frames: how many in all.
        rng: NumPy's generator; the same state gives the same movement.

    Returns:
        All joints of `LAYOUT`, float64 `[frames, 67, 3]`, metres from between the hips; x to the
        person's left, y up, z to the front.
    """
    pose = _Pose(person, frames, rng)
    performances = [
        _Performance(gesture, a, n, person, rng) for gesture, a, n in zip(gestures, start, length)
    ]
    for performance in performances:
        performance.move_body(pose)
    pose.place_frames()
    for performance in performances:
        performance.move_hands(pose)
    return pose.solve()
