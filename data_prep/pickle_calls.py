"""What a pickle may call: functions of arrays, bytes and containers, of bounded cost.

`data_prep/pickles.py` reads pickles and says why. This module needs NumPy only and never
imports JAX.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

COPIES = 4  # times a file's bytes that all calls together may copy or look at
# What an array may hold: truth values, numbers and text, but no pointers to objects.
_TYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f(?:2|4|8|12|16)|[SU][0-9]{1,6})")
_KEY = (str, bytes, int, float, type(None))


class Refused(pickle.UnpicklingError):
    """A pickle asks for something that is not built from a pickle."""


class Array:
    """Stands for a NumPy array in what a pickle builds.

    `value` and `numpy.asarray` give the array. It is not one itself, as a pickle sets an
    array's contents after it has made it, and NumPy's own way to do that is not bounded.
    """

    __slots__ = ("value",)

    def __init__(self, value: np.ndarray):
        self.value = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value

    def __repr__(self) -> str:
        return f"an array {self.value.dtype} {self.value.shape}"


class _Type:
    """Stands for numpy.dtype: of numbers and text only, so that no array holds a pointer."""

    __slots__ = ("value",)

    def __init__(self, value: np.dtype):
        self.value = value


def checked_key(value: Any) -> Any:
    """A key of a dict or item of a set.

    Raises:
        Refused: it is none of those that are quick to hash.
    """
    if not isinstance(value, _KEY):
        raise Refused("it has a key that is neither a text nor a number")
    return value


def dict_of_items(items: list) -> dict:
    """A dict of keys and values that follow each other.

    Raises:
        Refused: as `checked_key`.
        ValueError: the last key has no value.
    """
    if len(items) % 2:
        raise ValueError("a key without a value")
    return dict(zip(map(checked_key, items[::2]), items[1::2]))


class Calls:
    """The functions that a pickle may name, of which all together copy little.

    Attributes:
        named: what stands for a function, by its module and name.
        budget: bytes or items that may still be copied or looked at.

    Args:
        size: of the pickle, bytes.
    """

    def __init__(self, size: int):
        self.budget = COPIES * size
        self.named: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy", "ndarray"): self.array,
            ("numpy", "dtype"): self.type_of,
            ("_codecs", "encode"): self.encoded,
            ("collections", "OrderedDict"): self.dict_of_pairs,
        }
        # NumPy 2 calls its own module by another name.
        for core in ("numpy.core", "numpy._core"):
            self.named |= {
                (f"{core}.multiarray", "_reconstruct"): self.unbuilt_array,
                (f"{core}.multiarray", "scalar"): self.scalar,
                (f"{core}.numeric", "_frombuffer"): self.buffer,
            }
        # Protocols up to 2 use Python 2's name.
        for module in ("builtins", "__builtin__"):
            self.named |= {
                (module, "dict"): self.dict_of_pairs,
                (module, "bytes"): self.bytes_of,
                (module, "bytearray"): self.bytearray_of,
            }
            for kind in (list, tuple, set, frozenset):
                self.named[module, kind.__name__] = self.copier(kind)

    def spend(self, count: int) -> None:
        """Take so many bytes or items from the budget.

        Raises:
            Refused: nothing is left of it.
        """
        self.budget -= count
        if self.budget < 0:
            raise Refused("it uses the same bytes again and again")

    # Arrays: made empty and filled by their state, or made of bytes at once.

    def unbuilt_array(self, *_) -> Array:
        """An array that gets its contents as a state."""
        return Array(np.empty(0))

    def array(self, shape: Any = (0,), code: Any = "f4", data: Any = b"") -> Array:
        """`numpy.ndarray`, as `data_prep/pyskl_pickles.py` writes it."""
        return Array(self.from_bytes(data, self.type_of(code), shape, "C"))

    def buffer(self, data: Any, of_type: Any, shape: Any, order: Any) -> Array:
        """An array as protocol 5 writes it."""
        return Array(self.from_bytes(data, of_type, shape, "F" if order == "F" else "C"))

    def scalar(self, of_type: Any, data: Any) -> Any:
        """A single number or text of NumPy's."""
        return self.from_bytes(data, of_type, (), "C")[()]

    def type_of(self, code: Any, *_) -> _Type:
        """`numpy.dtype` of a code such as f4."""
        if not isinstance(code, str):
            raise Refused("it holds an array of no type of numbers")
        if not _TYPE.fullmatch(code):
            raise Refused(f"it holds an array of {code[:20]!r}")
        return _Type(np.dtype(code))

    def take_state(self, target: Any, state: Any) -> None:
        """Give an array its contents, or a type its order of bytes.

        Raises:
            Refused: the target is neither, or the state is of something else.
        """
        if isinstance(target, Array):
            _, shape, of_type, column_major, data = state
            target.value = self.from_bytes(data, of_type, shape, "F" if column_major else "C")
        elif isinstance(target, _Type):
            order = state[1]
            if order not in ("<", ">", "|", "="):
                raise Refused("it holds an array of an unknown order of bytes")
            target.value = target.value.newbyteorder(order)
        else:
            raise Refused("it sets attributes on what is no array")

    def from_bytes(
        self, data: Any, of_type: Any, shape: Any, order: Literal["C", "F"]
    ) -> np.ndarray:
        """An array that looks at bytes of the file, as many as it needs."""
        if not isinstance(data, (bytes, bytearray)) or not isinstance(of_type, _Type):
            raise Refused("it holds an array that is not made of bytes")
        if not isinstance(shape, tuple) or len(shape) > 32:
            raise ValueError("an array whose shape is none")
        # No bool, which is an int to isinstance.
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError("an array whose shape is none")
        size = of_type.value.itemsize
        # Items of no bytes could be any number.
        if len(data) != math.prod(shape) * size or (not size and shape):
            raise ValueError("an array that is not as long as its bytes")
        self.spend(len(data))
        if not data:
            return np.empty(shape, of_type.value)
        return np.frombuffer(data, of_type.value).reshape(shape, order=order)

    # Bytes, which protocols up to 2 write as text.

    def encoded(self, text: Any, encoding: Any) -> bytes:
        """`codecs.encode` of Latin-1, in which text and bytes are the same numbers."""
        if not isinstance(encoding, str):
            raise Refused("it names no encoding")
        if encoding not in ("latin1", "latin-1"):
            raise Refused(f"it names the encoding {encoding[:20]!r}")
        self.spend(len(text))
        return text.encode("latin1")

    def bytes_of(self, data: Any = b"") -> bytes:
        """`bytes` of bytes; of a number it would be as many zeros."""
        if not isinstance(data, (bytes, bytearray)):
            raise Refused("it makes bytes of what is none")
        self.spend(len(data))
        return bytes(data)

    def bytearray_of(self, data: Any = b"", encoding: Any = "latin1") -> bytearray:
        """`bytearray` of bytes, or of a text."""
        is_text = isinstance(data, str)
        return bytearray(self.encoded(data, encoding) if is_text else self.bytes_of(data))

    # Containers of containers.

    def copier(self, kind: type) -> Callable:
        """A function that makes a container of that kind from another one."""

        def copied(items: Any = ()) -> Any:
            # Anything else that can be iterated over may have no end, such as a long
            # range.
            if not isinstance(items, (list, tuple, set, frozenset)):
                raise Refused(f"it makes a {kind.__name__} of what is no container")
            self.spend(len(items))
            return kind(items if kind in (list, tuple) else map(checked_key, items))

        return copied

    def dict_of_pairs(self, pairs: Any = ()) -> dict:
        """`dict` of a list of (key, value)."""
        if not isinstance(pairs, (list, tuple)):
            raise Refused("it makes a dict of what is no list")
        self.spend(len(pairs))
        return {checked_key(key): value for key, value in pairs}
