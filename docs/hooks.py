"""What the pages take from the code while they are built, so that it is said once.

A page says `<!-- NAME ARGUMENTS -->`, and gets instead:

options         tables of all options of a run, out of their dataclasses
recipes         every recipe with its first comment and its flags
layouts         the named skeletons
files FOLDER    a table of the Python files of some folders, with what is in them
modules PATTERN what the docstrings of some modules say, as `mgjax.store*` or `mgjax.nn.*`
file PATH       a Markdown file of the checkout, its links to pages made to fit
python PATH     its first block of Python
"""

from __future__ import annotations

import ast
import fnmatch
import logging
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARKER = re.compile(r"^<!-- (\w+) ?(.*?) -->$", re.MULTILINE)
# What a package only passes on is shown where it is made.
REEXPORTS = "    options:\n      members: false\n"
log = logging.getLogger("mkdocs.hooks")


def on_page_markdown(markdown: str, **_) -> str:
    """Put in what a page asks for."""
    return MARKER.sub(lambda match: FILL[match[1]](*match[2].split()), markdown)


def modules(*patterns: str) -> str:
    """Docstrings of all modules whose dotted names fit, each once, in the order of the patterns."""
    names, chosen = module_names(), []
    for pattern in patterns:
        found = fnmatch.filter(names, pattern)
        if not found:
            log.warning("no module is called %s", pattern)
        chosen += [name for name in found if name not in chosen]
    return "\n".join(f"::: {name}\n{'' if _defines(name) else REEXPORTS}" for name in chosen)


def files_of(*folders: str) -> str:
    """A table of the files of some folders, what is in them in a sentence, linked to their API."""
    rows = ["| file | what is in it |", "|---|---|"]
    for folder in folders:
        for path in sorted((ROOT / folder).glob("*.py")):
            text = " ".join((ast.get_docstring(_parsed(path)) or "").split("\n\n")[0].split())
            place = path.relative_to(ROOT)
            name = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
            rows.append(f"| [`{place.as_posix()}`][{name}] | {text} |")
    return "\n".join(rows)


def _parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _defines(name: str) -> bool:
    """Whether a module is more than a package that passes on the names of its modules."""
    path = ROOT.joinpath(*name.split("."))
    if not path.is_dir():
        return True
    body = _parsed(path / "__init__.py").body
    own = [each for each in body if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    return any(not each.name.startswith("_") for each in own)


def module_names() -> list[str]:
    """Dotted names of all modules of mgjax and data_prep; a package stands before its own."""
    paths = [path for package in ("mgjax", "data_prep") for path in (ROOT / package).rglob("*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return sorted(name.removesuffix(".__init__") for name in names)


def option_groups() -> dict[str, type]:
    """The classes of options by what their flags begin with."""
    from mgjax import models
    from mgjax.training.groups import GROUPS

    return GROUPS | {name: models.config_of(model) for name, model in models.MODELS.items()}


def options() -> str:
    """A table for every group of options, as the command line names them."""
    return "\n\n".join(_table(group, kind) for group, kind in option_groups().items())


def _table(group: str, kind: type) -> str:
    from mgjax import options

    rows = ["| flag | default | allowed | what it is |", "|---|---|---|---|"]
    for each in options.describe(kind):
        flag, default = f"`--{group}.{each.name}`", f"`{each.default}`"
        if each.kind is bool:
            flag, default = f"{flag}, `--no{group}.{each.name}`", "on" if each.default else "off"
        allowed = ", ".join(f"`{choice}`" for choice in each.choices) or each.allowed
        text = each.text.replace("|", "\\|")
        rows.append(f"| {flag} | {default} | {allowed} | {text} |")
    summary = (kind.__doc__ or "").split("\n\n")[0]
    return f"### {group}\n\n{summary}\n\n" + "\n".join(rows)


def recipes() -> str:
    """Every recipe: its command, what its comment says, and its flags, folded away."""
    paths = sorted((ROOT / "mgjax" / "recipes").glob("*.flags"))
    return "\n\n".join(_recipe(path) for path in paths)


def _recipe(path: pathlib.Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = [line[1:].rstrip() for line in lines if line.startswith("#")]
    flags = [line for line in lines if line and not line.startswith("#")]
    # The command is the first line, with those after it that are further in.
    end = next(i for i, line in enumerate(comment) if i and not line.startswith("  "))
    command = " \\\n    ".join(line.strip() for line in comment[:end])
    text = "\n".join(line.strip() for line in comment[end:])
    folded = "\n".join(f"    {line}" for line in ["```text", *flags, "```"])
    shown = f'```bash\n{command}\n```\n\n{text}\n\n??? abstract "Flags"\n\n{folded}'
    return f"### {path.stem}\n\n{shown}"


def layouts() -> str:
    """The named skeletons, with their joints."""
    from mgjax import skeleton

    rows = ["| layout | joints | dimensions | root |", "|---|---|---|---|"]
    for name, layout in sorted(skeleton.LAYOUTS.items()):
        root = ", ".join(f"`{joint}`" for joint in layout.root)
        rows.append(f"| `{name}` | {len(layout)} | {layout.dimensions} | {root} |")
    return "\n".join(rows)


def file(path: str) -> str:
    """A Markdown file that lies at the top of the checkout."""
    return (ROOT / path).read_text(encoding="utf-8").replace("](docs/pages/", "](")


def python(path: str) -> str:
    """The first block of Python of a Markdown file at the top of the checkout."""
    return re.search(r"^```python\n.*?^```", file(path), re.MULTILINE | re.DOTALL)[0]


FILL = {
    "files": files_of,
    "options": options,
    "recipes": recipes,
    "layouts": layouts,
    "modules": modules,
    "file": file,
    "python": python,
}
