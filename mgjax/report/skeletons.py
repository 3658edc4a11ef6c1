"""Skeletons as they are drawn everywhere, and contact sheets of clips."""

from __future__ import annotations

import os
import pathlib
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from mgjax.errors import InputError
from mgjax.report import pictures
from mgjax.report.pictures import CENTRED, INK, QUIET
from mgjax.skeleton import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

YPoints = Literal["down", "up"]

# Left is cool, right is warm, the middle is grey; a hand is the lighter shade of its arm.
PART_COLOURS = {
    "left arm": "#2563a8",
    "left hand": "#6aa6dc",
    "left leg": "#1d8288",
    "right arm": "#c23b2a",
    "right hand": "#ee8a68",
    "right leg": "#c77a12",
    "torso": "#474747",
    "head": "#7c7c7c",
    "face": "#b4b4b4",
}

# Square points, by the last word of a part: fingers and face points lie too close for large dots.
_DOT_AREA = {"hand": 1.0, "face": 0.6}

# A contact sheet's margins in inches; the head holds a row's title, the foot its frame numbers.
_MARGIN, _GAP, _HEAD, _FOOT = 0.2, 0.08, 0.3, 0.26


# One skeleton


def parts_of(layout: Layout) -> list[str]:
    """The part of every joint, as a key of `PART_COLOURS`.

    Joints that no part names count by their side; a user's own parts by the side they begin with.
    """
    part_of: dict[str, str] = {}
    for left, right in layout.mirror or ():
        part_of[left], part_of[right] = "left", "right"
    for part, joints in layout.parts.items():
        part_of.update(dict.fromkeys(joints, part))
    return [_known_part(part_of.get(joint, "torso")) for joint in layout.joints]


def _known_part(part: str) -> str:
    if part in PART_COLOURS:
        return part
    for side in ("left", "right"):
        if part.startswith(side):
            return f"{side} arm"
    return "torso"


class DrawnSkeleton:
    """A skeleton on an axes, moved from frame to frame.

    Args:
        axes: where it is drawn.
        layout: its joints and bones.
        size: scales its lines and dots.
    """

    def __init__(self, axes: Axes, layout: Layout, size: float):
        with pictures.extra():
            from matplotlib.collections import LineCollection
        parts = parts_of(layout)
        self.colours = np.array([PART_COLOURS[part] for part in parts])
        widths = [0.8 if part.endswith("hand") else 1.9 for part in parts]
        self.widths = np.array(widths) * size
        areas = [_DOT_AREA.get(part.split()[-1], 8.0) for part in parts]
        self.dot_areas = np.array(areas) * size**2
        # A white rim around the smallest dots would leave nothing of them.
        self.rims = np.where(self.dot_areas > 2, 0.3, 0) * size
        # The face points hang from the nose; as lines they would be a star that is not there.
        bones = [(i, j) for i, j in layout.bone_indices if parts[j] != "face"]
        self.bones = np.array(bones, int).reshape(-1, 2)
        self.lines = axes.add_collection(LineCollection([], capstyle="round", zorder=2))
        self.dots = axes.scatter([], [], edgecolors="white", zorder=3)

    def show(self, places: np.ndarray, seen: np.ndarray) -> None:
        """Move the skeleton to a frame's joints.

        Args:
            places: where the joints are, `[V, 2]`.
            seen: which of them are drawn, bool `[V]`; a bone is drawn if both its ends are.
        """
        bones = self.bones[seen[self.bones].all(1)]
        ends = bones[:, 1]
        self.lines.set(
            segments=places[bones], colors=self.colours[ends], linewidths=self.widths[ends]
        )
        self.dots.set(
            offsets=places[seen],
            sizes=self.dot_areas[seen],
            facecolors=self.colours[seen],
            linewidths=self.rims[seen],
        )


def places_and_seen(
    layout: Layout, keypoints: np.ndarray, score: np.ndarray | None, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """A clip's places in the picture, float64 `[T, V, 2]`, and which are seen, bool `[T, V]`.

    Raises:
        InputError: keypoints `[T, V, C]` or score `[T, V]` do not fit the layout; the sentence
            calls the clip by `name`.
    """
    keypoints = np.asarray(keypoints, np.float64)
    joint = (len(layout), layout.dimensions)
    if keypoints.ndim != 3 or keypoints.shape[1:] != joint or not len(keypoints):
        raise InputError(
            f"{name} has shape {keypoints.shape}, expected [T, {joint[0]}, {joint[1]}] for layout "
            f"{layout.name!r} with T at least 1"
        )
    seen = np.isfinite(keypoints).all(-1)
    if score is not None:
        score = np.asarray(score)
        if score.shape != seen.shape:
            raise InputError(f"the score of {name} has shape {score.shape}, expected {seen.shape}")
        seen &= score > 0
    return keypoints[..., :2], seen


# Where it lies in the picture


def box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and extent, `[2]` each, of points `[n, 2]`; the extent is never 0."""
    if not len(points):
        return np.zeros(2), np.ones(2)
    low, high = points.min(0), points.max(0)
    extent = high - low
    return (low + high) / 2, np.maximum(extent, max(extent.max() * 1e-3, 1e-6))


def points_down(layout: Layout, y_points: YPoints | None) -> bool:
    """Whether y grows downwards in keypoints; None takes the habit of pixels and metres."""
    known = get_args(YPoints)
    if y_points is not None and y_points not in known:
        raise InputError(f"y_points is {y_points!r}, expected 'down' or 'up'")
    return y_points == "down" if y_points else layout.dimensions == 2


def aim(axes: Axes, down: bool, centre: np.ndarray, extent: np.ndarray, tall: float) -> None:
    """Show what lies within centre ± extent / 2, and a margin, without ticks or a frame.

    Args:
        axes: an axes that is `tall` times as high as wide.
        down: whether y grows downwards.
        centre, extent: `[2]` each, in units of the keypoints.
        tall: height over width.
    """
    width = max(extent[0], extent[1] / tall) * 1.12
    half = np.array([width, width * tall]) / 2
    (left, low), (right, high) = centre - half, centre + half
    axes.set_xlim(left, right)
    axes.set_ylim(*((high, low) if down else (low, high)))
    axes.set_axis_off()


def side_key(figure: Figure, layout: Layout, drawn: np.ndarray, x: float, y: float) -> None:
    """Say which colours are which side of the body, if the layout has sides.

    Beside the words stand the colours of the parts that are drawn.

    Args:
        figure: where the key is written.
        layout: the layout of the joints.
        drawn: which joints the picture shows anywhere, bool `[V]`.
        x, y: where the key ends, flush right, as shares of the figure.
    """
    parts, inch = parts_of(layout), 1 / figure.get_figwidth()
    seen = {part for part, here in zip(parts, drawn) if here}
    word_widths = {"right": 0.34, "left": 0.27}  # inches
    for side, word_width in word_widths.items():
        if not any(part.startswith(side) for part in parts):
            continue
        figure.text(x, y, side, color=INK, ha="right", va="center", weight="bold")
        x -= word_width * inch
        for part in (f"{side} leg", f"{side} hand", f"{side} arm"):
            if part in seen:
                x -= 0.1 * inch
                _square(figure, x, y, PART_COLOURS[part])
        x -= 0.16 * inch


def _square(figure, x, y, colour):
    with pictures.extra():
        from matplotlib.lines import Line2D
    figure.add_artist(Line2D([x], [y], marker="s", markersize=5, markeredgewidth=0, color=colour))


# Contact sheets


class _SheetRow(NamedTuple):
    """The frames of a clip that are drawn, n of them, and how much of the plane they show."""

    title: str
    numbers: np.ndarray  # of the frames in the recording, int [n]
    places: np.ndarray  # [n, V, 2]
    seen: np.ndarray  # bool [n, V]
    centres: list[np.ndarray]  # n times [2]
    extent: np.ndarray  # [2]
    tall: float  # height over width of each panel


def _sheet_row(title: str, first_frame: int, places, seen, frames_per_clip: int) -> _SheetRow:
    spread = np.linspace(0, len(places) - 1, frames_per_clip)
    # A clip shorter than the row would show some frames twice.
    frames = np.unique(spread.round().astype(int))
    centres, extent = _windows(places[frames], seen[frames])
    tall = float(np.clip(extent[1] / extent[0], 0.6, 1.9))
    numbers = int(first_frame) + frames
    return _SheetRow(title, numbers, places[frames], seen[frames], centres, extent, tall)


def _windows(places, seen) -> tuple[list[np.ndarray], np.ndarray]:
    """A centre for every frame and one extent for all, which show every seen joint of a row.

    The centre stays the same unless that would make a wandering person small.
    """
    centre, extent = box(places[seen])
    boxes = [box(place[here]) for place, here in zip(places, seen) if here.any()]
    largest = np.max([size for _, size in boxes], 0) if boxes else extent
    if (extent <= 1.5 * largest).all():
        return [centre] * len(places), extent
    return [box(place[here])[0] for place, here in zip(places, seen)], largest


def _draw_row(figure, layout, row: _SheetRow, top: float, panel: float, down: bool) -> float:
    """Draw a row whose upper edge is `top` inches high, of panels that many inches wide.

    Returns its lower edge.
    """
    width, height = figure.get_figwidth(), figure.get_figheight()
    title = textwrap.shorten(row.title, int(width * 11), placeholder="…")
    middle = (top - _HEAD * 0.6) / height
    figure.text(_MARGIN / width, middle, title, size=9, weight="bold", va="center")
    low = top - _HEAD - panel * row.tall
    size = (panel / width, panel * row.tall / height)
    for column, number in enumerate(row.numbers):
        left = _MARGIN + column * (panel + _GAP)
        axes = figure.add_axes((left / width, low / height, *size))
        aim(axes, down, row.centres[column], row.extent, row.tall)
        skeleton = DrawnSkeleton(axes, layout, panel / 1.8)
        skeleton.show(row.places[column], row.seen[column])
        caption = f"{number}" if column else f"frame {number}"
        x, y = (left + panel / 2) / width, (low - 0.09) / height
        figure.text(x, y, caption, color=QUIET, size=7, **CENTRED)
    return low - _FOOT


def _check_counts(path, clips: int, scores: int, titles: int, first_frames: int) -> None:
    if not clips or not clips == scores == titles == first_frames:
        raise InputError(
            f"{path}: {clips} clips, {scores} scores, {titles} titles and {first_frames} first "
            "frames to draw, expected as many of each and at least one"
        )


@pictures.house_style()
def contact_sheet(
    path: str | os.PathLike,
    layout: Layout,
    keypoints: Sequence[np.ndarray],
    score: Sequence[np.ndarray | None] | None = None,
    titles: Sequence[str] | None = None,
    frames_per_clip: int = 6,
    first_frames: Sequence[int] | None = None,
    y_points: YPoints | None = None,
) -> pathlib.Path:
    """Draw one row a clip, with frames spread evenly from its first to its last.

    All frames of a row have one scale and, unless the person wanders through the picture and is
    followed, one window. Joints with score 0 and their bones are not drawn. x runs to the right;
    of 3D keypoints z is left out.

    Args:
        path: the file to write.
        layout: the layout of the joints.
        keypoints: N arrays `[T_i, V, C]`, pixels or metres.
        score: N arrays `[T_i, V]`; None draws every joint.
        titles: N lines to stand above the rows; None leaves them out.
        frames_per_clip: the most frames of a row; a shorter clip shows all it has.
        first_frames: the number of each clip's first frame in its recording, N; None counts every
            clip from 0.
        y_points: where the keypoints' y points, "down" or "up", such as `Store.y`; None takes
            down for 2D (pixels) and up for 3D (metres).
    """
    down = points_down(layout, y_points)
    first_frames = [0] * len(keypoints) if first_frames is None else first_frames
    titles = [""] * len(keypoints) if titles is None else titles
    score = [None] * len(keypoints) if score is None else score
    _check_counts(path, len(keypoints), len(score), len(titles), len(first_frames))
    if frames_per_clip < 1:
        raise InputError(f"{path}: {frames_per_clip} frames of a clip to draw, expected at least 1")
    rows = []
    for i, clip in enumerate(keypoints):
        places, seen = places_and_seen(layout, clip, score[i], f"clip {i}")
        rows.append(_sheet_row(titles[i], first_frames[i], places, seen, frames_per_clip))
    panel = min(1.8, 10.5 / frames_per_clip)
    width = max(2 * _MARGIN + frames_per_clip * (panel + _GAP) - _GAP, 3.0)
    height = sum(_HEAD + panel * row.tall + _FOOT for row in rows)
    figure = pictures.new_figure(width, height)
    top = height
    for row in rows:
        top = _draw_row(figure, layout, row, top, panel, down)
    drawn = np.any([row.seen.any(0) for row in rows], 0)
    side_key(figure, layout, drawn, 1 - _MARGIN / width, 1 - _HEAD * 0.6 / height)
    return pictures.save(figure, path)
