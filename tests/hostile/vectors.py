"""Files of clips' vectors as no honest program writes them: plain functions of a
`random.Random`.
"""

import csv
import io
import json
import pathlib
import random
import zipfile

import h5py
import numpy as np

COLUMNS = "video", "clip", "vector"
ENDINGS = ".csv", ".npz", ".h5"


def columns(random: random.Random) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Sound ids, clips' numbers and vectors of a few clips."""
    count, width = random.randrange(1, 6), random.randrange(1, 4)
    values = [[random.random() for _ in range(width)] for _ in range(count)]
    return (
        [f"{i // 2:04}" for i in range(count)],
        np.arange(count) % 2,
        np.array(values, np.float32),
    )


def npy(array: np.ndarray, shape: str | None = None, descr: str | None = None) -> bytes:
    """An array as .npy, with a false shape or type where one is given."""
    file = io.BytesIO()
    header = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(file, header)
    written = file.getvalue()
    if shape or descr:
        fields = (
            f"{{'descr': {descr or repr(header['descr'])}, 'fortran_order': False, "
            f"'shape': {shape or array.shape}, }}"
        )
        text = fields.encode("latin1", "replace") + b" " * 40 + b"\n"
        written = written[:8] + len(text).to_bytes(2, "little") + text
    return written + array.tobytes()


def npz(random: random.Random) -> bytes:
    """An .npz whose parts lie, or are not what they should be."""
    ids, clip, vector = columns(random)
    parts = {"video": npy(np.array(ids)), "clip": npy(clip), "vector": npy(vector)}
    name = random.choice(COLUMNS)
    array = {"video": np.array(ids), "clip": clip, "vector": vector}[name]
    kind = random.randrange(9)
    if kind == 0:
        parts[name] = npy(
            array,
            shape=random.choice(
                [
                    "(2**60,)",
                    "(1152921504606846976, 4)",
                    "(-1,)",
                    "(10**30,)",
                    "()",
                    "(3",
                    "[" * 3000,
                    "(True,)",
                    "(0, 5)",
                ]
            ),
        )
    elif kind == 1:
        parts[name] = npy(
            array,
            descr=random.choice(
                [
                    "'|O'",
                    "'<V8'",
                    "[('a', '<f4')]",
                    "'<U0'",
                    "'>f8'",
                    "'<m8[s]'",
                    "'x'",
                    "'<c8'",
                    "'|b1'",
                ]
            ),
        )
    elif kind == 2:
        file = io.BytesIO()
        np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
        parts[name] = file.getvalue()
    elif kind == 3:
        del parts[name]
    elif kind == 4:
        parts[name] = random.randbytes(random.randrange(200))
    file = io.BytesIO()
    with zipfile.ZipFile(
        file, "w", random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    ) as archive:
        for part, data in parts.items():
            archive.writestr(f"{part}.npy", data)
    return damaged(random, file.getvalue()) if kind > 5 else file.getvalue()


def encrypted(data: bytes) -> bytes:
    """An .npz whose every member says that it is encrypted."""
    data = bytearray(data)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + at] |= 1
            place = data.find(mark, place + 4)
    return bytes(data)


def damaged(random: random.Random, data: bytes) -> bytes:
    """The bytes with some bits turned, or cut short, or encrypted by word only."""
    kind = random.randrange(4)
    if kind == 0:
        return data[: random.randrange(len(data))]
    if kind == 1:
        return encrypted(data)
    data = bytearray(data)
    for _ in range(random.choice([1, 1, 8])):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def table(random: random.Random) -> bytes:
    """A CSV table with something strange in it."""
    ids, clip, vector = columns(random)
    rows = [["video", "clip", *(f"p{i}" for i in range(vector.shape[1]))]]
    rows += [
        [id, number, *numbers] for id, number, numbers in zip(ids, clip.tolist(), vector.tolist())
    ]
    row = random.choice(rows)
    row[random.randrange(len(row))] = random.choice(
        [
            "",
            "\0",
            "1" * 5000,
            "9" * 310,
            "-1",
            "1e400",
            "nan",
            "inf",
            "x" * 200_000,
            "1,5",
            '"',
            "\n",
            "1_0",
            "é",
            "0x1",
        ]
    )
    if random.random() < 0.3:
        row.append("more")
    text = io.StringIO()
    csv.writer(text, delimiter=random.choice(",,,;\t")).writerows(rows)
    data = text.getvalue().encode(
        random.choice(["utf-8", "utf-8-sig", "utf-16", "latin1"]), "replace"
    )
    return damaged(random, data) if random.random() < 0.3 else data


def hdf5(random: random.Random, path: pathlib.Path):
    """Write an HDF5 file whose arrays lie elsewhere, are not there, are strange or damaged."""
    ids, clip, vector = columns(random)
    arrays = {"video": ids, "clip": clip, "vector": vector}
    name = random.choice(COLUMNS)
    del arrays[name]
    kind = random.randrange(10)
    with h5py.File(path, "w") as file:
        for part, array in arrays.items():
            file[part] = array
        if kind == 0:
            file[name] = h5py.ExternalLink("/dev/zero", "x")
        elif kind == 1:
            file[name] = h5py.SoftLink(random.choice([f"/{name}", "/nothing", "/clip"]))
        elif kind == 2:
            file.create_dataset(name, (4,), np.float32, external=[("/etc/hostname", 0, 16)])
        elif kind == 3:
            layout = h5py.VirtualLayout((4,), np.float32)
            layout[:] = h5py.VirtualSource("/nowhere.h5", "x", (4,))
            file.create_virtual_dataset(name, layout)
        elif kind == 4:
            file.create_dataset(
                name, random.choice([(2**40,), (2**20, 2**20), (7,), ()]), np.float32
            )
        elif kind == 5:
            file.create_dataset(name, (2**36,), np.float32, chunks=(2**10,), compression="gzip")
        elif kind == 6:
            file.create_group(name)
        elif kind == 7:
            file[name] = np.array([b"\xff\xfe", b"a"], "S2")
        else:
            file[name] = {"video": ids, "clip": clip, "vector": vector}[name]
    if kind == 9:
        path.write_bytes(damaged(random, path.read_bytes()))


def write(random: random.Random, folder: pathlib.Path) -> pathlib.Path:
    """Write one hostile file of vectors into a folder; returns its path."""
    ending = random.choice(ENDINGS)
    path = folder / f"vectors{ending}"
    if ending == ".h5":
        hdf5(random, path)
    else:
        path.write_bytes(npz(random) if ending == ".npz" else table(random))
    return path


def results(random: random.Random, sound: dict) -> bytes:
    """The bytes of a result of the tables, spoilt."""
    found = json.loads(json.dumps(sound))
    place = found
    while isinstance(place, (dict, list)) and place:
        key = (
            random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
        )
        if random.random() < 0.4 or not isinstance(place[key], (dict, list)):
            place[key] = random.choice(
                [None, -1, 2.5, "x", [], {}, float("nan"), True, 10**400, [1]]
            )
            break
        place = place[key]
    data = json.dumps(found).encode()
    return random.choice(
        [data, data, data[:-3], b"[" * 100_000, b"\xff" + data, data.replace(b"1", b"1" * 5000, 1)]
    )
