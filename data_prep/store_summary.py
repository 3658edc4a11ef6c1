"""Print what a store holds, and draw samples of it.

    python data_prep/inspect_store.py --store nucla.h5
    python data_prep/inspect_store.py --store nucla.h5 --pictures pictures --clips 12

The table fits 100 columns. The frames are read in blocks, so a store of any size can be looked
into. With --pictures, sheets of sample clips (skeletons-1.png, ...) and a histogram of clip
lengths (clip_lengths.png) are written into that folder.
"""

import dataclasses
import pathlib
import textwrap

import numpy as np

from mgjax import errors
from mgjax.report import figures, skeletons
from mgjax.store import FramesDigest, Split, Store

WIDTH = 100
BLOCK = 8192  # frames read at a time: 13 MB of the largest layout
CLIPS_ON_A_SHEET = 6
DRAWN_FRAMES = 250  # of a video, where a store has no clips


@dataclasses.dataclass
class FrameCounts:
    """What one pass over all frames of a store finds.

    Attributes:
        missing: frames with score 0, by joint, int64 `[V]`.
        nobody: frames in which no joint is seen.
        low, high: the smallest and largest coordinate of seen joints, `[C]`; NaN where none is
            seen.
        scores: the smallest and largest score of seen joints.
        outside: seen joints outside their video's picture, of the `placed` ones whose picture's
            size is known.
        not_zero: joints with score 0 whose keypoint is not at the origin.
        digest: of all frames as they are now, to be compared with `Store.frames_digest`.
        size: mean distance of the layout's two `scale` joints over the frames that show both; NaN
            if none does.
    """

    missing: np.ndarray
    nobody: int
    low: np.ndarray
    high: np.ndarray
    scores: tuple[float, float]
    outside: int
    placed: int
    not_zero: int
    digest: str
    size: float


def look_at_frames(store: Store, block: int = BLOCK) -> FrameCounts:
    """Read all frames of a store once, `block` frames at a time."""
    layout = store.layout
    found = FrameCounts(
        np.zeros(len(layout), np.int64),
        0,
        np.full(layout.dimensions, np.inf),
        np.full(layout.dimensions, -np.inf),
        (np.inf, -np.inf),
        0,
        0,
        0,
        "",
        np.nan,
    )
    first, second = layout.index(*layout.scale)
    distance, pairs, digest = 0.0, 0, FramesDigest()
    for start in range(0, store.frame_count, block):
        keypoints, score = store.frames(start, min(start + block, store.frame_count))
        digest.update(keypoints, score)
        seen = score > 0
        found.missing += (~seen).sum(0)
        found.nobody += int((~seen.any(1)).sum())
        found.not_zero += int((keypoints[~seen] != 0).any(-1).sum())
        if seen.any():
            found.low = np.minimum(found.low, keypoints[seen].min(0))
            found.high = np.maximum(found.high, keypoints[seen].max(0))
            low, high = float(score[seen].min()), float(score[seen].max())
            found.scores = (min(found.scores[0], low), max(found.scores[1], high))
        # Rows of empty videos share their start with the next one, which is the one that the
        # frame is of.
        video = (
            np.searchsorted(store.videos.start, np.arange(start, start + len(score)), side="right")
            - 1
        )
        picture = np.stack([store.videos.width[video], store.videos.height[video]], -1)
        known = seen & (picture > 0).all(-1)[:, None]
        found.placed += int(known.sum())
        beyond = (keypoints[..., :2] < 0) | (keypoints[..., :2] > picture[:, None])
        found.outside += int((known & beyond.any(-1)).sum())
        both = seen[:, first] & seen[:, second]
        apart = np.linalg.norm(keypoints[both, first] - keypoints[both, second], axis=-1)
        distance += float(apart.sum(dtype=np.float64))
        pairs += int(both.sum())
    if not np.isfinite(found.scores).all():
        found.low[:] = found.high[:] = np.nan
        found.scores = (np.nan, np.nan)
    found.digest = digest.hexdigest()
    found.size = distance / pairs if pairs else np.nan
    return found


def _share(part, whole) -> str:
    """A share in per cent; few are told from none."""
    if not whole:
        return "-"
    return "< 0.1 %" if 0 < part < 0.0005 * whole else f"{100 * part / whole:.1f} %"


def _figure(value, unit="") -> str:
    return f"{value:.5g} {unit}".strip() if np.isfinite(value) else "-"


def _rows(*pairs) -> list[str]:
    """Lines of name and value, values below each other, long ones wrapped."""
    lines = []
    for name, value in pairs:
        lines += textwrap.wrap(
            str(value) or "-", WIDTH, initial_indent=f"  {name:<18}", subsequent_indent=" " * 20
        )
    return lines


def _table(header, rows) -> list[str]:
    """Columns as wide as they need; the first is flush left, the others right. The first is cut
    to fit the width.
    """
    rows = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*rows)]
    widths[0] = min(widths[0], WIDTH - 2 - sum(width + 2 for width in widths[1:]))
    lines = []
    for first, *rest in rows:
        first = first if len(first) <= widths[0] else first[: widths[0] - 1] + "…"
        cells = [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:])]
        lines.append("  " + "  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return lines


def _about_file(store: Store) -> list[str]:
    layout = store.layout
    return _rows(
        (
            "layout",
            f"{layout.name}: {len(layout)} joints, {len(layout.bones)} bones, {layout.dimensions}D",
        ),
        ("unit", store.unit),
        ("y points", store.y),
        ("source", store.attributes["source"]),
        ("fingerprint", store.fingerprint),
        ("size", f"{store.path.stat().st_size / 1e6:,.1f} MB"),
    )


def _named(column) -> str:
    """How many different names a column of videos has, and how often each where they are few; ""
    is unknown.
    """
    names, counts = np.unique(column[column != ""].astype(str), return_counts=True)
    text = f"{len(names):,}"
    if 0 < len(names) <= 6:
        text += " (" + ", ".join(f"{name} {count:,}" for name, count in zip(names, counts)) + ")"
    unknown = len(column) - int(counts.sum())
    return text + (f"; unknown for {unknown:,} of {len(column):,} videos" if unknown else "")


def _about_videos(store: Store) -> list[str]:
    videos = store.videos
    timed = videos.fps > 0
    time = "unknown, no video has its fps"
    if timed.any():
        hours = float((videos.length[timed] / videos.fps[timed]).sum() / 3600)
        time = f"{hours:,.2f} hours at {', '.join(f'{rate:g}' for rate in np.unique(videos.fps[timed]))} fps"
        if not timed.all():
            time += f"; fps unknown for {int((~timed).sum()):,} of {len(videos):,} videos"
    sizes = sorted(
        {(int(width), int(height)) for width, height in zip(videos.width, videos.height)}
    )
    sizes = [f"{width} x {height}" if width and height else "unknown" for width, height in sizes]
    return _rows(
        ("videos", f"{len(videos):,}"),
        ("frames", f"{store.frame_count:,}"),
        ("time", time),
        (
            "picture",
            ", ".join(sizes[:6]) + (f" and {len(sizes) - 6} more sizes" if len(sizes) > 6 else ""),
        ),
        ("subjects", _named(videos.subject)),
        ("emotions", _named(videos.emotion)),
    )


def _about_clips(store: Store) -> list[str]:
    clips = store.clips
    if not len(clips):
        return _rows(("clips", "none"))
    fps = store.videos.fps[clips.video]
    lengths = [("frames", clips.length)]
    if (fps > 0).any():
        lengths.append(("seconds", (clips.length / np.where(fps > 0, fps, 1))[fps > 0]))
    covered = np.concatenate([store.clip_starts, store.clip_starts + clips.length])
    steps = np.repeat([1, -1], len(clips))
    order = np.argsort(covered, kind="stable")
    places, open_clips = covered[order], np.cumsum(steps[order])
    spans = np.diff(places, append=places[-1])
    lines = _rows(
        ("clips", f"{len(clips):,}"),
        (
            "frames in clips",
            f"{_share(spans[open_clips > 0].sum(), store.frame_count)} of all "
            "frames, "
            f"{_share(spans[open_clips > 1].sum(), store.frame_count)} in more "
            "than one clip",
        ),
        ("videos without", f"{len(store.videos) - len(np.unique(clips.video)):,}"),
        ("clips of 1 frame", f"{int((clips.length == 1).sum()):,}"),
    )
    rows = []
    for unit, values in lengths:
        figures = values.min(), np.median(values), values.mean(), values.max()
        rows.append([f"in {unit}", *map(_figure, figures)])
    return lines + _table(["length", "min", "median", "mean", "max"], rows)


def _about_labels(store: Store) -> list[str]:
    counts = np.bincount(store.clips.label + 1, minlength=len(store.labels) + 1)
    rows = [
        [f"{i:>3} {name}", f"{n:,}", _share(n, len(store.clips))]
        for i, (name, n) in enumerate(zip(store.labels, counts[1:]))
    ]
    if counts[0]:
        rows.append(["    no label", f"{counts[0]:,}", _share(counts[0], len(store.clips))])
    return _table(["label", "clips", "share"], rows) if rows else ["  none"]


def _in_both(store: Store, split: Split) -> tuple[str, str]:
    """How many videos, and how many subjects, are in both halves of a split."""
    halves = [
        store.clips.video[rows] if split.of == "clips" else rows
        for rows in (split.train, split.test)
    ]
    videos = len(np.intersect1d(*halves))
    train, test = (set(store.videos.subject[rows]) - {""} for rows in halves)
    named = (store.videos.subject[np.concatenate(halves)] != "").all()
    return f"{videos:,}", f"{len(train & test):,}" if named else f"{len(train & test):,} known"


def _about_splits(store: Store) -> list[str]:
    rows = []
    for name, split in store.splits.items():
        rest = (
            len(store.clips if split.of == "clips" else store.videos)
            - len(split.train)
            - len(split.test)
        )
        counts = (f"{count:,}" for count in (len(split.train), len(split.test), rest))
        rows.append([name, split.of, *counts, *_in_both(store, split)])
    header = ["split", "of", "train", "test", "in neither", "videos in both", "subjects in both"]
    return _table(header, rows) if rows else ["  none"]


def _about_joints(store: Store, found: FrameCounts) -> list[str]:
    """Joints in columns, from the one most often missing to the one most often seen."""
    order = np.argsort(-found.missing, kind="stable")
    cells = [
        f"{store.layout.joints[j]:<15} {_share(found.missing[j], store.frame_count):>8}"
        for j in order
    ]
    columns = 3
    height = -(-len(cells) // columns)
    return ["  " + "      ".join(cells[i::height]).rstrip() for i in range(height)]


def _since_written(store: Store, found: FrameCounts) -> str:
    """Whether the frames are those that were written."""
    if store.frames_digest is None:
        return "unknown, version 1 of the format does not say it"
    if found.digest == store.frames_digest:
        return "unchanged"
    return "CHANGED: other frames than were written, and the fingerprint is not theirs"


def _about_sanity(store: Store, found: FrameCounts) -> list[str]:
    unit = store.unit
    ranges = [
        (axis, f"{_figure(low)} to {_figure(high, unit)}")
        for axis, low, high in zip("xyz", found.low, found.high)
    ]
    first, second = store.layout.scale
    return _rows(
        ("nobody is seen", f"{found.nobody:,} frames ({_share(found.nobody, store.frame_count)})"),
        *ranges,
        (
            "outside picture",
            f"{_share(found.outside, found.placed)} of seen joints"
            if found.placed
            else "unknown, no video has its width and height",
        ),
        ("score if seen", " to ".join(map(_figure, found.scores))),
        ("body size", f"{_figure(found.size, unit)} on average, {first} to {second}"),
        ("since written", _since_written(store, found)),
        ("unseen, not at 0", f"{found.not_zero:,} joints (expected 0)"),
    )


def report(store: Store, block: int = BLOCK) -> str:
    """All there is to say about a store, as lines of at most 100 characters."""
    found = look_at_frames(store, block)
    sections = [
        (str(store.path), _about_file(store)),
        ("Videos", _about_videos(store)),
        ("Clips", _about_clips(store)),
        ("Labels", _about_labels(store)),
        (
            "Splits (an entry above 0 in the last two columns is seen in training and in testing)",
            _about_splits(store),
        ),
        ("Missing joints (share of frames with score 0)", _about_joints(store, found)),
        ("Frames", _about_sanity(store, found)),
    ]
    return "\n\n".join("\n".join([title, *lines]) for title, lines in sections)


def _samples(store: Store, count: int) -> list[tuple[str, int, int, int]]:
    """Title, first frame in its video, first frame in the store, and length of clips, or of
    videos where there are no clips.

    Classes from all over the label table have as many clips each as can be, of middling length.
    """
    videos, clips = store.videos, store.clips
    if len(clips):
        classes = np.unique(clips.label)
        chosen, often = np.unique(
            np.linspace(0, len(classes) - 1, count).round().astype(int), return_counts=True
        )
        rows = []
        for label, number in zip(classes[chosen], often):
            own = np.flatnonzero(clips.label == label)
            own = own[np.argsort(clips.length[own], kind="stable")]
            rows.append(own[np.unique(((np.arange(number) + 0.5) / number * len(own)).astype(int))])
        rows = np.concatenate(rows)
        labels = [store.labels[label] if label >= 0 else "no label" for label in clips.label[rows]]
        titles = (
            f"clip {row} · {label} · video {videos.id[clips.video[row]]}"
            for row, label in zip(rows, labels)
        )
        columns = (
            column[rows].tolist() for column in (clips.start, store.clip_starts, clips.length)
        )
        return list(zip(titles, *columns))
    order = np.flatnonzero(videos.length > 0)
    if not len(order):
        raise errors.InputError(f"{store.path}: has no frames to draw")
    rows = order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]
    lengths = np.minimum(videos.length, DRAWN_FRAMES)
    return [
        (f"video {videos.id[row]}", 0, int(videos.start[row]), int(lengths[row])) for row in rows
    ]


def draw(store: Store, folder, count: int) -> list[pathlib.Path]:
    """Write sheets of `count` sample clips, and the histogram of clip lengths, into a folder;
    returns their paths.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.InputError(
            f"{folder}: cannot be made a folder for pictures ({error.strerror})"
        ) from None
    samples, paths = _samples(store, count), []
    for sheet, first in enumerate(range(0, len(samples), CLIPS_ON_A_SHEET), 1):
        titles, numbers, starts, lengths = zip(*samples[first : first + CLIPS_ON_A_SHEET])
        keypoints, score = zip(
            *(store.frames(start, start + length) for start, length in zip(starts, lengths))
        )
        paths.append(
            skeletons.contact_sheet(
                folder / f"skeletons-{sheet}.png",
                store.layout,
                keypoints,
                score,
                titles,
                first_frames=numbers,
                y_points=store.y,
            )
        )
    if len(store.clips):
        lengths = store.clips.length
        paths.append(
            figures.clip_lengths(
                folder / "clip_lengths.png", lengths, "frames", f"{len(lengths):,} clips"
            )
        )
    return paths
