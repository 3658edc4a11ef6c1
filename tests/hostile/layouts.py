"""Layouts as no honest file holds them: plain functions of a `random.Random`."""

import json
import random

FIELDS = {
    "name": "arm",
    "joints": ["Neck", "RShoulder", "LShoulder", "Nose"],
    "bones": [["Neck", "RShoulder"], ["Neck", "LShoulder"], ["Neck", "Nose"]],
    "root": ["Neck"],
    "scale": ["RShoulder", "LShoulder"],
    "across": ["RShoulder", "LShoulder"],
    "up": ["Neck", "Nose"],
    "dimensions": 2,
    "parts": {"head": ["Nose"]},
    "mirror": [["LShoulder", "RShoulder"]],
}
_NUMBERS = 0, 1, 2, 3, -1, 2.0, 1e308, float("nan"), float("inf"), 10**400, True, None
# fmt: off
_TEXTS = (
    "", "Neck", "Nose", "LShoulder", "left", "a\0b", "\ud800", "x" * 5000, "é\u202e", "/", "..",
    "1",
)
# fmt: on


def value(random: random.Random, depth: int = 3):
    """Any JSON value, now and then a joint's name."""
    kind = random.randrange(4 if depth else 2)
    if kind < 2:
        return random.choice(_TEXTS if kind else _NUMBERS)
    items = [value(random, depth - 1) for _ in range(random.randrange(4))]
    return items if kind == 2 else {random.choice(_TEXTS): item for item in items}


def fields(random: random.Random) -> dict:
    """A layout's fields, some of them spoilt, lost or strange."""
    found = json.loads(json.dumps(FIELDS))
    for _ in range(random.randrange(3)):
        name = random.choice([*FIELDS, "colour"])
        change = random.randrange(5)
        if change == 0:
            found.pop(name, None)
        elif change == 1 and isinstance(found.get(name), list):
            found[name].insert(random.randrange(len(found[name]) + 1), value(random, 2))
        elif change == 2 and isinstance(found.get(name), list) and found[name]:
            found[name].append(random.choice(found[name]))
        elif change == 3 and name in ("bones", "mirror"):
            found[name] = [
                random.choices(FIELDS["joints"], k=2) for _ in range(random.randrange(5))
            ]
        else:
            found[name] = value(random)
    return found


def text(random: random.Random) -> bytes:
    """The bytes of a layout's file, whole or spoilt."""
    kind = random.randrange(14)
    if kind == 0:
        return random.randbytes(random.randrange(60))
    if kind == 1:
        depth = random.choice([50, 100_000])
        return b"[" * depth + b"]" * depth
    if kind == 2:
        return json.dumps(value(random)).encode("utf-8", "surrogatepass")
    if kind == 3:
        return b'{"dimensions": ' + b"1" * random.choice([10, 5000]) + b"}"
    written = bytearray(json.dumps(fields(random)).encode("utf-8", "surrogatepass"))
    if kind == 4:
        written[random.randrange(len(written))] ^= 1 << random.randrange(8)
    elif kind == 5:
        del written[random.randrange(len(written)) :]
    elif kind == 6:
        return bytes(written[:-1]) + b', "bones": []}'
    return bytes(written)
