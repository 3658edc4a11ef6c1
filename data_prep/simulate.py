r"""Interviews that nobody gave: seated people drawn from a model of the upper body, with a known truth.

    python data_prep/simulate.py --output interviews/
    python data_prep/pack_openpose.py --input interviews/openpose --videos interviews/videos.csv \
        --clips interviews/clips.csv --layout body25_hands --output interviews.h5

A person is a chain of rigid bones in metres. Every clip is one micro-gesture: the hands reach for a place on
the body, stay, rub or scratch and go back, or the torso, the shoulders or the head move. People differ in
proportions, tempo and favoured hand; videos differ in place, size and angle of view and in where the hands rest;
posture drifts all the time; and what the camera saw is then given the errors of a pose estimator: jitter that
grows as the score falls, lost joints, lost hands, and everything below the waist hidden by a desk.

The data serves to try the toolkit and to test one's own code. It has no claim to human behaviour: the gestures
carry class names of iMiGUE, their forms and frequencies are this file's.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib

import numpy as np
from absl import app, flags

from mgjax import progress, protocols, skeleton, store
from mgjax.errors import InputError, script

LAYOUT = skeleton.BODY_25_HANDS
FPS, WIDTH, HEIGHT = 25, 1280, 720
EMOTIONS = ("positive", "negative")

# Clip lengths in seconds: the log of the length is normal. Clips lie apart by at least GAP.
LENGTH_MU, LENGTH_SIGMA, LENGTH_MIN, LENGTH_MAX = 0.45, 0.986, 0.18, 20.0
GAP, GAP_MORE = 0.5, 0.35

_LEFT, _RIGHT = 0, 1
_SIDE = np.array([1.0, -1.0])  # x points to the person's left
_UNSEEN = LAYOUT.index("MidHip", *LAYOUT.parts["right leg"], *LAYOUT.parts["left leg"])


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
        positive, negative: how often it is seen in videos of either emotion, relative to the other classes.
        reach: what the hands do, or None.
        both: how often both hands do it; otherwise it is one of them.
        apart: where the other hand of two is, as an offset to the mirrored place, metres.
        opposed: whether two hands swing against each other.
        torso, head: (pitch forward, yaw to the left, roll to the right) held, degrees.
        torso_swing, shrug_swing: the same to and fro, and both shoulders' lift, degrees.
        hertz: range of how often.
    """

    name: str
    positive: float
    negative: float
    reach: Reach | None = None
    both: float = 0
    apart: tuple[float, float, float] = (0, 0, 0)
    opposed: bool = False
    torso: tuple[float, float, float] = (0, 0, 0)
    head: tuple[float, float, float] = (0, 0, 0)
    torso_swing: tuple[float, float, float] = (0, 0, 0)
    shrug_swing: float = 0
    hertz: tuple[float, float] = (0.5, 1)


# In the order of iMiGUE's classes. Hands on oneself are twice as frequent after a defeat, large free movements
# twice as frequent after a victory.
GESTURES = (
    Gesture("touching or scratching head", 1, 2, Reach(
        "head", (0.05, 0.305, 0.0), (-0.6, 0.3, -0.5), (-0.4, -0.9, -0.2), 0.85, 70, 0.45, (0.025, 0.005, 0.03), (3, 5),
    ), head=(8, 0, 0)),
    Gesture("covering face", 1, 2, Reach(
        "head", (0.04, 0.175, 0.13), (-0.2, 1, -0.1), (0, 0, -1), 0.65, 10, 0.1,
    ), both=0.75, torso=(10, 0, 0), head=(22, 0, 0)),
    Gesture("touching jaw", 1, 2, Reach(
        "head", (0.01, 0.10, 0.105), (-0.5, 0.7, -0.2), (-0.2, 0.3, -1), 0.6, 5, 0.75, (0.006, 0.006, 0), (0.5, 1),
    ), torso=(8, 0, 0), head=(4, 0, 0)),
    Gesture("touching or covering suprasternal notch", 1, 2, Reach(
        "torso", (0.01, -0.04, 0.09), (-0.9, 0.35, -0.1), (0, 0.1, -1), 0.75, 30, 0.2, (0.01, 0.005, 0), (0.5, 1),
    ), head=(6, 0, 0)),
    Gesture("folding arms", 1.5, 1.5, Reach(
        "torso", (-0.16, -0.27, 0.17), (-1, 0.15, 0.05), (0, 0.1, -1), 0.55, 35, 0.35,
    ), both=1, apart=(0, -0.05, -0.05)),
    Gesture("moving torso", 2, 1, torso_swing=(11, 12, 15), hertz=(0.35, 0.7)),
    Gesture("scratching or touching arms", 1.5, 1.5, Reach(
        "torso", (-0.20, -0.15, 0.09), (-0.9, 0.15, -0.3), (-0.3, 0, -1), 0.75, 30, 0.3, (0.005, 0.045, 0.01), (1, 2),
    )),
    Gesture("rubbing or holding hands", 1, 2, Reach(
        "torso", (0.012, -0.31, 0.31), (-0.45, 0.2, 0.9), (-1, 0, 0), 0.65, 25, 0.25, (0, 0.02, 0.04), (1.5, 3),
    ), both=1, opposed=True),
    Gesture("crossing fingers", 1, 2, Reach(
        "torso", (0.0, -0.23, 0.28), (-0.75, 0.5, 0.4), (-0.6, -0.2, -0.7), 0.75, 40, 0.65,
    ), both=1),
    Gesture("arms akimbo", 2, 1, Reach(
        "seat", (0.20, 0.19, 0.0), (-0.5, -0.4, 0.7), (-1, 0, 0), 0.3, 85, 0.35,
    ), both=0.8),
    Gesture("shaking shoulders", 1.5, 1.5, shrug_swing=28, hertz=(1.2, 2.2)),
    Gesture("illustrative body language", 4, 2, Reach(
        "torso", (0.22, -0.20, 0.30), (-0.2, 0.5, 0.8), (-0.7, 0.7, 0), 0.6, 30, 0.2, (0.09, 0.09, 0.06), (0.7, 1.5),
    ), both=0.6),
)
LABELS = tuple(gesture.name for gesture in GESTURES)

# Where a hand rests between gestures: on the desk, on the thigh, on an arm rest.
_RESTS = (
    Reach("seat", (0.13, 0.20, 0.36), (-0.6, 0, 0.8), (0, -1, 0), 0.6, 30, 0.3),
    Reach("seat", (0.15, 0.12, 0.34), (-0.2, -0.2, 0.9), (0, -1, 0), 0.6, 15, 0.25),
    Reach("seat", (0.29, 0.23, 0.22), (-0.2, -0.1, 1), (-0.2, -1, 0), 0.6, 25, 0.45),
)

# The hand, in hand lengths: knuckles as (along the fingers, towards the thumb), and the three bones of a finger.
_KNUCKLES = np.array([(0.14, 0.13), (0.50, 0.13), (0.52, 0.02), (0.49, -0.08), (0.44, -0.17)])
_PHALANGES = np.array([
    (0.22, 0.17, 0.14), (0.25, 0.14, 0.11), (0.27, 0.16, 0.11), (0.25, 0.15, 0.11), (0.20, 0.11, 0.10),
])
_SPREAD = np.radians([42, 7, 0, -6, -13])
_BEND = np.radians(np.array([(25, 35, 40)] + [(70, 95, 55)] * 4))
# Eyes and ears from the nose, left side, metres on an average head.
_EYE, _EAR = (0.032, 0.035, -0.025), (0.075, 0.005, -0.10)


@dataclasses.dataclass(frozen=True)
class Video:
    """One interview.

    Attributes:
        id, subject, emotion: names; emotion is one of `EMOTIONS`.
        split: "train" or "test", the same for all videos of a subject.
        keypoints: as the pose estimator found them, float32 `[T, 67, 2]`, pixels; (0, 0) where it found none.
        score: float32 `[T, 67]`, 0 to 1.
        truth: the same joints without noise or loss, float32 `[T, 67, 2]`, pixels.
        body: the body itself, float32 `[T, 67, 3]`, metres from between the hips; x left, y up, z to the front.
        start, length, label: clips, int64 `[clips]`: first frame, number of frames, index into `LABELS`.
    """

    id: str
    subject: str
    emotion: str
    split: str
    keypoints: np.ndarray
    score: np.ndarray
    truth: np.ndarray
    body: np.ndarray
    start: np.ndarray
    length: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.score)


@dataclasses.dataclass(frozen=True)
class Simulation:
    """Interviews, all at `FPS` frames a second in pictures of `WIDTH` by `HEIGHT`, joints as in `LAYOUT`."""

    seed: int
    videos: tuple[Video, ...]

    @property
    def frame_count(self) -> int:
        """Number of frames of all videos together."""
        return sum(len(video) for video in self.videos)

    @property
    def clip_count(self) -> int:
        """Number of clips of all videos together."""
        return sum(len(video.label) for video in self.videos)


def frequencies(emotion: str) -> np.ndarray:
    """How often each class of `LABELS` occurs in videos of an emotion, float64 `[classes]`, sum 1."""
    weights = np.array([getattr(gesture, emotion) for gesture in GESTURES], dtype=float)
    return weights / weights.sum()


def simulate(seed: int = 0, videos: int = 12, subjects: int = 10, clips_per_video: int = 40) -> Simulation:
    """Simulate interviews.

    Video i is of subject i modulo `subjects`; a subject's videos alternate between the emotions, and so do the
    subjects. The first half of the subjects is to train, the second half to test. The same arguments give the
    same arrays.

    Args:
        seed: 0 or more.
        videos: number of videos, at least `subjects`.
        subjects: number of people, at least 2.
        clips_per_video: number of labelled clips in each, at least 1.

    Raises:
        InputError: a number is out of its range.
    """
    for name, value, least in (("seed", seed, 0), ("subjects", subjects, 2), ("clips_per_video", clips_per_video, 1)):
        if value < least:
            raise InputError(f"{name} is {value}, expected at least {least}")
    if videos < subjects:
        raise InputError(f"videos is {videos}, expected at least one for each of the {subjects} subjects")
    made = []
    for i in range(videos):
        subject, emotion = i % subjects, EMOTIONS[(i + i // subjects) % 2]
        split = "train" if subject < (subjects + 1) // 2 else "test"
        person = _Person(np.random.default_rng([seed, 0, subject]))
        made.append(Video(
            f"interview{i + 1:03}", f"subject{subject + 1:02}", emotion, split,
            *_record(person, emotion, clips_per_video, np.random.default_rng([seed, 1, i])),
        ))
    return Simulation(seed, tuple(made))


class _Person:
    """What a subject keeps from video to video: lengths in metres, tempo, the favoured hand."""

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


def _record(person: _Person, emotion: str, clips: int, rng):
    """Everything of a `Video` from its keypoints on."""
    label = rng.choice(len(LABELS), size=clips, p=frequencies(emotion))
    seconds = np.clip(rng.lognormal(LENGTH_MU, LENGTH_SIGMA, clips), LENGTH_MIN, LENGTH_MAX)
    length = np.ceil(seconds * FPS).astype(np.int64)
    gap = np.ceil((GAP + rng.exponential(GAP_MORE, clips)) * FPS).astype(np.int64)
    start = np.cumsum(gap + length) - length
    pose = _Pose(person, int(start[-1] + length[-1] + FPS * GAP), rng)
    performances = [_Performance(GESTURES[k], a, n, person, rng) for k, a, n in zip(label, start, length)]
    for performance in performances:
        performance.move_body(pose)
    pose.place_frames()
    for performance in performances:
        performance.move_hands(pose)
    body = pose.solve()
    truth, unit = _Camera(len(body), rng).project(body)
    keypoints, score = _observe(truth, body, unit, rng)
    return keypoints, score, truth.astype(np.float32), body.astype(np.float32), start, length, label


def _smooth(s):
    """The minimum-jerk course from 0 to 1 while s goes from 0 to 1."""
    s = np.clip(s, 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def _drift(rng, frames: int, seconds: float, *shape: int) -> np.ndarray:
    """Aimless movement of unit size, `[frames, *shape]`: a new place about every so many seconds."""
    at = np.arange(frames) / (seconds * FPS)
    knots = rng.normal(size=(int(at[-1]) + 2, *shape))
    before = at.astype(int)
    share = _smooth(at - before).reshape(-1, *[1] * len(shape))
    return knots[before] * (1 - share) + knots[before + 1] * share


def _rotation(degrees) -> np.ndarray:
    """Rotation matrices `[..., 3, 3]` of (pitch forward, yaw to the left, roll to the right) `[..., 3]`, degrees."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    zero, one = np.zeros_like(c[..., 0]), np.ones_like(c[..., 0])

    def matrix(*rows):
        return np.stack([np.stack(row, -1) for row in rows], -2)

    pitch = matrix((one, zero, zero), (zero, c[..., 0], -s[..., 0]), (zero, s[..., 0], c[..., 0]))
    yaw = matrix((c[..., 1], zero, s[..., 1]), (zero, one, zero), (-s[..., 1], zero, c[..., 1]))
    roll = matrix((c[..., 2], -s[..., 2], zero), (s[..., 2], c[..., 2], zero), (zero, zero, one))
    return yaw @ pitch @ roll


def _turn(rotation, vector) -> np.ndarray:
    return np.einsum("...ij,...j->...i", rotation, vector)


def _unit(vector) -> np.ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _mirrored(vector, side: int) -> np.ndarray:
    """A left hand's vector `[..., 3]` for a hand of this side."""
    return np.asarray(vector, float) * [_SIDE[side], 1, 1]


class _Pose:
    """A video's posture in every frame: first as angles and goals of the hands, then solved to joints."""

    def __init__(self, person: _Person, frames: int, rng):
        self.person, self.frames = person, frames
        t = np.linspace(0, 1, frames)
        self.torso = _drift(rng, frames, 2.5, 3) * [1.5, 2.5, 1.5] + _drift(rng, frames, 15, 3) * [3, 5, 3]
        # People sink in their seats.
        self.torso[:, 0] += person.slouch + t * rng.uniform(-2, 8)
        self.head = _drift(rng, frames, 0.8, 3) * [3, 3, 2] + _drift(rng, frames, 5, 3) * [4, 12, 4]
        self.shrug = 3 * _drift(rng, frames, 3, 2) + 4 * _drift(rng, frames, 20, 2)
        self.seat = _drift(rng, frames, 10, 3) * [0.025, 0.006, 0.02] + _drift(rng, frames, 1.5, 3) * 0.003
        rests = [_RESTS[rng.integers(len(_RESTS))] for _ in _SIDE]

        def rest(field, spread):
            values = np.stack([_mirrored(getattr(r, field), side) for side, r in enumerate(rests)])
            return values + rng.normal(0, spread, (2, 3))

        wander = _drift(rng, frames, 6, 2, 3) * 0.03 + _drift(rng, frames, 1, 2, 3) * 0.006
        self.goal = rest("at", 0.03) * person.size + wander
        self.fingers = rest("fingers", 0.15) + 0.15 * _drift(rng, frames, 5, 2, 3)
        self.palm = rest("palm", 0.15) + 0.15 * _drift(rng, frames, 5, 2, 3)
        self.grip = np.array([[r.grip for r in rests]] * frames)
        self.elbow = np.array([r.elbow for r in rests]) + 6 * _drift(rng, frames, 8, 2)
        self.curl = np.array([r.curl for r in rests])[:, None] + 0.1 * _drift(rng, frames, 3, 2, 5)

    def place_frames(self):
        """Origin `[T, 3]` and rotation `[T, 3, 3]` of torso and head, once all of the body's angles are known."""
        torso = _rotation(self.torso)
        neck = self.seat + _turn(torso, np.array([0, self.person.torso, 0]))
        # The eyes stay on the listener: the head follows the torso by half.
        head = _rotation(0.5 * self.torso + self.head)
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
        nose = neck + _turn(head, person.head * np.array([0, 0.165, 0.09]))
        put("Neck", neck), put("MidHip", self.seat), put("Nose", nose)
        lift = np.radians(self.shrug)
        for side, letter in enumerate("LR"):
            for name, place in (("Eye", _EYE), ("Ear", _EAR)):
                put(letter + name, nose + _turn(head, person.head * _mirrored(place, side)))
            for name, place in _LEGS.items():
                put(letter + name, self.seat + person.size * _mirrored(place, side))
            out = np.stack([_SIDE[side] * np.cos(lift[:, side]), np.sin(lift[:, side]), 0 * lift[:, side]], -1)
            shoulder = neck + _turn(torso, person.shoulder * out)
            elbow, wrist = self._arm(side, shoulder, torso)
            put(letter + "Shoulder", shoulder), put(letter + "Elbow", elbow), put(letter + "Wrist", wrist)
            joints[:, LAYOUT.index(*LAYOUT.parts[("left hand", "right hand")[side]])] = self._hand(side, wrist)
        return joints

    def _arm(self, side, shoulder, torso):
        """Elbow and wrist `[T, 3]` of an arm that brings the hand to its goal, or as near as it is long."""
        upper, fore = self.person.upper_arm, self.person.forearm
        wrist = self.goal[:, side] - (self.grip[:, side] * self.person.hand)[:, None] * _unit(self.fingers[:, side])
        way = wrist - shoulder
        distance = np.clip(np.linalg.norm(way, axis=-1), abs(upper - fore) + 0.02, 0.995 * (upper + fore))[:, None]
        way = _unit(way)
        angle = np.radians(self.elbow[:, side])
        out = np.stack([_SIDE[side] * np.sin(angle), -np.cos(angle), np.full_like(angle, -0.15)], -1)
        out = _turn(torso, out)
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
        ahead = np.cos(_SPREAD)[:, None] * forward[:, None] + np.sin(_SPREAD)[:, None] * thumb[:, None]
        bend = np.clip(self.curl[:, side], 0, 1)[..., None] * np.cumsum(_BEND, axis=1)
        bones = np.cos(bend)[..., None] * ahead[:, :, None] + np.sin(bend)[..., None] * palm[:, None, None]
        tips = knuckle[:, :, None] + np.cumsum(bones * _PHALANGES[..., None], axis=2)
        points = np.concatenate([knuckle[:, :, None], tips], axis=2).reshape(self.frames, 20, 3)
        points = np.concatenate([0.03 * forward[:, None], points], axis=1)
        return wrist[:, None] + self.person.hand * points


_LEGS = {
    "Hip": (0.09, 0, 0), "Knee": (0.12, 0, 0.42), "Ankle": (0.12, -0.42, 0.40), "BigToe": (0.10, -0.46, 0.56),
    "SmallToe": (0.17, -0.46, 0.54), "Heel": (0.12, -0.46, 0.35),
}


class _Performance:
    """One gesture as done once: where it starts, how far it goes, how fast, with which hand."""

    def __init__(self, gesture: Gesture, start: int, length: int, person: _Person, rng):
        self.gesture, self.person, self.rng = gesture, person, rng
        tempo = person.tempo * np.exp(rng.normal(0, 0.1))
        # An annotator's clip holds most of the way there and back, of a short clip at least a fifth at the goal.
        inside = np.minimum(rng.uniform(0.25, 0.5, 2) / tempo, 0.4 * length / FPS) * FPS
        outside = rng.uniform(0.1, 0.24, 2) * FPS
        self.first = max(0, int(start - np.ceil(outside[0])))
        self.stop = int(start + length + np.ceil(outside[1]))
        at = np.arange(self.first, self.stop)
        come = (at - start + outside[0]) / (inside[0] + outside[0])
        go = (start + length + outside[1] - 1 - at) / (inside[1] + outside[1])
        self.share = _smooth(come) * _smooth(go)
        self.seconds = (at - start) / FPS * tempo
        self.size = rng.uniform(0.7, 1.3)
        lead = _RIGHT if rng.random() < person.right_handed else _LEFT
        self.hands = (lead, 1 - lead) if rng.random() < gesture.both else (lead,)

    def _wave(self, hertz, columns):
        """To and fro in each of some columns, `[frames, columns]`: one rhythm, nearly, and phases of their own."""
        often = self.rng.uniform(*hertz) * self.rng.uniform(0.9, 1.1, columns)
        return np.sin(2 * np.pi * (often * self.seconds[:, None] + self.rng.random(columns)))

    def move_body(self, pose: _Pose):
        """Add the gesture's angles of torso, head and shoulders to a pose."""
        gesture, now, share = self.gesture, slice(self.first, self.stop), self.share[:, None]
        frames = len(pose.torso[now])
        wave = self._wave(gesture.hertz, 3) * self.rng.choice([0.3, 1], 3)
        torso = gesture.torso + wave * gesture.torso_swing * self.size + self.rng.normal(0, 2, 3)
        pose.torso[now] += (share * torso)[:frames]
        pose.head[now] += (share * (np.array(gesture.head) * self.size + self.rng.normal(0, 3, 3)))[:frames]
        # Both shoulders, or one after the other.
        late = self.rng.choice([0, 0, np.pi]) + self.rng.normal(0, 0.3)
        phase = 2 * np.pi * self.rng.uniform(*gesture.hertz) * self.seconds[:, None] + [0, late]
        pose.shrug[now] += (share * gesture.shrug_swing * self.size * (0.5 - 0.5 * np.cos(phase)))[:frames]

    def move_hands(self, pose: _Pose):
        """Bring the hands of a pose, whose body is placed, to the gesture's goals."""
        reach, rng = self.gesture.reach, self.rng
        if reach is None:
            return
        wave = self._wave(reach.hertz, 3) * reach.swing * self.size
        slip = rng.normal(0, 0.012, 3)
        for order, side in enumerate(self.hands):
            swing = -wave if order and self.gesture.opposed else wave
            at = np.array(reach.at) + slip + rng.normal(0, 0.006, 3) + swing
            if order:
                at = at + self.gesture.apart
            origin, axes = (part[self.first:self.stop] for part in pose.axes[reach.frame])
            frames = len(origin)
            # Places on the head are as far apart as the head is large, others as the body is.
            size = self.person.head if reach.frame == "head" else self.person.size
            goals = {
                "goal": origin + _turn(axes, size * _mirrored(at[:frames], side)),
                "fingers": _turn(axes, _mirrored(_unit(np.array(reach.fingers)) + rng.normal(0, 0.1, 3), side)),
                "palm": _turn(axes, _mirrored(_unit(np.array(reach.palm)) + rng.normal(0, 0.1, 3), side)),
                "grip": reach.grip,
                "elbow": reach.elbow + rng.normal(0, 6),
                "curl": reach.curl + rng.normal(0, 0.06, 5),
            }
            for name, goal in goals.items():
                track = getattr(pose, name)[self.first:self.stop, side]
                share = self.share[:frames].reshape(-1, *[1] * (track.ndim - 1))
                track[...] = (1 - share) * track + share * goal


class _Camera:
    """A video's view: the body turned by some angle, seen in perspective, by somebody who pans and zooms a little."""

    FOCAL = 1500.0  # pixels

    def __init__(self, frames: int, rng):
        self.turn = _rotation(np.array([rng.uniform(-3, 12), rng.uniform(-35, 35), rng.normal(0, 1.5)]))
        # The shoulders of an average body become 150 to 340 pixels wide.
        self.distance = self.FOCAL * 0.36 / rng.uniform(150, 340)
        self.neck = np.array([WIDTH / 2 + rng.uniform(-240, 240), HEIGHT * 0.42 + rng.uniform(-40, 60)])
        self.pan = _drift(rng, frames, 12, 2) * [25, 12]
        self.zoom = np.exp(0.05 * _drift(rng, frames, 12))

    def project(self, body):
        """Picture coordinates `[T, V, 2]` of joints in metres `[T, V, 3]`, and how many pixels a metre is."""
        x = _turn(self.turn, body)
        depth = self.distance + 0.2 - x[..., 2:]
        flat = self.FOCAL * x[..., :2] * [1, -1] / depth
        # The camera is aimed at where the person sits on the whole.
        flat -= flat[:, LAYOUT.joints.index("Neck")].mean(axis=0)
        return flat * self.zoom[:, None, None] + (self.neck + self.pan)[:, None], self.FOCAL / self.distance


def _observe(truth, body, unit, rng):
    """What a pose estimator would say: keypoints `[T, V, 2]` and score `[T, V]`, float32, to three decimals."""
    frames, joints = truth.shape[:2]
    hands = np.zeros(joints, bool)
    hands[LAYOUT.index(*LAYOUT.parts["left hand"], *LAYOUT.parts["right hand"])] = True
    score = rng.normal(0.8, 0.05) + rng.normal(0, 0.06, joints) - 0.12 * hands
    score = score + 0.06 * _drift(rng, frames, 0.7, joints) + 0.04 * rng.normal(size=(frames, joints))
    # What moves fast is blurred: 1 m/s costs a tenth, a hand more.
    speed = np.linalg.norm(np.gradient(truth, axis=0), axis=-1) / unit * FPS
    score -= speed * (0.1 + 0.05 * hands)
    score[:, LAYOUT.index(*LAYOUT.parts["head"])] *= _face_visibility(truth, unit)
    score = np.clip(score, 0.02, 0.98)
    size = unit / 700
    jitter = rng.normal(size=truth.shape) + 0.8 * _drift(rng, frames, 0.3, joints, 2)
    keypoints = truth + size * (0.8 + 5 * (1 - score[..., None]) ** 2) * jitter
    # Now and then a joint is found somewhere else, with little conviction.
    wrong = rng.random(score.shape) < 0.003
    keypoints[wrong] += size * rng.normal(0, 40, (wrong.sum(), 2))
    score[wrong] *= 0.4
    lost = (score < 0.08) | (rng.random(score.shape) < 0.25 * np.maximum(0.45 - score, 0) + 0.004)
    for part in ("left hand", "right hand"):
        lost[:, LAYOUT.index(*LAYOUT.parts[part])] |= _dropouts(frames, rng)[:, None]
    lost[:, _UNSEEN] = True
    lost |= (keypoints < 0).any(-1) | (keypoints >= [WIDTH, HEIGHT]).any(-1)
    keypoints = np.where(lost[..., None], 0, np.round(keypoints, 3))
    return keypoints.astype(np.float32), np.where(lost, 0, np.round(score, 3)).astype(np.float32)


def _face_visibility(truth, unit):
    """Factor on the scores of the head's joints `[T, 5]`: a hand before the face and turning away lower it."""
    index = LAYOUT.index(*LAYOUT.parts["head"])
    palms = truth[:, LAYOUT.index("LMiddle1", "RMiddle1")]
    near = np.linalg.norm(truth[:, index, None] - palms[:, None], axis=-1).min(axis=-1) < 0.08 * unit
    factor = np.where(near, 0.55, 1.0)
    # An ear goes out of sight when it comes to lie behind the eye of its side.
    for ear, eye, sign in (("LEar", "LEye", 1), ("REar", "REye", -1)):
        out = sign * (truth[:, LAYOUT.joints.index(ear), 0] - truth[:, LAYOUT.joints.index(eye), 0]) / unit
        factor[:, LAYOUT.parts["head"].index(ear)] *= np.clip(0.5 + out / 0.02, 0, 1)
    return factor


def _dropouts(frames, rng):
    """Frames `[T]` in which a hand is not found: about one stretch of 2 to 15 frames in eight seconds."""
    starts = np.flatnonzero(rng.random(frames) < 1 / (8 * FPS))
    lost = np.zeros(frames, bool)
    for start in starts:
        lost[start:start + rng.integers(2, 16)] = True
    return lost


def write_openpose(simulation: Simulation, folder) -> None:
    """Write interviews as OpenPose 1.3 would leave them, with two tables.

        folder/openpose/<video>/<video>_<frame, 12 digits>_keypoints.json    one person, BODY_25 and 2 x 21
        folder/videos.csv    id, subject, emotion, fps, width, height, split_cross_subject
        folder/clips.csv     video, start, stop, label; frame numbers of the file names, stop not included

    Raises:
        InputError: the folder is there and not empty, or cannot be made.
    """
    folder = pathlib.Path(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; give a new folder, so that no other recording is mixed in")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from None
    for video in progress.track(simulation.videos, len(simulation.videos), "writing interviews"):
        _write_frames(video, folder / "openpose" / video.id)
    with open(folder / "videos.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "subject", "emotion", "fps", "width", "height", "split_cross_subject"])
        table.writerows([v.id, v.subject, v.emotion, FPS, WIDTH, HEIGHT, v.split] for v in simulation.videos)
    with open(folder / "clips.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["video", "start", "stop", "label"])
        for video in simulation.videos:
            for start, length, label in zip(video.start, video.length, video.label):
                table.writerow([video.id, start, start + length, LABELS[label]])


def _write_frames(video: Video, folder: pathlib.Path):
    folder.mkdir(parents=True)
    values = np.concatenate([video.keypoints, video.score[..., None]], axis=-1).astype(np.float64).round(3)
    parts = {
        "pose_keypoints_2d": skeleton.BODY_25, "hand_left_keypoints_2d": skeleton.LEFT_HAND_21,
        "hand_right_keypoints_2d": skeleton.RIGHT_HAND_21,
    }
    flat = {key: values[:, part.cut(LAYOUT)].reshape(len(video), -1).tolist() for key, part in parts.items()}
    for frame in range(len(video)):
        person = {"person_id": [-1], "face_keypoints_2d": []} | {key: rows[frame] for key, rows in flat.items()}
        text = json.dumps({"version": 1.3, "people": [person]}, separators=(",", ":"))
        # Tens of thousands of small files: unbuffered, each costs the system the least.
        with open(f"{folder}/{video.id}_{frame:012}_keypoints.json", "wb", buffering=0) as file:
            file.write(text.encode())


def write_store(simulation: Simulation, path) -> None:
    """Write interviews straight to a store, with the split `cross_subject` of clips.

    Raises:
        InputError: the store cannot be written there.
    """
    writer = store.StoreWriter(
        path, LAYOUT, unit="pixel", frames=simulation.frame_count, labels=LABELS,
        source=f"simulated interviews, seed {simulation.seed}",
    )
    with writer:
        for video in simulation.videos:
            writer.add_video(
                video.id, video.keypoints, video.score, fps=FPS, width=WIDTH, height=HEIGHT, subject=video.subject,
                emotion=video.emotion,
            )
            for start, length, label in zip(video.start, video.length, video.label):
                writer.add_clip(video.id, int(start), int(length), int(label))
        subjects = [video.subject for video in simulation.videos for _ in video.label]
        trained = {video.subject for video in simulation.videos if video.split == "train"}
        writer.add_split("cross_subject", *protocols.cross_subject(subjects, trained))


@script
def main(_):
    options = flags.FLAGS
    simulation = simulate(options.seed, options.videos, options.subjects, options.clips_per_video)
    write_openpose(simulation, options.output)
    print(f"{options.output}: {len(simulation.videos)} interviews of {options.subjects} subjects, "
          f"{simulation.frame_count} frames, {simulation.clip_count} clips of {len(LABELS)} classes")


def define_flags():
    flags.DEFINE_string("output", None, "Folder to write, new or empty.", required=True)
    flags.DEFINE_integer("videos", 12, "Number of interviews.")
    flags.DEFINE_integer("subjects", 10, "Number of people in them.")
    flags.DEFINE_integer("clips_per_video", 40, "Number of labelled clips in each interview.")
    flags.DEFINE_integer("seed", 0, "The same seed gives the same interviews.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
