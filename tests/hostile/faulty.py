"""Readers that are faulty on purpose, to see that a campaign finds each fault."""

from __future__ import annotations

import os
import time

from hostile import made, sound, target
from mgjax.errors import InputError


@target("well", 1)
def well(chance, folder, good):
    """Accepts half of its inputs, and refuses the others as it should."""
    path = folder / "input"
    path.write_bytes(chance.randbytes(4))
    if chance.random() < 0.5:
        raise InputError(f"{path}: not what was expected")


@target("escapes", 1)
def escapes(chance, folder, good):
    """Lets an exception out that nobody foresaw."""
    (folder / "input").write_text("7")
    {}["absent"]


@target("nonsense", 1)
def nonsense(chance, folder, good):
    """Accepts what is not sound."""
    sound.need(False, "a score of -1")


@target("hangs", 1)
def hangs(chance, folder, good):
    """Does not come back."""
    time.sleep(600)


@target("dies", 1)
def dies(chance, folder, good):
    """Takes its process with it."""
    os._exit(3)


@target("grows", 1)
def grows(chance, folder, good):
    """Asks for more memory than there may be."""
    bytearray(2**36)


@target("mute", 1)
def mute(chance, folder, good):
    """Refuses without saying what."""
    raise InputError("")


@target("nameless", 1)
def nameless(chance, folder, good):
    """Refuses without saying which file."""
    raise InputError("not what was expected")


def prepare(good):
    """Sound material."""
    made(good / "text", lambda path: path.write_text("sound"))


@target("vandal", 1, prepare=prepare)
def vandal(chance, folder, good):
    """Changes what other cases are made of."""
    (good / "text").write_text("spoilt")
