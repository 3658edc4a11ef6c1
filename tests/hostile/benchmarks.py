"""Hostile files of NTU RGB+D, Northwestern-UCLA and pyskl."""

from __future__ import annotations

import io
import json
import os
import pickle

import numpy as np

from data_prep import ntu as ntu_format
from data_prep import nucla as nucla_format
from data_prep import pyskl as pyskl_format
from data_prep import pyskl_pickles
from hostile import Nonsense, damage, formats, sound, target

# NTU RGB+D


def _skeleton_lines(chance, frames=3, bodies=1):
    """A sound .skeleton file, as lines of words."""
    lines = [[str(frames)]]
    for _ in range(frames):
        lines.append([str(bodies)])
        for body in range(bodies):
            lines += [[str(72057594037931101 + body), *"0 1 1 1 1 0 0.1 0.2 2".split()], ["25"]]
            lines += [
                [*(f"{chance.uniform(-1, 1):.5f}" for _ in range(11)), "2"] for _ in range(25)
            ]
    return lines


@target("ntu", 9)
def ntu(chance, folder, good):
    """A folder of two samples, of which one is spoilt; perhaps a spoilt list of missing ones."""
    root = folder / "input"
    root.mkdir()
    name = "S001C001P001R001A001"
    if chance.random() < 0.1:
        name = chance.choice(
            (
                "S001C001P001R001A121",
                "S001C001P001R001",
                "S999C001P001R001A050",
                "S٠٠١C001P001R001A001",
                "S001C001P001R001A050",
            )
        )
    lines = _skeleton_lines(chance, bodies=chance.choice((0, 1, 1, 2)))
    for _ in range(chance.choice((1, 1, 2))):
        way, line = (
            chance.randrange(10),
            chance.choice(lines[:3] if chance.random() < 0.3 else lines),
        )
        place = chance.randrange(len(line)) if line else 0
        if way < 4 and line:
            line[place] = str(damage.number(chance))
        elif way < 6 and line:
            line[place] = str(damage.value(chance))
        elif way == 6:
            line.insert(place, damage.text(chance))
        elif way == 7:
            del line[place : place + 1]
        elif way == 8:
            lines.remove(line)
        else:
            lines.insert(chance.randrange(len(lines)), list(line))
    data = "".join(" ".join(line) + "\n" for line in lines).encode("utf-8", "surrogatepass")
    if chance.random() < 0.25:
        data = damage.bytes_of(chance, data)
    elif chance.random() < 0.3:
        data = formats.skeleton_file(chance)
    damage.place(chance, root / f"{name}.skeleton", data)
    other = "".join(" ".join(line) + "\n" for line in _skeleton_lines(chance))
    (root / "S001C002P002R001A002.skeleton").write_text(other)
    missing = None
    if chance.random() < 0.2:
        rows = [["heading"], ["S001C002P003R001A002"], ["S001C001P001R002A003"]]
        data = damage.table_of(chance, rows) if chance.random() < 0.5 else formats.samples(chance)
        missing = damage.place(chance, folder / "missing.txt", data)
    bodies = chance.choice((1, 2))
    sound.packed(
        folder / "out.h5", lambda out: ntu_format.pack(root, out, missing=missing, bodies=bodies)
    )


# Northwestern-UCLA


@target("nucla", 7)
def nucla(chance, folder, good):
    """A folder of two clips, of which one is spoilt."""
    root = folder / "input"
    root.mkdir()
    for name, label in (("a01_s01_e01_v01", 1), ("a02_s02_e00_v03", 2)):
        frames = np.round(
            np.random.default_rng(chance.getrandbits(32)).normal(size=(3, 20, 3)), 4
        ).tolist()
        clip = {"file_name": name, "skeletons": frames, "label": label}
        data = damage.json_of(chance, clip) if label == 1 else json.dumps(clip).encode()
        if label == 1 and chance.random() < 0.05:
            name = chance.choice(
                ("a01_s01_e01_v09", "a1_s01_e01_v01", "a01_s01_e01_v01 (copy)", "a٠١_s01_e01_v01")
            )
        if label == 1 and chance.random() < 0.3:
            name, data = "a01_s01_e00_v01", formats.nucla_file(chance)
        damage.place(chance, root / f"{name}.json", data)
    sound.packed(folder / "out.h5", lambda out: nucla_format.pack(root, out))


# pyskl


class _Call:
    """Pickled as a call of a function by name."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def _annotations(chance):
    """A sound pickle's content: three annotations and two lists."""
    rng = np.random.default_rng(chance.getrandbits(32))
    count, dimensions = chance.choice(((17, 2), (25, 3)))
    annotations = [
        {
            "frame_dir": f"v{i}",
            "total_frames": 3,
            "label": i,
            "img_shape": (720, 1280),
            "original_shape": (720, 1280),
            "keypoint": rng.uniform(1, 700, (1 + i % 2, 3, count, dimensions)).astype(
                chance.choice("fde")
            ),
            "keypoint_score": rng.uniform(0.1, 1, (1 + i % 2, 3, count)).astype("f"),
        }
        for i in range(3)
    ]
    return {"split": {"xsub_train": ["v0", "v1"], "xsub_val": ["v2"]}, "annotations": annotations}


def _shared_lists(depth):
    value = [0]
    for _ in range(depth):
        value = [value, value]
    return value


def _hostile_arrays(chance):
    return chance.choice(
        (
            np.full((1, 3, 17, 2), np.nan, "f"),
            np.full((1, 3, 17, 2), np.inf),
            np.zeros((0, 3, 17, 2)),
            np.zeros((1, 0, 17, 2)),
            np.zeros((1, 3, 0, 2)),
            np.zeros((1, 3, 17, 2), "M8[s]"),
            np.zeros((1, 3, 17, 2), "U3"),
            np.zeros((1, 3, 17, 2), complex),
            np.zeros((1, 3, 17, 2), bool),
            np.full((1, 3, 17, 2), 1e300),
            np.full((1, 3, 17, 2), -1, "i8"),
            np.zeros((17, 2)),
            np.zeros(()),
            np.zeros((1,) * 32),
            [[[[1.0, 2.0]] * 17] * 3, [[[1.0]] * 17] * 3],
            [[1, 2], [3]],
            np.zeros((1, 3, 17, 2), ">f4"),
        )
    )


MARK = "ran"  # the file that a pickle which runs something makes in its folder


def _malicious(chance, folder) -> bytes:
    """A small pickle that wants to run something, to run for ever, or to take all the memory."""
    many = 2 * 10**10
    value = chance.choice(
        (
            _Call(os.system, f"touch '{folder / MARK}'"),
            _Call(eval, f"open({str(folder / MARK)!r}, 'w')"),
            _Call(getattr, "a", "upper"),
            _Call(__import__, "os"),
            _Call(bytearray, many),
            _Call(bytes, many),
            _Call(np.ndarray, (10**6, 10**6), "f4"),
            _Call(list, "ab"),
            _Call(range, many),
            _Call(set, [0]),
            _shared_lists(40),
            tuple(_shared_lists(40)),
            {"a": _shared_lists(60)},
            _Call(np.dtype, "O"),
            _Call(tuple, _shared_lists(30)),
            _Call(dict, {"a": 1}),
            _Call(np.ndarray, (4,), "f4", b"\0" * 16),
            _Call(frozenset, _shared_lists(3)[0]),
        )
    )
    content = _annotations(chance)
    where = chance.randrange(7)
    if where == 0:
        content = value
    elif where == 1:
        content["annotations"] = value
    elif where == 2:
        content["split"] = value
    elif where == 3:
        content["split"]["xsub_train"] = value
    else:
        content["annotations"][0][chance.choice(list(content["annotations"][0]))] = value
    return pickle.dumps(content, chance.choice((2, 4)))


def _opcodes(chance) -> bytes:
    """A few opcodes at random, as pickletools knows them, with names that are built among them."""
    pieces = [
        b"(",
        b"l",
        b"d",
        b"t",
        b"]",
        b"}",
        b")",
        b"R",
        b"b",
        b"0",
        b"1",
        b"2",
        b"a",
        b"e",
        b"s",
        b"u",
        b"N",
        b"K\x05",
        b"M\xff\xff",
        b"J\xff\xff\xff\x7f",
        b"X\x01\x00\x00\x00a",
        b"\x85",
        b"\x86",
        b"\x87",
        b"\x93",
        b"q\x00",
        b"h\x00",
        b"\x94",
        b"B\xff\xff\xff\x7f",
        b"\x8a\xff" + b"\xff" * 255,
        b"\x95" + b"\xff" * 8,
        b"cnumpy\nndarray\n",
        b"cnumpy\ndtype\n",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"c_codecs\nencode\n",
        b"cbuiltins\nbytearray\n",
        b"cbuiltins\nlist\n",
        b"ccollections\nOrderedDict\n",
        b"j\xff\xff\xff\x7f",
        b"r\xff\xff\xff\x7f",
        b"I99999999999\n",
        b"F1e999\n",
        b"\x8e" + b"\xff" * 7 + b"\x7f",
        b"\x81",
        b"\x92",
    ]
    return (
        b"\x80\x04" + b"".join(chance.choice(pieces) for _ in range(chance.randrange(1, 30))) + b"."
    )


@target("pyskl", 13)
def pyskl(chance, folder, good):
    """A spoilt or malicious pickle, packed; some that are accepted become a pickle again."""
    way = chance.randrange(13)
    if way < 2:
        data = _malicious(chance, folder)
    elif way > 9:
        data = formats.pyskl_file(chance)
    elif way == 2:
        data = _opcodes(chance)
    elif way < 5:
        data = damage.bytes_of(
            chance, pickle.dumps(_annotations(chance), chance.choice((2, 3, 4, 5)))
        )
    else:
        content = _annotations(chance)
        if way == 5:
            content["annotations"][0][chance.choice(("keypoint", "keypoint_score"))] = (
                _hostile_arrays(chance)
            )
        else:
            content = damage.tree(chance, content)
        written = io.BytesIO()
        pickle.Pickler(written, chance.choice((2, 4, 5))).dump(content)
        data = written.getvalue()
    path = damage.place(chance, folder / "study.pkl", data)
    labels = None
    if chance.random() < 0.1:
        rows = [["waving"], ["sitting"], ["standing"]]
        theirs = chance.random() < 0.5
        data = formats.class_names(chance) if theirs else damage.table_of(chance, rows)
        labels = damage.place(chance, folder / "labels.txt", data)
    output = folder / "out.h5"
    person = chance.choice((None, None, 1, 2, 10**6))
    try:
        sound.packed(output, lambda out: pyskl_format.pack(path, out, labels=labels, person=person))
    finally:
        if (folder / MARK).exists():
            raise Nonsense("the pickle ran something")
    if chance.random() < 0.3:
        pyskl_format.export(output, folder / "again.pkl")
        pyskl_pickles.read(folder / "again.pkl")
