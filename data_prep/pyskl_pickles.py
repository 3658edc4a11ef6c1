"""pyskl's annotation pickles, read and written.

A pickle holds `{"split": {name: [frame_dir, ...]}, "annotations": [...]}`, or a list of
annotations alone. An annotation is a dict of `frame_dir`, `total_frames`, `keypoint` [M,
T, V, C] of M people and perhaps `label`, `img_shape` (height, width) and `keypoint_score`
[M, T, V].

What becomes of them in a store is said in `data_prep/pyskl.py`. This module needs NumPy
only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import operator
import os
import pickle
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from data_prep import csv_tables, pickles
from data_prep.csv_tables import shown
from mgjax import files
from mgjax.errors import InputError

PROTOCOL = 4  # read by Python 3.4 and later
MOST_CLASSES = 10**5
_SHARED = 4  # times that an array or list may be there, on average, before it counts as a trap
_TRAIN = re.compile(r"(?:(.+)_)?train(\d*)")


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
        """Keypoints `[T, V, C]` and score `[T, V]`, float32, of one person.

        NaN says that a joint was not seen: its score is 0, and so are its keypoints.
        Without scores a joint was seen (score 1) unless all its coordinates are 0.

        Args:
            number: which one, 1 the first; None for the one with the highest total score.
        """
        # What float32 cannot hold becomes infinite, and a NaN may signal.
        with np.errstate(all="ignore"):
            score = self.keypoints.any(axis=-1) if self.score is None else self.score
            unseen = np.isnan(self.keypoints).any(axis=-1) | np.isnan(score)
            score = np.where(unseen, 0, score)
            # In float64: over a long video, a sum of float16 would lose who is seen
            # better.
            total = score.sum(axis=(1, 2), dtype=float)
            row = int(total.argmax()) if number is None else number - 1
            keypoints = np.where(unseen[row][..., None], 0, self.keypoints[row])
            return keypoints.astype(np.float32), score[row].astype(np.float32)


def read(path: str | os.PathLike) -> tuple[dict[str, list[str]], list[Annotation]]:
    """Read a pickle: its lists of frame_dirs by name, and its annotations.

    Raises:
        InputError: as `pickles.load`, or the content is not what pyskl writes.
    """
    content, size = pickles.load(path), os.path.getsize(path)
    # Older files are a list alone, without splits.
    splits: Any = {}
    if isinstance(content, dict) and {"split", "annotations"} <= content.keys():
        splits, content = content["split"], content["annotations"]
    if not isinstance(content, list) or not isinstance(splits, dict):
        raise InputError(
            f"{path}: expected pyskl annotations: a dict of 'split' and 'annotations', or a list"
        )
    if not content:
        raise InputError(f"{path}: holds no annotation")
    _check_splits(path, splits, size)
    annotations: list[Annotation] = []
    seen: set[str] = set()
    for number, fields in enumerate(content):
        annotation = _annotation(path, number, fields)
        if annotation.id in seen:
            raise InputError(
                f"{path}: annotation {number}: frame_dir {annotation.id!r} is there twice"
            )
        annotations.append(annotation)
        seen.add(annotation.id)
    _refuse_copies(path, sum(annotation.keypoints.nbytes for annotation in annotations), size)
    return splits, annotations


def _check_splits(path: str | os.PathLike, splits: dict, size: int) -> None:
    """Refuse what are not lists of frame_dirs by name, in a pickle of so many bytes."""
    lists = [ids for ids in splits.values() if isinstance(ids, (list, tuple, set))]
    # First of all, as every id is looked at below.
    _refuse_copies(path, sum(map(len, lists)), size)
    for name, ids in splits.items():
        is_list = isinstance(name, str) and isinstance(ids, (list, tuple, set))
        if not is_list or not all(isinstance(id, str) for id in ids):
            raise InputError(f"{path}: split {shown(name)} is not a list of frame_dirs")
        csv_tables.check_text(str(path), "the name of a split", name)


def _refuse_copies(path: str | os.PathLike, count: int, size: int) -> None:
    """A few bytes can say "the same again" ever so often, and each would be packed."""
    if count > _SHARED * size + 2**20:
        raise InputError(
            f"{path}: its annotations or splits are the same arrays or lists again and again"
        )


def _annotation(path: str | os.PathLike, number: int, fields: Any) -> Annotation:
    id = fields.get("frame_dir") if isinstance(fields, dict) else None
    if not isinstance(id, str) or not id:
        raise InputError(f"{path}: annotation {number} is not a dict with a 'frame_dir' in words")
    csv_tables.check_text(f"{path}: annotation {number}", "frame_dir", id)
    where = f"{path}: annotation {number} ({id!r})"
    keypoints, score = _arrays(where, fields)
    label, width, height = _integers(where, fields)
    return Annotation(id, label, keypoints, score, width, height)


def _arrays(where: str, fields: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """An annotation's keypoints `[M, T, V, C]`, and its scores `[M, T, V]` or None."""
    if "keypoint" not in fields:
        raise InputError(
            f"{where}: it has no 'keypoint'; those that lie in files of their own are not read"
        )
    keypoints = _numbers(where, "keypoint", fields["keypoint"], "[M, T, V, C]")
    if keypoints.ndim != 4:
        is_now = f"{keypoints.dtype} {keypoints.shape}"
        raise InputError(f"{where}: keypoint is {is_now}, expected numbers [M, T, V, C]")
    # It may be left out, but not be something else.
    frames = keypoints.shape[1]
    if fields.get("total_frames", frames) != frames:
        said = shown(fields["total_frames"])
        raise InputError(f"{where}: total_frames is {said}, its keypoint has {frames}")
    if fields.get("keypoint_score") is None:
        return keypoints, None
    expected = keypoints.shape[:3]
    score = _numbers(where, "keypoint_score", fields["keypoint_score"], str(expected))
    if score.shape != expected:
        is_now = f"{score.dtype} {score.shape}"
        raise InputError(f"{where}: keypoint_score is {is_now}, expected numbers {expected}")
    return keypoints, score


def _numbers(where: str, what: str, value: Any, expected: str) -> np.ndarray:
    """The array of numbers that a field holds; pyskl takes no lists for it either."""
    if not isinstance(value, pickles.Array):
        raise InputError(
            f"{where}: {what} is {shown(value)}, expected an array of numbers {expected}"
        )
    array = value.value
    if array.dtype.kind not in "iuf":
        is_now = f"{array.dtype} {array.shape}"
        raise InputError(f"{where}: {what} is {is_now}, expected numbers {expected}")
    return array


def _integers(where: str, fields: dict) -> tuple[int | None, int, int]:
    """An annotation's label or None, and the width and height of its frames or 0."""
    label = fields.get("label")
    try:
        # Whole numbers of all kinds, NumPy's too, but no 3.0 and no "3".
        label = None if label is None else operator.index(label)
        height, width = map(operator.index, fields.get("img_shape", (0, 0)))
    except (TypeError, ValueError):
        raise InputError(
            f"{where}: label is {shown(label)} and img_shape {shown(fields.get('img_shape'))}; "
            "expected a whole number, and two of them"
        ) from None
    # Classes without a name are counted up to the largest label.
    if not 0 <= (label or 0) < MOST_CLASSES:
        raise InputError(f"{where}: label is {label}, expected 0 or more, below {MOST_CLASSES}")
    # What a store's columns can hold.
    if not (0 <= height < 2**31 and 0 <= width < 2**31):
        raise InputError(f"{where}: img_shape is {height}, {width}; expected no number below 0")
    return label, width, height


def pair_splits(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """The splits that lists make by their names.

        >>> pair_splits(["xsub_train", "xsub_val", "train1", "test1", "alone"])
        [('xsub', 'xsub_train', 'xsub_val'), ('split1', 'train1', 'test1')]

    Returns:
        (split, list that trains, list that tests) of each, in the order of the names.
    """
    names = dict.fromkeys(names)
    pairs = []
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
                # Of a test and a val list, the test list has the plain name.
                split += "_val"
    return pairs


def write(
    path: str | os.PathLike, splits: dict[str, list[str]], annotations: Iterator[dict[str, Any]]
) -> None:
    """Write a pickle, whole or not at all.

    Args:
        path: where to.
        splits: lists of frame_dirs by name.
        annotations: dicts of pyskl's fields, of which one at a time is in memory.

    Raises:
        InputError: the file cannot be written there.
    """
    content = {"split": splits, "annotations": _Stream(annotations)}
    with files.whole(path) as partial, open(partial, "wb") as file:
        _Pickler(file).dump(content)


class _Stream:
    """A list that is made while it is pickled, so that it is never whole in memory."""

    def __init__(self, items: Iterator):
        self.items = items


class _Pickler(pickle.Pickler):
    """Writes arrays by names that every version of NumPy has, and streams as lists."""

    def __init__(self, file: BinaryIO):
        super().__init__(file, PROTOCOL)
        # Remember nothing of what was written: the arrays would all stay in memory.
        self.fast = True

    def reducer_override(self, value: Any) -> Any:
        """How arrays and streams are written: what makes them, and of what."""
        if isinstance(value, np.ndarray):
            return np.ndarray, (value.shape, value.dtype.str, bytearray(value))
        if isinstance(value, _Stream):
            # Made by list(), then appended to item by item.
            return list, (), None, value.items
        return NotImplemented
