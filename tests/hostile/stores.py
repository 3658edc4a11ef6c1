"""Hostile stores (bytes and structure), layouts, and files of clips' vectors."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil

import h5py
import numpy as np

from data_prep import pyskl, store_summary
from hostile import damage, layouts, made, sound, target
from mgjax import skeleton
from mgjax.evaluation import clip_vectors, vector_files
from mgjax.store import Store, StoreWriter

SECRET = b"nobody may read this " * 200


def write_store(path, seed=0, frames=6, classes=("rubbing", "folding")):
    """A small store that has something of everything: two videos, four clips, two splits."""
    rng, layout = np.random.default_rng(seed), skeleton.get("imigue22")
    with StoreWriter(
        path, layout, unit="pixel", frames=2 * frames, source="random numbers"
    ) as writer:
        for video in ("a", "b"):
            keypoints = rng.uniform(1, 700, (frames, 22, 2)).astype(np.float32)
            writer.add_video(
                video,
                keypoints,
                rng.uniform(0.1, 1, (frames, 22)),
                fps=25,
                width=1280,
                height=720,
                subject=f"s{video}",
                emotion="positive" if video == "a" else "negative",
            )
            writer.add_clip(video, 0, frames, classes[0])
            writer.add_clip(video, 1, frames - 1, classes[-1])
        writer.add_split("mine", train=[0, 2], test=[1, 3])
        writer.add_split("videos", train=[0], test=[1], of="videos")


def prepare(good):
    """A good store, one that is chunked and compressed, and a file that is nobody's business."""
    made(good / "store.h5", write_store)
    made(good / "secret.bin", lambda path: path.write_bytes(SECRET))
    made(good / "chunked.h5", lambda path: _chunked(good / "store.h5", path))


def _here(file, name):
    """A dataset whose values an earlier change has left in the file: a pipe would be waited for."""
    if file[name].id.get_create_plist().get_external_count():
        raise KeyError(name)
    return file[name]


def _chunked(store, path):
    shutil.copy(store, path)
    with h5py.File(path, "r+") as file:
        for name in ("frames/keypoints", "frames/score", "clips/label"):
            data = file[name][:]
            del file[name]
            file.create_dataset(name, data=data, compression="gzip", shuffle=True, fletcher32=True)


def use(chance, path, folder):
    """Read all of a store; some of those that are accepted are reported on, or exported too."""
    sound.store(path)
    way = chance.randrange(10)
    if way == 0:
        with Store(path) as store:
            sound.need(store_summary.report(store), "an empty report")
    elif way == 1:
        exported = folder / "exported.pkl"
        pyskl.export(path, exported)
        sound.need(SECRET[:20] not in exported.read_bytes(), "bytes of another file in the pickle")


@target("hdf5_bytes", 9, prepare=prepare)
def store_bytes(chance, folder, good):
    """A good store with some bytes spoilt, mostly outside of its frames."""
    data = (good / chance.choice(("store.h5", "store.h5", "chunked.h5"))).read_bytes()
    spoilt = damage.bytes_of(chance, data)
    use(chance, damage.place(chance, folder / "study.h5", spoilt), folder)


# Structure


def _paths(file):
    found = []
    file.visit(found.append)
    return found


def _dataset(chance, file, *names):
    return chance.choice(
        names or [path for path in _paths(file) if isinstance(file[path], h5py.Dataset)]
    )


def _replace(file, name, **how):
    if name in file:
        del file[name]
    return file.create_dataset(name, **how)


def _soft(chance, file, folder):
    name = chance.choice(_paths(file))
    del file[name]
    file[name] = h5py.SoftLink(
        chance.choice(("/nowhere", f"/{name}", "/frames/score", "/", "/videos/id"))
    )


def _external(chance, file, folder):
    name = chance.choice(_paths(file))
    del file[name]
    other = chance.choice(
        (folder / "other.h5", folder / "absent.h5", folder / "secret.bin", "/dev/zero")
    )
    file[name] = h5py.ExternalLink(str(other), chance.choice((f"/{name}", "/", "/nowhere")))


def _hard(chance, file, folder):
    name, other = chance.choice(_paths(file)), chance.choice(["/", *_paths(file)])
    file[chance.choice((name + "x", "splits/again", "videos/more"))] = file[other]


def _raw(chance, file, folder):
    name = chance.choice(
        ("frames/keypoints", "frames/score", "clips/label", "videos/fps", "splits/mine/train")
    )
    shape, kind = file[name].shape, file[name].dtype
    size = int(np.prod(shape)) * kind.itemsize
    other = chance.choice(
        (folder / "secret.bin", folder / "absent.bin", folder / "pipe", "/dev/zero")
    )
    _replace(file, name, shape=shape, dtype=kind, external=[(str(other), 0, size)])


def _virtual(chance, file, folder):
    name = chance.choice(("frames/keypoints", "frames/score", "clips/label", "videos/length"))
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape, kind)
    other = chance.choice((str(folder / "other.h5"), str(folder / "absent.h5"), "."))
    layout[...] = h5py.VirtualSource(other, name if other != "." else "videos/width", shape=shape)
    file.create_virtual_dataset(name, layout)


def _huge(chance, file, folder):
    name = _dataset(chance, file)
    data = file[name]
    kind = h5py.string_dtype() if data.dtype == object else data.dtype
    rows = chance.choice((2**20, 2**31, 2**40, 2**62))
    _replace(
        file,
        name,
        shape=(rows, *data.shape[1:]),
        dtype=kind,
        chunks=(64, *data.shape[1:]),
        maxshape=(None, *data.shape[1:]),
    )
    if chance.random() < 0.5:  # so that the frames agree with what the videos say
        for table, column in (("videos", "start"), ("videos", "length")):
            _here(file, f"{table}/{column}")[1] = chance.choice((rows, rows - 6, 2**63 - 1))


def _kind(chance, file, folder):
    name = _dataset(chance, file)
    shape = file[name].shape
    kind = chance.choice(
        (
            "f8",
            "f2",
            "i8",
            "u8",
            "i1",
            ">f4",
            ">i8",
            "c8",
            "?",
            "S3",
            "V7",
            "(3,)i4",
            "f4,i4",
            h5py.ref_dtype,
            h5py.regionref_dtype,
            h5py.string_dtype(),
            h5py.string_dtype("ascii", 4),
            h5py.vlen_dtype(np.int32),
            h5py.enum_dtype({"a": 0, "b": 1}),
        )
    )
    _replace(file, name, shape=shape, dtype=kind)


def _shape(chance, file, folder):
    name = _dataset(chance, file)
    data, way = _here(file, name), chance.randrange(6)
    kind, values = (h5py.string_dtype() if data.dtype == object else data.dtype), data[()]
    if way == 0:
        _replace(file, name, data=h5py.Empty(kind if data.dtype != object else "S1"))
    elif way == 1:
        _replace(file, name, data=values[0], dtype=kind)
    elif way == 2:
        _replace(file, name, data=values[None], dtype=kind)
    elif way == 3:
        _replace(file, name, data=values[:-1], dtype=kind)
    elif way == 4:
        _replace(file, name, data=values[:0], dtype=kind)
    else:
        _replace(file, name, data=np.concatenate([values, values]), dtype=kind)


def _number(chance, file, folder):
    name = _dataset(
        chance,
        file,
        "frames/keypoints",
        "frames/score",
        "videos/fps",
        "videos/width",
        "videos/height",
        "videos/start",
        "videos/length",
        "clips/video",
        "clips/start",
        "clips/length",
        "clips/label",
        "splits/mine/train",
        "splits/videos/test",
    )
    values = _here(file, name)[:]
    with np.errstate(all="ignore"):
        while True:
            try:
                values.flat[chance.randrange(values.size)] = damage.number(chance)
                break
            except (OverflowError, ValueError):
                values.flat[0] = chance.choice(
                    (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max)
                )
                break
    file[name][...] = values


def _overflow(chance, file, folder):
    name = chance.choice(("clips/start", "clips/length", "videos/start", "videos/length"))
    _here(file, name)[chance.choice((0, 1, -1))] = chance.choice(
        (2**63 - 1, -(2**63), 2**63 - 6, 2**32, 2**31 - 1)
    )
    if chance.random() < 0.5:
        other = (
            name.replace("start", "length") if "start" in name else name.replace("length", "start")
        )
        _here(file, other)[chance.choice((0, 1, -1))] = chance.choice((2**63 - 1, 2**62, -(2**63)))


def _text(chance, file, folder):
    name = chance.choice(("videos/id", "videos/subject", "videos/emotion", "labels"))
    values = [
        value.decode() if isinstance(value, bytes) else value
        for value in _here(file, name)[:].tolist()
    ]
    new = chance.choice(
        (b"\xff\xfe", b"\xed\xa0\x80", "a\0b", "", values[0], "x" * 100_000, "\ud800", "../x", "\n")
    )
    new = new.encode("utf-8", "surrogatepass") if isinstance(new, str) else new
    data = [value.encode() for value in values]
    data[-1] = new
    fixed = chance.random() < 0.3
    try:
        _replace(
            file,
            name,
            data=np.array(data, f"S{max(1, *map(len, data))}") if fixed else data,
            dtype=None if fixed else h5py.string_dtype(),
        )
    except ValueError:  # h5py itself writes no NUL in a text
        _replace(file, name, data=np.array(data), dtype=f"S{max(1, *map(len, data))}")


def _attribute(chance, file, folder):
    holder = chance.choice((file, file, file["splits/mine"]))
    name = chance.choice(list(holder.attrs))
    del holder.attrs[name]
    new = chance.choice(
        (
            "",
            "x",
            "mgjax-store",
            0,
            1,
            2,
            -1,
            1.5,
            np.nan,
            [1, 2],
            ["a", "b"],
            b"\xff\xfe",
            np.zeros((3, 3)),
            h5py.Empty("f4"),
            True,
            2**63 - 1,
            np.bytes_(b"pixel"),
            file.ref,
            "metre",
            None,
        )
    )
    if new is not None:
        holder.attrs[name] = new


def _skeleton(chance, file, folder):
    spoilt = damage.json_of(chance, json.loads(file.attrs["skeleton"]))[:60_000]
    if chance.random() < 0.5 or b"\0" in spoilt:
        file.attrs["skeleton"] = np.bytes_(spoilt)
    else:
        file.attrs["skeleton"] = spoilt.decode("utf-8", "replace")


def _swap(chance, file, folder):
    name = chance.choice(_paths(file))
    group = isinstance(file[name], h5py.Group)
    del file[name]
    if group:
        file[name] = chance.choice((3, np.zeros(4, np.float32), np.dtype("f4")))
    else:
        inside = file.create_group(name)
        inside["x"] = 1


def _missing(chance, file, folder):
    del file[chance.choice(_paths(file))]


def _split(chance, file, folder):
    name = chance.choice((".", "all", "a b", "é", "x" * 2000, "\n", "mine2"))
    group = file["splits"].require_group(name) if name != "." else file["splits"]
    group.attrs["of"] = chance.choice(("clips", "videos", "frames", np.bytes_(b"clips"), 3))
    for side in ("train", "test"):
        rows = chance.choice(
            ([0], [], [0, 1], [0.5], [2**63 - 1], [-1], [[0]], ["a"], 3, [True, False])
        )
        if side not in group:
            group[side] = rows


def _chunk(chance, file, folder):
    """A compressed dataset whose chunk is not what its filters say."""
    name = chance.choice(("frames/keypoints", "frames/score", "clips/start", "videos/length"))
    values = _here(file, name)[:]
    how = chance.choice(
        (
            {"compression": "gzip"},
            {"fletcher32": True},
            {"scaleoffset": 2},
            {"compression": "lzf"},
            {"shuffle": True},
        )
    )
    data = _replace(file, name, shape=values.shape, dtype=values.dtype, chunks=values.shape, **how)
    noise = chance.choice((chance.randbytes(40), b"", b"\0" * 1000, values.tobytes()))
    data.id.write_direct_chunk(
        (0,) * values.ndim, noise, filter_mask=chance.choice((0, 1, 2**32 - 1))
    )


# fmt: off
CHANGES = (_soft, _external, _hard, _raw, _virtual, _huge, _kind, _kind, _shape, _shape, _number,
           _number, _number,
           _overflow, _text, _text, _attribute, _attribute, _skeleton, _swap, _missing, _split,
           _chunk)
# fmt: on


@target("hdf5_structure", 9, prepare=prepare)
def store_structure(chance, folder, good):
    """A good store that was changed with h5py, as a deceiver would."""
    path = folder / "study.h5"
    # Copies, for whoever follows a link may write to where it leads.
    shutil.copy(good / "store.h5", path)
    shutil.copy(good / "store.h5", folder / "other.h5")
    shutil.copy(good / "secret.bin", folder)
    os.mkfifo(folder / "pipe")
    with h5py.File(path, "r+") as file:
        for _ in range(chance.choice((1, 1, 1, 2))):
            change = chance.choice(CHANGES)
            # HDF5 writes no such file, or the first change took away what is changed here.
            with contextlib.suppress(
                LookupError, ValueError, TypeError, OSError, RuntimeError, AttributeError
            ):
                change(chance, file, folder)
    use(chance, path, folder)


# Layouts


@target("layouts", 7)
def layout(chance, folder, good):
    """A spoilt layout; one that is accepted says itself again, and a store is written with it."""
    original = json.loads(skeleton.get(chance.choice(sorted(skeleton.LAYOUTS))).to_json())
    spoilt = layouts.text(chance) if chance.random() < 0.4 else damage.json_of(chance, original)
    path = damage.place(chance, folder / "mine.json", spoilt)
    accepted = skeleton.get(str(path))
    sound.layout(accepted)
    sound.need(
        skeleton.Layout.from_json(accepted.to_json()) == accepted, "it does not say itself again"
    )
    hash(accepted)
    accepted.adjacency()
    store = folder / "out.h5"
    with StoreWriter(store, accepted, unit="pixel", frames=2, source="zeros") as writer:
        shape = 2, len(accepted)
        writer.add_video("a", np.zeros((*shape, accepted.dimensions)), np.zeros(shape))
    with Store(store) as opened:
        sound.need(
            opened.layout == accepted, "a store says another layout than it was written with"
        )


# Vectors of clips


def _vectors(ending) -> bytes:
    video, clip = ["a", "a", "b", "b"], [0, 1, 0, 1]
    vector = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
    written = io.BytesIO()
    if ending == ".npz":
        np.savez(written, video=np.array(video), clip=np.array(clip), vector=vector)
    elif ending == ".h5":
        with h5py.File(written, "w") as file:
            file["video"], file["clip"], file["vector"] = video, clip, vector
    else:
        text = io.StringIO()
        csv.writer(text).writerows(_vector_rows(video, clip, vector))
        written.write(text.getvalue().encode())
    return written.getvalue()


def _vector_rows(video, clip, vector):
    return [
        ["video", "clip", "p0", "p1", "p2"],
        *(
            [id, str(number), *map(str, row)]
            for id, number, row in zip(video, clip, vector.tolist())
        ),
    ]


def _odd_arrays(chance) -> dict:
    """The three arrays, one of them of another kind, shape or value."""
    arrays = {
        "video": np.array(["a", "a", "b", "b"]),
        "clip": np.array([0, 1, 0, 1]),
        "vector": np.eye(4, 3),
    }
    name = chance.choice(list(arrays))
    arrays[name] = chance.choice(
        (
            np.zeros((4, 3), "M8[s]"),
            np.full((4, 3), np.nan),
            np.full((4, 3), 1e300),
            np.zeros((4, 0)),
            np.zeros((0, 3)),
            np.zeros(4),
            np.zeros(()),
            np.array([0, 1, 0, 2**63 - 1]),
            np.array([0, 1, 0, -1]),
            np.array([0, 0, 0, 0]),
            np.array([0.0, 1, 0, 1]),
            np.array(["0", "1", "0", "1"]),
            np.array([b"a", b"a", b"b", b"\xff"]),
            np.array(["a", None, "b", 3], dtype=object),
            np.zeros((4, 3), bool),
            np.zeros((4, 3), complex),
            np.zeros(4, "f4,i4"),
            np.zeros((1,) * 20),
            np.zeros((4, 3), "f2"),
        )
    )
    return arrays


def _hostile_zip(chance) -> bytes:
    """An npz whose arrays say that they are larger than they are, or whose members are odd."""
    import zipfile

    shape = chance.choice(((10**9, 10**3), (2**62,), (4, 2**40), (-1,), (10**30,)))
    header = str(
        {
            "descr": chance.choice(("<f4", "|O", "<U1", "<f8", "[('a', '<f4')]")),
            "fortran_order": False,
            "shape": shape,
        }
    ).encode()
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 100
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        for name in vector_files.COLUMNS:
            file.writestr(f"{name}.npy", chance.choice((member, b"", b"\0" * 10**6, member[:20])))
    return written.getvalue()


@target("probabilities", 8, prepare=prepare)
def vectors_of_clips(chance, folder, good):
    """A spoilt file of clips' vectors beside a good store."""
    ending = chance.choice((".npz", ".npz", ".h5", ".csv", ".csv"))
    way = chance.randrange(4)
    if ending == ".csv" and way:
        rows = _vector_rows("aabb", [0, 1, 0, 1], np.eye(4, 3))
        data = damage.table_of(chance, rows)
    elif way == 0 and ending != ".csv":
        written, arrays = io.BytesIO(), _odd_arrays(chance)
        if ending == ".npz":
            np.savez(written, **arrays)
        else:
            with h5py.File(written, "w") as file:
                for name, array in arrays.items():
                    try:
                        file[name] = array.astype(object) if array.dtype.kind == "U" else array
                    except TypeError:  # HDF5 has no such kind
                        file[name] = 0
        data = written.getvalue()
    elif way == 1 and ending == ".npz":
        data = _hostile_zip(chance)
    else:
        data = damage.bytes_of(chance, _vectors(ending))
    path = damage.place(chance, folder / f"vectors{ending}", data)
    with Store(good / "store.h5") as store:
        vectors, what = clip_vectors.file_vectors(path, store, np.arange(len(store.clips)))
    sound.need(
        vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == 4,
        f"vectors {vectors.shape}",
    )
    sound.need(
        vectors.shape[1] > 0 and np.isfinite(vectors).all(), "a vector that is empty or not finite"
    )
    json.dumps(what)
