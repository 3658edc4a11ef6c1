"""Numbers in the place of the names of videos and subjects: v001, s01.

This module needs the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Numbering(NamedTuple):
    """The number that stands for each video and each subject, by name; no name stays no name.

    >>> numbering = Numbering.of(["anna", "ben"], ["Anna", ""])
    >>> numbering.videos["ben"], numbering.subjects["Anna"], numbering.subjects[""]
    ('v002', 's01', '')
    """

    videos: dict[str, str]
    subjects: dict[str, str]

    @classmethod
    def of(cls, videos: Iterable[str], subjects: Iterable[str]) -> Numbering:
        """Number the names in the order in which they come; a name may come several times."""
        return cls(_numbered(videos, "v", 3), _numbered(subjects, "s", 2))


def _numbered(names: Iterable[str], letter: str, width: int) -> dict[str, str]:
    names = [name for name in dict.fromkeys(names) if name]
    # All of one width, so that they sort as numbers do.
    width = max(width, len(str(len(names))))
    return {"": ""} | {name: f"{letter}{number:0{width}d}" for number, name in enumerate(names, 1)}
