"""The micro-gestures that a simulated person can do, and where hands rest in between.

A `Gesture` says where the hands go (`Reach`), how they are held and what they do there,
or how the torso, the shoulders or the head move. The gestures carry iMiGUE's class names;
their forms are this file's, without a claim to human behaviour.

This module needs the standard library only.
"""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Reach:
    """Where a left hand goes and how it is held there; for a right hand, x is mirrored.

    Coordinates are metres on a body of average size: x to the person's left, y up, z to
    the front.

    Attributes:
        frame: whose coordinates: "head" and "torso" start at the neck, "seat" between the
            hips.
        at: the place touched.
        fingers, palm: where the fingers point and the palm faces.
        grip: what touches, 0 the wrist to 1 the tip of a straight finger.
        elbow: how far the elbow is lifted to the side, degrees.
        curl: 0 for a flat hand to 1 for a fist.
        swing: how far the hand goes to and fro along x, y, z, metres.
        hertz: range of how often.
    """

    frame: Literal["head", "torso", "seat"]
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
        tilt: 1 if it is seen more often after a defeat (hands on oneself), -1 if after a
            victory (large free movements), 0 if as often after either.
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
    tilt: Literal[-1, 0, 1]
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


# In the order of iMiGUE's classes, all 32. What a skeleton does not show (lips, cheeks)
# is left with what it does: a small nod, a rising chest.
# fmt: off
GESTURES = (
    Gesture("turtle neck", 1, shrug=30, head=(14, 0, 0), torso=(6, 0, 0)),
    Gesture("bulging face, deep breath", 1,
            torso=(-7, 0, 0), head=(-6, 0, 0), shrug_swing=16, hertz=(0.25, 0.45)),
    Gesture("touching hat", 1, Reach(
        "head", at=(0.04, 0.285, 0.10), fingers=(-0.5, 0.6, -0.5), palm=(-0.2, -0.8, -0.5),
        grip=0.9, elbow=45, curl=0.5, swing=(0.006, 0.012, 0.006), hertz=(1, 2),
    ), both=0.3, head=(6, 0, 0)),
    Gesture("touching or scratching head", 1, Reach(
        "head", at=(0.05, 0.305, 0.0), fingers=(-0.6, 0.3, -0.5), palm=(-0.4, -0.9, -0.2),
        grip=0.85, elbow=70, curl=0.45, swing=(0.025, 0.005, 0.03), hertz=(3, 5),
    ), head=(8, 0, 0)),
    Gesture("touching or scratching forehead", 1, Reach(
        "head", at=(0.02, 0.235, 0.12), fingers=(-0.8, 0.5, -0.2), palm=(-0.1, -0.1, -1),
        grip=0.9, elbow=50, curl=0.35, swing=(0.035, 0.004, 0), hertz=(1.5, 3),
    ), head=(12, 0, 0)),
    Gesture("covering face", 1, Reach(
        "head", at=(0.04, 0.175, 0.13), fingers=(-0.2, 1, -0.1), palm=(0, 0, -1),
        grip=0.65, elbow=10, curl=0.1,
    ), both=0.75, torso=(10, 0, 0), head=(22, 0, 0)),
    Gesture("rubbing eyes", 1, Reach(
        "head", at=(0.034, 0.20, 0.115), fingers=(-0.3, 0.8, -0.3), palm=(-0.3, 0.2, -1),
        grip=0.8, elbow=25, curl=0.8, swing=(0.014, 0.008, 0), hertz=(2.5, 4),
    ), both=0.25, head=(14, 0, 0)),
    Gesture("touching or scratching facial parts", 1, Reach(
        "head", at=(0.06, 0.15, 0.085), fingers=(-0.1, 0.9, -0.3), palm=(-0.8, 0.1, -0.6),
        grip=0.9, elbow=15, curl=0.4, swing=(0.008, 0.02, 0.008), hertz=(1, 3),
    )),
    Gesture("touching ears", 1, Reach(
        "head", at=(0.085, 0.17, -0.01), fingers=(0.0, 0.8, -0.6), palm=(-1, 0, 0),
        grip=0.9, elbow=40, curl=0.5, swing=(0.002, 0.016, 0.01), hertz=(1, 2),
    ), head=(0, 0, 8)),
    Gesture("biting nails", 1, Reach(
        "head", at=(0.0, 0.115, 0.125), fingers=(-0.3, 0.7, -0.6), palm=(-0.2, 0.5, -0.9),
        grip=0.85, elbow=5, curl=0.75, swing=(0.006, 0.008, 0), hertz=(3, 5),
    ), head=(10, 0, 0)),
    Gesture("touching jaw", 1, Reach(
        "head", at=(0.01, 0.10, 0.105), fingers=(-0.5, 0.7, -0.2), palm=(-0.2, 0.3, -1),
        grip=0.6, elbow=5, curl=0.75, swing=(0.006, 0.006, 0), hertz=(0.5, 1),
    ), torso=(8, 0, 0), head=(4, 0, 0)),
    Gesture("touching or scratching neck", 1, Reach(
        "head", at=(0.06, 0.055, -0.03), fingers=(-0.3, 0.35, -0.9), palm=(-0.9, 0.1, 0.3),
        grip=0.85, elbow=60, curl=0.35, swing=(0.012, 0.03, 0.01), hertz=(2, 4),
    ), head=(4, 0, 12)),
    Gesture("playing with or adjusting hair", 1, Reach(
        "head", at=(0.075, 0.25, -0.035), fingers=(-0.1, 0.5, -0.8), palm=(-0.9, -0.3, 0),
        grip=0.8, elbow=65, curl=0.25, swing=(0.01, 0.045, 0.06), hertz=(0.5, 1),
    ), both=0.2, head=(0, 0, 6)),
    Gesture("buckling button, pulling collar, adjusting tie", 1, Reach(
        "torso", at=(0.02, -0.11, 0.12), fingers=(-0.7, 0.7, -0.2), palm=(0, -0.2, -1),
        grip=0.85, elbow=40, curl=0.65, swing=(0.012, 0.03, 0.02), hertz=(0.8, 1.6),
    ), both=0.6, head=(12, 0, 0)),
    Gesture("touching or covering suprasternal notch", 1, Reach(
        "torso", at=(0.01, -0.04, 0.09), fingers=(-0.9, 0.35, -0.1), palm=(0, 0.1, -1),
        grip=0.75, elbow=30, curl=0.2, swing=(0.01, 0.005, 0), hertz=(0.5, 1),
    ), head=(6, 0, 0)),
    Gesture("scratching back", 1, Reach(
        "torso", at=(0.11, 0.05, -0.10), fingers=(-0.1, -0.5, -0.9), palm=(0, 0, 1),
        grip=0.8, elbow=110, curl=0.4, swing=(0.008, 0.035, 0.01), hertz=(2.5, 4),
    ), torso=(8, 0, 0), head=(10, 0, 0)),
    Gesture("folding arms", 0, Reach(
        "torso", at=(-0.16, -0.27, 0.17), fingers=(-1, 0.15, 0.05), palm=(0, 0.1, -1),
        grip=0.55, elbow=35, curl=0.35,
    ), both=1, apart=(0, -0.05, -0.05)),
    Gesture("dusting off clothes", 0, Reach(
        "torso", at=(-0.06, -0.20, 0.15), fingers=(-0.9, -0.2, 0.2), palm=(0, -0.1, -1),
        grip=0.8, elbow=35, curl=0.15, swing=(0.07, 0.03, 0.02), hertz=(2, 3.5),
    ), head=(20, 0, 0)),
    Gesture("putting arms behind body", 0, Reach(
        "seat", at=(0.04, 0.10, -0.20), fingers=(-1, -0.2, 0.1), palm=(0, 0, 1),
        grip=0.6, elbow=75, curl=0.4,
    ), both=1, torso=(-4, 0, 0)),
    Gesture("moving torso", -1, torso_swing=(11, 12, 15), hertz=(0.35, 0.7)),
    Gesture("sitting straight", -1, torso=(-16, 0, 0), head=(4, 0, 0), shrug=-6),
    Gesture("scratching or touching arms", 1, Reach(
        "torso", at=(-0.20, -0.15, 0.09), fingers=(-0.9, 0.15, -0.3), palm=(-0.3, 0, -1),
        grip=0.75, elbow=30, curl=0.3, swing=(0.005, 0.045, 0.01), hertz=(1, 2),
    )),
    Gesture("rubbing or holding hands", 1, Reach(
        "torso", at=(0.012, -0.31, 0.31), fingers=(-0.45, 0.2, 0.9), palm=(-1, 0, 0),
        grip=0.65, elbow=25, curl=0.25, swing=(0, 0.02, 0.04), hertz=(1.5, 3),
    ), both=1, opposed=True),
    Gesture("crossing fingers", 1, Reach(
        "torso", at=(0.0, -0.23, 0.28), fingers=(-0.75, 0.5, 0.4), palm=(-0.6, -0.2, -0.7),
        grip=0.75, elbow=40, curl=0.65,
    ), both=1),
    Gesture("minaret gesture", 0, Reach(
        "torso", at=(0.006, -0.13, 0.26), fingers=(-0.25, 0.95, 0.15), palm=(-1, 0, 0),
        grip=1.0, elbow=45, curl=0.05,
    ), both=1),
    Gesture("playing with or manipulating objects", 0, Reach(
        "seat", at=(0.06, 0.21, 0.40), fingers=(-0.5, -0.1, 0.9), palm=(-0.3, -1, 0),
        grip=0.8, elbow=30, curl=0.7, swing=(0.06, 0.025, 0.05), hertz=(0.8, 1.6),
    ), both=0.5, head=(18, 0, 0)),
    Gesture("holding back arms", 0, Reach(
        "seat", at=(-0.14, 0.20, -0.14), fingers=(-1, 0, 0.2), palm=(0, 0, 1),
        grip=0.6, elbow=60, curl=0.5,
    ), both=1, apart=(0.10, -0.08, 0), torso=(-6, 0, 0)),
    Gesture("head up", -1, head=(-32, 0, 0)),
    Gesture("pressing lips", 1, head=(7, 0, 0)),
    Gesture("arms akimbo", -1, Reach(
        "seat", at=(0.20, 0.19, 0.0), fingers=(-0.5, -0.4, 0.7), palm=(-1, 0, 0),
        grip=0.3, elbow=85, curl=0.35,
    ), both=0.8),
    Gesture("shaking shoulders", -1, shrug_swing=28, hertz=(1.2, 2.2)),
    Gesture("illustrative body language", -1, Reach(
        "torso", at=(0.22, -0.20, 0.30), fingers=(-0.2, 0.5, 0.8), palm=(-0.7, 0.7, 0),
        grip=0.6, elbow=30, curl=0.2, swing=(0.09, 0.09, 0.06), hertz=(0.7, 1.5),
    ), both=0.6),
)

# Where a hand rests between gestures: on the desk, on the thigh, on an arm rest.
RESTS = (
    Reach(
        "seat", at=(0.13, 0.20, 0.36), fingers=(-0.6, 0, 0.8), palm=(0, -1, 0),
        grip=0.6, elbow=30, curl=0.3,
    ),
    Reach(
        "seat", at=(0.15, 0.12, 0.34), fingers=(-0.2, -0.2, 0.9), palm=(0, -1, 0),
        grip=0.6, elbow=15, curl=0.25,
    ),
    Reach(
        "seat", at=(0.29, 0.23, 0.22), fingers=(-0.2, -0.1, 1), palm=(-0.2, -1, 0),
        grip=0.6, elbow=25, curl=0.45,
    ),
)
# fmt: on
