"""Northwestern-UCLA Multiview Action 3D, as one JSON file a clip, to a store.

    python data_prep/pack_nucla.py --input nucla/ --output nucla.h5

Each file is `aAA_sSS_eEE_vVV.json` (action, subject, episode, camera view) and holds
`{"file_name": ..., "skeletons": [T][20][3] metres, "label": 1 to 10}`. The store has layout
kinect20, one video and one clip a file, and the splits of `mgjax.protocols.nucla`.

The files are a benchmark: one that is damaged, or says another class than its name, stops the
job, because a store that quietly lacks a clip gives figures that compare with nothing.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

import numpy as np

from data_prep.csv_tables import shown
from mgjax import files, progress, protocols, skeleton, store
from mgjax.errors import InputError

FPS = 30  # Kinect v1
LARGEST = 2**26  # bytes of a file; the benchmark's largest has a third of a million
_NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)", re.ASCII)
_NUMBER = {action: number for number, action in enumerate(protocols.NUCLA_ACTIONS)}


@dataclasses.dataclass(frozen=True)
class NuclaClip:
    """One clip: its place in the benchmark and its keypoints, float32 `[T, 20, 3]` in metres."""

    id: str
    action: int
    subject: int
    view: int
    keypoints: np.ndarray


def read(path) -> NuclaClip:
    """Read one clip's file.

    Raises:
        InputError: the name is not of the form aAA_sSS_eEE_vVV, or the content is not what the
            name promises.
    """
    path = pathlib.Path(path)
    match = _NAME.fullmatch(path.stem)
    if not match:
        raise InputError(f"{path}: the name is not of the form aAA_sSS_eEE_vVV.json")
    action, subject, _, view = map(int, match.groups())
    places = (
        ("action", action, protocols.NUCLA_ACTIONS),
        ("subject", subject, protocols.NUCLA_SUBJECTS),
        ("view", view, protocols.NUCLA_VIEWS),
    )
    for what, value, known in places:
        if value not in known:
            raise InputError(
                f"{path}: {what} {value} is not among the benchmark's: {', '.join(map(str, known))}"
            )
    expected = "a clip of Northwestern-UCLA (is it damaged or cut short?)"
    content = files.parse_json(files.read_bytes(path, expected, LARGEST), str(path), expected)
    missing = {"file_name", "skeletons", "label"} - (
        content.keys() if isinstance(content, dict) else set()
    )
    if missing:
        raise InputError(
            f"{path}: not a clip of Northwestern-UCLA: it has no {sorted(missing)[0]!r}"
        )
    if content["file_name"] != path.stem:
        raise InputError(
            f"{path}: its file_name is {shown(content['file_name'])}, expected "
            f"{path.stem!r}, its own name"
        )
    if content["label"] != _NUMBER[action] + 1:
        raise InputError(
            f"{path}: its label is {shown(content['label'])}, expected {_NUMBER[action] + 1}, the "
            f"number of action {action}"
        )
    return NuclaClip(path.stem, action, subject, view, _keypoints(content["skeletons"], path))


def _keypoints(skeletons, path) -> np.ndarray:
    layout = skeleton.KINECT_20
    try:
        with np.errstate(over="ignore"):  # a number that float32 cannot hold becomes infinite
            keypoints = np.array(skeletons, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        raise InputError(
            f"{path}: skeletons is not a regular [T][{len(layout)}][3] list of numbers"
        ) from None
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(layout), 3) or not len(keypoints):
        raise InputError(
            f"{path}: skeletons has shape {list(keypoints.shape)}, expected [T, {len(layout)}, 3] "
            "with T at least 1"
        )
    if not np.isfinite(keypoints).all():
        raise InputError(f"{path}: skeletons holds a coordinate that is not finite")
    return keypoints


def pack(input, output) -> None:
    """Pack a folder of clips into a store.

    A split of `mgjax.protocols.nucla` that has no clip on one of its sides is left out.

    Args:
        input: the folder of `aAA_sSS_eEE_vVV.json` files; files with another ending are left alone.
        output: the store to write.

    Raises:
        InputError: the folder is missing or holds no .json file, or a file is not a whole clip of
            the benchmark.
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
    recordings = [read(path) for path in progress.track(paths, len(paths), "reading")]
    writer = store.StoreWriter(
        output,
        skeleton.KINECT_20,
        unit="metre",
        frames=sum(len(r.keypoints) for r in recordings),
        source="Northwestern-UCLA Multiview Action 3D, Kinect v1 skeletons",
        labels=list(protocols.NUCLA_ACTIONS.values()),
    )
    with writer:
        for r in recordings:
            # Kinect leaves exact zeros, the camera's own position, where it found no joint.
            seen = r.keypoints.any(axis=-1).astype(np.float32)
            writer.add_video(r.id, r.keypoints, seen, fps=FPS, subject=f"s{r.subject:02}")
            writer.add_clip(r.id, 0, len(r.keypoints), _NUMBER[r.action])
        splits = protocols.nucla([r.subject for r in recordings], [r.view for r in recordings])
        for name, (train, test) in splits.items():
            if len(train) and len(test):
                writer.add_split(name, train, test)


def summary(path) -> str:
    """What a store written by `pack` holds, in a few lines."""
    with store.Store(path) as packed:
        count, expected = len(packed.clips), protocols.NUCLA_CLIPS
        lines = [
            f"{path}: {packed.frame_count} frames, {count} clips "
            + ("(the whole benchmark)" if count == expected else f"of the benchmark's {expected}")
        ]
        for name in protocols.nucla([], []):
            if name in packed.splits:
                split = packed.splits[name]
                lines.append(f"  {name}: {len(split.train)} clips train, {len(split.test)} test")
            else:
                lines.append(
                    f"  {name}: not written, for no clip is there to train or none to test"
                )
    return "\n".join(lines)
