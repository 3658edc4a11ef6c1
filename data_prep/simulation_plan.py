"""Who does what and when in simulated interviews: a few, or as many as iMiGUE has.

Users take these names from `data_prep/simulation.py`, which says what is simulated. This
module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Generator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from data_prep import gesture_order, interview
from data_prep.gesture_order import EMOTIONS
from data_prep.gestures import GESTURES
from data_prep.interview import Session, Video
from data_prep.motion import FPS
from data_prep.workers import start_workers
from mgjax import protocols
from mgjax.errors import InputError

# The classes of the small scale.
FEW = (
    "touching or scratching head",
    "covering face",
    "touching jaw",
    "touching or covering suprasternal notch",
    "folding arms",
    "moving torso",
    "scratching or touching arms",
    "rubbing or holding hands",
    "crossing fingers",
    "arms akimbo",
    "shaking shoulders",
    "illustrative body language",
)
CROSS_SUBJECT = "cross_subject"  # the small scale's split

# Clip lengths in seconds: the log of the length is normal.
LENGTH_MU, LENGTH_SIGMA, LENGTH_MIN, LENGTH_MAX = 0.45, 0.986, 0.18, 80.92
SMALL_LENGTH_MAX = 20.0
# Clips lie apart by GAP seconds and more, by so many more in the mean.
GAP, SMALL_GAP_MORE = 0.5, 0.35
# A video of iMiGUE lasts 350 seconds and has 51.5 clips of 2.55 seconds, which leaves
# 4.24 between two.
GAP_MORE = 3.74
# Clips a video: at least 3 as in iMiGUE's training labels, and as uneven (the log's
# standard deviation there).
CLIPS_MIN, CLIPS_SIGMA = 3, 0.91
# How many times as often; see `gesture_order.tilted`.
SMALL_EFFECT, EFFECT = 2.0, 2.5
# Ids of iMiGUE's videos are 1 to this, with gaps. Here its 101 defeats are half of the
# videos that train for the emotion protocol and half of those that test.
_LAST_VIDEO, _LOST_TRAIN, _LOST_TEST = 453, 51, 50

# Random numbers come from (seed, stream, row), so that one interview more changes no
# other: stream 0 is a subject's body, 1 and 2 are the plans, 3 the best accuracy and 4
# the videos.

# A split's ids of videos that train and that test.
Sides = tuple[tuple[str, ...], tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Simulation:
    """Interviews, all at `FPS` frames a second in pictures of `WIDTH` by `HEIGHT`.

    Their joints are those of `simulation.LAYOUT`.

    Attributes:
        scale: "small" or "imigue".
        seed: 0 or more.
        sessions: the interviews.
        labels: class names, in label order.
        order: how gestures follow each other and depend on the emotion, by label.
        splits: split name to ids of videos that train and that test.
        effect: how strongly they depend on it; see `gesture_order.tilted`.
    """

    scale: Literal["small", "imigue"]
    seed: int
    sessions: tuple[Session, ...]
    labels: tuple[str, ...]
    order: gesture_order.Order
    splits: Mapping[str, Sides]
    effect: float

    @property
    def frame_count(self) -> int:
        """Number of frames of all videos together."""
        return sum(session.frames for session in self.sessions)

    @property
    def clip_count(self) -> int:
        """Number of clips of all videos together."""
        return sum(len(session.gesture) for session in self.sessions)

    def label(self, session: Session) -> np.ndarray:
        """The labels of a session's clips, int64 `[clips]`."""
        row = {gesture.name: row for row, gesture in enumerate(GESTURES)}
        # From rows of GESTURES to labels; -1 marks what these interviews do not have.
        label = np.full(len(GESTURES), -1)
        label[[row[name] for name in self.labels]] = np.arange(len(self.labels))
        return label[session.gesture]

    @functools.cached_property
    def videos(self) -> tuple[Video, ...]:
        """All interviews, filmed and kept in memory; for a few of them."""
        return tuple(interview.record(session) for session in self.sessions)

    def film(
        self, workers: int = 1
    ) -> Generator[tuple[Session, np.ndarray, np.ndarray], None, None]:
        """One session after another with its keypoints `[T, 67, 2]` and score `[T, 67]`.

        Few of them are in memory at a time.

        Args:
            workers: processes that simulate; what comes is the same for any number.
        """
        tasks = ((session,) for session in self.sessions)
        with start_workers(workers) as crew:
            seen = crew.in_order(interview.seen, tasks, 2 * workers)
            for session, (keypoints, score) in zip(self.sessions, seen):
                yield session, keypoints, score

    def emotion_limit(self, split: str) -> tuple[float, float, int]:
        """How well the emotions of a split's test videos could be told at best.

        Nobody can do better than who knows how they were made.

        Returns:
            The expected accuracy where either emotion is as probable, the accuracy on these
            very videos, and their number.
        """
        test = set(self.splits[split][1])
        sessions = [session for session in self.sessions if session.id in test]
        counts = [len(session.gesture) for session in sessions]
        expected = self.order.best_accuracy(counts, np.random.default_rng([self.seed, 3]))
        told = []
        for session in sessions:
            # The last entry is that of all labels of the video together.
            evidence = self.order.evidence(self.label(session))[-1]
            told.append((evidence > 0) == (session.emotion == EMOTIONS[0]))
        return expected, float(np.mean(told)), len(sessions)


def simulate(
    seed: int = 0,
    videos: int = 12,
    subjects: int = 10,
    clips_per_video: int = 40,
    effect: float = SMALL_EFFECT,
) -> Simulation:
    """Simulate a few interviews of the classes `FEW`.

    Video i is of subject i modulo `subjects`; a subject's videos alternate between the
    emotions, and so do the subjects. The first half of the subjects is to train, the
    second half to test. The same arguments give the same arrays.

        >>> from data_prep import simulation
        >>> interviews = simulation.simulate(seed=0, videos=2, subjects=2, clips_per_video=3)
        >>> [(session.id, session.emotion) for session in interviews.sessions]
        [('interview001', 'positive'), ('interview002', 'negative')]
        >>> interviews.videos[0].keypoints.shape[1:]
        (67, 2)

    Args:
        seed: 0 or more.
        videos: number of videos, at least `subjects`.
        subjects: number of people, at least 2.
        clips_per_video: number of labelled clips in each, at least 1.
        effect: of the emotion; see `gesture_order.tilted`.

    Raises:
        InputError: a number is out of its range.
    """
    _check_numbers(seed, videos, subjects, clips_per_video)
    rows = np.array([row for row, gesture in enumerate(GESTURES) if gesture.name in FEW])
    # What people mostly do while they talk comes twice as often as anything else.
    often = [2 if GESTURES[row].name == FEW[-1] else 1 for row in rows]
    order = _order(often, np.zeros(len(rows)), rows.tolist(), effect, positive=0.5)
    sessions: list[Session] = []
    train: list[str] = []
    test: list[str] = []
    for i in range(videos):
        subject, earlier = i % subjects, i // subjects  # and how many videos of that subject
        emotion = EMOTIONS[(i + earlier) % 2]
        rng = np.random.default_rng([seed, 1, i])
        label = order.labels(emotion, 1, clips_per_video, rng)[0]
        session = _session(
            f"interview{i + 1:03}",
            f"subject{subject + 1:02}",
            emotion,
            rows[label],
            person=(seed, 0, subject),
            seed=(seed, 4, i),
            longest=SMALL_LENGTH_MAX,
            gap_more=SMALL_GAP_MORE,
            rng=rng,
        )
        sessions.append(session)
        (train if subject < (subjects + 1) // 2 else test).append(session.id)
    labels = tuple(GESTURES[row].name for row in rows)
    splits = {CROSS_SUBJECT: (tuple(train), tuple(test))}
    return Simulation("small", seed, tuple(sessions), labels, order, splits, effect)


def _check_numbers(seed: int, videos: int, subjects: int, clips_per_video: int) -> None:
    for name, value, least in (
        ("seed", seed, 0),
        ("subjects", subjects, 2),
        ("clips_per_video", clips_per_video, 1),
    ):
        if value < least:
            raise InputError(f"{name} is {value}, expected at least {least}")
    if videos < subjects:
        raise InputError(
            f"videos is {videos}, expected at least one for each of the {subjects} subjects"
        )


def simulate_imigue(seed: int = 0, effect: float = EFFECT) -> Simulation:
    """Simulate as many interviews as iMiGUE has, with its classes, ids and splits.

    Which subject gave which interview is not public. Here the 100 test videos of the
    emotion protocol are those of the 35 test subjects and the other 259 those of the 37
    training subjects, so that no subject is on both sides of either protocol; then
    iMiGUE's numbers of clips a side, videos a side and victories come out exactly.

    Raises:
        InputError: the seed is negative, or the effect not above 0.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}, expected at least 0")
    rng = np.random.default_rng([seed, 2])
    interviews = _imigue_interviews(rng)
    # All other videos were won.
    lost = set(rng.choice(protocols.IMIGUE_EMOTION_TRAIN, _LOST_TRAIN, replace=False).tolist())
    lost |= set(rng.choice(protocols.IMIGUE_EMOTION_TEST, _LOST_TEST, replace=False).tolist())
    won = sum(clips for video, _, clips in interviews if video not in lost)
    order = _order(
        gesture_order.IMIGUE_COUNTS,
        gesture_order.IMIGUE_REPEATS,
        range(len(GESTURES)),
        effect,
        positive=won / protocols.IMIGUE_CLIPS,
    )
    sessions = []
    for video, subject, clips in interviews:
        emotion = EMOTIONS[video in lost]
        gesture = order.labels(emotion, 1, clips, rng)[0]
        session = _session(
            f"{video:04}",
            f"{subject:02}",
            emotion,
            gesture,
            person=(seed, 0, subject),
            seed=(seed, 4, video),
            longest=LENGTH_MAX,
            gap_more=GAP_MORE,
            rng=rng,
        )
        sessions.append(session)
    splits = _imigue_splits(sessions)
    labels = protocols.IMIGUE_CLASSES
    return Simulation("imigue", seed, tuple(sessions), labels, order, splits, effect)


def _imigue_interviews(rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """(video, subject, clips) of each interview, by video."""
    tested, trained = protocols.IMIGUE_EMOTION_TEST, protocols.IMIGUE_EMOTION_TRAIN
    # The first of the ids that are in neither half of the emotion protocol, as many as
    # lack.
    taken = {*tested, *trained}
    free = [id for id in range(1, _LAST_VIDEO + 1) if id not in taken]
    others = free[: protocols.IMIGUE_VIDEOS - len(tested) - len(trained)]
    interviews: list[tuple[int, int, int]] = []
    for videos, subjects, clips in zip(
        ([*trained, *others], tested),
        (protocols.IMIGUE_TRAIN_SUBJECTS, protocols.IMIGUE_TEST_SUBJECTS),
        protocols.IMIGUE_SPLIT_CLIPS,
    ):
        # Everybody gives one interview at least.
        of = np.concatenate([subjects, rng.choice(subjects, len(videos) - len(subjects))])
        weight = rng.lognormal(0, CLIPS_SIGMA, len(videos))
        more = rng.multinomial(clips - CLIPS_MIN * len(videos), weight / weight.sum())
        interviews += zip(videos, rng.permutation(of).tolist(), (CLIPS_MIN + more).tolist())
    return sorted(interviews)


def _imigue_splits(sessions: Sequence[Session]) -> dict[str, Sides]:
    """The official splits, as ids of videos."""
    subjects = [int(session.subject) for session in sessions]
    rows = protocols.imigue(subjects, [int(session.id) for session in sessions])
    splits = {}
    for name, (train, test) in rows.items():
        ids = tuple(sessions[row].id for row in train)
        splits[name] = ids, tuple(sessions[row].id for row in test)
    return splits


def _order(
    shares: ArrayLike, repeat: ArrayLike, rows: Sequence[int], effect: float, positive: float
) -> gesture_order.Order:
    """`gesture_order.tilted` of some rows of `GESTURES`."""
    if not 0 < effect < math.inf:
        raise InputError(f"the emotion's effect is {effect}, expected a ratio above 0; 1 is none")
    tilt = [GESTURES[row].tilt for row in rows]
    return gesture_order.tilted(shares, repeat, tilt, effect, positive)


def _session(
    id: str,
    subject: str,
    emotion: str,
    gesture: np.ndarray,
    *,
    person: tuple[int, ...],
    seed: tuple[int, ...],
    longest: float,
    gap_more: float,
    rng: np.random.Generator,
) -> Session:
    """A session in which some gestures are done one after the other, at times drawn here.

    Args:
        id, subject, emotion, gesture, person, seed: as in `Session`.
        longest: of a clip, seconds.
        gap_more: seconds beyond `GAP` between two clips, in the mean.
        rng: NumPy's generator.
    """
    count = len(gesture)
    seconds = np.clip(rng.lognormal(LENGTH_MU, LENGTH_SIGMA, count), LENGTH_MIN, longest)
    length = np.ceil(seconds * FPS).astype(np.int64)
    pause = GAP + rng.exponential(gap_more, count)
    gap = np.ceil(pause * FPS).astype(np.int64)
    start = np.cumsum(gap + length) - length
    # The video ends as it begins, with the body at rest.
    frames = int(start[-1] + length[-1] + FPS * GAP)
    return Session(id, subject, emotion, person, seed, gesture, start, length, frames)
