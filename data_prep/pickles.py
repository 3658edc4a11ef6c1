"""Pickles of numbers, text, arrays and containers, read without running them.

A pickle is a program for whoever reads it. Python's own reader with a list of allowed names is
not enough: it takes memory for a length before it looks whether the file has so many bytes,
sets attributes on the functions that are allowed, hashes a small pile of nested tuples for
years, and copies one long list as often as it is told to. So here `pickletools.genops` takes
the program apart without running it, and `data_prep/pickle_machine.py` carries out the
operations that arrays and containers need; the names of a pickle are only ever looked up in the
table of `data_prep/pickle_calls.py`. The rules that bound it:

- No length counts beyond the file's end, and no array that is not as long as its bytes.
- A call copies, or looks at, four times the file's bytes at most, all calls together.
- A key is a text, a number or None: nothing that holds anything else is ever hashed.
- State is taken by arrays and their types, and by nothing else.

So time and memory are in proportion to the file's size, up to limits that no data set
comes near. This module never imports JAX.
"""

from __future__ import annotations

import io
import os
from typing import IO, Any

from data_prep.pickle_calls import Array, Refused
from data_prep.pickle_machine import build
from mgjax import files
from mgjax.errors import InputError

__all__ = ["Array", "load", "loads"]

LARGEST = 2**36  # bytes of a file, and with them about as many of memory


def load(path: str | os.PathLike) -> Any:
    """Read a pickle of arrays (`Array`) and containers; nothing in it is run.

    Raises:
        InputError: the file cannot be read, is no whole pickle, or asks for anything but
            arrays and containers.
    """
    try:
        with files.open_plain(path, "a pickle", LARGEST) as file:
            size = file.seek(0, 2)
            file.seek(0)
            return _built(file, size, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def loads(data: bytes, name: str = "a pickle") -> Any:
    """As `load`, of bytes; the name is that of the errors.

    >>> import pickle
    >>> import numpy as np
    >>> loads(pickle.dumps({"label": 3, "keypoint": np.zeros((1, 5, 17, 2), np.float16)}))
    {'label': 3, 'keypoint': an array float16 (1, 5, 17, 2)}
    >>> loads(pickle.dumps(print))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mgjax.errors.InputError: a pickle: refused, for it names builtins.print; only ...
    """
    return _built(io.BytesIO(data), len(data), name)


def _built(file: IO[bytes], size: int, name: Any) -> Any:
    """What a pickle of so many bytes builds."""
    try:
        return build(file, size)
    except (InputError, MemoryError, OSError):
        raise
    except Refused as refused:
        raise InputError(
            f"{name}: refused, for {refused}; only numbers, text, arrays and containers of them "
            "are built from a pickle"
        ) from None
    except Exception as error:  # a damaged pickle can make its reader raise anything
        problem = f"not a pickle, damaged or cut short ({str(error)[:200]})"
        raise InputError(f"{name}: {problem}") from None
