"""All pictures of the project: skeletons, losses, confusion matrices, maps of embeddings.

Every function takes arrays, writes one file, whose ending names its format (.png, .pdf, .svg,
...), and returns its path. Matplotlib, pillow and scikit-learn come with the extra `plots` and
are imported when a picture is
drawn. pyplot is never used: the caller's figures, backend and settings stay as they are.

Every function raises `InputError` if the extra is not installed, if the folder to write into is
missing, or if its arrays do not fit together.

This module never imports JAX.
"""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from mgjax.errors import InputError
from mgjax.files import whole, writable
from mgjax.skeleton import Layout

DOTS_PER_INCH = 160
MOST_MAPPED = 3000  # t-SNE takes seconds for this many points and minutes for ten times as many

_INK, _QUIET, _RULE = "#222222", "#767676", "#d9d9d9"
# fmt: off
_STYLE = {
    "font.size": 8, "font.family": "DejaVu Sans", "text.color": _INK, "axes.labelcolor": _INK,
    "axes.edgecolor": _QUIET, "axes.linewidth": 0.6, "axes.titlesize": 9, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "xtick.color": _QUIET, "ytick.color": _QUIET, "xtick.labelcolor": _INK, "ytick.labelcolor": _INK,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "grid.color": _RULE, "grid.linewidth": 0.5,
}
# fmt: on

# Left is cool, right is warm, the middle is grey; a hand is the lighter shade of its arm.
_PART_COLOURS = {
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

# Okabe and Ito's colours for colour-blind readers; their yellow and black give way to colours
# seen as well on white as the rest.
# fmt: off
_CLASS_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a3d9a", "#7a7a7a")
# fmt: on
_CLASS_MARKERS = "osDv"


@contextlib.contextmanager
def _extra():
    """Around an import from the extra: one sentence where it is missing."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"pictures need {error.name}: pip install mgjax[plots]") from None


@contextlib.contextmanager
def _style():
    """This module's look while a picture is drawn, whatever the caller's settings are; those
    come back after.
    """
    with _extra():
        from matplotlib import style
    with style.context(["default", _STYLE]):
        yield


def _new_figure(width, height):
    """A figure in inches, tied to Agg and unknown to pyplot."""
    with _extra():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure, path, **options) -> pathlib.Path:
    path = writable(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise InputError(
            f"{path}: cannot be written, its ending is none of {', '.join(sorted(known))}"
        )
    with whole(path) as partial:
        figure.savefig(partial, format=path.suffix[1:].lower(), **options)
    return path


# Skeletons


def _parts_of(layout: Layout) -> list[str]:
    """The part of every joint, as a key of the colours; a user's own parts count by the side
    they begin with.
    """
    side_of = {
        joint: side for pair in layout.mirror for joint, side in zip(pair, ("left", "right"))
    }
    part_of = {joint: part for part, joints in layout.parts.items() for joint in joints}
    parts = []
    for joint in layout.joints:
        part = part_of.get(joint, side_of.get(joint, "torso"))
        if part not in _PART_COLOURS:
            part = next(
                (f"{side} arm" for side in ("left", "right") if part.startswith(side)), "torso"
            )
        parts.append(part)
    return parts


class _Skeleton:
    """A skeleton on an axes, moved from frame to frame. `size` scales its lines and dots."""

    def __init__(self, axes, layout: Layout, size: float):
        with _extra():
            from matplotlib.collections import LineCollection
        parts = _parts_of(layout)
        self.colours = np.array([_PART_COLOURS[part] for part in parts])
        self.widths = np.array([0.8 if part.endswith("hand") else 1.9 for part in parts]) * size
        self.dot_areas = (
            np.array([{"hand": 1.0, "face": 0.6}.get(part.split()[-1], 8.0) for part in parts])
            * size**2
        )
        self.rims = np.where(self.dot_areas > 2, 0.3, 0) * size
        # The face points hang from the nose; as lines they would be a star that is not there.
        self.bones = np.array(
            [(i, j) for i, j in layout.bone_indices if parts[j] != "face"], int
        ).reshape(-1, 2)
        self.lines = axes.add_collection(LineCollection([], capstyle="round", zorder=2))
        self.dots = axes.scatter([], [], edgecolors="white", zorder=3)

    def show(self, places, seen):
        """Draw joints `[V, 2]` and bones, but only joints that are seen `[V]` bool and bones
        between two such.
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


def _seen(layout: Layout, keypoints, score, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A clip's places in the picture, float64 `[T, V, 2]`, and which are seen, bool `[T, V]`."""
    keypoints = np.asarray(keypoints, np.float64)
    if (
        keypoints.ndim != 3
        or keypoints.shape[1:] != (len(layout), layout.dimensions)
        or not len(keypoints)
    ):
        raise InputError(
            f"{name} has shape {keypoints.shape}, expected [T, {len(layout)}, "
            f"{layout.dimensions}] for layout "
            f"{layout.name!r} with T at least 1"
        )
    seen = np.isfinite(keypoints).all(-1)
    if score is not None:
        score = np.asarray(score)
        if score.shape != seen.shape:
            raise InputError(f"the score of {name} has shape {score.shape}, expected {seen.shape}")
        seen &= score > 0
    return keypoints[..., :2], seen


def _box(points) -> tuple[np.ndarray, np.ndarray]:
    """Centre and extent, `[2]` each, of points `[n, 2]`; never empty."""
    if not len(points):
        return np.zeros(2), np.ones(2)
    low, high = points.min(0), points.max(0)
    extent = high - low
    return (low + high) / 2, np.maximum(extent, max(extent.max() * 1e-3, 1e-6))


def _windows(places, seen) -> tuple[list[np.ndarray], np.ndarray]:
    """A centre for every frame and one extent for all, such that every seen joint of a row is in
    view.

    The centre stays the same unless that would make a wandering person small.
    """
    centre, extent = _box(places[seen])
    boxes = [_box(place[here]) for place, here in zip(places, seen) if here.any()]
    largest = np.max([box[1] for box in boxes], 0) if boxes else extent
    if (extent <= 1.5 * largest).all():
        return [centre] * len(places), extent
    return [_box(place[here])[0] for place, here in zip(places, seen)], largest


def _points_down(layout: Layout, y_points: str | None) -> bool:
    """Whether y grows downwards in the picture's data; None takes the habit of pixels and
    metres.
    """
    if y_points not in ("down", "up", None):
        raise InputError(f"y_points is {y_points!r}, expected 'down' or 'up'")
    return y_points == "down" if y_points else layout.dimensions == 2


def _aim(axes, down: bool, centre, extent, tall: float):
    """Show centre ± extent / 2 and a margin on axes that are `tall` times as high as wide; no
    ticks, no frame.
    """
    width = max(extent[0], extent[1] / tall) * 1.12
    half = np.array([width, width * tall]) / 2
    (left, low), (right, high) = centre - half, centre + half
    axes.set_xlim(left, right)
    axes.set_ylim(*((high, low) if down else (low, high)))
    axes.set_axis_off()


def _side_key(figure, layout: Layout, drawn, x: float, y: float):
    """Say which colours are which side of the body, flush right at (x, y) of the figure, if the
    layout has sides.

    Beside the word stand the colours of the parts that are `drawn`, bool `[V]`.
    """
    with _extra():
        from matplotlib.lines import Line2D
    parts, inch = _parts_of(layout), 1 / figure.get_figwidth()
    seen = {part for part, here in zip(parts, drawn) if here}
    for side in ("right", "left"):
        if not any(part.startswith(side) for part in parts):
            continue
        figure.text(x, y, side, color=_INK, ha="right", va="center", weight="bold")
        x -= (0.34 if side == "right" else 0.27) * inch  # the word's width
        for part in (f"{side} leg", f"{side} hand", f"{side} arm"):
            if part in seen:
                x -= 0.1 * inch
                figure.add_artist(
                    Line2D(
                        [x],
                        [y],
                        marker="s",
                        markersize=5,
                        markeredgewidth=0,
                        color=_PART_COLOURS[part],
                    )
                )
        x -= 0.16 * inch


@_style()
def skeletons(
    path: str | os.PathLike,
    layout: Layout,
    keypoints: Sequence[np.ndarray],
    score: Sequence[np.ndarray] | None = None,
    titles: Sequence[str] | None = None,
    frames_per_clip: int = 6,
    first_frames: Sequence[int] | None = None,
    y_points: str | None = None,
) -> pathlib.Path:
    """A contact sheet: one row a clip, with frames spread evenly from its first to its last.

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
    down = _points_down(layout, y_points)
    first_frames = [0] * len(keypoints) if first_frames is None else first_frames
    titles = [""] * len(keypoints) if titles is None else titles
    score = [None] * len(keypoints) if score is None else score
    if not len(keypoints) or not len(keypoints) == len(score) == len(titles) == len(first_frames):
        raise InputError(
            f"{path}: {len(keypoints)} clips, {len(score)} scores, {len(titles)} titles and "
            f"{len(first_frames)} first "
            "frames to draw, expected as many of each and at least one"
        )
    if frames_per_clip < 1:
        raise InputError(f"{path}: {frames_per_clip} frames of a clip to draw, expected at least 1")
    rows, drawn = [], np.zeros(len(layout), bool)
    for i, (clip, clip_score, title, first) in enumerate(
        zip(keypoints, score, titles, first_frames)
    ):
        places, seen = _seen(layout, clip, clip_score, f"clip {i}")
        frames = np.unique(np.linspace(0, len(places) - 1, frames_per_clip).round().astype(int))
        centres, extent = _windows(places[frames], seen[frames])
        tall = float(np.clip(extent[1] / extent[0], 0.6, 1.9))
        drawn |= seen[frames].any(0)
        rows.append((title, int(first), frames, places, seen, centres, extent, tall))
    margin, gap, head, foot = 0.2, 0.08, 0.3, 0.26  # inches, as all below
    panel = min(1.8, 10.5 / frames_per_clip)
    width = max(2 * margin + frames_per_clip * (panel + gap) - gap, 3.0)
    height = sum(head + panel * row[-1] + foot for row in rows)
    figure = _new_figure(width, height)
    top = height
    for title, first, frames, places, seen, centres, extent, tall in rows:
        title = textwrap.shorten(title, int(width * 11), placeholder="…")
        figure.text(
            margin / width, (top - head * 0.6) / height, title, size=9, weight="bold", va="center"
        )
        low = top - head - panel * tall
        for column, frame in enumerate(frames):
            left = margin + column * (panel + gap)
            axes = figure.add_axes(
                (left / width, low / height, panel / width, panel * tall / height)
            )
            _aim(axes, down, centres[column], extent, tall)
            _Skeleton(axes, layout, panel / 1.8).show(places[frame], seen[frame])
            caption = f"{first + frame}" if column else f"frame {first + frame}"
            figure.text(
                (left + panel / 2) / width,
                (low - 0.09) / height,
                caption,
                color=_QUIET,
                size=7,
                ha="center",
                va="center",
            )
        top = low - foot
    _side_key(figure, layout, drawn, 1 - margin / width, 1 - head * 0.6 / height)
    return _save(figure, path)


@_style()
def reconstruction_gif(
    path: str | os.PathLike,
    layout: Layout,
    original: np.ndarray,
    regenerated: np.ndarray,
    score: np.ndarray | None = None,
    fps: float = 25.0,
    title: str = "",
    frame_numbers: Sequence[int] | None = None,
    y_points: str | None = None,
) -> pathlib.Path:
    """An animation: a model's input beside what it re-generated, at one scale.

    The window fits the input; a re-generated joint that leaves it is cut off. Joints with score 0
    are not drawn on the input's side. On the other side a joint is drawn throughout if the input
    shows it at all: filling such gaps is what the model is for, but it knows nothing of a joint
    that never comes.

    Args:
        path: the .gif file to write.
        layout: the layout of the joints.
        original, regenerated: `[T, V, C]` each, pixels, metres or model units.
        score: `[T, V]` of the original; None draws every joint.
        fps: frames a second to play. A GIF shows at most 50, so of faster ones only every second
            or third frame is kept, and its clock counts hundredths of a second, to which the
            speed is rounded.
        title: a line above.
        frame_numbers: the number that each frame has in its recording, `[T]`; None counts from 0.
        y_points: as in `skeletons`.
    """
    with _extra():
        from PIL import Image
    down = _points_down(layout, y_points)
    path = writable(path)
    if path.suffix.lower() != ".gif":
        raise InputError(f"{path}: an animation is written as a .gif file")
    if not fps > 0:
        raise InputError(f"{path}: fps is {fps}, expected more than 0")
    places, seen = _seen(layout, original, score, "the original")
    other, finite = _seen(layout, regenerated, None, "the re-generated clip")
    if len(places) != len(other):
        raise InputError(
            f"{path}: the original has {len(places)} frames and the re-generated clip {len(other)}"
        )
    numbers = range(len(places)) if frame_numbers is None else frame_numbers
    if len(numbers) != len(places):
        raise InputError(f"{path}: {len(numbers)} frame numbers for {len(places)} frames")
    centre, extent = _box(places[seen])
    tall = float(np.clip(extent[1] / extent[0], 0.7, 1.5))
    panel, head, foot = 2.6, 0.62, 0.3
    width, height = 2 * panel + 0.3, head + panel * tall + foot
    figure = _new_figure(width, height)
    figure.set_dpi(120)
    figure.text(
        0.1 / width,
        1 - 0.18 / height,
        textwrap.shorten(title, 60, placeholder="…"),
        size=9,
        weight="bold",
        va="center",
    )
    sides = []
    for i, name in enumerate(("input", "re-generated")):
        left = 0.1 + i * (panel + 0.1)
        axes = figure.add_axes((left / width, foot / height, panel / width, panel * tall / height))
        _aim(axes, down, centre, extent * 1.1, tall)
        figure.text(
            (left + panel / 2) / width,
            1 - 0.45 / height,
            name,
            color=_QUIET,
            ha="center",
            va="center",
        )
        sides.append(_Skeleton(axes, layout, 1.25))
    clock = figure.text(0.5, foot / 2 / height, "", color=_QUIET, size=7, ha="center", va="center")
    _side_key(figure, layout, seen.any(0), 1 - 0.1 / width, foot / 2 / height)

    def draw(frame):
        sides[0].show(places[frame], seen[frame])
        sides[1].show(other[frame], finite[frame] & seen.any(0))
        clock.set_text(f"frame {numbers[frame]}")
        figure.canvas.draw()
        return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())

    step = math.ceil(fps / 50)
    frames = range(0, len(places), step)
    # one for all, or colours flicker
    palette = _palette(draw(max(frames, key=lambda frame: seen[frame].sum())))
    images = (draw(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    with whole(path) as partial:
        next(images).save(
            partial,
            format="GIF",
            save_all=True,
            append_images=images,
            loop=0,
            duration=max(20, round(100 * step / fps) * 10),
        )
    return path


def _palette(image):
    """The image in 96 colours; those close to white become white, or the background would take
    one of them.
    """
    image = image.quantize(96)
    colours = np.array(image.getpalette()).reshape(-1, 3)
    colours[colours.min(1) >= 244] = 255
    image.putpalette(colours.ravel().tolist())
    return image


# Data, training and evaluation


@_style()
def clip_lengths(
    path: str | os.PathLike, lengths: np.ndarray, unit: str = "frames", title: str = ""
) -> pathlib.Path:
    """A histogram of clip lengths `[N]` in a unit ("frames", "seconds") with their median;
    logarithmic when wide.
    """
    lengths = np.asarray(lengths, np.float64)
    if not lengths.size or not (lengths > 0).all():
        raise InputError(f"{path}: clip lengths to draw must be given and be above 0")
    low, high = lengths.min(), lengths.max()
    wide = high > 20 * low
    bins = min(40, max(5, round(2 * lengths.size ** (1 / 3))))
    # whole frames a bar, or some bars would hold one more length than others
    if unit == "frames" and not wide:
        bars = (
            np.arange(low, high + 1 + (each := max(1, math.ceil((high - low + 1) / bins))), each)
            - 0.5
        )
    else:
        bars = (
            np.geomspace(low, high, bins + 1)
            if wide
            else np.linspace(low, max(high, low * 1.01), bins + 1)
        )
    figure = _new_figure(5.2, 2.8)
    axes = figure.add_axes((0.11, 0.17, 0.86, 0.7))
    axes.hist(lengths, bars, color="#6aa6dc", edgecolor="white", linewidth=0.5)
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    median = float(np.median(lengths))
    axes.axvline(median, color=_INK, linewidth=1)
    axes.annotate(
        f"median {median:.3g}",
        (median, 1),
        (4, 0),
        xycoords=("data", "axes fraction"),
        va="top",
        textcoords="offset points",
    )
    axes.set_xlabel(f"clip length ({unit})")
    axes.set_ylabel("clips")
    axes.set_title(title)
    return _save(figure, path)


def _curves(path, records, names) -> tuple[str, np.ndarray, dict[str, np.ndarray]]:
    """The clock's name, its values `[n]`, and every quantity to draw `[n]`, NaN where a record
    lacks it.

    Records count epochs from 0; a picture counts them from 1, as everybody does.
    """
    records = list(records)
    if not records:
        raise InputError(f"{path}: no records to draw")
    for clock in ("step", "epoch"):
        if all(clock in record for record in records):
            # A run that was killed and resumed repeats itself; what was written last counts.
            records = list({record[clock]: record for record in records}.values())
            records.sort(key=lambda record: record[clock])
            break
    else:
        raise InputError(f"{path}: records to draw must all have a step or all have an epoch")
    if len({record.get("epoch") for record in records} - {None}) == len(records):
        clock = "epoch"

    def number(value):
        return (
            float(value)
            if isinstance(value, (int, float)) and not isinstance(value, bool)
            else math.nan
        )

    found = dict.fromkeys(
        key for record in records for key in record if key not in ("epoch", "step")
    )
    wanted = sorted(found, key=lambda name: name != "loss") if names is None else list(names)
    curves = {name: np.array([number(record.get(name)) for record in records]) for name in wanted}
    if names is None:
        curves = {name: values for name, values in curves.items() if np.isfinite(values).any()}
    empty = [name for name, values in curves.items() if not np.isfinite(values).any()]
    if empty or not curves:
        raise InputError(
            f"{path}: no record has a number called {empty[0] if empty else 'loss'!r} to draw"
        )
    return clock, np.array([record[clock] + (clock == "epoch") for record in records]), curves


@_style()
def loss_curves(
    path: str | os.PathLike, records: Sequence[Mapping], names: Sequence[str] | None = None
) -> pathlib.Path:
    """Losses over training, one panel each; logarithmic where a positive loss falls and spans a
    factor of ten.

    Args:
        path: the file to write.
        records: the lines of a metrics.jsonl: "epoch" or "step" or both, and numbers by name
            ("loss", "reconstruction", ...). Where a step comes twice the last one counts.
        names: the numbers to draw; None draws all of them, "loss" first.
    """
    clock, times, curves = _curves(path, records, names)
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = _new_figure(3.4 * columns, 2.3 * rows)
    for place, (name, values) in enumerate(curves.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        there = np.isfinite(values)
        axes.plot(
            times[there],
            values[there],
            color=_INK if place == 1 else _CLASS_COLOURS[0],
            linewidth=1.1,
            marker="o" if there.sum() < 12 else None,
            markersize=3,
        )
        low, high = values[there].min(), values[there].max()
        if 0 < low < high / 10 and values[there][-1] < values[there][0]:
            axes.set_yscale("log")
        axes.set_title(name)
        axes.set_title(
            f"last {values[there][-1]:.4g}", loc="right", color=_QUIET, size=8, weight="normal"
        )
        axes.set_xlabel(clock)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
    figure.tight_layout()
    return _save(figure, path)


@_style()
def confusion_matrix(
    path: str | os.PathLike, matrix: np.ndarray, labels: Sequence[str], title: str = ""
) -> pathlib.Path:
    """A confusion matrix: rows are true classes, columns predicted ones.

    The colour is the share of the row, the figure in a cell its count; a 0 is left blank. The
    number of samples of each true class stands at the right. Long class names stand at the rows
    only, with the class numbers that the columns then carry.

    Args:
        path: the file to write.
        matrix: counts, int `[K, K]`.
        labels: K class names.
        title: a line above.
    """
    matrix = np.asarray(matrix)
    count = len(labels)
    if (
        not count
        or matrix.shape != (count, count)
        or not np.issubdtype(matrix.dtype, np.integer)
        or matrix.min() < 0
    ):
        raise InputError(
            f"{path}: a confusion matrix of {count} classes is [{count}, {count}] counts, got "
            f"{matrix.dtype} "
            f"{list(matrix.shape)}"
        )
    totals = matrix.sum(1)
    share = matrix / np.maximum(totals, 1)[:, None]
    labels = [textwrap.shorten(name, 60, placeholder="…") for name in labels]
    short = max(map(len, labels)) <= 14
    rows = labels if short else [f"{name}  {i}" for i, name in enumerate(labels)]
    cell = float(np.interp(count, [4, 12, 32], [0.55, 0.42, 0.31]))
    side = cell * count
    # what stands around the matrix widens the picture when it is saved
    figure = _new_figure(side + 1, side)
    axes = figure.add_axes((0, 0, side / (side + 1), 1))
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = float(np.interp(count, [12, 32], [7.5, 6]))
    for i, j in zip(*np.nonzero(matrix)):
        axes.text(
            j,
            i,
            str(matrix[i, j]),
            size=size * (0.8 if matrix[i, j] > 999 else 1),
            ha="center",
            va="center",
            color="white" if share[i, j] > 0.55 else _INK,
        )
    axes.set_yticks(range(count), rows)
    axes.set_xticks(
        range(count),
        labels if short else range(count),
        rotation=45 if short else 0,
        ha="right" if short else "center",
        rotation_mode="anchor" if short else "default",
    )
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(1, count) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, count) - 0.5, minor=True)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted class" if short else "predicted class, by its number")
    axes.set_ylabel("true class")
    axes.set_title(title, pad=8)
    for i, total in enumerate(totals):
        axes.text(
            count - 0.35,
            i,
            f"n = {total}" if i == 0 else str(total),
            color=_QUIET,
            size=size,
            va="center",
        )
    tall = min(1.6, side)
    beside = figure.add_axes(
        ((side + 0.75) / (side + 1), 1 - tall / side, 0.09 / (side + 1), tall / side)
    )
    bar = figure.colorbar(image, cax=beside, ticks=(0, 0.5, 1), label="share of the true class")
    bar.outline.set_visible(False)
    return _save(figure, path, bbox_inches="tight", pad_inches=0.15)


@_style()
def embedding_map(
    path: str | os.PathLike,
    embeddings: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    title: str = "",
) -> pathlib.Path:
    """A map of embeddings by t-SNE, one colour and marker a class. The same input gives the same
    map.

    Of more than `MOST_MAPPED` embeddings, that many are drawn, picked at random with a fixed
    seed. The axes of t-SNE mean nothing and have no scale.

    Args:
        path: the file to write.
        embeddings: float32 `[N, D]`, N at least 5.
        labels: class numbers, int `[N]`; -1 is no class.
        names: class names, in class order.
        title: a line above.
    """
    embeddings, labels = np.asarray(embeddings, np.float32), np.asarray(labels)
    count = len(embeddings)
    if embeddings.ndim != 2 or labels.shape != (count,) or count < 5:
        raise InputError(
            f"{path}: embeddings {list(embeddings.shape)} and labels {list(labels.shape)}, "
            "expected [N, D] and [N] "
            "with N at least 5"
        )
    if not np.isfinite(embeddings).all():
        raise InputError(f"{path}: embeddings to map are not finite")
    # t-SNE looks at ratios of distances alone; where float32 has none, it would crash, not raise.
    centred = embeddings - embeddings.mean(0, dtype=np.float64)
    largest = np.abs(centred).max(initial=0)
    if largest <= 1e-6 * np.abs(embeddings).max(initial=0):
        raise InputError(f"{path}: all {count} embeddings are the same, which no map can show")
    embeddings = (centred / largest).astype(np.float32)
    if labels.min() < -1 or labels.max() >= len(names):
        raise InputError(f"{path}: a label lies outside the {len(names)} class names")
    with _extra():
        from sklearn.manifold import TSNE
    if count > MOST_MAPPED:
        picked = np.random.default_rng(0).choice(count, MOST_MAPPED, replace=False)
        embeddings, labels = embeddings[picked], labels[picked]
    spread = TSNE(
        perplexity=min(30.0, (len(labels) - 1) / 3),
        random_state=0,
        init="pca" if embeddings.shape[1] > 1 else "random",
    )
    points = spread.fit_transform(embeddings)
    figure = _new_figure(5.6, 5.6)
    axes = figure.add_axes((0.03, 0.05, 0.94, 0.89))
    for label in np.unique(labels):  # the unlabelled first, beneath the rest
        here = points[labels == label]
        turn, colour = divmod(int(label), len(_CLASS_COLOURS))
        known = label >= 0
        axes.scatter(
            *here.T,
            s=15,
            alpha=0.8,
            linewidths=0.3,
            edgecolors="white",
            color=_CLASS_COLOURS[colour] if known else _RULE,
            marker=_CLASS_MARKERS[(colour + turn) % len(_CLASS_MARKERS)] if known else "o",
            label=f"{names[label] if known else 'no class'} ({len(here)})",
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", "datalim")
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(_RULE)
    axes.set_title(title)
    drawn = f"{len(labels)} of {count} clips" if count > len(labels) else f"{count} clips"
    axes.set_xlabel(f"t-SNE of {drawn}", color=_QUIET, loc="right")
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        markerscale=1.5,
        borderaxespad=0,
        handletextpad=0.3,
        labelspacing=0.35,
    )
    return _save(figure, path, bbox_inches="tight", pad_inches=0.1)
