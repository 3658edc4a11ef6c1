"""pyskl's annotation pickles to a store, and a store to such a pickle.

    python data_prep/pack_pyskl.py --input ntu60_hrnet.pkl --output ntu60.h5
    python data_prep/pack_pyskl.py --export study.h5 --output study.pkl --labels study_classes.txt

A pickle holds `{"split": {name: [frame_dir, ...]}, "annotations": [...]}`, or a list of annotations alone. An
annotation is a dict of `frame_dir`, `total_frames`, `keypoint` [M, T, V, C] of M people and perhaps `label`,
`img_shape` (height, width) and `keypoint_score` [M, T, V]. A pickle can make whoever reads it run any program; here it
is read by something that builds numbers, text, arrays and containers of them, and refuses every other name in it.

To a store: each annotation is a video, `frame_dir` its id, and one clip. Its person is the one with the highest total
score, or the number --person of its list. Without scores a joint is seen (score 1) unless all its coordinates are 0.
Three coordinates are taken to be metres, two pixels. Lists of a split are paired: `xsub_train` with `xsub_test` or
`xsub_val` is the split xsub, `train1` with `test1` is split1, `train` with `val` is split; where there are both a test
and a val list, the latter with the same train list is the split with _val behind its name. Annotations without a frame
or without that person are left out; they, and lists that pair with no other, are reported.

To a pickle: each clip is an annotation of one person, its `frame_dir` the video's id, with _1, _2, ... behind it where
the video has several clips; the lists of a split are NAME_train and NAME_val. A pickle cannot say, and so loses:
subject, emotion and fps, frames that are in no clip, which clips are of one video, the layout's name and the unit, and
in three dimensions the scores, for pyskl takes none there. Names of classes are lost too, unless --labels keeps them in
a file. Whatever it can say comes back the same when it is read again.
"""

from __future__ import annotations

import dataclasses
import operator
import os
import pathlib
import pickle
import re
from collections.abc import Iterable, Iterator

import numpy as np
from absl import flags

from mgjax import progress, skeleton, store
from mgjax.errors import InputError, run_script, script

PROTOCOL = 4  # read by Python 3.4 and later
_TRAIN = re.compile(r"(?:(.+)_)?train(\d*)")


class _Refused(pickle.UnpicklingError):
    """A pickle names something that is not built from a pickle."""


class _Dtype:
    """Stands for numpy.dtype in a pickle: types of numbers and text only, so that nothing in an array is a pointer."""

    def __init__(self, code, align=False, copy=False):
        self.value = np.dtype(code) if isinstance(code, str) else None
        if self.value is None or self.value.kind not in "biufSU":
            raise _Refused(f"it holds an array of {code!r}")

    def __setstate__(self, state):
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands for numpy.ndarray in a pickle; `numpy.asarray` gives the array."""

    def __init__(self, shape=(0,), dtype="f4", data=b""):
        self.value = _from_bytes(data, _Dtype(dtype), shape, "C")

    def __setstate__(self, state):
        _, shape, dtype, column_major, data = state
        self.value = _from_bytes(data, dtype, shape, "F" if column_major else "C")

    def __array__(self, dtype=None, copy=None):
        return self.value


def _from_bytes(data, dtype, shape, order) -> np.ndarray:
    if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, _Dtype):
        raise _Refused("it holds an array that is not made of bytes")
    return np.frombuffer(data, dtype.value).reshape(shape, order=order)


def _latin1(text, encoding):
    if encoding != "latin1":
        raise _Refused(f"it names the encoding {encoding!r}")
    return text.encode("latin1")


_BUILT = {("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Dtype, ("_codecs", "encode"): _latin1,
          ("collections", "OrderedDict"): dict}
for _core in ("numpy.core", "numpy._core"):
    _BUILT |= {
        (f"{_core}.multiarray", "_reconstruct"): lambda kind, shape, code: _Array(),
        (f"{_core}.multiarray", "scalar"): lambda dtype, data: _from_bytes(data, dtype, (), "C")[()],
        (f"{_core}.numeric", "_frombuffer"): _from_bytes,
    }
for _kind in (dict, list, tuple, set, frozenset, bytes, bytearray):
    _BUILT |= {(module, _kind.__name__): _kind for module in ("builtins", "__builtin__")}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        """What stands for a name in a pickle; everything that a pickle can call comes from here."""
        if (module, name) not in _BUILT:
            raise _Refused(f"it names {module}.{name}")
        return _BUILT[module, name]


def load(path):
    """Read a pickle of arrays and containers; nothing in it is run. Its arrays are what `numpy.asarray` takes.

    Raises:
        InputError: the file cannot be read, is no whole pickle, or names anything but arrays and containers.
    """
    try:
        with open(path, "rb") as file:
            return _Unpickler(file).load()
    except _Refused as refused:
        raise InputError(f"{path}: refused, for {refused}; only numbers, text, arrays and containers of them are "
                         "built from a pickle") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a damaged pickle can make its reader raise anything
        raise InputError(f"{path}: not a pickle, damaged or cut short ({error})") from None


@dataclasses.dataclass(frozen=True)
class Annotation:
    """One annotation of a pickle.

    Attributes:
        id: its frame_dir.
        label: class number, None without.
        keypoints: number `[M, T, V, C]` of M people.
        score: number `[M, T, V]`, None without.
        width, height: of a frame, 0 where it is not said.
    """

    id: str
    label: int | None
    keypoints: np.ndarray
    score: np.ndarray | None
    width: int
    height: int

    def person(self, number: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints `[T, V, C]` and score `[T, V]`, float32, of a person by number (1 the first), None for the one
        with the highest total score."""
        score = self.keypoints.any(axis=-1) if self.score is None else self.score
        row = int(score.sum(axis=(1, 2), dtype=float).argmax()) if number is None else number - 1
        return self.keypoints[row].astype(np.float32), score[row].astype(np.float32)


def read(path) -> tuple[dict[str, list[str]], list[Annotation]]:
    """Read a pickle: its lists of frame_dirs by name, and its annotations.

    Raises:
        InputError: as `load`, or the content is not what pyskl writes.
    """
    content = load(path)
    splits = {}
    if isinstance(content, dict) and {"split", "annotations"} <= content.keys():
        splits, content = content["split"], content["annotations"]
    if not isinstance(content, list) or not isinstance(splits, dict):
        raise InputError(f"{path}: expected pyskl annotations: a dict of 'split' and 'annotations', or a list")
    if not content:
        raise InputError(f"{path}: holds no annotation")
    for name, ids in splits.items():
        if not isinstance(name, str) or not isinstance(ids, (list, tuple, set)) or not all(
                isinstance(id, str) for id in ids):
            raise InputError(f"{path}: split {name!r} is not a list of frame_dirs")
    annotations, seen = [], set()
    for number, fields in enumerate(content):
        annotations.append(_annotation(path, number, fields))
        if annotations[-1].id in seen:
            raise InputError(f"{path}: annotation {number}: frame_dir {annotations[-1].id!r} is there twice")
        seen.add(annotations[-1].id)
    return splits, annotations


def _annotation(path, number: int, fields) -> Annotation:
    if not isinstance(fields, dict) or not isinstance(fields.get("frame_dir"), str) or not fields["frame_dir"]:
        raise InputError(f"{path}: annotation {number} is not a dict with a 'frame_dir' in words")
    where = f"{path}: annotation {number} ({fields['frame_dir']!r})"
    if "keypoint" not in fields:
        raise InputError(f"{where}: it has no 'keypoint'; those that lie in files of their own are not read")
    keypoints = np.asarray(fields["keypoint"])
    if keypoints.ndim != 4 or keypoints.dtype.kind not in "iuf":
        raise InputError(f"{where}: keypoint is {keypoints.dtype} {keypoints.shape}, expected numbers [M, T, V, C]")
    if fields.get("total_frames", keypoints.shape[1]) != keypoints.shape[1]:
        raise InputError(f"{where}: total_frames is {fields['total_frames']!r}, its keypoint has {keypoints.shape[1]}")
    score = np.asarray(fields["keypoint_score"]) if fields.get("keypoint_score") is not None else None
    if score is not None and (score.shape != keypoints.shape[:3] or score.dtype.kind not in "iuf"):
        raise InputError(f"{where}: keypoint_score is {score.dtype} {score.shape}, expected numbers "
                         f"{keypoints.shape[:3]}")
    label = fields.get("label")
    try:
        label = None if label is None else operator.index(label)
        height, width = map(operator.index, fields.get("img_shape", (0, 0)))
    except (TypeError, ValueError):
        raise InputError(f"{where}: label is {fields.get('label')!r} and img_shape {fields.get('img_shape')!r}; "
                         "expected a whole number, and two of them") from None
    if label is not None and label < 0 or min(height, width) < 0 or max(height, width) >= 2**31:
        raise InputError(f"{where}: label is {label}, img_shape {height}, {width}; expected no number below 0")
    return Annotation(fields["frame_dir"], label, keypoints, score, width, height)


def layout_of(joints: int, dimensions: int, name: str | None = None) -> skeleton.Layout:
    """The layout of so many joints and coordinates: the one of that name, else the only one known without a face.

    Raises:
        InputError: the named layout has other numbers, or none or several are known.
    """
    def fits(layout):
        return (len(layout), layout.dimensions) == (joints, dimensions)

    if name is not None:
        layout = skeleton.get(name)
        if not fits(layout):
            raise InputError(f"layout {layout.name!r} has {len(layout)} joints of {layout.dimensions} coordinates, the "
                             f"annotations have {joints} of {dimensions}")
        return layout
    known = [layout for layout in skeleton.LAYOUTS.values() if fits(layout) and "face" not in layout.parts]
    if len(known) != 1:
        names = " or ".join(layout.name for layout in known) or "none known without a face"
        raise InputError(f"joints {joints}, coordinates {dimensions}: their layout cannot be told ({names}); name it "
                         "with --layout")
    return known[0]


def pair_splits(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """The splits that lists make by their names: (split, list that trains, list that tests) of each."""
    names, pairs = list(names), []
    for train in names:
        match = _TRAIN.fullmatch(train)
        if not match:
            continue
        prefix, number = match.group(1), match.group(2)
        split = (prefix or "split") + number
        for side in ("test", "val"):
            other = f"{prefix}_{side}{number}" if prefix else f"{side}{number}"
            if other in names:
                pairs.append((split, train, other))
                split += "_val"
    return pairs


def read_labels(path) -> list[str]:
    """Class names, one a line, in label order.

    Raises:
        InputError: the file cannot be read, or a line is empty.
    """
    try:
        names = [line.strip() for line in pathlib.Path(path).read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as class names, one a line ({error})") from None
    if not names or "" in names:
        raise InputError(f"{path}: line {names.index('') + 1 if names else 1} is empty, expected a class name")
    return names


def write_labels(labels: Iterable[str], path) -> None:
    """Write class names, one a line, as `read_labels` reads them.

    Raises:
        InputError: the file cannot be written, or a name cannot be told from others in it.
    """
    for label in labels:
        if label.splitlines() != [label] or label != label.strip():
            raise InputError(f"class {label!r} cannot be a line of {path}: it is empty, of several lines, or begins or "
                             "ends with a blank")
    try:
        pathlib.Path(path).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


@dataclasses.dataclass(frozen=True)
class Report:
    """What a job wrote.

    Attributes:
        output: the store or the pickle.
        clips, labelled, frames: clips written, those with a label, and their frames.
        splits: split name to clips that train and that test.
        notes: what was left out, a line each.
    """

    output: str
    clips: int
    labelled: int
    frames: int
    splits: dict[str, tuple[int, int]]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"clips: {self.clips}, labelled {self.labelled}, frames {self.frames}"]
        lines += [f"  {split}: {train} clips train, {test} test" for split, (train, test) in self.splits.items()]
        return "\n".join([*lines, *self.notes, f"wrote {self.output}"])


def pack(input, output, *, layout: str | None = None, person: int | None = None, labels=None, fps: float = 0) -> Report:
    """Pack a pickle into a store; the module's docstring says how.

    A pickle can only be read whole, so memory holds all of it; it is converted annotation by annotation.

    Args:
        input: the pickle.
        output: the store to write.
        layout: what `skeleton.get` takes; None takes the only known one of so many joints and coordinates.
        person: which person of each annotation, 1 for the first; None for the one with the highest total score.
        labels: path of the class names, one a line; None names classes by their numbers.
        fps: frames a second, 0 for unknown.

    Raises:
        InputError: anything is wrong with the pickle or the options.
    """
    splits, annotations = read(input)
    kept, lost, notes = [], [], []
    for annotation in annotations:
        people, frames = annotation.keypoints.shape[:2]
        (kept if people >= (person or 1) and frames else lost).append(annotation)
    if lost:
        notes.append(f"left out, without a frame or that person: {len(lost)}, the first {lost[0].id}")
    if not kept:
        raise InputError(f"{input}: none of its {len(annotations)} annotations has a frame and that person")
    shape = kept[0].keypoints.shape[2:]
    odd = next((a for a in kept if a.keypoints.shape[2:] != shape), None)
    if odd is not None:
        raise InputError(f"{input}: {odd.id!r} has keypoints of shape {odd.keypoints.shape[2:]} a frame, "
                         f"{kept[0].id!r} {shape}; a store holds one layout")
    layout = layout_of(*shape, layout)
    count = max((a.label + 1 for a in kept if a.label is not None), default=0)
    names = read_labels(labels) if labels is not None else [str(number) for number in range(count)]
    if len(names) < count:
        raise InputError(f"{labels}: {len(names)} class names, but {input} has label {count - 1}")
    writer = store.StoreWriter(
        output, layout, unit="pixel" if layout.dimensions == 2 else "metre",
        frames=sum(a.keypoints.shape[1] for a in kept), source=f"pyskl annotations {pathlib.Path(input).name}",
        labels=names,
    )
    with writer:
        for annotation in progress.track(kept, len(kept), "writing"):
            keypoints, score = annotation.person(person)
            if not (np.isfinite(keypoints).all() and np.isfinite(score).all()):
                raise InputError(f"{input}: {annotation.id!r} has a keypoint or score that is not finite")
            writer.add_video(annotation.id, keypoints, score, fps=fps, width=annotation.width, height=annotation.height)
            writer.add_clip(annotation.id, 0, len(keypoints), annotation.label)
        sizes = _add_splits(writer, input, splits, {annotation.id: row for row, annotation in enumerate(kept)}, notes)
    return Report(str(output), len(kept), sum(a.label is not None for a in kept),
                  sum(a.keypoints.shape[1] for a in kept), sizes, tuple(notes))


def _add_splits(writer, path, splits, rows: dict[str, int], notes: list[str]) -> dict[str, tuple[int, int]]:
    """Write the splits of a pickle's lists, given the clip of each frame_dir; clips on their sides."""
    pairs, sizes = pair_splits(splits), {}
    for split, *lists in pairs:
        sides = [set(splits[name]) for name in lists]
        if sides[0] & sides[1]:
            raise InputError(f"{path}: {min(sides[0] & sides[1])!r} is both in {lists[0]} and in {lists[1]}")
        train, test = ([rows[id] for id in side if id in rows] for side in sides)
        writer.add_split(split, train, test)
        sizes[split] = len(train), len(test)
        lost = sum(map(len, sides)) - len(train) - len(test)
        if lost:
            notes.append(f"split {split}: {lost} of the frame_dirs that it lists have no clip")
    alone = sorted(set(splits) - {name for _, *lists in pairs for name in lists})
    if alone:
        notes.append(f"lists that pair with no other, left out: {', '.join(alone)}")
    return sizes


class _Stream:
    """A list that is made while it is pickled, so that it is never whole in memory."""

    def __init__(self, items: Iterator):
        self.items = items


class _Pickler(pickle.Pickler):
    def __init__(self, file):
        super().__init__(file, PROTOCOL)
        self.fast = True  # remember nothing of what was written: the arrays would all stay in memory

    def reducer_override(self, value):
        """How arrays and streams are written; arrays by names that every version of NumPy has."""
        if isinstance(value, np.ndarray):
            return np.ndarray, (value.shape, value.dtype.str, bytearray(value))
        if isinstance(value, _Stream):
            return list, (), None, value.items
        return NotImplemented


def clip_ids(packed: store.Store) -> list[str]:
    """The frame_dir of each clip: its video's id, and its number among several of one video.

    Raises:
        InputError: two clips would have the same.
    """
    of_video = np.bincount(packed.clips.video, minlength=len(packed.videos))
    number, ids = np.zeros_like(of_video), {}
    for video in packed.clips.video:
        number[video] += 1
        id = packed.videos.id[video] + (f"_{number[video]}" if of_video[video] > 1 else "")
        if id in ids:
            raise InputError(f"{packed.path}: clips of the videos {packed.videos.id[ids[id]]!r} and "
                             f"{packed.videos.id[video]!r} would both be called {id!r}")
        ids[id] = video
    return list(ids)


def export(path, output, *, labels=None) -> Report:
    """Write a store's clips as a pickle; the module's docstring says how, and what is lost.

    Memory holds one clip.

    Args:
        path: the store.
        output: the pickle to write; it gets its name when it is whole.
        labels: path of a file to write the class names into, one a line, or None.

    Raises:
        InputError: the store has no clip, or what it holds cannot be said in a pickle.
    """
    output = pathlib.Path(output)
    partial = output.with_name(output.name + ".partial")
    with store.Store(path) as packed:
        if not len(packed.clips):
            raise InputError(f"{path}: has no clip to export")
        ids = clip_ids(packed)
        splits, sizes = {}, {}
        for name in packed.splits:
            sides = packed.clip_split(name)
            sizes[name] = tuple(map(len, sides))
            splits |= {f"{name}_{side}": [ids[row] for row in rows] for side, rows in zip(("train", "val"), sides)}
        if labels is not None:
            write_labels(packed.labels, labels)
        annotations = _Stream(_annotations(packed, progress.track(ids, len(ids), "writing")))
        try:
            with open(partial, "wb") as file:
                _Pickler(file).dump({"split": splits, "annotations": annotations})
            os.replace(partial, output)
        except OSError as error:
            raise InputError(f"{output}: cannot be written ({error.strerror})") from None
        finally:
            partial.unlink(missing_ok=True)
        return Report(str(output), len(ids), int((packed.clips.label >= 0).sum()), int(packed.clips.length.sum()),
                      sizes, tuple(_lost(packed)))


def _annotations(packed: store.Store, ids: Iterable[str]) -> Iterator[dict]:
    for row, id in enumerate(ids):
        keypoints, score = packed.clip(row)
        video, label = packed.clips.video[row], int(packed.clips.label[row])
        shape = int(packed.videos.height[video]), int(packed.videos.width[video])
        yield {
            "frame_dir": id, "total_frames": len(keypoints), "keypoint": keypoints[None],
            **({"keypoint_score": score[None]} if packed.layout.dimensions == 2 else {}),
            **({"label": label} if label >= 0 else {}),
            **({"img_shape": shape, "original_shape": shape} if any(shape) else {}),
        }


def _lost(packed: store.Store) -> Iterator[str]:
    """What of a store is not in its pickle and may be missed."""
    idle = len(packed.videos) - len(np.unique(packed.clips.video))
    if idle:
        yield f"videos without a clip, left out: {idle}"
    unknown = int(((packed.videos.width == 0) | (packed.videos.height == 0)).sum())
    if unknown and packed.layout.dimensions == 2:
        yield f"videos whose frame size is not known, written without img_shape: {unknown}"


@script
def main(_):
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    if (options.input is None) == (options.export is None):
        raise InputError("give either --input, a pickle to make a store of, or --export, a store to make a pickle of")
    files = [path for path in (options.input, options.export, options.output, options.labels) if path is not None]
    if len(set(map(os.path.abspath, files))) < len(files):
        raise InputError("two of --input, --export, --output and --labels are the same file")
    if options.input is not None:
        print(pack(options.input, options.output, layout=options.layout, person=options.person, labels=options.labels,
                   fps=options.fps))
        return
    for name in ("layout", "person", "fps"):
        if options[name].present:
            raise InputError(f"--{name} is for --input; a pickle takes it from the store or cannot say it")
    print(export(options.export, options.output, labels=options.labels))


def define_flags():
    """The script's flags."""
    flags.DEFINE_string("input", None, "Pickle of pyskl annotations to make a store of.")
    flags.DEFINE_string("export", None, "Store to make a pickle of.")
    flags.DEFINE_string("output", None, "Store, or with --export pickle, to write.", required=True)
    flags.DEFINE_string("labels", None, "Class names, one a line: read with --input (without it classes are named by "
                        "their numbers), written with --export.")
    flags.DEFINE_string("layout", None, "Layout of the joints, a name or the path of a layout's .json file, where "
                        "their number does not tell it.")
    flags.DEFINE_integer("person", None, "Which person of each annotation, 1 for the first; by default the one with "
                         "the highest total score.", lower_bound=1)
    flags.DEFINE_float("fps", 0, "Frames a second, which a pickle does not say; 0 for unknown.", lower_bound=0)


if __name__ == "__main__":
    run_script(main, define_flags)
