"""Left and right in names: which joints swap when a body is mirrored.

Joint names come from many tools, each with its own spelling of a side (LKnee,
left_knee, knee.L, Bip01 L Thigh), so they are compared rather than parsed: two joints
are a pair where one name becomes the other when its left is replaced by right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Where a name may say left: the word anywhere; the letter at either end, or with no
# letter before and after it. The l of "Lip" is found too: no joint is called "Rip", so
# it makes no pair.
_LEFT = re.compile("left|^l|l$|(?<![a-z])l(?![a-z])", re.IGNORECASE)

# A name's words: "MyLeftHand2" is My, Left, Hand; "RPalm" is R, Palm.
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def pairs(joints: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(left, right) pairs of the names that differ only in side, in the left ones' order.

    A side is a leading or trailing L or R, the same standing alone (l_knee, knee.r,
    upper l arm), or the word left or right anywhere, in any case.

    >>> pairs(["Neck", "RKnee", "LKnee", "ear_left", "ear_right", "Lip"])
    (('LKnee', 'RKnee'), ('ear_left', 'ear_right'))
    """
    joints = list(joints)
    there = set(joints)
    taken: set[str] = set()
    found = []
    for left in joints:
        right = next((name for name in _right_names(left) if name in there), None)
        # A joint has one partner: the first that was found.
        if right is not None and not {left, right} & taken:
            found.append((left, right))
            taken |= {left, right}
    return tuple(found)


def side_of(name: str) -> str:
    """The side that a name's words say: "l", "r", "" for none or "lr" for both."""
    words = {word.lower() for word in _WORD.findall(name)}
    said = [side for side in ("left", "right") if words & {side, side[0]}]
    return "".join(side[0] for side in said)


def are_one_side(joints: Iterable[str], whose: str) -> bool:
    """Whether joints are of one and the same side, such as one hand's.

    They are where all their names say so, or where none says a side and that of what
    they belong to (`whose`) does, as "my_left_hand".
    """
    said = {side_of(joint) for joint in joints}
    if said == {""}:
        said = {side_of(whose)}
    return said in ({"l"}, {"r"})


def _right_names(name: str) -> list[str]:
    """A joint's name with left turned into right, in every way it may be meant."""
    names = []
    for found in _LEFT.finditer(name):
        right = _as_right(found.group())
        names.append(name[: found.start()] + right + name[found.end() :])
    return names


def _as_right(left: str) -> str:
    """The word or letter for right, written as the one for left: L to R, Left to Right."""
    right = "r" if len(left) == 1 else "right"
    if left.isupper():
        return right.upper()
    return right.capitalize() if left[0].isupper() else right
