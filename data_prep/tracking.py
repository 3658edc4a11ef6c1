"""Who is who from frame to frame of a recording.

OpenPose says who is in a frame: `people` has no stable order. `Tracker` says which
detection of one frame is which of the next. The size of a person or detection is the
diagonal of the box around its joints. The rule:

1.  Each person known so far is a pose: every joint where it was seen last, of those seen
    in the last MEMORY frames. It is moved on by the person's velocity, which fades while
    the person is unseen.
2.  A pose and a detection are compared by the joints that both have. Left and right of a
    pair count as one joint in two places, because OpenPose swaps them. How far apart the
    two are is the median of these joints' distances: the better half of the joints
    decides, and a limb may fail alone.
3.  A detection can be a person if they share at least COMMON joints, are apart by no
    more than GATE sizes of the smaller of both, and spread over these joints alike,
    within a factor of GROWN. For each frame unseen the gate widens by GROWTH, up to
    WIDEST.
4.  A detection nearer than TWIN sizes of the larger of both to somebody seen a frame ago
    is that one's, or a second or torn detection of that one: nobody farther away by more
    than TWIN can take it, and no new person starts from it.
5.  Of all pairs that can be, those are made whose likeness is the largest together.
    Likeness is the sum of the shared joints' scores, each the less the farther apart the
    joint is, half at REACH sizes; each part of the body counts the same. So a whole
    detection is preferred to a stray part of it.
6.  What is left and has COMMON joints starts a new person. Somebody unseen for longer
    than they were ever seen (and than PATIENCE frames) is forgotten.
7.  The easy case: a frame has as many detections as the one before it (fewer than MANY),
    each within TWIN sizes of the smaller of one of those and beyond GATE of the others,
    and nobody out of sight is liker. Then each is whom that one was. Whole arrays of such
    frames, which most are, are compared at once: in interviews 3 microseconds a frame
    instead of 140, where reading it takes 12.

Nothing depends on the order of `people`, on where a recording is cut into parts, or on
chance. From one frame to the next the followed person's pose, moved on by its velocity,
never jumps by more than GATE sizes (as rule 2 measures it): where the rule cannot say
that a detection is the same person, the frame is left unseen. A single joint may jump:
where OpenPose errs about a limb, that is stored as it is.

Rule 1 is `data_prep/tracks.py`, the comparisons of rules 2, 3 and 5 are
`data_prep/pose_comparison.py`.

This module needs NumPy, and SciPy for frames with several people, and never imports JAX.
"""

from __future__ import annotations

import bisect
from typing import NamedTuple

import numpy as np

from data_prep.pose_comparison import COMMON, PoseComparison, extents, likest_pairs, spread_alike
from data_prep.tracks import Track
from mgjax import skeleton

# Shares of a size, by which a person may be apart from where they are expected: at first,
# more for each frame unseen, and at most.
GATE, GROWTH, WIDEST = 0.5, 0.05, 2.0
TWIN = 0.1  # sizes: two detections so near to each other are of one person
FLOOR = 0.05  # spreads are alike where they differ by less than this share of the size
MANY = 5  # frames with so many people are looked at one by one


class Tracker:
    """Says who is who from frame to frame, by the rule in this module's docstring.

    The same number is the same person, in later calls too.

    Attributes:
        people: how many people were told apart so far.

    Example:
        >>> import numpy as np
        >>> from data_prep.tracking import Tracker
        >>> from mgjax import skeleton
        >>> anna = np.random.default_rng(0).uniform(0, 300, (25, 3))  # x, y and score
        >>> ben = anna + (400, 0, 0)
        >>> tracker = Tracker(skeleton.BODY_25)
        >>> tracker.track(np.array([0, 1]), np.array([1, 2]), np.array([anna, ben, anna])).tolist()
        [0, 1, 0]
    """

    def __init__(self, model: skeleton.Layout):
        self.people = 0
        self._comparison = PoseComparison(model)
        self._known: list[Track] = []  # who is not forgotten
        # the last frame's number, its people, their sizes and who they are
        self._latest: tuple[int, np.ndarray, np.ndarray, np.ndarray] | None = None

    def track(
        self,
        numbers: np.ndarray,
        counts: np.ndarray,
        pose: np.ndarray,
        size: np.ndarray | None = None,
    ) -> np.ndarray:
        """Who each detection of some frames is: int64 `[people]`, -1 for nobody.

        Args:
            numbers: the frames' numbers, from 0 and rising, also from call to call, int
                `[frames]`.
            counts: people in each, int `[frames]`.
            pose: everybody with a seen joint, one frame after the other, float `[people, V, 3]`:
                x, y and score.
            size: the diagonals of their `extents` `[people]`, where the caller has them
                already.
        """
        if not len(counts):
            return np.zeros(0, np.int64)
        size = np.hypot(*extents(pose)) if size is None else size
        stretch = self._stretch(numbers, counts, pose, size)
        # The first frame may be the one before, which is only there to be linked to.
        frame = first = 0 if self._latest is None else 1
        while frame < len(stretch.numbers):
            taken = self._walk(stretch, frame) if stretch.linked_until[frame] > frame else 0
            if not taken:
                rows = stretch.rows(frame)
                if rows.start < rows.stop:
                    number, one = stretch.numbers[frame], stretch.pose[rows]
                    stretch.who[rows] = self._step(number, one, stretch.size[rows])
                taken = 1
            frame += taken
        last = stretch.rows(len(stretch.numbers) - 1)
        latest = stretch.pose[last], stretch.size[last], stretch.who[last]
        self._latest = (stretch.numbers[-1], *latest)
        return stretch.who[stretch.stops[first] :]

    def _stretch(
        self, numbers: np.ndarray, counts: np.ndarray, pose: np.ndarray, size: np.ndarray
    ) -> _Stretch:
        """The frames of a call, after the last one of the call before."""
        done = np.zeros(0, np.int64)
        if self._latest is not None:
            number, latest, sizes, done = self._latest
            numbers, counts = np.append(number, numbers), np.append(len(done), counts)
            pose, size = np.concatenate([latest, pose]), np.append(sizes, size)
        pose = pose.astype(np.float64)
        # A detection of a single joint has no size to divide by.
        size = np.maximum(size, 1e-6, dtype=np.float64)
        who = np.full(len(pose), -1, np.int64)
        who[: len(done)] = done
        before, likeness = self._links(numbers, counts, pose, size)
        linked_until = _linked_until(likeness > 0, counts)
        stops = np.cumsum(counts)
        return _Stretch(
            numbers.tolist(),
            [0, *stops.tolist()],
            linked_until,
            pose,
            size,
            who,
            before,
            likeness,
        )

    def _links(
        self, numbers: np.ndarray, counts: np.ndarray, pose: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which detection of the frame before each one is, by rule 7, and how like it is.

        Both are `[people]`; a likeness of 0 means that it is none of them.
        """
        before, likeness = np.zeros(len(pose), np.int64), np.zeros(len(pose))
        starts = np.cumsum(counts) - counts
        no_gap = np.diff(numbers) == 1
        alike = (counts[1:] == counts[:-1]) & no_gap
        for people in set(counts[1:][alike].tolist()) & set(range(1, MANY)):
            # All pairs of frames with so many people at once; rows `[pairs, people]`.
            frames = 1 + np.flatnonzero(alike & (counts[1:] == people))
            now = starts[frames][:, None] + np.arange(people)
            then = starts[frames - 1][:, None] + np.arange(people)
            clear, chosen, like = self._clear_pairs(then[:, :, None], now[:, None], pose, size)
            before[now[clear]] = np.take_along_axis(then, chosen, axis=1)[clear]
            likeness[now[clear]] = like[clear]
        return before, likeness

    def _clear_pairs(
        self, one: np.ndarray, other: np.ndarray, pose: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compare everybody of some frames with everybody of the frames before these.

        Args:
            one, other: rows of those before `[pairs, people, 1]` and of those now
                `[pairs, 1, people]`.

        Returns:
            In which pairs of frames it is clear who is who, bool `[pairs]`; whom each of
            those now is nearest to, int `[pairs, people]`; and how like that one, float
            `[pairs, people]`.
        """
        # Sides are not swapped here: what looks swapped is not the easy case.
        place, known = pose[one], pose[one, :, 2] > 0
        apart, like = self._comparison.compare(
            place, known, size[one], pose[other], size[other], swap=False
        )
        smaller = np.minimum(size[one], size[other])
        near = apart < TWIN * smaller
        far = apart > GATE * smaller
        people = near.shape[1]
        one_each = (near.sum(axis=1) == 1) & (near.sum(axis=2) == 1)
        others_far = far.sum(axis=1) == people - 1
        clear = (one_each & others_far).all(axis=1)
        chosen = near.argmax(axis=1)
        return clear, chosen, np.take_along_axis(like, chosen[:, None], axis=1)[:, 0]

    def _walk(self, stretch: _Stretch, frame: int) -> int:
        """Fill in who is who in linked frames from one on, as long as rule 7 holds for them.

        Returns:
            How many frames were taken: those before somebody out of sight is liker; 0 as
            well where a detection of the frame before is nobody.
        """
        frames = stretch.numbers[frame : stretch.linked_until[frame]]
        start, stop = stretch.stops[frame], stretch.stops[frame + len(frames)]
        rows = np.arange(start, stop).reshape(len(frames), -1)  # [frames, people]
        previous = stretch.who[stretch.before[rows[0]]]
        if not (previous >= 0).all():
            return 0
        # As the first frame would do by itself; in the others `_until_liker` looks.
        self._forget(frames[0])
        here = set(previous.tolist())
        away = [track for track in self._known if track.id not in here]
        taken = min(
            [self._until_liker(track, frames, rows, stretch) for track in away], default=len(frames)
        )
        stretch.follow_links(rows[:taken])
        for track in self._known if taken else ():
            if track.id in here:
                own = rows[:taken][stretch.who[rows[:taken]] == track.id]
                track.see(frames[:taken], stretch.pose[own])
        return taken

    def _until_liker(
        self, track: Track, frames: list[int], rows: np.ndarray, stretch: _Stretch
    ) -> int:
        """How many of some linked frames come before somebody out of sight is liker in one."""
        # Later frames do not matter, for the person is forgotten then.
        until = bisect.bisect(frames, track.patience)
        some = rows[:until]
        place = track.expected(np.array(frames[:until]))[:, None]
        pose, size = stretch.pose[some], stretch.size[some]
        _, like = self._comparison.compare(place, track.known, track.size, pose, size)
        liker = np.flatnonzero((like >= stretch.likeness[some]).any(axis=1))
        return int(liker[0]) if len(liker) else len(frames)

    def _step(self, frame: int, pose: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Who each detection of one frame is."""
        who = np.full(len(pose), -1, np.int64)
        free = (pose[..., 2] > 0).sum(axis=1) >= COMMON
        self._forget(frame)
        if self._known:
            likeness, twin = self._candidates(frame, pose, size)
            # Rule 5.
            for row, column in likest_pairs(likeness):
                self._known[row].see([frame], pose[column : column + 1])
                who[column] = self._known[row].id
            free &= (who < 0) & ~twin
        # Rule 6.
        for column in np.flatnonzero(free).tolist():
            self._known.append(Track(self.people))
            self._known[-1].see([frame], pose[column : column + 1])
            who[column] = self.people
            self.people += 1
        return who

    def _candidates(
        self, frame: int, pose: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compare everybody known with each detection of a frame.

        Returns:
            The likeness `[known, people]`, 0 where rules 3 and 4 say that they are not
            the same; and which detections rule 4 leaves to somebody, bool `[people]`.
        """
        # A column for those known, [known, 1, ...], against a row of detections.
        known = np.array([track.known for track in self._known])[:, None]
        sizes = np.array([track.size for track in self._known])[:, None]
        gap = np.array([frame - track.last for track in self._known])[:, None]
        place = np.array([track.expected(np.array([frame])) for track in self._known])
        apart, likeness = self._comparison.compare(place, known, sizes, pose, size)
        smaller, larger = np.minimum(sizes, size), np.maximum(sizes, size)
        # Rule 3.
        gate = np.minimum(GATE + GROWTH * (gap - 1), WIDEST)
        can_be = apart <= gate * smaller
        can_be &= spread_alike(place, known, pose, FLOOR * smaller)
        # Rule 4 goes by the larger size: a torn part is near to the whole it belongs to.
        apart /= larger
        nearest = np.where(gap == 1, apart, np.inf).min(axis=0)
        twin = nearest < TWIN
        can_be &= ~twin | (apart <= nearest + TWIN)
        return np.where(can_be, likeness, 0), twin

    def _forget(self, frame: int) -> None:
        self._known = [track for track in self._known if frame <= track.patience]


def _linked_until(linked: np.ndarray, counts: np.ndarray) -> list[int]:
    """The first frame from each on that is not linked whole to the one before it.

    Args:
        linked: which detections are linked, bool `[people]`.
        counts: how many each frame has, `[frames]`.
    """
    # One more, for `reduceat` has to begin within the array also where the last frame is empty.
    links = np.add.reduceat(np.append(linked, 0), np.cumsum(counts) - counts)
    whole = (links == counts) & (counts > 0)
    broken = np.append(np.flatnonzero(~whole), len(counts))
    return broken[np.searchsorted(broken, np.arange(len(counts)))].tolist()


class _Stretch(NamedTuple):
    """Frames that are tracked together.

    Attributes:
        numbers: the frames' numbers.
        stops: where each frame's detections begin among all, and at last where they end.
        linked_until: the first frame from each on that is not linked to the one before
            it.
        pose, size: of the detections, float64 `[people, V, 3]` and `[people]`.
        who: who they are, int64 `[people]`; filled in frame by frame.
        before, likeness: as `Tracker._links` gives them.
    """

    numbers: list[int]
    stops: list[int]
    linked_until: list[int]
    pose: np.ndarray
    size: np.ndarray
    who: np.ndarray
    before: np.ndarray
    likeness: np.ndarray

    def rows(self, frame: int) -> slice:
        """The detections of a frame."""
        return slice(self.stops[frame], self.stops[frame + 1])

    def follow_links(self, rows: np.ndarray) -> None:
        """Fill in that those of linked frames, rows `[frames, people]`, are whom they were."""
        if rows.shape[1] == 1:
            # A single person stays who that is, however many frames there are.
            self.who[rows] = self.who[self.before[rows[:1]]]
            return
        for row in rows:
            self.who[row] = self.who[self.before[row]]
