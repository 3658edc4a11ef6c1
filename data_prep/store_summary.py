"""What a store holds, as text that fits 100 columns.

The frames are read in blocks, so a store of any size can be looked into. This module
needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np

from data_prep.frame_counts import BLOCK, FrameCounts, look_at_frames
from mgjax.report.tables import Table
from mgjax.store import Split, Store

WIDTH = 100
FEW = 6  # so many names or sizes are listed, more are counted


def report(store: Store, block: int = BLOCK) -> str:
    """All there is to say about a store, as lines of at most 100 characters.

    Args:
        store: what to describe.
        block: frames that are read at a time.

    Raises:
        InputError: frames cannot be read, or hold what no store may.
    """
    found = look_at_frames(store, block)
    both = "an entry above 0 in the last two columns is seen in training and in testing"
    sections = [
        (str(store.path), _about_file(store)),
        ("Videos", _about_videos(store)),
        ("Clips", _about_clips(store)),
        ("Labels", _about_labels(store)),
        (f"Splits ({both})", _about_splits(store)),
        ("Missing joints (share of frames with score 0)", _about_joints(store, found)),
        ("Frames", _about_frames(store, found)),
    ]
    return "\n\n".join("\n".join([title, *lines]) for title, lines in sections)


def _count(number: int) -> str:
    return f"{number:,}"


def _share(part: float, whole: float) -> str:
    """A share in per cent; few are told from none."""
    if not whole:
        return "-"
    # What would be printed as 0.0 %, and is not none.
    return "< 0.1 %" if 0 < part < 0.0005 * whole else f"{100 * part / whole:.1f} %"


def _figure(value: float, unit: str = "") -> str:
    return f"{value:.5g} {unit}".strip() if np.isfinite(value) else "-"


def _facts(facts: Mapping[str, object]) -> list[str]:
    """Lines of name and value, values below each other, long ones wrapped."""
    lines = []
    for name, value in facts.items():
        # Of an empty text nothing at all would be left.
        lines += textwrap.wrap(
            str(value) or "-", WIDTH, initial_indent=f"  {name:<18}", subsequent_indent=" " * 20
        )
    return lines


def _table(headings: list[str], rows: list[list]) -> list[str]:
    return Table(headings, rows).text(WIDTH, indent=2).splitlines()


def _about_file(store: Store) -> list[str]:
    layout = store.layout
    size = f"{len(layout)} joints, {len(layout.bones)} bones, {layout.dimensions}D"
    facts = {"layout": f"{layout.name}: {size}", "unit": store.unit, "y points": store.y}
    facts["source"] = store.attributes["source"]
    facts["fingerprint"] = store.fingerprint
    facts["size"] = f"{store.path.stat().st_size / 1e6:,.1f} MB"
    return _facts(facts)


def _about_videos(store: Store) -> list[str]:
    facts = {"videos": _count(len(store.videos)), "frames": _count(store.frame_count)}
    facts["time"] = _time(store)
    facts["picture"] = _picture_sizes(store)
    facts["subjects"] = _named(store.videos.subject)
    facts["emotions"] = _named(store.videos.emotion)
    return _facts(facts)


def _time(store: Store) -> str:
    """How long the videos last together, as far as it is known."""
    videos = store.videos
    timed = videos.fps > 0  # 0 is for unknown
    if not timed.any():
        return "unknown, no video has its fps"
    hours = float((videos.length[timed] / videos.fps[timed]).sum() / 3600)
    rates = ", ".join(f"{rate:g}" for rate in np.unique(videos.fps[timed]))
    time = f"{hours:,.2f} hours at {rates} fps"
    if timed.all():
        return time
    unknown = _count((~timed).sum())
    return f"{time}; fps unknown for {unknown} of {_count(len(videos))} videos"


def _picture_sizes(store: Store) -> str:
    widths, heights = store.videos.width.tolist(), store.videos.height.tolist()
    sizes = []
    for width, height in sorted(set(zip(widths, heights))):
        sizes.append(f"{width} x {height}" if width and height else "unknown")
    further = f" and {len(sizes) - FEW} more sizes" if len(sizes) > FEW else ""
    return ", ".join(sizes[:FEW]) + further


def _named(column: np.ndarray) -> str:
    """How many names a column of videos has, and how often each where they are few.

    "" is unknown.
    """
    names, counts = np.unique(column[column != ""].astype(str), return_counts=True)
    text = _count(len(names))
    if 0 < len(names) <= FEW:
        each = [f"{name} {_count(count)}" for name, count in zip(names, counts)]
        text += f" ({', '.join(each)})"
    unknown = len(column) - int(counts.sum())
    if not unknown:
        return text
    return f"{text}; unknown for {_count(unknown)} of {_count(len(column))} videos"


def _about_clips(store: Store) -> list[str]:
    clips = store.clips
    # An untrimmed video may have none, and of nothing there is no median.
    if not len(clips):
        return _facts({"clips": "none"})
    once, twice = (_share(frames, store.frame_count) for frames in _covered(store))
    clipless = len(store.videos) - len(np.unique(clips.video))
    facts = {"clips": _count(len(clips))}
    facts["frames in clips"] = f"{once} of all frames, {twice} in more than one clip"
    facts["videos without"] = _count(clipless)
    # A clip of one frame has no movement in it, and is often a mistake of counting.
    facts["clips of 1 frame"] = _count((clips.length == 1).sum())
    return _facts(facts) + _lengths(store)


def _lengths(store: Store) -> list[str]:
    """A table of clip lengths, in seconds too as far as the fps are known."""
    length = store.clips.length
    lengths = {"in frames": length}
    fps = store.videos.fps[store.clips.video]
    known = fps > 0
    if known.any():
        lengths["in seconds"] = length[known] / fps[known]
    rows = []
    for unit, values in lengths.items():
        figures = values.min(), np.median(values), values.mean(), values.max()
        rows.append([unit, *map(_figure, figures)])
    return _table(["length", "min", "median", "mean", "max"], rows)


def _covered(store: Store) -> tuple[int, int]:
    """How many frames are in a clip, and in more than one."""
    starts = store.clip_starts
    # Where clips begin (+1) and end (-1), in order: the running sum says how many are
    # open.
    places = np.concatenate([starts, starts + store.clips.length])
    steps = np.repeat([1, -1], len(starts))
    order = np.argsort(places, kind="stable")
    places, open_clips = places[order], np.cumsum(steps[order])
    spans = np.diff(places, append=places[-1])
    return int(spans[open_clips > 0].sum()), int(spans[open_clips > 1].sum())


def _about_labels(store: Store) -> list[str]:
    # Label -1, of a clip without one, comes first.
    counts = np.bincount(store.clips.label + 1, minlength=len(store.labels) + 1)
    total = len(store.clips)
    rows = []
    for number, (name, count) in enumerate(zip(store.labels, counts[1:])):
        rows.append([f"{number:>3} {name}", _count(count), _share(count, total)])
    if counts[0]:
        rows.append(["    no label", _count(counts[0]), _share(counts[0], total)])
    return _table(["label", "clips", "share"], rows) if rows else ["  none"]


def _about_splits(store: Store) -> list[str]:
    rows = []
    for name, split in store.splits.items():
        of_all = len(store.clips if split.of == "clips" else store.videos)
        train, test = len(split.train), len(split.test)
        counts = map(_count, (train, test, of_all - train - test))
        rows.append([name, split.of, *counts, *_in_both(store, split)])
    headings = ["split", "of", "train", "test", "in neither", "videos in both", "subjects in both"]
    return _table(headings, rows) if rows else ["  none"]


def _in_both(store: Store, split: Split) -> tuple[str, str]:
    """How many videos, and how many subjects, are in both halves of a split."""
    train, test = split.train, split.test
    if split.of == "clips":
        train, test = store.clips.video[train], store.clips.video[test]
    videos = len(np.intersect1d(train, test))
    subjects = store.videos.subject
    # Who is not known may be anybody, and is in both halves or in none.
    shared = set(subjects[train]) & set(subjects[test])
    people = len(shared - {""})
    named = (subjects[np.concatenate([train, test])] != "").all()
    return _count(videos), _count(people) if named else f"{_count(people)} known"


def _about_joints(store: Store, found: FrameCounts) -> list[str]:
    """Joints in columns, from the one most often missing to the one most often seen."""
    cells = []
    for joint in np.argsort(-found.missing, kind="stable"):
        share = _share(found.missing[joint], store.frame_count)
        cells.append(f"{store.layout.joints[joint]:<15} {share:>8}")
    columns = 3
    height = -(-len(cells) // columns)  # rounded up
    return ["  " + "      ".join(cells[row::height]).rstrip() for row in range(height)]


def _about_frames(store: Store, found: FrameCounts) -> list[str]:
    unit = store.unit
    nobody = _share(found.nobody, store.frame_count)
    facts: dict[str, object] = {"nobody is seen": f"{_count(found.nobody)} frames ({nobody})"}
    for axis, low, high in zip("xyz", found.low, found.high):
        facts[axis] = f"{_figure(low)} to {_figure(high, unit)}"
    outside = "unknown, no video has its width and height"
    if found.placed:
        outside = f"{_share(found.outside, found.placed)} of seen joints"
    facts["outside picture"] = outside
    facts["score if seen"] = " to ".join(map(_figure, found.scores))
    first, second = store.layout.scale
    facts["body size"] = f"{_figure(found.size, unit)} on average, {first} to {second}"
    facts["since written"] = _since_written(store, found)
    # The writer puts them to zero, but a store may have been changed since.
    facts["unseen, not at 0"] = f"{_count(found.not_zero)} joints (expected 0)"
    return _facts(facts)


def _since_written(store: Store, found: FrameCounts) -> str:
    """Whether the frames are those that were written."""
    if store.frames_digest is None:
        return "unknown, version 1 of the format does not say it"
    if found.digest == store.frames_digest:
        return "unchanged"
    return "CHANGED: other frames than were written, and the fingerprint is not theirs"
