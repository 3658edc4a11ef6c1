"""Northwestern-UCLA Multiview Action 3D, as one JSON file a clip, packed into a store.

Each file is `aAA_sSS_eEE_vVV.json` (action, subject, episode, camera view) and holds
`{"file_name": ..., "skeletons": [T][20][3] metres, "label": 1 to 10}`. The store has
layout kinect20, one video and one clip a file, and the splits of `mgjax.protocols.nucla`.

The files are a benchmark: one that is damaged, or says another class than its name, stops
the job, because a store that quietly lacks a clip gives figures that compare with
nothing.

This module needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.csv_tables import shown
from mgjax import files, progress, protocols, skeleton, store
from mgjax.errors import InputError

FPS = 30  # Kinect v1
LARGEST = 2**26  # bytes of a file; the benchmark's largest has a third of a million
_NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)", re.ASCII)
# The actions are numbered 1 to 6, 8, 9, 11 and 12; labels are their rows, 0 to 9.
_LABEL = {action: label for label, action in enumerate(protocols.NUCLA_ACTIONS)}


@dataclasses.dataclass(frozen=True)
class NuclaClip:
    """One clip: its place in the benchmark, and keypoints `[T, 20, 3]`, float32, metres."""

    id: str
    action: int
    subject: int
    view: int
    keypoints: np.ndarray


def read(path: str | os.PathLike) -> NuclaClip:
    """Read one clip's file.

    Raises:
        InputError: the name is not of the form aAA_sSS_eEE_vVV, or the content is not
            what the name promises.
    """
    path = pathlib.Path(path)
    action, subject, view = _read_name(path)
    expected = "a clip of Northwestern-UCLA (is it damaged or cut short?)"
    content = files.parse_json(files.read_bytes(path, expected, LARGEST), str(path), expected)
    _check_content(path, content, label=_LABEL[action] + 1, action=action)
    return NuclaClip(path.stem, action, subject, view, _keypoints(content["skeletons"], path))


def _read_name(path: pathlib.Path) -> tuple[int, int, int]:
    """Action, subject and view that a file's name says."""
    match = _NAME.fullmatch(path.stem)
    if not match:
        raise InputError(f"{path}: the name is not of the form aAA_sSS_eEE_vVV.json")
    action, subject, _, view = map(int, match.groups())
    for what, value, known in (
        ("action", action, protocols.NUCLA_ACTIONS),
        ("subject", subject, protocols.NUCLA_SUBJECTS),
        ("view", view, protocols.NUCLA_VIEWS),
    ):
        if value not in known:
            numbers = ", ".join(map(str, known))
            raise InputError(f"{path}: {what} {value} is not among the benchmark's: {numbers}")
    return action, subject, view


def _check_content(path: pathlib.Path, content: Any, label: int, action: int) -> None:
    """Refuse content that lacks a field, or says another name or label than its file."""
    # JSON may be a list or a number just as well.
    fields = set(content) if isinstance(content, dict) else set()
    missing = {"file_name", "skeletons", "label"} - fields
    if missing:
        raise InputError(f"{path}: not a clip of Northwestern-UCLA: it has no {min(missing)!r}")
    if content["file_name"] != path.stem:
        named = shown(content["file_name"])
        raise InputError(f"{path}: its file_name is {named}, expected {path.stem!r}, its own name")
    if content["label"] != label:
        raise InputError(
            f"{path}: its label is {shown(content['label'])}, expected {label}, the number of "
            f"action {action}"
        )


def _keypoints(skeletons: Any, path: pathlib.Path) -> np.ndarray:
    joints = len(skeleton.KINECT_20)
    try:
        with np.errstate(over="ignore"):  # a number that float32 cannot hold becomes infinite
            keypoints = np.array(skeletons, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        raise InputError(
            f"{path}: skeletons is not a regular [T][{joints}][3] list of numbers"
        ) from None
    if keypoints.ndim != 3 or keypoints.shape[1:] != (joints, 3) or not len(keypoints):
        raise InputError(
            f"{path}: skeletons has shape {list(keypoints.shape)}, expected [T, {joints}, 3] with "
            "T at least 1"
        )
    if not np.isfinite(keypoints).all():
        raise InputError(f"{path}: skeletons holds a coordinate that is not finite")
    return keypoints


def pack(input: str | os.PathLike, output: str | os.PathLike) -> None:
    """Pack a folder of clips into a store.

    A split of `mgjax.protocols.nucla` that has no clip on one of its sides is left out.

    Args:
        input: the folder of `aAA_sSS_eEE_vVV.json` files; files with another ending are
            left alone.
        output: the store to write.

    Raises:
        InputError: the folder is missing or holds no .json file, or a file is not a whole
            clip of the benchmark.
    """
    folder = pathlib.Path(input)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of Northwestern-UCLA .json files")
    files.writable(output)
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(
            f"{folder}: holds no .json file, expected clips named aAA_sSS_eEE_vVV.json"
        )
    # All are read before anything is written: the benchmark is small, and a store has to
    # know how many frames will come.
    clips = [read(path) for path in progress.track(paths, len(paths), "reading")]
    _write(output, clips)


def _write(output: str | os.PathLike, clips: Sequence[NuclaClip]) -> None:
    frames = sum(len(clip.keypoints) for clip in clips)
    writer = store.StoreWriter(
        output,
        skeleton.KINECT_20,
        unit="metre",
        frames=frames,
        source="Northwestern-UCLA Multiview Action 3D, Kinect v1 skeletons",
        labels=list(protocols.NUCLA_ACTIONS.values()),
    )
    with writer:
        for clip in clips:
            # Where Kinect found no joint it leaves exact zeros, the camera's own place.
            score = clip.keypoints.any(axis=-1).astype(np.float32)
            subject = f"s{clip.subject:02}"
            writer.add_video(clip.id, clip.keypoints, score, fps=FPS, subject=subject)
            writer.add_clip(clip.id, 0, len(clip.keypoints), _LABEL[clip.action])
        splits = protocols.nucla([clip.subject for clip in clips], [clip.view for clip in clips])
        for name, (train, test) in splits.items():
            if len(train) and len(test):
                writer.add_split(name, train, test)


def summary(path: str | os.PathLike) -> str:
    """What a store written by `pack` holds, in a few lines."""
    with store.Store(path) as packed:
        count, expected = len(packed.clips), protocols.NUCLA_CLIPS
        whole = "(the whole benchmark)" if count == expected else f"of the benchmark's {expected}"
        lines = [f"{path}: {packed.frame_count} frames, {count} clips {whole}"]
        # Those that the benchmark has, so that one that is not written is said too.
        for name in protocols.nucla([], []):
            if name in packed.splits:
                split = packed.splits[name]
                said = f"{len(split.train)} clips train, {len(split.test)} test"
            else:
                said = "not written, for no clip is there to train or none to test"
            lines.append(f"  {name}: {said}")
    return "\n".join(lines)
