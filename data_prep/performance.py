"""What a seated person does in a video: one micro-gesture after another.

`perform` lets a person sit there and do gestures: posture drifts all the time, the
gestures move torso, head and shoulders and set the hands' goals, and the arms follow from
where the hands are to be.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from data_prep.gestures import GESTURES, Reach
from data_prep.motion import FPS, minimum_jerk, turned, unit
from data_prep.seated_body import LEFT, RIGHT, Person, Posture, as_column, mirrored


class _Performance:
    """One gesture as done once: from when on, how far, how fast, with which hand.

    Attributes:
        first, stop: frames in which the body is on its way or there; more than the
            clip's.
        share: how far it is on its way, from 0 to 1 and back, `[stop - first]`.
        seconds: since the clip's start, in this performance's own tempo.
        size: of its movements, 1 on average.
        place: offset of where it is done, metres.
        hands: which hands do it, the leading one first.
    """

    def __init__(self, row: int, start: int, length: int, person: Person, rng: np.random.Generator):
        self.gesture, self.person, self.rng = GESTURES[row], person, rng
        mood = np.exp(rng.normal(0, 0.1))
        tempo = person.tempo * person.pace[row] * mood
        # An annotator's clip holds most of the way there and back, of a short clip at
        # least a fifth at the goal.
        way = rng.uniform(0.25, 0.5, 2) / tempo
        inside = np.minimum(way, 0.4 * length / FPS) * FPS
        outside = rng.uniform(0.1, 0.24, 2) * FPS
        before, after = outside
        self.first = max(0, int(start - np.ceil(before)))
        self.stop = int(start + length + np.ceil(after))
        at = np.arange(self.first, self.stop)
        # From 0 where the way begins to 1 at the goal, and the other way round.
        there, back = inside + outside
        come = (at - start + before) / there
        go = (start + length + after - 1 - at) / back
        self.share = minimum_jerk(come) * minimum_jerk(go)
        self.seconds = (at - start) / FPS * tempo
        self.size = person.reach[row] * rng.uniform(0.75, 1.25)
        self.place = person.place[row] + rng.normal(0, 0.008, 3)
        # Who is right-handed leads with the left hand now and then.
        lead = RIGHT if rng.random() < person.right_handed else LEFT
        both = rng.random() < self.gesture.both
        self.hands = (lead, 1 - lead) if both else (lead,)

    def _wave(self, hertz: tuple[float, float], columns: int) -> np.ndarray:
        """To and fro in each of some columns, `[frames, columns]`.

        They have one rhythm, nearly, and phases of their own.
        """
        often = self.rng.uniform(*hertz) * self.rng.uniform(0.9, 1.1, columns)
        turns = often * self.seconds[:, None] + self.rng.random(columns)
        return np.sin(2 * np.pi * turns)

    def move_body(self, posture: Posture) -> None:
        """Add the gesture's angles of torso, head and shoulders to a posture."""
        gesture, rng = self.gesture, self.rng
        now, share = slice(self.first, self.stop), self.share[:, None]
        # The video may end before the body is back.
        frames = len(posture.torso[now])
        # Of the three ways to turn some are hardly used, others each time.
        wave = self._wave(gesture.hertz, 3) * rng.choice([0.3, 1], 3)
        torso = gesture.torso + wave * gesture.torso_swing * self.size
        torso = torso + rng.normal(0, 2, 3)
        posture.torso[now] += (share * torso)[:frames]
        head = np.array(gesture.head) * self.size + rng.normal(0, 3, 3)
        posture.head[now] += (share * head)[:frames]
        # Both shoulders, or one after the other.
        late = rng.choice([0, 0, np.pi]) + rng.normal(0, 0.3)
        turning = 2 * np.pi * rng.uniform(*gesture.hertz) * self.seconds
        # Lifted from where they are, never lowered.
        lifted = 0.5 - 0.5 * np.cos(turning[:, None] + [0, late])
        lift = gesture.shrug + gesture.shrug_swing * lifted
        posture.shrug[now] += (share * lift * self.size)[:frames]

    def move_hands(self, posture: Posture) -> None:
        """Bring the hands of a posture, whose body is placed, to the gesture's goals."""
        reach, rng = self.gesture.reach, self.rng
        if reach is None:
            return
        wave = self._wave(reach.hertz, 3) * reach.swing * self.size
        for order, side in enumerate(self.hands):
            swing = -wave if order and self.gesture.opposed else wave
            at = np.array(reach.at) + self.place + rng.normal(0, 0.006, 3) + swing
            # The second hand lies over or under the first one.
            if order:
                at = at + self.gesture.apart
            for name, goal in self._goals(reach, side, at, posture).items():
                track = getattr(posture, name)[self.first : self.stop, side]
                share = as_column(self.share[: len(track)], track.ndim)
                track[...] = (1 - share) * track + share * goal

    def _goals(
        self, reach: Reach, side: int, at: np.ndarray, posture: Posture
    ) -> dict[str, np.ndarray | float]:
        """What a hand's fields of `Posture` become, by name.

        Args:
            reach, side: what the hand does, and which hand it is.
            at: where it goes, for a left hand and in the axes of `reach.frame`, metres
                `[frames, 3]`.
            posture: whose body is placed.
        """
        rng = self.rng
        origin, axes = (part[self.first : self.stop] for part in posture.axes[reach.frame])
        # Places on the head are as far apart as the head is large, others as the body is.
        size = self.person.head if reach.frame == "head" else self.person.size

        def direction(vector: tuple[float, float, float]) -> np.ndarray:
            leaning = unit(np.array(vector)) + rng.normal(0, 0.1, 3)
            return turned(axes, mirrored(leaning, side))

        place = size * mirrored(at[: len(origin)], side)
        return {
            "goal": origin + turned(axes, place),
            "fingers": direction(reach.fingers),
            "palm": direction(reach.palm),
            "grip": reach.grip,
            "elbow": reach.elbow + rng.normal(0, 6),
            "curl": reach.curl + rng.normal(0, 0.06, 5),
        }


def perform(
    person: Person,
    gestures: Iterable[int],
    start: np.ndarray,
    length: np.ndarray,
    frames: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """A person who sits there for some frames and does one gesture after another.

    Args:
        person: who.
        gestures, start, length: what is done, as rows of `GESTURES`; from which frame on,
            and for how many frames; `[clips]` each.
        frames: how many in all.
        rng: NumPy's generator; the same state gives the same movement.

    Returns:
        All joints of `seated_body.LAYOUT`, float64 `[frames, 67, 3]`, metres from between the
        hips; x to the person's left, y up, z to the front.
    """
    posture = Posture(person, frames, rng)
    performances = [
        _Performance(gesture, first, count, person, rng)
        for gesture, first, count in zip(gestures, start, length)
    ]
    # The hands' places move with the body, so all of its angles come first.
    for performance in performances:
        performance.move_body(posture)
    posture.place_frames()
    for performance in performances:
        performance.move_hands(posture)
    return posture.solve()
