"""What a skeleton is: a layout of joints, and what follows from their order and bones.

Cutting one layout out of another, bone streams, graph adjacency, mirroring and drawing
derive from the `Layout` objects here. The named ones are written down in `layouts`;
`get` finds them, and those in a user's JSON files.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import Any, cast

import numpy as np

from mgjax import files, layouts, sides
from mgjax.errors import InputError, short
from mgjax.layouts import Pairs

MOST_JOINTS = 5000  # of which an adjacency matrix still fits into memory
_LONGEST_NAME = 200  # characters

# Ways out for a layout whose mirror image is not known.
_PACK_AGAIN = (
    "its joints' names have sides, but a store or run keeps the layout it was made with: pack again"
)
_SAY_THE_SIDES = (
    "give it `mirror`, or joint names with left and right; of one hand, its side in the layout's "
    "name"
)


@dataclasses.dataclass(frozen=True, repr=False)
class Layout:
    """A named skeleton.

    >>> bust = Layout(
    ...     name="bust",
    ...     joints=("Neck", "LShoulder", "RShoulder", "Nose"),
    ...     bones=(("Neck", "LShoulder"), ("Neck", "RShoulder"), ("Neck", "Nose")),
    ...     root=("Neck",),
    ...     scale=("RShoulder", "LShoulder"),
    ...     across=("RShoulder", "LShoulder"),
    ...     up=("Neck", "Nose"),
    ... )
    >>> bust
    <Layout 'bust': 4 joints, 3 bones, 2 dimensions>
    >>> bust.mirror  # found in the joints' names
    (('LShoulder', 'RShoulder'),)
    >>> bust.cut(get("body25"))  # of keypoints of body25, these columns are a bust
    array([1, 5, 2, 0])

    Attributes:
        name: what the command line and the store call it.
        joints: joint names in storage order; their number is V.
        bones: (parent, child) joint names. Every joint has at most one parent and there are no
            cycles.
        root: the joints whose mean is the origin of root-centred coordinates.
        scale: two joints whose distance is the body's size.
        across: (right, left) joints of the axis that says which way the body faces.
        up: (lower, upper) joints of the body's vertical axis.
        dimensions: coordinates of a joint, 2 (pixels) or 3 (metres).
        parts: body part name to joint names.
        mirror: (left, right) joint names that swap when the body is mirrored. Left out, they are
            the pairs whose names differ only in their side, as `sides.pairs` finds them.

    Raises:
        InputError: the parts do not fit together.
    """

    name: str
    joints: tuple[str, ...]
    bones: Pairs
    root: tuple[str, ...]
    scale: tuple[str, str]
    across: tuple[str, str]
    up: tuple[str, str]
    dimensions: int = 2
    parts: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict, hash=False)
    # None until `__post_init__`, and for no reader of it.
    mirror: Pairs = dataclasses.field(default=cast(Pairs, None))

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            expected = f"text of 1 to {_LONGEST_NAME} characters"
            raise InputError(f"a layout's name is {short(self.name)}, expected {expected}")
        self._make_tuples()
        self._check_joints()
        self._check_references()
        self._check_pairs()
        self._check_bones()

    def __len__(self) -> int:
        return len(self.joints)

    def __repr__(self) -> str:
        size = f"{len(self)} joints, {len(self.bones)} bones, {self.dimensions} dimensions"
        return f"<Layout {self.name!r}: {size}>"

    # What the fields must be. They may come from anybody's JSON file, so nothing about
    # them is taken for granted, and each problem gets a sentence of its own.

    def _wrong(self, problem: str) -> InputError:
        return InputError(f"layout {self.name!r}: {problem}")

    def _make_tuples(self) -> None:
        """Turn lists, as JSON has them, into tuples, which can be hashed: a layout is a
        static argument of compiled functions."""
        made: dict[str, Any] = {}
        for field in ("joints", "root", "scale", "across", "up"):
            made[field] = self._names(field, getattr(self, field))
        made["bones"] = self._pairs("bones", self.bones)
        if not isinstance(self.parts, dict) or not all(map(_is_name, self.parts)):
            expected = "names of parts, each with a list of joints"
            raise self._wrong(f"parts is {short(self.parts)}, expected {expected}")
        made["parts"] = {part: self._names("parts", joints) for part, joints in self.parts.items()}
        if self.mirror is None:
            made["mirror"] = sides.pairs(made["joints"])
        else:
            made["mirror"] = self._pairs("mirror", self.mirror)
        for field, value in made.items():
            object.__setattr__(self, field, value)  # the way around `frozen`

    def _names(self, field: str, value: Any) -> tuple[str, ...]:
        is_list = isinstance(value, (list, tuple))
        wrong = [name for name in value if not _is_name(name)] if is_list else [value]
        if wrong:
            raise self._wrong(f"{field} holds {short(wrong[0])}, expected a list of joint names")
        return tuple(value)

    def _pairs(self, field: str, value: Any) -> tuple[tuple[str, ...], ...]:
        if not isinstance(value, (list, tuple)):
            raise self._wrong(f"{field} is {short(value)}, expected a list of pairs of joints")
        return tuple(self._names(field, pair) for pair in value)

    def _check_joints(self) -> None:
        if len(set(self.joints)) != len(self.joints) or not self.joints:
            raise self._wrong("joint names must be given and differ from each other")
        if len(self.joints) > MOST_JOINTS:
            raise self._wrong(f"has {len(self.joints)} joints, expected at most {MOST_JOINTS}")
        if type(self.dimensions) is not int or self.dimensions not in (2, 3):
            raise self._wrong(f"dimensions is {short(self.dimensions)}, expected 2 or 3")

    def _check_references(self) -> None:
        """Every joint that a field names is there."""
        named: list[tuple[str, Iterable]] = [("bones", self.bones), ("mirror", self.mirror)]
        named += [("parts", self.parts.values())]
        named += [(field, [getattr(self, field)]) for field in ("root", "scale", "across", "up")]
        there = set(self.joints)
        for field, groups in named:
            unknown = {joint for group in groups for joint in group} - there
            if unknown:
                problem = f"{field} names {short(min(unknown))}"
                raise self._wrong(f"{problem}, which is not among its joints")

    def _check_pairs(self) -> None:
        for field, pairs in (("bones", self.bones), ("mirror", self.mirror)):
            wrong = [pair for pair in pairs if len(pair) != 2]
            if wrong:
                raise self._wrong(f"each of its {field} takes two joints, got {short(wrong[0])}")
        sided = [joint for pair in self.mirror for joint in pair]
        if len(set(sided)) != len(sided):
            raise self._wrong("mirror names a joint twice")
        for field in ("scale", "across", "up"):
            pair = getattr(self, field)
            if len(pair) != 2 or pair[0] == pair[1]:
                raise self._wrong(f"{field} takes two joints, got {short(pair)}")
        if not self.root or len(set(self.root)) != len(self.root):
            raise self._wrong("root takes at least one joint, and none twice")

    def _check_bones(self) -> None:
        """The bones are a forest: one parent at most, and every way up ends."""
        parent: dict[str, str] = {}
        for start, end in self.bones:
            if end in parent:
                raise self._wrong(f"joint {end!r} has two parents, {parent[end]!r} and {start!r}")
            parent[end] = start
        # Joints from which the way up is known to end: no part of it is gone twice, so that a
        # chain of thousands of joints takes no time.
        rooted: set[str] = set()
        for joint in self.joints:
            way = [joint]
            while (above := parent.get(way[-1])) is not None and above not in rooted:
                way.append(above)
                if len(way) > len(self.joints):
                    raise self._wrong(f"its bones run in a circle through {above!r}")
            rooted.update(way)

    # What follows from the fields

    def index(self, *names: str) -> np.ndarray:
        """Indices of joints by name, int64 `[len(names)]`."""
        place = {joint: i for i, joint in enumerate(self.joints)}
        return np.array([place[name] for name in names], dtype=np.int64)

    def _pair_indices(self, pairs: Pairs) -> np.ndarray:
        """Indices of pairs of joints, int64 `[pairs, 2]`."""
        names = [joint for pair in pairs for joint in pair]
        return self.index(*names).reshape(-1, 2)

    @property
    def bone_indices(self) -> np.ndarray:
        """(parent, child) indices of every bone, int64 `[bones, 2]`."""
        return self._pair_indices(self.bones)

    @property
    def parent(self) -> np.ndarray:
        """Index of every joint's parent, int64 `[V]`; a joint without one is its own parent."""
        parent = np.arange(len(self))
        bones = self.bone_indices
        parent[bones[:, 1]] = bones[:, 0]
        return parent

    @property
    def mirror_permutation(self) -> np.ndarray:
        """`x[mirror_permutation]` swaps left and right joints, int64 `[V]`."""
        order = np.arange(len(self))
        pairs = self._pair_indices(self.mirror)
        order[pairs] = pairs[:, ::-1]
        return order

    def check_mirror(self, asked: str) -> None:
        """Check that it is known what the mirror image is.

        With mirror pairs it is, and so it is of one side alone, such as one hand: the image of a
        left hand is a right hand, joint by joint, and nothing swaps.

        Args:
            asked: who asks for it, for the error message.

        Raises:
            InputError: nothing says what it is.
        """
        if self.mirror or sides.are_one_side(self.joints, self.name):
            return
        # Sides are looked for when a layout is made, and earlier versions knew fewer spellings.
        way_out = _PACK_AGAIN if sides.pairs(self.joints) else _SAY_THE_SIDES
        problem = f"layout {self.name!r} has no mirror pairs: {way_out}"
        raise InputError(f"{asked} is asked for, but {problem}")

    def adjacency(self) -> np.ndarray:
        """Undirected adjacency without self loops, float32 `[V, V]`."""
        matrix = np.zeros((len(self), len(self)), np.float32)
        i, j = self.bone_indices.T
        matrix[i, j] = matrix[j, i] = 1
        return matrix

    def cut(self, larger: Layout) -> np.ndarray:
        """Indices of this layout's joints in `larger`, int64 `[V]`.

        Raises:
            InputError: a joint of this layout is not in the larger one.
        """
        missing = [joint for joint in self.joints if joint not in larger.joints]
        if missing:
            problem = f"layout {self.name!r} cannot be cut out of {larger.name!r}"
            others = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
            raise InputError(f"{problem}: it has no joint {missing[0]!r}{others}")
        return larger.index(*self.joints)

    # JSON

    def to_json(self) -> str:
        """The layout as one JSON object; `from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "layout") -> Layout:
        """The layout a JSON object describes.

        Args:
            source: names the file in error messages.

        Raises:
            InputError: it is not JSON, not a layout's fields, or they do not fit together.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        required = names[: names.index("dimensions")]
        expected = f"a JSON object with {', '.join(names)}"
        found = files.parse_json(text, f"{source}: not a layout", expected, once=True)
        problem = None
        if not isinstance(found, dict):
            problem = short(found)
        elif missing := set(required) - set(found):
            problem = f"{min(missing)!r} is missing"
        elif unknown := set(found) - set(names):
            problem = f"{short(min(unknown))} is unknown"
        if problem:
            raise InputError(f"{source}: not a layout: {problem}; expected {expected}")
        try:
            return cls(**found)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None


def _is_name(value: object) -> bool:
    """Whether it is a name that a store can hold: UTF-8 text of 1 to 200 characters without NUL."""
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_NAME or "\0" in value:
        return False
    # Halves of a surrogate pair, which JSON can spell alone, are not UTF-8.
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


LAYOUTS: dict[str, Layout] = {}


def register(layout: Layout) -> Layout:
    """Make a layout known by its name to `get`, the packers and the scripts of this process."""
    LAYOUTS[layout.name] = layout
    return layout


def get(name: str) -> Layout:
    """A layout by name, or from a JSON file (a path that ends in .json) holding `Layout`'s fields.

    >>> get("kinect20")
    <Layout 'kinect20': 20 joints, 19 bones, 3 dimensions>

    Raises:
        InputError: the name is unknown, or the file is not a layout.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    if not name.endswith(".json"):
        known = ", ".join(sorted(LAYOUTS))
        problem = f"unknown layout {name!r}; known are {known}"
        raise InputError(f"{problem}, or the path of a layout's .json file")
    if not pathlib.Path(name).exists():
        shown = repr(name) if "\0" in name else name
        raise InputError(f"{shown}: no such layout file")
    return Layout.from_json(files.read_bytes(name, "a layout's JSON file", most=2**24), name)


BODY_25 = register(Layout(**layouts.BODY_25))
BODY_25B = register(Layout(**layouts.BODY_25B))
COCO_18 = register(Layout(**layouts.COCO_18))
COCO_17 = register(Layout(**layouts.COCO_17))
LEFT_HAND_21 = register(Layout(**layouts.LEFT_HAND_21))
RIGHT_HAND_21 = register(Layout(**layouts.RIGHT_HAND_21))
BODY_25_HANDS = register(Layout(**layouts.BODY_25_HANDS))
OPENPOSE_137 = register(Layout(**layouts.OPENPOSE_137))
IMIGUE_35 = register(Layout(**layouts.IMIGUE_35))
IMIGUE_22 = register(Layout(**layouts.IMIGUE_22))
KINECT_20 = register(Layout(**layouts.KINECT_20))
NTU_25 = register(Layout(**layouts.NTU_25))
