"""A camera and a pose estimator for bodies that were simulated.

Joints in metres become keypoints and scores. What the camera sees is given the errors of
a pose estimator: jitter that grows as the score falls, lost joints, lost hands, and
everything below the waist hidden by a desk. This module needs NumPy only and never
imports JAX.
"""

from __future__ import annotations

import numpy as np

from data_prep.motion import FPS, drift, rotations, turned
from data_prep.seated_body import LAYOUT

WIDTH, HEIGHT = 1280, 720  # pixels, as iMiGUE's videos have them
FOCAL = 1500.0  # pixels
# Below the desk.
_UNSEEN = LAYOUT.index("MidHip", *LAYOUT.parts["right leg"], *LAYOUT.parts["left leg"])


class Camera:
    """A video's view: a body turned, seen in perspective by one who pans and zooms a little.

    Args:
        frames: the video's number of frames.
        rng: what the view is drawn from.
    """

    def __init__(self, frames: int, rng: np.random.Generator):
        # Degrees. A body that is pitched forward is one seen from above.
        pitch = rng.uniform(-3, 12)
        yaw = rng.uniform(-35, 35)
        roll = rng.normal(0, 1.5)
        self.turn = rotations(np.array([pitch, yaw, roll]))
        # The shoulders of an average body, 0.36 m, become 150 to 340 pixels wide.
        self.distance = FOCAL * 0.36 / rng.uniform(150, 340)
        # Pixels: the neck comes to lie above the picture's centre.
        x = WIDTH / 2 + rng.uniform(-240, 240)
        y = HEIGHT * 0.42 + rng.uniform(-40, 60)
        self.neck = np.array([x, y])
        self.pan = drift(rng, frames, 12, 2) * [25, 12]
        self.zoom = np.exp(0.05 * drift(rng, frames, 12))

    def project(self, body: np.ndarray) -> tuple[np.ndarray, float]:
        """Where joints are in the picture.

        Args:
            body: metres `[T, V, 3]`; x left, y up, z to the front.

        Returns:
            Pixels `[T, V, 2]`, and how many of them a metre is.
        """
        x = turned(self.turn, body)
        # The distance is to 0.2 m before the hips, about where the hands are.
        depth = self.distance + 0.2 - x[..., 2:]
        # In a picture y points down.
        flat = FOCAL * x[..., :2] * [1, -1] / depth
        # The camera is aimed at where the person sits on the whole.
        flat -= flat[:, LAYOUT.joints.index("Neck")].mean(axis=0)
        place = (self.neck + self.pan)[:, None]
        picture = flat * self.zoom[:, None, None] + place
        return picture, FOCAL / self.distance


def observe(
    truth: np.ndarray, unit: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What a pose estimator would say of joints in a picture.

    Args:
        truth: where the joints are, pixels `[T, V, 2]`.
        unit: how many pixels a metre is.
        rng: what the errors are drawn from.

    Returns:
        Keypoints `[T, V, 2]` and score `[T, V]`, float32, to three decimals.
    """
    score = _scores(truth, unit, rng)
    # Errors in pixels are as large as the person is: 700 pixels a metre is near.
    size = unit / 700
    frames, joints = score.shape
    jitter = rng.normal(size=truth.shape)
    jitter += 0.8 * drift(rng, frames, 0.3, joints, 2)
    doubt = 1 - score[..., None]
    keypoints = truth + size * (0.8 + 5 * doubt**2) * jitter
    # Now and then a joint is found somewhere else, with little conviction.
    wrong = rng.random(score.shape) < 0.003
    keypoints[wrong] += size * rng.normal(0, 40, (wrong.sum(), 2))
    score[wrong] *= 0.4
    lost = _lost(keypoints, score, rng)
    keypoints = np.where(lost[..., None], 0, np.round(keypoints, 3))
    score = np.where(lost, 0, np.round(score, 3))
    return keypoints.astype(np.float32), score.astype(np.float32)


def _scores(truth: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    """How sure the estimator is of each joint, `[T, V]`."""
    frames, joints = truth.shape[:2]
    hands = np.zeros(joints, bool)
    hands[LAYOUT.index(*LAYOUT.parts["left hand"], *LAYOUT.parts["right hand"])] = True
    # Some videos are clearer than others, some joints than others; hands are small.
    clear = rng.normal(0.8, 0.05)
    usual = clear + rng.normal(0, 0.06, joints) - 0.12 * hands
    score = usual + 0.06 * drift(rng, frames, 0.7, joints)
    score += 0.04 * rng.normal(size=(frames, joints))
    # What moves fast is blurred: 1 m/s costs a tenth, a hand more.
    steps = np.gradient(truth, axis=0)
    speed = np.linalg.norm(steps, axis=-1) / unit * FPS
    score -= speed * (0.1 + 0.05 * hands)
    score[:, LAYOUT.index(*LAYOUT.parts["head"])] *= _face_visibility(truth, unit)
    return np.clip(score, 0.02, 0.98)


def _lost(keypoints: np.ndarray, score: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which joints are not found, bool `[T, V]`."""
    # The less sure, the more often; and any now and then.
    chance = 0.25 * np.maximum(0.45 - score, 0) + 0.004
    lost = (score < 0.08) | (rng.random(score.shape) < chance)
    for part in ("left hand", "right hand"):
        hand = LAYOUT.index(*LAYOUT.parts[part])
        lost[:, hand] |= _dropouts(len(score), rng)[:, None]
    lost[:, _UNSEEN] = True
    # What lies outside the picture.
    beyond = (keypoints < 0) | (keypoints >= [WIDTH, HEIGHT])
    return lost | beyond.any(-1)


def _face_visibility(truth: np.ndarray, unit: float) -> np.ndarray:
    """Factor on the scores of the head's joints `[T, 5]`.

    A hand before the face and turning away lower it.
    """
    head = LAYOUT.parts["head"]
    palms = truth[:, LAYOUT.index("LMiddle1", "RMiddle1")]
    apart = truth[:, LAYOUT.index(*head), None] - palms[:, None]  # [T, 5, 2 palms, 2]
    nearest = np.linalg.norm(apart, axis=-1).min(axis=-1)
    near = nearest < 0.08 * unit
    factor = np.where(near, 0.55, 1.0)
    # An ear goes out of sight when it comes to lie behind the eye of its side.
    for ear, eye, sign in (("LEar", "LEye", 1), ("REar", "REye", -1)):
        ear_x = truth[:, LAYOUT.joints.index(ear), 0]
        eye_x = truth[:, LAYOUT.joints.index(eye), 0]
        out = sign * (ear_x - eye_x) / unit
        factor[:, head.index(ear)] *= np.clip(0.5 + out / 0.02, 0, 1)
    return factor


def _dropouts(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Frames in which a hand is not found, bool `[T]`.

    About one stretch of 2 to 15 frames in eight seconds.
    """
    starts = np.flatnonzero(rng.random(frames) < 1 / (8 * FPS))
    lost = np.zeros(frames, bool)
    for start in starts:
        lost[start : start + rng.integers(2, 16)] = True
    return lost
