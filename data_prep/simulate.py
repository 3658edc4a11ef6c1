r"""Interviews that nobody gave: seated people drawn from a model of the upper body, with a known truth.

    python data_prep/simulate.py --output interviews/
    python data_prep/pack_openpose.py --input interviews/openpose --videos interviews/videos.csv \
        --clips interviews/clips.csv --layout body25_hands --output interviews.h5

Every clip is one micro-gesture: the hands reach for a place on the body, stay, rub or scratch and go back, or the
torso, the shoulders or the head move. People differ in proportions, tempo and favoured hand; videos differ in place,
size and angle of view and in where the hands rest; and what the camera saw is then given the errors of a pose
estimator: jitter that grows as the score falls, lost joints, lost hands, and everything below the waist hidden by a
desk. How the body moves is in `data_prep/seated_body.py`; here are who does what and when, the camera, the pose
estimator, and what is written.

The data serves to try the toolkit and to test one's own code. It has no claim to human behaviour.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib

import numpy as np
from absl import app, flags

from data_prep.seated_body import FPS, GESTURES, LABELS, LAYOUT, Person, drift, perform, rotations, turned
from mgjax import progress, protocols, skeleton, store
from mgjax.errors import InputError, script

WIDTH, HEIGHT = 1280, 720
EMOTIONS = ("positive", "negative")

# Clip lengths in seconds: the log of the length is normal. Clips lie apart by at least GAP.
LENGTH_MU, LENGTH_SIGMA, LENGTH_MIN, LENGTH_MAX = 0.45, 0.986, 0.18, 20.0
GAP, GAP_MORE = 0.5, 0.35

_UNSEEN = LAYOUT.index("MidHip", *LAYOUT.parts["right leg"], *LAYOUT.parts["left leg"])


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
        person = Person(np.random.default_rng([seed, 0, subject]))
        made.append(Video(
            f"interview{i + 1:03}", f"subject{subject + 1:02}", emotion, split,
            *_record(person, emotion, clips_per_video, np.random.default_rng([seed, 1, i])),
        ))
    return Simulation(seed, tuple(made))


def _record(person: Person, emotion: str, clips: int, rng):
    """Everything of a `Video` from its keypoints on."""
    label = rng.choice(len(LABELS), size=clips, p=frequencies(emotion))
    seconds = np.clip(rng.lognormal(LENGTH_MU, LENGTH_SIGMA, clips), LENGTH_MIN, LENGTH_MAX)
    length = np.ceil(seconds * FPS).astype(np.int64)
    gap = np.ceil((GAP + rng.exponential(GAP_MORE, clips)) * FPS).astype(np.int64)
    start = np.cumsum(gap + length) - length
    frames = int(start[-1] + length[-1] + FPS * GAP)
    body = perform(person, [GESTURES[k] for k in label], start, length, frames, rng)
    truth, unit = _Camera(len(body), rng).project(body)
    keypoints, score = _observe(truth, body, unit, rng)
    return keypoints, score, truth.astype(np.float32), body.astype(np.float32), start, length, label


class _Camera:
    """A video's view: the body turned by some angle, seen in perspective, by somebody who pans and zooms a little."""

    FOCAL = 1500.0  # pixels

    def __init__(self, frames: int, rng):
        self.turn = rotations(np.array([rng.uniform(-3, 12), rng.uniform(-35, 35), rng.normal(0, 1.5)]))
        # The shoulders of an average body become 150 to 340 pixels wide.
        self.distance = self.FOCAL * 0.36 / rng.uniform(150, 340)
        self.neck = np.array([WIDTH / 2 + rng.uniform(-240, 240), HEIGHT * 0.42 + rng.uniform(-40, 60)])
        self.pan = drift(rng, frames, 12, 2) * [25, 12]
        self.zoom = np.exp(0.05 * drift(rng, frames, 12))

    def project(self, body):
        """Picture coordinates `[T, V, 2]` of joints in metres `[T, V, 3]`, and how many pixels a metre is."""
        x = turned(self.turn, body)
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
    score = score + 0.06 * drift(rng, frames, 0.7, joints) + 0.04 * rng.normal(size=(frames, joints))
    # What moves fast is blurred: 1 m/s costs a tenth, a hand more.
    speed = np.linalg.norm(np.gradient(truth, axis=0), axis=-1) / unit * FPS
    score -= speed * (0.1 + 0.05 * hands)
    score[:, LAYOUT.index(*LAYOUT.parts["head"])] *= _face_visibility(truth, unit)
    score = np.clip(score, 0.02, 0.98)
    size = unit / 700
    jitter = rng.normal(size=truth.shape) + 0.8 * drift(rng, frames, 0.3, joints, 2)
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
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    simulation = simulate(options.seed, options.videos, options.subjects, options.clips_per_video)
    write_openpose(simulation, options.output)
    print(f"{options.output}: {len(simulation.videos)} interviews of {options.subjects} subjects, "
          f"{simulation.frame_count} frames, {simulation.clip_count} clips of {len(LABELS)} classes")


def define_flags():
    """The script\'s flags."""
    flags.DEFINE_string("output", None, "Folder to write, new or empty.", required=True)
    flags.DEFINE_integer("videos", 12, "Number of interviews.")
    flags.DEFINE_integer("subjects", 10, "Number of people in them.")
    flags.DEFINE_integer("clips_per_video", 40, "Number of labelled clips in each interview.")
    flags.DEFINE_integer("seed", 0, "The same seed gives the same interviews.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
