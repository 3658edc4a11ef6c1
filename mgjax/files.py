"""Files: may I write here, whole or not at all, one writer at a time; plain files read; JSON.

Imports the standard library and `mgjax.errors` only.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import stat
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

from mgjax.errors import InputError

fcntl: types.ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What a full, limited or broken disk says.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
# What a file system without locks says, such as some of those on a network.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def writable(path: str | os.PathLike) -> pathlib.Path:
    """The path of a file to write, if it can be one: its folder is there, and nothing but a plain
    file stands in its place.

    Raises:
        InputError: it cannot.
    """
    path = pathlib.Path(path)
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: cannot be the path of a file, for its NUL byte")
    try:
        if not path.absolute().parent.is_dir():
            raise InputError(f"{path.parent}: no such folder to write {path.name} into")
        if path.is_dir():
            raise InputError(f"{path}: is a folder, expected the path of a file to write")
        if path.exists() and not path.is_file():
            problem = "is not a plain file (a pipe or a device?)"
            raise InputError(f"{path}: {problem}, expected the path of a file to write")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def output(path: str | os.PathLike) -> pathlib.Path:
    """As `writable`, for a script to call before its work: says on standard error where a file
    will be replaced.
    """
    path = writable(path)
    if path.exists():
        print(f"note: {path} is there and will be replaced", file=sys.stderr, flush=True)
    return path


@contextlib.contextmanager
def whole(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A file that gets its name when it is whole; yields the path to write it under until then.

    >>> import tempfile
    >>> from mgjax import files
    >>> folder = tempfile.TemporaryDirectory()
    >>> with files.whole(f"{folder.name}/table.csv") as partial:
    ...     partial.name
    ...     _ = partial.write_text("id,label\\n")
    'table.csv.partial'
    >>> files.read_text(f"{folder.name}/table.csv", "a table")
    'id,label\\n'
    >>> folder.cleanup()

    That path is `<path>.partial`, which this process holds locked until the file has its name, so
    that of two writers the second one is refused, whenever it comes. When the block raises, the
    partial file is deleted and what was there before stays. A killed process leaves at most the
    partial file, which the next writer replaces.

    Raises:
        InputError: the path cannot be written, another writer is at it, or the disk is full.
    """
    path = writable(path)
    partial = path.with_name(path.name + ".partial")
    held = _hold(partial, os.O_RDWR | os.O_CREAT)
    try:
        yield partial
        # Else a machine that loses its power could keep the name, but not the contents.
        os.fsync(held)
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise InputError(f"{path}: cannot be written ({os.strerror(error.errno)})") from None
        raise
    finally:
        os.close(held)


@contextlib.contextmanager
def one_writer(folder: str | os.PathLike) -> Iterator[None]:
    """Hold a folder, which must be there, for this process alone until the block ends.

    Raises:
        InputError: another process, or another block of this one, holds it.
    """
    held = _hold(pathlib.Path(folder), os.O_RDONLY)
    try:
        yield
    finally:
        os.close(held)


def _hold(path: pathlib.Path, flags: int) -> int:
    """Open a file or folder and lock it; the lock goes with the descriptor, however the process
    ends.
    """
    while True:
        try:
            # O_NONBLOCK: a pipe in its place would be waited for.
            held = os.open(path, flags | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None
        try:
            _lock(held, path)
            # Whoever held it may have renamed or deleted it meanwhile: then this is no longer
            # what has the name.
            if os.path.samestat(os.fstat(held), os.stat(path)):
                return held
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(held)
            raise
        os.close(held)


def _lock(descriptor: int, path: pathlib.Path) -> None:
    if fcntl is None:
        _warn_without_locks(path, "this system")
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        problem = "another process is writing it"
        raise InputError(
            f"{path}: {problem}; wait until it has ended, or write elsewhere"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn_without_locks(path, "its file system")


def _warn_without_locks(path: pathlib.Path, what: str) -> None:
    sentence = f"{what} has no locks; nothing keeps a second process from writing it"
    warnings.warn(f"{path}: {sentence}", stacklevel=3)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file whole or not at all, as `whole`."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write plain values as a JSON file, whole or not at all.

    Raises:
        ValueError: a number is NaN or infinite, for which JSON has no word.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def open_plain(path: str | os.PathLike, expected: str, most: int = 2**30) -> BinaryIO:
    """Open a plain file of at most `most` bytes; a pipe or a device is refused, not waited for.

    Args:
        expected: what it should be, as in "a CSV table", for the error messages.

    Raises:
        InputError: it cannot be read, is no plain file, or is larger.
    """
    # Opening a pipe would otherwise wait for its writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError(f"{path}: {problem}; expected {expected}") from None
    except ValueError as error:  # a NUL byte in the name
        raise InputError(f"{str(path)!r}: cannot be the path of a file ({error})") from None
    # Of what was opened: the path may lead elsewhere by now.
    status = os.fstat(descriptor)
    wrong = None
    if not stat.S_ISREG(status.st_mode):
        wrong = f"is not a plain file; expected {expected}"
    elif status.st_size > most:
        wrong = f"has {status.st_size} bytes, too many for {expected}"
    if wrong:
        os.close(descriptor)
        raise InputError(f"{path}: {wrong}")
    return open(descriptor, "rb")


def read_bytes(path: str | os.PathLike, expected: str, most: int = 2**30) -> bytes:
    """All of a plain file, opened as by `open_plain`.

    Raises:
        InputError: as `open_plain`, or reading it fails.
    """
    with open_plain(path, expected, most) as file:
        try:
            return file.read(most + 1)  # it may grow meanwhile, but not for ever
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            raise InputError(f"{path}: {problem}; expected {expected}") from None


def read_text(path: str | os.PathLike, expected: str) -> str:
    """All of a UTF-8 text file, with or without a byte order mark.

    Raises:
        InputError: as `read_bytes`, or it is not such text.
    """
    try:
        return read_bytes(path, expected).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; expected {expected}") from None


def read_json(path: str | os.PathLike, expected: str) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: as `read_text`, or it is not JSON, nested too deeply, or holds a number of
            thousands of digits.
    """
    return parse_json(read_text(path, expected), str(path), expected)


def parse_json(text: str | bytes, source: str, expected: str, once: bool = False) -> Any:
    """What a JSON text holds; `source` names it in the error message.

    Args:
        once: refuse an object that gives a name twice, of which otherwise the last value counts.

    Raises:
        InputError: as `read_json`.
    """
    try:
        return json.loads(text, object_pairs_hook=_each_once if once else None)
    except RecursionError:
        raise InputError(f"{source}: nested too deeply; expected {expected}") from None
    # not JSON, not UTF-8, or a whole number of more digits than Python reads
    except ValueError as error:
        problem = f"not JSON ({str(error)[:200]})"
        raise InputError(f"{source}: {problem}; expected {expected}") from None


def _each_once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return found
