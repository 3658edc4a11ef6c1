"""One person followed through a recording of OpenPose's.

`data_prep/tracking.py` says which detections of a recording are the same person; `follow`
chooses one of these people (`choose`) and makes the arrays that a store holds, and a
report. Nothing depends on the order of `people`, on where a recording is cut into parts,
or on chance.

From one frame to the next the followed person's pose, moved on by its velocity, never
jumps by more than `tracking.GATE` sizes: where the tracker cannot say that a detection is
the same person, the frame is left unseen. A single joint may jump: where OpenPose errs
about a limb, that is stored as it is.

This module needs NumPy, and SciPy for frames with several people, and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from data_prep.openpose_folders import Recording, chunks
from data_prep.openpose_frames import Detections, read_frames
from data_prep.openpose_source import MODELS, Source
from data_prep.pose_comparison import extents
from data_prep.tracking import Tracker
from mgjax import skeleton
from mgjax.errors import InputError

Choice = Literal["largest", "leftmost", "rightmost", "centre"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
# who can be chosen: people seen in at least this share of the frames of the one seen most
LASTING = 0.25
SPARED = 8  # one frame in so many tells which pose model fits
CLEARLY, MISFIT = 3, 0.6  # from so many such frames on; how short the better model's bones are


@dataclasses.dataclass(frozen=True)
class FollowedVideo:
    """What was found in one recording.

    Attributes:
        id: its name.
        first: the number of its first frame.
        frames: its number of frames, gaps included.
        gaps: frames without a file.
        damaged: frames whose file is damaged.
        nobody: frames in whose file nobody is.
        several: frames with more than one person.
        people: people told apart who lasted long enough to be chosen.
        missing: frames without the followed person, for whatever reason.
        jump: largest distance in pixels of the layout's root between one frame where it
            was seen and the next such.
        jump_frame: the number of the later of these two frames, -1 without such a pair.
        poseless: people left out because their pose is empty.
        rooted: frames in which the layout's root was seen.
        misfit: the pose model whose bones fit the followed person much better than those
            of the model that the files were read by, "" for none.
    """

    id: str
    first: int
    frames: int
    gaps: int
    damaged: int
    nobody: int
    several: int
    people: int
    missing: int
    jump: float
    jump_frame: int
    poseless: int = 0
    rooted: int = 0
    misfit: str = ""


@dataclasses.dataclass(frozen=True)
class Followed:
    """One person through a recording.

    Attributes:
        keypoints: float32 `[T, V, 2]`, pixels; (0, 0) where a joint was not seen.
        score: float32 `[T, V]`, 0 where a joint was not seen.
        report: what was found.
        damaged: (file, reason) of each damaged frame.
    """

    keypoints: np.ndarray
    score: np.ndarray
    report: FollowedVideo
    damaged: tuple[tuple[str, str], ...]


class _Tracked(NamedTuple):
    """Some frames' detections and what `choose` asks of each.

    Attributes:
        detections: as they were read.
        who: which person each is, -1 for nobody, int64 `[people]`.
        weight: its area times its mean score, `[people]`.
        x: its place, in pixels from the left, `[people]`.
    """

    detections: Detections
    who: np.ndarray
    weight: np.ndarray
    x: np.ndarray


def read_recording(
    recording: Recording, source: Source, person: Choice | int = "largest", width: int = 0
) -> Followed:
    """Read a recording and follow one person through it.

    Raises:
        InputError: as `read_frame` and `choose`.
    """
    parts = (read_frames(*chunk, source) for chunk in chunks(recording))
    return follow(recording, parts, source, person, width)


def follow(
    recording: Recording,
    parts: Iterable[Detections],
    source: Source,
    person: Choice | int = "largest",
    width: int = 0,
) -> Followed:
    """Follow one person through a recording, given as `read_frames` of all its `chunks`, in order.

    Args:
        person, width: as `choose` takes them.

    Raises:
        InputError: as `choose`.
    """
    # Everybody is tracked to the end before one is chosen, as who is largest may change.
    tracked = _track(recording, parts, source.model)
    who = np.concatenate([part.who for part in tracked])
    weight = np.concatenate([part.weight for part in tracked])
    x = np.concatenate([part.x for part in tracked])
    chosen = choose(who, weight, x, person, width, recording.id)
    shape = (recording.length, len(source.layout))
    keypoints = np.zeros((*shape, 2), np.float32)
    score = np.zeros(shape, np.float32)
    there = np.zeros(recording.length, bool)
    poses = []
    for part in tracked:
        ours = part.who == chosen if chosen is not None else np.zeros(len(part.who), bool)
        seen_in = part.detections.numbers - recording.first
        rows = np.repeat(seen_in, part.detections.counts)[ours]
        people = part.detections.points[ours]
        # The pose as it was read, whatever part of it the layout has.
        poses.append(people[::SPARED, : len(source.model)])
        points = _cut(people, source)
        keypoints[rows], score[rows] = points[..., :2], points[..., 2]
        there[rows] = True
    misfitting = misfit(np.concatenate(poses), source.model)
    detections = [part.detections for part in tracked]
    root = _root_fields(recording, keypoints, score, source.layout)
    report = _report(recording, detections, who, there, misfit=misfitting, **root)
    damaged = tuple(file for part in detections for file in part.damaged)
    return Followed(keypoints, score, report, damaged)


def _track(
    recording: Recording, parts: Iterable[Detections], model: skeleton.Layout
) -> list[_Tracked]:
    tracker = Tracker(model)
    tracked = []
    for part in parts:
        # Of the pose alone, as hands and face come and go and would change the size.
        pose = part.points[:, : len(model)]
        across, down = extents(pose)
        numbers = part.numbers - recording.first
        who = tracker.track(numbers, part.counts, pose, np.hypot(across, down))
        seen = pose[..., 2] > 0
        joints_seen = seen.sum(axis=1)
        scores = pose[..., 2].sum(axis=1)
        weight = across * down * scores / joints_seen
        x = (pose[..., 0] * seen).sum(axis=1) / joints_seen
        tracked.append(_Tracked(part, who, weight, x))
    return tracked


def _cut(people: np.ndarray, source: Source) -> np.ndarray:
    """The layout's joints `[people, V, 3]` of people as they were read."""
    if np.array_equal(source.columns, np.arange(source.width)):
        return people  # already these, which saves a copy
    points = people.take(source.columns, axis=1)
    # Column -1 took the last joint read.
    points[:, source.columns < 0] = 0
    return points


def _report(
    recording: Recording,
    detections: Sequence[Detections],
    who: np.ndarray,
    there: np.ndarray,
    **further: Any,
) -> FollowedVideo:
    counts = np.concatenate([part.counts for part in detections])
    damaged = sum(len(part.damaged) for part in detections)
    frames_of = np.bincount(who[who >= 0], minlength=1)
    return FollowedVideo(
        id=recording.id,
        first=recording.first,
        frames=recording.length,
        gaps=recording.length - recording.files,
        damaged=damaged,
        # A damaged frame has nobody in it either, and is counted as such only.
        nobody=int((counts == 0).sum()) - damaged,
        several=int((counts > 1).sum()),
        people=int((frames_of >= max(1, LASTING * frames_of.max())).sum()),
        missing=int((~there).sum()),
        poseless=sum(part.poseless for part in detections),
        **further,
    )


def _root_fields(
    recording: Recording, keypoints: np.ndarray, score: np.ndarray, layout: skeleton.Layout
) -> dict[str, Any]:
    """The fields of `FollowedVideo` about the layout's root."""
    jump, at = largest_jump(keypoints, score, layout)
    root = score[:, layout.index(*layout.root)]
    return {
        "jump": jump,
        "jump_frame": recording.first + at if at >= 0 else -1,
        "rooted": int((root > 0).all(axis=1).sum()),
    }


def parse_person(text: str) -> Choice | int:
    """One of CHOICES, or the person's rank by size as an int, 1 for the largest.

    Raises:
        InputError: neither.
    """
    # Not `in`, of which a type checker does not learn that the text is a Choice.
    for choice in CHOICES:
        if text == choice:
            return choice
    if re.fullmatch("[1-9][0-9]*", text):
        return int(text)
    raise InputError(
        f"unknown person {text!r}; expected {', '.join(CHOICES)}, or 1 for the "
        "largest, 2 for the next"
    )


def choose(
    who: np.ndarray, weight: np.ndarray, x: np.ndarray, person: Choice | int, width: int, id: str
) -> int | None:
    """Which person of a recording to follow; None where there is nobody.

    Args:
        who: the person of each detection, -1 for nobody, int `[detections]`.
        weight: its area times its mean score `[detections]`; a person's size is the sum.
        x: where it is, in pixels from the left `[detections]`; a person's place is the
            mean.
        person: as `parse_person` gives it.
        width: the image's width in pixels, for "centre".
        id: the recording's name for error messages.

    Raises:
        InputError: there are fewer people than the rank asks for.
    """
    somebody = who >= 0
    who, weight, x = who[somebody], weight[somebody], x[somebody]
    if not len(who):
        return None
    frames = np.bincount(who)
    # A passer-by or a ghost is nobody to choose, nor to count in a rank.
    lasting = np.flatnonzero(frames >= LASTING * frames.max())
    # Stable, so that of two of one size the first one seen comes first.
    by_size = lasting[np.argsort(-np.bincount(who, weight)[lasting], kind="stable")]
    place = np.bincount(who, x)[by_size] / frames[by_size]
    if isinstance(person, int):
        if person > len(by_size):
            found = f"{len(by_size)} {'was' if len(by_size) == 1 else 'were'} found"
            raise InputError(
                f"video {id!r}: person {person} by size was asked for, and only {found}"
            )
        return int(by_size[person - 1])
    if person == "largest":
        return int(by_size[0])
    # Of two in one place the larger comes first, and argmin takes the first.
    order = {"leftmost": place, "rightmost": -place, "centre": np.abs(place - width / 2)}[person]
    return int(by_size[np.argmin(order)])


def misfit(pose: np.ndarray, model: skeleton.Layout) -> str:
    """The pose model whose bones fit much better than the given one's; "" for none, or if unclear.

    Files of BODY_25 and BODY_25B differ in the order of 25 joints only. By the wrong one
    bones join what is far apart: on average they are two to four times as long as by the
    right one.

    Args:
        pose: one person in some frames, float `[frames, V, 3]`.
        model: by which they were read.
    """
    if len(pose) < CLEARLY:
        return ""
    lengths: dict[str, float] = {model.name: np.inf}
    for other in MODELS.values():
        if len(other) != len(model):
            continue
        start, end = (pose[:, joints] for joints in other.bone_indices.T)
        both = (start[..., 2] > 0) & (end[..., 2] > 0)
        # Some three bones a frame, by each model, or there is nothing to go by.
        if both.sum() < CLEARLY * len(pose):
            return ""
        x, y, _ = (start - end)[both].T
        lengths[other.name] = np.hypot(x, y).mean()
    # Without another model of so many joints the given one is the best.
    best = min(lengths, key=lambda name: lengths[name])
    return best if lengths[best] < MISFIT * lengths[model.name] else ""


def largest_jump(
    keypoints: np.ndarray, score: np.ndarray, layout: skeleton.Layout
) -> tuple[float, int]:
    """The root's largest step between frames where it is seen, and the later one's index.

    Args:
        keypoints, score: `[T, V, 2]` and `[T, V]`.
        layout: whose root; it is seen where all its joints are.

    Returns:
        Pixels, and the index; (0.0, -1) where no two frames have a root.
    """
    root = layout.index(*layout.root)
    frames = np.flatnonzero((score[:, root] > 0).all(axis=1))
    if len(frames) < 2:
        return 0.0, -1
    place = keypoints[frames][:, root].astype(np.float64).mean(axis=1)
    steps = np.linalg.norm(np.diff(place, axis=0), axis=1)
    return float(steps.max()), int(frames[1 + steps.argmax()])
