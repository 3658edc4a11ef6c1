"""Interviews that nobody gave: seated people from a model of the upper body.

    from data_prep import simulation

    interviews = simulation.simulate(seed=0)
    simulation.write_store(interviews, "interviews.h5")

Every clip is one micro-gesture: the hands reach for a place on the body, stay, rub or
scratch and go back, or the torso, the shoulders or the head move. People differ in
proportions, tempo, favoured hand and ways of doing each gesture; videos differ in place,
size and angle of view and in where the hands rest. All of it is known.

A video's emotion changes how often gestures are seen: `effect` times as often hands on
oneself after a defeat, and large movements after a victory. Nothing else depends on it,
so the best possible accuracy of telling the emotion is known.

Who does what and when is in `data_prep/simulation_plan.py`, the gestures in
`data_prep/gestures.py` and their order in `data_prep/gesture_order.py`, how the body
moves in `data_prep/seated_body.py` and `data_prep/performance.py`, camera and pose
estimator in `data_prep/filming.py`, all of them together in `data_prep/interview.py`;
here is what is written.

The data serves to try the toolkit and to test one's own code. It has no claim to human
behaviour. This module needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pathlib
import shutil
from collections.abc import Container, Iterable

import numpy as np

from data_prep.filming import HEIGHT, WIDTH
from data_prep.gesture_order import EMOTIONS
from data_prep.gestures import GESTURES
from data_prep.motion import FPS
from data_prep.seated_body import LAYOUT
from data_prep.simulation_plan import EFFECT, SMALL_EFFECT, Simulation, simulate, simulate_imigue
from mgjax import files, progress, skeleton, store
from mgjax.errors import InputError

__all__ = [
    "EFFECT",
    "LAYOUT",
    "SMALL_EFFECT",
    "Simulation",
    "simulate",
    "simulate_imigue",
    "summary",
    "write_openpose",
    "write_store",
]

TABLES = ("videos.csv", "clips.csv")
# OpenPose's names of the parts of a person.
_PARTS = {
    "pose_keypoints_2d": skeleton.BODY_25,
    "hand_left_keypoints_2d": skeleton.LEFT_HAND_21,
    "hand_right_keypoints_2d": skeleton.RIGHT_HAND_21,
}


def write_openpose(simulation: Simulation, folder: str | os.PathLike, workers: int = 1) -> None:
    """Write interviews as OpenPose 1.3 would leave them, with two tables.

        folder/openpose/<video>/<video>_<frame, 12 digits>_keypoints.json
            one person, BODY_25 and 2 x 21
        folder/videos.csv
            id, subject, emotion, fps, width, height, and a column split_NAME a split
        folder/clips.csv
            video, start, stop, label; frame numbers of the file names, stop not included

    Args:
        simulation: what to write.
        folder: where to, new or empty.
        workers: processes that simulate; the files are the same for any number.

    Raises:
        InputError: the folder is there and not empty, or cannot be made, or the disk is
            full; then it is left empty.
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
            # Whatever it is, Ctrl-C too: half of the interviews are of no use, and would
            # be in the way of the next attempt.
            shutil.rmtree(folder / "openpose", ignore_errors=True)
            for name in TABLES:
                (folder / name).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
            raise


def _fill(folder: pathlib.Path, simulation: Simulation, workers: int) -> None:
    count = len(simulation.sessions)
    # Closing the generator ends its processes at once, whatever goes wrong here.
    with contextlib.closing(simulation.film(workers)) as film:
        for session, keypoints, score in progress.track(film, count, "writing interviews"):
            _write_frames(session.id, keypoints, score, folder / "openpose" / session.id)
    for name, rows in zip(TABLES, (_video_rows(simulation), _clip_rows(simulation))):
        _write_table(folder / name, rows)


def _write_frames(id: str, keypoints: np.ndarray, score: np.ndarray, folder: pathlib.Path) -> None:
    folder.mkdir(parents=True)
    values = np.concatenate([keypoints, score[..., None]], axis=-1)
    # In float64, as a float32 of three decimals would be written with a tail of digits.
    values = values.astype(np.float64).round(3)
    # Of each part a row a frame, of numbers x, y, score, x, y, score, ...
    flat = {}
    for key, part in _PARTS.items():
        columns = values[:, part.cut(LAYOUT)]
        flat[key] = columns.reshape(len(score), -1).tolist()
    for frame in range(len(score)):
        person: dict[str, list] = {"person_id": [-1], "face_keypoints_2d": []}
        person |= {key: rows[frame] for key, rows in flat.items()}
        text = json.dumps({"version": 1.3, "people": [person]}, separators=(",", ":"))
        rest = text.encode()
        # Tens of thousands of small files: unbuffered, each costs the system the least.
        with open(f"{folder}/{id}_{frame:012}_keypoints.json", "wb", buffering=0) as file:
            while rest:  # a disk that becomes full takes a part first
                rest = rest[file.write(rest) :]


def _write_table(path: pathlib.Path, rows: Iterable[list]) -> None:
    with files.whole(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _video_rows(simulation: Simulation) -> list[list]:
    """Rows of the table of videos, its header first."""
    splits = [f"split_{name}" for name in simulation.splits]
    rows: list[list] = [["id", "subject", "emotion", "fps", "width", "height", *splits]]
    for session in simulation.sessions:
        sides = [_side(session.id, *split) for split in simulation.splits.values()]
        rows.append([session.id, session.subject, session.emotion, FPS, WIDTH, HEIGHT, *sides])
    return rows


def _side(id: str, train: Container[str], test: Container[str]) -> str:
    if id in train:
        return "train"
    return "test" if id in test else ""


def _clip_rows(simulation: Simulation) -> list[list]:
    """Rows of the table of clips, its header first."""
    rows: list[list] = [["video", "start", "stop", "label"]]
    # By the gesture's name, as packing gives labels their numbers anew.
    for session in simulation.sessions:
        for start, length, gesture in zip(session.start, session.length, session.gesture):
            rows.append([session.id, start, start + length, GESTURES[gesture].name])
    return rows


def write_store(
    simulation: Simulation,
    path: str | os.PathLike,
    workers: int = 1,
    layout: skeleton.Layout = LAYOUT,
) -> None:
    """Write interviews straight to a store.

        >>> import tempfile
        >>> from mgjax.store import Store
        >>> interviews = simulate(seed=0, videos=2, subjects=2, clips_per_video=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_store(interviews, f"{folder}/interviews.h5")
        ...     with Store(f"{folder}/interviews.h5") as store:
        ...         print(store.layout.name, len(store.videos), len(store.clips))
        body25_hands 2 6

    Args:
        simulation: what to write.
        path: the store.
        workers: processes that simulate; the store is the same for any number.
        layout: whose joints to write; it must be one that can be cut out of `LAYOUT`.

    Raises:
        InputError: the store cannot be written there, or the layout has other joints.
    """
    columns = layout.cut(LAYOUT)
    count = len(simulation.sessions)
    # With this the very same interviews can be made again.
    made = f"{simulation.scale} scale, seed {simulation.seed}"
    effect = f"emotion effect {simulation.effect:g}"
    writer = store.StoreWriter(
        path,
        layout,
        unit="pixel",
        frames=simulation.frame_count,
        labels=simulation.labels,
        source=f"simulated interviews, {made}, {effect}",
    )
    with writer, contextlib.closing(simulation.film(workers)) as film:
        for session, keypoints, score in progress.track(film, count, "simulating interviews"):
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
            labels = simulation.label(session)
            for start, length, label in zip(session.start, session.length, labels):
                writer.add_clip(session.id, int(start), int(length), int(label))
        row = {session.id: row for row, session in enumerate(simulation.sessions)}
        for name, (train, test) in simulation.splits.items():
            sides = [row[id] for id in train], [row[id] for id in test]
            # Of videos, as a clip's neighbours in its video are too much like it.
            writer.add_split(name, *sides, of="videos")


def summary(simulation: Simulation) -> str:
    """What was simulated and how well its emotions could be told, in a few lines."""
    count = len(simulation.sessions)
    subjects = len({session.subject for session in simulation.sessions})
    won = sum(session.emotion == EMOTIONS[0] for session in simulation.sessions)
    lines = [
        f"simulated: {count} interviews ({won} positive, {count - won} negative) of {subjects} "
        f"subjects, {simulation.frame_count} frames, {simulation.clip_count} clips of "
        f"{len(simulation.labels)} classes"
    ]
    for name, (train, test) in simulation.splits.items():
        expected, here, tested = simulation.emotion_limit(name)
        videos = f"{len(train)} videos train, {len(test)} test"
        limit = f"{100 * expected:.1f} % (expected), {100 * here:.1f} % on these {tested}"
        best = f"the best possible accuracy of emotion is {limit}"
        lines.append(f"  {name}: {videos}; {best}")
    return "\n".join(lines)
