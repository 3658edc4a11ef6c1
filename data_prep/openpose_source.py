"""What OpenPose's JSON holds, and what a job reads of it.

A file is one frame: for each person a list of body joints (of one of the pose models in
`MODELS`) and perhaps lists of face and hand joints. A `Source`, made by `source_of`, says
which of these lists to read and where a layout's joints lie among them.
`data_prep/openpose_folders.py` finds the files, `data_prep/openpose_frames.py` reads
them. OpenPose says who is in a frame, not who is who: `data_prep/following.py` finds that
out.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mgjax import skeleton
from mgjax.errors import InputError

# OpenPose's pose models by the layout of their joints. 25 joints are BODY_25 or BODY_25B:
# no count can tell.
MODELS = {layout.name: layout for layout in (skeleton.BODY_25, skeleton.BODY_25B, skeleton.COCO_18)}
POSE = "pose_keypoints_2d"
FACE = skeleton.OPENPOSE_137.parts["face"]
_PARTS: dict[str, tuple[str, ...]] = {
    "face_keypoints_2d": FACE,
    "hand_left_keypoints_2d": skeleton.LEFT_HAND_21.joints,
    "hand_right_keypoints_2d": skeleton.RIGHT_HAND_21.joints,
}


@dataclasses.dataclass(frozen=True)
class Source:
    """What to read from each file and how to make a layout of it; `source_of` builds one.

    Attributes:
        layout: the layout to store.
        model: the layout of the files' pose part.
        parts: the JSON's name of each further part that the layout needs, and its number
            of joints.
        columns: where the layout's joints lie among those read (pose first, then
            `parts`), int64 `[V]`; -1 for a joint that is not read and stays unseen.
    """

    layout: skeleton.Layout
    model: skeleton.Layout
    parts: tuple[tuple[str, int], ...]
    columns: np.ndarray

    @property
    def width(self) -> int:
        """How many joints are read of a person, those of the pose and of the parts."""
        return len(self.model) + sum(count for _, count in self.parts)


def source_of(
    layout: skeleton.Layout,
    model_pose: str | None = None,
    keep_face: bool = False,
    read: skeleton.Layout | None = None,
) -> Source:
    """How to cut `layout` out of OpenPose's files.

    Args:
        layout: what to store; its joints must be among a pose model's, the hands' and the
            face's.
        model_pose: the pose model that made the files, one of `MODELS`; None takes it from `read`:
            the model of exactly its joints, else the first that has them all.
        keep_face: whether face landmarks may be stored.
        read: the joints to read, if not the layout's: those that it lacks stay unseen,
            and those that the layout lacks are not stored.

    Raises:
        InputError: no model has the layout's joints, or both models of 25 joints have; or
            face landmarks are in the layout without `keep_face`, or the other way round;
            or `read` has none of its joints.

    Example:
        >>> from data_prep import openpose_source
        >>> from mgjax import skeleton
        >>> source = openpose_source.source_of(skeleton.get("imigue22"))
        >>> source.model.name, source.parts
        ('body25', (('hand_left_keypoints_2d', 21), ('hand_right_keypoints_2d', 21)))
        >>> source.columns[:12].tolist()  # of BODY_25's joints, those of the upper body
        [0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 18]
    """
    _check_layout(layout, keep_face)
    read = layout if read is None else read
    wanted = [joint for joint in layout.joints if joint in read.joints]
    if not wanted:
        raise InputError(f"layouts {layout.name!r} and {read.name!r} have no joint in common")
    # The face is not even parsed where nobody wants it.
    parts = {name: joints for name, joints in _PARTS.items() if set(joints) & set(wanted)}
    further: tuple[str, ...] = sum(parts.values(), ())
    if model_pose is None:
        model_pose = _model_of(read, further)
    if model_pose not in MODELS:
        raise InputError(f"unknown pose model {model_pose!r}; known are {', '.join(MODELS)}")
    model = MODELS[model_pose]
    there = model.joints + further
    missing = [joint for joint in wanted if joint not in there]
    if missing:
        others = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
        raise InputError(
            f"layout {read.name!r} cannot be read from files of OpenPose's {model.name}: they have "
            f"no joint {missing[0]!r}{others}"
        )
    columns = [there.index(joint) if joint in wanted else -1 for joint in layout.joints]
    counts = tuple((name, len(joints)) for name, joints in parts.items())
    return Source(layout, model, counts, np.array(columns))


def _check_layout(layout: skeleton.Layout, keep_face: bool) -> None:
    """Refuse a layout that the files cannot give, or a face that nobody asked for by name."""
    if layout.dimensions != 2:
        raise InputError(
            f"layout {layout.name!r} has {layout.dimensions} dimensions, OpenPose's files have 2"
        )
    face = bool(set(layout.joints) & set(FACE))
    if face and not keep_face:
        raise InputError(
            f"layout {layout.name!r} holds face landmarks: they identify a person and are kept "
            "only with --keep_face"
        )
    if keep_face and not face:
        raise InputError(
            f"--keep_face has nothing to keep: layout {layout.name!r} holds no face landmarks"
        )


def _model_of(read: skeleton.Layout, further: tuple[str, ...]) -> str:
    """The pose model that a layout and the joints of further parts say."""
    wanted = set(read.joints) - set(further)
    fitting = [name for name, model in MODELS.items() if wanted <= set(model.joints)]
    same = [name for name, model in MODELS.items() if model.joints == read.joints]
    # Files of either would be read without complaint, and by the wrong one as nonsense.
    if {"body25", "body25b"} <= set(fitting) and not same:
        raise InputError(
            f"layout {read.name!r} can be cut out of BODY_25 and of BODY_25B, whose files both "
            "hold 25 joints: say with --model_pose which one made them"
        )
    # Where none fits, the most usual one lets the caller name the joint that is missing.
    return [*same, *fitting, "body25"][0]
