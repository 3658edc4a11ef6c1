"""A model of a seated person: bones, posture, and where that puts the joints.

A `Person` is a chain of rigid bones in metres. A `Posture` is what a person's body does
over a video: posture drifts all the time, hands rest here and there, and the arms follow
from where the hands are to be. `data_prep/performance.py` adds the gestures.

x points to the person's left, y up, z to the front. This module needs NumPy only and
never imports JAX.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike

from data_prep.gestures import GESTURES, RESTS
from data_prep.motion import FPS, across, drift, minimum_jerk, rotations, turned, unit
from mgjax import skeleton

LAYOUT = skeleton.BODY_25_HANDS
LEFT, RIGHT = 0, 1

_SIDE = np.array([1.0, -1.0])  # x of the left and of the right
_HANDS = tuple(LAYOUT.index(*LAYOUT.parts[part]) for part in ("left hand", "right hand"))
_STAY = 30  # seconds that a hand rests in one place, at most

# The hand, in hand lengths. A finger is a knuckle and three bones; the thumb is first.
# fmt: off
# Along the fingers, towards the thumb.
_KNUCKLES = np.array([(0.14, 0.13), (0.50, 0.13), (0.52, 0.02), (0.49, -0.08), (0.44, -0.17)])
_PHALANGES = np.array([
    (0.22, 0.17, 0.14), (0.25, 0.14, 0.11), (0.27, 0.16, 0.11), (0.25, 0.15, 0.11),
    (0.20, 0.11, 0.10),
])
# fmt: on
_WRIST_TO_HAND = 0.03  # where the hand's own first point lies, from the wrist
_SPREAD = np.radians([42, 7, 0, -6, -13])  # of the fingers, towards the thumb
_BEND = np.radians([(25, 35, 40), *[(70, 95, 55)] * 4])  # of each joint in a fist

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
    """What a subject keeps from video to video: a body, tempo, hands and habits.

    Attributes:
        size: of the body, 1 on average.
        torso, shoulder, upper_arm, forearm, hand: lengths in metres; shoulder is half of
            the width.
        head: of an average head's size.
        tempo: of all gestures, 1 on average.
        right_handed: how often the right hand leads.
        slouch: how far the torso leans forward, degrees.
        place: where each gesture is done, metres `[gestures, 3]`.
        pace, reach: how fast and how large each gesture is done, 1 on average,
            `[gestures]`.
    """

    def __init__(self, rng: np.random.Generator):
        self.size = np.exp(rng.normal(0, 0.05))

        def length(metres: float, spread: float = 0.06) -> float:
            return metres * self.size * np.exp(rng.normal(0, spread))

        # The order of these lines is the order of the draws, so it cannot be changed.
        self.torso = length(0.50)
        self.shoulder = length(0.18, 0.08)
        self.upper_arm = length(0.285)
        self.forearm = length(0.25)
        self.hand = length(0.18)
        self.head = length(1.0, 0.05)
        self.tempo = np.exp(rng.normal(0, 0.18))
        self.right_handed = 0.75 if rng.random() < 0.85 else 0.25
        self.slouch = rng.normal(6, 4)
        self.place = rng.normal(0, 0.012, (len(GESTURES), 3))
        self.pace, self.reach = np.exp(rng.normal(0, 0.12, (2, len(GESTURES))))


def mirrored(vector: ArrayLike, side: int) -> np.ndarray:
    """A left hand's vector `[..., 3]` for a hand of this side."""
    return np.asarray(vector, float) * [_SIDE[side], 1, 1]


def as_column(values: np.ndarray, dimensions: int) -> np.ndarray:
    """Numbers `[T]` that multiply arrays `[T, ...]` of so many dimensions."""
    return values.reshape(-1, *[1] * (dimensions - 1))


class Posture:
    """What a person's body does in every frame of a video: angles and goals, then joints.

    Gestures are added to the angles, then `place_frames` is called, then gestures change
    the hands' goals, and `solve` gives the joints.

    Attributes:
        person, frames: who, and for how many frames T.
        torso, head: (pitch forward, yaw to the left, roll to the right), degrees `[T,
            3]`.
        shrug: lift of both shoulders, degrees `[T, 2]`.
        seat: between the hips, metres `[T, 3]`.
        goal: where each hand is to be, metres `[T, 2, 3]`; left, then right.
        fingers, palm: where its fingers point and its palm faces, `[T, 2, 3]`.
        grip: what of it is at the goal, 0 the wrist to 1 the tip of a straight finger,
            `[T, 2]`.
        elbow: how far its elbow is lifted to the side, degrees `[T, 2]`.
        curl: of its fingers, 0 for a flat hand to 1 for a fist, `[T, 2, 5]`.
        axes: origin `[T, 3]` and rotation `[T, 3, 3]` of seat, torso and head.
    """

    def __init__(self, person: Person, frames: int, rng: np.random.Generator):
        self.person, self.frames = person, frames
        self.axes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._sit(rng)
        self._rest_hands(rng)

    def _sit(self, rng: np.random.Generator) -> None:
        """Draw how torso, head, shoulders and seat drift: quickly a little, slowly more."""
        drifting = functools.partial(drift, rng, self.frames)
        now = np.linspace(0, 1, self.frames)
        quick = drifting(2.5, 3) * [1.5, 2.5, 1.5]
        self.torso = quick + drifting(15, 3) * [3, 5, 3]
        # People sink in their seats.
        sinking = now * rng.uniform(-2, 8)
        self.torso[:, 0] += self.person.slouch + sinking
        quick = drifting(0.8, 3) * [3, 3, 2]
        self.head = quick + drifting(5, 3) * [4, 12, 4]
        self.shrug = 3 * drifting(3, 2) + 4 * drifting(20, 2)
        slow = drifting(10, 3) * [0.025, 0.006, 0.02]
        self.seat = slow + drifting(1.5, 3) * 0.003

    def _rest_hands(self, rng: np.random.Generator) -> None:
        """Let each hand lie somewhere for up to half a minute, then go elsewhere."""
        drifting = functools.partial(drift, rng, self.frames)
        now = np.linspace(0, 1, self.frames)
        stays = int(np.ceil(self.frames / (_STAY * FPS))) + 1
        chosen = rng.integers(len(RESTS), size=(stays, 2))
        stay = np.minimum((now * (stays - 1)).astype(int), stays - 2)
        # From one place to the next within the last second of a stay.
        left = now * (stays - 1) - stay - 1  # of the stay, negative
        moved = minimum_jerk(left * _STAY + 1)

        def rest(field: str, spread: float = 0.0) -> np.ndarray:
            """A field of `Reach` in every frame, with some deviation in every stay."""
            rows = [[getattr(RESTS[place], field) for place in both] for both in chosen]
            values = np.array(rows, float)
            if values.ndim == 3:  # x, y, z
                values[:, RIGHT, 0] *= -1
            values += rng.normal(0, spread, values.shape)
            share = as_column(moved, values.ndim)
            return (1 - share) * values[stay] + share * values[stay + 1]

        wander = drifting(6, 2, 3) * 0.03 + drifting(1, 2, 3) * 0.006
        self.goal = rest("at", 0.03) * self.person.size + wander
        self.fingers = rest("fingers", 0.15) + 0.15 * drifting(5, 2, 3)
        self.palm = rest("palm", 0.15) + 0.15 * drifting(5, 2, 3)
        self.grip = rest("grip")
        self.elbow = rest("elbow") + 6 * drifting(8, 2)
        self.curl = rest("curl")[..., None] + 0.1 * drifting(3, 2, 5)

    def place_frames(self) -> None:
        """Set `axes`, once all of the body's angles are known."""
        torso = rotations(self.torso)
        neck = self.seat + turned(torso, np.array([0, self.person.torso, 0]))
        # The eyes stay on the listener: the head follows the torso by half.
        head = rotations(0.5 * self.torso + self.head)
        still = np.broadcast_to(np.eye(3), torso.shape)
        self.axes = {"seat": (self.seat * 0, still), "torso": (neck, torso), "head": (neck, head)}

    def solve(self) -> np.ndarray:
        """All joints of `LAYOUT`, float64 `[T, 67, 3]`, metres."""
        joints = np.zeros((self.frames, len(LAYOUT), 3))
        places = self._middle()
        for side, letter in enumerate("LR"):
            for name, place in self._side(side, places["Nose"]).items():
                places[letter + name] = place
            joints[:, _HANDS[side]] = self._hand(side, places[letter + "Wrist"])
        for name, place in places.items():
            joints[:, LAYOUT.joints.index(name)] = place
        return joints

    def _middle(self) -> dict[str, np.ndarray]:
        """The joints that are on neither side, by name, `[T, 3]`."""
        neck, head = self.axes["head"]
        from_neck = self.person.head * np.array([0, 0.165, 0.09])
        nose = neck + turned(head, from_neck)
        return {"Neck": neck, "MidHip": self.seat, "Nose": nose}

    def _side(self, side: int, nose: np.ndarray) -> dict[str, np.ndarray]:
        """The joints of one side but those of the hand, by name without L or R, `[T, 3]`."""
        person = self.person
        _, head = self.axes["head"]
        neck, torso = self.axes["torso"]
        joints = {}
        for name, place in (("Eye", _EYE), ("Ear", _EAR)):
            from_nose = person.head * mirrored(place, side)
            joints[name] = nose + turned(head, from_nose)
        for name, place in _LEGS.items():
            joints[name] = self.seat + person.size * mirrored(place, side)
        lift = np.radians(self.shrug[:, side])
        outwards = _SIDE[side] * np.cos(lift)
        out = np.stack([outwards, np.sin(lift), 0 * lift], -1)
        joints["Shoulder"] = neck + turned(torso, person.shoulder * out)
        joints["Elbow"], joints["Wrist"] = self._arm(side, joints["Shoulder"], torso)
        return joints

    def _arm(
        self, side: int, shoulder: np.ndarray, torso: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Elbow and wrist `[T, 3]` of an arm that brings the hand to its goal.

        Where the goal is further away than the arm is long, the hand comes as near as it
        can. Two bones of known length between shoulder and wrist leave the elbow a circle
        around the line between them; on it the elbow lies where `elbow` lifts it to.
        """
        upper, fore = self.person.upper_arm, self.person.forearm
        to_grip = (self.grip[:, side] * self.person.hand)[:, None]
        wrist = self.goal[:, side] - to_grip * unit(self.fingers[:, side])
        way = wrist - shoulder
        # Never quite stretched or folded, where the circle would be a point.
        nearest, farthest = abs(upper - fore) + 0.02, 0.995 * (upper + fore)
        distance = np.clip(np.linalg.norm(way, axis=-1), nearest, farthest)
        distance = distance[:, None]
        way = unit(way)
        angle = np.radians(self.elbow[:, side])
        outwards, behind = _SIDE[side] * np.sin(angle), np.full_like(angle, -0.15)
        out = np.stack([outwards, -np.cos(angle), behind], -1)
        out = across(turned(torso, out), way)
        # The law of cosines: the circle's distance from the shoulder, and its radius.
        along = (upper**2 - fore**2 + distance**2) / (2 * distance)
        aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
        elbow = shoulder + along * way + aside * out
        return elbow, shoulder + distance * way

    def _hand(self, side: int, wrist: np.ndarray) -> np.ndarray:
        """The 21 points of a hand `[T, 21, 3]`: one at the wrist, then four of each finger."""
        forward = unit(self.fingers[:, side])
        palm = across(self.palm[:, side], forward)
        thumb = _SIDE[side] * np.cross(palm, forward)
        # [T, finger, xyz]
        ahead, aside = forward[:, None], thumb[:, None]
        knuckle = _KNUCKLES[:, :1] * ahead + _KNUCKLES[:, 1:] * aside
        finger = np.cos(_SPREAD)[:, None] * ahead + np.sin(_SPREAD)[:, None] * aside
        # [T, finger, bone, xyz]: each bone is bent against the one before it.
        curl = np.clip(self.curl[:, side], 0, 1)
        bend = curl[..., None] * np.cumsum(_BEND, axis=1)
        straight, inward = finger[:, :, None], palm[:, None, None]
        bones = np.cos(bend)[..., None] * straight + np.sin(bend)[..., None] * inward
        bones = bones * _PHALANGES[..., None]
        knuckle = knuckle[:, :, None]
        tips = knuckle + np.cumsum(bones, axis=2)
        points = np.concatenate([knuckle, tips], axis=2)
        points = points.reshape(self.frames, 20, 3)
        points = np.concatenate([_WRIST_TO_HAND * ahead, points], axis=1)
        return wrist[:, None] + self.person.hand * points
