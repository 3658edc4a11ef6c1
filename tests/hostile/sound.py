"""Plain checks of what was accepted; none of them uses a check of the code under test."""

from __future__ import annotations

import pathlib
import sys

import h5py
import numpy as np

from hostile import Nonsense
from mgjax.errors import InputError
from mgjax.store import Store

MOST_FRAMES = 10**6  # no sound material here has more


def need(holds, what: str):
    """Raise `Nonsense` unless something holds."""
    if not holds:
        raise Nonsense(what)


def packed(path: pathlib.Path, pack):
    """Let a packer write a store: it is sound, or the packer refuses and leaves nothing at all."""
    before = set(path.parent.iterdir())
    try:
        pack(path)
    except InputError:
        left = sorted(str(new.name) for new in set(path.parent.iterdir()) - before)
        need(not left, f"refused, but left {left}")
        raise
    need(not path.with_name(path.name + ".partial").exists(), "a .partial is left beside the store")
    try:
        store(path)
    except InputError as error:
        raise Nonsense(f"the store that was written is refused: {error}") from None


def store(path: pathlib.Path):
    """Open a store, read all of it, and check every value. InputError: the store is refused."""
    with Store(path) as opened:
        need(opened.frame_count <= MOST_FRAMES, f"a store of {opened.frame_count} frames")
        videos, clips, labels = opened.videos, opened.clips, opened.labels
        joints, dimensions = len(opened.layout), opened.layout.dimensions
        layout(opened.layout)
        shape = (opened.frame_count, joints)
        keypoints, score = opened.frames(0, opened.frame_count)
        _frames(keypoints, score, (*shape, dimensions))
        _texts("video id", videos.id)
        need(len(set(videos.id.tolist())) == len(videos), "two videos of one id")
        _texts("subject", videos.subject)
        _texts("emotion", videos.emotion)
        _texts("label", labels)
        for name in ("fps", "width", "height", "start", "length"):
            column = np.asarray(getattr(videos, name), np.float64)
            need(
                np.isfinite(column).all() and (column >= 0).all(),
                f"videos.{name} of {column.min()}",
            )
        end = 0
        for start, length in zip(videos.start.tolist(), videos.length.tolist()):
            need(start == end, f"a video starts at {start}, the one before ends at {end}")
            end += length
        need(
            end == opened.frame_count, f"videos of {end} frames in a store of {opened.frame_count}"
        )
        for row in range(len(videos)):
            _frames(*opened.video(row), (int(videos.length[row]), joints, dimensions))
        rows = zip(
            clips.video.tolist(), clips.start.tolist(), clips.length.tolist(), clips.label.tolist()
        )
        for row, (video, start, length, label) in enumerate(rows):
            need(0 <= video < len(videos), f"clip {row} of video {video}")
            need(
                start >= 0 and 0 < length <= int(videos.length[video]) - start,
                f"clip {row} outside its video",
            )
            need(
                -1 <= label < len(labels),
                f"clip {row} of label {label}, with {len(labels)} classes",
            )
            _frames(*opened.clip(row), (length, joints, dimensions))
        for name in opened.splits:
            split = opened.split(name)
            count = len(clips) if split.of == "clips" else len(videos)
            both = np.concatenate([split.train, split.test])
            need(both.dtype.kind in "iu", f"split {name!r} of {both.dtype}")
            need(
                ((both >= 0) & (both < count)).all(),
                f"split {name!r} names rows that are not there",
            )
            need(len(set(both.tolist())) == len(both), f"split {name!r} names a row twice")
            for side in opened.clip_split(name):
                need(
                    ((side >= 0) & (side < len(clips))).all(),
                    f"split {name!r} gives clips that are not there",
                )
    _nothing_from_outside(path)


def _frames(keypoints, score, shape):
    need(
        keypoints.shape == shape and score.shape == shape[:2],
        f"frames {keypoints.shape} {score.shape}",
    )
    need(
        keypoints.dtype == np.float32 and score.dtype == np.float32,
        f"frames {keypoints.dtype} {score.dtype}",
    )
    need(np.isfinite(keypoints).all(), "a keypoint that is not finite")
    need(np.isfinite(score).all() and (score >= 0).all(), "a score that is negative or not finite")


def _texts(what, values):
    for each in values:
        need(isinstance(each, str), f"{what} {each!r}")


def _nothing_from_outside(path):
    """No part of an accepted store lies in another file."""

    def look(group, depth=0):
        for name in group:
            link = group.get(name, getlink=True)
            need(not isinstance(link, h5py.ExternalLink), f"{name}: an external link")
            found = group.get(name)
            if isinstance(found, h5py.Dataset):
                need(
                    not found.external and not found.is_virtual,
                    f"{name}: its values lie in another file",
                )
            elif isinstance(found, h5py.Group) and depth < 4:
                look(found, depth + 1)

    with h5py.File(path) as file:
        for part in ("frames", "videos", "clips", "splits"):
            need(
                isinstance(file.get(part, getlink=True), h5py.HardLink),
                f"{part}: not a part of the file itself",
            )
            look(file[part])


def layout(accepted):
    """A layout's joints and what refers to them."""
    joints = accepted.joints
    need(isinstance(accepted.name, str) and accepted.name, f"a layout called {accepted.name!r}")
    need(
        joints and all(isinstance(joint, str) and joint for joint in joints),
        "a joint whose name is no text",
    )
    need(len(set(joints)) == len(joints), "two joints of one name")
    need(
        type(accepted.dimensions) is int and accepted.dimensions in (2, 3),
        f"{accepted.dimensions!r} dimensions",
    )
    for pair in (*accepted.bones, *accepted.mirror, accepted.scale, accepted.across, accepted.up):
        need(len(pair) == 2 and set(pair) <= set(joints), f"a pair {pair!r}")
    need(accepted.root and set(accepted.root) <= set(joints), f"root {accepted.root!r}")
    for part, members in accepted.parts.items():
        need(isinstance(part, str) and set(members) <= set(joints), f"part {part!r}")
    order = accepted.mirror_permutation
    need((order[order] == np.arange(len(joints))).all(), "mirroring twice is not nothing")
    parent = accepted.parent
    for joint in range(len(joints)):
        for _ in joints:
            joint = parent[joint]
        need(parent[joint] == joint, "bones that run in a circle")


def options(chosen):
    """Options of a dataclass: of the kinds of their defaults, and finite."""
    for name, default in (
        (field, type(chosen).__dataclass_fields__[field].default)
        for field in type(chosen).__dataclass_fields__
    ):
        given = getattr(chosen, name)
        if isinstance(default, (bool, str)):
            need(type(given) is type(default), f"{name} is {given!r}")
        elif isinstance(default, int):
            need(type(given) is int and abs(given) < 2**63, f"{name} is {str(given)[:60]}")
        elif isinstance(default, float):
            need(
                type(given) in (int, float) and abs(given) <= sys.float_info.max,
                f"{name} is {str(given)[:60]}",
            )
