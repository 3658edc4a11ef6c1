"""Pickles of numbers, text, arrays and containers, read by a machine that can build nothing else.

A pickle is a program for whoever reads it. Python's own reader with a list of allowed names is not
enough: it takes memory for a length before it looks whether the file has so many bytes, sets
attributes on the functions that are allowed, hashes a small pile of nested tuples for years, and
copies one long list as often as it is told to. So here `pickletools.genops` takes the program
apart without running it, and `_Machine` carries out the operations that arrays and containers
need; the names of a pickle are only ever looked up in its table. The rules that bound it:

- No length counts beyond the file's end, and no array that is not as long as its bytes.
- A call copies, or looks at, four times the file's bytes at most, all calls together.
- A key is a text, a number or None: nothing that holds anything else is ever hashed.
- State is taken by arrays and their types, and by nothing else.

So time and memory are in proportion to the file's size, up to limits that no data set comes near.
"""

from __future__ import annotations

import dataclasses
import math
import pickle
import pickletools
import re

import numpy as np

from mgjax import files
from mgjax.errors import InputError

LARGEST = 2**36  # bytes of a file, and with them about as many of memory
MOST_STEPS = 5 * 10**7  # operations, a minute or so; NTU RGB+D 120 takes nine million
# Containers, results of calls and places in the memory, of some 100 bytes each; NTU RGB+D 120 takes
# three million.
MOST_OBJECTS = 10**7
DEEPEST = 1000  # marks at a time; a list in a list takes one each
_COPIES = 4
_TYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f(?:2|4|8|12|16)|[SU][0-9]{1,6})")
_KEY = (str, bytes, int, float, type(None))


class _Refused(pickle.UnpicklingError):
    """A pickle asks for something that is not built from a pickle."""


class Array:
    """Stands for a NumPy array in what `load` returns; `value` and `numpy.asarray` give it."""

    __slots__ = ("value",)

    def __init__(self, value: np.ndarray):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return self.value

    def __repr__(self):
        return f"an array {self.value.dtype} {self.value.shape}"


class _Type:
    """Stands for numpy.dtype: of numbers and text only, so that no array holds a pointer."""

    __slots__ = ("value",)

    def __init__(self, value: np.dtype):
        self.value = value


@dataclasses.dataclass(frozen=True, slots=True)
class _Name:
    """Stands for whatever a pickle names; only `_Machine.call` knows what to do with it."""

    module: str
    name: str


class _File:
    """An open file of so many bytes, for a reader that may ask for more than there are."""

    def __init__(self, file, size: int):
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        return self._taken(self._file.read(min(count, self._left)))

    def readline(self) -> bytes:
        return self._taken(self._file.readline(self._left))

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


def load(path):
    """Read a pickle of arrays and containers; nothing in it is run. Its arrays are `Array`.

    Raises:
        InputError: the file cannot be read, is no whole pickle, or asks for anything but arrays
            and containers.
    """
    try:
        with files.open_plain(path, "a pickle", LARGEST) as file:
            size = file.seek(0, 2)
            file.seek(0)
            return _Machine(size).run(_File(file, size))
    except (InputError, MemoryError):
        raise
    except _Refused as refused:
        raise InputError(
            f"{path}: refused, for {refused}; only numbers, text, arrays and "
            "containers of them are built from a pickle"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a damaged pickle can make its reader raise anything
        problem = f"not a pickle, damaged or cut short ({str(error)[:200]})"
        raise InputError(f"{path}: {problem}") from None


class _Machine:
    """Carries out a pickle's operations: a stack, marks on it, and a memory (see `pickletools`)."""

    def __init__(self, size: int):
        self.stack, self.below, self.memory = [], [], {}  # below: the stacks under the marks
        self.budget, self.objects = _COPIES * size, MOST_OBJECTS
        push = self.push
        several = {
            push: "UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT NONE "
            "SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8",
            self.old_text: "STRING BINSTRING SHORT_BINSTRING",
            self.whole_number: "INT BININT BININT1 BININT2 LONG LONG1 LONG4",
            self.put: "PUT BINPUT LONG_BINPUT",
            self.get: "GET BINGET LONG_BINGET",
        }
        self.operations = {name: do for do, names in several.items() for name in names.split()} | {
            "PROTO": self.protocol,
            "FRAME": self.nothing,
            "STOP": self.nothing,
            "NEWTRUE": self.true,
            "NEWFALSE": self.false,
            "MARK": self.mark,
            "POP": self.pop,
            "POP_MARK": self.above_mark,
            "DUP": self.duplicate,
            "MEMOIZE": self.memoize,
            "EMPTY_TUPLE": self.empty_tuple,
            "TUPLE": self.tuple_of_mark,
            "TUPLE1": self.tuple_1,
            "TUPLE2": self.tuple_2,
            "TUPLE3": self.tuple_3,
            "EMPTY_LIST": self.empty_list,
            "LIST": self.list_of_mark,
            "APPEND": self.append,
            "APPENDS": self.appends,
            "EMPTY_DICT": self.empty_dict,
            "DICT": self.dict_of_mark,
            "SETITEM": self.set_item,
            "SETITEMS": self.set_items,
            "EMPTY_SET": self.empty_set,
            "ADDITEMS": self.add_items,
            "FROZENSET": self.frozenset_of_mark,
            "GLOBAL": self.name,
            "STACK_GLOBAL": self.stacked_name,
            "REDUCE": self.call,
            "BUILD": self.take_state,
        }
        self.calls = {
            ("numpy", "ndarray"): self.array,
            ("numpy", "dtype"): self.type_of,
            ("_codecs", "encode"): self.encoded,
            ("collections", "OrderedDict"): self.dict_of,
        }
        for core in ("numpy.core", "numpy._core"):
            self.calls |= {
                (f"{core}.multiarray", "_reconstruct"): self.unbuilt_array,
                (f"{core}.multiarray", "scalar"): self.scalar,
                (f"{core}.numeric", "_frombuffer"): self.buffer,
            }
        for module in ("builtins", "__builtin__"):
            self.calls |= {
                (module, "dict"): self.dict_of,
                (module, "bytes"): self.bytes_of,
                (module, "bytearray"): self.bytearray_of,
            }
            for kind in (list, tuple, set, frozenset):
                self.calls[module, kind.__name__] = self.copier(kind)

    def run(self, file: _File):
        """What the pickle builds."""
        for step, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if step == MOST_STEPS:
                raise _Refused(f"it has more than {MOST_STEPS} operations")
            operation = self.operations.get(opcode.name)
            if operation is None:
                raise _Refused(f"it has the operation {opcode.name}")
            operation(argument)
        return self.stack.pop()

    # What a pickle may take of time and memory.

    def spend(self, count: int):
        """Take so many bytes or items from what calls may copy or look at."""
        self.budget -= count
        if self.budget < 0:
            raise _Refused("it uses the same bytes again and again")

    def count(self):
        """Take one from the objects that there may be."""
        self.objects -= 1
        if self.objects < 0:
            raise _Refused(f"it has more than {MOST_OBJECTS} containers or places")

    def new(self, value):
        """Push a container, or what a call has built."""
        self.count()
        self.stack.append(value)

    # Plain values.

    def push(self, value):
        self.stack.append(value)

    def old_text(self, text):
        if not text.isascii():
            raise _Refused("it holds a text of Python 2 that is not ASCII")
        self.stack.append(text)

    def whole_number(self, number):
        if not -(2**63) <= number < 2**64:
            raise _Refused("it holds a whole number of more than 64 bits")
        self.stack.append(number)

    def true(self, _):
        self.stack.append(True)

    def false(self, _):
        self.stack.append(False)

    def nothing(self, _):
        pass

    def protocol(self, number):
        if number > pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"protocol {number}")

    # The stack and the memory.

    def mark(self, _):
        if len(self.below) == DEEPEST:
            raise _Refused(f"it is nested more than {DEEPEST} deep")
        self.below.append(self.stack)
        self.stack = []

    def above_mark(self, _=None) -> list:
        items, self.stack = self.stack, self.below.pop()
        return items

    def pop(self, _):
        if self.stack:
            self.stack.pop()
        else:
            self.above_mark()

    def duplicate(self, _):
        self.stack.append(self.stack[-1])

    def memoize(self, _):
        self.count()
        self.memory[len(self.memory)] = self.stack[-1]

    def put(self, place):
        self.count()
        self.memory[place] = self.stack[-1]

    def get(self, place):
        self.stack.append(self.memory[place])

    # Containers.

    def last(self, kind: type):
        """The container that items go into."""
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"items of a {kind.__name__} without one")
        return self.stack[-1]

    def empty_tuple(self, _):
        self.stack.append(())

    def tuple_1(self, _):
        self.new((self.stack.pop(),))

    def tuple_2(self, _):
        self.new(tuple(reversed([self.stack.pop(), self.stack.pop()])))

    def tuple_3(self, _):
        self.new(tuple(reversed([self.stack.pop(), self.stack.pop(), self.stack.pop()])))

    def tuple_of_mark(self, _):
        self.new(tuple(self.above_mark()))

    def empty_list(self, _):
        self.new([])

    def list_of_mark(self, _):
        self.new(self.above_mark())

    def append(self, _):
        item = self.stack.pop()
        self.last(list).append(item)

    def appends(self, _):
        items = self.above_mark()
        self.last(list).extend(items)

    def empty_dict(self, _):
        self.new({})

    def dict_of_mark(self, _):
        items = self.above_mark()
        self.new(_pairs(items))

    def set_item(self, _):
        value, key = self.stack.pop(), self.stack.pop()
        self.last(dict)[_key(key)] = value

    def set_items(self, _):
        items = self.above_mark()
        self.last(dict).update(_pairs(items))

    def empty_set(self, _):
        self.new(set())

    def add_items(self, _):
        items = self.above_mark()
        self.last(set).update(map(_key, items))

    def frozenset_of_mark(self, _):
        self.new(frozenset(map(_key, self.above_mark())))

    # Names, calls and state.

    def name(self, both):
        self.look_up(*both.split(" ", 1))

    def stacked_name(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        self.look_up(module, name)

    def look_up(self, module, name):
        if not (isinstance(module, str) and isinstance(name, str)):
            raise _Refused("it names what is no name")
        if (module, name) not in self.calls:
            raise _Refused(f"it names {module[:50]}.{name[:50]}")
        self.new(_Name(module, name))

    def call(self, _):
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise _Refused("it calls what is no name")
        self.new(self.calls[name.module, name.name](*arguments))

    def take_state(self, _):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Array):
            _, shape, of_type, column_major, data = state
            target.value = self.from_bytes(data, of_type, shape, "F" if column_major else "C")
        elif isinstance(target, _Type):
            order = state[1]
            if order not in ("<", ">", "|", "="):
                raise _Refused("it holds an array of an unknown order of bytes")
            target.value = target.value.newbyteorder(order)
        else:
            raise _Refused("it sets attributes on what is no array")

    # What the names stand for.

    def unbuilt_array(self, *_):
        return Array(np.empty(0))

    def array(self, shape=(0,), code="f4", data=b""):
        return Array(self.from_bytes(data, self.type_of(code), shape, "C"))

    def buffer(self, data, of_type, shape, order):
        return Array(self.from_bytes(data, of_type, shape, "F" if order == "F" else "C"))

    def scalar(self, of_type, data):
        return self.from_bytes(data, of_type, (), "C")[()]

    def type_of(self, code, *_):
        if not isinstance(code, str):
            raise _Refused("it holds an array of no type of numbers")
        if not _TYPE.fullmatch(code):
            raise _Refused(f"it holds an array of {code[:20]!r}")
        return _Type(np.dtype(code))

    def from_bytes(self, data, of_type, shape, order) -> np.ndarray:
        """An array that looks at bytes of the file, as many as it needs."""
        if not isinstance(data, (bytes, bytearray)) or not isinstance(of_type, _Type):
            raise _Refused("it holds an array that is not made of bytes")
        if not isinstance(shape, tuple) or len(shape) > 32:
            raise ValueError("an array whose shape is none")
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError("an array whose shape is none")
        size = of_type.value.itemsize
        if len(data) != math.prod(shape) * size or (not size and shape):
            raise ValueError("an array that is not as long as its bytes")
        self.spend(len(data))
        if not data:
            return np.empty(shape, of_type.value)
        return np.frombuffer(data, of_type.value).reshape(shape, order=order)

    def encoded(self, text, encoding):
        if not isinstance(encoding, str):
            raise _Refused("it names no encoding")
        if encoding not in ("latin1", "latin-1"):
            raise _Refused(f"it names the encoding {encoding[:20]!r}")
        self.spend(len(text))
        return text.encode("latin1")

    def bytes_of(self, data=b""):
        if not isinstance(data, (bytes, bytearray)):
            raise _Refused("it makes bytes of what is none")
        self.spend(len(data))
        return bytes(data)

    def bytearray_of(self, data=b"", encoding="latin1"):
        is_text = isinstance(data, str)
        return bytearray(self.encoded(data, encoding) if is_text else self.bytes_of(data))

    def copier(self, kind: type):
        """A function that makes a container of that kind from another one."""

        def copied(items=()):
            if not isinstance(items, (list, tuple, set, frozenset)):
                raise _Refused(f"it makes a {kind.__name__} of what is no container")
            self.spend(len(items))
            return kind(items if kind in (list, tuple) else map(_key, items))

        return copied

    def dict_of(self, pairs=()):
        if not isinstance(pairs, (list, tuple)):
            raise _Refused("it makes a dict of what is no list")
        self.spend(len(pairs))
        return {_key(key): value for key, value in pairs}


def _key(value):
    """Refuse what may take long to hash."""
    if not isinstance(value, _KEY):
        raise _Refused("it has a key that is neither a text nor a number")
    return value


def _pairs(items: list) -> dict:
    if len(items) % 2:
        raise ValueError("a key without a value")
    return dict(zip(map(_key, items[::2]), items[1::2]))
