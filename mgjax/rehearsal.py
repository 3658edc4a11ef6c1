"""A trial of reading a file in a process of its own, so that this one neither hangs nor crashes.

A damaged HDF5 file can keep the library busy for ever, or crash the process that reads
it, and no check finds that out beforehand. So such a file is read in another process
first, whose time and memory are limited.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator

from mgjax.errors import InputError

resource: types.ModuleType | None
try:
    import resource
except ImportError:  # Windows, where a trial has no limits but that of the clock
    resource = None

SECONDS = 3  # of computing that a trial may take: tables of a million rows take one
_PATIENCE = 60  # seconds that it may take by the clock, on a disk however slow
_MEMORY = 2**33  # bytes of address space that it may take
_REFUSED = 3  # its exit code when the file was refused with a sentence
_ENDLESS = "damaged store: reading it does not end"

# Files that this process wrote or has tried out, by their `identity`.
trusted: set[tuple[int, ...]] = set()


def identity(path: str | os.PathLike) -> tuple[int, ...]:
    """What a file is known by: device, number, size and time of its last change.

    Another file under the same name has another identity, and so has one that was
    changed.
    """
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def rehearse(path: str | os.PathLike, code: str) -> None:
    """Try in a process of its own what is to be done with a file.

    Where no process can be started, or the trial fails for a reason that is not the
    file's, there is a warning and no more.

    Args:
        path: the file; the process finds it in `sys.argv[1]`.
        code: what to try, a line of Python, for which `sys` and `mgjax.hdf5` are imported.

    Raises:
        InputError: what the trial raised, or that it did not end, or that the HDF5 library crashed.
    """
    try:
        done = _run(path, code)
    except subprocess.TimeoutExpired:
        raise InputError(f"{path}: {_ENDLESS}") from None
    except OSError as error:
        _warn(path, str(error))
        return
    if done.returncode == _REFUSED:
        raise InputError(done.stdout.decode("utf-8", "surrogateescape"))
    # The system ends a process that has used up its time by this signal.
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        raise InputError(f"{path}: {_ENDLESS}")
    if done.returncode < 0:
        crash = f"crashes the HDF5 library (signal {-done.returncode})"
        raise InputError(f"{path}: damaged store: reading it {crash}")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        _warn(path, said[-1] if said else f"exit code {done.returncode}")


def _run(path: str | os.PathLike, code: str) -> subprocess.CompletedProcess[bytes]:
    code = f"import sys\nfrom mgjax import hdf5, rehearsal\nwith rehearsal.limited():\n    {code}"
    # -P: else the working directory would be searched for modules first.
    command = [sys.executable, "-P", "-c", code, os.fspath(path), str(SECONDS)]
    # It finds the packages that this process has, wherever it has them from.
    paths = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    # Threads of a library that computes nothing here would take most of the address
    # space.
    environment = os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment,
        timeout=_PATIENCE,
    )


def _warn(path: str | os.PathLike, reason: str) -> None:
    sentence = "opened without trying it in a process of its own first"
    # Of the line that opened the file, by way of `rehearse` and of who called it.
    warnings.warn(f"{path}: {sentence} ({reason})", stacklevel=4)


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """In the process that `rehearse` starts: limit it, and hand an InputError on to who waits."""
    if resource is not None:
        # What it took to get here does not count: importing takes longer than reading.
        spent = resource.getrusage(resource.RUSAGE_SELF)
        seconds = math.ceil(spent.ru_utime + spent.ru_stime + float(sys.argv[2]))
        _limit(resource, resource.RLIMIT_CPU, seconds)
        _limit(resource, resource.RLIMIT_AS, _MEMORY)
    try:
        yield
    except InputError as error:
        # Any path is such a text, in whatever bytes.
        sys.stdout.buffer.write(str(error).encode("utf-8", "surrogateescape"))
        sys.stdout.flush()
        os._exit(_REFUSED)


def _limit(resource, which: int, value: int) -> None:
    _, most = resource.getrlimit(which)
    with contextlib.suppress(OSError, ValueError):  # a system without it, or a stricter one
        resource.setrlimit(which, (value, most))
