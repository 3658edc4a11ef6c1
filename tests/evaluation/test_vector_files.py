"""Vectors out of files that were made elsewhere: whatever the file holds, arrays or one
sentence.
"""

import os
import pathlib
import random
import resource
import tempfile
import zipfile

import h5py
import numpy as np
import pytest
from hostile import vectors
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from mgjax.errors import InputError
from mgjax.evaluation.vector_files import read_vectors

IDS, CLIPS = ["0001", "0001"], np.array([0, 1])
VECTORS = np.array([[0.5, 1.0, 2.0], [3.0, 4.0, 5.0]], np.float32)
ARRAYS = {"video": np.array(IDS), "clip": CLIPS, "vector": VECTORS}


def refused(path, *words):
    """Reading it ends in one sentence that names the file and has these words."""
    with pytest.raises(InputError) as error:
        read_vectors(path)
    sentence = str(error.value)
    assert str(path) in sentence and "\n" not in sentence and len(sentence) < 1000, sentence
    for word in words:
        assert word in sentence, sentence


def put_npz(path, **parts):
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in ARRAYS.items():
            archive.writestr(f"{name}.npy", parts.get(name, vectors.npy(array)))
    return path


def test_an_npz_as_numpy_writes_it_in_every_way(tmp_path):
    path = tmp_path / "a.npz"
    for save in (np.savez, np.savez_compressed):
        for array in (
            VECTORS,
            np.asfortranarray(VECTORS),
            VECTORS.astype(">f8"),
            VECTORS.astype(np.int16),
        ):
            save(
                path,
                video=np.array(IDS),
                clip=CLIPS.astype(np.uint8),
                vector=array,
                more=np.ones(3),
            )
            ids, clip, vector = read_vectors(path)
            assert ids == IDS and clip.tolist() == [0, 1] and vector.dtype == np.float32
            np.testing.assert_array_equal(vector, array.astype(np.float32))
    # by the tests' own writer too
    assert read_vectors(put_npz(path))[2].tolist() == VECTORS.tolist()


@pytest.mark.parametrize(
    "data",
    [
        vectors.npy(VECTORS, shape="(1152921504606846976, 4)"),
        vectors.npy(VECTORS, shape="(2**60,)"),
        vectors.npy(VECTORS, shape="(3, 3)"),
        vectors.npy(VECTORS, shape="(-2, -3)"),
        vectors.npy(VECTORS, shape="(2"),
        vectors.npy(VECTORS, descr="'|O'"),
        vectors.npy(VECTORS, descr="[('a', '<f4')]"),
        b"",
        b"\x93NUMPY\x03\0",
        b"\x93NUMPY\x02\0\xff\xff\xff\xff{",
        vectors.npy(VECTORS, descr="'" + "[" * 5000 + "'"),
    ],
    ids=range(11),
)
def test_an_npz_that_declares_what_it_does_not_have(data, tmp_path):
    refused(put_npz(tmp_path / "a.npz", vector=data), "cannot be read as .npz")


def test_an_npz_that_is_damaged_or_encrypted(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **ARRAYS)
    whole = path.read_bytes()
    path.write_bytes(vectors.encrypted(whole))
    refused(path, "is encrypted")
    # behind the sizes that NumPy repeats there
    start = whole.find(b"vector.npy") + len("vector.npy") + 20
    for place in range(start, start + 60, 7):
        data = bytearray(whole)
        data[place] ^= 16
        path.write_bytes(data)
        refused(path, "cannot be read as .npz")
    np.savez(path, **(ARRAYS | {"vector": np.array([{}, {}], object)}))
    refused(path, "object")
    path.write_bytes(b"no zip")
    refused(path, "not a zip file")


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("video.npy", vectors.npy(ARRAYS["video"]))
        archive.writestr("clip.npy", vectors.npy(CLIPS))
        with archive.open("vector.npy", "w", force_zip64=True) as member:
            member.write(vectors.npy(VECTORS))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = data.find(b"PK\x01\x02", archive.start_dir + 100)
    assert data[place : place + 4] == b"PK\x01\x02"
    last = data.rfind(b"PK\x01\x02")
    data[last + 24 : last + 28] = (2**31).to_bytes(4, "little")  # the size that its entry says
    path.write_bytes(data)
    refused(path, "vector.npy has 2147483648 bytes, expected at most")


def put_hdf5(path, put, without="vector"):
    with h5py.File(path, "w") as file:
        for name, array in ARRAYS.items():
            if name != without:
                file[name] = array.tolist() if name == "video" else array
        put(file)
    return path


def virtual(file):
    layout = h5py.VirtualLayout((2, 3), np.float32)
    layout[:] = h5py.VirtualSource("nowhere.h5", "x", (2, 3))
    file.create_virtual_dataset("vector", layout)


@pytest.mark.parametrize(
    "put, word",
    [
        (lambda file: file.__setitem__("vector", h5py.ExternalLink("other.h5", "x")), "is a link"),
        (lambda file: file.__setitem__("vector", h5py.SoftLink("/vector")), "is a link"),
        (lambda file: file.__setitem__("vector", h5py.SoftLink("/clip")), "is a link"),
        (
            lambda file: file.create_dataset(
                "vector", (2, 3), np.float32, external=[("/etc/passwd", 0, 24)]
            ),
            "keeps its data in another file",
        ),
        (virtual, "is a virtual dataset"),
        (lambda file: file.create_dataset("vector", (2**40, 3), np.float32), "more than"),
        (
            lambda file: file.create_dataset("vector", (2, 3), np.float32),
            "nothing was ever written",
        ),
        (lambda file: file.create_group("vector"), "is not a dataset"),
        (lambda file: None, "has no 'vector'"),
        (lambda file: file.__setitem__("vector", "text"), "expected [N], [N] and [N, D]"),
        (
            lambda file: file.__setitem__("vector", np.array([[b"a"], [b"b"]])),
            "expected whole numbers and numbers",
        ),
    ],
)
def test_an_hdf5_file_that_leads_elsewhere_or_has_nothing(put, word, tmp_path):
    refused(put_hdf5(tmp_path / "a.h5", put), word)


def test_an_hdf5_file_may_be_chunked_and_compressed(tmp_path):
    path = put_hdf5(
        tmp_path / "a.h5",
        lambda file: file.create_dataset("vector", data=VECTORS, chunks=(1, 3), compression="gzip"),
    )
    assert read_vectors(path)[2].tolist() == VECTORS.tolist()


@pytest.mark.parametrize(
    "line, word",
    [
        ("1,%s,1" % ("9" * 5000), "line 2 holds something that is not a number"),
        ("1,%s,1" % (10**30), "line 2 holds something that is not a number"),
        ("1,0,%s" % ("9" * 310), "is not finite"),
        ("1,0,%s" % ("x" * 200_000), "cannot be read as .csv after line 1"),
        ("1,\0,1", "line 2"),
        ("1,0,", "line 2 holds something that is not a number"),
    ],
)
def test_a_table_with_strange_cells(line, word, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"video,clip,p0\n{line}\n")
    refused(path, word)


def test_a_table_with_semicolons_is_recognised_as_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("video;clip;p0\n1;0;0,5\n")
    refused(path, "its columns are separated by semicolons")


@pytest.mark.parametrize("ending", [".csv", ".npz", ".h5"])
def test_a_pipe_is_not_waited_for(ending, tmp_path):
    os.mkfifo(tmp_path / f"a{ending}")
    refused(tmp_path / f"a{ending}", "is not a plain file")


@seed(0)
@settings(max_examples=60, deadline=None, database=None)
@given(st.integers(0, 2**63))
def test_any_file_is_arrays_or_a_sentence(number):
    with tempfile.TemporaryDirectory() as folder:
        path = vectors.write(random.Random(number), pathlib.Path(folder))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            ids, clip, vector = read_vectors(path)
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert len(ids) == len(clip) == len(vector) and all(isinstance(id, str) for id in ids)
            assert (
                clip.dtype == np.int64 and vector.dtype == np.float32 and np.isfinite(vector).all()
            )
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.txt", b"x", "is not called"),
        ("a.npz", b"x", "cannot be read as .npz"),
        ("a.h5", b"x", "a.h5: not a readable HDF5 file"),
        ("a.csv", b"clip,video,a\n", "its first line is not"),
        ("a.csv", b"video,clip,a\n1,0\n", "line 2 has 2 columns"),
        ("a.csv", b"video,clip,a\n1,0,no\n", "line 2 holds something that is not a number"),
        ("a.csv", b"video,clip,a\n\xff,0,1\n", "a.csv: not UTF-8 text; expected a CSV table"),
    ],
)
def test_a_file_that_cannot_be_read(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_vectors(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_vectors(tmp_path / "absent.csv")
