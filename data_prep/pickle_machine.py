"""A machine that carries out the operations of a pickle of arrays and containers.

`data_prep/pickles.py` says why there is one, and the rules that bound it. This module
needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import pickle
import pickletools
from collections.abc import Callable
from typing import IO, Any, cast

from data_prep.pickle_calls import Calls, Refused, checked_key, dict_of_items

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


def build(file: IO[bytes], size: int) -> Any:
    """What a pickle of so many bytes builds.

    Raises:
        Refused: it asks for what is not built from a pickle, or for too much.
        Exception: of any kind, where it is damaged.
    """
    return _Machine(size).run(_File(file, size))


_Method = Callable[["_Machine", Any], Any]
# The method that carries out each operation. Those that call without a tuple of
# arguments, import by a number or fetch from outside are not among them.
_OPERATIONS: dict[str, _Method] = {}


def _operation(*names: str) -> Callable[[_Method], _Method]:
    """Decorate the method that carries out operations of these names."""

    def registered(method: _Method) -> _Method:
        _OPERATIONS.update(dict.fromkeys(names, method))
        return method

    return registered


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

    @_operation(
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "FLOAT",
        "BINFLOAT",
        "NONE",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    )
    def push(self, value: Any) -> None:
        self.stack.append(value)

    @_operation("STRING", "BINSTRING", "SHORT_BINSTRING")
    def old_text(self, text: Any) -> None:
        # It may be text or bytes, which in ASCII are the same.
        if not text.isascii():
            raise Refused("it holds a text of Python 2 that is not ASCII")
        self.stack.append(text)

    @_operation("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
    def whole_number(self, number: Any) -> None:
        # No array holds longer ones, and to print them takes time without end.
        if not -(2**63) <= number < 2**64:
            raise Refused("it holds a whole number of more than 64 bits")
        self.stack.append(number)

    @_operation("NEWTRUE")
    def true(self, _) -> None:
        self.stack.append(True)

    @_operation("NEWFALSE")
    def false(self, _) -> None:
        self.stack.append(False)

    @_operation("FRAME", "STOP")
    def nothing(self, _) -> None:
        # A frame is a hint for reading ahead; at the end `run` stops by itself.
        pass

    @_operation("PROTO")
    def protocol(self, number: Any) -> None:
        # Of a newer Python, whose operations may mean something else.
        if number > pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"protocol {number}")

    # The stack and the memory.

    @_operation("MARK")
    def mark(self, _) -> None:
        # What is deeper Python itself could neither print nor compare.
        if len(self.below) == DEEPEST:
            raise Refused(f"it is nested more than {DEEPEST} deep")
        self.below.append(self.stack)
        self.stack = []

    @_operation("POP_MARK")
    def pop_mark(self, _) -> None:
        self.above_mark()

    def above_mark(self) -> list:
        """The items above the last mark, which goes with them."""
        items, self.stack = self.stack, self.below.pop()
        return items

    @_operation("POP")
    def pop(self, _) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.above_mark()

    @_operation("DUP")
    def duplicate(self, _) -> None:
        self.stack.append(self.stack[-1])

    @_operation("MEMOIZE")
    def memoize(self, _) -> None:
        self.count()
        self.memory[len(self.memory)] = self.stack[-1]

    @_operation("PUT", "BINPUT", "LONG_BINPUT")
    def put(self, place: Any) -> None:
        self.count()
        self.memory[place] = self.stack[-1]

    @_operation("GET", "BINGET", "LONG_BINGET")
    def get(self, place: Any) -> None:
        self.stack.append(self.memory[place])

    # Containers.

    def last(self, kind: type) -> Any:
        """The container that items go into."""
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"items of a {kind.__name__} without one")
        return self.stack[-1]

    @_operation("EMPTY_TUPLE")
    def empty_tuple(self, _) -> None:
        self.stack.append(())

    @_operation("TUPLE1")
    def tuple_1(self, _) -> None:
        self.new((self.stack.pop(),))

    @_operation("TUPLE2")
    def tuple_2(self, _) -> None:
        self.new(tuple(reversed([self.stack.pop(), self.stack.pop()])))

    @_operation("TUPLE3")
    def tuple_3(self, _) -> None:
        self.new(tuple(reversed([self.stack.pop(), self.stack.pop(), self.stack.pop()])))

    @_operation("TUPLE")
    def tuple_of_mark(self, _) -> None:
        self.new(tuple(self.above_mark()))

    @_operation("EMPTY_LIST")
    def empty_list(self, _) -> None:
        self.new([])

    @_operation("LIST")
    def list_of_mark(self, _) -> None:
        self.new(self.above_mark())

    @_operation("APPEND")
    def append(self, _) -> None:
        item = self.stack.pop()
        self.last(list).append(item)

    @_operation("APPENDS")
    def appends(self, _) -> None:
        items = self.above_mark()
        self.last(list).extend(items)

    @_operation("EMPTY_DICT")
    def empty_dict(self, _) -> None:
        self.new({})

    @_operation("DICT")
    def dict_of_mark(self, _) -> None:
        items = self.above_mark()
        self.new(dict_of_items(items))

    @_operation("SETITEM")
    def set_item(self, _) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.last(dict)[checked_key(key)] = value

    @_operation("SETITEMS")
    def set_items(self, _) -> None:
        items = self.above_mark()
        self.last(dict).update(dict_of_items(items))

    @_operation("EMPTY_SET")
    def empty_set(self, _) -> None:
        self.new(set())

    @_operation("ADDITEMS")
    def add_items(self, _) -> None:
        items = self.above_mark()
        self.last(set).update(map(checked_key, items))

    @_operation("FROZENSET")
    def frozenset_of_mark(self, _) -> None:
        self.new(frozenset(map(checked_key, self.above_mark())))

    # Names, calls and state.

    @_operation("GLOBAL")
    def name(self, both: Any) -> None:
        self.look_up(*both.split(" ", 1))

    @_operation("STACK_GLOBAL")
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

    @_operation("REDUCE")
    def call(self, _) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise Refused("it calls what is no name")
        self.new(self.calls.named[name.module, name.name](*arguments))

    @_operation("BUILD")
    def take_state(self, _) -> None:
        state = self.stack.pop()
        self.calls.take_state(self.stack[-1], state)
