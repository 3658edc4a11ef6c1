r"""Interviews that nobody gave: seated people drawn from a model of the upper body, with a known
truth.

    python data_prep/simulate.py --output interviews/
    python data_prep/pack_openpose.py --input interviews/openpose --videos interviews/videos.csv \
        --clips interviews/clips.csv --layout body25_hands --output interviews.h5

    python data_prep/simulate.py --scale imigue --store simulated.h5

Every clip is one micro-gesture: the hands reach for a place on the body, stay, rub or scratch and
go back, or the torso, the shoulders or the head move. People differ in proportions, tempo,
favoured hand and ways of doing each gesture; videos differ in place, size and angle of view and
in where the hands rest.

--scale small is a few videos of twelve classes. --scale imigue has iMiGUE's 72 subjects, 359
videos, 18,499 clips of 32 classes, 2,092 minutes, and its official splits, with the classes as
often as in its public training labels and a gesture repeated as often as there.

A video's emotion changes how often gestures are seen: --emotion_effect times as often hands on
oneself after a defeat, and large movements after a victory. Nothing else depends on it, so the
best possible accuracy of telling the emotion is known; it is printed.

How the body moves is in `data_prep/seated_body.py`, the order of gestures in
`data_prep/gesture_order.py`, camera and pose estimator in `data_prep/filming.py`, all of them
together in `data_prep/interview.py`; here are who does what and when, and what is written.

The data serves to try the toolkit and to test one's own code. It has no claim to human behaviour.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import json
import math
import pathlib
import shutil
from collections.abc import Iterator, Mapping

import numpy as np

from data_prep import gesture_order, interview
from data_prep.filming import HEIGHT, WIDTH
from data_prep.gesture_order import EMOTIONS
from data_prep.interview import Session, Video
from data_prep.seated_body import FPS, GESTURES, LAYOUT
from data_prep.workers import start_workers
from mgjax import files, progress, protocols, skeleton, store
from mgjax.errors import InputError

# The classes of the small scale.
# fmt: off
FEW = (
    "touching or scratching head", "covering face", "touching jaw", "touching or covering "
                                                                    "suprasternal notch",
    "folding arms", "moving torso", "scratching or touching arms", "rubbing or holding "
                                                                   "hands", "crossing fingers",
    "arms akimbo", "shaking shoulders", "illustrative body language",
)
# fmt: on
TABLES = ("videos.csv", "clips.csv")
CROSS_SUBJECT = "cross_subject"  # the small scale's split

# Clip lengths in seconds: the log of the length is normal.
LENGTH_MU, LENGTH_SIGMA, LENGTH_MIN, LENGTH_MAX = 0.45, 0.986, 0.18, 80.92
SMALL_LENGTH_MAX = 20.0
# Clips lie apart by GAP seconds and more, by so many more in the mean.
GAP, SMALL_GAP_MORE = 0.5, 0.35
# A video of iMiGUE lasts 350 seconds and has 51.5 clips of 2.55 seconds, which leaves 4.24
# between two.
GAP_MORE = 3.74
# Clips a video: at least 3 as in iMiGUE's training labels, and as uneven (the log's standard
# deviation there).
CLIPS_MIN, CLIPS_SIGMA = 3, 0.91
# How many times as often; see `gesture_order.tilted`.
SMALL_EFFECT, EFFECT = 2.0, 2.5


@dataclasses.dataclass(frozen=True)
class Simulation:
    """Interviews, all at `FPS` frames a second in pictures of `WIDTH` by `HEIGHT`, joints as in
    `LAYOUT`.

    Attributes:
        scale: "small" or "imigue".
        seed: 0 or more.
        sessions: the interviews.
        labels: class names, in label order.
        order: how gestures follow each other and depend on the emotion, by label.
        splits: split name to ids of videos that train and that test.
        effect: how strongly they depend on it; see `gesture_order.tilted`.
    """

    scale: str
    seed: int
    sessions: tuple[Session, ...]
    labels: tuple[str, ...]
    order: gesture_order.Order
    splits: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
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
        label = np.full(len(GESTURES), -1)
        label[[row[name] for name in self.labels]] = np.arange(len(self.labels))
        return label[session.gesture]

    @functools.cached_property
    def videos(self) -> tuple[Video, ...]:
        """All interviews, filmed and kept; for a few of them."""
        return tuple(interview.record(session) for session in self.sessions)

    def film(self, workers: int = 1) -> Iterator[tuple[Session, np.ndarray, np.ndarray]]:
        """One session after another with its keypoints and score, of which few are in memory at
        a time.
        """
        with start_workers(workers) as crew:
            seen = crew.in_order(
                interview.seen, ((session,) for session in self.sessions), 2 * workers
            )
            for session, (keypoints, score) in zip(self.sessions, seen):
                yield session, keypoints, score

    def emotion_limit(self, split: str) -> tuple[float, float, int]:
        """How well the emotions of a split's test videos could be told at best, by who knows how
        they were made.

        Returns:
            The expected accuracy where either emotion is as probable, the accuracy on these very
            videos, and their number.
        """
        test = set(self.splits[split][1])
        sessions = [session for session in self.sessions if session.id in test]
        expected = self.order.best_accuracy(
            [len(session.gesture) for session in sessions], np.random.default_rng([self.seed, 3])
        )
        evidence = np.array([self.order.evidence(self.label(session))[-1] for session in sessions])
        positive = np.array([session.emotion == EMOTIONS[0] for session in sessions])
        return expected, float(((evidence > 0) == positive).mean()), len(sessions)


def simulate(
    seed: int = 0,
    videos: int = 12,
    subjects: int = 10,
    clips_per_video: int = 40,
    effect: float = SMALL_EFFECT,
) -> Simulation:
    """Simulate a few interviews of the classes `FEW`.

    Video i is of subject i modulo `subjects`; a subject's videos alternate between the emotions,
    and so do the subjects. The first half of the subjects is to train, the second half to test.
    The same arguments give the same arrays.

    Args:
        seed: 0 or more.
        videos: number of videos, at least `subjects`.
        subjects: number of people, at least 2.
        clips_per_video: number of labelled clips in each, at least 1.
        effect: of the emotion; see `gesture_order.tilted`.

    Raises:
        InputError: a number is out of its range.
    """
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
    rows = np.array([row for row, gesture in enumerate(GESTURES) if gesture.name in FEW])
    often = [2 if GESTURES[row].name == FEW[-1] else 1 for row in rows]
    order = _order(often, np.zeros(len(rows)), rows, effect, 0.5)
    sessions, trained = [], []
    for i in range(videos):
        subject, emotion = i % subjects, EMOTIONS[(i + i // subjects) % 2]
        rng = np.random.default_rng([seed, 1, i])
        label = order.labels(emotion, 1, clips_per_video, rng)[0]
        sessions.append(
            _session(
                f"interview{i + 1:03}",
                f"subject{subject + 1:02}",
                emotion,
                (seed, 0, subject),
                (seed, 4, i),
                rows[label],
                SMALL_LENGTH_MAX,
                SMALL_GAP_MORE,
                rng,
            )
        )
        trained.append(subject < (subjects + 1) // 2)
    sides = tuple(
        tuple(session.id for session, train in zip(sessions, trained) if train == side)
        for side in (True, False)
    )
    return Simulation(
        "small",
        seed,
        tuple(sessions),
        tuple(GESTURES[row].name for row in rows),
        order,
        {CROSS_SUBJECT: sides},
        effect,
    )


def simulate_imigue(seed: int = 0, effect: float = EFFECT) -> Simulation:
    """Simulate as many interviews as iMiGUE has, with its classes, subjects, videos' ids and
    splits.

    Which subject gave which interview is not public. Here the 100 test videos of the emotion
    protocol are those of the 35 test subjects and the other 259 those of the 37 training
    subjects, so that no subject is on both sides of either protocol; then iMiGUE's numbers of
    clips a side, videos a side and victories come out exactly.

    Raises:
        InputError: the seed is negative, or the effect not above 0.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}, expected at least 0")
    rng = np.random.default_rng([seed, 2])
    tested, trained = list(protocols.IMIGUE_EMOTION_TEST), list(protocols.IMIGUE_EMOTION_TRAIN)
    others = [id for id in range(1, 454) if id not in {*tested, *trained}]
    others = others[: protocols.IMIGUE_VIDEOS - len(tested) - len(trained)]
    sides = []  # (video, subject, emotion, clips)
    for videos, subjects, clips in zip(
        (trained + others, tested),
        (protocols.IMIGUE_TRAIN_SUBJECTS, protocols.IMIGUE_TEST_SUBJECTS),
        protocols.IMIGUE_SPLIT_CLIPS,
    ):
        of = np.concatenate([subjects, rng.choice(subjects, len(videos) - len(subjects))])
        weight = rng.lognormal(0, CLIPS_SIGMA, len(videos))
        more = rng.multinomial(clips - CLIPS_MIN * len(videos), weight / weight.sum())
        sides += zip(videos, rng.permutation(of).tolist(), (CLIPS_MIN + more).tolist())
    lost = {
        *rng.choice(trained, 51, replace=False).tolist(),
        *rng.choice(tested, 50, replace=False).tolist(),
    }
    won = sum(clips for video, _, clips in sides if video not in lost) / protocols.IMIGUE_CLIPS
    order = _order(
        gesture_order.IMIGUE_COUNTS,
        gesture_order.IMIGUE_REPEATS,
        np.arange(len(GESTURES)),
        effect,
        won,
    )
    sessions = []
    for video, subject, clips in sorted(sides):
        emotion = EMOTIONS[video in lost]
        gesture = order.labels(emotion, 1, clips, rng)[0]
        sessions.append(
            _session(
                f"{video:04}",
                f"{subject:02}",
                emotion,
                (seed, 0, subject),
                (seed, 4, video),
                gesture,
                LENGTH_MAX,
                GAP_MORE,
                rng,
            )
        )
    rows = protocols.imigue(
        [int(session.subject) for session in sessions], [int(session.id) for session in sessions]
    )
    splits = {
        name: tuple(tuple(sessions[row].id for row in side) for side in both)
        for name, both in rows.items()
    }
    return Simulation(
        "imigue", seed, tuple(sessions), protocols.IMIGUE_CLASSES, order, splits, effect
    )


def _order(shares, repeat, rows, effect, positive) -> gesture_order.Order:
    if not 0 < effect < math.inf:
        raise InputError(f"the emotion's effect is {effect}, expected a ratio above 0; 1 is none")
    return gesture_order.tilted(
        shares, repeat, [GESTURES[row].tilt for row in rows], effect, positive
    )


def _session(id, subject, emotion, person, seed, gesture, longest, gap_more, rng) -> Session:
    """A session in which these gestures are done one after the other, for lengths and at
    distances drawn here.
    """
    count = len(gesture)
    seconds = np.clip(rng.lognormal(LENGTH_MU, LENGTH_SIGMA, count), LENGTH_MIN, longest)
    length = np.ceil(seconds * FPS).astype(np.int64)
    gap = np.ceil((GAP + rng.exponential(gap_more, count)) * FPS).astype(np.int64)
    start = np.cumsum(gap + length) - length
    frames = int(start[-1] + length[-1] + FPS * GAP)
    return Session(id, subject, emotion, person, seed, gesture, start, length, frames)


def write_openpose(simulation: Simulation, folder, workers: int = 1) -> None:
    """Write interviews as OpenPose 1.3 would leave them, with two tables.

        folder/openpose/<video>/<video>_<frame, 12 digits>_keypoints.json    one person, BODY_25
                                                                             and 2 x 21
        folder/videos.csv    id, subject, emotion, fps, width, height, and a column split_NAME a
                             split
        folder/clips.csv     video, start, stop, label; frame numbers of the file names, stop not
                             included

    Raises:
        InputError: the folder is there and not empty, or cannot be made, or the disk is full;
            then it is left empty.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from None
    with files.one_writer(folder):
        if any(folder.iterdir()):
            advice = "give a new folder, so that no other recording is mixed in"
            raise InputError(f"{folder}: is not empty; {advice}")
        try:
            _fill(folder, simulation, workers)
        except BaseException as error:
            # Half of the interviews are of no use, and would be in the way of the next attempt.
            shutil.rmtree(folder / "openpose", ignore_errors=True)
            for name in TABLES:
                (folder / name).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
            raise


def _fill(folder, simulation, workers):
    count = len(simulation.sessions)
    with contextlib.closing(simulation.film(workers)) as film:
        for session, keypoints, score in progress.track(film, count, "writing interviews"):
            _write_frames(session.id, keypoints, score, folder / "openpose" / session.id)
    for name, rows in zip(TABLES, _tables(simulation)):
        with (
            files.whole(folder / name) as partial,
            open(partial, "w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows(rows)


def _tables(simulation):
    """Rows of the table of videos and of the table of clips, each with its header."""
    splits = [f"split_{name}" for name in simulation.splits]
    videos = [["id", "subject", "emotion", "fps", "width", "height", *splits]]
    clips = [["video", "start", "stop", "label"]]
    for session in simulation.sessions:
        sides = [
            "train" if session.id in train else "test" if session.id in test else ""
            for train, test in simulation.splits.values()
        ]
        videos.append([session.id, session.subject, session.emotion, FPS, WIDTH, HEIGHT, *sides])
        for start, length, gesture in zip(session.start, session.length, session.gesture):
            clips.append([session.id, start, start + length, GESTURES[gesture].name])
    return videos, clips


def _write_frames(id: str, keypoints: np.ndarray, score: np.ndarray, folder: pathlib.Path):
    folder.mkdir(parents=True)
    values = np.concatenate([keypoints, score[..., None]], axis=-1).astype(np.float64).round(3)
    parts = {
        "pose_keypoints_2d": skeleton.BODY_25,
        "hand_left_keypoints_2d": skeleton.LEFT_HAND_21,
        "hand_right_keypoints_2d": skeleton.RIGHT_HAND_21,
    }
    flat = {
        key: values[:, part.cut(LAYOUT)].reshape(len(score), -1).tolist()
        for key, part in parts.items()
    }
    for frame in range(len(score)):
        person = {"person_id": [-1], "face_keypoints_2d": []} | {
            key: rows[frame] for key, rows in flat.items()
        }
        rest = json.dumps({"version": 1.3, "people": [person]}, separators=(",", ":")).encode()
        # Tens of thousands of small files: unbuffered, each costs the system the least.
        with open(f"{folder}/{id}_{frame:012}_keypoints.json", "wb", buffering=0) as file:
            while rest:  # a disk that becomes full takes a part first
                rest = rest[file.write(rest) :]


def write_store(
    simulation: Simulation, path, workers: int = 1, layout: skeleton.Layout = LAYOUT
) -> None:
    """Write interviews straight to a store.

    Args:
        simulation: what to write.
        path: the store.
        workers: processes that simulate; the store is the same for any number.
        layout: whose joints to write; it must be one that can be cut out of `LAYOUT`.

    Raises:
        InputError: the store cannot be written there, or the layout has other joints.
    """
    columns = layout.cut(LAYOUT)
    writer = store.StoreWriter(
        path,
        layout,
        unit="pixel",
        frames=simulation.frame_count,
        labels=simulation.labels,
        source=f"simulated interviews, {simulation.scale} scale, seed {simulation.seed}, emotion "
        "effect "
        f"{simulation.effect:g}",
    )
    with writer, contextlib.closing(simulation.film(workers)) as film:
        for session, keypoints, score in progress.track(
            film, len(simulation.sessions), "simulating interviews"
        ):
            writer.add_video(
                session.id,
                keypoints[:, columns],
                score[:, columns],
                fps=FPS,
                width=WIDTH,
                height=HEIGHT,
                subject=session.subject,
                emotion=session.emotion,
            )
            for start, length, label in zip(
                session.start, session.length, simulation.label(session)
            ):
                writer.add_clip(session.id, int(start), int(length), int(label))
        row = {session.id: row for row, session in enumerate(simulation.sessions)}
        for name, sides in simulation.splits.items():
            writer.add_split(name, *([row[id] for id in side] for side in sides), of="videos")


def summary(simulation: Simulation) -> str:
    """What was simulated and how well its emotions could be told, in a few lines."""
    sessions = simulation.sessions
    won = sum(session.emotion == EMOTIONS[0] for session in sessions)
    lines = [
        f"simulated: {len(sessions)} interviews ({won} positive, {len(sessions) - won} "
        "negative) of "
        f"{len({session.subject for session in sessions})} subjects, "
        f"{simulation.frame_count} frames, "
        f"{simulation.clip_count} clips of {len(simulation.labels)} classes"
    ]
    for name, sides in simulation.splits.items():
        expected, here, count = simulation.emotion_limit(name)
        lines.append(
            f"  {name}: {len(sides[0])} videos train, {len(sides[1])} test; the best "
            "possible accuracy of "
            f"emotion is {100 * expected:.1f} % (expected), {100 * here:.1f} % on these "
            f"{count}"
        )
    return "\n".join(lines)
