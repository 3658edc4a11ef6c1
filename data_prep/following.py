"""One person followed through a recording of OpenPose's.

OpenPose says who is in a frame, not who is who: `people` has no stable order. `Tracker` says which detection
of one frame is which of the next, and `follow` chooses one of these people. The rule, in body sizes (the
diagonal of the box around a person's seen joints):

1.  Each person known so far is a pose: every joint where it was last seen, joints unseen for MEMORY frames
    forgotten. It is moved on by the person's mean velocity (which fades while the person is unseen).
2.  A detection can be that person if they share at least COMMON joints whose mean distance is within GATE body
    sizes; for each frame unseen the gate widens by GROWTH up to WIDEST. Somebody who was out of sight must also
    come back no more than GROWN times as large or as small.
3.  A detection nearer than TWIN to somebody seen a frame ago is that one's, or a second or torn detection of
    that one; nobody farther away by more than TWIN can take it, and no new person starts from it.
4.  Pairs are made in the order of their mean distance, where a joint that the detection lacks counts as ABSENT,
    so that a whole detection is preferred to a stray part of it.
5.  What is left and has COMMON joints starts a new person. Somebody unseen for longer than they were ever seen
    (and than PATIENCE frames) is forgotten.

Nothing depends on the order of `people` or on chance. The followed person never jumps from one place to another
in a single frame: where the rule cannot say that a detection is the same person, the frame is left unseen.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

import numpy as np

from data_prep.openpose import Frames, Recording, Source, chunks, read_frames
from mgjax import skeleton
from mgjax.errors import InputError

COMMON, GATE, GROWTH, WIDEST, GROWN = 3, 0.5, 0.05, 2.0, 2.0
TWIN, ABSENT, MEMORY, PATIENCE = 0.1, 0.1, 25, 10
SMOOTHING, FADING = 0.3, 0.9  # weight of the newest step in the velocity; what is left of it per unseen frame
SHORT = 8  # frames from which on it pays to follow them all at once
_NEVER, _SURELY = -(2**40), 1e-9
LASTING = 0.25  # who can be chosen: people seen in at least this share of the frames of the one seen most
CHOICES = ("largest", "leftmost", "rightmost", "centre")


def extents(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Width and height of the box around each person's seen joints, `[people]` each; pose `[people, V, 3]`."""
    # One row a joint: the smallest of many rows is found many times faster than the smallest of many short ones.
    x, y, score = np.ascontiguousarray(pose.T)
    seen = score > 0
    low, high = np.where(seen, (x, y), np.inf).min(axis=1), np.where(seen, (x, y), -np.inf).max(axis=1)
    return tuple(high - low)


class Tracker:
    """Says who is who from frame to frame, by the rule in this module's docstring.

        tracker = Tracker(joints=25)
        who = tracker.step(0, pose)         # [people] numbers; the same number is the same person in later steps

    Frames must come in order; frames with nobody in them can be left out.
    """

    def __init__(self, joints: int):
        self.people = 0
        # One row a person who is not forgotten; `known` is the frame in which each joint was last seen.
        self._id = np.zeros(0, np.int64)
        self._pose = np.zeros((0, joints, 2))
        self._known = np.zeros((0, joints), np.int64)
        self._velocity = np.zeros((0, 2))
        self._size = np.zeros(0)
        self._last = np.zeros(0, np.int64)
        self._seen = np.zeros(0, np.int64)

    def step(self, frame: int, pose: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
        """Who each detection of a frame is: int64 `[people]`, -1 for nobody.

        Args:
            frame: its number, from 0.
            pose: float `[people, V, 3]`, everybody with a seen joint.
            size: the diagonals of their `extents` `[people]`, where the caller has them already.
        """
        seen = pose[..., 2] > 0
        pose = pose[..., :2].astype(np.float64)
        size = np.maximum(np.hypot(*extents(np.dstack([pose, seen]))) if size is None else size, 1e-6)
        self._forget(frame)
        who = np.full(len(pose), -1, np.int64)
        free = seen.sum(axis=1) >= COMMON
        if len(self._id):
            cost, allowed, twin = self._compare(frame, pose, seen, size)
            for row, person in _pairs(cost, allowed):
                self._update(row, frame, pose[person], seen[person], size[person])
                who[person] = self._id[row]
            free &= (who < 0) & ~twin
        for person in np.flatnonzero(free):
            who[person] = self._start(frame, pose[person], seen[person], size[person])
        return who

    def walk(self, frame: int, pose: np.ndarray, size: np.ndarray) -> tuple[int, int]:
        """Take many frames of one detection each at once, as far as each surely is whoever was seen a frame ago.

        It leaves what that many calls of `step` leave, to the last bit, and sooner. Where a frame asks for more
        thought, or something else than one person was seen a frame ago, it stops: that frame is `step`'s.

        Args:
            frame: the first one's number; the others come one after the other.
            pose: float `[frames, V, 3]`, the detection in each.
            size: the diagonals of their `extents` `[frames]`.

        Returns:
            How many frames were taken, and who was in them (-1 without any).
        """
        rows = np.flatnonzero(self._last == frame - 1)
        if len(rows) != 1:
            return 0, -1
        row, size = rows[0], np.maximum(size, 1e-6)
        seen, pose = pose[..., 2] > 0, pose[..., :2].astype(np.float64)
        # From here on, place t of an array with one place more is what was known before frame t.
        last = np.where(self._known[row] >= 0, self._known[row], _NEVER)
        numbers = np.arange(frame - 1, frame + len(pose))[:, None]
        last = np.maximum.accumulate(np.concatenate([last[None], np.where(seen, numbers[1:], _NEVER)]))
        known = last >= numbers - MEMORY
        common = known[:-1] & seen
        count = common.sum(axis=1)
        places, steps = _moved(self._pose[row], pose, seen, known, common, np.maximum(count, 1))
        velocity = _smoothed(self._velocity[row], steps)
        sizes = _sizes(self._size[row], size, places, seen, known)
        total = _apart(places[:-1] + velocity[:-1, None], pose, common) / np.maximum(sizes[:-1], size)
        joints = known[:-1].sum(axis=1)
        sure = (count >= COMMON) & (total < (GATE - _SURELY) * count)
        cost = (total + ABSENT * (joints - count)) / joints
        for other in np.flatnonzero(np.arange(len(self._id)) != row):
            sure &= cost < self._costs(other, numbers[1:, 0], pose, seen, size) - _SURELY
        taken = len(pose) if sure.all() else int(sure.argmin())
        if not taken:
            return 0, -1
        self._pose[row], self._velocity[row], self._size[row] = places[taken], velocity[taken], sizes[taken]
        self._known[row] = np.where(known[taken], last[taken], -1)
        self._last[row] = frame + taken - 1
        self._seen[row] += taken
        person = int(self._id[row])
        self._forget(frame + taken - 1)
        return taken, person

    def _costs(self, row: int, frames: np.ndarray, pose: np.ndarray, seen: np.ndarray, size: np.ndarray) -> np.ndarray:
        """What it costs to take the detection in each of some frames for somebody who stays out of sight till then."""
        reach = (1 - FADING ** (frames - self._last[row])) / (1 - FADING)
        known = self._known[row] >= 0
        common = known & seen
        expected = self._pose[row] + (self._velocity[row] * reach[:, None])[:, None]
        total = _apart(expected, pose, common) / np.maximum(self._size[row], size)
        return (total + ABSENT * (known.sum() - common.sum(axis=1))) / known.sum()

    def _forget(self, frame: int):
        keep = frame - self._last <= np.maximum(self._seen, PATIENCE)
        if not keep.all():
            for name in ("_id", "_pose", "_known", "_velocity", "_size", "_last", "_seen"):
                setattr(self, name, getattr(self, name)[keep])

    def _compare(self, frame: int, pose: np.ndarray, seen: np.ndarray, size: np.ndarray):
        """What pairing costs and whether it can be, `[known people, detections]`, and which detections are a TWIN."""
        gap = frame - self._last
        reach = (1 - FADING**gap) / (1 - FADING)
        expected = self._pose + (self._velocity * reach[:, None])[:, None]
        known = self._known >= 0
        common = known[:, None] & seen
        count = common.sum(axis=-1)
        apart = expected[:, None] - pose
        apart = np.sqrt(np.einsum("kpvc,kpvc->kpv", apart, apart))
        total = np.einsum("kpv,kpv->kp", apart, common) / np.maximum(self._size[:, None], size)
        distance = np.where(count >= COMMON, total / np.maximum(count, 1), np.inf)
        joints = known.sum(axis=-1)[:, None]
        cost = (total + ABSENT * (joints - count)) / joints
        gate = np.minimum(GATE + GROWTH * (gap - 1), WIDEST)
        allowed = distance <= gate[:, None]
        twin = np.zeros(len(pose), bool)
        if allowed.size > 1:
            nearest = distance[gap == 1].min(axis=0, initial=np.inf)
            twin = nearest < TWIN
            allowed &= ~(twin & (distance > nearest + TWIN))
        for row in (gap > 1).nonzero()[0]:
            for person in np.flatnonzero(allowed[row]):
                both = common[row, person]
                growth = _spread(pose[person, both]) / max(_spread(self._pose[row, both]), 1e-6)
                allowed[row, person] = 1 / GROWN <= growth <= GROWN
        return cost, allowed, twin

    def _update(self, row: int, frame: int, pose: np.ndarray, seen: np.ndarray, size: float):
        known = self._known[row]
        common = seen & (known >= 0)
        step = common @ (pose - self._pose[row]) / np.count_nonzero(common)
        self._velocity[row] += SMOOTHING * (step / (frame - self._last[row]) - self._velocity[row])
        # Joints out of sight move along with the others.
        self._pose[row] = np.where(seen[:, None], pose, self._pose[row] + step)
        known[seen] = frame
        known[known < frame - MEMORY] = -1
        self._last[row] = frame
        self._seen[row] += 1
        if np.count_nonzero(known >= 0) > np.count_nonzero(seen):
            box = self._pose[row, known >= 0]
            size = np.hypot(*(box.max(axis=0) - box.min(axis=0)))
        self._size[row] = max(size, 1e-6)

    def _start(self, frame: int, pose: np.ndarray, seen: np.ndarray, size: float) -> int:
        new = {"_id": self.people, "_pose": pose, "_known": np.where(seen, frame, -1), "_velocity": np.zeros(2),
               "_size": size, "_last": frame, "_seen": 1}
        for name, value in new.items():
            rows = getattr(self, name)
            setattr(self, name, np.concatenate([rows, np.asarray(value, rows.dtype)[None]]))
        self.people += 1
        return self.people - 1


def _apart(one: np.ndarray, other: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The distances between some joints `[..., V]` of two poses `[..., V, 2]`, summed."""
    apart = one - other
    return np.einsum("tv,tv->t", np.sqrt(np.einsum("tvc,tvc->tv", apart, apart)), joints)


def _moved(start, pose, seen, known, common, count) -> tuple[np.ndarray, np.ndarray]:
    """A person's joints before each frame and after the last, `[frames + 1, V, 2]`, and each frame's step."""
    places = np.concatenate([start[None], pose])
    steps = (common[:, None] @ (pose - places[:-1]))[:, 0] / count[:, None]
    # Where joints out of sight are depends on the steps so far, and a step on where joints are that come back.
    hidden = (known[1:] & ~seen).any(axis=1)
    back = np.append(False, (common[1:] & ~seen[:-1]).any(axis=1))
    for t in np.flatnonzero(hidden | back).tolist():
        if back[t]:
            steps[t] = common[t] @ (pose[t] - places[t]) / count[t]
        if hidden[t]:
            places[t + 1] = np.where(seen[t][:, None], pose[t], places[t] + steps[t])
    return places, steps


def _smoothed(velocity: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The velocity before each step and after the last, `[steps + 1, 2]`."""
    x, y = velocity.tolist()
    smooth = [(x, y)]
    for across, down in steps.tolist():
        x += SMOOTHING * (across - x)
        y += SMOOTHING * (down - y)
        smooth.append((x, y))
    return np.array(smooth)


def _sizes(before: float, size, places, seen, known) -> np.ndarray:
    """A person's size before each frame and after the last, joints that are out of sight but known included."""
    sizes = np.concatenate([[before], size])
    hidden = 1 + np.flatnonzero((known[1:] & ~seen).any(axis=1))
    there = known[hidden][..., None]
    box = (np.where(there, places[hidden], edge) for edge in (-np.inf, np.inf))
    high, low = next(box).max(axis=1), next(box).min(axis=1)
    sizes[hidden] = np.maximum(np.hypot(*(high - low).T), 1e-6)
    return sizes


def _pairs(cost: np.ndarray, allowed: np.ndarray) -> Iterator[tuple[int, int]]:
    """(row, column) of the allowed pairs, cheapest first, each row and column once."""
    if allowed.size == 1:
        if allowed[0, 0]:
            yield 0, 0
        return
    rows, columns = np.nonzero(allowed)
    taken_rows, taken_columns = set(), set()
    for i in np.argsort(cost[rows, columns], kind="stable"):
        row, column = int(rows[i]), int(columns[i])
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            yield row, column


def _spread(points: np.ndarray) -> float:
    """Root mean square distance of points `[n, 2]` from their centre."""
    return float(np.sqrt(points.var(axis=0).sum()))


def parse_person(text: str) -> str | int:
    """One of CHOICES, or the person's rank by size as an int, 1 for the largest.

    Raises:
        InputError: neither.
    """
    if text in CHOICES:
        return text
    if re.fullmatch("[1-9][0-9]*", text):
        return int(text)
    raise InputError(f"unknown person {text!r}; expected {', '.join(CHOICES)}, or 1 for the largest, 2 for the next")


def choose(who: np.ndarray, weight: np.ndarray, x: np.ndarray, person: str | int, width: int, id: str) -> int | None:
    """Which person of a recording to follow; None where there is nobody.

    Args:
        who: the person of each detection, -1 for nobody, int `[detections]`.
        weight: its area times its mean score `[detections]`; a person's size is the sum.
        x: where it is, in pixels from the left `[detections]`; a person's place is the mean.
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
    lasting = np.flatnonzero(frames >= LASTING * frames.max())
    by_size = lasting[np.argsort(-np.bincount(who, weight)[lasting], kind="stable")]
    place = np.bincount(who, x)[by_size] / frames[by_size]
    if isinstance(person, int):
        if person > len(by_size):
            raise InputError(f"video {id!r}: person {person} by size was asked for, and only {len(by_size)} "
                             + ("was" if len(by_size) == 1 else "were") + " found")
        return int(by_size[person - 1])
    if person == "largest":
        return int(by_size[0])
    order = {"leftmost": place, "rightmost": -place, "centre": np.abs(place - width / 2)}[person]
    return int(by_size[np.argmin(order)])


@dataclasses.dataclass(frozen=True)
class VideoReport:
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
        jump: largest distance in pixels of the layout's root between one frame where it was seen and the next such.
        jump_frame: the number of the later of these two frames, -1 without such a pair.
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


@dataclasses.dataclass(frozen=True)
class Followed:
    """One person through a recording: keypoints float32 `[T, V, 2]` in pixels, score float32 `[T, V]`."""

    keypoints: np.ndarray
    score: np.ndarray
    report: VideoReport
    damaged: tuple[tuple[str, str], ...]


def follow(recording: Recording, parts: Iterable[Frames], source: Source, person: str | int = "largest",
           width: int = 0) -> Followed:
    """Follow one person through a recording, given as `read_frames` of all its `chunks`, in order.

    Raises:
        InputError: as `choose`.
    """
    joints = len(source.model)
    tracker = Tracker(joints)
    kept = []
    for part in parts:
        who = np.full(len(part.points), -1, np.int64)
        pose = part.points[:, :joints]
        across, down = extents(pose)
        size = np.hypot(across, down)
        _track(tracker, part.numbers - recording.first, part.counts, pose, size, who)
        seen = pose[..., 2] > 0
        joints_seen = seen.sum(axis=1)
        weight = across * down * pose[..., 2].sum(axis=1) / joints_seen
        kept.append((part, who, weight, (pose[..., 0] * seen).sum(axis=1) / joints_seen))
    who, weight, x = (np.concatenate([row[i] for row in kept]) for i in (1, 2, 3))
    chosen = choose(who, weight, x, person, width, recording.id)
    keypoints = np.zeros((recording.length, len(source.layout), 2), np.float32)
    score = np.zeros((recording.length, len(source.layout)), np.float32)
    there = np.zeros(recording.length, bool)
    for part, ids, *_ in kept:
        ours = ids == chosen if chosen is not None else np.zeros(len(ids), bool)
        rows = np.repeat(part.numbers - recording.first, part.counts)[ours]
        found = part.points[ours].take(source.columns, axis=1)
        keypoints[rows], score[rows], there[rows] = found[..., :2], found[..., 2], True
    counts = np.concatenate([part.counts for part, *_ in kept])
    damaged = sum((part.damaged for part, *_ in kept), ())
    jump, at = largest_jump(keypoints, score, source.layout)
    seen_in = np.bincount(who[who >= 0], minlength=1)
    report = VideoReport(
        recording.id, recording.first, recording.length, recording.length - recording.files, len(damaged),
        nobody=int((counts == 0).sum()) - len(damaged), several=int((counts > 1).sum()),
        people=int((seen_in >= max(1, LASTING * seen_in.max())).sum()), missing=int((~there).sum()),
        jump=jump, jump_frame=recording.first + at if at >= 0 else -1,
    )
    return Followed(keypoints, score, report, damaged)


def _track(tracker: Tracker, numbers: np.ndarray, counts: np.ndarray, pose: np.ndarray, size: np.ndarray, who):
    """Fill in who each detection of some frames is."""
    stops = np.cumsum(counts)
    # Where the frames end that, from each one on, come one after the other with one detection each.
    alone = np.append((counts[1:] == 1) & (np.diff(numbers) == 1), False)
    ends = np.minimum.accumulate(np.where(alone, len(counts), np.arange(1, len(counts) + 1))[::-1])[::-1].tolist()
    numbers, counts, stops = numbers.tolist(), counts.tolist(), stops.tolist()
    frame, ahead = 0, max(SHORT, len(numbers))
    while frame < len(numbers):
        start = stops[frame] - counts[frame]
        tries = min(ends[frame] - frame, ahead) if counts[frame] == 1 else 0
        if tries >= SHORT and tracker.people:
            ours = slice(start, start + tries)
            taken, person = tracker.walk(numbers[frame], pose[ours], size[ours])
            who[start : start + taken] = person
            frame += taken
            ahead = 2 * ahead if taken == tries else SHORT
            if taken:
                continue
        if counts[frame]:
            ours = slice(start, stops[frame])
            who[ours] = tracker.step(numbers[frame], pose[ours], size[ours])
        frame += 1


def largest_jump(keypoints: np.ndarray, score: np.ndarray, layout: skeleton.Layout) -> tuple[float, int]:
    """The root's largest step in pixels between one frame where it is seen and the next such, and the later's index.

    Args:
        keypoints, score: `[T, V, 2]` and `[T, V]`.
        layout: whose root; it is seen where all its joints are.

    Returns:
        (0.0, -1) where no two frames have a root.
    """
    root = layout.index(*layout.root)
    frames = np.flatnonzero((score[:, root] > 0).all(axis=1))
    if len(frames) < 2:
        return 0.0, -1
    steps = np.linalg.norm(np.diff(keypoints[frames][:, root].astype(np.float64).mean(axis=1), axis=0), axis=1)
    return float(steps.max()), int(frames[1 + steps.argmax()])


def read_recording(recording: Recording, source: Source, person: str | int = "largest", width: int = 0) -> Followed:
    """Read a recording and follow one person through it.

    Raises:
        InputError: as `read_frame` and `choose`.
    """
    return follow(recording, (read_frames(*chunk, source) for chunk in chunks(recording)), source, person, width)
