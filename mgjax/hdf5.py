"""HDF5 files read with suspicion: a file holds what it seems to hold, and reading it ends.

HDF5 lets a file take its data from other files, declare more than it has, and, when
damaged, keep the library busy for ever. Here a part is read only if it is an ordinary
one: hard links lead to it, and its data lie in this file, in one piece and at full
length. That reading ends is tried out first, by `rehearsal`. For writing there is
`Disk`.

The functions raise ValueError with a sentence that names the part, not the file.
"""

from __future__ import annotations

import io
import math
import os
import stat

import h5py
import numpy as np

from mgjax.errors import InputError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# What h5py raises over a damaged part.
_DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OSError,
    RuntimeError,
    MemoryError,
)
_UNREADABLE = "not a readable HDF5 file (damaged, cut short, or another format)"


def check_file(path: str | os.PathLike, expected: str) -> None:
    """Refuse what is no plain file, or does not start as HDF5 does, without waiting for anything.

    Raises:
        InputError: it is not, and `expected` says what was.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL byte in the name
        raise InputError(f"{path}: no such {expected}".replace("\0", "\\0")) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: no such {expected}; it is a folder")
    if not stat.S_ISREG(status.st_mode):
        problem = "is not a plain file (a pipe or a device?)"
        raise InputError(f"{path}: {problem}, expected a {expected}")
    try:
        with open(path, "rb") as file:
            start = file.read(len(SIGNATURE))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError(f"{path}: {problem}, expected a {expected}") from None
    if start != SIGNATURE:
        raise InputError(f"{path}: {_UNREADABLE}")


def opened(path: str | os.PathLike) -> h5py.File:
    """A file opened to be read; one that never changes under its name, so that HDF5's lock may be
    done without.

    Raises:
        InputError: HDF5 cannot open it.
    """
    try:
        try:
            return h5py.File(path, "r")
        except OSError as error:
            if "lock" not in str(error):
                raise
            # Whoever wrote it has just given it its name, and lets go of it in a
            # moment; or its disk knows no locks.
            return h5py.File(path, "r", locking=False)
    except (OSError, RuntimeError, ValueError, MemoryError):
        raise InputError(f"{path}: {_UNREADABLE}") from None


def attribute(owner: h5py.Group, name: str, kind: type):
    """A single text or whole number (`kind` is str or int) among the attributes of a group.

    Raises:
        ValueError: it is not there, or something else.
    """
    if name not in owner.attrs:
        raise ValueError(f"{_name(owner)} has no attribute {name!r}")
    # The shape first: a declared one may be larger than any memory.
    is_single = owner.attrs.get_id(name).shape == ()
    value = owner.attrs[name] if is_single else None
    stored, words = {str: (str, "text"), int: (np.integer, "whole number")}[kind]
    if not isinstance(value, stored):
        raise ValueError(f"attribute {name!r} of {_name(owner)} is not a {words}")
    return kind(value)


def group(parent: h5py.Group, name: str) -> h5py.Group:
    """A group inside a group.

    Raises:
        ValueError: it is not there, a link, or something else.
    """
    return _member(parent, name, h5py.Group)


def dataset(parent: h5py.Group, name: str, kind: type) -> h5py.Dataset:
    """A dataset inside a group, whose numbers are of type `kind`, or texts where that is str.

    Nothing of it is read yet.

    Raises:
        ValueError: it is not there, of another type, or does not lie in this file in one piece
            and at full length.
    """
    data = _member(parent, name, h5py.Dataset)
    # What lies elsewhere can show other files, and chunks that are missing read as
    # zeros that nobody wrote.
    _check_own(data)
    storage = data.id.get_create_plist()
    plain = storage.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
    if not plain or storage.get_nfilters():
        raise ValueError(f"{_name(data)} is stored in chunks, expected in one piece")
    item = _item_size(data, kind)
    if data.shape is None:
        raise ValueError(f"{_name(data)} has no shape")
    # A file can declare any shape. Only what it has in full is read, so that no reader
    # asks for more memory than the file has bytes.
    stored, needed = data.id.get_storage_size(), math.prod(data.shape) * item
    end = stored + (data.id.get_offset() or 0)
    if stored != needed or end > data.file.id.get_filesize():
        problem = "more or less than the file holds of it"
        raise ValueError(f"{_name(data)} has shape {data.shape}, {problem}")
    return data


def column(parent: h5py.Group, name: str, kind: type) -> np.ndarray:
    """All of a dataset of one axis; texts as an object array of str.

    Raises:
        ValueError: as `dataset`, it has more axes, or a text is not UTF-8.
    """
    data = dataset(parent, name, kind)
    if len(data.shape) != 1:
        raise ValueError(f"{_name(data)} has shape {data.shape}, expected one axis")
    if kind is not str:
        return data[:]
    try:
        return data.asstr()[:]
    except UnicodeDecodeError:
        raise ValueError(f"{_name(data)} holds a text that is not UTF-8") from None


def arrays(
    path: str | os.PathLike, names: tuple[str, ...], expected: str, most: int = 2**30
) -> list[np.ndarray]:
    """Some datasets of a file that was made elsewhere, of whatever type and stored in whatever
    way, but in this file.

    Args:
        expected: what the file should be, for the error messages.
        most: bytes that each of them may have.

    Raises:
        InputError: the file is not readable, lacks one of them, or one is not an ordinary dataset.
    """
    check_file(path, expected)
    with opened(path) as file:
        try:
            return [_any_array(file, name, most) for name in names]
        except _DAMAGE as error:
            raise InputError(f"{path}: {str(error)[:200]}; expected {expected}") from None


def _any_array(parent: h5py.Group, name: str, most: int) -> np.ndarray:
    data = _member(parent, name, h5py.Dataset)
    _check_own(data)
    if data.shape is None or math.prod(data.shape) * data.dtype.itemsize > most:
        raise ValueError(f"{_name(data)} has shape {data.shape}, more than {most} bytes")
    if math.prod(data.shape) and not data.id.get_storage_size():
        problem = "but nothing was ever written there"
        raise ValueError(f"{_name(data)} has shape {data.shape}, {problem}")
    return np.asarray(data[()])


def _check_own(data: h5py.Dataset) -> None:
    """Raise ValueError where a dataset shows what lies in another file."""
    storage = data.id.get_create_plist()
    if storage.get_external_count():
        raise ValueError(f"{_name(data)} keeps its data in another file")
    if storage.get_layout() == h5py.h5d.VIRTUAL:
        raise ValueError(f"{_name(data)} is a virtual dataset, whose data lie elsewhere")


def _member(parent: h5py.Group, name: str, kind: type):
    # The link before what it leads to: following it is what is to be avoided.
    link = parent.get(name, getlink=True)
    where = f"{parent.name}/{name}".lstrip("/")
    if link is None:
        raise ValueError(f"{_name(parent)} has no {name!r}")
    expected = kind.__name__.lower()
    if type(link) is not h5py.HardLink:
        problem = "is a link that may lead to another file"
        raise ValueError(f"{where} {problem}, expected a plain {expected}")
    found = parent[name]
    if type(found) is not kind:
        raise ValueError(f"{where} is not a {expected}")
    return found


def _name(part: h5py.Group | h5py.Dataset) -> str:
    return part.name.strip("/") or "the file"


def _item_size(data: h5py.Dataset, kind: type) -> int:
    """Bytes that one item takes in the file."""
    if kind is not str:
        if data.dtype != kind:
            raise ValueError(f"{_name(data)} is {data.dtype}, expected {np.dtype(kind)}")
        return data.dtype.itemsize
    text = h5py.check_string_dtype(data.dtype)
    if text is None:
        raise ValueError(f"{_name(data)} is {data.dtype}, expected text")
    if text.length is not None:
        return text.length
    # A text of any length: its length, and where it lies, the address of a heap and a
    # number in it.
    address, _ = data.file.id.get_create_plist().get_sizes()
    return 4 + address + 4


class Disk(io.FileIO):
    """The file under an `h5py.File` that is written, which never fails.

    HDF5 crashes the process when it cannot write what it still has to write on closing
    a file.

        with hdf5.Disk("a.h5", "wb+") as disk, h5py.File(disk, "w") as file:
            ...

    From the first error on, what HDF5 writes is dropped.

    Attributes:
        error: the first error: OSError, or an interrupt that came in the middle; None as long as
            all is well.
    """

    error: BaseException | None = None

    def write(self, data) -> int:
        """All of the data, or nothing from the first error on; says that it was all."""
        rest = memoryview(data)
        try:
            while self.error is None and rest:
                rest = rest[super().write(rest) :]
        # Interrupts too: passed on through HDF5 they would be lost, and the writer asks
        # for them.
        except BaseException as error:
            self.error = error
        return len(data)

    def readinto(self, data) -> int:
        """What was never written, or dropped, reads as zeros, as HDF5 expects it of a file."""
        count = super().readinto(data)
        memoryview(data)[count:] = bytes(len(data) - count)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """As of any file, but says that it was done in any case."""
        try:
            return super().truncate(size)
        except BaseException as error:
            self.error = self.error or error
            return self.tell() if size is None else size
