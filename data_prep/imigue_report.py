"""What packing iMiGUE's files found, beside what was published: `ImigueReport`, printed.

A part of the dataset is packed like the whole, so what is missing or extra is said, and
what the keypoints themselves make doubtful: files whose left and right are swapped show
there.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from data_prep.imigue_files import HEIGHT, WIDTH
from mgjax import protocols

MANY = 10  # from so many clips of a video on, one class for all is hardly a label


@dataclasses.dataclass(frozen=True)
class ImigueVideoReport:
    """What was packed of one video.

    Attributes:
        id, form, subject, emotion: as in the store; form is one of `imigue_files.FORMS`.
        frames: its number of frames.
        unseen: frames without a seen joint.
        clips, labelled: its clips, and those with a label.
        same_label: whether its clips, at least ten, all have one label.
        joints: joints seen, over all frames.
        outside: those of them that lie outside the picture of 1280 x 720 pixels.
        facing: share of the frames with both shoulders in which the right one lies left
            in the picture, as it does in somebody who faces the camera; nan without.
        own_hand: share of the hands whose finger points lie nearer to their own wrist
            than to the other; nan without.
        gaps, several: frames without a JSON file, and with more than one person; 0 in the
            other forms.
    """

    id: str
    form: str
    subject: str
    emotion: str
    frames: int
    unseen: int
    clips: int
    labelled: int
    same_label: bool
    joints: int
    outside: int
    facing: float
    own_hand: float
    gaps: int
    several: int


@dataclasses.dataclass(frozen=True)
class ImigueReport:
    """What a job packed.

    Attributes:
        output: the store.
        layout: the name of its layout.
        videos: one `ImigueVideoReport` a video, in the store's order.
        splits: names of the splits written.
        without_keypoints: ids of which there are labels or a folder, but no keypoints.
        unlisted, absent: videos that the table of videos leaves out, and ids in it that
            are not among the files.
    """

    output: str
    layout: str
    videos: tuple[ImigueVideoReport, ...]
    splits: tuple[str, ...]
    without_keypoints: tuple[str, ...]
    unlisted: tuple[str, ...]
    absent: tuple[str, ...]

    def total(self, field: str) -> int:
        """The sum of a field of the videos' reports."""
        return sum(getattr(video, field) for video in self.videos)

    def __str__(self) -> str:
        # A line each, of what is there alone: a sound dataset is reported in a few.
        frames, unseen = self.total("frames"), self.total("unseen")
        lines = [f"frames {frames}, without anybody {unseen}, layout {self.layout}"]
        lines += compare(self.videos, self.splits)
        lines += _listed("videos with labels or a folder but no keypoints", self.without_keypoints)
        lines += _listed("videos that the table of videos leaves out", self.unlisted)
        lines += _listed("videos in the table of videos but not among the files", self.absent)
        lines += self._odd_clips()
        # What the keypoints themselves make doubtful.
        lines += self._outside()
        lines += self._sides("facing", "the right shoulder lies left in the picture")
        lines += self._sides("own_hand", "five finger points lie nearest their own wrist")
        return "\n".join([*lines, f"wrote {self.output}"])

    def _odd_clips(self) -> list[str]:
        """Videos whose clips lack something."""
        clipless = [video.id for video in self.videos if not video.clips]
        unlabelled = [video.id for video in self.videos if video.labelled < video.clips]
        same = [video.id for video in self.videos if video.same_label]
        return [
            *_listed("videos without clips", clipless),
            *_listed("videos with clips without a label", unlabelled),
            *_listed(f"videos of {MANY} or more clips, all of one class (hidden labels?)", same),
        ]

    def _outside(self) -> list[str]:
        """How many joints lie outside the picture, and where most."""
        outside, joints = self.total("outside"), self.total("joints")
        if not outside:
            return []
        # A video may have no joint at all.
        shares = [video.outside / max(video.joints, 1) for video in self.videos]
        most = max(shares)
        worst = self.videos[shares.index(most)]
        where = f"most in video {worst.id} ({most:.2%})"
        share = f"{outside} of {joints} ({outside / joints:.2%})"
        return [f"joints outside the picture of {WIDTH} x {HEIGHT}: {share}, {where}"]

    def _sides(self, field: str, what: str) -> list[str]:
        """How often left and right are where they should be, and where most seldom."""
        shares = [getattr(video, field) for video in self.videos]
        if np.isnan(shares).all():
            return []
        mean, least = np.nanmean(shares), int(np.nanargmin(shares))
        worst = f"in video {self.videos[least].id} in {shares[least]:.1%}"
        doubt = "; are left and right swapped?" if mean < 0.5 else ""
        return [f"{what} in {mean:.1%} of the cases, {worst}{doubt}"]


def _listed(what: str, ids: Iterable) -> list[str]:
    """A line that names them; none where there are none."""
    named = ranges(ids)
    return [f"{what}: {named}"] if named else []


def ranges(numbers: Iterable) -> str:
    """Numbers, or ids of digits, in order and with neighbours joined.

    >>> ranges(["0009", "0003", "0008", "0007"])
    '0003, 0007-0009'
    """
    # As given, "0003" for 3: ids keep their zeros.
    spelt = {int(number): str(number) for number in numbers}
    text: list[str] = []
    last = None
    for number in sorted(spelt):
        if last is not None and number == last + 1:
            text[-1] = f"{text[-1].partition('-')[0]}-{spelt[number]}"
        else:
            text.append(spelt[number])
        last = number
    return ", ".join(text)


def _against(count: int, published: int) -> str:
    """A count beside the published one: "12 of 359 (347 missing)"."""
    if count == published:
        return f"{count}, all there are"
    less = "missing" if count < published else "too many"
    return f"{count} of {published} ({abs(published - count)} {less})"


def compare(videos: Sequence[ImigueVideoReport], written: Iterable[str]) -> list[str]:
    """What was packed beside what was published, a sentence each.

    Args:
        videos: what was packed.
        written: the names of the splits that the store has.
    """
    # Of all videos, whether a split that has a side empty is written or not.
    splits = official(videos)
    lines = [*_counts(videos), *_of_subjects(videos, splits), *_of_emotions(videos, splits)]
    for name, (train, _) in splits.items():
        if name not in written:
            side = "test" if len(train) else "train"
            lines.append(f"{name}: not written, as nothing is there to {side}")
    # The emotion protocol has the highest id of all.
    last = max(*protocols.IMIGUE_EMOTION_TRAIN, *protocols.IMIGUE_EMOTION_TEST)
    extra = [video.id for video in videos if int(video.id) > last]
    return [*lines, *_listed("videos of ids that iMiGUE does not have", extra)]


def official(videos: Sequence[ImigueVideoReport]) -> dict[str, protocols.Rows]:
    """The official splits of some videos: name to rows that train and that test."""
    subjects = [int(video.subject or 0) for video in videos]  # there is no subject 0
    return protocols.imigue(subjects, [int(video.id) for video in videos])


def _counts(videos: Sequence[ImigueVideoReport]) -> list[str]:
    """Videos, those won and lost, and clips."""
    emotions = [video.emotion for video in videos]
    won = _against(emotions.count("positive"), protocols.IMIGUE_WON)
    published = protocols.IMIGUE_VIDEOS - protocols.IMIGUE_WON
    lost = _against(emotions.count("negative"), published)
    unknown = emotions.count("")
    not_known = f", {unknown} not known" if unknown else ""
    clips = sum(video.clips for video in videos)
    all_videos = _against(len(videos), protocols.IMIGUE_VIDEOS)
    return [
        f"videos {all_videos}; won {won}, lost {lost}{not_known}",
        f"clips {_against(clips, protocols.IMIGUE_CLIPS)}",
    ]


def _of_subjects(
    videos: Sequence[ImigueVideoReport], splits: dict[str, protocols.Rows]
) -> list[str]:
    """The split imigue_cross_subject, and who is missing to it."""
    name = "imigue_cross_subject"
    sides = []
    published = protocols.IMIGUE_SPLIT_CLIPS
    for side, rows, expected in zip(("train", "test"), splits[name], published):
        clips = sum(videos[row].clips for row in rows)
        sides.append(f"{side} clips {_against(clips, expected)}")
    lines = [f"{name}: {'; '.join(sides)}"]
    nobody = [video.id for video in videos if not video.subject]
    lines += _listed("  videos without a subject, in neither", nobody)
    subjects = {int(video.subject) for video in videos if video.subject}
    missing = {*protocols.IMIGUE_TRAIN_SUBJECTS, *protocols.IMIGUE_TEST_SUBJECTS} - subjects
    # Where no subject is known at all, the line above says it.
    if subjects:
        lines += _listed("  subjects of whom there is no video", missing)
    return lines


def _of_emotions(
    videos: Sequence[ImigueVideoReport], splits: dict[str, protocols.Rows]
) -> list[str]:
    """The split imigue_emotion, which videos are missing to it, and whose emotion is."""
    name = "imigue_emotion"
    ids = {int(video.id) for video in videos}
    sides, missing = [], []
    published = (protocols.IMIGUE_EMOTION_TRAIN, protocols.IMIGUE_EMOTION_TEST)
    for side, rows, known in zip(("train", "test"), splits[name], published):
        sides.append(f"{side} videos {_against(len(rows), len(known))}")
        # Four digits, as ids are in the store.
        lacking = [f"{id:04}" for id in set(known) - ids]
        missing += _listed(f"  missing to {side}", lacking)
    blank = [videos[row].id for row in np.concatenate(splits[name]) if not videos[row].emotion]
    return [
        f"{name}: {'; '.join(sides)}",
        *missing,
        *_listed("  videos of it whose emotion is not known", blank),
    ]
