"""One person followed through a recording of OpenPose's.

OpenPose says who is in a frame, not who is who: `people` has no stable order. `Tracker` says
which detection of one frame is which of the next, and `follow` chooses one of these people. The
size of a person or detection is the diagonal of the box around its joints. The rule:

1.  Each person known so far is a pose: every joint where it was seen last, of those seen in the
    last MEMORY frames. It is moved on by the person's velocity, which fades while the person is
    unseen.
2.  A pose and a detection are compared by the joints that both have. Left and right of a pair
    count as one joint in two places, because OpenPose swaps them. How far apart the two are is
    the median of these joints' distances: the better half of the joints decides, and a limb may
    fail alone.
3.  A detection can be a person if they share at least COMMON joints, are apart by no more than
    GATE sizes of the smaller of both, and spread over these joints alike, within a factor of
    GROWN. For each frame unseen the gate widens by GROWTH, up to WIDEST.
4.  A detection nearer than TWIN sizes of the larger of both to somebody seen a frame ago is that
    one's, or a second or torn detection of that one: nobody farther away by more than TWIN can
    take it, and no new person starts from it.
5.  Of all pairs that can be, those are made whose likeness is the largest together. Likeness is
    the sum of the shared joints' scores, each the less the farther apart the joint is, half at
    REACH sizes; each part of the body counts the same. So a whole detection is preferred to a
    stray part of it.
6.  What is left and has COMMON joints starts a new person. Somebody unseen for longer than they
    were ever seen (and than PATIENCE frames) is forgotten.
7.  The easy case: a frame has as many detections as the one before it (fewer than MANY), each
    within TWIN sizes of the smaller of one of those and beyond GATE of the others, and nobody out
    of sight is liker. Then each is whom that one was. Whole arrays of such frames, which most
    are, are compared at once: in interviews 3 microseconds a frame instead of 140, where reading
    it takes 12.

Nothing depends on the order of `people`, on where a recording is cut into parts, or on chance.
From one frame to the next the followed person's pose, moved on by its velocity, never jumps by
more than GATE sizes (as rule 2 measures it): where the rule cannot say that a detection is the
same person, the frame is left unseen. A single joint may jump: where OpenPose errs about a limb,
that is stored as it is.

This module needs NumPy, and SciPy for frames with several people, and never imports JAX.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

import numpy as np

from data_prep.openpose_folders import Recording, chunks
from data_prep.openpose_frames import Detections, read_frames
from data_prep.openpose_source import MODELS, Source
from mgjax import skeleton
from mgjax.errors import InputError

COMMON, GATE, GROWTH, WIDEST, GROWN = 3, 0.5, 0.05, 2.0, 2.0
MANY = 5  # frames with so many people are looked at one by one
TWIN, REACH, MEMORY, PATIENCE = 0.1, 0.1, 25, 10
# weight of the newest step in the velocity; what is left of it per unseen frame
SMOOTHING, FADING = 0.3, 0.9
FLOOR = 0.05  # spreads are alike where they differ by less than this share of the size
# who can be chosen: people seen in at least this share of the frames of the one seen most
LASTING = 0.25
SPARED = 8  # one frame in so many tells which pose model fits
CLEARLY, MISFIT = 3, 0.6  # from so many such frames on; how short the better model's bones are
Choice = Literal["largest", "leftmost", "rightmost", "centre"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


def extents(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Width and height of the box around each person's seen joints, `[people]` each; pose
    `[people, V, 3]`.
    """
    # One row a joint: the smallest of many rows is found many times faster than the smallest of
    # many short ones.
    x, y, score = np.ascontiguousarray(pose.T)
    seen = score > 0
    low, high = (
        np.where(seen, (x, y), np.inf).min(axis=1),
        np.where(seen, (x, y), -np.inf).max(axis=1),
    )
    return tuple(high - low)


class Tracker:
    """Says who is who from frame to frame, by the rule in this module's docstring.

        tracker = Tracker(skeleton.BODY_25)
        who = tracker.track(numbers, counts, pose)

    The same number is the same person, in later calls too.

    Attributes:
        people: how many people were told apart so far.
    """

    def __init__(self, model: skeleton.Layout):
        self.people = 0
        # Where each joint's counterpart on the other side is.
        self._mirror = model.mirror_permutation
        # What each joint counts: the feet's six points are no more than an arm's three.
        self._weight = np.ones(len(model))
        for joints in model.parts.values():
            self._weight[model.index(*joints)] = 1 / len(joints)
        self._known: list[_Person] = []  # who is not forgotten
        self._latest = None  # the last frame's number, its people, their sizes and who they are

    def track(
        self,
        numbers: np.ndarray,
        counts: np.ndarray,
        pose: np.ndarray,
        size: np.ndarray | None = None,
    ) -> np.ndarray:
        """Who each detection of some frames is: int64 `[people]`, -1 for nobody.

        Args:
            numbers: the frames' numbers, from 0 and rising, also from call to call, int `[frames]`.
            counts: people in each, int `[frames]`.
            pose: everybody with a seen joint, one frame after the other, float `[people, V, 3]`:
                x, y and score.
            size: the diagonals of their `extents` `[people]`, where the caller has them already.
        """
        if not len(counts):
            return np.zeros(0, np.int64)
        done = np.zeros(0, np.int64)
        size = np.hypot(*extents(pose)) if size is None else size
        if self._latest is not None:
            number, latest, sizes, done = self._latest
            numbers, counts = np.append(number, numbers), np.append(len(done), counts)
            pose, size = np.concatenate([latest, pose]), np.append(sizes, size)
        size = np.maximum(size, 1e-6, dtype=np.float64)
        pose = pose.astype(np.float64)
        who = np.full(len(pose), -1, np.int64)
        who[: len(done)] = done
        before, likeness = self._links(numbers, counts, pose, size)
        stops = np.cumsum(counts)
        linked = np.add.reduceat(np.append(likeness > 0, 0), stops - counts)
        linked = (linked == counts) & (counts > 0)
        broken = np.append(np.flatnonzero(~linked), len(counts))
        ends = broken[np.searchsorted(broken, np.arange(len(counts)))].tolist()
        numbers, stops = numbers.tolist(), [0, *stops.tolist()]
        frame = 0 if self._latest is None else 1
        while frame < len(numbers):
            rows = slice(stops[frame], stops[frame + 1])
            if ends[frame] > frame and (who[before[rows]] >= 0).all():
                run = numbers[frame : ends[frame]]
                here = np.arange(rows.start, stops[ends[frame]]).reshape(len(run), -1)
                taken = self._walk(run, here, before, pose, size, likeness, who)
                frame += taken
                if taken:
                    continue
            if rows.start < rows.stop:
                who[rows] = self._step(numbers[frame], pose[rows], size[rows])
            frame += 1
        self._latest = numbers[-1], pose[rows.start :], size[rows.start :], who[rows.start :]
        return who[len(done) :]

    def _links(self, numbers, counts, pose, size) -> tuple[np.ndarray, np.ndarray]:
        """Which detection of the frame before each one is, by rule 7, and how like it is.

        Both are `[people]`; a likeness of 0 means that it is none of them.
        """
        before, likeness = np.zeros(len(pose), np.int64), np.zeros(len(pose))
        starts = np.cumsum(counts) - counts
        alike = (counts[1:] == counts[:-1]) & (np.diff(numbers) == 1)
        for people in set(counts[1:][alike].tolist()) & set(range(1, MANY)):
            frames = 1 + np.flatnonzero(alike & (counts[1:] == people))
            now, then = (starts[some][:, None] + np.arange(people) for some in (frames, frames - 1))
            one, other = then[:, :, None], now[:, None]
            place, known = pose[one], pose[one, :, 2] > 0
            sizes = size[one], pose[other], size[other]
            apart, like = self._compare(place, known, *sizes, swap=False)
            smaller = np.minimum(size[one], size[other])
            near = apart < TWIN * smaller
            far = apart > GATE * smaller
            clear = (near.sum(axis=1) == 1) & (near.sum(axis=2) == 1)
            clear = (clear & (far.sum(axis=1) == people - 1)).all(axis=1)
            chosen = near.argmax(axis=1)[:, None]
            before[now[clear]] = np.take_along_axis(then, chosen[:, 0], axis=1)[clear]
            likeness[now[clear]] = np.take_along_axis(like, chosen, axis=1)[clear, 0]
        return before, likeness

    def _walk(self, frames: list[int], rows, before, pose, size, likeness, who) -> int:
        """Take linked frames, whose detections are rows `[frames, people]`; fill in who these are.

        Returns:
            How many frames were taken: as many as there are before somebody out of sight is liker.
        """
        self._forget(frames[0])
        here = set(who[before[rows[0]]].tolist())
        taken = len(frames)
        for person in self._known:
            if person.id not in here:
                until = bisect.bisect(frames, person.patience)
                some = rows[:until]
                place = person.expected(np.array(frames[:until]))[:, None]
                _, like = self._compare(place, person.known, person.size, pose[some], size[some])
                liker = np.flatnonzero((like >= likeness[some]).any(axis=1))
                taken = min(taken, *liker[:1].tolist(), len(frames))
        if rows.shape[1] == 1:
            who[rows[:taken]] = who[before[rows[0]]]
        else:
            for row in rows[:taken]:
                who[row] = who[before[row]]
        for person in self._known if taken else ():
            if person.id in here:
                person.see(frames[:taken], pose[rows[:taken][who[rows[:taken]] == person.id]])
        return taken

    def _step(self, frame: int, pose: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Who each detection of one frame is."""
        who = np.full(len(pose), -1, np.int64)
        free = (pose[..., 2] > 0).sum(axis=1) >= COMMON
        self._forget(frame)
        if self._known:
            known = np.array([person.known for person in self._known])[:, None]
            sizes = np.array([person.size for person in self._known])[:, None]
            gap = np.array([frame - person.last for person in self._known])[:, None]
            place = np.array([person.expected(np.array([frame])) for person in self._known])
            apart, likeness = self._compare(place, known, sizes, pose, size)
            smaller, larger = np.minimum(sizes, size), np.maximum(sizes, size)
            can_be = apart <= np.minimum(GATE + GROWTH * (gap - 1), WIDEST) * smaller
            can_be &= _alike(place, known, pose, FLOOR * smaller)
            apart /= larger
            nearest = np.where(gap == 1, apart, np.inf).min(axis=0)
            twin = nearest < TWIN
            can_be &= ~twin | (apart <= nearest + TWIN)
            for row, column in _pairs(np.where(can_be, likeness, 0)):
                self._known[row].see([frame], pose[column : column + 1])
                who[column] = self._known[row].id
            free &= (who < 0) & ~twin
        for column in np.flatnonzero(free):
            self._known.append(_Person(self.people))
            self._known[-1].see([frame], pose[column : column + 1])
            who[column] = self.people
            self.people += 1
        return who

    def _forget(self, frame: int):
        self._known = [person for person in self._known if frame <= person.patience]

    def _compare(self, place, known, sizes, pose, size, swap=True) -> tuple[np.ndarray, np.ndarray]:
        """How far apart poses and detections are, by rule 2, and their likeness, by rule 5.

        Args:
            place, known, sizes: float `[..., V, 2]`, bool `[..., V]` and float `[...]`.
            pose, size: of the detections, float `[..., V, 3]` and `[...]`; both broadcast.
            swap: let left and right of a pair count as one joint in two places.

        Returns:
            Pixels, inf where they share fewer than COMMON joints, and the likeness; `[...]` each.
        """
        score = pose[..., 2]
        distance = _distances(place, known & (score > 0), pose)
        if swap:
            known = known[..., self._mirror] & (score > 0)
            distance = np.minimum(distance, _distances(place[..., self._mirror, :], known, pose))
        count = (distance < np.inf).sum(axis=-1)
        apart = np.where(count >= COMMON, _median(distance, count), np.inf)
        distance /= (REACH * np.maximum(sizes, size))[..., None]
        return apart, (score / (1 + distance)) @ self._weight


class _Person:
    """Somebody known so far, by what was seen of them in the MEMORY frames up to the last one.

    Attributes:
        id: their number.
        seen: in how many frames.
    """

    def __init__(self, id: int):
        self.id, self.seen = id, 0
        self._frames: list[int] = []
        self._poses: list[np.ndarray] = []

    def see(self, frames: list[int], pose: np.ndarray):
        """Take note of where the person is in some frames; pose `[frames, V, 3]`."""
        self.seen += len(frames)
        self._frames += frames[-MEMORY:]
        self._poses += list(pose[-MEMORY:])
        old = bisect.bisect(self._frames, frames[-1] - MEMORY)
        del self._frames[:old], self._poses[:old]
        self.__dict__.pop("_state", None)

    @property
    def last(self) -> int:
        """The frame in which the person was seen last."""
        return self._frames[-1]

    @property
    def patience(self) -> int:
        """The frame after which they are forgotten."""
        return self.last + max(self.seen, PATIENCE)

    @property
    def known(self) -> np.ndarray:
        """Which joints are known, bool `[V]`."""
        return self._state[1]

    @property
    def size(self) -> float:
        """The diagonal of the box around the known joints."""
        return self._state[2]

    def expected(self, frames: np.ndarray) -> np.ndarray:
        """Where the known joints are expected in some frames to come, float `[frames, V, 2]`."""
        place, _, _, velocity = self._state
        reach = (1 - FADING ** (frames - self.last)) / (1 - FADING)
        return place + reach[:, None, None] * velocity

    @functools.cached_property
    def _state(self) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
        """Where each joint is `[V, 2]`, which are known `[V]`, the size and the velocity `[2]`."""
        poses, frames = np.array(self._poses), np.array(self._frames)
        place, seen = poses[..., :2], poses[..., 2] > 0
        both = seen[1:] & seen[:-1]
        count = both.sum(axis=-1)
        # Each step is the median joint's, lest a limb that fails be taken for a step.
        steps = np.where(both[..., None], place[1:] - place[:-1], np.inf).swapaxes(1, 2)
        steps = np.where(count[:, None] > 0, _median(steps, count[:, None]), 0)
        # Joints out of sight move along with the others.
        moved = np.append(np.cumsum(steps[::-1], axis=0)[::-1], [[0, 0]], axis=0)
        latest = len(seen) - 1 - seen[::-1].argmax(axis=0)
        place = place[latest, np.arange(seen.shape[1])] + moved[latest]
        known = seen.any(axis=0)
        weights = SMOOTHING * (1 - SMOOTHING) ** np.arange(len(steps))[::-1]
        velocity = weights / np.diff(frames) @ steps
        box = place[known]
        size = max(float(np.hypot(*(box.max(axis=0) - box.min(axis=0)))), 1e-6)
        return place, known, size, velocity


def _distances(place: np.ndarray, both: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """How far each joint that both have is from its place, inf for the others, `[..., V]`."""
    x, y = (place[..., i] - pose[..., i] for i in (0, 1))
    return np.where(both, np.sqrt(x * x + y * y), np.inf)


def _median(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The (lower) median of the `count` finite values along the last axis; the others are inf."""
    middle = np.maximum(count - 1, 0)[..., None] // 2
    return np.take_along_axis(np.sort(values, axis=-1), middle, axis=-1)[..., 0]


def _alike(place: np.ndarray, known: np.ndarray, pose: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Whether poses and detections spread alike over the joints that both have."""
    both = (known & (pose[..., 2] > 0)).astype(np.float64)
    count = both.sum(axis=-1)
    one = _spread(place, both, np.maximum(count, 1)) + floor
    other = _spread(pose[..., :2], both, np.maximum(count, 1)) + floor
    return (count < COMMON) | ((one <= GROWN * other) & (other <= GROWN * one))


def _spread(points: np.ndarray, weight: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Root mean square distance of some of the points `[..., V, 2]` from their centre."""
    centre = np.einsum("...vc,...v->...c", points, weight) / count[..., None]
    apart = points - centre[..., None, :]
    return np.sqrt(np.einsum("...vc,...vc,...v->...", apart, apart, weight) / count)


def _pairs(likeness: np.ndarray) -> Iterator[tuple[int, int]]:
    """(row, column) of the pairs that are the likest together, each once; likeness 0 is no pair."""
    if 1 in likeness.shape:
        pairs = [np.unravel_index(likeness.argmax(), likeness.shape)]
    else:
        # Here, as importing it takes as long as reading thousands of frames.
        from scipy.optimize import linear_sum_assignment

        pairs = zip(*linear_sum_assignment(likeness, maximize=True))
    return ((int(row), int(column)) for row, column in pairs if likeness[row, column] > 0)


def parse_person(text: str) -> str | int:
    """One of CHOICES, or the person's rank by size as an int, 1 for the largest.

    Raises:
        InputError: neither.
    """
    if text in CHOICES:
        return text
    if re.fullmatch("[1-9][0-9]*", text):
        return int(text)
    raise InputError(
        f"unknown person {text!r}; expected {', '.join(CHOICES)}, or 1 for the "
        "largest, 2 for the next"
    )


def choose(
    who: np.ndarray, weight: np.ndarray, x: np.ndarray, person: str | int, width: int, id: str
) -> int | None:
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
            raise InputError(
                f"video {id!r}: person {person} by size was asked for, and only "
                f"{len(by_size)} " + ("was" if len(by_size) == 1 else "were") + " found"
            )
        return int(by_size[person - 1])
    if person == "largest":
        return int(by_size[0])
    order = {"leftmost": place, "rightmost": -place, "centre": np.abs(place - width / 2)}[person]
    return int(by_size[np.argmin(order)])


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
        jump: largest distance in pixels of the layout's root between one frame where it was seen
            and the next such.
        jump_frame: the number of the later of these two frames, -1 without such a pair.
        poseless: people left out because their pose is empty.
        rooted: frames in which the layout's root was seen.
        misfit: the pose model whose bones fit the followed person much better than those of the
            model that the files were read by, "" for none.
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
    """One person through a recording: keypoints float32 `[T, V, 2]` in pixels, score float32
    `[T, V]`.
    """

    keypoints: np.ndarray
    score: np.ndarray
    report: FollowedVideo
    damaged: tuple[tuple[str, str], ...]


def follow(
    recording: Recording,
    parts: Iterable[Detections],
    source: Source,
    person: str | int = "largest",
    width: int = 0,
) -> Followed:
    """Follow one person through a recording, given as `read_frames` of all its `chunks`, in order.

    Raises:
        InputError: as `choose`.
    """
    joints = len(source.model)
    tracker = Tracker(source.model)
    kept = []
    for part in parts:
        pose = part.points[:, :joints]
        across, down = extents(pose)
        size = np.hypot(across, down)
        who = tracker.track(part.numbers - recording.first, part.counts, pose, size)
        seen = pose[..., 2] > 0
        joints_seen = seen.sum(axis=1)
        weight = across * down * pose[..., 2].sum(axis=1) / joints_seen
        kept.append((part, who, weight, (pose[..., 0] * seen).sum(axis=1) / joints_seen))
    who, weight, x = (np.concatenate([row[i] for row in kept]) for i in (1, 2, 3))
    chosen = choose(who, weight, x, person, width, recording.id)
    keypoints = np.zeros((recording.length, len(source.layout), 2), np.float32)
    score = np.zeros((recording.length, len(source.layout)), np.float32)
    there = np.zeros(recording.length, bool)
    poses = []
    all_joints = joints + sum(count for _, count in source.parts)
    as_read = np.array_equal(source.columns, np.arange(all_joints))
    for part, ids, *_ in kept:
        ours = ids == chosen if chosen is not None else np.zeros(len(ids), bool)
        rows = np.repeat(part.numbers - recording.first, part.counts)[ours]
        people = part.points[ours]
        poses.append(people[::SPARED, :joints])
        if not as_read:
            people = people.take(source.columns, axis=1)
            people[:, source.columns < 0] = 0
        keypoints[rows], score[rows], there[rows] = people[..., :2], people[..., 2], True
    counts = np.concatenate([part.counts for part, *_ in kept])
    damaged = sum((part.damaged for part, *_ in kept), ())
    jump, at = largest_jump(keypoints, score, source.layout)
    seen_in = np.bincount(who[who >= 0], minlength=1)
    report = FollowedVideo(
        recording.id,
        recording.first,
        recording.length,
        recording.length - recording.files,
        len(damaged),
        nobody=int((counts == 0).sum()) - len(damaged),
        several=int((counts > 1).sum()),
        people=int((seen_in >= max(1, LASTING * seen_in.max())).sum()),
        missing=int((~there).sum()),
        jump=jump,
        jump_frame=recording.first + at if at >= 0 else -1,
        poseless=sum(part.poseless for part, *_ in kept),
        rooted=int((score[:, source.layout.index(*source.layout.root)] > 0).all(axis=1).sum()),
        misfit=misfit(np.concatenate(poses), source.model),
    )
    return Followed(keypoints, score, report, damaged)


def misfit(pose: np.ndarray, model: skeleton.Layout) -> str:
    """The pose model whose bones fit much better than the given one's; "" for none, or if unclear.

    Files of BODY_25 and BODY_25B differ in the order of 25 joints only. By the wrong one bones join
    what is far apart: on average they are two to four times as long as by the right one.

    Args:
        pose: one person in some frames, float `[frames, V, 3]`.
        model: by which they were read.
    """
    lengths = {model.name: np.inf}
    for other in MODELS.values() if len(pose) >= CLEARLY else ():
        if len(other) == len(model):
            start, end = (pose[:, joints] for joints in other.bone_indices.T)
            both = (start[..., 2] > 0) & (end[..., 2] > 0)
            if both.sum() < CLEARLY * len(pose):
                return ""
            lengths[other.name] = np.hypot(*(start - end)[both][:, :2].T).mean()
    best = min(lengths, key=lengths.get)
    return best if lengths[best] < MISFIT * lengths[model.name] else ""


def largest_jump(
    keypoints: np.ndarray, score: np.ndarray, layout: skeleton.Layout
) -> tuple[float, int]:
    """The root's largest step in pixels between one frame where it is seen and the next such, and
    the later's index.

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
    steps = np.linalg.norm(
        np.diff(keypoints[frames][:, root].astype(np.float64).mean(axis=1), axis=0), axis=1
    )
    return float(steps.max()), int(frames[1 + steps.argmax()])


def read_recording(
    recording: Recording, source: Source, person: str | int = "largest", width: int = 0
) -> Followed:
    """Read a recording and follow one person through it.

    Raises:
        InputError: as `read_frame` and `choose`.
    """
    return follow(
        recording,
        (read_frames(*chunk, source) for chunk in chunks(recording)),
        source,
        person,
        width,
    )
