"""Ways to spoil bytes, values, JSON and tables, each decided by a `random.Random`."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import random
import socket

# fmt: off
NUMBERS = (0, -1, 1, 2, 7, 2**31 - 1, 2**31, 2**63, -(2**63) - 1, 10**8, 10**20, 10**310, 0.5,
           -0.0, 1e-320, 1e39, 1e308,
           float("nan"), float("inf"), -float("inf"), True)
# fmt: on
# fmt: off
TEXTS = ("", " ", "\0", "a\0b", "nan", "inf", "1e999", "-1", "0.5", "9" * 310, "9" * 5000,
         "\ud800", "é", "../../secret",
         "/", ".", "..", "a/b", "\u202e", "١٢", "𝟙", "1_000", "0x10", "=1+1", '"', "a,b", "a\nb",
         "a\rb", ";", "🙂" * 50,
         "x" * 70_000, "all", "train", "test", "none", "NaN", "#N/A", "True")
# fmt: on
# What json.dumps would not write; put in the place of its name once the rest is text.
RAW = {
    "@digits@": "9" * 5000,
    "@deep@": "[" * 50_000 + "]" * 50_000,
    "@objects@": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "@large@": "1e400",
    "@long@": "1" + "0" * 400,
    "@bad@": "nul",
}


def number(chance: random.Random):
    """A number that few expect."""
    return chance.choice(NUMBERS)


def text(chance: random.Random) -> str:
    """A text that few expect."""
    return chance.choice(TEXTS)


def value(chance: random.Random):
    """Any plain value that few expect."""
    kind = chance.randrange(9)
    if kind < 3:
        return number(chance)
    if kind < 5:
        return text(chance)
    return chance.choice(
        (None, False, [], {}, [[]], [None], [0, 0, 0], {"a": 1}, [1, "a"], [[1, 2], [3]], *RAW)
    )


def bytes_of(chance: random.Random, data: bytes) -> bytes:
    """Data with one to three of: a flipped bit, another byte, a part cut out, cut short, noise put
    in, a part there twice, a part of zeros."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 64, 1000)))
        way = chance.randrange(8)
        if way < 2 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif way == 2 and at < len(data):
            data[at] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        elif way == 3:
            del data[at:to]
        elif way == 4:
            del data[at:]
        elif way == 5:
            data[at:at] = chance.randbytes(chance.choice((1, 2, 8, 100)))
        elif way == 6:
            data[at:at] = data[at:to]
        else:
            data[at:to] = bytes(to - at)
    return bytes(data)


def tree(chance: random.Random, original):
    """A deep copy of plain values in which one to three places are spoilt."""
    spoilt = {"": copy.deepcopy(original)}  # a container, so that the whole can be replaced too
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        _spoil_one(chance, spoilt)
    return spoilt.get("")


def _spoil_one(chance, container):
    """Walk down at random, and spoil where it stops."""
    key, stop = "", chance.choice((0.03, 0.2))
    while True:
        inside = container[key]
        keys = (
            list(inside)
            if isinstance(inside, dict)
            else range(len(inside))
            if isinstance(inside, list)
            else ()
        )
        if not keys or chance.random() < stop:
            break
        container, key = inside, chance.choice(keys)
    way = chance.randrange(8)
    if way < 5:
        container[key] = value(chance)
    elif way == 5 and key != "":
        del container[key]
    elif way == 6:
        container[key] = [container[key]]
    elif isinstance(container[key], list) and container[key]:
        items = container[key]
        items.insert(chance.choice((0, len(items))), copy.deepcopy(chance.choice(items)))
    elif isinstance(container, dict):
        container[text(chance)] = value(chance)
    else:
        container[key] = number(chance)


def json_of(chance: random.Random, original) -> bytes:
    """JSON of plain values, spoilt as values, as bytes, or in how it is written."""
    way = chance.randrange(20)
    if way < 4:
        return bytes_of(chance, json.dumps(original).encode())
    written = json.dumps(tree(chance, original), allow_nan=True, ensure_ascii=chance.random() < 0.9)
    for name, raw in RAW.items():
        written = written.replace(f'"{name}"', raw)
    data = written.encode("utf-8", "surrogatepass")
    if way == 4:
        wide = written[:50].encode("utf-16-le", "ignore")
        return chance.choice((b"", b"\0" * 100, b"[" * 100_000, b"null", b"\xff\xfe" + wide))
    if way == 5:
        return b"\xef\xbb\xbf" + data
    if way == 6:
        return data + chance.choice((b"\n{}", b",", b"\0", b"]"))
    return data


def table_of(chance: random.Random, rows: list[list[str]]) -> bytes:
    """A CSV table, spoilt in cells, rows, columns, separators, quotes, encoding or bytes."""
    rows = [list(row) for row in rows]
    for _ in range(chance.choice((1, 1, 2, 3))):
        # The header less often than the rest, for a wrong one hides what is below it.
        way, row = chance.randrange(12), chance.choice(rows[1:] if chance.random() < 0.6 else rows)
        if way < 7 and row:
            new = str(value(chance)) if chance.random() < 0.7 else text(chance)
            row[chance.randrange(len(row))] = new
        elif way == 7:
            rows.insert(chance.randrange(len(rows) + 1), list(row))
        elif way == 8 and len(rows) > 2:
            rows.remove(row)
        elif way == 9 and row:
            column = chance.randrange(len(row))
            for each in rows:
                del each[column : column + 1]
        elif way == 10:
            name = text(chance)
            for each in rows:
                each.append(name)
        else:
            row += [text(chance)] * chance.choice((1, 2, 50))
    separator = chance.choice((",",) * 30 + (";", "\t", ", ", ",,"))
    end = chance.choice(("\n",) * 6 + ("\r\n", "\r", "\n\n", ""))
    quoted = chance.random() < 0.1
    cells = (
        [f'"{cell}"' if quoted and chance.random() < 0.5 else cell for cell in row] for row in rows
    )
    data = (end.join(separator.join(row) for row in cells) + end).encode("utf-8", "surrogatepass")
    way = chance.randrange(30)
    if way < 3:
        return bytes_of(chance, data)
    if way == 3:
        return b"\xef\xbb\xbf" + data
    if way == 4:
        return data.decode("utf-8", "replace").encode("utf-16")
    return data


def place(chance: random.Random, path: pathlib.Path, data: bytes) -> pathlib.Path:
    """Write a file; once in a hundred times put something in its place that is no plain file."""
    way = chance.randrange(700)
    if way == 0:
        os.mkfifo(path)
    elif way == 1:
        path.mkdir()
    elif way == 2:
        path.symlink_to("nowhere")
    elif way == 3:
        path.symlink_to(path.name)
    elif way == 4:
        path.symlink_to("/dev/zero")
    elif way == 5:
        path.write_bytes(b"")
    elif way == 6:
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.bind(str(path))
            except OSError:  # a path of more than a hundred characters
                path.symlink_to("/dev/null")
    else:
        path.write_bytes(data)
    return path
