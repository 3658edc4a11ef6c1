"""Pickles of numbers, text, arrays and containers, read by a machine that can build
nothing else.

A pickle is a program for whoever reads it. Python's own reader with a list of allowed
names is not
enough: it takes memory for a length before it looks whether the file has so many bytes,
    sets
attributes on the functions that are allowed, hashes a small pile of nested tuples for
years, and copies one long list as often as it is told to. So here `pickletools.genops`
takes the program apart without running it, and `_Machine` carries out the operations that
arrays and containers need; the names of a pickle are only ever looked up in its table.
The rules that bound it:

- No length counts beyond the file's end, and no array that is not as long as its bytes.
- A call copies, or looks at, four times the file's bytes at most, all calls together.
- A key is a text, a number or None: nothing that holds anything else is ever hashed.
- State is taken by arrays and their types, and by nothing else.

So time and memory are in proportion to the file's size, up to limits that no data set
comes near.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import pickletools
from collections.abc import Callable
from typing import IO, Any, cast

from data_prep.pickle_calls import Array, Calls, Refused, checked_key, dict_of_items
from mgjax import files
from mgjax.errors import InputError

__all__ = ["Array", "load", "loads"]

LARGEST = 2**36  # bytes of a file, and with them about as many of memory
MOST_STEPS = 5 * 10**7  # operations, a minute or so; NTU RGB+D 120 takes nine million
# Containers, results of calls and places in the memory, of some 100 bytes each; NTU RGB+D
# 120 takes three million.
MOST_OBJECTS = 10**7
DEEPEST = 1000  # marks at a time; a list in a list takes one each


@dataclasses.dataclass(frozen=True, slots=True)
class _Name:
    """Stands for whatever a pickle names; only `_Machine.call` knows what to do with it."""

    module: str
    name: str


class _File:
    """An open file of so many bytes, for a reader that may ask for more than there are."""

    def __init__(self, file: IO[bytes], size: int):
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        return self._taken(self._file.read(min(count, self._left)))

    def readline(self) -> bytes:
        return self._taken(self._file.readline(self._left))

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


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
        return _Machine(size).run(_File(file, size))
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


class _Machine:
    """Carries out a pickle's operations: a stack, marks on it, and a memory.

    `pickletools` says what each operation does. Those that have an argument of their own
    take it from the file; the others get None.
    """

    def __init__(self, size: int):
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under the marks
        self.memory: dict[int, Any] = {}
        self.calls = Calls(size)
        self.objects = MOST_OBJECTS  # that there may still be

    def run(self, file: _File) -> Any:
        """What the pickle builds."""
        # The reader asks for nothing but `read` and `readline`.
        program = pickletools.genops(cast(IO[bytes], file))
        for step, (opcode, argument, _) in enumerate(program):
            if step == MOST_STEPS:
                raise Refused(f"it has more than {MOST_STEPS} operations")
            operation = _OPERATIONS.get(opcode.name)
            if operation is None:
                raise Refused(f"it has the operation {opcode.name}")
            operation(self, argument)
        return self.stack.pop()

    def count(self) -> None:
        """Take one from the objects that there may be."""
        self.objects -= 1
        if self.objects < 0:
            raise Refused(f"it has more than {MOST_OBJECTS} containers or places")

    def new(self, value: Any) -> None:
        """Push a container, or what a call has built."""
        self.count()
        self.stack.append(value)

    # Plain values.

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def old_text(self, text: Any) -> None:
        # It may be text or bytes, which in ASCII are the same.
        if not text.isascii():
            raise Refused("it holds a text of Python 2 that is not ASCII")
        self.stack.append(text)

    def whole_number(self, number: Any) -> None:
        # No array holds longer ones, and to print them takes time without end.
        if not -(2**63) <= number < 2**64:
            raise Refused("it holds a whole number of more than 64 bits")
        self.stack.append(number)

    def true(self, _) -> None:
        self.stack.append(True)

    def false(self, _) -> None:
        self.stack.append(False)

    def nothing(self, _) -> None:
        # A frame is a hint for reading ahead; at the end `run` stops by itself.
        pass

    def protocol(self, number: Any) -> None:
        # Of a newer Python, whose operations may mean something else.
        if number > pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"protocol {number}")

    # The stack and the memory.

    def mark(self, _) -> None:
        # What is deeper Python itself could neither print nor compare.
        if len(self.below) == DEEPEST:
            raise Refused(f"it is nested more than {DEEPEST} deep")
        self.below.append(self.stack)
        self.stack = []

    def above_mark(self, _=None) -> list:
        items, self.stack = self.stack, self.below.pop()
        return items

    def pop(self, _) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.above_mark()

    def duplicate(self, _) -> None:
        self.stack.append(self.stack[-1])

    def memoize(self, _) -> None:
        self.count()
        self.memory[len(self.memory)] = self.stack[-1]

    def put(self, place: Any) -> None:
        self.count()
        self.memory[place] = self.stack[-1]

    def get(self, place: Any) -> None:
        self.stack.append(self.memory[place])

    # Containers.

    def last(self, kind: type) -> Any:
        """The container that items go into."""
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"items of a {kind.__name__} without one")
        return self.stack[-1]

    def empty_tuple(self, _) -> None:
        self.stack.append(())

    def tuple_1(self, _) -> None:
        self.new((self.stack.pop(),))

    def tuple_2(self, _) -> None:
        self.new(tuple(reversed([self.stack.pop(), self.stack.pop()])))

    def tuple_3(self, _) -> None:
        self.new(tuple(reversed([self.stack.pop(), self.stack.pop(), self.stack.pop()])))

    def tuple_of_mark(self, _) -> None:
        self.new(tuple(self.above_mark()))

    def empty_list(self, _) -> None:
        self.new([])

    def list_of_mark(self, _) -> None:
        self.new(self.above_mark())

    def append(self, _) -> None:
        item = self.stack.pop()
        self.last(list).append(item)

    def appends(self, _) -> None:
        items = self.above_mark()
        self.last(list).extend(items)

    def empty_dict(self, _) -> None:
        self.new({})

    def dict_of_mark(self, _) -> None:
        items = self.above_mark()
        self.new(dict_of_items(items))

    def set_item(self, _) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.last(dict)[checked_key(key)] = value

    def set_items(self, _) -> None:
        items = self.above_mark()
        self.last(dict).update(dict_of_items(items))

    def empty_set(self, _) -> None:
        self.new(set())

    def add_items(self, _) -> None:
        items = self.above_mark()
        self.last(set).update(map(checked_key, items))

    def frozenset_of_mark(self, _) -> None:
        self.new(frozenset(map(checked_key, self.above_mark())))

    # Names, calls and state.

    def name(self, both: Any) -> None:
        self.look_up(*both.split(" ", 1))

    def stacked_name(self, _) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.look_up(module, name)

    def look_up(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise Refused("it names what is no name")
        if (module, name) not in self.calls.named:
            raise Refused(f"it names {module[:50]}.{name[:50]}")
        # Not the function itself, on which a later operation could set attributes.
        self.new(_Name(module, name))

    def call(self, _) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise Refused("it calls what is no name")
        self.new(self.calls.named[name.module, name.name](*arguments))

    def take_state(self, _) -> None:
        state = self.stack.pop()
        self.calls.take_state(self.stack[-1], state)


# Operations by the method that carries them out. Those that call without a tuple of
# arguments, that import by a number or that fetch from outside are not among them.
_METHODS: dict[Callable[[_Machine, Any], Any], str] = {
    _Machine.push: "UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT NONE "
    "SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8",
    _Machine.old_text: "STRING BINSTRING SHORT_BINSTRING",
    _Machine.whole_number: "INT BININT BININT1 BININT2 LONG LONG1 LONG4",
    _Machine.true: "NEWTRUE",
    _Machine.false: "NEWFALSE",
    _Machine.nothing: "FRAME STOP",
    _Machine.protocol: "PROTO",
    _Machine.mark: "MARK",
    _Machine.above_mark: "POP_MARK",
    _Machine.pop: "POP",
    _Machine.duplicate: "DUP",
    _Machine.memoize: "MEMOIZE",
    _Machine.put: "PUT BINPUT LONG_BINPUT",
    _Machine.get: "GET BINGET LONG_BINGET",
    _Machine.empty_tuple: "EMPTY_TUPLE",
    _Machine.tuple_1: "TUPLE1",
    _Machine.tuple_2: "TUPLE2",
    _Machine.tuple_3: "TUPLE3",
    _Machine.tuple_of_mark: "TUPLE",
    _Machine.empty_list: "EMPTY_LIST",
    _Machine.list_of_mark: "LIST",
    _Machine.append: "APPEND",
    _Machine.appends: "APPENDS",
    _Machine.empty_dict: "EMPTY_DICT",
    _Machine.dict_of_mark: "DICT",
    _Machine.set_item: "SETITEM",
    _Machine.set_items: "SETITEMS",
    _Machine.empty_set: "EMPTY_SET",
    _Machine.add_items: "ADDITEMS",
    _Machine.frozenset_of_mark: "FROZENSET",
    _Machine.name: "GLOBAL",
    _Machine.stacked_name: "STACK_GLOBAL",
    _Machine.call: "REDUCE",
    _Machine.take_state: "BUILD",
}
_OPERATIONS = {name: method for method, names in _METHODS.items() for name in names.split()}
