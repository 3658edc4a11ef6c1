"""What README.md, CONTRIBUTING.md and the pages of docs/ show: code, commands, names in `code`."""

from __future__ import annotations

import pathlib
import re
import shlex
from typing import NamedTuple

_FENCE = re.compile(r"^ *```(\w*)([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, the path in its title ("" without one) and its text."""

    language: str
    title: str
    text: str


def documents(root: pathlib.Path) -> list[pathlib.Path]:
    """All Markdown files that a user reads."""
    top = [root / name for name in ("README.md", "CONTRIBUTING.md")]
    return top + sorted((root / "docs" / "pages").rglob("*.md"))


def blocks(path: pathlib.Path) -> list[Block]:
    """The fenced blocks of a file, in their order."""
    found = []
    for language, rest, text in _FENCE.findall(path.read_text(encoding="utf-8")):
        title = re.search(r'title="([^"]*)"', rest)
        found.append(Block(language, title[1] if title else "", text))
    return found


def commands(path: pathlib.Path) -> list[list[str]]:
    """The words of every command line that a file shows in a block of bash, comments left out."""
    found = []
    for block in blocks(path):
        if block.language == "bash":
            lines = block.text.replace("\\\n", " ").splitlines()
            found += [words for line in lines if (words := shlex.split(line, comments=True))]
    return found


def codes(path: pathlib.Path) -> set[str]:
    """What a file shows as `code` within its text."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    return {code.strip() for code in re.findall(r"`([^`\n]+)`", text)}
