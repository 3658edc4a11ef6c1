"""Hostile flags and options of every script, read in this process; a few as real commands."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pathlib
import subprocess
import sys
from unittest import mock

from absl import app, flags

from hostile import damage, runs, sound, target
from mgjax import models, scripts
from mgjax.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = {
    "data_prep": (
        "agreement",
        "inspect_store",
        "pack_imigue",
        "pack_ntu",
        "pack_nucla",
        "pack_openpose",
        "pack_pyskl",
        "simulate",
    ),
    "launch": ("embed", "emotion", "probe", "tables", "train"),
}
LIGHT = ("pack_nucla", "pack_ntu", "pack_openpose", "pack_imigue")  # they import no JAX


def prepare(good):
    """Import every script; those of launch/ import each other by their bare names."""
    sys.path.append(str(ROOT / "launch"))
    runs.prepare(good)
    for place, names in SCRIPTS.items():
        for name in names:
            _module(place, name)


def _module(place, name):
    return importlib.import_module(name if place == "launch" else f"{place}.{name}")


def _value(chance) -> str:
    return (
        str(damage.value(chance))
        if chance.random() < 0.5
        else chance.choice(
            (
                "1",
                "0",
                "3",
                "0.5",
                "true",
                "mine",
                "usvae",
                "cosine",
                "body25",
                "all",
                *damage.TEXTS,
            )
        )[:200_000]
    )


def _arguments(chance, folder, names) -> list[str]:
    """A command line of a script that has flags of these names."""
    arguments = []
    for _ in range(chance.choice((1, 2, 3, 6))):
        name, way = chance.choice(names), chance.randrange(14)
        if way < 9:
            arguments.append(f"--{name}={_value(chance)}")
        elif way == 9:
            arguments += [f"--{name}", _value(chance)]
        elif way == 10:
            arguments.append(
                chance.choice(
                    (f"--no{name}", f"--{name}", f"-{name}=1", f"--{name[:-1]}=2", "--", "-", "")
                )
            )
        elif way == 11:
            arguments.append(_value(chance))
        elif way == 12:
            arguments.append(
                chance.choice(("--help", "--helpfull", "--undefok=x", "--flagfile=", "--helpxml"))
            )
        else:
            lines = "\n".join(f"--{chance.choice(names)}={_value(chance)}" for _ in range(3)) + "\n"
            data = lines.encode("utf-8", "surrogatepass")
            data = damage.bytes_of(chance, data) if chance.random() < 0.6 else data
            path = damage.place(chance, folder / f"{len(arguments)}.flags", data)
            if chance.random() < 0.1 and path.is_file():
                path.write_text(f"--flagfile={path}\n")
            arguments.append(f"--flagfile={path}")
    if chance.random() < 0.5:
        return [argument.replace("\0", "") for argument in arguments]
    return arguments


@target("flags", 9, prepare=prepare, names_file=False)
def script_flags(chance, folder, good):
    """Odd values of a script's flags, or of its options as a library call would give them."""
    way = chance.randrange(400)
    if way < 150:
        _options(chance)
    elif way < 398:
        _parse(chance, folder)
    else:
        _command(chance, folder)


def _options(chance):
    """A dataclass of options, given values of any kind."""
    kind = chance.choice(runs.option_classes())
    names = list(kind.__dataclass_fields__)
    given = {chance.choice(names): damage.value(chance) for _ in range(chance.choice((1, 1, 2)))}
    sound.options(kind(**given))


def _parse(chance, folder):
    """A script's command line, up to where its work would begin."""
    place = chance.choice(list(SCRIPTS))
    module = _module(place, chance.choice(SCRIPTS[place]))
    before = set(flags.FLAGS)
    try:
        module.define_flags()
        own = sorted(set(flags.FLAGS) - before)
        arguments = ["script.py", *_arguments(chance, folder, own)]
        # What is required is mostly there, so that more than its absence is looked at.
        if chance.random() < 0.8:
            for name in (
                "input",
                "output",
                "store",
                "split",
                "workdir",
                "table",
                "first",
                "second",
            ):
                if name in own and not any(
                    argument.startswith(f"--{name}") for argument in arguments
                ):
                    arguments.append(f"--{name}={2 if name == 'table' else folder / name}")
        _run(module, arguments)
    finally:
        flags.FLAGS.remove_flag_values([name for name in flags.FLAGS if name not in before])
        flags.FLAGS.unparse_flags()


def _run(module, arguments):
    """As `scripts.run_script` does it, with a main that only looks at what was read."""
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            _parser()(arguments)
    except SystemExit as end:
        if end.code in (0, None):
            return
        said = end.code if isinstance(end.code, str) else quiet.getvalue()[-200:]
        raise InputError(said) from None
    if module.__name__ == "train":
        run_flags = importlib.import_module("run_flags")
        groups = run_flags.GROUPS | {name: model.Config for name, model in models.MODELS.items()}
        for group, kind in groups.items():
            sound.options(run_flags.read_options(kind, f"{group}."))


def _parser():
    """What `scripts.run_script` gives to absl to read the command line with."""
    taken = []
    with mock.patch.object(app, "run", lambda main, flags_parser, **_: taken.append(flags_parser)):
        scripts.run_script(lambda argv: None)
    return taken[0]


def _command(chance, folder):
    """A script as a process: exit code 1 or 2 and a sentence, or 0; never a traceback."""
    name = chance.choice(LIGHT)
    arguments = [
        os.fsencode(argument.encode("utf-8", "replace").decode())
        for argument in _arguments(chance, folder, ["input", "output", "layout", "videos"])
        if "\0" not in argument and len(argument) < 100_000
    ]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "data_prep" / f"{name}.py"), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    said = ended.stderr.decode(errors="replace")
    about = f"{name} {arguments}"[:150]
    sound.need("Traceback" not in said, f"{about}: {said.strip().splitlines()[-1:]}")
    sound.need(ended.returncode in (0, 1, 2), f"{about}: ended with {ended.returncode}")
    if ended.returncode:
        said += ended.stdout.decode(errors="replace")
        sound.need(said.strip(), f"{about}: not a word")
        raise InputError(said)
