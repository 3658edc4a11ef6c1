"""Examples in docstrings are shown as code: Markdown would take `>>>` for quotations."""

from __future__ import annotations

import re
import textwrap

import griffe

HEADING = re.compile(r"^\s*Examples?:\n(?=\s*>>>)")


class Doctests(griffe.Extension):
    """Puts every example of a docstring, from its first `>>>` to an empty line, into a fence."""

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        """Change an object's docstring before it is read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """A docstring with its examples in fences, headed by a word or not."""
    return "\n\n".join(map(_fenced, text.split("\n\n")))


def _fenced(paragraph: str) -> str:
    example = HEADING.sub("", paragraph)
    if not example.lstrip().startswith(">>>"):
        return paragraph
    return f"```pycon\n{textwrap.dedent(example)}\n```"
