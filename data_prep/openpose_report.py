"""What packing OpenPose's files did, and how it is said: `OpenPoseReport`, printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from data_prep.following import FollowedVideo
from data_prep.openpose_folders import Aside
from mgjax.report.tables import Table

# Fields of `FollowedVideo` that count frames, and so can be summed over videos.
_COUNTS = ("frames", "missing", "nobody", "several", "gaps", "damaged")


@dataclasses.dataclass(frozen=True)
class KeyedVideo(FollowedVideo):
    """What was found in a video whose id is a number, and its folder's and its subject's name."""

    folder: str = ""
    subject: str = ""


@dataclasses.dataclass(frozen=True)
class OpenPoseReport:
    """What a job packed.

    Attributes:
        output: the store.
        videos: one `FollowedVideo` a video, in the store's order; with anonymous ids a
            `KeyedVideo`.
        clips, labelled: clips written, and those with a label.
        labels: class names in label order.
        aside: what lies among the input's frames and is none.
        unlisted: videos that the table of videos leaves out; None without such a table.
        first_damaged: the first damaged file and what is wrong with it, or None.
        absent: ids in the table of videos that the input has no frames of.
        without: clips left out because they are of such a video.
        unseen: parts of the layout that were not seen in any frame of any video.
        root: the layout's root joints, as text.
        anonymous: whether ids are numbers.
    """

    output: str
    videos: tuple[FollowedVideo, ...]
    clips: int
    labelled: int
    labels: tuple[str, ...]
    aside: Aside
    unlisted: int | None
    first_damaged: str | None
    absent: tuple[str, ...]
    without: int
    unseen: tuple[str, ...]
    root: str
    anonymous: bool

    def total(self, field: str) -> int:
        """The sum of a field of the videos' reports."""
        return sum(getattr(video, field) for video in self.videos)

    def __str__(self) -> str:
        lines = [str(self.table()), ""]
        worst = max(self.videos, key=lambda video: video.jump)
        if worst.jump_frame >= 0:
            place = f"video {worst.id} at frame {worst.jump_frame}"
            lines.append(f"largest root jump: {worst.jump:.1f} px, {place}")
        if self.first_damaged:
            lines.append(f"first damaged file: {self.first_damaged}")
        lines += self._left_aside()
        lines += self.doubts()
        names = f": {_some(self.labels, 100)}" if self.labels else ""
        lines.append(
            f"clips: {self.clips}, labelled {self.labelled}, classes {len(self.labels)}{names}"
        )
        lines.append(self._ids())
        lines.append(f"wrote {self.output}")
        return "\n".join(lines)

    def table(self) -> Table:
        """What was found in each video, a row each, and in all of them."""
        table = Table(["video", "first", *_COUNTS, "people", "root jump, px", "at frame"])
        for video in self.videos:
            counts = [getattr(video, field) for field in _COUNTS]
            jump: tuple[str | None, int | None] = (f"{video.jump:.1f}", video.jump_frame)
            if video.jump_frame < 0:  # the root was not seen twice
                jump = (None, None)
            table.add(video.id, video.first, *counts, video.people, *jump)
        # People are not the same ones from video to video, so they have no sum.
        sums = [self.total(field) for field in _COUNTS]
        table.add(f"all {len(self.videos)}", "", *sums, "", "", "")
        return table

    def _left_aside(self) -> list[str]:
        lines = []
        if self.total("poseless"):
            lines.append(f"left aside: {self.total('poseless')} people whose pose is an empty list")
        if self.aside.files:
            lines.append(
                f"left aside: {self.aside.files} files that are not frames (hidden, or not ending "
                "in .json)"
            )
        if self.aside.folders:
            lines.append(f"left aside: folders without a frame: {_some(self.aside.folders)}")
        if self.absent:
            lines.append(
                "left aside: videos of the table that the input has no frames of: "
                f"{_some(self.absent)}; with them {self.without} clips"
            )
        if self.unlisted:
            lines.append(f"videos that the table of videos leaves out: {self.unlisted}")
        return lines

    def _ids(self) -> str:
        # An example of each, for whoever did not think of a folder's name as a person's.
        first = self.videos[0].id
        if self.anonymous:
            return f"ids are numbers, such as {first}, in the order of the folders' names"
        return (
            f"ids are the folders' names, such as {first}, and are in the store; --anonymous_ids "
            "numbers them"
        )

    def doubts(self) -> list[str]:
        """What may have gone wrong without being an error, a sentence each."""
        lines = []
        # One sentence for all videos of a model: mostly it is wrong for all or for none.
        for model in sorted({video.misfit for video in self.videos} - {""}):
            fitting = [video.id for video in self.videos if video.misfit == model]
            lines.append(
                f"doubtful: the bones fit pose model {model} much better in {_some(fitting)}; if "
                "that model made these files, say so (--model_pose or --layout, or these columns "
                "of the table of videos)"
            )
        # A video in which nobody was found is counted as missing already.
        somebody = [video for video in self.videos if video.missing < video.frames]
        rootless = [video.id for video in somebody if not video.rooted]
        if rootless:
            lines.append(
                f"doubtful: the root ({self.root}) of the person followed is never seen in "
                f"{_some(rootless)}, so that root-centred coordinates are not to be had"
            )
        if self.unseen:
            lines.append(f"never seen in any video: {_some(self.unseen)}")
        return lines


def _some(names: Sequence[str], most: int = 10) -> str:
    """Names in a row, the first ones of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
