"""Recipes: files of flags that come with the package, each known by its name.

A recipe's first comment gives the command, the time it took and the result it gave, as measured.
Each further line is a flag as the command line spells it: `--group.option=value`,
`--group.option` or `--nogroup.option`; one, `--model=NAME`, says which model it is for.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from mgjax import files
from mgjax.errors import InputError, short
from mgjax.options import did_you_mean

_FOLDER = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe says.

    Attributes:
        path: its file.
        comment: its first comment, without the signs of comments.
        model: which model it is for; None where it does not say.
        options: every option that it sets, as text, by group and name.
    """

    path: pathlib.Path
    comment: str
    model: str | None
    options: dict[str, dict[str, str]]


def names() -> list[str]:
    """The names of the recipes that come with the package.

    >>> "usvae_nucla" in names()
    True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.flags"))


def find(recipe: str | os.PathLike) -> pathlib.Path:
    """The file of a recipe.

    Args:
        recipe: its name, or the path of a file of one's own.

    Raises:
        InputError: there is no recipe of that name, and no such file.
    """
    # A recipe's name means the recipe, whatever lies in the working directory.
    if recipe in names():
        return _FOLDER / f"{recipe}.flags"
    path = pathlib.Path(recipe)
    if path.is_file():
        return path
    hint = did_you_mean(str(recipe), names()) or f"; there are {', '.join(names())}"
    raise InputError(f"no recipe {str(recipe)!r}, and no file of that name{hint}")


def read(recipe: str | os.PathLike) -> Recipe:
    """Read a recipe.

    Args:
        recipe: its name, or the path of a file of one's own.

    Raises:
        InputError: there is none, or a line of it is no flag of a run.

    >>> read("usvae_nucla").options["prepare"]["centre"]
    'frame'
    """
    path = find(recipe)
    lines = files.read_text(path, "a text of flags").splitlines()
    # The command and its result stand first; later comments are about flags.
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line[1:].strip())
    model = None
    options: dict[str, dict[str, str]] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        name, value = _flag(line)
        group, dot, option = name.partition(".")
        if name == "model":
            model = value
        elif dot and line.startswith("-"):
            options.setdefault(group, {})[option] = value
        else:
            raise InputError(
                f"{path}, line {number}: {short(line)}, expected a flag of a run, such as "
                "--train.steps=100"
            )
    return Recipe(path=path, comment="\n".join(comment), model=model, options=options)


def _flag(line: str) -> tuple[str, str]:
    """The name and the value of a flag; one without a value switches something on or off."""
    # As absl reads them, so that a recipe can be a --flagfile too.
    name, equals, value = line.lstrip("-").partition("=")
    if equals:
        return name, value
    if name.startswith("no"):
        return name.removeprefix("no"), "false"
    return name, "true"
