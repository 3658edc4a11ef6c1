r"""How far two annotators of the same videos agree: R of the iMiGUE paper (Sec. 3.2, Eq. 1) and
Cohen's kappa.

    python data_prep/agreement.py --first anna.csv --second ben.csv --output agreement.json

Each annotator's gestures are a CSV table `video,start,stop,label` (the clips of
`pack_openpose.py`: frame `start` included, `stop` not) or a folder of iMiGUE's own
`<id>_label.csv` (`label,start,end`: frame `end` included; classes are numbered from 1, and 99
stands for 32). Frames count from 0. One may be a table and the other a folder; the table then has
ids of four digits and the class names of `mgjax.protocols.IMIGUE_CLASSES`.

R = 2 MG / (gestures of the first + gestures of the second). MG is how many gestures both found: a
gesture of one is paired with at most one of the other, of the same class and in the same video,
where the frames they share are at least the share `--overlap` of the frames that either covers
(intersection over union); of all ways to pair them, one with the most pairs counts.

Kappa compares, frame by frame, the class that each annotator says is going on, or "none"; a
class's own kappa is of that class against everything else. Where gestures of one annotator
overlap, the one that began last counts, of those that began together the shortest, and of those
that also end together the last by name. A video's frames are those from 0 to the last annotated
one, or all of them if `--videos` (a CSV table `id,frames`) or `--store` says how many there
are: frames in which neither saw anything count as agreement, so the number matters.

A video in which one annotator has nothing at all counts as watched and found empty. Where
annotators shared the videos out among them, `--only_both` keeps those in which both have
something, or a label file each.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable

import numpy as np
from absl import flags
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from data_prep.csv_tables import check_text, read_table, shown
from data_prep.imigue_files import read_labels
from data_prep.study_tables import order_labels
from mgjax import files
from mgjax.errors import InputError, run_script, script
from mgjax.protocols import IMIGUE_CLASSES
from mgjax.store import Store

NONE = "none"
LONGEST = 10**7  # frames of a video, four days at 25 a second: more is a slip of the pen
MOST = 4000  # gestures of an annotator in one video, which are compared with all of the other's
MOST_CLASSES = 500
_FILE = "_label.csv"
# Gestures (first frame, frame after the last, class) by video.
Annotation = dict[str, list[tuple[int, int, str]]]


def read_annotation(path) -> Annotation:
    """One annotator's gestures, from a table of clips or from a folder of iMiGUE's label files.

    Raises:
        InputError: the path is neither, a value is wrong, or a gesture is there twice.
    """
    path = pathlib.Path(path)
    found: Annotation = {}
    if path.is_dir():
        by_video = _label_files(path)
        found = {video: [] for video in by_video}
        rows = (row for video, file in by_video.items() for row in _labels(video, file))
    else:
        rows = _clips_table(path)
    seen = set()
    for where, video, gesture in rows:
        start, stop, label = gesture
        if stop <= start:
            raise InputError(
                f"{where}: the gesture ends before it starts (frames {start} to {stop - 1})"
            )
        if stop > LONGEST:
            raise InputError(
                f"{where}: the gesture ends with frame {stop - 1}, expected less than {LONGEST}"
            )
        if label == NONE:
            raise InputError(
                f"{where}: no class can be called {NONE!r}, which stands for frames "
                "without a gesture"
            )
        if (video, gesture) in seen:
            raise InputError(
                f"{where}: {label!r} of video {video!r}, frames {start} to "
                f"{stop - 1}, is there twice"
            )
        seen.add((video, gesture))
        found.setdefault(video, []).append(gesture)
        if len(found[video]) > MOST:
            raise InputError(f"{where}: video {video!r} has more than {MOST} gestures")
    return found


def _clips_table(path):
    for where, row in read_table(path, ("video", "start", "stop", "label"), ()):
        yield where, row["video"], (row["start"], row["stop"], row["label"])


def _label_files(folder) -> dict[str, pathlib.Path]:
    found = {}
    for path in sorted(folder.glob(f"*{_FILE}")):
        video = path.name.removesuffix(_FILE)
        # as in a packed store
        video = f"{int(video):04}" if re.fullmatch("[0-9]{1,4}", video) else video
        check_text(str(path), "the id in its name", video)
        if video in found:
            raise InputError(f"{path}: video {video} is there already, as {found[video]}")
        found[video] = path
    if not found:
        raise InputError(f"{folder}: no file in this folder ends in {_FILE}")
    return found


def _labels(video, path):
    for start, length, label in read_labels(path, LONGEST):
        if label is None:
            raise InputError(f"{path}: frames {start} to {start + length - 1} have no label")
        yield path, video, (start, start + length, IMIGUE_CLASSES[label])


def read_lengths(path) -> dict[str, int]:
    """Frames of every video, from a CSV table with the columns id and frames.

    Raises:
        InputError: the table or a value is wrong.
    """
    lengths = {}
    for where, row in read_table(path, ("id", "frames"), ()):
        if not re.fullmatch("[0-9]{1,9}", row["frames"]) or int(row["frames"]) > LONGEST:
            raise InputError(
                f"{where}: frames is {shown(row['frames'])}, expected a whole number "
                "of "
                f"at most {LONGEST}"
            )
        if row["id"] in lengths:
            raise InputError(f"{where}: video {row['id']!r} is there twice")
        lengths[row["id"]] = int(row["frames"])
    return lengths


def store_lengths(path) -> dict[str, int]:
    """Frames of every video of a store."""
    with Store(path) as store:
        return dict(zip(store.videos.id.tolist(), store.videos.length.tolist()))


def matched(first: np.ndarray, second: np.ndarray, overlap: float) -> int:
    """The most pairs that gestures of one class can form, each gesture in at most one.

    Args:
        first, second: first frame and frame after the last, int `[N, 2]` and `[M, 2]`.
        overlap: least intersection over union of a pair.
    """
    if not (len(first) and len(second)):
        return 0
    shared = np.minimum(first[:, None, 1], second[None, :, 1]) - np.maximum(
        first[:, None, 0], second[None, :, 0]
    )
    shared = np.maximum(shared, 0)
    either = np.ptp(first, axis=1)[:, None] + np.ptp(second, axis=1) - shared
    fits = shared >= overlap * either
    # Taking the best pair first can leave two gestures over that would have fitted otherwise.
    return int((maximum_bipartite_matching(csr_array(fits), "column") >= 0).sum())


def by_frame(
    gestures: Iterable[tuple[int, int, str]], numbers: dict[str, int], frames: int
) -> np.ndarray:
    """The class of every frame by its number, int64 `[frames]`; 0 where there is no gesture.

    A frame may as well be a stretch of frames, if gestures are said in stretches.
    """
    classes = np.zeros(frames, np.int64)
    for start, stop, label in sorted(
        gestures, key=lambda gesture: (gesture[0], -gesture[1], gesture[2])
    ):
        classes[start:stop] = numbers[label]
    return classes


def kappa(confusion: np.ndarray) -> float | None:
    """Cohen's kappa of two annotators from how often one said i and the other j, `[K, K]`.

    None where chance alone would make them agree in every frame, and where there is no frame.
    """
    total = confusion.sum()
    chance = (confusion.sum(0) * confusion.sum(1)).sum() / max(total, 1) ** 2
    if total == 0 or chance == 1:
        return None
    return float((np.trace(confusion) / total - chance) / (1 - chance))


def one_against_rest(confusion: np.ndarray, i: int) -> np.ndarray:
    """The `[2, 2]` confusion of one class and all the others."""
    both, first, second = confusion[i, i], confusion[i].sum(), confusion[:, i].sum()
    return np.array(
        [[both, first - both], [second - both, confusion.sum() - first - second + both]]
    )


def agreement(
    first: Annotation,
    second: Annotation,
    *,
    overlap: float = 0.5,
    only_both: bool = False,
    lengths: dict[str, int] | None = None,
) -> dict:
    """Compare two annotations; the module's docstring says how.

    Args:
        first, second: gestures by video.
        overlap: least intersection over union of a pair, above 0 and at most 1.
        only_both: leave out videos that one annotation does not name.
        lengths: frames of every video; None counts to the last annotated one.

    Returns:
        Plain values: `overall`, and `classes` and `videos` by name, each with gestures `first`
        and `second`, `matched`, `R`, `frames` (of a class: frames that either says are of it) and
        `kappa`; R and kappa are None where there is nothing to compare. `classes` ends with
        "none", which has frames only. `one_sided` are the videos that one annotation does not name.

    Raises:
        InputError: overlap is out of range, no video is left, or a gesture lies outside its video.
    """
    if not 0 < overlap <= 1:
        raise InputError(f"overlap is {overlap:g}, expected above 0 and at most 1")
    one_sided = sorted(first.keys() ^ second.keys())
    videos = sorted(first.keys() & second.keys() if only_both else first.keys() | second.keys())
    pairs = {video: (first.get(video, []), second.get(video, [])) for video in videos}
    labels = _order(
        {label for pair in pairs.values() for gestures in pair for _, _, label in gestures}
    )
    if not labels:
        raise InputError(
            "there is no gesture to compare"
            + (" in videos that both annotated" if only_both else "")
        )
    if len(labels) > MOST_CLASSES:
        raise InputError(
            f"there are {len(labels)} classes, expected at most {MOST_CLASSES}; the "
            "last "
            f"is {labels[-1]!r}"
        )
    numbers, rows, every, confusion = {label: i for i, label in enumerate(labels, 1)}, {}, 0, 0
    for video, pair in pairs.items():
        counts, frames = _counts(*pair, labels, overlap), _confusion(video, *pair, numbers, lengths)
        rows[video] = _row(counts.sum(0), frames)
        every, confusion = every + counts, confusion + frames
    classes = {
        label: _class_row(every[i], one_against_rest(confusion, i + 1))
        for i, label in enumerate(labels)
    }
    classes[NONE] = _class_row((0, 0, 0), one_against_rest(confusion, 0))
    return {
        "overall": _row(every.sum(0), confusion),
        "classes": classes,
        "videos": rows,
        "overlap": overlap,
        "only_both": only_both,
        "one_sided": one_sided,
        "whole_videos": lengths is not None,
    }


def _order(labels: set[str]) -> list[str]:
    if labels <= set(IMIGUE_CLASSES):
        return sorted(labels, key=IMIGUE_CLASSES.index)
    return order_labels(labels)


def _counts(first, second, labels, overlap) -> np.ndarray:
    """Gestures of each class by the first, by the second, and found by both, int64 `[K, 3]`."""
    counts = np.zeros((len(labels), 3), np.int64)
    for label in {label for *_, label in [*first, *second]}:
        sides = [
            [gesture[:2] for gesture in side if gesture[2] == label] for side in (first, second)
        ]
        sides = [np.array(side, int).reshape(-1, 2) for side in sides]
        counts[labels.index(label)] = len(sides[0]), len(sides[1]), matched(*sides, overlap)
    return counts


def _confusion(video, first, second, numbers, lengths) -> np.ndarray:
    """How many frames of a video the two give each pair of classes, int64 `[K + 1, K + 1]`; 0 is
    no gesture.
    """
    frames = max((stop for _, stop, _ in [*first, *second]), default=0)
    if lengths is not None:
        if video not in lengths:
            raise InputError(f"video {video!r} is annotated, but its number of frames is not given")
        if frames > lengths[video]:
            raise InputError(
                f"video {video!r} has {lengths[video]} frames, but a gesture ends "
                f"with frame {frames - 1} "
                "(frames count from 0)"
            )
        frames = lengths[video]
    # Between two edges nothing changes, so each such stretch is looked at once, however long it is.
    edges = sorted({0, frames, *(frame for gesture in [*first, *second] for frame in gesture[:2])})
    place = {frame: stretch for stretch, frame in enumerate(edges)}
    sides = [
        [(place[start], place[stop], label) for start, stop, label in side]
        for side in (first, second)
    ]
    said = [by_frame(side, numbers, len(edges) - 1) for side in sides]
    confusion = np.zeros((len(numbers) + 1, len(numbers) + 1), np.int64)
    np.add.at(confusion, tuple(said), np.diff(edges))
    return confusion


def _row(counts, confusion) -> dict:
    first, second, both = map(int, counts)
    return {
        "first": first,
        "second": second,
        "matched": both,
        "R": 2 * both / (first + second) if first + second else None,
        "frames": int(confusion.sum()),
        "kappa": kappa(confusion),
    }


def _class_row(counts, confusion) -> dict:
    return _row(counts, confusion) | {"frames": int(confusion.sum() - confusion[1, 1])}


def tables(result: dict) -> str:
    """What `agreement` found, as plain text tables: overall, by class, by video."""
    number = lambda value: f"{value:7.3f}" if value is not None else f"{'–':>7s}"
    width = max(map(len, ["all videos", *result["classes"], *result["videos"]]))
    lines = []
    for title, rows in (
        ("", {"all videos": result["overall"]}),
        ("class", result["classes"]),
        ("video", result["videos"]),
    ):
        lines.append(
            f"{title:{width}s} {'first':>7s} {'second':>7s} {'both':>7s} {'R':>7s} "
            f"{'frames':>9s} "
            f"{'kappa':>7s}"
        )
        lines += [
            f"{name:{width}s} {row['first']:7d} {row['second']:7d} {row['matched']:7d} "
            f"{number(row['R'])} "
            f"{row['frames']:9d} {number(row['kappa'])}"
            for name, row in rows.items()
        ]
        lines.append("")
    lines.append(
        f"both: same class, frames shared at least {result['overlap']:g} of the frames "
        "covered; R = 2 both / "
        "(first + second)"
    )
    lines.append(
        "frames: "
        + (
            "of the whole videos"
            if result["whole_videos"]
            else "from 0 to the last annotated one of each video"
        )
        + "; of a class, those that either gives to it"
    )
    if result["one_sided"]:
        what = "left out" if result["only_both"] else "counted as found empty by the other"
        lines.append(f"videos that only one annotated, {what}: {', '.join(result['one_sided'])}")
    return "\n".join(lines)


def define_flags():
    """The script's options."""
    for name in ("first", "second"):
        flags.DEFINE_string(
            name,
            None,
            f"The {name} annotator's gestures: a CSV table "
            "video,start,stop,label (stop "
            f"not included), or a folder of iMiGUE's <id>{_FILE} "
            "(label,start,end; end included).",
            required=True,
        )
    flags.DEFINE_float(
        "overlap",
        0.5,
        "Least intersection over union, in frames, of two gestures that are the same.",
    )
    flags.DEFINE_boolean(
        "only_both",
        False,
        "Leave out videos that one annotator does not name; "
        "without it they count "
        "as watched and found empty.",
    )
    flags.DEFINE_string(
        "videos", None, "CSV table id,frames: how many frames each video has, for kappa."
    )
    flags.DEFINE_string("store", None, "Store that says the same, instead of --videos.")
    flags.DEFINE_string("output", None, "JSON file to write.")


@script
def main(_):
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    if options.videos is not None and options.store is not None:
        raise InputError(
            "--videos and --store both say how many frames a video has; give one of them"
        )
    if options.output is not None:
        files.output(options.output)
    lengths = (
        read_lengths(options.videos)
        if options.videos is not None
        else (store_lengths(options.store) if options.store is not None else None)
    )
    result = agreement(
        read_annotation(options.first),
        read_annotation(options.second),
        overlap=options.overlap,
        only_both=options.only_both,
        lengths=lengths,
    )
    print(tables(result))
    if options.output is not None:
        files.write_json(options.output, result)
        print(f"wrote {options.output}")


if __name__ == "__main__":
    run_script(main, define_flags)
